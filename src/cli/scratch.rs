//! A temporary folder that goes with the command, and the moments in which
//! Ctrl-C has to wait.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use super::exchange;

/// The names of hidden folders, which nobody else gives.
const PREFIX: &str = ".modelship-";
const SUFFIX: &str = ".part";

/// The folders to remove when a signal ends the process; held as well while
/// nothing may be left half-done.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Whether a thread waits for signals already.
static WATCHED: AtomicBool = AtomicBool::new(false);

fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary folder. It is gone when this is dropped, and when SIGINT or
/// SIGTERM ends the process.
pub(super) struct Scratch {
    folder: TempDir,
    /// Held for as long as this process uses the folder. The system gives it
    /// up when the process is killed, which tells what is left behind.
    _lock: Option<File>,
}

impl Scratch {
    /// A folder where the system keeps temporary files.
    pub(super) fn new() -> anyhow::Result<Self> {
        let made = || tempfile::Builder::new().prefix("modelship-").tempdir();
        let folder = make(made)?;
        Ok(Self {
            folder,
            _lock: None,
        })
    }

    /// A hidden folder in `parent`, so that files can be renamed from it to
    /// their places beside it. What killed processes left there goes.
    pub(super) fn within(parent: &Path) -> anyhow::Result<Self> {
        const TRIES: usize = 8;
        clear_left_behind(parent);
        for _ in 0..TRIES {
            let folder = make(|| {
                tempfile::Builder::new()
                    .prefix(PREFIX)
                    .suffix(SUFFIX)
                    .tempdir_in(parent)
            })?;
            // Another process may take it for left behind until it is locked.
            if let Ok(lock) = lock(folder.path()) {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
            forget(&folder);
        }
        anyhow::bail!(
            "no folder can be made in {}: others remove it",
            parent.display()
        );
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes a folder that a signal removes.
fn make(folder: impl FnOnce() -> io::Result<TempDir>) -> anyhow::Result<TempDir> {
    if !WATCHED.swap(true, Ordering::SeqCst) {
        watch()?;
    }
    let mut held = folders();
    let made = folder().context("no temporary folder can be made")?;
    held.push(made.path().to_owned());
    Ok(made)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        forget(&self.folder);
    }
}

/// Removes a folder, undisturbed by signals.
fn forget(folder: &TempDir) {
    let mut held = folders();
    clear(folder.path());
    held.retain(|path| path != folder.path());
}

/// Removes `folder` whole. A program that this one started may still write
/// into it, so a try that fails is not the last.
fn clear(folder: &Path) {
    const TRIES: usize = 16;
    for _ in 0..TRIES {
        match fs::remove_dir_all(folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {}
            _ => return,
        }
    }
}

/// Locks the folder at `path` for this process; `None` where the file system
/// has no locks.
///
/// # Errors
/// When another process holds it, or it is gone.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) => {
            // Locked after its removal, it is no longer the one at `path`.
            let (own, there) = (folder.metadata()?, fs::metadata(path)?);
            if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(Some(folder))
        }
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Removes what processes that were killed left in `parent`, once what stood
/// there before them is back in its place.
pub(super) fn clear_left_behind(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let is_ours = name.to_string_lossy().starts_with(PREFIX)
            && name.to_string_lossy().ends_with(SUFFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Locked, it is in use; without locks, nobody can tell.
        if is_ours && matches!(lock(&entry.path()), Ok(Some(_))) {
            undivided(|| {
                if exchange::put_back(&entry.path()).is_ok() {
                    clear(&entry.path());
                }
            });
        }
    }
}

/// Does `work` whole: a signal that comes meanwhile ends the process after it,
/// and once a signal ends the process no `work` begins.
pub(super) fn undivided<T>(work: impl FnOnce() -> T) -> T {
    let held = folders();
    let done = work();
    drop(held);
    done
}

/// Waits for a signal on a thread of its own, removes the folders, and ends
/// the process.
fn watch() -> anyhow::Result<()> {
    const WHY: &str = "signals can't be received";
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context(WHY)?;
    let (mut interrupt, mut terminate) = {
        let _within = runtime.enter();
        let interrupt = signal(SignalKind::interrupt()).context(WHY)?;
        (interrupt, signal(SignalKind::terminate()).context(WHY)?)
    };
    let wait = move || {
        let kind = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            }
        });
        // Never given back: the work goes on while the process ends, and what
        // it did now would undo this.
        let held = folders();
        held.iter().for_each(|folder| clear(folder));
        // As if nobody had waited for the signal: at once, without the end of
        // libraries that other threads are still in.
        let _ = signal_hook::low_level::emulate_default_handler(kind.as_raw_value());
        process::abort();
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .context(WHY)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_nobody_uses_is_left_behind() {
        let parent = tempfile::tempdir().unwrap();
        let used = Scratch::within(parent.path()).unwrap();
        fs::create_dir_all(parent.path().join(".modelship-dead.part/new/cases")).unwrap();
        fs::create_dir(parent.path().join(".modelship-mine")).unwrap();
        let next = Scratch::within(parent.path()).unwrap();
        let name = |own: &Scratch| own.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec![".modelship-mine".to_owned(), name(&used), name(&next)];
        expected.sort();
        assert_eq!(names(parent.path()), expected);
        drop((used, next));
        assert_eq!(names(parent.path()), [".modelship-mine"]);
    }
}
