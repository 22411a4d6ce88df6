//! The flags that say whose signatures count: those of `modelship serve`, for
//! the commands that verify.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::flag;
use crate::repository::signature::Signers;

/// The flags, without `--require-signature`.
pub(super) fn flags() -> [Arg; 5] {
    let files = |arg: Arg| {
        arg.action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(value_parser!(PathBuf))
    };
    [
        files(flag(
            "public-key",
            "FILE",
            "A public key that models are signed by, as PEM; several may be given",
        )),
        files(flag(
            "certificate-authority",
            "FILE",
            "Who makes the certificates that models are signed by, as PEM",
        )),
        flag(
            "signer-identity",
            "NAME",
            "Who signs models without a key of their own: an address, or a workflow's URI",
        )
        .requires_all(["signer-issuer", "trust-root"]),
        flag("signer-issuer", "URL", "Whom they proved that to")
            .requires_all(["signer-identity", "trust-root"]),
        flag(
            "trust-root",
            "FILE",
            "Sigstore's trusted root, which such signatures are verified by",
        )
        .requires_all(["signer-identity", "signer-issuer"])
        .value_parser(value_parser!(PathBuf)),
    ]
}

/// What the flags say.
pub(super) fn named(matches: &ArgMatches, require: bool) -> Signers {
    let files = |name: &str| {
        let files = matches.get_many::<PathBuf>(name);
        files.into_iter().flatten().cloned().collect()
    };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    Signers {
        keys: files("public-key"),
        authorities: files("certificate-authority"),
        identity: text("signer-identity"),
        issuer: text("signer-issuer"),
        trust_root: matches.get_one::<PathBuf>("trust-root").cloned(),
        require,
    }
}
