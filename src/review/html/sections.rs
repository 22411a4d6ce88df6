//! The parts of a model's section of the page.

use maud::{Markup, PreEscaped, html};

use super::shown;
use crate::review::{
    markdown::{case_counts, change, memory, outcome},
    quantities::{beside, number, size},
    report::{ModelReview, OutputChange, SpeedFacts, VersionFacts},
    svg,
};

/// Lines of a table at most.
const LINES: usize = 200;

pub(super) fn predictions(model: &ModelReview) -> Markup {
    let Some(predictions) = &model.predictions else {
        return html! {};
    };
    html! {
        h3 { "Predictions side by side" }
        p.soft { (predictions.rows) " inputs: " (shown(&predictions.basis)) }
        @for output in &predictions.outputs { (output_change(output)) }
    }
}

fn output_change(output: &OutputChange) -> Markup {
    html! {
        p { "Output " code { (shown(&output.name)) } }
        @if let Some(n) = &output.numbers {
            div.tiles {
                (tile("mean change", number(n.mean)))
                (tile("95 % are within", number(n.p95)))
                (tile("largest change", number(n.largest)))
                (tile("bias", number(beside(n.bias, n.largest))))
                (tile("old range", format!("{} to {}", number(beside(n.range[0], n.range[1] - n.range[0])), number(beside(n.range[1], n.range[1] - n.range[0])))))
            }
            @if let Some((row, before, after)) = n.worst.filter(|_| n.largest > 0.0) {
                p.soft { "Largest in row " (row) ": " (number(before)) " → " (number(after)) }
            }
            @if n.largest > 0.0 {
                div.plots {
                    (PreEscaped(svg::old_new(n)))
                    (PreEscaped(svg::change(&n.histogram)))
                }
            }
        }
        @if let Some(classes) = &output.classes {
            p { (classes.flips) " of " (classes.count) " rows change their class" }
            @if !classes.pairs.is_empty() {
                div.wide tabindex="0" {
                    table {
                        tr { th { "before" } th { "after" } th.number { "rows" } }
                        @for flip in &classes.pairs {
                            tr {
                                td { code { (shown(&flip.base)) } }
                                td { code { (shown(&flip.head)) } }
                                td.number { (flip.count) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tile(what: &str, value: String) -> Markup {
    html! { div.tile { b { (value) } span { (what) } } }
}

pub(super) fn speed(model: &ModelReview) -> Markup {
    let Some(speed) = &model.speed else {
        return html! {};
    };
    let (base, head) = (speed.base.as_ref(), &speed.head);
    let rows: [Row; 4] = [
        (
            "One request alone, median",
            |f| Some(f.p50_microseconds),
            |v| format!("{} µs", number(v)),
        ),
        (
            "The same, 99th percentile",
            |f| Some(f.p99_microseconds),
            |v| format!("{} µs", number(v)),
        ),
        (
            "Rows a second at the best batch",
            |f| Some(f.rows_per_second),
            |v| format!("{v:.0}"),
        ),
        (
            "Load",
            |f| Some(f.load_milliseconds),
            |v| format!("{} ms", number(v)),
        ),
    ];
    html! {
        h3 { "Speed in this server" }
        p.soft {
            "Measured in " (speed.turns) " turns each. Best batch: " (head.batch)
            @if let Some(base) = base { ", before " (base.batch) }
            ". Memory that the load takes: " (memory(head.load_memory))
            @if let Some(base) = base { ", before " (memory(base.load_memory)) }
            ". Placement: " (shown(&head.placement))
        }
        @for row in rows { (bars(row, base, head)) }
    }
}

/// What is measured, how it is read, and how it is written.
type Row = (
    &'static str,
    fn(&SpeedFacts) -> Option<f64>,
    fn(f64) -> String,
);

fn bars((what, value, write): Row, base: Option<&SpeedFacts>, head: &SpeedFacts) -> Markup {
    let (before, after) = (base.and_then(value), value(head));
    let Some(after) = after else {
        return html! {};
    };
    let most = before.unwrap_or(0.0).max(after);
    let width = |value: f64| {
        let share = if most > 0.0 {
            value / most * 100.0
        } else {
            0.0
        };
        format!("width:{share:.1}%")
    };
    html! {
        div.pair {
            span { (what) " " (change(before, Some(after))) }
            @if let Some(before) = before {
                div.bar.old { span.soft { "before" } i style=(width(before)) {} b { (write(before)) } }
            }
            div.bar { span.soft { "after" } i style=(width(after)) {} b { (write(after)) } }
        }
    }
}

pub(super) fn facts(model: &ModelReview) -> Markup {
    let (base, head) = (model.base.as_ref(), model.head.as_ref());
    if base.is_none() && head.is_none() {
        return html! {};
    }
    let row = |what: &str, value: &dyn Fn(&VersionFacts) -> Markup| {
        let cell = |facts: Option<&VersionFacts>| facts.map_or(html! { "–" }, value);
        html! { tr { th { (what) } td { (cell(base)) } td { (cell(head)) } } }
    };
    let list = |items: Vec<String>| {
        html! { @for item in items.iter().take(LINES) { div { code { (shown(item)) } } } }
    };
    html! {
        h3 { "What it is" }
        div.wide tabindex="0" {
            table {
                (row("version", &|f| html! { code { (shown(&f.version)) } }))
                (row("size", &|f| html! { (size(f.bytes)) }))
                (row("parameters", &|f| html! { (f.parameters) }))
                (row("sha256", &|f| html! { code { (shown(&f.sha256)) } }))
                (row("written by", &|f| html! { (shown(&f.producer)) }))
                (row("operator sets", &|f| list(f.opsets.iter().map(|(d, v)| format!("{d} {v}")).collect())))
                (row("operators", &|f| list(f.operators.iter().map(|(o, n)| format!("{n} × {o}")).collect())))
            }
        }
    }
}

pub(super) fn signature(model: &ModelReview) -> Markup {
    let Some(head) = &model.head else {
        return html! {};
    };
    html! {
        details open[!model.signature.is_empty()] {
            summary {
                "Inputs and outputs"
                @if !model.signature.is_empty() { ": " (model.signature.len()) " changed" }
            }
            ul {
                @for change in &model.signature {
                    li {
                        @if change.breaking { span.breaking { "breaking: " } }
                        (shown(&change.text))
                    }
                }
            }
            @for (what, specs) in [("takes ", &head.inputs), ("gives ", &head.outputs)] {
                @for spec in specs.iter().take(LINES) { p { (what) code { (shown(spec)) } } }
            }
        }
    }
}

pub(super) fn cases(model: &ModelReview) -> Markup {
    if model.cases.is_empty() {
        return html! {};
    }
    html! {
        details {
            summary { "Golden cases: " (case_counts(model)) }
            div.wide tabindex="0" {
                table {
                    tr { th { "case" } td {} th { "before" } th { "after" } td {} }
                    @for case in model.cases.iter().take(LINES) {
                        tr {
                            td { code { (shown(&case.name)) } }
                            td { (outcome(case.outcome)) }
                            td { code { (shown(&case.base)) } }
                            td { code { (shown(&case.head)) } }
                            td.soft { (shown(&case.detail)) }
                        }
                    }
                }
            }
            (rest(model.cases.len()))
        }
    }
}

pub(super) fn weights(model: &ModelReview) -> Markup {
    let weights = &model.weights;
    if weights.changed == 0 {
        return html! {};
    }
    html! {
        details {
            summary { "Weights: " (weights.changed) " changed, " (weights.same) " the same" }
            div.wide tabindex="0" {
                table {
                    tr {
                        th { "weight" } th { "before" } th { "after" }
                        th.number { "change of its norm" } th.number { "largest change" }
                    }
                    @for own in weights.changes.iter().take(LINES) {
                        tr {
                            td { code { (shown(&own.name)) } }
                            td { (shown(own.base.as_deref().unwrap_or("–"))) }
                            td { (shown(own.head.as_deref().unwrap_or("–"))) }
                            td.number { @if let Some(r) = own.relative { (number(r * 100.0)) " %" } }
                            td.number { @if let Some(l) = own.largest { (number(l)) } }
                        }
                    }
                }
            }
            (rest(weights.changed.min(weights.changes.len())))
        }
    }
}

pub(super) fn words(model: &ModelReview) -> Markup {
    if model.words.is_empty() {
        return html! {};
    }
    html! {
        details {
            summary { "Words of the manifest" }
            div.wide tabindex="0" {
                table {
                    tr { th { "key" } th { "before" } th { "after" } }
                    @for own in model.words.iter().take(LINES) {
                        tr {
                            td { code { (shown(&own.key)) } }
                            td { (shown(&own.base)) }
                            td { (shown(&own.head)) }
                        }
                    }
                }
            }
        }
    }
}

fn rest(total: usize) -> Markup {
    html! {
        @if total > LINES { p.soft { "and " (total - LINES) " more" } }
    }
}
