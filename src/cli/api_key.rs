//! `modelship api-key`: a new key for callers, and its line for the file.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};

use super::Usage;
use crate::transport::doors::keys::{self, Scopes};

const EXAMPLES: &str = "\
The line goes to standard output, and holds no more than the key's digest. The key goes to standard
error, this once: hand it to who will use it.

Examples:
  modelship api-key team-a >> api-keys.txt                      may ask models
  modelship api-key prometheus --scopes metrics >> api-keys.txt
  modelship serve --api-keys api-keys.txt
  curl -H \"Authorization: Bearer $KEY\" localhost:8080/predict/21";

pub(super) fn command() -> Command {
    Command::new("api-key")
        .about("Makes a key for callers, and its line for the file that --api-keys names")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("Whose key it is: the name stands in the access log"),
        )
        .arg(
            Arg::new("scopes")
                .long("scopes")
                .value_name("SCOPES")
                .default_value("predict")
                .help("What it may do: predict, admin and metrics, with commas between them"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let of = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let made = Scopes::parse(of("scopes")).and_then(|scopes| keys::create(of("name"), scopes));
    let (key, line) = made.map_err(|mistake| Usage(vec![mistake.to_string()]))?;
    super::write_out(format!("{line}\n").as_bytes())?;
    writeln!(std::io::stderr(), "{key}").context("the key can't be shown")?;
    Ok(ExitCode::SUCCESS)
}
