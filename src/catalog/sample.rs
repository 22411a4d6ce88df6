//! Inputs to warm up with, where a model has no golden cases.

use crate::tensor::{DType, Dim, Shape, Signature, Tensor};

/// One request that fits `signature`: zeros and empty text, and 1 wherever a
/// dimension may vary. `None` where the signature leaves an input's rank open.
pub(super) fn zeros(signature: &Signature) -> Option<Vec<Option<Tensor>>> {
    signature
        .inputs
        .iter()
        .map(|input| {
            if input.has_default {
                return Some(None);
            }
            let shape: Shape = input
                .dims
                .as_ref()?
                .iter()
                .map(|dim| match dim {
                    Dim::Fixed(n) => *n,
                    Dim::Symbol(_) | Dim::Any => 1,
                })
                .collect();
            zero(input.dtype, shape).map(Some)
        })
        .collect()
}

fn zero(dtype: DType, shape: Shape) -> Option<Tensor> {
    let count = shape.elements()?;
    match dtype.size() {
        Some(size) => {
            // Vectors of eight-byte words, so that the buffer is aligned for
            // every type.
            let words = vec![0u64; (count * size).div_ceil(8)];
            let words = Tensor::new([words.len()], words).ok()?;
            let crate::tensor::Data::Fixed(_, bytes) = words.data() else {
                return None;
            };
            Tensor::from_bytes(dtype, shape, bytes.slice(..count * size)).ok()
        }
        None => Tensor::text(shape, vec![String::new(); count]).ok(),
    }
}
