//! The structural rules of ONNX, as its own checker has them (`checker.cc`):
//! what must hold whatever runs the model.

use std::collections::{BTreeMap, HashSet};

use super::{
    OnnxError,
    wire::{Content, Message},
};

/// More faults than a person will read.
const MOST: usize = 20;

/// Graphs inside graphs: as deep as protobuf itself reads.
const MAX_DEPTH: usize = 100;

/// Which structural rules `file` breaks, each as a sentence; empty when it
/// keeps them all.
///
/// # Errors
/// When it is not an ONNX file at all.
pub fn faults(file: &[u8]) -> Result<Vec<String>, OnnxError> {
    let mut check = Check::default();
    let mut graphs = Vec::new();
    let mut functions = Vec::new();
    let mut ir_version = 0;
    for field in Message::file(file).fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, Content::Varint(version)) => ir_version = version,
            (7, Content::Bytes(graph)) => graphs.push(graph),
            (8, Content::Bytes(opset)) => check.opset(opset)?,
            (25, Content::Bytes(function)) => functions.push(function),
            _ => {}
        }
    }
    if ir_version == 0 {
        check.fault("it does not say the version of its format (ir_version)".to_owned());
    }
    if check.opsets.is_empty() {
        check.fault("it imports no operator set (opset_import)".to_owned());
    }
    for function in functions {
        check.function(function)?;
    }
    for graph in graphs {
        check.graph(graph, &mut Scopes::default(), true)?;
    }
    Ok(check.faults)
}

/// The names that a node may take as inputs: those of its own graph, and of
/// the graphs around it.
#[derive(Default)]
struct Scopes(Vec<HashSet<String>>);

impl Scopes {
    fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope.contains(name))
    }

    /// `false` when the innermost graph has the name already.
    fn add(&mut self, name: String) -> bool {
        self.0.last_mut().is_none_or(|scope| scope.insert(name))
    }
}

#[derive(Default)]
struct Check {
    opsets: BTreeMap<String, u64>,
    /// Those that a function imports besides, while it is looked at.
    own_opsets: HashSet<String>,
    faults: Vec<String>,
}

