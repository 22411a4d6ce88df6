//! What a model was trained on: the least and the greatest value of each
//! feature.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer, ser::SerializeTuple as _};
use toml::de::DeValue;

use super::{
    Manifest,
    fields::{Fields, Notes, shown},
};
use crate::tensor::write_number;

/// The least and the greatest value that a model was trained on, written
/// `[4.3, 7.9]`. Both are finite, and the first is not above the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainedRange {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl fmt::Display for TrainedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", text(self.low), text(self.high))
    }
}

impl Serialize for TrainedRange {
    /// An array of two numbers, an integral one without a fraction.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        for number in [self.low, self.high] {
            match text(number).parse::<i64>() {
                Ok(integral) => pair.serialize_element(&integral)?,
                Err(_) => pair.serialize_element(&number)?,
            }
        }
        pair.end()
    }
}

fn text(number: f64) -> String {
    let mut out = Vec::new();
    write_number(number, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

impl Manifest {
    /// What the input `input` was trained on: one range for each of its
    /// columns in `[features]`, in order, or a single one for all of it where
    /// they have no names. A range of the whole input is that of each column
    /// which has none of its own. Empty where nothing is known.
    pub fn ranges_of(&self, input: &str) -> Vec<Option<TrainedRange>> {
        let whole = self.ranges.get(input).copied();
        let ranges: Vec<_> = match self.features.get(input) {
            None => vec![whole],
            Some(columns) => columns
                .iter()
                .map(|column| self.ranges.get(column).copied().or(whole))
                .collect(),
        };
        if ranges.iter().all(Option::is_none) {
            return Vec::new();
        }
        ranges
    }
}

/// Reads `[ranges]`.
pub(super) fn ranges(
    notes: &mut Notes<'_>,
    root: &mut Fields<'_>,
) -> BTreeMap<String, TrainedRange> {
    let mut ranges = BTreeMap::new();
    let Some(mut table) = root.table(notes, "ranges") else {
        return ranges;
    };
    for (name, _, value) in table.rest() {
        let key = table.key(name);
        let Some((low, high)) = pair(value.get_ref()) else {
            let reason = format!("{} does not fit", shown(value.get_ref()));
            let remedy = "give the least and the greatest value that the model was trained on, \
                          two finite numbers, such as [0.5, 40]";
            notes.note(Some(&value.span()), key, reason, remedy);
            continue;
        };
        if low > high {
            let reason = format!("{} is greater than {}", text(low), text(high));
            let remedy = "give the least value first, and then the greatest";
            notes.note(Some(&value.span()), key, reason, remedy);
            continue;
        }
        ranges.insert(name.to_owned(), TrainedRange { low, high });
    }
    ranges
}

fn pair(value: &DeValue<'_>) -> Option<(f64, f64)> {
    let number = |value: &DeValue<'_>| {
        let text = match value {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) => number.as_str(),
            _ => return None,
        };
        let number = text.replace('_', "").parse::<f64>().ok()?;
        number.is_finite().then_some(number)
    };
    match &**value.as_array()? {
        [low, high] => Some((number(low.get_ref())?, number(high.get_ref())?)),
        _ => None,
    }
}
