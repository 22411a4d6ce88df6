//! The signature of a loaded session.

use std::collections::HashSet;

use ort::{
    session::Session as OrtSession,
    value::{TensorElementType, ValueType},
};

use super::{graph, operator};
use crate::{
    engine::EngineError,
    tensor::{DType, Dim, Signature, TensorSpec, ValueKind},
};

/// What `session`, made of the file `model`, takes and gives. A request may
/// leave out inputs that have an initializer, which come last, and inputs of an
/// optional type: a run without them is what ONNX calls empty.
///
/// # Errors
/// `Unsupported` for a value that the protocol has no datatype for.
pub(super) fn of(session: &OrtSession, model: &[u8]) -> Result<Signature, EngineError> {
    let any_rank = graph::of_any_rank(model);
    let defaults = session.overridable_initializers();
    let required = session
        .inputs()
        .iter()
        .map(|i| (i.name(), i.dtype(), false));
    let optional = defaults.iter().map(|d| (d.name(), d.dtype(), true));
    Ok(Signature {
        inputs: required
            .chain(optional)
            .map(|(name, value, optional)| {
                let mut spec = spec(Side::Input, name, value, &any_rank)?;
                spec.optional = optional || matches!(value, ValueType::Optional(_));
                spec.has_default = optional;
                Ok(spec)
            })
            .collect::<Result<_, EngineError>>()?,
        outputs: session
            .outputs()
            .iter()
            .map(|o| spec(Side::Output, o.name(), o.dtype(), &any_rank))
            .collect::<Result<_, _>>()?,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

fn spec(
    side: Side,
    name: &str,
    value: &ValueType,
    any_rank: &HashSet<String>,
) -> Result<TensorSpec, EngineError> {
    let described = describe(side, value).ok_or_else(|| {
        let side = if side == Side::Input {
            "input"
        } else {
            "output"
        };
        EngineError::Unsupported(format!(
            "the {side} \"{name}\" is a {value}, which the Open Inference Protocol has no \
             datatype for"
        ))
    })?;
    let (dtype, mut dims, kind) = described;
    // ONNX Runtime says no dimensions of a scalar, and of what may be anything.
    if dims.as_ref().is_some_and(Vec::is_empty) && any_rank.contains(name) {
        dims = None;
    }
    Ok(TensorSpec {
        name: name.into(),
        dtype,
        dims,
        optional: false,
        has_default: false,
        kind,
    })
}

type Described = (DType, Option<Vec<Dim>>, ValueKind);

fn describe(side: Side, value: &ValueType) -> Option<Described> {
    match value {
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
            let dtype = dtype(*ty).or_else(|| operator::wider(*ty))?;
            Some((dtype, Some(dims), ValueKind::Tensor))
        }
        // What it holds is what is given or answered. As an output, nothing is an
        // error.
        ValueType::Optional(inner) => describe(side, inner),
        ValueType::Sequence(inner) => match &**inner {
            ValueType::Tensor { ty, .. } => Some((dtype(*ty)?, None, ValueKind::SequenceOfTensors)),
            ValueType::Map { key, value } if side == Side::Output => {
                let dims = vec![Dim::Any, Dim::Any];
                Some((map(*key, *value)?, Some(dims), ValueKind::SequenceOfMaps))
            }
            _ => None,
        },
        ValueType::Map { key, value } if side == Side::Output => {
            // Its only dimension counts keys, not rows.
            Some((map(*key, *value)?, None, ValueKind::Map))
        }
        ValueType::Map { .. } => None,
    }
}

/// The datatype of a map's values, where the map can be read.
fn map(key: TensorElementType, value: TensorElementType) -> Option<DType> {
    use TensorElementType::{Float32, Float64, Int64, String};
    match (key, value) {
        (Int64 | String, Float32 | Float64 | Int64) => dtype(value),
        _ => None,
    }
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
