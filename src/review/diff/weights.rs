//! Where the weights of two versions differ.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    repository::{
        VerifiedModel,
        onnx::{self, Part},
    },
    review::report::{WeightChange, Weights},
    tensor::Tensor,
};

/// More than a person will read.
const MOST: usize = 50;

/// Compares the weights of two versions, by name.
pub(super) fn weights(base: &VerifiedModel, head: &VerifiedModel) -> Weights {
    let (before, after) = (named(base), named(head));
    let mut own = Weights::default();
    for (key, part) in &before {
        let change = match after.get(key) {
            None => change(Some(part), None),
            Some(other) if bytes(base, part) == bytes(head, other) => {
                own.same += 1;
                continue;
            }
            Some(other) => WeightChange {
                ..compared(
                    change(Some(part), Some(other)),
                    numbers(base, part),
                    numbers(head, other),
                )
            },
        };
        own.changes.push(change);
    }
    let new = after.iter().filter(|(key, _)| !before.contains_key(*key));
    own.changes
        .extend(new.map(|(_, part)| change(None, Some(part))));
    own.changed = own.changes.len();
    let size = |change: &WeightChange| change.relative.unwrap_or(f64::INFINITY);
    own.changes.sort_by(|a, b| size(b).total_cmp(&size(a)));
    own.changes.truncate(MOST);
    own
}

/// The parts by name, and by which of that name they are.
fn named(model: &VerifiedModel) -> BTreeMap<(&str, usize), &Part> {
    let mut named = BTreeMap::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for part in &model.outline.parts {
        let count = seen.entry(&part.name).or_default();
        named.insert((&*part.name, *count), part);
        *count += 1;
    }
    named
}

fn shape(part: &Part) -> String {
    let dims: Vec<_> = part.dims.iter().map(u64::to_string).collect();
    format!("[{}]", dims.join(","))
}

fn change(base: Option<&&Part>, head: Option<&&Part>) -> WeightChange {
    WeightChange {
        name: base
            .or(head)
            .map(|part| part.name.clone())
            .unwrap_or_default(),
        base: base.map(|part| shape(part)),
        head: head.map(|part| shape(part)),
        relative: None,
        largest: None,
    }
}

fn compared(
    mut change: WeightChange,
    base: Option<Vec<f64>>,
    head: Option<Vec<f64>>,
) -> WeightChange {
    let (Some(base), Some(head)) = (base, head) else {
        return change;
    };
    if base.len() != head.len() {
        return change;
    }
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let differences = || base.iter().zip(&head).map(|(a, b)| b - a);
    let before = norm(&mut base.iter().copied());
    let difference = norm(&mut differences());
    let finite = |number: f64| Some(number).filter(|n| n.is_finite());
    change.relative = finite(if before > 0.0 {
        difference / before
    } else {
        f64::INFINITY
    });
    change.largest = finite(differences().fold(0.0, |most, d| d.abs().max(most)));
    change
}

/// The bytes that hold the elements of `part`.
fn bytes<'a>(model: &'a VerifiedModel, part: &Part) -> &'a [u8] {
    let Some(external) = &part.external else {
        return model.bytes.graph.get(part.span.clone()).unwrap_or_default();
    };
    let file = model
        .bytes
        .external
        .iter()
        .find(|(name, _)| *name == external.location);
    let file = file.map_or(&[][..], |(_, bytes)| bytes);
    let start = usize::try_from(external.offset).unwrap_or(usize::MAX);
    let end = match external.length.and_then(|n| usize::try_from(n).ok()) {
        Some(length) => start.saturating_add(length),
        None => file.len(),
    };
    file.get(start..end).unwrap_or_default()
}

fn numbers(model: &VerifiedModel, part: &Part) -> Option<Vec<f64>> {
    let bytes = bytes(model, part);
    if part.external.is_some() {
        let dims = part.dims.iter().map(|&d| usize::try_from(d).ok());
        let shape = dims.collect::<Option<crate::tensor::Shape>>()?;
        let tensor = Tensor::from_bytes(
            onnx::dtype(part.element)?,
            shape,
            Bytes::copy_from_slice(bytes),
        );
        return tensor.ok()?.to_f64();
    }
    match part.element {
        0 => onnx::numbers(bytes),
        _ => onnx::tensor(bytes).ok()?.1.to_f64(),
    }
}
