//! The review of a change: two sides in, a [`Review`] out.

mod cases;
mod changes;
mod facts;
mod model;
mod notes;
mod predictions;
mod sentences;
mod speed;
mod weights;

use std::{sync::Arc, time::Duration};

use self::model::Reviewing;
use super::{
    exercise::Loaded,
    pairs::{Pair, pairs},
    report::{FORM, Note, Review, Verdict},
    side::{History, Side},
};
use crate::{engine::Engine, repository::VerifiedModel};

/// What to compare.
pub struct Request<'a> {
    /// What stood before.
    pub base: &'a Side,
    /// What is to stand.
    pub head: &'a Side,
    /// How long to measure the speed of each model; zero leaves it out.
    pub speed: Duration,
}

/// Reviews a change. `on_step` hears of each model and each step of its
/// review before it is taken.
pub fn diff(
    engine: &Arc<dyn Engine>,
    request: &Request<'_>,
    mut on_step: impl FnMut(usize, usize, String),
) -> Review {
    let mut notes = Vec::new();
    for problem in &request.head.scan.problems {
        notes.push(note(Verdict::Wrong, problem.to_string(), ""));
    }
    for problem in &request.base.scan.problems {
        // What was wrong before is not this change's doing.
        notes.push(note(Verdict::Fits, format!("before: {problem}"), ""));
    }
    let history = request.base.history().unwrap_or_else(|e| {
        let text = format!("older versions are not looked at: {e}");
        notes.push(note(Verdict::Look, text, ""));
        History::default()
    });
    let pairs = pairs(request.base, request.head);
    let changing = |pair: &&Pair<'_>| !matches!(pair, Pair::Same(_));
    let of = pairs.iter().filter(changing).count();
    let mut models = Vec::new();
    for (n, pair) in pairs.iter().filter(changing).enumerate() {
        let reviewing = Reviewing {
            engine,
            request,
            history: &history,
        };
        models.push(reviewing.pair(pair, &mut |step| on_step(n, of, step)));
    }
    // The gravest first; within a verdict as they were.
    models.sort_by_key(|model| std::cmp::Reverse(model.verdict));
    let unchanged = pairs.iter().filter_map(|pair| match pair {
        Pair::Same(own) => Some(own.id.to_string()),
        _ => None,
    });
    let graver = models
        .iter()
        .map(|m| m.verdict)
        .chain(notes.iter().map(|n| n.verdict));
    let verdict = graver.max().unwrap_or(Verdict::Fits);
    Review {
        form: FORM.to_owned(),
        base: request.base.label.clone(),
        head: request.head.label.clone(),
        verdict,
        summary: sentences::summary(verdict, &models, &notes),
        engine: engine.version(),
        machine: sentences::machine(),
        notes,
        unchanged: unchanged.collect(),
        models,
    }
}

fn note(verdict: Verdict, text: impl Into<String>, remedy: impl Into<String>) -> Note {
    Note {
        verdict,
        text: text.into(),
        remedy: remedy.into(),
    }
}

/// Two versions of a model, loaded.
struct Both<'a> {
    base: Loaded,
    head: Loaded,
    base_model: &'a VerifiedModel,
    head_model: &'a VerifiedModel,
    /// What the new version fails on, and the old one does not.
    failed: Option<String>,
}
