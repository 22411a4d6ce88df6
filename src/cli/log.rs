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

use crate::{
    config::{Config, LogFormat},
    telemetry::ACCESS_LOG,
};

static JSON: AtomicBool = AtomicBool::new(false);

/// Whether the log is written as JSON: then nothing else may be written to
/// standard error.
pub(super) fn is_json() -> bool {
    JSON.load(Relaxed)
}

/// Starts the log as the settings say.
pub(super) fn start(config: &Config) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&config.log_level)?;
    // A level that names the access log has the last word on it.
    if !config.access_log || !config.log_level.contains(ACCESS_LOG) {
        let access = if config.access_log { "info" } else { "off" };
        filter = filter.add_directive(format!("{ACCESS_LOG}={access}").parse()?);
    }
    let terminal = io::stderr().is_terminal();
    let json = match config.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(terminal && !no_color)
        .with_env_filter(filter)
        // It would tell of a log that can't be written by way of that log, and
        // panic there.
        .log_internal_errors(false);
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

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, process::Command, thread};

    use super::*;

    const CHILD: &str = "MODELSHIP_TEST_PANIC";

    /// Runs itself again, since a log is started once for a process.
    #[test]
    fn a_panic_is_one_record_of_the_log() {
        if env::var_os(CHILD).is_some() {
            let flags = [("log-format".to_owned(), OsString::from("json"))];
            start(&Config::load(flags, []).unwrap()).unwrap();
            let panicked = thread::Builder::new()
                .name("instance-7".to_owned())
                .spawn(|| panic!("the ground\nis gone"));
            assert!(panicked.unwrap().join().is_err());
            return;
        }
        let name = "cli::log::tests::a_panic_is_one_record_of_the_log";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        let [line] = log.lines().collect::<Vec<_>>()[..] else {
            panic!("{log}");
        };
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["level"], "ERROR");
        assert_eq!(
            record["message"],
            "a fault in modelship: the ground\nis gone"
        );
        assert_eq!(record["thread"], "instance-7");
        assert!(
            record["place"]
                .as_str()
                .unwrap()
                .starts_with("src/cli/log.rs:")
        );
        assert!(record["trace"].is_null(), "{record}");
    }
}
