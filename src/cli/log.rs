//! The log: text for people, JSON for machines, on standard error.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env,
    io::{self, IsTerminal as _},
    panic,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

static JSON: AtomicBool = AtomicBool::new(false);

/// Whether the log is written as JSON: then nothing else may be written to
/// standard error.
pub(super) fn is_json() -> bool {
    JSON.load(Relaxed)
}

/// Starts the log. `filter` says what is written, as `tracing` reads it.
pub(super) fn start(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(terminal && !no_color)
        .with_env_filter(EnvFilter::try_new(filter)?);
    let started = if json {
        log.json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init()
    } else {
        log.with_target(false).compact().try_init()
    };
    started
        .map_err(anyhow::Error::from_boxed)
        .context("the log can't be started")?;
    JSON.store(json, Relaxed);
    log_panics();
    Ok(())
}

/// A panic becomes a record of the log like any other failure.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current().name().map(str::to_owned);
        // Captured only where RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        tracing::error!(place, thread, trace, "a fault in modelship: {message}");
    }));
}
