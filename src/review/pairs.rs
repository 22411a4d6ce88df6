//! Which version of one side stands for which of the other.

use super::side::Side;
use crate::repository::Candidate;

/// A version of HEAD and what it stands for in BASE.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pair<'a> {
    /// HEAD has it, and BASE has no version of that model.
    New(&'a Candidate),
    /// BASE has it, and HEAD no longer.
    Removed(&'a Candidate),
    /// Something in it changed: bytes, manifest, or golden cases.
    Changed {
        base: &'a Candidate,
        head: &'a Candidate,
    },
    /// Nothing in it changed.
    Same(&'a Candidate),
}

/// Pairs the versions of two sides. A version of HEAD stands for, in this
/// order: the same version in BASE; what stood in the same folder; the newest
/// version of BASE that is older than it; the newest of BASE.
pub(super) fn pairs<'a>(base: &'a Side, head: &'a Side) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    let mut replaced = Vec::new();
    for own in &head.scan.candidates {
        let of_model = || {
            base.scan
                .candidates
                .iter()
                .filter(|c| c.id.name == own.id.name)
        };
        let same = of_model().find(|c| c.id.version == own.id.version);
        let in_folder = of_model().find(|c| base.place(c) == head.place(own));
        // Candidates are sorted, so the last is the newest.
        let older = of_model().rfind(|c| c.id.version < own.id.version);
        match same.or(in_folder).or(older).or(of_model().next_back()) {
            None => pairs.push(Pair::New(own)),
            Some(other) => {
                if same.is_some() || in_folder.is_some() {
                    replaced.push(&other.id);
                }
                if other.id == own.id {
                    pairs.push(Pair::Same(own));
                } else {
                    pairs.push(Pair::Changed {
                        base: other,
                        head: own,
                    });
                }
            }
        }
    }
    for own in &base.scan.candidates {
        // What HEAD only has problems with is not removed.
        let place = base.place(own);
        let broken = head.scan.problems.iter().any(|p| {
            p.file
                .parent()
                .is_some_and(|folder| folder.ends_with(&place))
        });
        if !replaced.contains(&&own.id) && !broken {
            pairs.push(Pair::Removed(own));
        }
    }
    pairs
}
