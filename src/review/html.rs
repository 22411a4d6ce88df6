//! The review as one page that needs nothing else: no script, no font, no
//! picture from elsewhere.
//!
//! `maud` escapes whatever is put into the page, and the page forbids itself
//! to load or run anything.

mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    report::{ModelReview, Note, Numbers, Review, Verdict},
    svg,
};
use crate::repository::plain;

/// The review as an HTML page.
pub fn html(review: &Review) -> String {
    let title = format!(
        "Review of {} → {}",
        plain(&review.base),
        plain(&review.head)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(include_str!("html/page.css"))) }
            }
            body {
                main {
                    header class={ "verdict " (class(review.verdict)) } {
                        div.kicker { (word(review.verdict)) }
                        h1 { (shown(&review.summary)) }
                        p.soft {
                            code { (shown(&review.base)) } " → " code { (shown(&review.head)) }
                            " · " (shown(&review.engine)) " · " (shown(&review.machine))
                        }
                    }
                    (notes(&review.notes))
                    @for model in &review.models { (section(model)) }
                    @if !review.unchanged.is_empty() {
                        footer {
                            p { "Unchanged: " (shown(&review.unchanged.join(", "))) }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// Text with nothing in it that a reader would not see.
fn shown(text: &str) -> String {
    plain(text)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "fits",
        Verdict::Look => "look",
        Verdict::Wrong => "wrong",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "Fits",
        Verdict::Look => "Look at it",
        Verdict::Wrong => "Wrong",
    }
}

fn notes(notes: &[Note]) -> Markup {
    html! {
        @if !notes.is_empty() {
            ul.notes {
                @for note in notes {
                    li class=(class(note.verdict)) {
                        (shown(&note.text))
                        @if !note.remedy.is_empty() { span.soft { " — " (shown(&note.remedy)) } }
                    }
                }
            }
        }
    }
}

fn section(model: &ModelReview) -> Markup {
    html! {
        section {
            h2 { (shown(&model.headline)) }
            (notes(&model.notes))
            (sections::predictions(model))
            (sections::speed(model))
            (sections::facts(model))
            (sections::signature(model))
            (sections::cases(model))
            (sections::weights(model))
            (sections::words(model))
        }
    }
}

/// The name of a plot's file: of the model number `index`, its output number
/// `place`. Nothing that a stranger wrote is in it.
pub(super) fn plot_name(index: usize, place: usize, kind: &str) -> String {
    format!("model-{}-output-{}-{kind}.svg", index + 1, place + 1)
}

/// Each plot as a file: its name and its SVG.
pub fn plots(review: &Review) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (index, model) in review.models.iter().enumerate() {
        for (place, numbers) in moving(model).enumerate() {
            files.push((plot_name(index, place, "old-new"), svg::old_new(numbers)));
            files.push((
                plot_name(index, place, "change"),
                svg::change(&numbers.histogram),
            ));
        }
    }
    files
}

/// The numbers that are worth a plot.
pub(super) fn moving(model: &ModelReview) -> impl Iterator<Item = &Numbers> {
    let outputs = model.predictions.iter().flat_map(|p| &p.outputs);
    let numbers = outputs.filter_map(|output| output.numbers.as_ref());
    numbers.filter(|numbers| numbers.largest > 0.0).take(3)
}
