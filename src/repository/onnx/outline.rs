//! What an ONNX file says of itself.
//!
//! Field numbers are those of `onnx.proto` (ONNX 1.20).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    OnnxError, stamp,
    wire::{Content, Field, Message},
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
    pub external: Option<String>,
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

fn opset_import(message: Message<'_>) -> Result<(String, u64), OnnxError> {
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

/// Graphs inside graphs: as deep as protobuf itself reads.
const MAX_DEPTH: usize = 100;

struct Walk<'o> {
    out: &'o mut Outline,
    depth: usize,
}

impl<'o> Walk<'o> {
    fn new(out: &'o mut Outline, depth: usize) -> Self {
        Self { out, depth }
    }

    fn deeper(&mut self) -> Result<Walk<'_>, OnnxError> {
        if self.depth >= MAX_DEPTH {
            return Err(OnnxError::TooDeep);
        }
        Ok(Walk {
            out: &mut *self.out,
            depth: self.depth + 1,
        })
    }

    /// `GraphProto`
    fn graph(&mut self, graph: Message<'_>, main: bool) -> Result<(), OnnxError> {
        for field in graph.fields() {
            let Field {
                number,
                content: Content::Bytes(message),
                ..
            } = field?
            else {
                continue;
            };
            match number {
                1 => self.node(message)?,
                5 => {
                    let tensor = self.tensor(message)?;
                    self.part(tensor, PartKind::Initializer);
                }
                15 => {
                    let tensor = self.sparse(message)?;
                    self.part(tensor, PartKind::Initializer);
                }
                11 if main => self.out.inputs.push(value_info(message)?),
                12 if main => self.out.outputs.push(value_info(message)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// `FunctionProto`
    fn function(&mut self, function: Message<'_>) -> Result<(), OnnxError> {
        let (mut name, mut domain) = (String::new(), String::new());
        for field in function.fields() {
            let Field {
                number,
                content: Content::Bytes(message),
                ..
            } = field?
            else {
                continue;
            };
            match number {
                1 => name = message.text().into_owned(),
                10 => domain = message.text().into_owned(),
                7 => self.node(message)?,
                11 => self.attribute(message, "")?,
                _ => {}
            }
        }
        self.out.functions.insert(qualified(&domain, &name));
        Ok(())
    }

    /// `NodeProto`
    fn node(&mut self, node: Message<'_>) -> Result<(), OnnxError> {
        let (mut name, mut op, mut domain) = (String::new(), String::new(), String::new());
        let mut output = String::new();
        for field in node.fields() {
            let field = field?;
            match (field.number, field.content) {
                (2, Content::Bytes(text)) if output.is_empty() => output = text.text().into_owned(),
                (3, Content::Bytes(text)) => name = text.text().into_owned(),
                (4, Content::Bytes(text)) => op = text.text().into_owned(),
                (7, Content::Bytes(text)) => domain = text.text().into_owned(),
                _ => {}
            }
        }
        // A node's name may be missing; the name of what it gives may not.
        if name.is_empty() {
            name = format!("{op}→{output}");
        }
        *self
            .out
            .operators
            .entry(qualified(&domain, &op))
            .or_default() += 1;
        for field in node.fields() {
            if let (5, Content::Bytes(attribute)) = field.map(|f| (f.number, f.content))? {
                self.attribute(attribute, &name)?;
            }
        }
        Ok(())
    }

    /// `AttributeProto`
    fn attribute(&mut self, attribute: Message<'_>, node: &str) -> Result<(), OnnxError> {
        let mut name = String::new();
        for field in attribute.fields() {
            if let (1, Content::Bytes(text)) = field.map(|f| (f.number, f.content))? {
                name = text.text().into_owned();
            }
        }
        let name = format!("{node}.{name}");
        let mut list = 0u64;
        for field in attribute.fields() {
            let field = field?;
            match (field.number, field.content) {
                (5 | 10, Content::Bytes(message)) => {
                    let tensor = self.tensor(message)?;
                    let named = Part {
                        name: name.clone(),
                        ..tensor
                    };
                    self.part(named, PartKind::Attribute);
                }
                (22 | 23, Content::Bytes(message)) => {
                    let tensor = self.sparse(message)?;
                    let named = Part {
                        name: name.clone(),
                        ..tensor
                    };
                    self.part(named, PartKind::Attribute);
                }
                (6 | 11, Content::Bytes(message)) => self.deeper()?.graph(message, false)?,
                // Lists: numbers may come packed or one by one.
                (7, Content::Bytes(floats)) => list += floats.bytes.len() as u64 / 4,
                (8, Content::Bytes(numbers)) => {
                    for number in numbers.packed() {
                        number?;
                        list += 1;
                    }
                }
                (7..=9, _) => list += 1,
                _ => {}
            }
        }
        if list > 0 {
            let whole = Part {
                name,
                kind: PartKind::Attribute,
                dims: vec![list],
                element: 0,
                span: attribute.span(),
                external: None,
            };
            self.out.parts.push(whole);
        }
        Ok(())
    }

    /// `TensorProto`
    fn tensor(&mut self, tensor: Message<'_>) -> Result<Part, OnnxError> {
        let mut part = Part {
            name: String::new(),
            kind: PartKind::Initializer,
            dims: Vec::new(),
            element: 0,
            span: tensor.span(),
            external: None,
        };
        let (mut outside, mut location) = (false, None);
        for field in tensor.fields() {
            let field = field?;
            match (field.number, field.content) {
                (1, content) => numbers(content, &mut part.dims)?,
                (2, Content::Varint(element)) => part.element = element,
                (8, Content::Bytes(text)) => part.name = text.text().into_owned(),
                (13, Content::Bytes(entry)) => {
                    let (key, value) = stamp::entry(entry)?;
                    if key == "location" {
                        location = Some(value);
                    }
                }
                (14, Content::Varint(1)) => outside = true,
                _ => {}
            }
        }
        if outside {
            let location = location
                .ok_or_else(|| tensor.malformed("a tensor lies in a file that it does not name"))?;
            self.out.external.insert(location.clone());
            part.external = Some(location);
        }
        Ok(part)
    }

    /// `SparseTensorProto`: the values bear the name.
    fn sparse(&mut self, sparse: Message<'_>) -> Result<Part, OnnxError> {
        let mut values = None;
        for field in sparse.fields() {
            let field = field?;
            match (field.number, field.content) {
                (1, Content::Bytes(tensor)) => values = Some(self.tensor(tensor)?),
                (2, Content::Bytes(tensor)) => {
                    self.tensor(tensor)?;
                }
                _ => {}
            }
        }
        let values = values.ok_or_else(|| sparse.malformed("a sparse tensor without values"))?;
        Ok(Part {
            span: sparse.span(),
            ..values
        })
    }

    /// Notes a part. Initializers of nested graphs are told from those of the
    /// main one by being attributes.
    fn part(&mut self, part: Part, kind: PartKind) {
        let kind = if self.depth > 0 {
            PartKind::Attribute
        } else {
            kind
        };
        self.out.parts.push(Part { kind, ..part });
    }
}

fn qualified(domain: &str, name: &str) -> String {
    match domain {
        "" | "ai.onnx" => name.to_owned(),
        _ => format!("{domain}.{name}"),
    }
}

/// The numbers of a repeated field, packed or not.
fn numbers(content: Content<'_>, out: &mut Vec<u64>) -> Result<(), OnnxError> {
    match content {
        Content::Varint(number) => out.push(number),
        Content::Bytes(packed) => {
            for number in packed.packed() {
                out.push(number?);
            }
        }
        Content::Fixed32 | Content::Fixed64 => {}
    }
    Ok(())
}

/// `ValueInfoProto`
fn value_info(message: Message<'_>) -> Result<Value, OnnxError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::onnx::sample;
    use proptest::prelude::*;

    #[test]
    fn the_outline_of_a_small_model() {
        let own = outline(&sample::linear(2.0, 6.0)).unwrap();
        assert_eq!(own.ir_version, 8);
        assert_eq!(own.producer, "sample");
        assert_eq!(own.opsets, BTreeMap::from([("ai.onnx".to_owned(), 17)]));
        let operators = [("Add".to_owned(), 1), ("Mul".to_owned(), 1)];
        assert_eq!(own.operators, BTreeMap::from(operators));
        assert_eq!(own.initializers().collect::<Vec<_>>(), ["scale", "offset"]);
        assert_eq!(own.parameters(), 2);
        let x = &own.inputs[0];
        assert_eq!((&*x.name, x.kind, x.element), ("x", ValueType::Tensor, 1));
        assert_eq!(
            x.dims,
            Some(vec![Dim::Symbol("N".to_owned()), Dim::Fixed(1)])
        );
        assert_eq!(own.stamp, None);
    }

    #[test]
    fn no_shape_is_told_from_a_scalar() {
        let own = outline(&sample::unranked_and_scalar()).unwrap();
        assert_eq!(own.inputs[0].dims, None);
        assert_eq!(own.inputs[1].dims, Some(vec![]));
    }

    #[test]
    fn external_tensors_are_found_wherever_they_hide() {
        let external = |n: &str| sample::external("w", &format!("{n}.bin"));
        let sparse = |n: &str| {
            let mut out = Vec::new();
            super::super::wire::put_bytes(&mut out, 1, &external(n));
            super::super::wire::put_bytes(&mut out, 2, &external(&format!("{n}-index")));
            out
        };
        let mut inner = sample::graph(&[], &[external("inner")]);
        super::super::wire::put_bytes(&mut inner, 15, &sparse("sparse"));
        let nodes = [
            sample::node(
                "Constant",
                &[],
                "c",
                &[sample::attribute("value", 5, &external("constant"))],
            ),
            sample::node(
                "Op",
                &[],
                "d",
                &[sample::attribute("many", 10, &external("list"))],
            ),
            sample::node("If", &[], "e", &[sample::attribute("then", 6, &inner)]),
            sample::node(
                "Op",
                &[],
                "f",
                &[sample::attribute("sparse", 22, &sparse("attribute"))],
            ),
        ];
        let graph = sample::graph(&nodes, &[external("main")]);
        let mut function = Vec::new();
        super::super::wire::put_bytes(&mut function, 1, b"F");
        let hidden = sample::node(
            "Constant",
            &[],
            "c",
            &[sample::attribute("value", 5, &external("function"))],
        );
        super::super::wire::put_bytes(&mut function, 7, &hidden);
        let mut training = Vec::new();
        super::super::wire::put_bytes(
            &mut training,
            2,
            &sample::graph(&[], &[external("training")]),
        );
        let own = outline(&sample::model(&graph, &[(25, &function), (20, &training)])).unwrap();
        let found: Vec<_> = own
            .external
            .iter()
            .map(|s| s.trim_end_matches(".bin"))
            .collect();
        let expected = [
            "attribute-index",
            "attribute",
            "constant",
            "function",
            "inner",
            "list",
            "main",
            "sparse-index",
            "sparse",
            "training",
        ];
        assert_eq!(found, expected);
        assert_eq!(
            own.initializers().collect::<Vec<_>>(),
            ["w"],
            "of the main graph alone"
        );
        assert!(own.functions.contains("F"));
    }

    #[test]
    fn a_tensor_outside_without_a_place_is_refused() {
        let mut tensor = sample::scalar("w", 1.0);
        super::super::wire::put_varint(&mut tensor, 14 << 3);
        super::super::wire::put_varint(&mut tensor, 1);
        let file = sample::linear_with(&[tensor]);
        assert!(
            outline(&file)
                .unwrap_err()
                .to_string()
                .contains("does not name")
        );
    }

    #[test]
    fn endless_nesting_is_refused() {
        let mut graph = sample::graph(&[], &[]);
        for _ in 0..150 {
            let node = sample::node("If", &[], "y", &[sample::attribute("then", 6, &graph)]);
            graph = sample::graph(&[node], &[]);
        }
        assert_eq!(
            outline(&sample::model(&graph, &[])),
            Err(OnnxError::TooDeep)
        );
    }

    #[test]
    fn what_is_no_model_is_refused() {
        for bytes in [
            &b""[..],
            b"hello, this is no model",
            b"\x08\x08",
            b"PK\x03\x04",
        ] {
            let text = outline(bytes).unwrap_err().to_string();
            assert!(text.contains("not an ONNX file"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = outline(&bytes);
        }

        /// Damage to a real file reaches deeper than noise does.
        #[test]
        fn a_damaged_file_is_read_without_a_panic(at in 0usize..200, byte: u8, cut in 0usize..220) {
            let mut file = sample::linear(2.0, 6.0);
            let length = file.len();
            file[at % length] = byte;
            let _ = outline(&file);
            file.truncate(cut);
            let _ = outline(&file);
        }
    }
}
