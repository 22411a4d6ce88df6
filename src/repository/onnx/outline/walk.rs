//! Graphs, functions, nodes and tensors, walked for the outline.

use super::{
    External, Outline, Part, PartKind,
    fields::{numbers, value_info},
};
use crate::repository::onnx::{
    OnnxError, stamp,
    wire::{Content, Field, Message},
};

/// Graphs inside graphs: as deep as protobuf itself reads.
const MAX_DEPTH: usize = 100;

pub(super) struct Walk<'o> {
    out: &'o mut Outline,
    depth: usize,
}

impl<'o> Walk<'o> {
    pub(super) fn new(out: &'o mut Outline, depth: usize) -> Self {
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
    pub(super) fn graph(&mut self, graph: Message<'_>, main: bool) -> Result<(), OnnxError> {
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
    pub(super) fn function(&mut self, function: Message<'_>) -> Result<(), OnnxError> {
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
        let (mut offset, mut length) = (0, None);
        for field in tensor.fields() {
            let field = field?;
            match (field.number, field.content) {
                (1, content) => numbers(content, &mut part.dims)?,
                (2, Content::Varint(element)) => part.element = element,
                (8, Content::Bytes(text)) => part.name = text.text().into_owned(),
                (13, Content::Bytes(entry)) => {
                    let (key, value) = stamp::entry(entry)?;
                    match &*key {
                        "location" => location = Some(value),
                        "offset" => offset = value.parse().unwrap_or(0),
                        "length" => length = value.parse().ok(),
                        _ => {}
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
            part.external = Some(External {
                location,
                offset,
                length,
            });
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
