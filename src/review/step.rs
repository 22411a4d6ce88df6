//! Whether a version's step fits what changed.

use super::side::same_bytes;
use crate::{
    repository::{Manifest, Version},
    tensor::{Dim, Signature, TensorSpec},
};

/// The part of the version that a step raises.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Step {
    /// A lower version than before.
    Back,
    /// The same version.
    None,
    /// Only the pre-release or the build metadata.
    Prerelease,
    /// The last number.
    Patch,
    /// The middle number.
    Minor,
    /// The first number; for versions below v1.0.0, as semver has it, the
    /// middle one as well.
    Major,
}

/// The step from `base` to `head`.
pub(super) fn step(base: &Version, head: &Version) -> Step {
    let numbers = |v: &Version| (v.major(), v.minor(), v.patch());
    if head < base {
        return Step::Back;
    }
    if head == base {
        return Step::None;
    }
    let (before, after) = (numbers(base), numbers(head));
    if after.0 != before.0 {
        Step::Major
    } else if after.1 != before.1 {
        if after.0 == 0 {
            Step::Major
        } else {
            Step::Minor
        }
    } else if after.2 != before.2 {
        Step::Patch
    } else {
        Step::Prerelease
    }
}

/// The least version above `version` that raises its first number.
pub(super) fn next_major(version: &Version) -> Version {
    match version.major() {
        0 => Version::new(0, version.minor() + 1, 0),
        major => Version::new(major + 1, 0, 0),
    }
}

/// The least version above `version` that raises its middle number.
pub(super) fn next_minor(version: &Version) -> Version {
    Version::new(version.major(), version.minor() + 1, 0)
}

/// Whether the bytes of the model changed.
pub(super) fn bytes_changed(base: &Manifest, head: &Manifest) -> bool {
    !same_bytes(&base.files, &head.files)
}

/// A change of what a model takes or gives.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SignatureChange {
    /// What changed, in a sentence without its full stop.
    pub text: String,
    /// Whether a caller of the old version can go wrong with the new one.
    pub breaking: bool,
}

/// How what a model takes and gives changed. The names of symbolic dimensions
/// do not count.
pub(super) fn signature_changes(
    base: (&Signature, &Manifest),
    head: (&Signature, &Manifest),
) -> Vec<SignatureChange> {
    let mut changes = Vec::new();
    side("input", &base.0.inputs, &head.0.inputs, &mut changes);
    side("output", &base.0.outputs, &head.0.outputs, &mut changes);
    for spec in &head.0.inputs {
        let names = |m: &Manifest| m.features.get(&*spec.name).cloned();
        let (before, after) = (names(base.1), names(head.1));
        let stood = base.0.input_index(&spec.name).is_some();
        if stood && before != after {
            let list = |names: &Option<Vec<String>>| match names {
                Some(names) => names.join(", "),
                None => "no names".to_owned(),
            };
            changes.push(SignatureChange {
                text: format!(
                    "the columns of the input \"{}\" were {}, and are {}",
                    spec.name,
                    list(&before),
                    list(&after)
                ),
                // Callers that send rows by position never saw the names.
                breaking: before.is_some(),
            });
        }
    }
    changes
}

fn side(what: &str, base: &[TensorSpec], head: &[TensorSpec], out: &mut Vec<SignatureChange>) {
    let is_input = what == "input";
    let mut change = |text: String, breaking: bool| out.push(SignatureChange { text, breaking });
    for old in base {
        let Some(new) = head.iter().find(|h| h.name == old.name) else {
            change(format!("the {what} \"{}\" is gone", old.name), true);
            continue;
        };
        if old.dtype != new.dtype {
            let text = format!(
                "the {what} \"{}\" was {}, and is {}",
                old.name, old.dtype, new.dtype
            );
            change(text, true);
        }
        if !same_shape(old, new) {
            // An input that takes more is no trouble for those who send less.
            let wider = is_input && takes_all_of(new, old);
            let text = format!(
                "the {what} \"{}\" had the shape {}, and has {}",
                old.name,
                old.shape_text(),
                new.shape_text()
            );
            change(text, !wider);
        }
        if old.kind != new.kind {
            let text = format!(
                "the {what} \"{}\" was a {}, and is a {}",
                old.name, old.kind, new.kind
            );
            change(text, true);
        }
        if old.optional != new.optional {
            let text = match new.optional {
                true => format!("the {what} \"{}\" may now be left out", old.name),
                false => format!("the {what} \"{}\" may no longer be left out", old.name),
            };
            change(text, is_input != new.optional);
        }
    }
    for new in head
        .iter()
        .filter(|h| base.iter().all(|b| b.name != h.name))
    {
        let text = format!(
            "the {what} \"{}\" is new: {} {}",
            new.name,
            new.dtype,
            new.shape_text()
        );
        change(text, is_input && !new.optional);
    }
    let order = |specs: &[TensorSpec], others: &[TensorSpec]| -> Vec<_> {
        let common = specs
            .iter()
            .filter(|s| others.iter().any(|o| o.name == s.name));
        common.map(|s| s.name.clone()).collect()
    };
    if order(base, head) != order(head, base) {
        // Rows by position follow the order.
        change(format!("the {what}s stand in another order"), true);
    }
}

