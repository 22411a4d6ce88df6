//! A temporary folder that goes with the command, and the moments in which
//! Ctrl-C has to wait.

use std::{
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
pub(super) struct Scratch(TempDir);

impl Scratch {
    /// A folder where the system keeps temporary files.
    pub(super) fn new() -> anyhow::Result<Self> {
        Self::of(tempfile::Builder::new().prefix("modelship-").tempdir())
    }

    /// A hidden folder in `parent`, so that files can be renamed from it to
    /// their places beside it.
    pub(super) fn within(parent: &Path) -> anyhow::Result<Self> {
        Self::of(
            tempfile::Builder::new()
                .prefix(".modelship-")
                .tempdir_in(parent),
        )
    }

    fn of(made: std::io::Result<TempDir>) -> anyhow::Result<Self> {
        let made = made.context("no temporary folder can be made")?;
        folders().push(made.path().to_owned());
        if !WATCHED.swap(true, Ordering::SeqCst) {
            watch()?;
        }
        Ok(Self(made))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        folders().retain(|folder| folder != self.0.path());
    }
}

/// Does `work` whole: a signal that comes meanwhile ends the process after it.
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
        let number = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
            }
        });
        for folder in folders().iter() {
            // What can't be removed is a hidden or temporary folder.
            let _ = std::fs::remove_dir_all(folder);
        }
        process::exit(128 + number);
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .context(WHY)?;
    Ok(())
}