impl Check {
    fn fault(&mut self, fault: String) {
        if self.faults.len() < MOST && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn opset(&mut self, message: Message<'_>) -> Result<(), OnnxError> {
        let (domain, version) = super::outline::opset_import(message)?;
        // Some exporters say the same twice.
        let before = self.opsets.insert(domain.clone(), version);
        if before.is_some_and(|before| before != version) {
            self.fault(format!(
                "it imports two versions of the operator set {domain}"
            ));
        }
        Ok(())
    }

    fn graph(
        &mut self,
        graph: Message<'_>,
        scopes: &mut Scopes,
        main: bool,
    ) -> Result<(), OnnxError> {
        if scopes.0.len() >= MAX_DEPTH {
            return Err(OnnxError::TooDeep);
        }
        scopes.0.push(HashSet::new());
        let (mut name, mut inputs, mut initializers) = (String::new(), HashSet::new(), 0usize);
        let (mut nodes, mut outputs) = (Vec::new(), Vec::new());
        // Inputs first: they stand behind the nodes in the file.
        for field in graph.fields() {
            let field = field?;
            let Content::Bytes(message) = field.content else {
                continue;
            };
            match field.number {
                1 => nodes.push(message),
                2 => name = message.text().into_owned(),
                11 | 12 => {
                    let value = super::outline::value_info(message)?;
                    let side = if field.number == 11 {
                        "input"
                    } else {
                        "output"
                    };
                    if value.name.is_empty() {
                        self.fault(format!("an {side} of the graph has no name"));
                    }
                    if main && value.kind == super::ValueType::Other {
                        self.fault(format!("the {side} \"{}\" has no type", value.name));
                    }
                    if field.number == 12 {
                        outputs.push(value.name);
                    } else if inputs.insert(value.name.clone()) {
                        scopes.add(value.name);
                    } else {
                        self.fault(format!("the input \"{}\" stands there twice", value.name));
                    }
                }
                _ => {}
            }
        }
        if name.is_empty() && main {
            self.fault("its graph has no name".to_owned());
        }
        let mut seen = HashSet::new();
        for field in graph.fields() {
            let field = field?;
            let (number @ (5 | 15), Content::Bytes(message)) = (field.number, field.content) else {
                continue;
            };
            initializers += 1;
            let own = if number == 5 {
                self.tensor(message)?
            } else {
                sparse_name(message)?
            };
            if own.is_empty() {
                self.fault(format!("the initializer number {initializers} has no name"));
            } else if !seen.insert(own.clone()) {
                self.fault(format!("the initializer \"{own}\" stands there twice"));
            }
            scopes.add(own);
        }
        for node in nodes {
            self.node(node, scopes)?;
        }
        for output in outputs {
            if !output.is_empty() && !scopes.knows(&output) {
                self.fault(format!(
                    "nothing in the graph gives its output \"{output}\""
                ));
            }
        }
        scopes.0.pop();
        Ok(())
    }

    fn function(&mut self, function: Message<'_>) -> Result<(), OnnxError> {
        let mut scopes = Scopes(vec![HashSet::new()]);
        let mut nodes = Vec::new();
        for field in function.fields() {
            let field = field?;
            let Content::Bytes(message) = field.content else {
                continue;
            };
            match field.number {
                4 => {
                    scopes.add(message.text().into_owned());
                }
                7 => nodes.push(message),
                9 => {
                    let (domain, _) = super::outline::opset_import(message)?;
                    self.own_opsets.insert(domain);
                }
                _ => {}
            }
        }
        for node in nodes {
            self.node(node, &mut scopes)?;
        }
        self.own_opsets.clear();
        Ok(())
    }

    fn node(&mut self, node: Message<'_>, scopes: &mut Scopes) -> Result<(), OnnxError> {
        let (mut inputs, mut outputs, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut op, mut name, mut domain) = (String::new(), String::new(), String::new());
        for field in node.fields() {
            let field = field?;
            let Content::Bytes(message) = field.content else {
                continue;
            };
            match field.number {
                1 => inputs.push(message.text().into_owned()),
                2 => outputs.push(message.text().into_owned()),
                3 => name = message.text().into_owned(),
                4 => op = message.text().into_owned(),
                5 => attributes.push(message),
                7 => domain = message.text().into_owned(),
                _ => {}
            }
        }
        let shown = match (&*name, outputs.first()) {
            ("", Some(output)) => format!("the node {op} that gives \"{output}\""),
            ("", None) => format!("a node {op}"),
            (name, _) => format!("the node \"{name}\" ({op})"),
        };
        if op.is_empty() {
            self.fault(format!("{shown} names no operator"));
        }
        if inputs.is_empty() && outputs.is_empty() {
            self.fault(format!("{shown} has neither inputs nor outputs"));
        }
        if domain.is_empty() {
            domain = "ai.onnx".to_owned();
        }
        if !self.opsets.contains_key(&domain) && !self.own_opsets.contains(&domain) {
            self.fault(format!(
                "{shown} is of the operator set {domain}, which the model does not import"
            ));
        }
        for input in inputs {
            if !input.is_empty() && !scopes.knows(&input) {
                self.fault(format!(
                    "{shown} takes \"{input}\", which nothing before it gives"
                ));
            }
        }
        let mut seen = HashSet::new();
        for attribute in attributes {
            let own = self.attribute(attribute, &shown, scopes)?;
            if !seen.insert(own.clone()) {
                self.fault(format!("{shown} has the attribute \"{own}\" twice"));
            }
        }
        for output in outputs {
            if !output.is_empty() && !scopes.add(output.clone()) {
                self.fault(format!(
                    "{shown} gives \"{output}\", which is given already"
                ));
            }
        }
        Ok(())
    }

    /// The attribute's name.
    fn attribute(
        &mut self,
        attribute: Message<'_>,
        node: &str,
        scopes: &mut Scopes,
    ) -> Result<String, OnnxError> {
        let mut name = String::new();
        for field in attribute.fields() {
            let field = field?;
            let Content::Bytes(message) = field.content else {
                continue;
            };
            match field.number {
                1 => name = message.text().into_owned(),
                5 | 10 => {
                    self.tensor(message)?;
                }
                6 | 11 => self.graph(message, scopes, false)?,
                _ => {}
            }
        }
        if name.is_empty() {
            self.fault(format!("an attribute of {node} has no name"));
        }
        Ok(name)
    }

    /// The tensor's name.
    fn tensor(&mut self, tensor: Message<'_>) -> Result<String, OnnxError> {
        let (mut name, mut dims, mut element) = (String::new(), Vec::new(), 0);
        let (mut raw, mut external) = (None, false);
        for field in tensor.fields() {
            let field = field?;
            match (field.number, field.content) {
                (1, content) => super::outline::numbers(content, &mut dims)?,
                (2, Content::Varint(number)) => element = number,
                (8, Content::Bytes(text)) => name = text.text().into_owned(),
                (9, Content::Bytes(bytes)) => raw = Some(bytes.bytes.len() as u64),
                (14, Content::Varint(location)) => external = location == 1,
                _ => {}
            }
        }
        if element == 0 {
            self.fault(format!("the tensor \"{name}\" has no element type"));
        }
        let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        let expected = elements.and_then(|n| Some(n.checked_mul(bits(element)?)?.div_ceil(8)));
        if let (Some(raw), Some(expected), false) = (raw, expected, external)
            && raw != expected
        {
            self.fault(format!(
                "the tensor \"{name}\" holds {raw} bytes, and its shape {dims:?} takes {expected}"
            ));
        }
        Ok(name)
    }
}

fn sparse_name(sparse: Message<'_>) -> Result<String, OnnxError> {
    let mut name = String::new();
    for field in sparse.fields() {
        let field = field?;
        if let (1, Content::Bytes(values)) = (field.number, field.content) {
            for field in values.fields() {
                let field = field?;
                if let (8, Content::Bytes(text)) = (field.number, field.content) {
                    name = text.text().into_owned();
                }
            }
        }
    }
    Ok(name)
}

/// The bits of one element, by ONNX's number of its type; `None` for text and
/// for types that came later.
fn bits(element: u64) -> Option<u64> {
    Some(match element {
        2 | 3 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        21..=23 => 4,
        25 | 26 => 2,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
