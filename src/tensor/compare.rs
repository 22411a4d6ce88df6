//! Whether an output is the one that the model must give.

use super::{DType, Tensor};

/// How far a number may be from the one expected, as numpy's `allclose` has
/// it: `|expected - got| <= absolute + relative * |expected|`.
///
/// The default, 1e-5 and 1e-4, is what single precision loses when the same
/// model runs on another processor. NaN equals NaN, and an infinity only
/// itself. Integers and booleans must be within `absolute` alone, so they
/// must be equal unless it is 1 or more. Text must be equal.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tolerance {
    /// The part that does not depend on the number.
    pub absolute: f64,
    /// The part for each unit of the number expected.
    pub relative: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            absolute: 1e-5,
            relative: 1e-4,
        }
    }
}

/// How an output differs from the one that the model must give.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// The model has no such output.
    #[error("the model has no output \"{output}\"")]
    Missing {
        /// The output's name.
        output: String,
    },
    /// Another type.
    #[error("the output \"{output}\" is {got}, and must be {expected}")]
    Type {
        /// The output's name.
        output: String,
        /// The type that it must have.
        expected: DType,
        /// The type that it has.
        got: DType,
    },
    /// Another shape.
    #[error("the output \"{output}\" has shape {got}, and must have {expected}")]
    Shape {
        /// The output's name.
        output: String,
        /// The shape that it must have.
        expected: String,
        /// The shape that it has.
        got: String,
    },
    /// Other keys of a map.
    #[error("the output \"{output}\" has the keys {got}, and must have {expected}")]
    Keys {
        /// The output's name.
        output: String,
        /// The keys that it must have, as JSON.
        expected: String,
        /// The keys that it has, as JSON.
        got: String,
    },
    /// Another value; of several, the one that is furthest off.
    #[error("{0}")]
    Value(Box<WrongValue>),
}

/// An element that is not the one that the model must give.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "the output \"{output}\" at {index:?} is {got}, and must be {expected}{}",
    how_far(*.difference, *.allowed, *.beyond, *.of)
)]
pub struct WrongValue {
    /// The output's name.
    pub output: String,
    /// The index in each dimension.
    pub index: Vec<usize>,
    /// The value that it must have.
    pub expected: String,
    /// The value that it has.
    pub got: String,
    /// How far apart they are; `None` for text.
    pub difference: Option<f64>,
    /// How far apart they may be; `None` for text.
    pub allowed: Option<f64>,
    /// How many elements of the output are off.
    pub beyond: usize,
    /// How many elements it has.
    pub of: usize,
}

fn how_far(difference: Option<f64>, allowed: Option<f64>, beyond: usize, of: usize) -> String {
    let mut text = match (difference, allowed) {
        (Some(difference), Some(allowed)) => {
            format!(" (off by {difference:.3e}, {allowed:.1e} is allowed")
        }
        _ => " (".to_owned(),
    };
    if of > 1 {
        let comma = if text == " (" { "" } else { "; " };
        text += &format!("{comma}{beyond} of {of} elements are off");
    }
    if text == " (" {
        return String::new();
    }
    text + ")"
}

/// Compares `got` with `expected`; `output` is the name, for the mismatch.
/// A sequence whose parts differ in shape must have the same parts.
///
/// # Errors
/// How they differ.
pub fn compare(
    output: &str,
    expected: &Tensor,
    got: &Tensor,
    tolerance: Tolerance,
) -> Result<(), Mismatch> {
    if expected.dtype() != got.dtype() {
        return Err(Mismatch::Type {
            output: output.to_owned(),
            expected: expected.dtype(),
            got: got.dtype(),
        });
    }
    if expected.shape() != got.shape() {
        return Err(Mismatch::Shape {
            output: output.to_owned(),
            expected: expected.shape().to_string(),
            got: got.shape().to_string(),
        });
    }
    if let Some(parts) = expected.described_parts()
        && expected.part_shapes() != got.part_shapes()
    {
        return Err(Mismatch::Shape {
            output: output.to_owned(),
            expected: parts,
            got: got
                .described_parts()
                .unwrap_or_else(|| got.shape().to_string()),
        });
    }
    let apart = apart(expected, got, tolerance);
    let off: Vec<usize> = (0..apart.len()).filter(|&i| !apart[i].is_close()).collect();
    let worst = off
        .iter()
        .copied()
        .max_by(|&a, &b| apart[a].excess().total_cmp(&apart[b].excess()));
    let Some(worst) = worst else { return Ok(()) };
    Err(Mismatch::Value(Box::new(WrongValue {
        output: output.to_owned(),
        index: place(expected.shape(), worst),
        expected: element(expected, worst),
        got: element(got, worst),
        difference: apart[worst].difference,
        allowed: apart[worst].allowed,
        beyond: off.len(),
        of: apart.len(),
    })))
}

