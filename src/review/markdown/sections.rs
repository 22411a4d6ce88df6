//! The parts of a model's section.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{code, text};
use crate::review::{
    quantities::{number, size},
    report::{CaseOutcome, ModelReview, SpeedFacts, VersionFacts},
};

/// Lines of a table at most.
pub(super) const LINES: usize = 40;

pub(super) fn details(out: &mut String, summary: &str, content: &str) {
    let _ = writeln!(
        out,
        "<details><summary>{summary}</summary>\n\n{content}\n</details>\n"
    );
}

fn more(total: usize) -> String {
    match total.saturating_sub(LINES) {
        0 => String::new(),
        n => format!("\n_and {n} more_\n"),
    }
}

/// Size, parameters, operator sets: both versions in two columns.
pub(super) fn facts(out: &mut String, model: &ModelReview) {
    let (base, head) = (model.base.as_ref(), model.head.as_ref());
    let Some(any) = head.or(base) else { return };
    let version =
        |facts: Option<&VersionFacts>| facts.map_or("–".to_owned(), |f| code(&f.version));
    let mut table = format!(
        "| | {} | {} |\n| --- | --- | --- |\n",
        version(base),
        version(head)
    );
    let mut row = |what: &str, value: &dyn Fn(&VersionFacts) -> String| {
        let cell = |facts: Option<&VersionFacts>| facts.map_or("–".to_owned(), value);
        let _ = writeln!(table, "| {what} | {} | {} |", cell(base), cell(head));
    };
    row("size", &|f| size(f.bytes));
    row("parameters", &|f| f.parameters.to_string());
    row("sha256", &|f| code(f.sha256.get(..12).unwrap_or(&f.sha256)));
    row("written by", &|f| code(&f.producer));
    row("operator sets", &|f| {
        let sets: Vec<_> = f
            .opsets
            .iter()
            .map(|(domain, version)| code(&format!("{domain} {version}")))
            .collect();
        sets.join(" ")
    });
    let operators: BTreeSet<&String> = base
        .into_iter()
        .chain(head)
        .flat_map(|f| f.operators.keys())
        .collect();
    let count = |facts: Option<&VersionFacts>, name: &str| {
        facts
            .and_then(|f| f.operators.get(name))
            .copied()
            .unwrap_or(0)
    };
    let changed: Vec<_> = operators
        .iter()
        .filter(|name| base.is_some() && count(base, name) != count(head, name))
        .collect();
    let total = |facts: &VersionFacts| facts.operators.values().sum::<usize>();
    let operators_row = |f: &VersionFacts| format!("{} of {} kinds", total(f), f.operators.len());
    row("operators", &operators_row);
    for name in changed.iter().take(LINES) {
        let cell = |facts| match count(facts, name) {
            0 => "–".to_owned(),
            n => n.to_string(),
        };
        let _ = writeln!(
            table,
            "| {} | {} | {} |",
            code(name),
            cell(base),
            cell(head)
        );
    }
    if base.is_none() {
        let list: Vec<_> = any
            .operators
            .iter()
            .take(LINES)
            .map(|(name, n)| format!("{} {n}", code(name)))
            .collect();
        let _ = writeln!(table, "| of these | | {} |", list.join(", "));
    }
    out.push_str(&table);
    out.push_str(&more(changed.len()));
    out.push('\n');
}

/// Time, throughput, load and memory.
pub(super) fn speed(out: &mut String, model: &ModelReview) {
    let Some(speed) = &model.speed else { return };
    let (base, head) = (speed.base.as_ref(), &speed.head);
    let mut table = String::from("| | before | after | |\n| --- | --- | --- | --- |\n");
    let mut row =
        |what: &str, value: &dyn Fn(&SpeedFacts) -> Option<f64>, shown: &dyn Fn(f64) -> String| {
            let before = base.and_then(value);
            let after = value(head);
            let cell = |v: Option<f64>| v.map_or("–".to_owned(), shown);
            let _ = writeln!(
                table,
                "| {what} | {} | {} | {} |",
                cell(before),
                cell(after),
                change(before, after)
            );
        };
    let micros = |v: f64| format!("{} µs", number(v));
    row(
        "one request alone, median",
        &|f| Some(f.p50_microseconds),
        &micros,
    );
    row(
        "the same, 99th percentile",
        &|f| Some(f.p99_microseconds),
        &micros,
    );
    row(
        "rows a second at the best batch",
        &|f| Some(f.rows_per_second),
        &|v| format!("{v:.0}"),
    );
    row("load", &|f| Some(f.load_milliseconds), &|v| {
        format!("{} ms", number(v))
    });
    let memory = |f: Option<&SpeedFacts>| memory(f.and_then(|f| f.load_memory));
    let batch = |f: Option<&SpeedFacts>| f.map_or("–".to_owned(), |f| f.batch.to_string());
    let _ = writeln!(
        table,
        "| memory that the load takes | {} | {} | |",
        memory(base),
        memory(Some(head))
    );
    let _ = writeln!(
        table,
        "| the best batch | {} | {} | |",
        batch(base),
        batch(Some(head))
    );
    let _ = writeln!(table, "\nPlacement: {}", text(&head.placement));
    let mut summary = format!(
        "Speed in this server: {} alone",
        micros(head.p50_microseconds)
    );
    if let Some(base) = base {
        let _ = write!(summary, ", before {}", micros(base.p50_microseconds));
    }
    details(out, &summary, &table);
}

