//! A sequence of tensors as one tensor.
//!
//! Where all have one shape they are stacked: `[n, …]`. Where they do not,
//! their elements stand one after the other in one flat tensor, which then
//! knows the shapes of its parts.

use std::sync::Arc;

use bytes::BytesMut;

use super::{DType, Data, Shape, Tensor};
use crate::error::{Error, Result};

impl Tensor {
    /// `parts`, all of `dtype`, as one tensor.
    ///
    /// # Errors
    /// `Invalid` where a part is of another type.
    pub fn sequence(dtype: DType, parts: &[Tensor]) -> Result<Self> {
        if let Some(other) = parts.iter().find(|p| p.dtype() != dtype) {
            return Err(Error::invalid(format!(
                "a sequence of {dtype} has a part of {}",
                other.dtype()
            )));
        }
        let elements = parts.iter().map(Tensor::len).sum();
        let first = parts.first().map(|p| p.shape.clone());
        let is_stack = parts.iter().all(|p| Some(&p.shape) == first.as_ref());
        let shape = match &first {
            Some(shape) if is_stack => [parts.len()].iter().chain(shape.iter()).copied().collect(),
            Some(_) => Shape::from([elements]),
            None => Shape::from([0]),
        };
        let data = if dtype == DType::Bytes {
            let text = parts.iter().flat_map(|p| p.strings().unwrap_or_default());
            Data::Text(text.cloned().collect())
        } else {
            let bytes = || {
                parts.iter().filter_map(|p| match &p.data {
                    Data::Fixed(_, bytes) => Some(bytes),
                    Data::Text(_) => None,
                })
            };
            let mut whole = BytesMut::with_capacity(bytes().map(|b| b.len()).sum());
            bytes().for_each(|b| whole.extend_from_slice(b));
            Data::Fixed(dtype, whole.freeze())
        };
        let parts: Arc<[Shape]> = parts.iter().map(|p| p.shape.clone()).collect();
        Ok(Self {
            shape,
            data,
            parts: (!is_stack).then_some(parts),
        })
    }

    /// The same elements as a sequence of tensors of these shapes.
    ///
    /// # Errors
    /// `Invalid` where the shapes hold another number of elements, or the
    /// tensor is not flat.
    pub fn with_parts(mut self, shapes: Vec<Shape>) -> Result<Self> {
        let elements = shapes
            .iter()
            .try_fold(0usize, |sum, s| sum.checked_add(s.elements()?));
        if self.shape.len() != 1 || elements != Some(self.len()) {
            return Err(Error::invalid(format!(
                "the shapes of its parts hold {} elements, and its own shape {} must be flat and \
                 hold as many",
                elements.map_or_else(|| "too many".to_owned(), |n| n.to_string()),
                self.shape
            )));
        }
        self.parts = Some(shapes.into());
        Ok(self)
    }

    /// As [`Tensor::with_parts`], of shapes listed as JSON text:
    /// `[[2,3],[4]]`.
    ///
    /// # Errors
    /// `Invalid` where that is no such list, or does not fit the tensor.
    pub fn with_described_parts(self, shapes: &str) -> Result<Self> {
        let shapes: Vec<Vec<usize>> = serde_json::from_str(shapes).map_err(|e| {
            Error::invalid(format!(
                "its parameter shapes is not a list of shapes such as [[2,3],[4]]: {e}"
            ))
        })?;
        self.with_parts(shapes.iter().map(|dims| Shape::new(dims)).collect())
    }

    /// The shapes of the parts as JSON text, where they can't be told from the
    /// tensor's.
    pub fn described_parts(&self) -> Option<String> {
        let shapes: Vec<&[usize]> = self.parts.as_ref()?.iter().map(|s| &s[..]).collect();
        serde_json::to_string(&shapes).ok()
    }

    /// The shapes of the parts, where they can't be told from the tensor's.
    pub fn part_shapes(&self) -> Option<&[Shape]> {
        self.parts.as_deref()
    }

    /// The parts of a sequence, sharing this tensor's buffer.
    ///
    /// # Errors
    /// `Invalid` for a scalar, which has no parts.
    pub fn parts(&self) -> Result<Vec<Tensor>> {
        let shapes: Vec<Shape> = match &self.parts {
            Some(shapes) => shapes.to_vec(),
            None => {
                let Some((count, rest)) = self.shape.split_first() else {
                    return Err(Error::invalid(
                        "a sequence takes a tensor whose first dimension counts its parts",
                    ));
                };
                vec![Shape::new(rest); *count]
            }
        };
        let mut start = 0;
        let parts = shapes.into_iter().map(|shape| {
            let count = shape.elements().unwrap_or(0);
            let range = start..start + count;
            start += count;
            let data = match &self.data {
                Data::Fixed(dtype, bytes) => {
                    let size = dtype.size().unwrap_or(1);
                    Data::Fixed(*dtype, bytes.slice(range.start * size..range.end * size))
                }
                Data::Text(text) => Data::Text(text[range].into()),
            };
            Tensor {
                shape,
                data,
                parts: None,
            }
        });
        Ok(parts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_undo_sequence(shapes in prop::collection::vec(prop::collection::vec(0usize..3, 0..3), 0..4), text: bool) {
            let parts: Vec<Tensor> = shapes
                .iter()
                .map(|dims| {
                    let shape = Shape::new(dims);
                    let n = shape.elements().unwrap();
                    if text {
                        Tensor::text(shape, (0..n).map(|i| i.to_string()).collect()).unwrap()
                    } else {
                        Tensor::new(shape, (0..n).map(|i| i as i32).collect()).unwrap()
                    }
                })
                .collect();
            let dtype = if text { DType::Bytes } else { DType::I32 };
            let whole = Tensor::sequence(dtype, &parts).unwrap();
            prop_assert_eq!(whole.parts().unwrap(), parts);
        }
    }

    #[test]
    fn parts_must_fill_the_whole() {
        let flat = || Tensor::new([3], vec![1u8, 2, 3]).unwrap();
        let shapes = |dims: &[&[usize]]| dims.iter().map(|d| Shape::new(d)).collect::<Vec<_>>();
        let tensor = flat().with_parts(shapes(&[&[2], &[], &[0, 9]])).unwrap();
        assert_eq!(tensor.parts().unwrap()[0].len(), 2);
        assert!(flat().with_parts(shapes(&[&[2]])).is_err());
        assert!(flat().with_parts(shapes(&[&[usize::MAX], &[2]])).is_err());
        assert!(
            flat()
                .reshape([3, 1])
                .unwrap()
                .with_parts(shapes(&[&[3]]))
                .is_err()
        );
        assert!(Tensor::new([], vec![1u8]).unwrap().parts().is_err());
    }
}