/// Two elements: how far apart they are, and how far they may be.
struct Apart {
    equal: bool,
    difference: Option<f64>,
    allowed: Option<f64>,
}

impl Apart {
    fn text(equal: bool) -> Self {
        Self {
            equal,
            difference: None,
            allowed: None,
        }
    }

    fn is_close(&self) -> bool {
        self.equal || matches!((self.difference, self.allowed), (Some(d), Some(a)) if d <= a)
    }

    /// For finding the worst: NaN stands above all.
    fn excess(&self) -> f64 {
        match (self.difference, self.allowed) {
            (Some(d), Some(a)) => d - a,
            _ => f64::INFINITY,
        }
    }
}

fn apart(expected: &Tensor, got: &Tensor, tolerance: Tolerance) -> Vec<Apart> {
    if let (Some(expected), Some(got)) = (expected.strings(), got.strings()) {
        let pairs = expected.iter().zip(got);
        return pairs.map(|(a, b)| Apart::text(a == b)).collect();
    }
    match expected.dtype() {
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
            let pairs = expected.to_f64().unwrap_or_default();
            let pairs = pairs.into_iter().zip(got.to_f64().unwrap_or_default());
            pairs.map(|(a, b)| floats(a, b, tolerance)).collect()
        }
        _ => {
            let pairs = whole(expected).into_iter().zip(whole(got));
            pairs.map(|(a, b)| integers(a, b, tolerance)).collect()
        }
    }
}

fn floats(expected: f64, got: f64, tolerance: Tolerance) -> Apart {
    // Only what is finite has a distance within which it may lie.
    let allowed = if expected.is_finite() && got.is_finite() {
        tolerance.absolute + tolerance.relative * expected.abs()
    } else {
        0.0
    };
    Apart {
        equal: expected == got || expected.is_nan() && got.is_nan(),
        difference: Some((expected - got).abs()),
        allowed: Some(allowed),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "equality is decided on the integers"
)]
fn integers(expected: i128, got: i128, tolerance: Tolerance) -> Apart {
    Apart {
        equal: expected == got,
        difference: Some((expected - got).unsigned_abs() as f64),
        allowed: Some(tolerance.absolute),
    }
}

/// The elements of a tensor of integers or booleans.
fn whole(tensor: &Tensor) -> Vec<i128> {
    macro_rules! widen {
        ($($type:ty),+) => {
            $(if let Some(elements) = tensor.elements::<$type>() {
                return elements.iter().map(|&n| i128::from(n)).collect();
            })+
        };
    }
    widen!(u8, u16, u32, u64, i8, i16, i32, i64);
    Vec::new()
}

fn element(tensor: &Tensor, index: usize) -> String {
    let mut out = Vec::new();
    if tensor.write_element(index, &mut out) {
        return String::from_utf8_lossy(&out).into_owned();
    }
    let value = tensor.to_f64().and_then(|all| all.get(index).copied());
    value.map_or_else(String::new, |value| value.to_string())
}

