//! What a person is to be told of a model's change.

use super::note;
use crate::{
    repository::{
        Candidate, VerifiedModel,
        signature::{SIGNATURE, Signed},
    },
    review::{
        report::{CaseOutcome, Change, ModelReview, Note, Verdict},
        side::History,
        step::{self, Step},
    },
};

pub(super) fn version_notes(
    base: Option<&Candidate>,
    head: &Candidate,
    history: &History,
    review: &ModelReview,
) -> Vec<Note> {
    let version = &head.id.version;
    let had = history.had(&head.id.name, version, &head.manifest.files);
    let newest = base.map_or(version, |b| (&b.id.version).max(version));
    let raise = format!("raise the version, to {} or more", step::next_minor(newest));
    let mut notes = Vec::new();
    if review.step == Some(Step::None) && review.change == Change::Bytes {
        let text = format!("the bytes changed, and the version is still {version}");
        notes.push(note(Verdict::Wrong, text, raise));
    } else if had == Some(false) {
        let text = format!("{version} was merged before with other bytes");
        notes.push(note(Verdict::Wrong, text, raise));
    } else if review.step == Some(Step::Back) {
        let before = base.map_or(String::new(), |b| b.id.version.to_string());
        let (verdict, text, remedy) = match had {
            Some(true) => (
                Verdict::Look,
                format!("it goes back from {before} to {version}"),
                String::new(),
            ),
            _ => (
                Verdict::Wrong,
                format!("{version} is older than {before}"),
                raise,
            ),
        };
        notes.push(note(verdict, text, remedy));
    }
    for change in &review.words {
        if change.key == "license" {
            let shown = |text: &str| {
                if text.is_empty() {
                    "none".to_owned()
                } else {
                    text.to_owned()
                }
            };
            let text = format!(
                "the licence was {}, and is {}",
                shown(&change.base),
                shown(&change.head)
            );
            notes.push(note(Verdict::Look, text, "see that it may be used so"));
        }
    }
    notes
}

pub(super) fn signature_notes(review: &ModelReview, base: &VerifiedModel) -> Vec<Note> {
    if review.signature.is_empty() || matches!(review.step, Some(Step::Back)) {
        return Vec::new();
    }
    if review.step != Some(Step::Major) {
        let next = step::next_major(&base.id.version);
        let text = "what it takes or gives changed, and the step is no major one";
        return vec![note(
            Verdict::Wrong,
            text,
            format!("make it {next}, or keep inputs and outputs"),
        )];
    }
    let breaking = review.signature.iter().filter(|c| c.breaking).count();
    match breaking {
        0 => Vec::new(),
        _ => vec![note(
            Verdict::Look,
            "callers of the version before can go wrong with this one",
            "see that they are ready for it",
        )],
    }
}

/// Notes on who signed: as the files themselves say it, since nobody's key is
/// at hand here.
pub(super) fn signer_notes(
    review: &ModelReview,
    base: Option<&VerifiedModel>,
    head: &VerifiedModel,
) -> Vec<Note> {
    if let Signed::Unchecked(claim) = &head.signed
        && let Some(fault) = &claim.fault
    {
        let text = format!("{SIGNATURE} can't hold: {fault}");
        return vec![note(Verdict::Wrong, text, "sign it again, or take it out")];
    }
    let changed = review.words.iter().find(|change| change.key == SIGNATURE);
    let Some(change) = changed else {
        return Vec::new();
    };
    if base.is_some_and(|base| head.signed.renews(&base.signed)) {
        let text = "the signer is the same by name and authority, with a renewed certificate";
        return vec![note(Verdict::Fits, text, "")];
    }
    let text = match (&*change.base, &*change.head) {
        ("", after) => format!("it was not signed, and now it is, by {after}"),
        (before, "") => format!("it was signed by {before}, and now it is not"),
        (before, after) => format!("it was signed by {before}, and now by {after}"),
    };
    vec![note(Verdict::Look, text, "see that this is whom you trust")]
}

pub(super) fn case_notes(review: &ModelReview, head: &VerifiedModel) -> Vec<Note> {
    let mut notes = Vec::new();
    let count = |outcome| review.cases.iter().filter(|c| c.outcome == outcome).count();
    for case in review
        .cases
        .iter()
        .filter(|c| c.outcome == CaseOutcome::Fails)
    {
        let text = format!("the golden case \"{}\" fails: {}", case.name, case.detail);
        notes.push(note(
            Verdict::Wrong,
            text,
            "correct the model, or record the case anew",
        ));
    }
    let mut tell = |count: usize, one: &str, many: &str, remedy: &str| match count {
        0 => {}
        1 => notes.push(note(Verdict::Look, format!("1 golden case {one}"), remedy)),
        n => notes.push(note(
            Verdict::Look,
            format!("{n} golden cases {many}"),
            remedy,
        )),
    };
    let remedy = "see that the new answers are the right ones";
    tell(
        count(CaseOutcome::Broken),
        "was given a new answer",
        "were given new answers",
        remedy,
    );
    let remedy = "see why they are not needed any longer";
    tell(count(CaseOutcome::Gone), "is gone", "are gone", remedy);
    if head.cases.is_empty() {
        let remedy = "record what it must answer with `modelship add --cases`";
        notes.push(note(Verdict::Look, "it has no golden case", remedy));
    } else if head.cases.iter().all(|case| case.sampled) {
        let remedy = "record what it must answer with `modelship add --cases`";
        notes.push(note(
            Verdict::Look,
            "its golden cases are all drawn at random",
            remedy,
        ));
    }
    notes
}

pub(super) fn prediction_notes(review: &ModelReview) -> Vec<Note> {
    let outputs = review.predictions.iter().flat_map(|p| &p.outputs);
    let mut notes = Vec::new();
    for output in outputs {
        // One row in a hundred is what a retrained model may well flip.
        if let Some(classes) = output.classes.as_ref().filter(|c| c.flips * 100 > c.count) {
            let text = format!(
                "{} of {} rows change their class in \"{}\"",
                classes.flips, classes.count, output.name
            );
            notes.push(note(
                Verdict::Look,
                text,
                "see that they change for the better",
            ));
        }
        if let Some(numbers) = output.numbers.as_ref().filter(|n| n.not_finite > 0) {
            let text = format!(
                "{} numbers of \"{}\" are finite in one version only",
                numbers.not_finite, output.name
            );
            notes.push(note(Verdict::Look, text, "see where they come from"));
        }
    }
    notes
}

pub(super) fn speed_notes(review: &ModelReview) -> Vec<Note> {
    let Some((base, head)) = review
        .speed
        .as_ref()
        .and_then(|s| Some((s.base.as_ref()?, &s.head)))
    else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    // A quarter is more than alternating turns leave to chance.
    let mut slower = |what: &str, times: f64| {
        if times.is_finite() && times > 1.25 {
            let text = format!("{what} {times:.1} times what it was");
            notes.push(note(Verdict::Look, text, "see that this is worth it"));
        }
    };
    slower(
        "one request alone takes",
        head.p50_microseconds / base.p50_microseconds,
    );
    slower(
        "a row under load costs",
        base.rows_per_second / head.rows_per_second,
    );
    notes
}
