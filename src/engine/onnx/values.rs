//! [`Tensor`] ⇄ ONNX Runtime's values, without a copy where that can be.

use std::borrow::Cow;

use bytes::Bytes;
use half::{bf16, f16};
use ort::{
    session::SessionInputValue,
    value::{DynSequence, DynTensor, DynValue, TensorElementType, TensorRef, Value, ValueType},
};

use super::{maps, signature::dtype};
use crate::{
    engine::{EngineError, Output},
    tensor::{Buffer, DType, Element, Shape, Tensor},
};

/// `tensor` as a sequence of its parts, copied; `None` where there are none,
/// since the library makes no empty sequence.
pub(super) fn sequence(tensor: &Tensor) -> Result<Option<DynSequence>, EngineError> {
    let parts = tensor
        .parts()
        .map_err(|e| EngineError::Refused(e.message().to_owned()))?;
    if parts.is_empty() {
        return Ok(None);
    }
    fn part<T>(part: &Tensor) -> Result<DynTensor, EngineError>
    where
        T: Element + ort::value::PrimitiveTensorElementType + 'static,
    {
        let elements = part.elements::<T>().unwrap_or_default().into_owned();
        ort::value::Tensor::from_array((part.shape().to_vec(), elements))
            .map(ort::value::Tensor::upcast)
            .map_err(refused)
    }
    let parts = parts
        .iter()
        .map(|tensor| match tensor.dtype() {
            DType::Bool => {
                let bytes = tensor.elements::<u8>().unwrap_or_default();
                let bools: Vec<bool> = bytes.iter().map(|b| *b != 0).collect();
                ort::value::Tensor::from_array((tensor.shape().to_vec(), bools))
                    .map(ort::value::Tensor::upcast)
                    .map_err(refused)
            }
            DType::U8 => part::<u8>(tensor),
            DType::U16 => part::<u16>(tensor),
            DType::U32 => part::<u32>(tensor),
            DType::U64 => part::<u64>(tensor),
            DType::I8 => part::<i8>(tensor),
            DType::I16 => part::<i16>(tensor),
            DType::I32 => part::<i32>(tensor),
            DType::I64 => part::<i64>(tensor),
            DType::F16 => part::<f16>(tensor),
            DType::BF16 => part::<bf16>(tensor),
            DType::F32 => part::<f32>(tensor),
            DType::F64 => part::<f64>(tensor),
            DType::Bytes => {
                let text = tensor.strings().unwrap_or_default();
                ort::value::Tensor::from_string_array((tensor.shape().to_vec(), text))
                    .map(ort::value::Tensor::upcast)
                    .map_err(refused)
            }
        })
        .collect::<Result<Vec<DynTensor>, _>>()?;
    ort::value::Sequence::new(parts)
        .map(|sequence| Some(sequence.upcast()))
        .map_err(refused)
}

/// `tensor` as an input. Numbers are borrowed where their buffer is aligned
/// for their type; text is copied.
pub(super) fn input(tensor: &Tensor) -> Result<SessionInputValue<'_>, EngineError> {
    let dims: Vec<usize> = tensor.shape().to_vec();
    match tensor.dtype() {
        DType::Bool => {
            let bytes = tensor.elements::<u8>().unwrap_or_default();
            match bytes {
                Cow::Borrowed(bytes) => match bytemuck::checked::try_cast_slice(bytes) {
                    Ok(bools) => view::<bool>(dims, bools),
                    Err(e) => Err(EngineError::Refused(e.to_string())),
                },
                Cow::Owned(bytes) => owned(
                    dims,
                    bytes.into_iter().map(|b| b != 0).collect::<Vec<bool>>(),
                ),
            }
        }
        DType::U8 => number::<u8>(tensor, dims),
        DType::U16 => number::<u16>(tensor, dims),
        DType::U32 => number::<u32>(tensor, dims),
        DType::U64 => number::<u64>(tensor, dims),
        DType::I8 => number::<i8>(tensor, dims),
        DType::I16 => number::<i16>(tensor, dims),
        DType::I32 => number::<i32>(tensor, dims),
        DType::I64 => number::<i64>(tensor, dims),
        DType::F16 => number::<f16>(tensor, dims),
        DType::BF16 => number::<bf16>(tensor, dims),
        DType::F32 => number::<f32>(tensor, dims),
        DType::F64 => number::<f64>(tensor, dims),
        DType::Bytes => {
            if tensor
                .strings()
                .is_some_and(|t| t.iter().any(|e| e.contains('\0')))
            {
                return Err(EngineError::Refused(
                    "it takes no text with the character NUL in it".to_owned(),
                ));
            }
            ort::value::Tensor::from_string_array((dims, tensor.strings().unwrap_or_default()))
                .map(Into::into)
                .map_err(refused)
        }
    }
}

