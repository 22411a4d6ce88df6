//! Small messages: operator sets, values and their types.

use super::{Value, ValueType};
use crate::{
    repository::onnx::{
        OnnxError,
        wire::{Content, Message},
    },
    tensor::Dim,
};

/// `OperatorSetIdProto`: domain and version.
pub(in crate::repository::onnx) fn opset_import(
    message: Message<'_>,
) -> Result<(String, u64), OnnxError> {
    let (mut domain, mut version) = (String::new(), 0);
    for field in message.fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, Content::Bytes(text)) => domain = text.text().into_owned(),
            (2, Content::Varint(number)) => version = number,
            _ => {}
        }
    }
    if domain.is_empty() {
        domain = "ai.onnx".to_owned();
    }
    Ok((domain, version))
}

/// The numbers of a repeated field, packed or not.
pub(in crate::repository::onnx) fn numbers(
    content: Content<'_>,
    out: &mut Vec<u64>,
) -> Result<(), OnnxError> {
    match content {
        Content::Varint(number) => out.push(number),
        Content::Bytes(packed) => {
            for number in packed.packed() {
                out.push(number?);
            }
        }
        Content::Fixed32(_) | Content::Fixed64(_) => {}
    }
    Ok(())
}

/// `ValueInfoProto`
pub(in crate::repository::onnx) fn value_info(message: Message<'_>) -> Result<Value, OnnxError> {
    let mut value = Value::default();
    for field in message.fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, Content::Bytes(text)) => value.name = text.text().into_owned(),
            (2, Content::Bytes(ty)) => value_type(ty, &mut value)?,
            _ => {}
        }
    }
    Ok(value)
}

/// `TypeProto`
fn value_type(message: Message<'_>, value: &mut Value) -> Result<(), OnnxError> {
    for field in message.fields() {
        let field = field?;
        let Content::Bytes(inner) = field.content else {
            continue;
        };
        value.kind = match field.number {
            1 => ValueType::Tensor,
            4 => ValueType::Sequence,
            5 => ValueType::Map,
            8 => ValueType::SparseTensor,
            9 => ValueType::Optional,
            _ => continue,
        };
        if value.kind == ValueType::Tensor {
            tensor_type(inner, value)?;
        }
    }
    Ok(())
}

/// `TypeProto.Tensor`
fn tensor_type(message: Message<'_>, value: &mut Value) -> Result<(), OnnxError> {
    for field in message.fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, Content::Varint(element)) => value.element = element,
            (2, Content::Bytes(shape)) => {
                let dims = value.dims.get_or_insert_default();
                for dim in shape.fields() {
                    if let (1, Content::Bytes(dim)) = dim.map(|f| (f.number, f.content))? {
                        dims.push(dimension(dim)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// `TensorShapeProto.Dimension`
fn dimension(message: Message<'_>) -> Result<Dim, OnnxError> {
    let mut dim = Dim::Any;
    for field in message.fields() {
        let field = field?;
        match (field.number, field.content) {
            // Negative numbers, as some exporters write for "any", do not fit.
            (1, Content::Varint(n)) => {
                dim = i64::try_from(n)
                    .ok()
                    .and_then(|n| usize::try_from(n).ok())
                    .map_or(Dim::Any, Dim::Fixed);
            }
            (2, Content::Bytes(text)) if !text.bytes.is_empty() => {
                dim = Dim::Symbol(text.text().into_owned());
            }
            _ => {}
        }
    }
    Ok(dim)
}
