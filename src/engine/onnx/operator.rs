//! One operator of ONNX Runtime as a session of its own: for values that have
//! no other way in or out.
//!
//! The protocol has no datatype for the 8-bit floats and the 2- and 4-bit
//! integers, and Rust no type. `Cast` widens them to the smallest datatype that
//! holds them all, and back. And no call of the library makes an empty
//! sequence: `SequenceEmpty` does.

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session as OrtSession, SessionInputValue, SessionInputs},
    value::{DynValue, TensorElementType},
};

use super::one_line;
use crate::{
    engine::EngineError,
    tensor::{DType, Tensor},
};

/// An operator, ready to run.
pub(super) struct Operator(OrtSession);

/// The protocol's datatype that holds every value of a type that the protocol
/// lacks.
pub(super) fn wider(ty: TensorElementType) -> Option<DType> {
    use TensorElementType as T;
    Some(match ty {
        T::Float8E4M3FN | T::Float8E4M3FNUZ | T::Float8E5M2 | T::Float8E5M2FNUZ => DType::F16,
        T::Float8E8M0 => DType::F32,
        T::Int4 | T::Int2 => DType::I8,
        T::Uint4 | T::Uint2 => DType::U8,
        _ => return None,
    })
}

/// Checks that the integers of `tensor` fit `ty`: `Cast` itself would wrap
/// them.
pub(super) fn check(tensor: &Tensor, ty: TensorElementType) -> Result<(), EngineError> {
    let range = match ty {
        TensorElementType::Int4 => -8.0..=7.0,
        TensorElementType::Int2 => -2.0..=1.0,
        TensorElementType::Uint4 => 0.0..=15.0,
        TensorElementType::Uint2 => 0.0..=3.0,
        _ => return Ok(()),
    };
    let values = tensor.to_f64().unwrap_or_default();
    match values.iter().position(|v| !range.contains(v)) {
        None => Ok(()),
        Some(index) => Err(EngineError::Refused(format!(
            "the value {} at index {index} does not fit its {ty}",
            values[index]
        ))),
    }
}

impl Operator {
    /// `Cast` from `ty` to the wider type of it.
    pub(super) fn widen(environment: &Environment, ty: TensorElementType) -> Loaded {
        let (narrow, wide) = numbers(ty)?;
        Self::cast(environment, narrow, wide)
    }

    /// `Cast` to `ty` from the wider type of it.
    pub(super) fn narrow(environment: &Environment, ty: TensorElementType) -> Loaded {
        let (narrow, wide) = numbers(ty)?;
        Self::cast(environment, wide, narrow)
    }

    fn cast(environment: &Environment, from: u64, to: u64) -> Loaded {
        let node = [
            text(1, "x"),
            text(2, "y"),
            text(4, "Cast"),
            message(5, &attribute("to", to)),
        ];
        let graph = [
            message(1, &node),
            text(2, "cast"),
            message(11, &value("x", &tensor(from))),
            message(12, &value("y", &tensor(to))),
        ];
        Self::load(environment, &graph)
    }

    /// `SequenceEmpty` of `dtype`.
    pub(super) fn empty_sequence(environment: &Environment, dtype: DType) -> Loaded {
        let number = number(dtype);
        let node = [
            text(2, "y"),
            text(4, "SequenceEmpty"),
            message(5, &attribute("dtype", number)),
        ];
        let sequence = message(4, &[message(1, &tensor(number))]);
        let graph = [
            message(1, &node),
            text(2, "empty"),
            message(12, &value("y", &[sequence])),
        ];
        Self::load(environment, &graph)
    }

    #[expect(
        clippy::result_large_err,
        reason = "ort's builder gives itself back inside its error"
    )]
    fn load(environment: &Environment, graph: &[Vec<u8>]) -> Loaded {
        const IR_VERSION: u64 = 11;
        const OPSET: u64 = 25;
        let model = [
            varint(1, IR_VERSION),
            message(8, &[varint(2, OPSET)]),
            message(7, graph),
        ]
        .concat();
        let failed = |message: &str| {
            EngineError::Unsupported(format!(
                "ONNX Runtime can't convert a value of the model: {}",
                one_line(message)
            ))
        };
        OrtSession::builder(environment)
            .map_err(|e| failed(e.message()))?
            .with_log_level(LogLevel::Fatal)
            .and_then(|b| b.with_intra_threads(1))
            .map_err(|e| failed(e.message()))?
            .commit_from_memory(&model)
            .map(Self)
            .map_err(|e| failed(e.message()))
    }

    /// Runs the operator on `input`, where it takes one.
    pub(super) fn run(
        &mut self,
        input: Option<SessionInputValue<'_>>,
    ) -> Result<DynValue, EngineError> {
        let inputs = input.map(|value| ("x".into(), value)).into_iter().collect();
        let mut ran = self
            .0
            .run(SessionInputs::<0>::ValueMap(inputs))
            .map_err(|e| EngineError::Run(one_line(e.message())))?;
        ran.remove("y")
            .ok_or_else(|| EngineError::Run("an operator gave nothing".to_owned()))
    }
}

type Loaded = Result<Operator, EngineError>;

/// The numbers of a narrow type and of its wider one in ONNX.
fn numbers(ty: TensorElementType) -> Result<(u64, u64), EngineError> {
    use TensorElementType as T;
    let narrow = match ty {
        T::Float8E4M3FN => 17,
        T::Float8E4M3FNUZ => 18,
        T::Float8E5M2 => 19,
        T::Float8E5M2FNUZ => 20,
        T::Uint4 => 21,
        T::Int4 => 22,
        T::Float8E8M0 => 24,
        T::Uint2 => 25,
        T::Int2 => 26,
        _ => 0,
    };
    match wider(ty) {
        Some(wide) => Ok((narrow, number(wide))),
        None => Err(EngineError::Unsupported(format!("{ty} can't be converted"))),
    }
}

/// The number of `dtype` in ONNX.
fn number(dtype: DType) -> u64 {
    match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::U16 => 4,
        DType::I16 => 5,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::Bytes => 8,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::F64 => 11,
        DType::U32 => 12,
        DType::U64 => 13,
        DType::BF16 => 16,
    }
}

// The few messages of ONNX that are written here, as protobuf.

fn raw_varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
    out
}

fn varint(field: u64, value: u64) -> Vec<u8> {
    [raw_varint(field << 3), raw_varint(value)].concat()
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [
        &raw_varint(field << 3 | 2),
        &raw_varint(content.len() as u64),
        content,
    ]
    .concat()
}

fn text(field: u64, content: &str) -> Vec<u8> {
    bytes(field, content.as_bytes())
}

fn message(field: u64, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(field, &fields.concat())
}

/// An attribute that is an integer.
fn attribute(name: &str, value: u64) -> [Vec<u8>; 3] {
    const INT: u64 = 2;
    [text(1, name), varint(3, value), varint(20, INT)]
}

/// A value of the graph of this type.
fn value(name: &str, kind: &[Vec<u8>]) -> [Vec<u8>; 2] {
    [text(1, name), message(2, kind)]
}

/// The type of a tensor of any rank.
fn tensor(elements: u64) -> [Vec<u8>; 1] {
    [message(1, &[varint(1, elements)])]
}
