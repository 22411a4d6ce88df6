//! Maps and sequences → tensors: what ONNX has beyond tensors.

use std::{collections::BTreeMap, sync::Arc};

use ort::value::{
    DynMap, DynMapValueType, DynSequence, DynTensorValueType, DynValue, TensorElementType,
    ValueType,
};

use super::{one_line, values};
use crate::{
    engine::{EngineError, MapKey, Output},
    tensor::{DType, Element, Tensor},
};

fn failed(error: ort::Error) -> EngineError {
    EngineError::Run(one_line(error.message()))
}

/// A sequence of tensors or of maps as one output.
pub(super) fn sequence(value: DynValue, inner: &ValueType) -> Result<Output, EngineError> {
    match inner {
        ValueType::Tensor { ty, .. } => {
            let dtype = super::signature::dtype(*ty).ok_or_else(|| unsupported(inner))?;
            let sequence: DynSequence = value.downcast().map_err(failed)?;
            let parts = sequence
                .try_extract_sequence::<DynTensorValueType>()
                .map_err(failed)?
                .into_iter()
                .map(|part| values::output(part.into_dyn(), false).map(|o| o.tensor))
                .collect::<Result<Vec<_>, _>>()?;
            let tensor = Tensor::sequence(dtype, &parts);
            tensor
                .map(Output::from)
                .map_err(|e| EngineError::Run(e.message().to_owned()))
        }
        ValueType::Map { key, value: of } => {
            let sequence: DynSequence = value.downcast().map_err(failed)?;
            let rows = sequence
                .try_extract_sequence::<DynMapValueType>()
                .map_err(failed)?;
            table(&rows, *key, *of, false)
        }
        _ => Err(unsupported(inner)),
    }
}

/// One map as one output.
pub(super) fn map(
    value: DynValue,
    key: TensorElementType,
    of: TensorElementType,
) -> Result<Output, EngineError> {
    let map: DynMap = value.downcast().map_err(failed)?;
    table(&[map], key, of, true)
}

/// Maps as rows, with one column for each key, in the order of the keys.
fn table(
    rows: &[DynMap],
    key: TensorElementType,
    of: TensorElementType,
    is_flat: bool,
) -> Result<Output, EngineError> {
    macro_rules! columns {
        ($value:ty, $missing:expr) => {
            match key {
                TensorElementType::Int64 => {
                    let rows = rows
                        .iter()
                        .map(|r| r.try_extract_key_values::<i64, $value>().map_err(failed));
                    columns(rows, MapKey::Int, $missing, is_flat)
                }
                TensorElementType::String => {
                    let rows = rows
                        .iter()
                        .map(|r| r.try_extract_key_values::<String, $value>().map_err(failed));
                    columns(rows, MapKey::Text, $missing, is_flat)
                }
                _ => Err(EngineError::Unsupported(format!(
                    "a map with keys of {key} can't be answered"
                ))),
            }
        };
    }
    match super::signature::dtype(of) {
        Some(DType::F32) => columns!(f32, f32::NAN),
        Some(DType::F64) => columns!(f64, f64::NAN),
        Some(DType::I64) => columns!(i64, 0),
        _ => Err(EngineError::Unsupported(format!(
            "a map with values of {of} can't be answered"
        ))),
    }
}

fn columns<K, V: Element>(
    rows: impl Iterator<Item = Result<Vec<(K, V)>, EngineError>>,
    name: impl Fn(K) -> MapKey,
    missing: V,
    is_flat: bool,
) -> Result<Output, EngineError> {
    let rows = rows
        .map(|row| Ok(row?.into_iter().map(|(k, v)| (name(k), v)).collect()))
        .collect::<Result<Vec<BTreeMap<MapKey, V>>, EngineError>>()?;
    let mut keys: Vec<MapKey> = rows.iter().flat_map(|r| r.keys().cloned()).collect();
    keys.sort();
    keys.dedup();
    let values = rows
        .iter()
        .flat_map(|row| keys.iter().map(|k| row.get(k).copied().unwrap_or(missing)))
        .collect();
    let tensor = if is_flat {
        Tensor::new([keys.len()], values)
    } else {
        Tensor::new([rows.len(), keys.len()], values)
    };
    Ok(Output {
        tensor: tensor.map_err(|e| EngineError::Run(e.message().to_owned()))?,
        keys: Some(Arc::from(keys)),
    })
}

fn unsupported(value: &ValueType) -> EngineError {
    EngineError::Unsupported(format!(
        "an output of {value} can't be answered as a tensor"
    ))
}
