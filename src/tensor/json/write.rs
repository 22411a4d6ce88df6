//! Tensor elements → JSON.

use crate::tensor::{DType, Data, Tensor};

/// Appends the elements of `tensor` as one flat JSON array. NaN and the
/// infinities become strings.
pub fn write_data(tensor: &Tensor, out: &mut Vec<u8>) {
    out.push(b'[');
    for index in 0..tensor.len() {
        if index > 0 {
            out.push(b',');
        }
        if !tensor.write_element(index, out) {
            out.extend_from_slice(special(tensor, index).as_bytes());
        }
    }
    out.push(b']');
}

/// The string for an element that JSON has no number for.
fn special(tensor: &Tensor, index: usize) -> &'static str {
    let Data::Fixed(dtype, bytes) = tensor.data() else {
        return "null";
    };
    let size = dtype.size().unwrap_or(1);
    let bytes = &bytes[index * size..(index + 1) * size];
    let value = match (dtype, bytes) {
        (DType::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).to_f64(),
        (DType::BF16, &[a, b]) => half::bf16::from_le_bytes([a, b]).to_f64(),
        (DType::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (DType::F64, _) => bytes.try_into().map_or(f64::NAN, f64::from_le_bytes),
        _ => return "null",
    };
    if value == f64::INFINITY {
        "\"Infinity\""
    } else if value == f64::NEG_INFINITY {
        "\"-Infinity\""
    } else {
        "\"NaN\""
    }
}
