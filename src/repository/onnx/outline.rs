//! What an ONNX file says of itself.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.20).

mod fields;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

pub(super) use self::fields::{numbers, opset_import, value_info};
use self::walk::Walk;
use super::{
    OnnxError, stamp,
    wire::{Content, Message},
};
use crate::tensor::Dim;

/// What can be known of an ONNX file without running it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The version of the file format.
    pub ir_version: u64,
    /// The program that wrote it, and its version.
    pub producer: String,
    /// The doc string.
    pub description: String,
    /// The operator sets that it needs: domain (`ai.onnx` for the standard
    /// one) and version.
    pub opsets: BTreeMap<String, u64>,
    /// How often each operator stands in it, nested graphs and functions
    /// included. Operators outside the standard domain bear theirs:
    /// `ai.onnx.ml.LinearRegressor`.
    pub operators: BTreeMap<String, usize>,
    /// The functions that the file itself defines.
    pub functions: BTreeSet<String>,
    /// The inputs of the main graph. Those that are also the names of
    /// initializers have a default.
    pub inputs: Vec<Value>,
    /// The outputs of the main graph.
    pub outputs: Vec<Value>,
    /// Everything constant: initializers, and the attributes of nodes.
    pub parts: Vec<Part>,
    /// The files that hold tensors outside this one, as the file names them.
    pub external: BTreeSet<String>,
    /// `metadata_props`, the stamp included.
    pub metadata: BTreeMap<String, String>,
    /// The stamp.
    pub stamp: Option<String>,
}

/// An input or output as the graph declares it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ValueType,
    /// The element type of a tensor, by ONNX's number.
    pub element: u64,
    /// The dimensions of a tensor: `None` where the file states no shape at
    /// all, and empty for a scalar. ONNX Runtime tells these two alike.
    pub dims: Option<Vec<Dim>>,
}

/// What an input or output is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ValueType {
    /// A tensor.
    Tensor,
    /// A sparse tensor.
    SparseTensor,
    /// A sequence.
    Sequence,
    /// A map.
    Map,
    /// A value that may be left out.
    Optional,
    /// Nothing that this reader knows.
    #[default]
    Other,
}

/// Something constant in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// An initializer's name, or `NODE.ATTRIBUTE`.
    pub name: String,
    /// What it is.
    pub kind: PartKind,
    /// The shape of a tensor; the length of a list.
    pub dims: Vec<u64>,
    /// The element type of a tensor, by ONNX's number.
    pub element: u64,
    /// Where it stands in the file.
    pub span: Range<usize>,
    /// The file that holds its elements, where it is not this one.
    pub external: Option<External>,
}

/// Where a tensor's elements lie outside the ONNX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// The file, as the ONNX file names it.
    pub location: String,
    /// Where in it they start.
    pub offset: u64,
    /// How many bytes they take; all the rest where the file does not say.
    pub length: Option<u64>,
}

/// What a [`Part`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// An initializer of a graph.
    Initializer,
    /// A tensor, or a list of numbers or text, in a node's attribute.
    Attribute,
}

impl Part {
    /// How many elements it holds.
    pub fn elements(&self) -> u64 {
        self.dims.iter().fold(1, |n, &d| n.saturating_mul(d))
    }
}

impl Outline {
    /// The names of the main graph's initializers.
    pub fn initializers(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .filter(|part| part.kind == PartKind::Initializer)
            .map(|part| &*part.name)
    }

    /// How many constant numbers the model holds: what is called its
    /// parameters.
    pub fn parameters(&self) -> u64 {
        let own = self.parts.iter().map(Part::elements);
        own.fold(0, u64::saturating_add)
    }
}

/// Reads what `file` says of itself.
///
/// # Errors
/// When it is not an ONNX file, or its graphs are nested too deep.
pub fn outline(file: &[u8]) -> Result<Outline, OnnxError> {
    let mut out = Outline::default();
    let mut graphs = 0;
    for field in Message::file(file).fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, Content::Varint(version)) => out.ir_version = version,
            (2, Content::Bytes(name)) => out.producer = name.text().into_owned(),
            (3, Content::Bytes(version)) if !version.bytes.is_empty() => {
                out.producer.push(' ');
                out.producer.push_str(&version.text());
            }
            (6, Content::Bytes(text)) => out.description = text.text().into_owned(),
            (7, Content::Bytes(graph)) => {
                graphs += 1;
                Walk::new(&mut out, 0).graph(graph, true)?;
            }
            (8, Content::Bytes(opset)) => {
                let (domain, version) = opset_import(opset)?;
                out.opsets.insert(domain, version);
            }
            (14, Content::Bytes(entry)) => {
                let (key, value) = stamp::entry(entry)?;
                out.metadata.insert(key, value);
            }
            // What trains a model is not run here, but its tensors can lie
            // in files all the same.
            (20, Content::Bytes(training)) => {
                for field in training.fields() {
                    let field = field?;
                    if let (1 | 2, Content::Bytes(graph)) = (field.number, field.content) {
                        Walk::new(&mut out, 1).graph(graph, false)?;
                    }
                }
            }
            (25, Content::Bytes(function)) => Walk::new(&mut out, 1).function(function)?,
            _ => {}
        }
    }
    if graphs == 0 || out.ir_version == 0 {
        return Err(OnnxError::NotAModel("it holds no graph"));
    }
    out.stamp = stamp::read(file)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
