//! Following the repository: when to look at it again.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot};

use super::manager::Manager;
use crate::scheduler::Background;

/// How the repository is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watch {
    /// By file events, and by looking now and then all the same, since some
    /// file systems send none.
    #[default]
    Auto,
    /// By polling alone.
    Poll,
    /// Not at all: the files can't change.
    Off,
}

/// What a folder looks like from outside: names, sizes and times of its
/// files. It changes with every write, and costs no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of `folder` and all below it.
    pub(super) fn of(folder: &Path) -> Self {
        let mut entries: Vec<(PathBuf, u64, Option<SystemTime>)> = Vec::new();
        walk(folder, 0, &mut entries);
        entries.sort();
        let mut hasher = DefaultHasher::new();
        entries.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Deeper than a repository goes; it also ends a loop of links.
const DEEPEST: usize = 8;

fn walk(folder: &Path, depth: usize, entries: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let Ok(listing) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in listing.flatten() {
        let path = entry.path();
        // Follows links: Kubernetes swaps whole folders behind one.
        let Ok(metadata) = std::fs::metadata(&path) else {
            entries.push((path, 0, None));
            continue;
        };
        if metadata.is_dir() && depth < DEEPEST {
            walk(&path, depth + 1, entries);
        }
        entries.push((path, metadata.len(), metadata.modified().ok()));
    }
}

/// Runs `manager` for as long as the process serves: a pass whenever the
/// repository has changed and has then been still for `interval`, so that a
/// folder being written is left alone until it is whole.
pub async fn follow(manager: Arc<Mutex<Manager>>, watch: Watch, interval: Duration) {
    if watch == Watch::Off {
        return;
    }
    let (root, background) = {
        let manager = lock(&manager);
        (manager.root().to_owned(), manager.background())
    };
    let (sender, mut events) = mpsc::channel::<()>(1);
    // Kept for its life: dropping it ends the events.
    let watcher = match watch {
        Watch::Auto => events_of(&root, sender.clone()),
        Watch::Poll | Watch::Off => None,
    };
    // Events are a hint to look at once; looking happens anyway, since some
    // file systems send none.
    let idle = if watcher.is_some() {
        interval * 10
    } else {
        interval
    };
    let look = {
        let root = root.clone();
        move || Fingerprint::of(&root)
    };
    // A look that can't be taken for want of a thread is taken the next time.
    let mut seen = apart(background, look.clone()).await;
    // The pass before this saw the files at a moment that nobody knows here:
    // the first look makes another, which loads nothing that is served.
    let mut done = None;
    loop {
        let wait = if seen.is_some() && seen == done {
            idle
        } else {
            interval
        };
        let _ = tokio::time::timeout(wait, events.recv()).await;
        if wait == interval && watcher.is_some() {
            // Let a burst of writes settle.
            tokio::time::sleep(interval).await;
            while events.try_recv().is_ok() {}
        }
        let now = apart(background, look.clone()).await;
        let still = now == seen;
        seen = now;
        if now.is_none() || now == done || !still {
            continue;
        }
        let manager = Arc::clone(&manager);
        let pass = move || {
            for failure in lock(&manager).pass().failures {
                tracing::error!("{failure}");
            }
        };
        if apart(background, pass).await.is_some() {
            done = now;
        }
    }
}

/// Does `work` on a thread that gives way to the event loops. `None` where it
/// can't be done, which is logged.
async fn apart<T: Send + 'static>(
    background: Background,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let started = std::thread::Builder::new()
        .name("manager".to_owned())
        .spawn(move || {
            background.give_way();
            let _at_work = background.at_work();
            let _ = done.send(work());
        });
    let error = match started {
        Ok(_) => match result.await {
            Ok(value) => return Some(value),
            Err(_) => "it panicked".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    tracing::error!(error, "the repository could not be looked at");
    None
}

/// A pass that panicked has left the catalog as it was.
fn lock(manager: &Mutex<Manager>) -> MutexGuard<'_, Manager> {
    manager.lock().unwrap_or_else(PoisonError::into_inner)
}

fn events_of(root: &Path, sender: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|e| !e.kind.is_access()) {
            // Full means that a look is due already.
            let _ = sender.try_send(());
        }
    })
    .and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    match made {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "file events do not work here: the repository is polled");
            None
        }
    }
}
