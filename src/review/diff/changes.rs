//! What changed from one version's answers to the other's.

use std::collections::BTreeMap;

use crate::{
    engine::Output,
    review::report::{Classes, Flip, Histogram, Numbers, OutputChange},
    tensor::{DType, Tensor},
};

/// Points of a plot at most.
const POINTS: usize = 400;

/// Numbers of one output that are kept at most.
const NUMBERS: usize = 200_000;

const BINS: usize = 31;

/// What both versions gave for one output.
#[derive(Default)]
pub(super) struct Collected {
    numbers: Vec<(usize, f64, f64)>,
    not_finite: usize,
    pub(super) classes: BTreeMap<(String, String), usize>,
    /// The likeliest of several is a class of its own.
    likeliest: BTreeMap<(String, String), usize>,
}

impl Collected {
    pub(super) fn add(&mut self, row: usize, old: &Output, new: &Output) {
        match (old.tensor.dtype(), new.tensor.dtype()) {
            (a, b) if is_float(a) && is_float(b) => self.add_numbers(row, &old.tensor, &new.tensor),
            _ => {
                let (before, after) = (texts(&old.tensor), texts(&new.tensor));
                for pair in before.into_iter().zip(after) {
                    *self.classes.entry(pair).or_default() += 1;
                }
            }
        }
        if let (Some(before), Some(after)) = (likeliest(old), likeliest(new)) {
            for pair in before.into_iter().zip(after) {
                *self.likeliest.entry(pair).or_default() += 1;
            }
        }
    }

    fn add_numbers(&mut self, row: usize, old: &Tensor, new: &Tensor) {
        let before = old.to_f64().unwrap_or_default();
        let after = new.to_f64().unwrap_or_default();
        for (a, b) in before.into_iter().zip(after) {
            if a.is_finite() && b.is_finite() {
                if self.numbers.len() < NUMBERS {
                    self.numbers.push((row, a, b));
                }
            } else if a.is_finite() != b.is_finite() {
                self.not_finite += 1;
            }
        }
    }

    pub(super) fn finish(self, name: &str, with_likeliest: bool) -> OutputChange {
        let likeliest = self.likeliest;
        let pairs = if with_likeliest && self.classes.is_empty() {
            likeliest
        } else {
            self.classes
        };
        OutputChange {
            name: name.to_owned(),
            numbers: numbers(&self.numbers, self.not_finite),
            classes: (!pairs.is_empty()).then(|| classes(pairs)),
        }
    }
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
}

fn texts(tensor: &Tensor) -> Vec<String> {
    (0..tensor.len())
        .map(|index| {
            let mut out = Vec::new();
            tensor.write_element(index, &mut out);
            let text = String::from_utf8_lossy(&out).into_owned();
            text.trim_matches('"').to_owned()
        })
        .collect()
}

/// The column with the greatest number in each row, where there are several.
fn likeliest(output: &Output) -> Option<Vec<String>> {
    let tensor = &output.tensor;
    let [_, columns @ 2..=1000] = **tensor.shape() else {
        return None;
    };
    if !is_float(tensor.dtype()) {
        return None;
    }
    let numbers = tensor.to_f64()?;
    let rows = numbers.chunks_exact(columns).map(|row| {
        let best = (0..columns)
            .max_by(|&a, &b| row[a].total_cmp(&row[b]))
            .unwrap_or(0);
        format!("column {}", best + 1)
    });
    Some(rows.collect())
}

fn classes(pairs: BTreeMap<(String, String), usize>) -> Classes {
    let count = pairs.values().sum();
    let mut flips: Vec<Flip> = pairs
        .into_iter()
        .filter(|((base, head), _)| base != head)
        .map(|((base, head), count)| Flip { base, head, count })
        .collect();
    let total = flips.iter().map(|f| f.count).sum();
    flips.sort_by_key(|f| std::cmp::Reverse(f.count));
    flips.truncate(10);
    Classes {
        count,
        flips: total,
        pairs: flips,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn numbers(own: &[(usize, f64, f64)], not_finite: usize) -> Option<Numbers> {
    if own.is_empty() {
        return None;
    }
    let mut sizes: Vec<f64> = own.iter().map(|(_, a, b)| (b - a).abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let count = own.len();
    let range = own.iter().fold(
        [f64::INFINITY, f64::NEG_INFINITY],
        |[least, most], (_, a, _)| [least.min(*a), most.max(*a)],
    );
    let worst = own
        .iter()
        .max_by(|a, b| (a.2 - a.1).abs().total_cmp(&(b.2 - b.1).abs()));
    let step = count.div_ceil(POINTS).max(1);
    let changes: Vec<f64> = own.iter().map(|(_, a, b)| b - a).collect();
    Some(Numbers {
        count,
        mean: sizes.iter().sum::<f64>() / count as f64,
        p95: sizes[(count * 95).div_ceil(100).saturating_sub(1)],
        largest: sizes[count - 1],
        bias: changes.iter().sum::<f64>() / count as f64,
        range,
        worst: worst.copied(),
        not_finite,
        points: own.iter().step_by(step).map(|&(_, a, b)| [a, b]).collect(),
        histogram: histogram(&changes),
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bin's index is small and not negative"
)]
fn histogram(changes: &[f64]) -> Histogram {
    let least = changes.iter().copied().fold(f64::INFINITY, f64::min);
    let most = changes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Symmetric around nothing, so that the middle bin is "no change".
    let reach = least.abs().max(most.abs());
    if reach == 0.0 || !reach.is_finite() {
        return Histogram {
            from: 0.0,
            to: 0.0,
            counts: vec![changes.len()],
        };
    }
    let mut counts = vec![0; BINS];
    for change in changes {
        let place = (change + reach) / (2.0 * reach) * BINS as f64;
        counts[(place as usize).min(BINS - 1)] += 1;
    }
    Histogram {
        from: -reach,
        to: reach,
        counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_up() {
        let own: Vec<_> = (1..=100)
            .map(|n| (n, 0.0, f64::from(u32::try_from(n).unwrap())))
            .collect();
        let numbers = numbers(&own, 0).unwrap();
        assert_eq!(
            (numbers.mean, numbers.p95, numbers.largest, numbers.bias),
            (50.5, 95.0, 100.0, 50.5)
        );
        assert_eq!(numbers.worst, Some((100, 0.0, 100.0)));
        assert_eq!(numbers.histogram.counts.iter().sum::<usize>(), 100);
        assert_eq!(numbers.histogram.counts[..15], [0; 15]);
    }

    #[test]
    fn no_change_is_one_bin() {
        assert_eq!(histogram(&[0.0, 0.0]).counts, [2]);
    }

    #[test]
    fn flips_are_counted_by_pair() {
        let mut own = Collected::default();
        let text = |words: &[&str]| {
            let words = words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
            Output::from(Tensor::text([words.len()], words).unwrap())
        };
        own.add(1, &text(&["a", "a", "b"]), &text(&["a", "b", "b"]));
        let classes = own.finish("y", true).classes.unwrap();
        assert_eq!((classes.count, classes.flips), (3, 1));
        assert_eq!(
            (&*classes.pairs[0].base, &*classes.pairs[0].head),
            ("a", "b")
        );
        let mut own = Collected::default();
        let scores = |s: Vec<f32>| Output::from(Tensor::new([1, 2], s).unwrap());
        own.add(1, &scores(vec![0.6, 0.4]), &scores(vec![0.4, 0.6]));
        assert_eq!(own.finish("p", true).classes.unwrap().flips, 1);
    }
}
