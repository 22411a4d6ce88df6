//! Whether an answer is one of those that may be given.

use std::collections::HashMap;

use anyhow::Context as _;

use super::plan::{Compare, Plan};

/// An answer may differ from what is expected by this much, and by this
/// share of it: a batch may sum in another order than a single row.
const ABSOLUTE: f64 = 1e-5;
const RELATIVE: f64 = 1e-3;

/// The answers that may be given, and how often each was.
#[derive(Debug)]
pub(crate) struct Answers {
    exact: HashMap<Vec<u8>, usize>,
    known: Vec<Vec<u8>>,
    counts: Vec<u64>,
    compare: Compare,
    /// The first answer that was none of them, for the report.
    pub(crate) wrong: Option<Vec<u8>>,
}

impl Answers {
    /// The answers of a plan.
    pub(crate) fn of(plan: &Plan) -> anyhow::Result<Self> {
        let mut known = Vec::new();
        for path in &plan.answers {
            known.push(
                std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?,
            );
        }
        Ok(Self::new(known, plan.compare))
    }

    fn new(known: Vec<Vec<u8>>, compare: Compare) -> Self {
        Self {
            exact: known.iter().cloned().zip(0..).collect(),
            counts: vec![0; known.len()],
            known,
            compare,
            wrong: None,
        }
    }

    /// Counts `answer` where it is one of those that may be given; else
    /// gives `false`.
    pub(crate) fn take(&mut self, answer: &[u8]) -> bool {
        if self.known.is_empty() {
            return true;
        }
        let place = match self.exact.get(answer) {
            Some(place) => Some(*place),
            None => self.known.iter().position(|k| match self.compare {
                Compare::Exact => false,
                Compare::Text => text_is_close(k, answer),
                Compare::Floats(tail) => floats_are_close(k, answer, tail),
            }),
        };
        match place {
            Some(place) => {
                self.counts[place] += 1;
                true
            }
            None => {
                self.wrong.get_or_insert_with(|| answer.to_vec());
                false
            }
        }
    }

    /// How often each answer was given, in the plan's order.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= ABSOLUTE + RELATIVE * a.abs().max(b.abs())
}

/// The same text but for numbers, which are close.
fn text_is_close(a: &[u8], b: &[u8]) -> bool {
    let (mut i, mut j) = (0, 0);
    loop {
        match (number(&a[i..]), number(&b[j..])) {
            (Some((x, n)), Some((y, m))) => {
                if !is_close(x, y) {
                    return false;
                }
                i += n;
                j += m;
            }
            (None, None) => match (a.get(i), b.get(j)) {
                (None, None) => return true,
                (x, y) if x != y => return false,
                _ => {
                    i += 1;
                    j += 1;
                }
            },
            _ => return false,
        }
    }
}

/// The number that `text` starts with, and its length.
fn number(text: &[u8]) -> Option<(f64, usize)> {
    if !text
        .first()
        .is_some_and(|c| c.is_ascii_digit() || *c == b'-')
    {
        return None;
    }
    let end = text
        .iter()
        .position(|c| !(c.is_ascii_digit() || b"+-.eE".contains(c)))
        .unwrap_or(text.len());
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, end))
}

/// The same bytes but for the last `tail`, which are floats that are close.
fn floats_are_close(a: &[u8], b: &[u8], tail: usize) -> bool {
    if a.len() != b.len() || a.len() < tail {
        return false;
    }
    let (head, floats) = a.split_at(a.len() - tail);
    head == &b[..head.len()]
        && floats
            .as_chunks::<4>()
            .0
            .iter()
            .zip(b[head.len()..].as_chunks::<4>().0)
            .all(|(x, y)| is_close(f32::from_le_bytes(*x).into(), f32::from_le_bytes(*y).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_counted_as_the_one_that_it_is() {
        let mut answers = Answers::new(vec![b"a1".to_vec(), b"a2".to_vec()], Compare::Exact);
        assert!(answers.take(b"a2"));
        assert!(answers.take(b"a2"));
        assert!(!answers.take(b"a2.0"));
        assert_eq!(answers.counts(), [0, 2]);
        assert_eq!(answers.wrong.as_deref(), Some(&b"a2.0"[..]));
    }

    #[test]
    fn numbers_in_text_may_be_close() {
        let mut answers = Answers::new(vec![br#"{"y":[0.5,-1e3]}"#.to_vec()], Compare::Text);
        assert!(answers.take(br#"{"y":[0.500001,-1000]}"#));
        assert!(!answers.take(br#"{"y":[0.6,-1000]}"#));
        assert!(!answers.take(br#"{"z":[0.5,-1000]}"#));
        assert!(!answers.take(br#"{"y":[0.5,-1000]"#));
        assert!(!answers.take(br#"{"y":[0.5]}"#));
    }

    #[test]
    fn trailing_floats_may_be_close() {
        let with = |x: f32| [&b"{}"[..], &x.to_le_bytes()].concat();
        let mut answers = Answers::new(vec![with(2.0)], Compare::Floats(4));
        assert!(answers.take(&with(2.0001)));
        assert!(!answers.take(&with(2.1)));
        assert!(!answers.take(b"[]\0\0\0\x40"));
    }
}
