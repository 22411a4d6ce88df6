//! `modelship verify`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::{ArgGroup, ArgMatches, Command, value_parser};

use super::{flag, signers};
use crate::repository::{Problem, plain, read_trusted, scan, signature::Trust};

const EXAMPLES: &str = "\
Examples:
  modelship verify --key signing.pem.pub
  modelship verify --certificate-authority ca.pem
  modelship verify --signer-identity me@example.com --signer-issuer https://accounts.google.com \\
    --trust-root trusted_root.json

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
        .args(signers::flags())
        .mut_arg("public-key", |arg| arg.visible_alias("key"))
        .group(
            ArgGroup::new("signers")
                .args(["public-key", "certificate-authority", "signer-identity"])
                .required(true)
                .multiple(true),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let trust = Trust::load(&signers::named(matches, true))?;
    let models = matches.get_one::<PathBuf>("models").cloned();
    let scanned = scan(&models.unwrap_or_default());
    let mut problems: Vec<Problem> = scanned.problems;
    let mut told = String::new();
    for candidate in &scanned.candidates {
        match read_trusted(candidate, &trust) {
            Ok(model) => {
                let line = format!("{}: {}", model.id, model.signed);
                let _ = writeln!(told, "{}", plain(&line));
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
