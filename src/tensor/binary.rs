//! Tensors as raw bytes: little-endian elements, and for text a 4-byte length
//! before each.

use bytes::{BufMut, Bytes, BytesMut};

use super::{DType, Data, Shape, Tensor};
use crate::error::{Error, Result};

/// The tensor called `name` from its raw bytes.
///
/// # Errors
/// `Invalid`, with the tensor's name, when the bytes do not fill the shape, or
/// an element is not one of the type.
pub fn read_raw(name: &str, dtype: DType, shape: Shape, raw: Bytes) -> Result<Tensor> {
    match dtype {
        DType::Bytes => read_text(&shape, &raw).and_then(|text| Tensor::text(shape, text)),
        _ => Tensor::from_bytes(dtype, shape, raw),
    }
    .map_err(|e| e.within(format_args!("the tensor \"{name}\"")))
}

fn read_text(shape: &Shape, mut raw: &[u8]) -> Result<Vec<String>> {
    let expected = shape
        .elements()
        .ok_or_else(|| Error::invalid(format!("the shape {shape} is larger than memory")))?;
    // Each element takes at least its length: a claimed shape allocates no
    // more than the bytes could fill.
    let mut text = Vec::with_capacity(expected.min(raw.len() / 4));
    while !raw.is_empty() {
        let index = text.len();
        if index == expected {
            return Err(Error::invalid(format!(
                "{} bytes are left after the {expected} elements of its shape {shape}",
                raw.len()
            )));
        }
        let cut = || {
            Error::invalid(format!(
                "its bytes end within the element at index {index}: each is a 4-byte \
                 little-endian length and so many bytes"
            ))
        };
        let (length, rest) = raw.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut())?;
        let (element, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        let element = std::str::from_utf8(element).map_err(|_| {
            Error::invalid(format!("the element at index {index} is not UTF-8 text"))
        })?;
        text.push(element.to_owned());
        raw = rest;
    }
    Ok(text)
}

/// The raw bytes of `tensor`: shared with it for all but text.
///
/// # Errors
/// `Unsupported` for a text beyond 4 GiB, whose length has no place.
pub fn write_raw(tensor: &Tensor) -> Result<Bytes> {
    let text = match tensor.data() {
        Data::Fixed(_, bytes) => return Ok(bytes.clone()),
        Data::Text(text) => text,
    };
    let size = text.iter().map(|t| 4 + t.len()).sum();
    let mut raw = BytesMut::with_capacity(size);
    for element in text.iter() {
        let length = u32::try_from(element.len())
            .map_err(|_| Error::unsupported("a text is too long for the binary form"))?;
        raw.put_u32_le(length);
        raw.put_slice(element.as_bytes());
    }
    Ok(raw.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reading_undoes_writing(text in prop::collection::vec("\\PC*", 0..5)) {
            let tensor = Tensor::text([text.len()], text).unwrap();
            let raw = write_raw(&tensor).unwrap();
            let back = read_raw("x", DType::Bytes, tensor.shape().clone(), raw).unwrap();
            prop_assert_eq!(back, tensor);
        }

        #[test]
        fn fixed_sizes_are_their_own_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for dtype in DType::ALL.into_iter().filter(|d| !matches!(d, DType::Bytes | DType::Bool)) {
                let count = bytes.len() / dtype.size().unwrap();
                let raw = Bytes::copy_from_slice(&bytes[..count * dtype.size().unwrap()]);
                let tensor = read_raw("x", dtype, Shape::from([count]), raw.clone()).unwrap();
                prop_assert_eq!(write_raw(&tensor).unwrap(), raw);
            }
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), shape in prop::collection::vec(0usize..9, 0..3)) {
            for dtype in DType::ALL {
                let _ = read_raw("x", dtype, Shape::new(&shape), Bytes::copy_from_slice(&bytes));
            }
        }
    }

    #[test]
    fn what_does_not_fill_the_shape_is_named() {
        let error = |dtype, shape: &[usize], raw: &'static [u8]| {
            let raw = Bytes::from_static(raw);
            read_raw("x", dtype, Shape::new(shape), raw)
                .unwrap_err()
                .message()
                .to_owned()
        };
        assert!(error(DType::F32, &[2], b"1234").contains("\"x\""));
        assert!(error(DType::Bool, &[2], b"\x01\x02").contains("index 1"));
        assert!(error(DType::Bytes, &[2], b"\x01\0\0\0a").contains("do not fill"));
        assert!(error(DType::Bytes, &[1], b"\x02\0\0\0a").contains("index 0"));
        assert!(error(DType::Bytes, &[1], b"\x01\0\0\0\xff").contains("UTF-8"));
        assert!(error(DType::Bytes, &[0], b"\x01\0\0\0a").contains("left"));
    }
}
