//! Two plots: old against new, and how often each change occurs.
//!
//! Colours are custom properties with a default for light and dark, so that a
//! plot looks right alone, in a page, and in either scheme.

use std::fmt::Write as _;

use super::{
    quantities::number,
    report::{Histogram, Numbers},
};

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;

const STYLE: &str = "<style>\
    .plot{--ink:#24292f;--soft:#57606a;--grid:#d8dee4;--own:#0969da}\
    @media(prefers-color-scheme:dark){.plot{--ink:#e6edf3;--soft:#9198a1;--grid:#30363d;--own:#58a6ff}}\
    .plot text{font:11px system-ui,sans-serif;fill:var(--soft)}\
    .plot .title{font-size:13px;font-weight:600;fill:var(--ink)}\
    .plot .grid{stroke:var(--grid);stroke-width:1}\
    .plot .diagonal{stroke:var(--soft);stroke-dasharray:4 4}\
    .plot .own{fill:var(--own)}.plot .dot{fill:var(--own);fill-opacity:.55}\
    </style>";

/// Where values of an axis lie.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }

    /// Round numbers between both ends.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.to - self.from) / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        let mut ticks = Vec::new();
        let mut tick = (self.from / step).ceil() * step;
        while tick <= self.to + step * 1e-9 && ticks.len() < 12 {
            // What should be nothing is not quite, after some additions.
            ticks.push(if tick.abs() < step * 1e-9 { 0.0 } else { tick });
            tick += step;
        }
        ticks
    }
}

/// A range with some room at both ends, never empty.
fn room(from: f64, to: f64) -> (f64, f64) {
    let margin = (to - from) * 0.04;
    if margin > 0.0 && margin.is_finite() {
        (from - margin, to + margin)
    } else {
        let margin = (from.abs() * 0.05).max(0.5);
        (from - margin, to + margin)
    }
}

fn frame(title: &str, x: (&Axis, &str), y: (&Axis, &str), content: &str) -> String {
    let mut out = format!(
        "<svg class=\"plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{title}\">{STYLE}<text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}</text>"
    );
    for tick in x.0.ticks() {
        let at = x.0.place(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 15.0,
            number(tick)
        );
    }
    for tick in y.0.ticks() {
        let at = y.0.place(tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(tick)
        );
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let height = (TOP + HEIGHT - BOTTOM) / 2.0;
    let _ = write!(
        out,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text x=\"12\" y=\"{height:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 12 {height:.1})\">{}</text>\
         {content}</svg>",
        HEIGHT - 8.0,
        x.1,
        y.1
    );
    out
}

fn axes(x: (f64, f64), y: (f64, f64)) -> (Axis, Axis) {
    let own = |(from, to): (f64, f64), start: f64, end: f64| Axis {
        from,
        to,
        start,
        end,
    };
    (own(x, LEFT, WIDTH - RIGHT), own(y, HEIGHT - BOTTOM, TOP))
}

/// Old against new: what lies on the diagonal did not change.
pub(super) fn old_new(own: &Numbers) -> String {
    let all = own.points.iter().flatten().copied();
    let least = all.clone().fold(f64::INFINITY, f64::min);
    let most = all.fold(f64::NEG_INFINITY, f64::max);
    let range = room(least, most);
    let (x, y) = axes(range, range);
    let mut content = format!(
        "<line class=\"diagonal\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        x.place(range.0),
        y.place(range.0),
        x.place(range.1),
        y.place(range.1)
    );
    for [before, after] in &own.points {
        let _ = write!(
            content,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"/>",
            x.place(*before),
            y.place(*after)
        );
    }
    frame("Old against new", (&x, "old"), (&y, "new"), &content)
}

/// How often each change occurs.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(super) fn change(own: &Histogram) -> String {
    let most = own.counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let range = if own.from < own.to {
        (own.from, own.to)
    } else {
        (-0.5, 0.5)
    };
    let (x, y) = axes(range, (0.0, most * 1.05));
    let bin = (range.1 - range.0) / own.counts.len().max(1) as f64;
    let mut content = String::new();
    for (n, &count) in own
        .counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
    {
        let (from, to) = (
            x.place(range.0 + bin * n as f64),
            x.place(range.0 + bin * (n + 1) as f64),
        );
        let top = y.place(count as f64);
        let _ = write!(
            content,
            "<rect class=\"own\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            from + 0.5,
            (to - from - 1.0).max(0.5),
            HEIGHT - BOTTOM - top
        );
    }
    frame(
        "How often each change occurs",
        (&x, "new less old"),
        (&y, "numbers"),
        &content,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the numbers, every coordinate is one.
        #[test]
        fn plots_hold_only_finite_coordinates(points in prop::collection::vec((-1e300f64..1e300, -1e300f64..1e300), 1..20), counts in prop::collection::vec(0usize..1000, 1..40), from in -1e9f64..1e9, width in 0f64..1e9) {
            let numbers = Numbers {
                count: 1, mean: 0.0, p95: 0.0, largest: 0.0, bias: 0.0, range: [0.0, 0.0], worst: None, not_finite: 0,
                points: points.iter().map(|&(a, b)| [a, b]).collect(),
                histogram: Histogram { from, to: from + width, counts },
            };
            for plot in [old_new(&numbers), change(&numbers.histogram)] {
                prop_assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
            }
        }
    }

    #[test]
    fn ticks_are_round() {
        let (x, _) = axes((-0.7, 1.3), (0.0, 1.0));
        assert_eq!(
            x.ticks().iter().map(|t| number(*t)).collect::<Vec<_>>(),
            ["-0.5", "0", "0.5", "1"]
        );
    }
}
