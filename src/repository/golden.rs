//! Golden cases: inputs, with the outputs that the model must give.
//!
//! Each is a JSON file in `cases/`, in the form of an inference request and
//! its answer in the Open Inference Protocol:
//!
//! ```json
//! {
//!   "inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [21]}],
//!   "outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [48]}]
//! }
//! ```
//!
//! What the protocol's parameters say of a tensor stands here too: the `keys`
//! of a map, `"parameters": {"keys": "[\"cat\",\"dog\"]"}`, and the `shapes` of a
//! sequence whose parts differ. The model is held to them where they stand.
//!
//! `"description"` is free text; `"sampled": true` marks a case whose inputs
//! were drawn at random rather than chosen by a person.

use std::{path::Path, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Problem;
pub use crate::tensor::{Mismatch, Tolerance, WrongValue, compare};
use crate::{
    engine::{MapKey, Output},
    error::{Error, Result},
    tensor::{DType, Signature, Tensor, json},
};

/// Inputs, with the outputs that the model must give.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenCase {
    /// The file's name without `.json`.
    pub name: String,
    /// What it is about, where its author says so.
    pub description: Option<String>,
    /// The inputs by name.
    pub inputs: Vec<(String, Tensor)>,
    /// The outputs by name; those that it leaves out are not compared.
    /// The keys of a map are compared where the case names them.
    pub outputs: Vec<(String, Output)>,
    /// Whether the inputs were drawn at random, not chosen by a person.
    pub sampled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseJson<'a> {
    description: Option<String>,
    #[serde(default)]
    sampled: bool,
    #[serde(borrow)]
    inputs: Vec<TensorJson<'a>>,
    #[serde(borrow, default)]
    outputs: Vec<TensorJson<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorJson<'a> {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: ParametersJson,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What shape and datatype do not say; both are JSON as text.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ParametersJson {
    keys: Option<String>,
    shapes: Option<String>,
}

const REMEDY: &str = "correct it, or record it again with `modelship add`";

impl TensorJson<'_> {
    fn read(self, what: &str) -> Result<(String, Output), String> {
        let dtype: DType = self.datatype.parse().map_err(|()| {
            format!(
                "the {what} \"{}\" has the datatype \"{}\", which the protocol does not know",
                self.name, self.datatype
            )
        })?;
        let shape = self.shape.into_iter().collect();
        let mut tensor = json::read_data(&self.name, dtype, shape, self.data.get())
            .map_err(|e| format!("the {what}s: {e}"))?;
        if let Some(shapes) = &self.parameters.shapes {
            tensor = tensor
                .with_described_parts(shapes)
                .map_err(|e| format!("the {what} \"{}\": {e}", self.name))?;
        }
        let keys = self.parameters.keys.as_deref();
        let keys = keys.map(|keys| columns(keys, &tensor)).transpose();
        let keys = keys.map_err(|e| format!("the {what} \"{}\": {e}", self.name))?;
        Ok((self.name, Output { tensor, keys }))
    }
}

/// The keys of a map, one for each column of `tensor`, from JSON.
fn columns(keys: &str, tensor: &Tensor) -> Result<Arc<[MapKey]>, String> {
    let keys: Arc<[MapKey]> = serde_json::from_str(keys).map_err(|_| {
        "its parameter keys is not a list of text or integers, as JSON in a text".to_owned()
    })?;
    let columns = tensor.shape().last().copied().unwrap_or(0);
    if keys.len() != columns {
        return Err(format!(
            "its parameter keys names {}, and its shape {} has {columns} in the last dimension",
            keys.len(),
            tensor.shape()
        ));
    }
    Ok(keys)
}

/// The tensors of one side, each once.
fn side(what: &str, tensors: Vec<TensorJson<'_>>) -> Result<Vec<(String, Output)>, String> {
    let mut read: Vec<(String, Output)> = Vec::new();
    for own in tensors {
        let own = own.read(what)?;
        if read.iter().any(|(name, _)| *name == own.0) {
            return Err(format!("the {what} \"{}\" stands there twice", own.0));
        }
        read.push(own);
    }
    Ok(read)
}

/// A tensor as its line in the file.
fn line(name: &str, tensor: &Tensor, described: Vec<(&str, String)>) -> String {
    let text = |s: &str| serde_json::Value::from(s).to_string();
    let parameters: Vec<String> = described
        .iter()
        .map(|(name, value)| format!("{}: {}", text(name), text(value)))
        .collect();
    let parameters = match parameters.is_empty() {
        true => String::new(),
        false => format!("\"parameters\": {{{}}}, ", parameters.join(", ")),
    };
    let mut data = Vec::new();
    json::write_data(tensor, &mut data);
    format!(
        "    {{\"name\": {}, \"shape\": {}, \"datatype\": \"{}\", {parameters}\"data\": {}}}",
        text(name),
        tensor.shape(),
        tensor.dtype(),
        String::from_utf8_lossy(&data)
    )
}

