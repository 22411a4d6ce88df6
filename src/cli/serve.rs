//! `modelship serve`.

use std::{
    ffi::OsString,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, parser::ValueSource, value_parser};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use super::{Usage, log};
use crate::{
    app,
    config::{Config, SETTINGS, Setting},
};

const ABOUT: &str = "Serves the models of a repository over HTTP and gRPC";

/// A second signal this long after the first means impatience.
const ASKED_TWICE: Duration = Duration::from_secs(1);

const MORE: &str = "\
Every setting is a flag, a variable and a key of the file that --config names. The variable is
MODELSHIP_ and the flag's name in capitals (MODELSHIP_MAX_BODY_SIZE); the key is the flag's name
(max-body-size = \"64MiB\"). A flag beats the variable, which beats the file. Durations are written
as 250ms, 5s or 1m30s, sizes as 64MiB.

Examples:
  modelship serve
  modelship serve --models /srv/models --listen 127.0.0.1:9000 --default-model linear
  MODELSHIP_LOG_FORMAT=json modelship serve --config modelship.toml";

pub(super) fn command() -> Command {
    Command::new("serve")
        .about(ABOUT)
        .after_help(MORE)
        .args(SETTINGS.iter().map(argument))
}

fn argument(setting: &'static Setting) -> Arg {
    let shown = match setting.default {
        Some(default) if !setting.is_switch() => format!("{} [default: {default}]", setting.help),
        _ => setting.help.to_owned(),
    };
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_parser(value_parser!(OsString))
        .help(shown)
        .help_heading(setting.heading.to_string());
    if setting.is_switch() {
        argument
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
    } else {
        argument.value_name(setting.value)
    }
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let config = config(matches)?;
    if let Some(folder) = app::proves() {
        app::stay_within();
        end(i32::from(app::prove(&config, &folder).is_err()));
    }
    log::start(&config)?;
    app::stay_within();
    // Accepts, watches and waits; connections live on event loops of their own.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    let ended = runtime.block_on(async {
        // Before anything is ready: a signal from now on is not lost.
        let shutdown = shutdown()?;
        let listener = app::bind(&config).await?;
        app::run(config, listener, shutdown).await
    });
    if let Err(error) = &ended {
        super::report(&format!("{error:#}"));
    }
    end(i32::from(ended.is_err()))
}

/// Ends the process without running what others have left for the end: ONNX
/// Runtime's own would pull the ground from under a model that another thread
/// is still loading or running, which ends in a segmentation fault.
fn end(status: i32) -> ! {
    signal_hook::low_level::exit(status)
}

/// Done at the first SIGTERM or SIGINT. A second one ends the process at once,
/// whatever is still in flight.
fn shutdown() -> anyhow::Result<impl Future<Output = ()>> {
    const WHY: &str = "signals can't be received";
    let mut terminate = signal(SignalKind::terminate()).context(WHY)?;
    let mut interrupt = signal(SignalKind::interrupt()).context(WHY)?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        tracing::info!(signal, "asked to end");
        let asked = Instant::now();
        tokio::spawn(async move {
            loop {
                let signal = next().await;
                // Some senders, such as timeout(1), send one request twice.
                if asked.elapsed() > ASKED_TWICE {
                    tracing::warn!(signal, "asked again: ending at once");
                    end(1);
                }
            }
        });
    })
}

fn config(matches: &ArgMatches) -> Result<Config, Usage> {
    let flags = SETTINGS.iter().filter_map(|setting| {
        let given = matches.value_source(setting.name) == Some(ValueSource::CommandLine);
        let value = matches.get_one::<OsString>(setting.name)?;
        given.then(|| (setting.name.to_owned(), value.clone()))
    });
    Config::load(flags, std::env::vars_os())
        .map_err(|problems| Usage(problems.iter().map(ToString::to_string).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_settings() {
        let config = |arguments: &[&str]| {
            let all = ["serve"].iter().chain(arguments);
            config(&command().try_get_matches_from(all).unwrap())
        };
        assert!(!config(&[]).unwrap().access_log);
        assert!(config(&["--access-log"]).unwrap().access_log);
        assert!(!config(&["--access-log=false"]).unwrap().access_log);
        let config = config(&["--listen", "127.0.0.1:0", "--max-batch-size=8"]).unwrap();
        assert_eq!(config.listen.port(), 0);
        assert_eq!(config.scheduling.max_batch_size, Some(8));
    }
}
