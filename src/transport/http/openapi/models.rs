//! What a model that is served takes, exactly.

use serde_json::{Map, Value, json};

use super::schemas::rows;
use crate::{
    catalog::Servable,
    tensor::{DType, Dim, Signature, ValueKind},
};

/// Rows as `model` takes them, by position or by name; `None` where it takes
/// no rows.
pub(super) fn rows_of(model: &Servable) -> Option<Value> {
    row(model).map(rows)
}

/// Whether `model` takes one number.
pub(super) fn takes_a_number(model: &Servable) -> bool {
    let [spec] = model.signature().inputs.as_slice() else {
        return false;
    };
    let one = |dim: &Dim| dim.is_dynamic() || *dim == Dim::Fixed(1);
    !matches!(spec.dtype, DType::Bytes | DType::Bool)
        && spec
            .dims
            .as_ref()
            .is_some_and(|d| d.len() <= 2 && d.iter().all(one))
}

/// An inference request that `signature` takes: each dimension that may vary
/// is 1 in it. `None` where nothing is known of a rank.
pub(super) fn infer_request_of(signature: &Signature) -> Option<Value> {
    let mut inputs = Vec::new();
    for (_, spec) in signature.plain_inputs() {
        let dims = match (spec.kind, &spec.dims) {
            (ValueKind::Tensor, Some(dims)) => dims.iter().map(|dim| match dim {
                Dim::Fixed(n) => *n,
                Dim::Symbol(_) | Dim::Any => 1,
            }),
            _ => return None,
        };
        let shape: Vec<usize> = dims.collect();
        let count: usize = shape.iter().product();
        inputs.push(json!({
            "type": "object",
            "properties": {
                "name": {"const": &*spec.name},
                "datatype": {"const": spec.dtype.name()},
                "shape": {"const": shape},
                "data": {
                    "type": "array",
                    "items": number(spec.dtype),
                    "minItems": count,
                    "maxItems": count,
                },
            },
            "required": ["name", "datatype", "shape", "data"],
        }));
    }
    let names: Vec<&str> = signature.outputs.iter().map(|o| &*o.name).collect();
    Some(json!({
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {
                "type": ["object", "null"],
                "properties": {
                    "priority": {"type": "integer", "minimum": 0, "maximum": u32::MAX},
                    "binary_data_output": {"type": "boolean"},
                },
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "inputs": {
                "type": "array",
                "prefixItems": inputs,
                "items": false,
                "minItems": inputs.len(),
            },
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"enum": names},
                        "parameters": {
                            "type": ["object", "null"],
                            "properties": {"binary_data": {"type": "boolean"}},
                            "additionalProperties": {"type": ["string", "number", "boolean"]},
                        },
                    },
                    "required": ["name"],
                },
                "maxItems": 1,
            },
        },
        "required": ["inputs"],
    }))
}

/// One row of a model whose inputs are all columns of numbers.
fn row(model: &Servable) -> Option<Value> {
    let mut columns: Vec<(String, Value)> = Vec::new();
    for (_, spec) in model.signature().plain_inputs() {
        let width = match spec.dims.as_deref()? {
            [] | [_] => 1,
            [_, Dim::Fixed(width)] => *width,
            _ => return None,
        };
        let names = model.manifest().features.get(&*spec.name);
        for index in 0..width {
            let name = match names {
                Some(names) if names.len() == width => names[index].clone(),
                _ if width == 1 => spec.name.to_string(),
                _ => format!("{}_{index}", spec.name),
            };
            columns.push((name, number(spec.dtype)?));
        }
    }
    let cells: Vec<&Value> = columns.iter().map(|(_, cell)| cell).collect();
    let names: Vec<&String> = columns.iter().map(|(name, _)| name).collect();
    let properties: Map<String, Value> = columns.iter().cloned().collect();
    Some(json!({"oneOf": [
        {"type": "array", "prefixItems": cells, "items": false, "minItems": cells.len()},
        {
            "type": "object",
            "properties": properties,
            "required": names,
            "additionalProperties": false,
        },
    ]}))
}

/// A number that `dtype` holds.
fn number(dtype: DType) -> Option<Value> {
    let integer = |low: i64, high: u64| json!({"type": "integer", "minimum": low, "maximum": high});
    let within = |limit: f64| json!({"type": "number", "exclusiveMinimum": -limit, "exclusiveMaximum": limit});
    Some(match dtype {
        DType::Bool => json!({"type": "boolean"}),
        DType::Bytes => json!({"type": "string", "pattern": "^[^\\u0000]*$"}),
        DType::U8 => integer(0, u8::MAX.into()),
        DType::U16 => integer(0, u16::MAX.into()),
        DType::U32 => integer(0, u32::MAX.into()),
        DType::U64 => integer(0, u64::MAX),
        DType::I8 => integer(i8::MIN.into(), 127),
        DType::I16 => integer(i16::MIN.into(), 32_767),
        DType::I32 => integer(i32::MIN.into(), 2_147_483_647),
        DType::I64 => integer(i64::MIN, 9_223_372_036_854_775_807),
        // From there on, rounding leads to an infinity.
        DType::F16 => within(65_520.0),
        DType::BF16 => within(3.3961775292304604e38),
        DType::F32 => within(3.402823567797337e38),
        DType::F64 => json!({"type": "number"}),
    })
}