fn number<'t, T>(tensor: &'t Tensor, dims: Vec<usize>) -> Result<SessionInputValue<'t>, EngineError>
where
    T: Element + ort::value::PrimitiveTensorElementType + 'static,
{
    match tensor.elements::<T>().unwrap_or_default() {
        Cow::Borrowed(elements) => view(dims, elements),
        Cow::Owned(elements) => owned(dims, elements),
    }
}

fn view<T>(dims: Vec<usize>, elements: &[T]) -> Result<SessionInputValue<'_>, EngineError>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    TensorRef::from_array_view((dims, elements))
        .map(Into::into)
        .map_err(refused)
}

fn owned<T>(dims: Vec<usize>, elements: Vec<T>) -> Result<SessionInputValue<'static>, EngineError>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    ort::value::Tensor::from_array((dims, elements))
        .map(Into::into)
        .map_err(refused)
}

fn refused(error: ort::Error) -> EngineError {
    EngineError::Refused(super::one_line(error.message()))
}

/// Keeps an output of ONNX Runtime alive behind [`Bytes`].
struct Kept<T>(DynValue, std::marker::PhantomData<fn() -> T>);

impl<T> AsRef<[u8]> for Kept<T>
where
    T: ort::value::PrimitiveTensorElementType + bytemuck::NoUninit,
{
    fn as_ref(&self) -> &[u8] {
        // The type was checked when the value was wrapped.
        self.0
            .try_extract_tensor::<T>()
            .map_or(&[], |(_, elements)| bytemuck::cast_slice(elements))
    }
}

/// An output of ONNX Runtime as ours; numbers stay in its memory, unless that
/// may be the memory of an input, which `is_alias` says.
pub(super) fn output(value: DynValue, is_alias: bool) -> Result<Output, EngineError> {
    let (ty, shape) = match value.dtype() {
        ValueType::Tensor { ty, shape, .. } => (ty, shape),
        ValueType::Sequence(inner) => {
            let inner = inner.clone();
            return maps::sequence(value, &inner);
        }
        &ValueType::Map { key, value: of } => return maps::map(value, key, of),
        ValueType::Optional(_) => {
            return Err(EngineError::Unsupported(
                "an optional output holds nothing, which the Open Inference Protocol can't say"
                    .to_owned(),
            ));
        }
    };
    let (ty, shape) = (*ty, shape_of(shape)?);
    let Some(dtype) = dtype(ty) else {
        return Err(EngineError::Unsupported(format!(
            "the Open Inference Protocol has no datatype for an output of {ty}"
        )));
    };
    fn keep<T>(value: DynValue) -> Bytes
    where
        T: ort::value::PrimitiveTensorElementType + bytemuck::NoUninit,
    {
        Bytes::from_owner(Kept::<T>(value, std::marker::PhantomData))
    }
    let bytes = match ty {
        TensorElementType::String => return text(&value, shape),
        TensorElementType::Bool => keep::<bool>(value),
        TensorElementType::Uint8 => keep::<u8>(value),
        TensorElementType::Uint16 => keep::<u16>(value),
        TensorElementType::Uint32 => keep::<u32>(value),
        TensorElementType::Uint64 => keep::<u64>(value),
        TensorElementType::Int8 => keep::<i8>(value),
        TensorElementType::Int16 => keep::<i16>(value),
        TensorElementType::Int32 => keep::<i32>(value),
        TensorElementType::Int64 => keep::<i64>(value),
        TensorElementType::Float16 => keep::<f16>(value),
        TensorElementType::Bfloat16 => keep::<bf16>(value),
        TensorElementType::Float32 => keep::<f32>(value),
        _ => keep::<f64>(value),
    };
    let bytes = if is_alias {
        let mut copy = Buffer::new(bytes.len());
        copy.fill(&bytes);
        copy.freeze()
    } else {
        bytes
    };
    Tensor::from_bytes(dtype, shape, bytes)
        .map(Output::from)
        .map_err(|e| EngineError::Run(e.message().to_owned()))
}

fn text(value: &Value, shape: Shape) -> Result<Output, EngineError> {
    let (_, strings) = value
        .try_extract_strings()
        .map_err(|e| EngineError::Run(super::one_line(e.message())))?;
    Tensor::text(shape, strings)
        .map(Output::from)
        .map_err(|e| EngineError::Run(e.message().to_owned()))
}

fn shape_of(shape: &ort::value::Shape) -> Result<Shape, EngineError> {
    shape
        .iter()
        .map(|&n| usize::try_from(n))
        .collect::<Result<Shape, _>>()
        .map_err(|_| EngineError::Run(format!("an output has the impossible shape {shape:?}")))
}