/// The index of the element at `flat` in each dimension.
fn place(shape: &[usize], mut flat: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (place, &size) in index.iter_mut().zip(shape).rev() {
        *place = flat % size.max(1);
        flat /= size.max(1);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXACT: Tolerance = Tolerance {
        absolute: 0.0,
        relative: 0.0,
    };

    fn floats_of(values: &[f32]) -> Tensor {
        Tensor::new([values.len()], values.to_vec()).unwrap()
    }

    fn text(expected: &Tensor, got: &Tensor, tolerance: Tolerance) -> String {
        compare("y", expected, got, tolerance)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_worst_element_is_told() {
        let expected = Tensor::new([2, 2], vec![1f32, 2.0, 3.0, 4.0]).unwrap();
        let got = Tensor::new([2, 2], vec![1f32, 2.5, 3.0, 5.0]).unwrap();
        assert_eq!(
            text(&expected, &got, Tolerance::default()),
            "the output \"y\" at [1, 1] is 5, and must be 4 (off by 1.000e0, 4.1e-4 is allowed; 2 of \
             4 elements are off)"
        );
    }

    #[test]
    fn within_tolerance_is_close() {
        let tolerance = Tolerance {
            absolute: 0.1,
            relative: 0.01,
        };
        let expected = floats_of(&[100.0, 0.0]);
        assert_eq!(
            compare("y", &expected, &floats_of(&[101.05, 0.05]), tolerance),
            Ok(())
        );
        assert!(compare("y", &expected, &floats_of(&[101.2, 0.05]), tolerance).is_err());
    }

    #[test]
    fn what_is_not_finite_equals_only_itself() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0];
        let loose = Tolerance {
            absolute: 1e9,
            relative: 1e9,
        };
        for (i, &a) in special.iter().enumerate() {
            for (j, &b) in special.iter().enumerate() {
                let same = compare("y", &floats_of(&[a]), &floats_of(&[b]), loose);
                assert_eq!(same.is_ok(), i == j, "{a} {b}");
            }
        }
        assert!(
            text(&floats_of(&[1.0]), &floats_of(&[f32::NAN]), loose)
                .contains("is NaN, and must be 1")
        );
    }

    #[test]
    fn integers_are_exact_unless_the_tolerance_is_whole() {
        let of = |n: i64| Tensor::new([1], vec![n]).unwrap();
        let one = Tolerance {
            absolute: 1.0,
            relative: 1.0,
        };
        // As doubles these would be equal.
        assert!(compare("y", &of(i64::MAX), &of(i64::MAX - 1), Tolerance::default()).is_err());
        assert_eq!(compare("y", &of(7), &of(8), one), Ok(()));
        assert!(compare("y", &of(7), &of(9), one).is_err());
        let bools = |b| Tensor::bools([1], vec![b]).unwrap();
        assert!(text(&bools(true), &bools(false), EXACT).contains("is false, and must be true"));
    }

    #[test]
    fn text_type_and_shape_are_exact() {
        let of = |s: &str| Tensor::text([1], vec![s.to_owned()]).unwrap();
        assert_eq!(
            text(&of("cat"), &of("dog"), Tolerance::default()),
            "the output \"y\" at [0] is \"dog\", and must be \"cat\""
        );
        assert!(text(&of("1"), &floats_of(&[1.0]), EXACT).contains("is FP32, and must be BYTES"));
        let column = floats_of(&[1.0]).reshape([1, 1]).unwrap();
        assert!(
            text(&floats_of(&[1.0]), &column, EXACT).contains("has shape [1,1], and must have [1]")
        );
    }

    #[test]
    fn the_parts_of_a_sequence_are_compared() {
        let flat = || floats_of(&[1.0, 2.0, 3.0]);
        let of = |shapes| flat().with_described_parts(shapes).unwrap();
        assert_eq!(
            text(&of("[[2],[1]]"), &of("[[1],[2]]"), EXACT),
            "the output \"y\" has shape [[1],[2]], and must have [[2],[1]]"
        );
        assert!(text(&of("[[2],[1]]"), &flat(), EXACT).contains("has shape [3]"));
        assert_eq!(
            compare("y", &of("[[2],[1]]"), &of("[[2],[1]]"), EXACT),
            Ok(())
        );
        assert_eq!(compare("y", &flat(), &of("[[2],[1]]"), EXACT), Ok(()));
    }

    proptest! {
        #[test]
        fn everything_equals_itself(values: Vec<f32>) {
            prop_assert_eq!(compare("y", &floats_of(&values), &floats_of(&values), EXACT), Ok(()));
        }

        #[test]
        fn any_change_is_seen_exactly(values in prop::collection::vec(-1e6f32..1e6, 1..20), at: prop::sample::Index, by in 1f32..100.0) {
            let mut other = values.clone();
            let at = at.index(values.len());
            other[at] += by;
            let found = compare("y", &floats_of(&values), &floats_of(&other), EXACT);
            let Err(Mismatch::Value(wrong)) = found else { panic!("{found:?}") };
            prop_assert_eq!((wrong.index, wrong.beyond), (vec![at], 1));
        }
    }
}
