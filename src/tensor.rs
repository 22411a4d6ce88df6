//! Tensors: a shape, an element type, and the elements.
//!
//! Elements of a fixed size are kept as their little-endian bytes in one
//! reference-counted buffer, which is also how they travel: a body from the
//! network becomes an input, and an output becomes a body, without a copy.

mod binary;
mod buffer;
mod compare;
mod dtype;
pub mod json;
mod number;
mod rows;
mod sequence;
mod shape;
mod signature;

use std::sync::Arc;

use bytes::Bytes;

pub use self::{
    binary::{read_raw, write_raw},
    buffer::Buffer,
    compare::{Mismatch, Tolerance, WrongValue, compare},
    dtype::{DType, Element},
    number::write_number,
    rows::{concatenate, split},
    shape::{Dim, MOST_DIMENSIONS, Shape},
    signature::{Signature, TensorSpec, ValueKind},
};
use crate::error::{Error, Result};

#[cfg(target_endian = "big")]
compile_error!("tensors are kept as little-endian bytes, the protocol's own order");

/// A tensor. Clones share the elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Data,
    /// The shapes of a sequence's parts, where they differ.
    parts: Option<Arc<[Shape]>>,
}

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Elements of a fixed size, little-endian. BOOL bytes are 0 or 1.
    Fixed(DType, Bytes),
    /// Text.
    Text(Arc<[String]>),
}

/// Lets a typed vector stand behind [`Bytes`] without a copy.
struct Elements<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for Elements<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Tensor {
    /// A tensor of numbers.
    ///
    /// # Errors
    /// `Invalid` when the shape holds another number of elements.
    pub fn new<T: Element>(shape: impl Into<Shape>, elements: Vec<T>) -> Result<Self> {
        let bytes = Bytes::from_owner(Elements(elements));
        Self::from_bytes(T::DTYPE, shape, bytes)
    }

    /// A tensor of booleans.
    ///
    /// # Errors
    /// `Invalid` when the shape holds another number of elements.
    pub fn bools(shape: impl Into<Shape>, elements: Vec<bool>) -> Result<Self> {
        let bytes: Vec<u8> = elements.into_iter().map(u8::from).collect();
        Self::from_bytes(DType::Bool, shape, bytes.into())
    }

    /// A tensor of text.
    ///
    /// # Errors
    /// `Invalid` when the shape holds another number of elements.
    pub fn text(shape: impl Into<Shape>, elements: Vec<String>) -> Result<Self> {
        let shape = shape.into();
        check_count(&shape, elements.len())?;
        Ok(Self {
            shape,
            data: Data::Text(elements.into()),
            parts: None,
        })
    }

    /// A tensor from the little-endian bytes of its elements.
    ///
    /// # Errors
    /// `Invalid` when the number of bytes does not fit the shape, when a BOOL
    /// is neither 0 nor 1, or when `dtype` is BYTES, which has no fixed size.
    pub fn from_bytes(dtype: DType, shape: impl Into<Shape>, bytes: Bytes) -> Result<Self> {
        let shape = shape.into();
        let Some(size) = dtype.size() else {
            return Err(Error::invalid("BYTES elements have no fixed size"));
        };
        let expected = shape.elements().and_then(|n| n.checked_mul(size));
        if expected != Some(bytes.len()) {
            return Err(Error::invalid(format!(
                "{} bytes do not fill the shape {shape} of {dtype}, which takes {}",
                bytes.len(),
                expected.map_or_else(|| "more than memory".to_owned(), |n| n.to_string()),
            )));
        }
        if dtype == DType::Bool
            && let Some(index) = bytes.iter().position(|&b| b > 1)
        {
            return Err(Error::invalid(format!(
                "the BOOL at index {index} is the byte {}, and must be 0 or 1",
                bytes[index]
            )));
        }
        Ok(Self {
            shape,
            data: Data::Fixed(dtype, bytes),
            parts: None,
        })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match &self.data {
            Data::Fixed(dtype, _) => *dtype,
            Data::Text(_) => DType::Bytes,
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Fixed(dtype, bytes) => bytes.len() / dtype.size().unwrap_or(1),
            Data::Text(text) => text.len(),
        }
    }

    /// The bytes of memory that its elements take.
    pub fn size(&self) -> usize {
        match &self.data {
            Data::Fixed(_, bytes) => bytes.len(),
            Data::Text(text) => {
                let own = std::mem::size_of_val(&text[..]);
                own + text.iter().map(String::len).sum::<usize>()
            }
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, where they are `T`: borrowed when the buffer is aligned
    /// for `T`, else copied. `None` for another type.
    pub fn elements<T: Element>(&self) -> Option<std::borrow::Cow<'_, [T]>> {
        let Data::Fixed(dtype, bytes) = &self.data else {
            return None;
        };
        if *dtype != T::DTYPE && !(*dtype == DType::Bool && T::DTYPE == DType::U8) {
            return None;
        }
        Some(match bytemuck::try_cast_slice(bytes) {
            Ok(slice) => std::borrow::Cow::Borrowed(slice),
            Err(_) => std::borrow::Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        })
    }

    /// The text, where it is text.
    pub fn strings(&self) -> Option<&[String]> {
        match &self.data {
            Data::Text(text) => Some(text),
            Data::Fixed(..) => None,
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// `Invalid` when the shape holds another number of elements.
    pub fn reshape(mut self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        check_count(&shape, self.len())?;
        self.shape = shape;
        self.parts = None;
        Ok(self)
    }

    /// Every number as an `f64`: for comparing within a tolerance. Text gives
    /// `None`. Integers beyond 2^53 are rounded.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        fn widen<T: Element>(tensor: &Tensor, to: impl Fn(T) -> f64) -> Option<Vec<f64>> {
            Some(tensor.elements::<T>()?.iter().map(|&x| to(x)).collect())
        }
        match self.dtype() {
            DType::Bool | DType::U8 => widen::<u8>(self, f64::from),
            DType::U16 => widen::<u16>(self, f64::from),
            DType::U32 => widen::<u32>(self, f64::from),
            #[expect(clippy::cast_precision_loss, reason = "documented rounding")]
            DType::U64 => widen::<u64>(self, |x| x as f64),
            DType::I8 => widen::<i8>(self, f64::from),
            DType::I16 => widen::<i16>(self, f64::from),
            DType::I32 => widen::<i32>(self, f64::from),
            #[expect(clippy::cast_precision_loss, reason = "documented rounding")]
            DType::I64 => widen::<i64>(self, |x| x as f64),
            DType::F16 => widen::<half::f16>(self, f64::from),
            DType::BF16 => widen::<half::bf16>(self, f64::from),
            DType::F32 => widen::<f32>(self, f64::from),
            DType::F64 => widen::<f64>(self, |x| x),
            DType::Bytes => None,
        }
    }
}

fn check_count(shape: &Shape, got: usize) -> Result<()> {
    if shape.elements() == Some(got) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{got} elements do not fill the shape {shape}"
    )))
}
