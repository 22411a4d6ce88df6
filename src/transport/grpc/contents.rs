//! Tensors ⇄ the typed contents of the protocol.

use crate::{
    error::{Error, Result},
    tensor::{DType, Element, Shape, Tensor},
    transport::grpc::proto::InferTensorContents as Contents,
};

/// The tensor called `name` from the list of `contents` for its datatype.
///
/// # Errors
/// `Invalid`, with the tensor's name, for a value that does not fit the
/// datatype, another number of elements than the shape holds, elements in the
/// list of another datatype, and datatypes that have no list.
pub(super) fn read(name: &str, dtype: DType, shape: Shape, contents: Contents) -> Result<Tensor> {
    let list = list(dtype);
    let elsewhere = filled(&contents).find(|filled| Some(*filled) != list);
    let within = |e: Error| e.within(format_args!("the tensor \"{name}\""));
    let Some(list) = list else {
        return Err(within(Error::invalid(format!(
            "{dtype} has no typed contents in the protocol: send all inputs in raw_input_contents"
        ))));
    };
    if let Some(elsewhere) = elsewhere {
        return Err(within(Error::invalid(format!(
            "it has elements in {elsewhere}, and those of {dtype} belong in {list}"
        ))));
    }
    match dtype {
        DType::Bool => Tensor::bools(shape, contents.bool_contents),
        DType::I8 => narrow::<i32, i8>(contents.int_contents).and_then(|e| Tensor::new(shape, e)),
        DType::I16 => narrow::<i32, i16>(contents.int_contents).and_then(|e| Tensor::new(shape, e)),
        DType::I32 => Tensor::new(shape, contents.int_contents),
        DType::I64 => Tensor::new(shape, contents.int64_contents),
        DType::U8 => narrow::<u32, u8>(contents.uint_contents).and_then(|e| Tensor::new(shape, e)),
        DType::U16 => {
            narrow::<u32, u16>(contents.uint_contents).and_then(|e| Tensor::new(shape, e))
        }
        DType::U32 => Tensor::new(shape, contents.uint_contents),
        DType::U64 => Tensor::new(shape, contents.uint64_contents),
        DType::F32 => Tensor::new(shape, contents.fp32_contents),
        DType::F64 => Tensor::new(shape, contents.fp64_contents),
        DType::Bytes | DType::F16 | DType::BF16 => {
            let mut text = Vec::with_capacity(contents.bytes_contents.len());
            for (index, element) in contents.bytes_contents.into_iter().enumerate() {
                text.push(String::from_utf8(element.into()).map_err(|_| {
                    within(Error::invalid(format!(
                        "the element at index {index} is not UTF-8 text"
                    )))
                })?);
            }
            Tensor::text(shape, text)
        }
    }
    .map_err(within)
}

fn narrow<W: Copy + std::fmt::Display, T: Element + TryFrom<W>>(wide: Vec<W>) -> Result<Vec<T>> {
    wide.into_iter()
        .enumerate()
        .map(|(index, value)| {
            T::try_from(value).map_err(|_| {
                Error::invalid(format!(
                    "the value {value} at index {index} does not fit {}",
                    T::DTYPE
                ))
            })
        })
        .collect()
}

/// The list for the elements of `dtype`.
fn list(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Bool => "bool_contents",
        DType::I8 | DType::I16 | DType::I32 => "int_contents",
        DType::I64 => "int64_contents",
        DType::U8 | DType::U16 | DType::U32 => "uint_contents",
        DType::U64 => "uint64_contents",
        DType::F32 => "fp32_contents",
        DType::F64 => "fp64_contents",
        DType::Bytes => "bytes_contents",
        DType::F16 | DType::BF16 => return None,
    })
}