fn same_shape(a: &TensorSpec, b: &TensorSpec) -> bool {
    match (&a.dims, &b.dims) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_dim(a, b)),
        (None, None) => true,
        _ => false,
    }
}

fn same_dim(a: &Dim, b: &Dim) -> bool {
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
        (a, b) => a.is_dynamic() == b.is_dynamic(),
    }
}

fn takes_all_of(wide: &TensorSpec, narrow: &TensorSpec) -> bool {
    match (&wide.dims, &narrow.dims) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            wide.len() == narrow.len()
                && wide
                    .iter()
                    .zip(narrow)
                    .all(|(w, n)| w.is_dynamic() || same_dim(w, n))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, ValueKind};

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn steps_are_told_apart() {
        for (base, head, expected) in [
            ("v1.0.0", "v2.0.0", Step::Major),
            ("v1.0.0", "v1.1.0", Step::Minor),
            ("v1.9.0", "v1.10.0", Step::Minor),
            ("v1.0.0", "v1.0.1", Step::Patch),
            ("v0.1.0", "v0.2.0", Step::Major),
            ("v0.1.0", "v0.1.1", Step::Patch),
            ("v1.0.0-rc.1", "v1.0.0", Step::Prerelease),
            ("v1.0.0", "v1.0.0", Step::None),
            ("v1.0.0", "v0.9.0", Step::Back),
            ("v1.0.0", "v1.0.0-rc.1", Step::Back),
        ] {
            assert_eq!(
                step(&version(base), &version(head)),
                expected,
                "{base} {head}"
            );
        }
        assert_eq!(next_major(&version("v1.4.2")), version("v2.0.0"));
        assert_eq!(next_major(&version("v0.4.2")), version("v0.5.0"));
        assert_eq!(next_minor(&version("v1.4.2")), version("v1.5.0"));
    }

    fn spec(name: &str, dtype: DType, dims: &[Option<usize>]) -> TensorSpec {
        let dim = |d: &Option<usize>| d.map_or(Dim::Any, Dim::Fixed);
        TensorSpec {
            name: name.into(),
            dtype,
            dims: Some(dims.iter().map(dim).collect()),
            optional: false,
            has_default: false,
            kind: ValueKind::Tensor,
        }
    }

    fn changes(
        base: (Vec<TensorSpec>, Vec<TensorSpec>),
        head: (Vec<TensorSpec>, Vec<TensorSpec>),
    ) -> Vec<(String, bool)> {
        let signature = |(inputs, outputs)| Signature { inputs, outputs };
        let text = format!(
            "name = \"a\"\nversion = \"v1.0.0\"\ndescription = \"d\"\n[[files]]\npath = \"a.onnx\"\nsha256 = \"{}\"\n",
            "0".repeat(64)
        );
        let manifest = Manifest::parse("model.toml".as_ref(), &text).unwrap();
        let own = signature_changes((&signature(base), &manifest), (&signature(head), &manifest));
        own.into_iter().map(|c| (c.text, c.breaking)).collect()
    }

    #[test]
    fn changes_of_signatures_say_who_is_hurt() {
        let x = || spec("x", DType::F32, &[None, Some(4)]);
        let y = || spec("y", DType::F32, &[None, Some(1)]);
        let named = |name: &str| {
            let mut own = x();
            own.dims = Some(vec![Dim::Symbol(name.to_owned()), Dim::Fixed(4)]);
            own
        };
        assert_eq!(
            changes(
                (vec![named("N")], vec![y()]),
                (vec![named("batch")], vec![y()])
            ),
            []
        );
        let one = |base, head| {
            let mut own = changes(base, head);
            assert_eq!(own.len(), 1, "{own:?}");
            own.remove(0)
        };
        let (text, breaking) = one(
            (vec![x()], vec![y()]),
            (vec![spec("x", DType::F32, &[None, Some(5)])], vec![y()]),
        );
        assert_eq!(text, "the input \"x\" had the shape [?,4], and has [?,5]");
        assert!(breaking);
        let wider = spec("x", DType::F32, &[None, None]);
        assert!(!one((vec![x()], vec![y()]), (vec![wider], vec![y()])).1);
        let other = spec("x", DType::F64, &[None, Some(4)]);
        assert_eq!(
            one((vec![x()], vec![y()]), (vec![other], vec![y()])).0,
            "the input \"x\" was FP32, and is FP64"
        );
        let z = || spec("z", DType::I64, &[None]);
        assert_eq!(
            one((vec![x()], vec![y()]), (vec![x()], vec![y(), z()])),
            ("the output \"z\" is new: INT64 [?]".to_owned(), false)
        );
        assert!(one((vec![x()], vec![y(), z()]), (vec![x()], vec![y()])).1);
        assert!(one((vec![x()], vec![y()]), (vec![x(), z()], vec![y()])).1);
        assert!(
            one((vec![x(), z()], vec![y()]), (vec![z(), x()], vec![y()]))
                .0
                .contains("order")
        );
    }
}