/// Memory as people read it: what is below a megabyte is lost in the noise.
pub(in crate::review) fn memory(bytes: Option<u64>) -> String {
    match bytes {
        None => "–".to_owned(),
        Some(..1_000_000) => "less than 1 MB".to_owned(),
        Some(bytes) => size(bytes),
    }
}

/// `+12 %`, where both are known.
pub(in crate::review) fn change(before: Option<f64>, after: Option<f64>) -> String {
    match before.zip(after).filter(|(before, _)| *before > 0.0) {
        Some((before, after)) => match ((after / before - 1.0) * 100.0).round() {
            0.0 => "±0 %".to_owned(),
            percent => format!("{percent:+} %"),
        },
        None => String::new(),
    }
}

/// What it takes and gives, and how that changes.
pub(super) fn signature(out: &mut String, model: &ModelReview) {
    let Some(head) = &model.head else { return };
    let mut content = String::new();
    for change in &model.signature {
        let breaking = if change.breaking {
            "**breaking**: "
        } else {
            ""
        };
        let _ = writeln!(content, "- {breaking}{}", text(&change.text));
    }
    for (what, specs) in [("takes", &head.inputs), ("gives", &head.outputs)] {
        for spec in specs.iter().take(LINES) {
            let _ = writeln!(content, "- {what} {}", code(spec));
        }
        content += &more(specs.len());
    }
    let summary = match model.signature.len() {
        0 if model.base.is_some() => "Inputs and outputs: unchanged".to_owned(),
        0 => "Inputs and outputs".to_owned(),
        n => format!("Inputs and outputs: {n} changed"),
    };
    details(out, &summary, &content);
}

/// Golden cases.
pub(super) fn cases(out: &mut String, model: &ModelReview) {
    if model.cases.is_empty() {
        return;
    }
    let mut table =
        String::from("| case | | before | after | |\n| --- | --- | --- | --- | --- |\n");
    for case in model.cases.iter().take(LINES) {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            code(&case.name),
            outcome(case.outcome),
            code(&case.base),
            code(&case.head),
            text(&case.detail)
        );
    }
    table += &more(model.cases.len());
    details(
        out,
        &format!("Golden cases: {}", case_counts(model)),
        &table,
    );
}

/// `2 kept, 1 new`.
pub(in crate::review) fn case_counts(model: &ModelReview) -> String {
    let all = [
        (CaseOutcome::Fails, "that fail"),
        (CaseOutcome::Broken, "with a new answer"),
        (CaseOutcome::Gone, "gone"),
        (CaseOutcome::New, "new"),
        (CaseOutcome::Kept, "kept"),
    ];
    let counts = all.into_iter().filter_map(|(own, word)| {
        let count = model.cases.iter().filter(|c| c.outcome == own).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// The outcome in a word.
pub(in crate::review) fn outcome(outcome: CaseOutcome) -> &'static str {
    match outcome {
        CaseOutcome::Fails => "fails",
        CaseOutcome::Broken => "new answer",
        CaseOutcome::Gone => "gone",
        CaseOutcome::New => "new",
        CaseOutcome::Kept => "kept",
    }
}

/// Where the weights changed.
pub(super) fn weights(out: &mut String, model: &ModelReview) {
    let weights = &model.weights;
    if weights.changed == 0 {
        return;
    }
    let mut table = String::from(
        "| weight | shape | change of its norm | largest change |\n| --- | --- | --- | --- |\n",
    );
    for own in weights.changes.iter().take(LINES) {
        let shape = match (&own.base, &own.head) {
            (Some(a), Some(b)) if a == b => code(a),
            (Some(a), Some(b)) => format!("{} → {}", code(a), code(b)),
            (None, Some(b)) => format!("new {}", code(b)),
            (Some(a), None) => format!("{} gone", code(a)),
            (None, None) => String::new(),
        };
        let relative = own
            .relative
            .map_or(String::new(), |r| format!("{} %", number(r * 100.0)));
        let largest = own.largest.map_or(String::new(), number);
        let _ = writeln!(
            table,
            "| {} | {shape} | {relative} | {largest} |",
            code(&own.name)
        );
    }
    table += &more(weights.changed);
    let summary = format!(
        "Weights: {} changed, {} the same",
        weights.changed, weights.same
    );
    details(out, &summary, &table);
}

/// What people wrote.
pub(super) fn words(out: &mut String, model: &ModelReview) {
    if model.words.is_empty() {
        return;
    }
    let mut table = String::from("| key | before | after |\n| --- | --- | --- |\n");
    for own in model.words.iter().take(LINES) {
        let _ = writeln!(
            table,
            "| {} | {} | {} |",
            code(&own.key),
            code(&own.base),
            code(&own.head)
        );
    }
    details(out, "Words of the manifest", &table);
}
