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
//! `"description"` is free text; `"sampled": true` marks a case whose inputs
//! were drawn at random rather than chosen by a person.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Problem;
pub use crate::tensor::{Mismatch, Tolerance, WrongValue, compare};
use crate::{
    engine::Output,
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
    pub outputs: Vec<(String, Tensor)>,
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
    #[serde(borrow)]
    data: &'a RawValue,
}

const REMEDY: &str = "correct it, or record it again with `modelship add`";

/// The tensors of one side, each once.
fn side(what: &str, tensors: Vec<TensorJson<'_>>) -> Result<Vec<(String, Tensor)>, String> {
    let mut read: Vec<(String, Tensor)> = Vec::new();
    for own in tensors {
        let dtype: DType = own.datatype.parse().map_err(|()| {
            format!(
                "the {what} \"{}\" has the datatype \"{}\", which the protocol does not know",
                own.name, own.datatype
            )
        })?;
        let shape = own.shape.into_iter().collect();
        let tensor = json::read_data(&own.name, dtype, shape, own.data.get())
            .map_err(|e| format!("the {what}s: {e}"))?;
        if read.iter().any(|(name, _)| *name == own.name) {
            return Err(format!("the {what} \"{}\" stands there twice", own.name));
        }
        read.push((own.name, tensor));
    }
    Ok(read)
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
        let outputs = side("output", case.outputs).map_err(problem)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            description: case.description,
            inputs,
            outputs,
            sampled: case.sampled,
        })
    }

    /// The case as its file holds it: one line for each tensor.
    pub fn to_json(&self) -> String {
        let text = |s: &str| serde_json::Value::from(s).to_string();
        let side = |tensors: &[(String, Tensor)]| {
            let lines: Vec<String> = tensors
                .iter()
                .map(|(name, tensor)| {
                    let mut data = Vec::new();
                    json::write_data(tensor, &mut data);
                    format!(
                        "    {{\"name\": {}, \"shape\": {}, \"datatype\": \"{}\", \"data\": {}}}",
                        text(name),
                        tensor.shape(),
                        tensor.dtype(),
                        String::from_utf8_lossy(&data)
                    )
                })
                .collect();
            lines.join(",\n")
        };
        let mut head = String::new();
        if let Some(description) = &self.description {
            head += &format!("  \"description\": {},\n", text(description));
        }
        if self.sampled {
            head += "  \"sampled\": true,\n";
        }
        format!(
            "{{\n{head}  \"inputs\": [\n{}\n  ],\n  \"outputs\": [\n{}\n  ]\n}}\n",
            side(&self.inputs),
            side(&self.outputs)
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
            compare(name, expected, &got.tensor, tolerance)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "models/linear/cases/one.json";
    const GOOD: &str = r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[[21]]}],
        "outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[48]}]}"#;

    fn parse(text: &str) -> Result<GoldenCase, String> {
        GoldenCase::parse(Path::new(FILE), text.as_bytes()).map_err(|p| p.to_string())
    }

    #[test]
    fn a_case_is_read_and_written() {
        let own = parse(GOOD).unwrap();
        assert_eq!(own.name, "one");
        assert!(!own.sampled);
        assert_eq!(own.inputs[0].1, Tensor::new([1, 1], vec![21f32]).unwrap());
        let sampled = GoldenCase {
            sampled: true,
            description: Some("a \"quoted\" one".to_owned()),
            ..own
        };
        assert_eq!(parse(&sampled.to_json()).unwrap(), sampled);
        assert_eq!(sampled.to_json().lines().count(), 10);
    }

    #[test]
    fn what_is_no_case_names_file_reason_and_remedy() {
        for (text, reason) in [
            ("", "EOF"),
            ("[]", "golden case"),
            (r#"{"inputs":[],"outputs":[]}"#, "proves nothing"),
            (&GOOD.replace("inputs", "imputs"), "imputs"),
            (&GOOD.replace("48", "\"a\""), "does not fit FP32"),
            (&GOOD.replace("[48]", "[48,49]"), "more elements"),
            (&GOOD.replace("FP32", "FLOAT"), "FLOAT"),
            (
                &GOOD.replace(
                    "\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[48]",
                    "\"shape\":[1,1]",
                ),
                "datatype",
            ),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(
                problem.starts_with(FILE) && problem.contains(reason),
                "{problem}"
            );
            assert!(problem.contains("record it again"), "{problem}");
        }
        let broken = parse(&GOOD.replace("\"outputs\"", "\n\n\"putouts\"")).unwrap_err();
        assert!(
            broken.starts_with("models/linear/cases/one.json:4: "),
            "{broken}"
        );
    }
}
