//! The review of one model.

use std::{path::PathBuf, sync::Arc};

use super::{
    Both, Request,
    cases::cases,
    facts::{facts, signer, words},
    note,
    notes::{
        case_notes, prediction_notes, signature_notes, signer_notes, speed_notes, version_notes,
    },
    predictions::predictions,
    sentences,
    speed::{Runner, speed},
    weights::weights,
};
use crate::{
    engine::Engine,
    repository::{Candidate, Problem, VerifiedModel},
    review::{
        exercise::Loaded,
        pairs::Pair,
        report::{Change, ModelReview, Verdict, Weights},
        side::History,
        step::{self, bytes_changed, signature_changes},
    },
};

/// What reviews share.
pub(super) struct Reviewing<'a> {
    pub(super) engine: &'a Arc<dyn Engine>,
    pub(super) request: &'a Request<'a>,
    pub(super) history: &'a History,
}

/// Hears of each step.
type OnStep<'a> = &'a mut dyn FnMut(String);

impl Reviewing<'_> {
    pub(super) fn pair(&self, pair: &Pair<'_>, on_step: OnStep<'_>) -> ModelReview {
        let mut review = match *pair {
            Pair::New(own) | Pair::Same(own) => self.changed(None, own, on_step),
            Pair::Changed { base, head } => self.changed(Some(base), head, on_step),
            Pair::Removed(own) => ModelReview {
                base: self
                    .request
                    .base
                    .read(own)
                    .ok()
                    .map(|model| facts(&model, None)),
                ..removed(own)
            },
        };
        let gravest = review.notes.iter().map(|n| n.verdict).max();
        review.verdict = gravest.unwrap_or(Verdict::Fits);
        review.notes.sort_by_key(|n| std::cmp::Reverse(n.verdict));
        review.headline = sentences::headline(&review);
        review
    }

    fn changed(
        &self,
        base: Option<&Candidate>,
        head: &Candidate,
        on_step: OnStep<'_>,
    ) -> ModelReview {
        let mut review = empty(head);
        on_step(format!("{}: reading", head.id));
        if let Some(base) = base {
            let bytes = bytes_changed(&base.manifest, &head.manifest);
            review.change = if bytes { Change::Bytes } else { Change::Words };
            review.step = Some(step::step(&base.id.version, &head.id.version));
            review.words = words(&base.manifest, &head.manifest);
        }
        review
            .notes
            .extend(version_notes(base, head, self.history, &review));
        let base_model = base.and_then(|base| match self.request.base.read(base) {
            Ok(model) => Some(model),
            Err(problems) => {
                let text = format!("the version before can't be read: {}", lines(&problems));
                review
                    .notes
                    .push(note(Verdict::Look, text, "compare it yourself"));
                None
            }
        });
        let head_model = match self.request.head.read(head) {
            Ok(model) => model,
            Err(problems) => {
                review.notes.extend(
                    problems
                        .iter()
                        .map(|p| note(Verdict::Wrong, p.to_string(), "")),
                );
                review.base = base_model.as_ref().map(|model| facts(model, None));
                return review;
            }
        };
        if let Some(base_model) = &base_model {
            review.words.extend(signer(base_model, &head_model));
            review.weights = weights(base_model, &head_model);
        }
        on_step(format!("{}: loading", head.id));
        let mut loaded = match Loaded::of(self.engine.as_ref(), &head_model) {
            Ok(loaded) => loaded,
            Err(e) => {
                let remedy = "export it for operators and an opset that this engine has";
                review
                    .notes
                    .push(note(Verdict::Wrong, e.to_string(), remedy));
                review.head = Some(facts(&head_model, None));
                review.base = base_model.as_ref().map(|model| facts(model, None));
                return review;
            }
        };
        review.head = Some(facts(&head_model, Some(loaded.signature())));
        review
            .notes
            .extend(signer_notes(&review, base_model.as_ref(), &head_model));
        review.cases = cases(base_model.as_ref(), &head_model, &mut loaded);
        review.notes.extend(case_notes(&review, &head_model));
        if let Some(base_model) = &base_model {
            self.compare(
                base,
                head,
                (base_model, &head_model),
                loaded,
                &mut review,
                on_step,
            );
        }
        self.measure(
            base.zip(base_model.as_ref()),
            (head, &head_model),
            &mut review,
            on_step,
        );
        review
    }

    /// Signatures and predictions side by side.
    fn compare(
        &self,
        base: Option<&Candidate>,
        head: &Candidate,
        (base_model, head_model): (&VerifiedModel, &VerifiedModel),
        loaded: Loaded,
        review: &mut ModelReview,
        on_step: OnStep<'_>,
    ) {
        let old = match Loaded::of(self.engine.as_ref(), base_model) {
            Ok(old) => old,
            Err(e) => {
                review.base = Some(facts(base_model, None));
                let text = format!("the version before can't be loaded to compare with: {e}");
                review
                    .notes
                    .push(note(Verdict::Look, text, "compare it yourself"));
                return;
            }
        };
        review.base = Some(facts(base_model, Some(old.signature())));
        review.signature = signature_changes(
            (old.signature(), &base_model.manifest),
            (loaded.signature(), &head_model.manifest),
        );
        review.notes.extend(signature_notes(review, base_model));
        if review.change != Change::Bytes {
            return;
        }
        on_step(format!("{}: predicting", head.id));
        let folders: Vec<PathBuf> = [Some(head), base]
            .into_iter()
            .flatten()
            .map(|c| c.folder.clone())
            .collect();
        let mut both = Both {
            base: old,
            head: loaded,
            base_model,
            head_model,
            failed: None,
        };
        match predictions(&mut both, &folders) {
            Ok(own) => review.predictions = Some(own),
            Err(reason) => {
                let text = format!("predictions can't be compared: {reason}");
                review
                    .notes
                    .push(note(Verdict::Look, text, "compare them yourself"));
            }
        }
        if let Some(failed) = both.failed {
            let remedy = "see whether callers send such inputs";
            review.notes.push(note(Verdict::Wrong, failed, remedy));
        }
        review.notes.extend(prediction_notes(review));
    }

    fn measure(
        &self,
        base: Option<(&Candidate, &VerifiedModel)>,
        head: (&Candidate, &VerifiedModel),
        review: &mut ModelReview,
        on_step: OnStep<'_>,
    ) {
        let wrong = review.notes.iter().any(|n| n.verdict == Verdict::Wrong);
        if self.request.speed.is_zero() || review.change == Change::Words {
            return;
        }
        on_step(format!("{}: measuring", head.0.id));
        let runner = |(candidate, model)| Runner { candidate, model };
        match speed(
            self.engine,
            base.map(runner),
            runner(head),
            self.request.speed,
        ) {
            Ok(own) => {
                review.speed = Some(own);
                review.notes.extend(speed_notes(review));
            }
            // What keeps it from loading was told already.
            Err(_) if wrong => {}
            Err(reason) => {
                review.notes.push(note(
                    Verdict::Look,
                    format!("the speed is not measured: {reason}"),
                    "",
                ));
            }
        }
    }
}

fn empty(own: &Candidate) -> ModelReview {
    ModelReview {
        name: own.id.name.to_string(),
        change: Change::New,
        verdict: Verdict::Fits,
        headline: String::new(),
        notes: Vec::new(),
        base: None,
        head: None,
        step: None,
        signature: Vec::new(),
        words: Vec::new(),
        weights: Weights::default(),
        cases: Vec::new(),
        predictions: None,
        speed: None,
    }
}

fn removed(own: &Candidate) -> ModelReview {
    let text = format!("{} is served no longer", own.id);
    ModelReview {
        change: Change::Removed,
        notes: vec![note(Verdict::Look, text, "see that nobody calls it")],
        ..empty(own)
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}
