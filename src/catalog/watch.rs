//! Following the repository: when to look at it again.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
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
/// files. It changes with every write, and costs no reading. Times are only
/// told apart, never compared: a clock that jumps hides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of `folder` and all below it.
    pub(super) fn of(folder: &Path) -> Self {
        let mut entries = Vec::new();
        walk(folder, 0, &mut entries);
        entries.sort();
        let mut hasher = DefaultHasher::new();
        entries.hash(&mut hasher);
        // An empty folder is not one that is not there.
        folder.is_dir().hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The same, seen when trust had been renewed so often: what failed by one
    /// may hold by another.
    pub(super) fn under(self, renewals: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, renewals).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Deeper than a repository goes; it also ends a loop of links.
const DEEPEST: usize = 8;

/// The size of a file, when it was written, and when it was last changed in any
/// way: archives and `touch` set the former, and a link may turn to another
/// file that has it, too; nobody can set the latter.
type Look = (u64, [i64; 2], [i64; 2]);

fn walk(folder: &Path, depth: usize, entries: &mut Vec<(PathBuf, Option<Look>)>) {
    let Ok(listing) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in listing.flatten() {
        let path = entry.path();
        // Follows links: Kubernetes swaps whole folders behind one.
        let Ok(metadata) = std::fs::metadata(&path) else {
            entries.push((path, None));
            continue;
        };
        if metadata.is_dir() && depth < DEEPEST {
            walk(&path, depth + 1, entries);
        }
        let written = [metadata.mtime(), metadata.mtime_nsec()];
        let changed = [metadata.ctime(), metadata.ctime_nsec()];
        entries.push((path, Some((metadata.len(), written, changed))));
    }
}

/// Runs `manager` for as long as the process serves: a pass whenever the
/// repository has changed and has then been still for `interval`, so that a
/// folder being written is left alone until it is whole.
pub async fn follow(manager: Arc<Mutex<Manager>>, watch: Watch, interval: Duration) {
    if watch == Watch::Off {
        return;
    }
    let (root, background, trust) = {
        let manager = lock(&manager);
        (
            manager.root().to_owned(),
            manager.background(),
            manager.trust(),
        )
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
        move || Fingerprint::of(&root).under(trust.renewals())
    };
    // A look that can't be taken for want of a thread is taken the next time.
    let mut seen = apart(background, look.clone()).await;
    // The pass before this saw the files at a moment that nobody knows here:
    // the first look makes another, which loads nothing that is served.
    let mut done = None;
    // Whether the last pass lacked what may be there the next time.
    let mut again = false;
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
        if now.is_none() || (now == done && !again) || !still {
            continue;
        }
        let manager = Arc::clone(&manager);
        let pass = move || {
            let pass = lock(&manager).pass();
            for failure in &pass.failures {
                tracing::error!("{failure}");
            }
            pass.may_do_better()
        };
        if let Some(may_do_better) = apart(background, pass).await {
            done = now;
            again = may_do_better;
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

/// File events. `None` where they can't be had: where the system gives no
/// thread, too, which `notify` does not tell until it panics.
fn events_of(root: &Path, sender: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    if let Err(error) = std::thread::Builder::new().spawn(|| ()) {
        tracing::warn!(%error, "there is no thread for file events: the repository is polled");
        return None;
    }
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|e| !e.kind.is_access()) {
            // Full means that a look is due already.
            let _ = sender.try_send(());
        }
    })
    .and_then(|mut watcher| {
        let watched = catch_unwind(AssertUnwindSafe(|| {
            watcher.watch(root, RecursiveMode::Recursive)
        }));
        match watched {
            Ok(watched) => watched.map(|()| watcher),
            Err(_) => {
                // Its end would panic as well.
                std::mem::forget(watcher);
                Err(notify::Error::generic("their thread could not be had"))
            }
        }
    });
    match made {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "file events do not work here: the repository is polled");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        time::SystemTime,
    };

    use super::*;

    fn write(file: &Path, text: &str, time: SystemTime) {
        fs::write(file, text).unwrap();
        let file = File::options().append(true).open(file).unwrap();
        file.set_modified(time).unwrap();
    }

    /// Files as an archive leaves them: all of one time.
    #[test]
    fn another_file_of_the_same_size_and_time_looks_different() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.toml");
        for time in [SystemTime::UNIX_EPOCH, SystemTime::now()] {
            write(&file, "v1.1.0", time);
            let before = Fingerprint::of(folder.path());
            assert_eq!(Fingerprint::of(folder.path()), before);
            // The clock goes on by at least one of its ticks.
            let started = std::time::Instant::now();
            while started.elapsed() < Duration::from_millis(20) {
                std::thread::yield_now();
            }
            write(&file, "v1.2.0", time);
            assert_ne!(Fingerprint::of(folder.path()), before);
        }
    }

    /// As after a clock that was set back, or forward.
    #[test]
    fn an_older_file_looks_different_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.toml");
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        let mut seen = Vec::new();
        for time in [now, now - 365 * day, now + 365 * day] {
            write(&file, "v1.1.0", time);
            let look = Fingerprint::of(folder.path());
            assert!(!seen.contains(&look));
            seen.push(look);
        }
    }
}
