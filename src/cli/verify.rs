//! `modelship verify`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::{ArgAction, ArgMatches, Command, value_parser};

use super::flag;
use crate::repository::{Problem, plain, read_trusted, scan, signature::Trust};

const EXAMPLES: &str = "\
Example:
  modelship verify --key signing.pem.pub

Exit status: 0 every model is signed and its signature holds, 1 one does not, 2 wrong use.";

pub(super) fn command() -> Command {
    Command::new("verify")
        .about("Verifies the signature of every model in a repository")
        .after_help(EXAMPLES)
        .arg(
            flag("models", "FOLDER", "The folder of the model repository")
                .default_value("models")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag("key", "FILE", "A public key, as PEM; several may be given")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf)),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let files: Vec<PathBuf> = matches
        .get_many("key")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let trust = Trust::load(&files, true)?;
    let models = matches.get_one::<PathBuf>("models").cloned();
    let scanned = scan(&models.unwrap_or_default());
    let mut problems: Vec<Problem> = scanned.problems;
    let mut told = String::new();
    for candidate in &scanned.candidates {
        match read_trusted(candidate, &trust) {
            Ok(model) => {
                let _ = writeln!(told, "{}: {}", plain(&model.id.to_string()), model.signed);
            }
            Err(found) => problems.extend(found),
        }
    }
    super::write_out(told.as_bytes())?;
    problems.iter().for_each(|p| super::report(&p.to_string()));
    if scanned.candidates.is_empty() && problems.is_empty() {
        anyhow::bail!("there is no model to verify");
    }
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
