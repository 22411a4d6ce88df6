//! What was merged before, and whether versions fit what changed.

use std::path::{Path, PathBuf};

use super::{Findings, Rule, Severity};
use crate::{
    engine::Engine,
    repository::{Candidate, MANIFEST, ModelId, Problem, Scan, Version},
    review::{
        exercise::Loaded,
        pairs::{Pair, pairs},
        side::{History, Side},
        step::{self, Step, bytes_changed, signature_changes},
    },
    tensor::Signature,
};

/// What stood before.
pub(super) struct Against<'a> {
    base: &'a Side,
    /// The versions whose bytes changed, and what they stand for.
    changed: Vec<(ModelId, Candidate)>,
}

impl<'a> Against<'a> {
    /// Holds the versions of `scan` against those of `base`.
    pub(super) fn new(base: &'a Side, models: &Path, scan: &Scan, findings: &mut Findings) -> Self {
        let history = base.history().unwrap_or_else(|e| {
            let problem = Problem::new(models, e.to_string(), "older versions are not looked at");
            findings.add(Severity::Warning, Rule::Version, problem);
            History::default()
        });
        let head = Side::of_scan(models, scan.clone());
        let mut changed = Vec::new();
        for pair in pairs(base, &head) {
            let (own, before) = match pair {
                Pair::New(own) => (own, None),
                Pair::Changed { base, head } => (head, Some(base)),
                Pair::Same(_) | Pair::Removed(_) => continue,
            };
            findings.add_all(
                Severity::Error,
                Rule::Version,
                problem(
                    own,
                    before,
                    &history,
                    base.place_of(before) == Some(head.place(own)),
                ),
            );
            if let Some(before) = before.filter(|b| bytes_changed(&b.manifest, &own.manifest)) {
                changed.push((own.id.clone(), before.clone()));
            }
        }
        Self { base, changed }
    }

    /// Whether the version's step fits how the signature changed.
    pub(super) fn signature(
        &self,
        engine: &dyn Engine,
        own: &Candidate,
        signature: &Signature,
        findings: &mut Findings,
    ) {
        let Some((_, before)) = self.changed.iter().find(|(id, _)| *id == own.id) else {
            return;
        };
        let old = self
            .base
            .read(before)
            .map_err(|problems| {
                problems
                    .iter()
                    .map(Problem::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            })
            .and_then(|old| Loaded::of(engine, &old).map_err(|e| e.to_string()));
        let old = match old {
            Ok(old) => old,
            Err(reason) => {
                let problem = Problem::new(
                    manifest(own),
                    format!(
                        "{} of {} can't be loaded to compare with: {reason}",
                        before.id, self.base.label
                    ),
                    "look at its signature yourself",
                );
                findings.add(Severity::Warning, Rule::Version, problem);
                return;
            }
        };
        let changes = signature_changes(
            (old.signature(), &before.manifest),
            (signature, &own.manifest),
        );
        let (from, to) = (&before.id.version, &own.id.version);
        // A step back restores what callers knew.
        if changes.is_empty() || matches!(step::step(from, to), Step::Major | Step::Back) {
            return;
        }
        let texts: Vec<String> = changes.into_iter().map(|c| c.text).collect();
        let problem = Problem::new(
            manifest(own),
            format!(
                "{from} → {to} is no major step, and what the model takes or gives changed: {}",
                texts.join("; ")
            ),
            format!(
                "make it {}, or keep inputs and outputs as they were",
                step::next_major(from)
            ),
        );
        findings.add(Severity::Error, Rule::Version, problem.at(None, "version"));
    }
}

fn manifest(own: &Candidate) -> PathBuf {
    own.folder.join(MANIFEST)
}

/// What is wrong with the version of `own`, which stands for `before`.
fn problem(
    own: &Candidate,
    before: Option<&Candidate>,
    history: &History,
    same_folder: bool,
) -> Option<Problem> {
    let version = &own.id.version;
    let had = history.had(&own.id.name, version, &own.manifest.files);
    let newest = before.map_or(version, |b| (&b.id.version).max(version));
    let raise =
        |above: &Version| format!("raise the version, to {} or more", step::next_minor(above));
    let stood = before.filter(|b| b.id.version == *version);
    let found = if let Some(before) = stood
        && bytes_changed(&before.manifest, &own.manifest)
    {
        Some((
            format!("the model's bytes changed, and its version is still {version}"),
            raise(newest),
        ))
    } else if had == Some(false) {
        let reason = format!("{version} was merged before with other bytes");
        Some((reason, raise(newest)))
    } else if same_folder
        && had.is_none()
        && let Some(before) = before
        && *version < before.id.version
    {
        let reason = format!(
            "{version} is older than {}, which stands there",
            before.id.version
        );
        Some((reason, raise(newest)))
    } else {
        None
    };
    found.map(|(reason, remedy)| Problem::new(manifest(own), reason, remedy).at(None, "version"))
}
