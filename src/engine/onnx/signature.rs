//! The signature of a loaded session.

use ort::{
    session::Session as OrtSession,
    value::{Outlet, TensorElementType, ValueType},
};

use crate::{
    engine::EngineError,
    tensor::{DType, Dim, Signature, TensorSpec, ValueKind},
};

/// What `session` takes and gives.
///
/// # Errors
/// `Unsupported` for a value that the protocol has no datatype for.
pub(super) fn of(session: &OrtSession) -> Result<Signature, EngineError> {
    Ok(Signature {
        inputs: specs("input", session.inputs())?,
        outputs: specs("output", session.outputs())?,
    })
}

fn specs(side: &str, outlets: &[Outlet]) -> Result<Vec<TensorSpec>, EngineError> {
    outlets
        .iter()
        .map(|outlet| {
            spec(outlet.name(), outlet.dtype()).ok_or_else(|| {
                EngineError::Unsupported(format!(
                    "the {side} \"{}\" is a {}, which the Open Inference Protocol has no \
                     datatype for",
                    outlet.name(),
                    outlet.dtype()
                ))
            })
        })
        .collect()
}

fn spec(name: &str, value: &ValueType) -> Option<TensorSpec> {
    let (dtype, dims, kind) = match value {
        ValueType::Tensor {
            ty,
            shape,
            dimension_symbols,
        } => {
            let dims = shape
                .iter()
                .zip(dimension_symbols.iter())
                .map(|(&n, symbol)| match usize::try_from(n) {
                    Ok(n) => Dim::Fixed(n),
                    Err(_) if symbol.is_empty() => Dim::Any,
                    Err(_) => Dim::Symbol(symbol.clone()),
                })
                .collect();
            (dtype(*ty)?, Some(dims), ValueKind::Tensor)
        }
        _ => return None,
    };
    Some(TensorSpec {
        name: name.into(),
        dtype,
        dims,
        optional: false,
        kind,
    })
}

/// The protocol's datatype of an element type, where it has one.
pub(super) fn dtype(ty: TensorElementType) -> Option<DType> {
    Some(match ty {
        TensorElementType::Bool => DType::Bool,
        TensorElementType::Uint8 => DType::U8,
        TensorElementType::Uint16 => DType::U16,
        TensorElementType::Uint32 => DType::U32,
        TensorElementType::Uint64 => DType::U64,
        TensorElementType::Int8 => DType::I8,
        TensorElementType::Int16 => DType::I16,
        TensorElementType::Int32 => DType::I32,
        TensorElementType::Int64 => DType::I64,
        TensorElementType::Float16 => DType::F16,
        TensorElementType::Bfloat16 => DType::BF16,
        TensorElementType::Float32 => DType::F32,
        TensorElementType::Float64 => DType::F64,
        TensorElementType::String => DType::Bytes,
        _ => return None,
    })
}
