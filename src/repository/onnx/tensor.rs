//! A `TensorProto` as a [`Tensor`]: how ONNX itself keeps test data
//! (`test_data_set_*/input_0.pb`).

use bytes::Bytes;

use super::{
    OnnxError,
    wire::{Content, Message},
};
use crate::{
    error::{Error, Result},
    tensor::{DType, Shape, Tensor},
};

/// The tensor that `bytes` hold, and its name, which may be empty.
///
/// # Errors
/// `Invalid` when they are no `TensorProto`, when its elements do not fill its
/// shape or lie in another file, or when the protocol has no datatype for them.
pub fn tensor(bytes: &[u8]) -> Result<(String, Tensor)> {
    let raw = fields(bytes).map_err(|_| Error::invalid("it is not a tensor in ONNX's form"))?;
    let dtype = dtype(raw.element).ok_or_else(|| {
        Error::invalid(format!(
            "its element type, ONNX's number {}, has no datatype in the Open Inference Protocol",
            raw.element
        ))
    })?;
    if raw.external {
        return Err(Error::invalid("its elements lie in another file"));
    }
    let shape: Shape = raw
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| Error::invalid("a dimension is negative")))
        .collect::<Result<_>>()?;
    let tensor = match dtype {
        DType::Bytes => {
            let text = raw
                .strings
                .into_iter()
                .map(|s| String::from_utf8(s).map_err(|_| Error::invalid("its text is not UTF-8")));
            Tensor::text(shape, text.collect::<Result<_>>()?)?
        }
        _ => {
            let bytes = match raw.raw {
                Some(raw) => raw,
                None => raw.numbers.into_bytes(dtype),
            };
            Tensor::from_bytes(dtype, shape, Bytes::from(bytes))?
        }
    };
    Ok((raw.name, tensor))
}

#[derive(Default)]
struct Raw {
    name: String,
    dims: Vec<u64>,
    element: u64,
    raw: Option<Vec<u8>>,
    numbers: Numbers,
    strings: Vec<Vec<u8>>,
    external: bool,
}

/// Elements in the fields of their own kind.
#[derive(Default)]
struct Numbers {
    /// `float_data` and `double_data`: little-endian already.
    fixed: Vec<u8>,
    /// `int32_data`, `int64_data` and `uint64_data`: one number an element,
    /// which stands for the bits of a half.
    varints: Vec<u64>,
}

impl Numbers {
    fn into_bytes(self, dtype: DType) -> Vec<u8> {
        match dtype {
            DType::F32 | DType::F64 => self.fixed,
            _ => {
                let size = dtype.size().unwrap_or(1);
                let own = self
                    .varints
                    .iter()
                    .flat_map(|n| n.to_le_bytes()[..size].to_vec());
                own.collect()
            }
        }
    }
}

fn fields(bytes: &[u8]) -> Result<Raw, OnnxError> {
    let mut out = Raw::default();
    for field in Message::file(bytes).fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, content) => super::outline::numbers(content, &mut out.dims)?,
            (2, Content::Varint(element)) => out.element = element,
            (4 | 10, Content::Bytes(packed)) => out.numbers.fixed.extend_from_slice(packed.bytes),
            // Not packed: one field for each element.
            (4 | 10, Content::Fixed32(bytes) | Content::Fixed64(bytes)) => {
                out.numbers.fixed.extend_from_slice(bytes);
            }
            (5 | 7 | 11, content) => super::outline::numbers(content, &mut out.numbers.varints)?,
            (6, Content::Bytes(text)) => out.strings.push(text.bytes.to_vec()),
            (8, Content::Bytes(text)) => out.name = text.text().into_owned(),
            (9, Content::Bytes(raw)) => out.raw = Some(raw.bytes.to_vec()),
            (14, Content::Varint(1)) => out.external = true,
            _ => {}
        }
    }
    Ok(out)
}

/// The numbers of the list in an attribute (`AttributeProto`); `None` where it
/// holds none.
pub fn numbers(attribute: &[u8]) -> Option<Vec<f64>> {
    let single = |bytes: &[u8]| {
        let bytes = <[u8; 4]>::try_from(bytes).ok()?;
        Some(f64::from(f32::from_le_bytes(bytes)))
    };
    let mut floats = Vec::new();
    let mut integers = Vec::new();
    for field in Message::file(attribute).fields() {
        let field = field.ok()?;
        match (field.number, field.content) {
            (7, Content::Bytes(packed)) => {
                floats.extend(packed.bytes.chunks_exact(4).filter_map(single));
            }
            (7, Content::Fixed32(bytes)) => floats.extend(single(bytes)),
            (8, content) => super::outline::numbers(content, &mut integers).ok()?,
            _ => {}
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "to compare, rounded beyond 2^53"
    )]
    floats.extend(integers.into_iter().map(|n| n.cast_signed() as f64));
    (!floats.is_empty()).then_some(floats)
}

/// The protocol's datatype for ONNX's number of an element type.
pub fn dtype(element: u64) -> Option<DType> {
    Some(match element {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        8 => DType::Bytes,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        16 => DType::BF16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::onnx::{
        sample,
        wire::{put_bytes, put_varint},
    };
    use proptest::prelude::*;

    fn head(element: u64, count: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, value) in [(1, count), (2, element)] {
            put_varint(&mut out, field << 3);
            put_varint(&mut out, value);
        }
        out
    }

    #[test]
    fn raw_typed_and_text_elements_are_read() {
        let (name, own) = tensor(&sample::scalar("x", 2.5)).unwrap();
        assert_eq!(
            (name.as_str(), own),
            ("x", Tensor::new([1], vec![2.5f32]).unwrap())
        );
        let mut floats = head(1, 2);
        put_bytes(
            &mut floats,
            4,
            &[1f32.to_le_bytes(), 2f32.to_le_bytes()].concat(),
        );
        assert_eq!(
            tensor(&floats).unwrap().1,
            Tensor::new([2], vec![1f32, 2.0]).unwrap()
        );
        let mut integers = head(7, 2);
        let mut packed = Vec::new();
        put_varint(&mut packed, 7);
        put_varint(&mut packed, (-3i64).cast_unsigned());
        put_bytes(&mut integers, 7, &packed);
        assert_eq!(
            tensor(&integers).unwrap().1,
            Tensor::new([2], vec![7i64, -3]).unwrap()
        );
        let mut text = head(8, 1);
        put_bytes(&mut text, 6, b"cat");
        assert_eq!(
            tensor(&text).unwrap().1.strings(),
            Some(&["cat".to_owned()][..])
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(tensor(&head(1, 2)).unwrap_err().message().contains("fill"));
        assert!(tensor(&head(99, 1)).unwrap_err().message().contains("99"));
        let outside = tensor(&sample::external("x", "w.bin")).unwrap_err();
        assert!(outside.message().contains("another file"));
        assert!(
            tensor(b"hello")
                .unwrap_err()
                .message()
                .contains("not a tensor")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = tensor(&bytes);
        }
    }
}
