//! Files that may be renewed while the service runs: read again when they
//! have changed, and left as they were where what is new is not right.

use std::{fmt, path::Path, sync::Weak, thread, time::Duration};

use sha2::{Digest as _, Sha256};

use crate::telemetry::{Metrics, Renewed};

/// How often the files are looked at. They are small, and a look by content
/// sees what file events do not: a volume that Kubernetes swaps by a link.
const INTERVAL: Duration = Duration::from_millis(500);

/// What is wrong with a file, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mistake(String);

impl Mistake {
    /// What is wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// What is wrong with the file at `path`.
    pub(in crate::transport) fn of(path: &Path, message: impl fmt::Display) -> Self {
        Self(format!("{}: {message}", path.display()))
    }

    /// The file at `path` can't be read.
    pub(in crate::transport) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::of(path, format!("it can't be read: {error}"))
    }
}

/// What is read from files that may be renewed.
pub trait Files: Send + Sync {
    /// What it is.
    fn what(&self) -> Renewed;

    /// The files.
    fn paths(&self) -> Vec<&Path>;

    /// Takes what the files hold now, in the order of [`paths`](Self::paths),
    /// or goes on with what they held before.
    ///
    /// # Errors
    /// What is wrong with it.
    fn take(&self, contents: &[Vec<u8>]) -> Result<(), Mistake>;
}

/// What one look at the files found: a digest of all, or why there is none.
type Look = Result<[u8; 32], Mistake>;

/// The files of one thing, and what was last seen in them.
struct Followed {
    files: Weak<dyn Files>,
    last: Option<Look>,
    /// What was taken, or found to be not right.
    settled: Option<Look>,
}

/// Follows all `files` on a thread of its own, until they are dropped.
///
/// # Errors
/// When no thread is to be had.
pub fn follow(files: Vec<Weak<dyn Files>>, metrics: &Metrics) -> std::io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let metrics = metrics.clone();
    let mut followed: Vec<_> = files.into_iter().map(Followed::new).collect();
    thread::Builder::new()
        .name("renewals".to_owned())
        .spawn(move || {
            while !followed.is_empty() {
                thread::sleep(INTERVAL);
                followed.retain_mut(|f| f.look(&metrics).is_some());
            }
        })
        .map(drop)
}

impl Followed {
    /// What stands in the files now has been taken already.
    fn new(files: Weak<dyn Files>) -> Self {
        let look = files.upgrade().map(|files| read(&*files).0);
        Self {
            files,
            last: look.clone(),
            settled: look,
        }
    }

    /// `None` when what was followed has gone.
    fn look(&mut self, metrics: &Metrics) -> Option<()> {
        let files = self.files.upgrade()?;
        let (look, contents) = read(&*files);
        // A change is taken when it stands still: a certificate and its key
        // are not written in one step.
        let still = self.last.as_ref() == Some(&look);
        if still && self.settled.as_ref() != Some(&look) {
            settle(&*files, &look, &contents, metrics);
            self.settled = Some(look.clone());
        }
        self.last = Some(look);
        Some(())
    }
}

fn settle(files: &dyn Files, look: &Look, contents: &[Vec<u8>], metrics: &Metrics) {
    let taken = match look {
        Ok(_) => files.take(contents),
        Err(mistake) => Err(mistake.clone()),
    };
    metrics.doors().renewed(files.what(), taken.is_ok());
    let what = match files.what() {
        Renewed::Certificate => "certificate",
        Renewed::Keys => "keys",
        Renewed::Trust => "trust",
    };
    match taken {
        Ok(()) => tracing::info!(what, "files that have changed were taken"),
        Err(error) => tracing::error!(
            what,
            %error,
            "files that have changed are not right; what they held before goes on being used"
        ),
    }
}

fn read(files: &dyn Files) -> (Look, Vec<Vec<u8>>) {
    let mut digest = Sha256::new();
    let mut contents = Vec::new();
    for path in files.paths() {
        match std::fs::read(path) {
            Ok(content) => {
                digest.update(content.len().to_le_bytes());
                digest.update(&content);
                contents.push(content);
            }
            Err(error) => return (Err(Mistake::unreadable(path, &error)), Vec::new()),
        }
    }
    (Ok(digest.finalize().into()), contents)
}
