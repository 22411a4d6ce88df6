//! `modelship sign`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, anyhow, bail};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::flag;
use crate::repository::{
    self, Problem, plain, scan_folder,
    signature::{Chain, PrivateKey, SIGNATURE, Signer, sign},
};

const EXAMPLES: &str = "\
Examples:
  modelship sign models/churn --key signing.pem
  modelship sign models/churn --key signing.pem --certificate chain.pem

The signature is a Sigstore bundle by the OpenSSF Model Signing specification. It holds for every
file of the folder as it is now: sign again after every change.";

pub(super) fn command() -> Command {
    Command::new("sign")
        .about("Signs a model: writes model.sig beside its model.toml")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("folder")
                .value_name("FOLDER")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder that holds the model.toml"),
        )
        .arg(
            flag("key", "FILE", "The private key, as PEM without a password")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            flag(
                "certificate",
                "FILE",
                "The key's certificate, as PEM, and those that lead from it to an authority",
            )
            .value_parser(value_parser!(PathBuf)),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let path = |name: &str| {
        matches
            .get_one::<PathBuf>(name)
            .cloned()
            .unwrap_or_default()
    };
    let key = PrivateKey::load(&path("key"))?;
    let certificate = matches.get_one::<PathBuf>("certificate");
    let chain = certificate.map(|file| Chain::load(file)).transpose()?;
    if let (Some(chain), Some(file)) = (&chain, certificate)
        && !chain.is_for(&key.public())
    {
        bail!(
            "{}: its first certificate is for another key",
            file.display()
        );
    }
    let folder = path("folder");
    let candidate = scan_folder(&folder).map_err(|problems| lines(&problems))?;
    // What is not right is not signed.
    repository::read(&candidate).map_err(|problems| lines(&problems))?;
    let bundle = sign(&candidate, &key, chain.as_ref())?;
    let file = folder.join(SIGNATURE);
    let written = || -> std::io::Result<()> {
        let mut new = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(&folder)?;
        new.write_all(bundle.as_bytes())?;
        new.persist(&file)?;
        Ok(())
    };
    written().with_context(|| format!("{} can't be written", file.display()))?;
    let signer = chain.and_then(|chain| chain.signer());
    let signer = signer.unwrap_or_else(|| Signer::Key(key.public().hint()));
    let told = plain(&format!("{} is signed by {signer}", candidate.id));
    super::write_out(format!("{told}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn lines(problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    anyhow!("{}", lines.join("; "))
}
