//! JSON → tensor elements, straight into the tensor's own vector.

use std::{cell::Cell, fmt, marker::PhantomData};

use half::{bf16, f16};
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

use crate::{
    error::{Error, Result},
    tensor::{DType, Shape, Tensor},
};

/// Reads the JSON array `json`, flat or nested, as the elements of a tensor.
/// `name` is the tensor's, for errors.
///
/// # Errors
/// `Invalid`, with the tensor's name, the index and the value that does not
/// fit its type, or the number of elements that does not fill the shape.
pub fn read_data(name: &str, dtype: DType, shape: Shape, json: &str) -> Result<Tensor> {
    macro_rules! read {
        ($type:ty, $new:expr) => {
            collect::<$type>(name, &shape, json).and_then(|e| $new(shape.clone(), e))
        };
    }
    match dtype {
        DType::Bool => read!(bool, Tensor::bools),
        DType::U8 => read!(u8, Tensor::new),
        DType::U16 => read!(u16, Tensor::new),
        DType::U32 => read!(u32, Tensor::new),
        DType::U64 => read!(u64, Tensor::new),
        DType::I8 => read!(i8, Tensor::new),
        DType::I16 => read!(i16, Tensor::new),
        DType::I32 => read!(i32, Tensor::new),
        DType::I64 => read!(i64, Tensor::new),
        DType::F16 => read!(f16, Tensor::new),
        DType::BF16 => read!(bf16, Tensor::new),
        DType::F32 => read!(f32, Tensor::new),
        DType::F64 => read!(f64, Tensor::new),
        DType::Bytes => read!(String, Tensor::text),
    }
    .map_err(|e| e.within(format_args!("the tensor \"{name}\"")))
}

fn collect<T: FromJson>(name: &str, shape: &Shape, json: &str) -> Result<Vec<T>> {
    let expected = shape
        .elements()
        .ok_or_else(|| Error::invalid(format!("the shape {shape} is larger than memory")))?;
    // A claimed shape must not allocate more than the text could fill: each
    // element takes at least two characters.
    let mut elements = Vec::with_capacity(expected.min(json.len() / 2 + 1));
    let failed = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Nested {
        out: &mut elements,
        expected,
        depth: 0,
        failed: &failed,
        name: PhantomData,
    }
    .deserialize(&mut deserializer)
    .and_then(|()| deserializer.end());
    let _ = name;
    match read {
        Ok(()) => Ok(elements),
        Err(e) if failed.get() => {
            // serde_json adds the place in the text, which is not the
            // caller's body: cut it off.
            let text = e.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            Err(Error::invalid(text.to_owned()))
        }
        Err(e) => Err(Error::invalid(format!(
            "its data is not a JSON array of elements: {e}"
        ))),
    }
}

/// Reads one level of the array, or one element.
struct Nested<'a, T> {
    out: &'a mut Vec<T>,
    expected: usize,
    depth: usize,
    failed: &'a Cell<bool>,
    name: PhantomData<T>,
}

impl<T: FromJson> Nested<'_, T> {
    fn push<E: serde::de::Error>(
        self,
        element: Option<T>,
        shown: &dyn fmt::Display,
    ) -> Result<(), E> {
        let index = self.out.len();
        if index >= self.expected {
            self.failed.set(true);
            return Err(E::custom(format_args!(
                "it has more elements than the {} of its shape",
                self.expected
            )));
        }
        let Some(element) = element else {
            self.failed.set(true);
            return Err(E::custom(format_args!(
                "the value {shown} at index {index} does not fit {}",
                T::DTYPE
            )));
        };
        self.out.push(element);
        Ok(())
    }
}

impl<'de, T: FromJson> DeserializeSeed<'de> for Nested<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Nesting beyond this is refused: no tensor has so many dimensions.
const MAX_DEPTH: usize = 64;

