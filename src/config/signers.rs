//! Settings of whose signatures on models count.

use super::{Problem, Source};
use crate::repository::signature::Signers;

/// What is wrong with the settings together.
pub(super) fn problems(signers: &Signers) -> Vec<Problem> {
    let keyless = [
        ("signer-identity", signers.identity.is_some()),
        ("signer-issuer", signers.issuer.is_some()),
        ("trust-root", signers.trust_root.is_some()),
    ];
    let problem = |name: &str, message: String| Problem {
        from: Source::Flag(name.to_owned()),
        message,
    };
    let mut problems = Vec::new();
    if let Some((set, _)) = keyless.iter().find(|(_, is)| *is) {
        let missing = keyless.iter().filter(|(_, is)| !is);
        problems.extend(
            missing.map(|(name, _)| problem(set, format!("this needs the setting {name} as well"))),
        );
    }
    if signers.require && signers.is_empty() {
        let message = "this needs the setting public-key, certificate-authority or \
                       signer-identity as well";
        problems.push(problem("require-signature", message.to_owned()));
    }
    problems
}
