//! Predictions side by side, and their plots.

use std::fmt::Write as _;

use super::{
    code,
    sections::{LINES, details},
    text,
};
use crate::{
    repository::plain,
    review::{
        html::plot_name,
        quantities::{beside, number},
        report::{ModelReview, Numbers, OutputChange},
    },
};

/// How far predictions move, with plots.
pub(super) fn predictions(
    out: &mut String,
    model: &ModelReview,
    index: usize,
    plots: Option<&str>,
) {
    let Some(predictions) = &model.predictions else {
        return;
    };
    let _ = writeln!(
        out,
        "**Predictions side by side**, {} inputs: {}\n",
        predictions.rows,
        text(&predictions.basis)
    );
    let numbers: Vec<_> = predictions
        .outputs
        .iter()
        .filter_map(|o| Some((o, o.numbers.as_ref()?)))
        .collect();
    if !numbers.is_empty() {
        out.push_str("| output | mean change | 95 % are within | largest | bias | old range |\n| --- | --- | --- | --- | --- | --- |\n");
        for (output, n) in numbers.iter().take(LINES) {
            let worst = n.worst.map_or(String::new(), |(row, a, b)| {
                format!(" (row {row}: {} → {})", number(a), number(b))
            });
            let _ = writeln!(
                out,
                "| {} | {} | {} | {}{worst} | {} | {} to {} |",
                code(&output.name),
                number(n.mean),
                number(n.p95),
                number(n.largest),
                number(beside(n.bias, n.largest)),
                number(beside(n.range[0], n.range[1] - n.range[0])),
                number(beside(n.range[1], n.range[1] - n.range[0]))
            );
        }
        out.push('\n');
    }
    for output in &predictions.outputs {
        classes(out, output);
    }
    let moving = numbers.iter().filter(|(_, n)| n.largest > 0.0);
    for (place, (output, n)) in moving.take(3).enumerate() {
        let pictures = match plots {
            Some(folder) => {
                let folder = folder.trim_end_matches('/');
                let link =
                    |kind: &str| format!("![{kind}](<{folder}/{}>)", plot_name(index, place, kind));
                format!("{} {}\n", link("old-new"), link("change"))
            }
            None => mermaid(n),
        };
        details(
            out,
            &format!("Plots of {}", html_code(&output.name)),
            &pictures,
        );
    }
}

fn classes(out: &mut String, output: &OutputChange) {
    let Some(classes) = &output.classes else {
        return;
    };
    let pairs: Vec<String> = classes
        .pairs
        .iter()
        .map(|flip| {
            format!(
                "{} → {} {}×",
                code(&flip.base),
                code(&flip.head),
                flip.count
            )
        })
        .collect();
    let pairs = if pairs.is_empty() {
        String::new()
    } else {
        format!(": {}", pairs.join(", "))
    };
    let _ = writeln!(
        out,
        "Classes in {}: {} of {} rows change{pairs}\n",
        code(&output.name),
        classes.flips,
        classes.count
    );
}

/// In `<summary>`, where Markdown is not read.
fn html_code(name: &str) -> String {
    let name = plain(name);
    let safe: String = name
        .chars()
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            '"' => "&quot;".to_owned(),
            c => c.to_string(),
        })
        .collect();
    format!("<code>{safe}</code>")
}

/// The plots in Mermaid: only numbers go in, so there is nothing to poison.
fn mermaid(own: &Numbers) -> String {
    const STEPS: usize = 24;
    let list = |values: &[f64]| {
        let values: Vec<_> = values
            .iter()
            .map(|v| format!("{v:.6e}").parse::<f64>().unwrap_or(0.0).to_string())
            .collect();
        values.join(", ")
    };
    let mut points = own.points.clone();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let step = points.len().div_ceil(STEPS).max(1);
    let some: Vec<_> = points.iter().step_by(step).collect();
    let column = |side: usize| list(&some.iter().map(|p| p[side]).collect::<Vec<_>>());
    let counts: Vec<_> = own.histogram.counts.iter().map(usize::to_string).collect();
    // The default colours can't be told from the page.
    let colors = |list: &str| {
        format!(
            "%%{{init: {{\"themeVariables\": {{\"xyChart\": {{\"plotColorPalette\": \"{list}\"}}}}}}}}%%\n"
        )
    };
    format!(
        "```mermaid\n{}xychart-beta\n  title \"How often each change occurs\"\n  x-axis \"new less old\" {} --> {}\n  \
         y-axis \"numbers\"\n  bar [{}]\n```\n\n```mermaid\n{}xychart-beta\n  title \"Old (grey) and new (blue), by the old\"\n  \
         x-axis \"rows\" 1 --> {}\n  y-axis \"prediction\"\n  line [{}]\n  line [{}]\n```\n",
        colors("#0969da"),
        list(&[own.histogram.from]),
        list(&[own.histogram.to]),
        counts.join(", "),
        colors("#8c959f, #0969da"),
        points.len().max(2),
        column(0),
        column(1)
    )
}