/// The lists that hold anything.
fn filled(contents: &Contents) -> impl Iterator<Item = &'static str> {
    [
        ("bool_contents", contents.bool_contents.is_empty()),
        ("int_contents", contents.int_contents.is_empty()),
        ("int64_contents", contents.int64_contents.is_empty()),
        ("uint_contents", contents.uint_contents.is_empty()),
        ("uint64_contents", contents.uint64_contents.is_empty()),
        ("fp32_contents", contents.fp32_contents.is_empty()),
        ("fp64_contents", contents.fp64_contents.is_empty()),
        ("bytes_contents", contents.bytes_contents.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_empty)| (!is_empty).then_some(name))
}

/// Whether the protocol has typed contents for `dtype`.
pub(super) fn has_list(dtype: DType) -> bool {
    list(dtype).is_some()
}

/// The typed contents of `tensor`; nothing where its datatype has none.
pub(super) fn write(tensor: &Tensor) -> Contents {
    fn all<T: Element, W: From<T>>(tensor: &Tensor) -> Vec<W> {
        let elements = tensor.elements::<T>().unwrap_or_default();
        elements.iter().map(|&e| W::from(e)).collect()
    }
    let mut contents = Contents::default();
    match tensor.dtype() {
        DType::Bool => {
            let bits = tensor.elements::<u8>().unwrap_or_default();
            contents.bool_contents = bits.iter().map(|&b| b != 0).collect();
        }
        DType::I8 => contents.int_contents = all::<i8, _>(tensor),
        DType::I16 => contents.int_contents = all::<i16, _>(tensor),
        DType::I32 => contents.int_contents = all::<i32, _>(tensor),
        DType::I64 => contents.int64_contents = all::<i64, _>(tensor),
        DType::U8 => contents.uint_contents = all::<u8, _>(tensor),
        DType::U16 => contents.uint_contents = all::<u16, _>(tensor),
        DType::U32 => contents.uint_contents = all::<u32, _>(tensor),
        DType::U64 => contents.uint64_contents = all::<u64, _>(tensor),
        DType::F32 => contents.fp32_contents = all::<f32, _>(tensor),
        DType::F64 => contents.fp64_contents = all::<f64, _>(tensor),
        DType::Bytes => {
            let text = tensor.strings().unwrap_or_default();
            contents.bytes_contents = text.iter().map(|t| t.clone().into()).collect();
        }
        DType::F16 | DType::BF16 => {}
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reading_undoes_writing(bytes in prop::collection::vec(any::<u8>(), 0..64), text in prop::collection::vec("\\PC*", 0..4)) {
            for dtype in DType::ALL.into_iter().filter(|d| has_list(*d)) {
                let tensor = match dtype.size() {
                    None => Tensor::text([text.len()], text.clone()).unwrap(),
                    Some(size) => {
                        let bytes: Vec<u8> = bytes[..bytes.len() / size * size]
                            .iter()
                            .map(|b| if dtype == DType::Bool { b & 1 } else { *b })
                            .collect();
                        Tensor::from_bytes(dtype, [bytes.len() / size], bytes.into()).unwrap()
                    }
                };
                let back = read("x", dtype, tensor.shape().clone(), write(&tensor)).unwrap();
                prop_assert_eq!(back, tensor);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |dtype, shape: &[usize], contents| {
            let error = read("x", dtype, Shape::new(shape), contents).unwrap_err();
            error.message().to_owned()
        };
        let of = |ints: &[i32]| Contents {
            int_contents: ints.to_vec(),
            ..Contents::default()
        };
        let text = error(DType::I8, &[2], of(&[1, 300]));
        assert!(
            text.contains("\"x\"") && text.contains("300 at index 1"),
            "{text}"
        );
        assert!(error(DType::F32, &[1], of(&[1])).contains("fp32_contents"));
        assert!(error(DType::F16, &[1], of(&[])).contains("raw_input_contents"));
        assert!(error(DType::I32, &[3], of(&[1])).contains("fill"));
        let latin = Contents {
            bytes_contents: vec![Bytes::from_static(b"\xff")],
            ..Contents::default()
        };
        assert!(error(DType::Bytes, &[1], latin).contains("UTF-8"));
    }
}
