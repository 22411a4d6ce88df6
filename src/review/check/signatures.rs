//! Whether a model's signature is on the files that are there, and holds.

use super::{Findings, Rule, Severity};
use crate::repository::{
    Candidate, Problem, VerifiedModel,
    signature::{self, SIGNATURE, Signed, Trust},
};

/// What is wrong with the signature of `candidate`, whose files were read
/// before without trust in anybody, so that the rest is told as well.
pub(super) fn check(
    trust: &Trust,
    candidate: &Candidate,
    verified: &VerifiedModel,
    findings: &mut Findings,
) {
    if verified.signed == Signed::Unsigned && !trust.requires() {
        return;
    }
    let signed = match signature::verify(candidate, trust) {
        Ok(signed) => signed,
        Err(problem) => {
            findings.add(Severity::Error, Rule::Signature, problem);
            return;
        }
    };
    // Nobody can verify it, whatever key they have.
    if let Signed::Unchecked(claim) = signed
        && let Some(fault) = claim.fault
    {
        let remedy = "sign it again with `modelship sign`, or take it out";
        let problem = Problem::new(candidate.folder.join(SIGNATURE), fault, remedy);
        findings.add(Severity::Error, Rule::Signature, problem);
    }
}
