//! The command line: arguments in, exit status out. One file for each command.
//!
//! Exit status: 0 done, 1 the thing checked is not right or can't be done,
//! 2 wrong use.

mod add;
mod api_key;
mod check;
mod completions;
mod diff;
mod environment;
mod exchange;
mod expect;
mod log;
mod probe;
mod progress;
mod scratch;
mod serve;
mod sign;
mod signers;
mod signing_key;
mod top;
mod verify;
mod version;

use std::{
    ffi::OsString,
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::{config::PREFIX, repository::plain};

/// A command: its arguments, and what it does with them.
type Entry = (fn() -> Command, fn(&ArgMatches) -> anyhow::Result<ExitCode>);

/// Every command, in the order of `--help`.
const COMMANDS: &[Entry] = &[
    (serve::command, serve::run),
    (add::command, add::run),
    (check::command, check::run),
    (diff::command, diff::run),
    (signing_key::command, signing_key::run),
    (sign::command, sign::run),
    (verify::command, verify::run),
    (probe::command, probe::run),
    (top::command, top::run),
    (api_key::command, api_key::run),
    (completions::command, completions::run),
];

const EXAMPLES: &str = "\
Examples:
  modelship serve                           serve the models in ./models on port 8080
  curl localhost:8080/predict/21            ask the default model
  modelship serve --help                    every setting of the service
  modelship add model.onnx --name churn --version v1.0.0
  modelship check                           verify every model in ./models
  modelship diff main                       review what you changed

Exit status: 0 done, 1 what was checked is not right, 2 wrong use.";

/// Wrong use: one line for each mistake, and exit status 2.
#[derive(Debug)]
struct Usage(Vec<String>);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Usage {}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let ended = environment::ensure().and_then(|()| run(std::env::args_os()));
    ended.unwrap_or_else(|error| match error.downcast_ref::<Usage>() {
        Some(Usage(mistakes)) => {
            mistakes.iter().for_each(|mistake| report(mistake));
            ExitCode::from(2)
        }
        None => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    })
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help, or a sentence on wrong use. A closed pipe, as in
            // `modelship --help | head -1`, is nobody's fault.
            let _ = error.print();
            return Ok(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    if matches.get_flag("version") {
        write_out(version::text().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    for (of, run) in COMMANDS {
        if let Some(matches) = matches.subcommand_matches(of().get_name()) {
            return run(matches);
        }
    }
    write_out(command().render_help().to_string().as_bytes())?;
    Ok(ExitCode::from(2))
}

fn command() -> Command {
    Command::new("modelship")
        .about("Serves ONNX models from a git repository: a pull request is a model release.")
        .after_help(EXAMPLES)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .subcommand_value_name("COMMAND")
        .arg(
            Arg::new("version")
                .long("version")
                .short('V')
                .action(ArgAction::SetTrue)
                .help("Print the version, the commit and ONNX Runtime's version"),
        )
        .subcommands(COMMANDS.iter().map(|(of, _)| of()))
}

/// A flag of a command that takes a value, and its variable.
fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .env(format!("{PREFIX}{}", name.replace('-', "_").to_uppercase()))
        .hide_env(true)
}

/// Writes to standard output. A reader that has gone, as `head` does, is not
/// a failure.
fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Ends the process with an exit status, now that all is written. ONNX Runtime's
/// own end would take milliseconds to free, one by one, what the system takes
/// back at once.
fn end(status: u8) -> ! {
    signal_hook::low_level::exit(i32::from(status))
}

/// One line on standard error; a record of the log where that is JSON.
fn report(message: &str) {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // It may quote a stranger's file.
    let message = plain(&message);
    if log::is_json() && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{message}");
    } else {
        // Standard error is the last place to say anything.
        let _ = writeln!(io::stderr(), "error: {message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        command().debug_assert();
    }
}
