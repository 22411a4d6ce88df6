//! Whether `[ranges]` speaks of features that the model has.

use super::{Rule, Severity, own::Own};
use crate::tensor::{DType, Shape, Signature, TensorSpec, json::read_data};

impl Own<'_> {
    /// Each name is that of one input or of one column, which takes numbers
    /// of that size.
    pub(super) fn ranges(&mut self, signature: &Signature) {
        let manifest = &self.verified.manifest;
        let mut problems = Vec::new();
        for (name, range) in &manifest.ranges {
            let mut note = |reason: String, remedy: String| {
                let key = format!("ranges.{name}");
                problems.push(self.manifest_problem(&key, reason, remedy));
            };
            let has_column = |spec: &&TensorSpec| {
                let columns = manifest.features.get(&*spec.name);
                columns.is_some_and(|columns| columns.contains(name))
            };
            let is_it = |spec: &&TensorSpec| *spec.name == **name || has_column(spec);
            let found: Vec<&TensorSpec> = signature.inputs.iter().filter(is_it).collect();
            let spec = match found[..] {
                [spec] => spec,
                [] => {
                    let remedy = format!("name one of {}", names(self, signature));
                    note(
                        format!("the model has no input or column \"{name}\""),
                        remedy,
                    );
                    continue;
                }
                [..] => {
                    let inputs: Vec<_> = found.iter().map(|spec| &*spec.name).collect();
                    note(
                        format!("it may be meant for {}", inputs.join(" or ")),
                        "give each column a name of its own in [features]".to_owned(),
                    );
                    continue;
                }
            };
            if matches!(spec.dtype, DType::Bytes | DType::Bool) {
                note(
                    format!(
                        "the input \"{}\" is {}, which has no least value",
                        spec.name, spec.dtype
                    ),
                    "take it out".to_owned(),
                );
                continue;
            }
            let data = range.to_string();
            if let Err(e) = read_data(name, spec.dtype, Shape::from([2]), &data) {
                note(
                    e.to_string(),
                    format!("give two numbers that {} holds", spec.dtype),
                );
            }
        }
        self.findings
            .add_all(Severity::Error, Rule::Ranges, problems);
    }
}

/// What a range may be named by.
fn names(own: &Own<'_>, signature: &Signature) -> String {
    let features = &own.verified.manifest.features;
    let names = signature.inputs.iter().flat_map(|spec| {
        let columns = features.get(&*spec.name).into_iter().flatten();
        std::iter::once(&*spec.name).chain(columns.map(String::as_str))
    });
    names.collect::<Vec<_>>().join(", ")
}
