//! What a review says in a sentence.

use crate::review::{
    quantities::number,
    report::{Change, ModelReview, Note, Step, Verdict},
};

/// What happens to a model.
pub(super) fn headline(review: &ModelReview) -> String {
    let name = &review.name;
    let version = |facts: &Option<super::super::report::VersionFacts>| {
        facts.as_ref().map_or("?", |f| &f.version).to_owned()
    };
    let (base, head) = (version(&review.base), version(&review.head));
    let step = match review.step {
        Some(Step::Major) => " (a major step)",
        Some(Step::Minor) => " (a minor step)",
        Some(Step::Patch) => " (a patch)",
        Some(Step::Prerelease) => " (of the pre-release)",
        Some(Step::Back) => " (a step back)",
        Some(Step::None) | None => "",
    };
    match review.change {
        Change::New if review.head.is_none() => format!("{name} is new, and can't be read"),
        Change::New => format!("{name} {head} is new"),
        Change::Removed => format!("{name} {base} goes"),
        Change::Words if base == head => {
            format!("{name} {head} keeps its bytes; its words or golden cases change")
        }
        _ if review.head.is_none() => format!("{name} changes, and can't be read"),
        Change::Words => format!("{name} {base} → {head}{step}: the same bytes"),
        Change::Bytes => format!("{name} {base} → {head}{step}{}", moved(review)),
    }
}

/// How far predictions move, in a clause.
fn moved(review: &ModelReview) -> String {
    let Some(predictions) = &review.predictions else {
        return String::new();
    };
    let flips = predictions
        .outputs
        .iter()
        .filter_map(|o| o.classes.as_ref())
        .max_by_key(|c| c.flips);
    let numbers = predictions
        .outputs
        .iter()
        .filter_map(|o| o.numbers.as_ref());
    let numbers = numbers.max_by(|a, b| a.mean.total_cmp(&b.mean));
    match (flips, numbers) {
        (Some(classes), _) if classes.flips > 0 => {
            format!(
                ": {} of {} rows change their class",
                classes.flips, classes.count
            )
        }
        (Some(_), _) => ": no row changes its class".to_owned(),
        (None, Some(numbers)) if numbers.largest == 0.0 => ": it predicts the same".to_owned(),
        (None, Some(numbers)) => format!(
            ": predictions move by {} on average and {} at most",
            number(numbers.mean),
            number(numbers.largest)
        ),
        (None, None) => String::new(),
    }
}

/// The verdict in a sentence.
pub(super) fn summary(verdict: Verdict, models: &[ModelReview], notes: &[Note]) -> String {
    let found = |verdict: Verdict| {
        let own = models.iter().flat_map(|m| &m.notes).chain(notes);
        own.filter(|n| n.verdict == verdict).count()
    };
    let things = |n: usize| {
        if n == 1 {
            "1 thing".to_owned()
        } else {
            format!("{n} things")
        }
    };
    let what = match models {
        [] => "no model changes".to_owned(),
        [one] => one.headline.clone(),
        many => format!("{} models change", many.len()),
    };
    match verdict {
        Verdict::Fits => format!("Nothing is in the way: {what}"),
        Verdict::Look => format!(
            "A person must look at {}: {what}",
            things(found(Verdict::Look))
        ),
        Verdict::Wrong => format!(
            "Not to be merged, {} wrong: {what}",
            match found(Verdict::Wrong) {
                1 => "1 thing is".to_owned(),
                n => format!("{n} things are"),
            }
        ),
    }
}

/// The machine that the models ran on.
pub(super) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let processors = if cpus == 1 { "processor" } else { "processors" };
    format!(
        "{} {}, {cpus} {processors}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}
