//! What became of golden cases.

use crate::{
    repository::{GoldenCase, Mismatch, VerifiedModel, compare_outputs},
    review::{
        exercise::Loaded,
        report::{CaseOutcome, CaseReview},
    },
    tensor::Tensor,
};

/// Holds the cases of both sides against the new version.
pub(super) fn cases(
    base: Option<&VerifiedModel>,
    head: &VerifiedModel,
    loaded: &mut Loaded,
) -> Vec<CaseReview> {
    let tolerance = head.manifest.tolerance;
    let before = base.map_or(&[][..], |model| &model.cases);
    let mut reviews = Vec::new();
    for own in &head.cases {
        let old = before.iter().find(|case| case.name == own.name);
        let fault = loaded.verify(own, tolerance).err();
        let (outcome, detail) = match (fault, old) {
            (Some(fault), _) => (CaseOutcome::Fails, fault),
            (None, None) => (CaseOutcome::New, String::new()),
            (None, Some(old)) if old.inputs != own.inputs => (
                CaseOutcome::New,
                "its inputs are other ones than before".to_owned(),
            ),
            // Inputs that stand and hold, with an answer that was changed.
            (None, Some(old)) => match changed(old, own, head) {
                Some(change) => (CaseOutcome::Broken, change),
                None => (CaseOutcome::Kept, String::new()),
            },
        };
        reviews.push(CaseReview {
            name: own.name.clone(),
            outcome,
            base: old.map(answer).unwrap_or_default(),
            head: answer(own),
            detail,
        });
    }
    for old in before
        .iter()
        .filter(|old| head.cases.iter().all(|own| own.name != old.name))
    {
        let detail = match loaded.verify(old, tolerance) {
            Ok(_) => "the new version would still hold it".to_owned(),
            Err(fault) => format!("the new version does not hold it: {fault}"),
        };
        reviews.push(CaseReview {
            name: old.name.clone(),
            outcome: CaseOutcome::Gone,
            base: answer(old),
            head: String::new(),
            detail,
        });
    }
    reviews.sort_by(|a, b| (a.outcome, &a.name).cmp(&(b.outcome, &b.name)));
    reviews
}

/// How the answer of a case changed, if it did beyond the tolerance.
fn changed(old: &GoldenCase, own: &GoldenCase, head: &VerifiedModel) -> Option<String> {
    old.outputs.iter().find_map(|(name, expected)| {
        let got = own.outputs.iter().find(|(other, _)| other == name);
        match got {
            None => Some(format!("the output \"{name}\" is not compared any longer")),
            Some((_, got)) => compare_outputs(name, expected, got, head.manifest.tolerance)
                .err()
                .map(|mismatch| match mismatch {
                    Mismatch::Value(own) => {
                        format!(
                            "\"{name}\" at {:?}: {} → {}",
                            own.index, own.expected, own.got
                        )
                    }
                    other => other.to_string(),
                }),
        }
    })
}

/// What a case must answer, short enough for a table.
fn answer(case: &GoldenCase) -> String {
    let outputs: Vec<String> = case
        .outputs
        .iter()
        .map(|(name, output)| format!("{name} = {}", short(&output.tensor)))
        .collect();
    outputs.join(", ")
}

fn short(tensor: &Tensor) -> String {
    const MOST: usize = 6;
    let mut out = Vec::new();
    let elements: Vec<String> = (0..tensor.len().min(MOST))
        .map(|index| {
            out.clear();
            if tensor.write_element(index, &mut out) {
                String::from_utf8_lossy(&out).into_owned()
            } else {
                "not a number".to_owned()
            }
        })
        .collect();
    let more = if tensor.len() > MOST { ", …" } else { "" };
    match tensor.len() {
        1 => elements.join(""),
        _ => format!("[{}{more}]", elements.join(", ")),
    }
}
