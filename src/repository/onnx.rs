//! ONNX files as bytes: what can be known of one without running it.
//!
//! An ONNX file is one protobuf message. [`outline()`] walks it and gives what
//! checks and reviews need; [`stamp`] reads and writes the version in it.
//! Whatever the bytes are, the walk ends, does not panic, and takes memory in
//! proportion to the file.

mod outline;
#[cfg(test)]
pub(crate) mod sample;
pub mod stamp;
mod structure;
mod tensor;
mod wire;

pub use self::{
    outline::{External, Outline, Part, PartKind, Value, ValueType, outline},
    structure::faults,
    tensor::{dtype, numbers, tensor},
};

/// Bytes that are not an ONNX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The bytes do not follow protobuf's rules.
    #[error("it is not an ONNX file (byte {at}: {reason})")]
    Malformed {
        /// Where.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The bytes may be protobuf, but say nothing of a model.
    #[error("it is not an ONNX file: {0}")]
    NotAModel(&'static str),
    /// Graphs inside graphs, deeper than ONNX Runtime reads.
    #[error("its graphs are nested deeper than 100")]
    TooDeep,
    /// Two stamps that disagree.
    #[error("it bears two stamps, {0} and {1}")]
    TwoStamps(String, String),
}
