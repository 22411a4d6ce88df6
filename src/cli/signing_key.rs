//! `modelship key`: a key pair to sign models with.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser, value_parser};

use crate::repository::signature::{Curve, PrivateKey};

const EXAMPLES: &str = "\
The private key is for whoever signs, and never for git. The public one, FILE.pub, is for who
serves.

Examples:
  modelship key signing.pem
  modelship sign models/churn --key signing.pem
  modelship serve --public-key signing.pem.pub --require-signature";

const CURVES: [&str; 3] = ["p256", "p384", "p521"];

pub(super) fn command() -> Command {
    Command::new("key")
        .about("Makes a key pair to sign models with")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Where the private key goes; the public one goes to FILE.pub"),
        )
        .arg(
            Arg::new("curve")
                .long("curve")
                .value_name("CURVE")
                .default_value(CURVES[0])
                .value_parser(PossibleValuesParser::new(CURVES))
                .help("The curve that it is on"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let file: PathBuf = matches.get_one("file").cloned().unwrap_or_default();
    let curve = match matches.get_one::<String>("curve").map(String::as_str) {
        Some("p384") => Curve::P384,
        Some("p521") => Curve::P521,
        _ => Curve::P256,
    };
    let key = PrivateKey::generate(curve)?;
    let mut public = file.clone().into_os_string();
    public.push(".pub");
    let put = |path: PathBuf, mode: u32, text: &str| {
        let mut options = OpenOptions::new();
        // A key that is there already may have signed models.
        let made: std::io::Result<File> =
            options.write(true).create_new(true).mode(mode).open(&path);
        made.and_then(|mut made| made.write_all(text.as_bytes()))
            .with_context(|| format!("{} can't be written", path.display()))
    };
    put(file, 0o600, &key.pem()?)?;
    put(public.into(), 0o644, &key.public().pem())?;
    Ok(ExitCode::SUCCESS)
}
