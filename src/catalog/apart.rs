//! A version proved in a process of its own, before it is loaded into this one:
//! a model that ends its process ends nothing else then.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use super::loader::LoadError;
use crate::{engine::EngineError, repository::Candidate};

/// Gives the command that loads and proves the version in a folder as this
/// process would, and ends.
pub type Prover = Arc<dyn Fn(&Path) -> Command + Send + Sync>;

/// Has another process load and prove `candidate`, and waits for it. What it
/// finds is found here again, with its reason: it is asked only whether it lives
/// to its end.
///
/// # Errors
/// When it does not, or can't be had.
pub(super) fn prove(prover: &Prover, candidate: &Candidate) -> Result<(), LoadError> {
    let model = format!("{} {}", candidate.id.name, candidate.id.version);
    let mut command = prover(&candidate.folder);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = match command.status() {
        Ok(status) => status,
        Err(error) => {
            let error = EngineError::Start(format!("no process to prove it in: {error}"));
            return Err(LoadError::Engine { model, error });
        }
    };
    match status.signal() {
        None => Ok(()),
        Some(signal) => Err(LoadError::Ended { model, signal }),
    }
}
