//! A process of its own in which a version is proved before it is loaded.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::Context as _;

use crate::{
    catalog::Prover,
    config::Config,
    engine::{OnnxRuntime, find_library},
    repository::{
        self,
        signature::{Trust, Trusted},
    },
    telemetry::Metrics,
};

/// Tells a process that it only proves the version in this folder. Not one of
/// the settings: nobody sets it by hand.
const PROVES: &str = "_MODELSHIP_PROVES";

/// This program again, with what it was told.
pub(super) fn prover() -> io::Result<Prover> {
    let program = std::env::current_exe()?;
    Ok(Arc::new(move |folder| {
        let mut command = Command::new(&program);
        command
            .args(std::env::args_os().skip(1))
            .env(PROVES, folder);
        command
    }))
}

/// The folder of the version that this process only proves.
pub(crate) fn proves() -> Option<PathBuf> {
    std::env::var_os(PROVES).map(PathBuf::from)
}

/// Loads and proves the version in `folder` as the service that `config` tells
/// of would.
///
/// # Errors
/// When it is not there, or does not prove itself.
pub(crate) fn prove(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let trust = Trusted::new(Trust::load(&config.signers)?);
    let engine = Arc::new(OnnxRuntime::start(&find_library()?)?);
    let metrics = Metrics::new(super::build(config));
    let loader = super::loader(engine, config, trust, &metrics);
    let scan = repository::scan(&config.models);
    let candidate = scan.candidates.iter().find(|c| c.folder == folder);
    let candidate = candidate.context("the version has gone")?;
    // Kept to the process's end, as a service's would be.
    std::mem::forget(loader.load(candidate)?);
    Ok(())
}