/// Compares an output, and the keys of a map, with the one that `expected`
/// says; `name` is for the mismatch. Keys that `expected` leaves out are not
/// compared.
///
/// # Errors
/// How they differ.
pub fn compare_outputs(
    name: &str,
    expected: &Output,
    got: &Output,
    tolerance: Tolerance,
) -> Result<(), Mismatch> {
    if let Some(keys) = &expected.keys
        && got.keys.as_ref() != Some(keys)
    {
        let text = |keys| serde_json::to_string(keys).unwrap_or_default();
        return Err(Mismatch::Keys {
            output: name.to_owned(),
            expected: text(&keys[..]),
            got: text(got.keys.as_deref().unwrap_or_default()),
        });
    }
    compare(name, &expected.tensor, &got.tensor, tolerance)
}

impl GoldenCase {
    /// Parses a golden case; `file` is its path.
    ///
    /// # Errors
    /// What is wrong with it, with file and line.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Problem> {
        let case = Self::parse_request(file, bytes)?;
        if case.outputs.is_empty() {
            let reason = "it has no outputs, so it proves nothing";
            return Err(Problem::new(file, reason, REMEDY));
        }
        Ok(case)
    }

    /// As [`GoldenCase::parse`], for a request whose answer may be missing.
    ///
    /// # Errors
    /// What is wrong with it, with file and line.
    pub fn parse_request(file: &Path, bytes: &[u8]) -> Result<Self, Problem> {
        let problem = |reason: String| Problem::new(file, reason, REMEDY);
        let text = std::str::from_utf8(bytes)
            .map_err(|e| problem(format!("it is not UTF-8 (byte {})", e.valid_up_to())))?;
        let case: CaseJson<'_> = serde_json::from_str(text).map_err(|e| {
            let reason = e.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let mut problem = problem(format!("it is not a golden case: {reason}"));
            problem.line = Some(e.line()).filter(|&line| line > 0);
            problem
        })?;
        let inputs = side("input", case.inputs).map_err(problem)?;
        if let Some((name, _)) = inputs.iter().find(|(_, input)| input.keys.is_some()) {
            return Err(problem(format!(
                "the input \"{name}\" has keys, which only an output has"
            )));
        }
        let inputs = inputs.into_iter().map(|(name, i)| (name, i.tensor));
        let outputs = side("output", case.outputs).map_err(problem)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            description: case.description,
            inputs: inputs.collect(),
            outputs,
            sampled: case.sampled,
        })
    }

    /// The case as its file holds it: one line for each tensor.
    pub fn to_json(&self) -> String {
        let text = |s: &str| serde_json::Value::from(s).to_string();
        let inputs: Vec<String> = self
            .inputs
            .iter()
            .map(|(name, tensor)| {
                let shapes = tensor.described_parts().map(|shapes| ("shapes", shapes));
                line(name, tensor, shapes.into_iter().collect())
            })
            .collect();
        let outputs: Vec<String> = self
            .outputs
            .iter()
            .map(|(name, output)| line(name, &output.tensor, output.described()))
            .collect();
        let mut head = String::new();
        if let Some(description) = &self.description {
            head += &format!("  \"description\": {},\n", text(description));
        }
        if self.sampled {
            head += "  \"sampled\": true,\n";
        }
        format!(
            "{{\n{head}  \"inputs\": [\n{}\n  ],\n  \"outputs\": [\n{}\n  ]\n}}\n",
            inputs.join(",\n"),
            outputs.join(",\n")
        )
    }

    /// The inputs in the order of `signature`, checked against it.
    ///
    /// # Errors
    /// `Invalid` for an input that the model does not take, or that does not
    /// fit it.
    pub fn arrange(&self, signature: &Signature) -> Result<Vec<Option<Tensor>>> {
        let mut inputs = vec![None; signature.inputs.len()];
        for (name, tensor) in &self.inputs {
            let index = signature.input_index(name).ok_or_else(|| {
                let own: Vec<_> = signature.inputs.iter().map(|i| &*i.name).collect();
                Error::invalid(format!(
                    "the model has no input \"{name}\": it takes {}",
                    own.join(", ")
                ))
            })?;
            inputs[index] = Some(tensor.clone());
        }
        signature.check(&inputs)?;
        Ok(inputs)
    }

    /// Compares `got`, one for each output of `signature` in order, with what
    /// the model must give.
    ///
    /// # Errors
    /// The first output that differs, at the element that differs most.
    pub fn verify(
        &self,
        signature: &Signature,
        got: &[Output],
        tolerance: Tolerance,
    ) -> Result<(), Mismatch> {
        for (name, expected) in &self.outputs {
            let got = signature
                .output_index(name)
                .and_then(|index| got.get(index))
                .ok_or_else(|| Mismatch::Missing {
                    output: name.clone(),
                })?;
            compare_outputs(name, expected, got, tolerance)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