impl<'de, T: FromJson> Visitor<'de> for Nested<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {}", T::DTYPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth >= MAX_DEPTH {
            self.failed.set(true);
            return Err(A::Error::custom(format_args!(
                "it is nested deeper than {MAX_DEPTH}"
            )));
        }
        while seq
            .next_element_seed(Nested {
                out: &mut *self.out,
                expected: self.expected,
                depth: self.depth + 1,
                failed: self.failed,
                name: PhantomData,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<(), E> {
        self.push(T::from_bool(v), &v)
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<(), E> {
        self.push(T::from_int(i128::from(v)), &v)
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<(), E> {
        self.push(T::from_int(i128::from(v)), &v)
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<(), E> {
        self.push(T::from_double(v), &v)
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<(), E> {
        self.push(T::from_text(v), &format_args!("{v:?}"))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.push(None, &"null")
    }
}

/// An element as it may stand in JSON.
trait FromJson: Sized {
    const DTYPE: DType;
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    fn from_int(_: i128) -> Option<Self> {
        None
    }
    fn from_double(_: f64) -> Option<Self> {
        None
    }
    fn from_text(_: &str) -> Option<Self> {
        None
    }
}

impl FromJson for bool {
    const DTYPE: DType = DType::Bool;
    fn from_bool(v: bool) -> Option<Self> {
        Some(v)
    }
    fn from_int(v: i128) -> Option<Self> {
        match v {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl FromJson for String {
    const DTYPE: DType = DType::Bytes;
    fn from_text(v: &str) -> Option<Self> {
        Some(v.to_owned())
    }
}

macro_rules! integers {
    ($($type:ty => $dtype:ident),+) => {
        $(impl FromJson for $type {
            const DTYPE: DType = DType::$dtype;
            fn from_int(v: i128) -> Option<Self> {
                Self::try_from(v).ok()
            }
            /// `3.0` is an integer to many writers of JSON.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be integral and in range")]
            fn from_double(v: f64) -> Option<Self> {
                (v.fract() == 0.0 && v.abs() < 9.007_199_254_740_992e15)
                    .then(|| Self::try_from(v as i64).ok())
                    .flatten()
            }
        })+
    };
}
integers!(u8 => U8, u16 => U16, u32 => U32, u64 => U64, i8 => I8, i16 => I16, i32 => I32, i64 => I64);

macro_rules! floats {
    ($($type:ty => $dtype:ident by $narrow:expr),+) => {
        $(impl FromJson for $type {
            const DTYPE: DType = DType::$dtype;
            #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest is what a float does")]
            fn from_int(v: i128) -> Option<Self> {
                Self::from_double(v as f64)
            }
            fn from_double(v: f64) -> Option<Self> {
                let narrow: $type = $narrow(v);
                narrow.is_finite().then_some(narrow)
            }
            fn from_text(v: &str) -> Option<Self> {
                Some(match v {
                    "NaN" => $narrow(f64::NAN),
                    "Infinity" => $narrow(f64::INFINITY),
                    "-Infinity" => $narrow(f64::NEG_INFINITY),
                    _ => return None,
                })
            }
        })+
    };
}
#[expect(
    clippy::cast_possible_truncation,
    reason = "out of range becomes infinite, which is refused"
)]
fn single(v: f64) -> f32 {
    v as f32
}
floats!(f16 => F16 by f16::from_f64, bf16 => BF16 by bf16::from_f64, f32 => F32 by single, f64 => F64 by f64::from);

#[cfg(test)]
mod tests {
    use super::*;

    fn error(dtype: DType, shape: &[usize], json: &str) -> String {
        read_data("x", dtype, Shape::new(shape), json)
            .unwrap_err()
            .message()
            .to_owned()
    }

    #[test]
    fn flat_and_nested_are_the_same() {
        let flat = read_data("x", DType::F32, Shape::from([2, 2]), "[1,2,3,4]").unwrap();
        let nested = read_data("x", DType::F32, Shape::from([2, 2]), "[[1,2],[3,4]]").unwrap();
        assert_eq!(flat, nested);
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let text = error(DType::U8, &[2], "[1,300]");
        assert!(
            text.contains("\"x\"")
                && text.contains("300")
                && text.contains("index 1")
                && text.contains("UINT8"),
            "{text}"
        );
        assert!(error(DType::F32, &[1], "[1e39]").contains("1e39"));
    }

    #[test]
    fn large_integers_survive() {
        let n = i64::MAX - 1;
        let tensor = read_data("x", DType::I64, Shape::from([1]), &format!("[{n}]")).unwrap();
        assert_eq!(tensor.elements::<i64>().unwrap()[0], n);
    }

    #[test]
    fn counts_must_fit() {
        assert!(error(DType::I32, &[3], "[1,2]").contains("fill"));
        assert!(error(DType::I32, &[1], "[1,2]").contains("more elements"));
    }
}
