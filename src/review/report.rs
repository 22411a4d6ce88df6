//! The review of a change, as data: what `--format json` writes, and what the
//! Markdown and the page are made from.
//!
//! Its schema stands in `report/schema.json`, and a test holds the two
//! together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::step::{SignatureChange, Step};

/// The name and version of this form.
pub const FORM: &str = "modelship-review/1";

/// The review of a change of a model repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Review {
    /// The name and version of this form: `modelship-review/1`.
    pub form: String,
    /// What stood before: a folder, or a git ref with its commit.
    pub base: String,
    /// What is to stand: a folder, or a git ref with its commit.
    pub head: String,
    /// The gravest of all notes.
    pub verdict: Verdict,
    /// The verdict in a sentence.
    pub summary: String,
    /// The engine that the models ran in.
    pub engine: String,
    /// The machine that they ran on.
    pub machine: String,
    /// What is to be said of the repository as a whole.
    pub notes: Vec<Note>,
    /// The models that change.
    pub models: Vec<ModelReview>,
    /// The versions that do not change.
    pub unchanged: Vec<String>,
}

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is in the way.
    Fits,
    /// It may be meant so; a person must look.
    Look,
    /// It must not be merged so.
    Wrong,
}

/// Something to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Note {
    /// How grave it is.
    pub verdict: Verdict,
    /// What it is, in a sentence without its full stop.
    pub text: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
}

/// What happens to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    New,
    /// It goes.
    Removed,
    /// Its bytes change.
    Bytes,
    /// Only its manifest or its golden cases change.
    Words,
}

/// The review of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModelReview {
    /// The model's name.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// The gravest of its notes.
    pub verdict: Verdict,
    /// What happens to it, in a sentence.
    pub headline: String,
    /// What is to be said of it.
    pub notes: Vec<Note>,
    /// The version before; absent for a new model.
    pub base: Option<VersionFacts>,
    /// The version after; absent for one that goes, or can't be read.
    pub head: Option<VersionFacts>,
    /// The step from one version to the other.
    pub step: Option<Step>,
    /// How what it takes and gives changes.
    pub signature: Vec<SignatureChange>,
    /// How description, licence and other words change.
    pub words: Vec<WordChange>,
    /// Where the weights changed.
    pub weights: Weights,
    /// The golden cases of both sides.
    pub cases: Vec<CaseReview>,
    /// The predictions of both versions on the same inputs.
    pub predictions: Option<Predictions>,
    /// The speed of both versions in this server.
    pub speed: Option<Speed>,
}

/// What is known of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VersionFacts {
    /// The version.
    pub version: String,
    /// The sha256 of the ONNX file.
    pub sha256: String,
    /// The bytes of all its files.
    pub bytes: u64,
    /// How many constant numbers it holds.
    pub parameters: u64,
    /// What wrote the file.
    pub producer: String,
    /// The operator sets that it needs.
    pub opsets: BTreeMap<String, u64>,
    /// How often each operator stands in it.
    pub operators: BTreeMap<String, usize>,
    /// What it takes: name, type and shape.
    pub inputs: Vec<String>,
    /// What it gives: name, type and shape.
    pub outputs: Vec<String>,
}

/// A word of the manifest that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WordChange {
    /// The key in `model.toml`.
    pub key: String,
    /// What stood there; empty where nothing did.
    pub base: String,
    /// What is to stand there; empty where nothing is.
    pub head: String,
}

/// Where the weights changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Weights {
    /// Those that changed, the most changed first; not all where there are
    /// very many.
    pub changes: Vec<WeightChange>,
    /// How many changed.
    pub changed: usize,
    /// How many are the same.
    pub same: usize,
}

/// A weight that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WeightChange {
    /// The tensor's name, or the node's and its attribute's.
    pub name: String,
    /// Its shape before.
    pub base: Option<String>,
    /// Its shape after.
    pub head: Option<String>,
    /// The Euclidean norm of the change over that of the weight before;
    /// absent where the shape changed.
    pub relative: Option<f64>,
    /// The largest change of a single number.
    pub largest: Option<f64>,
}

/// A golden case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CaseReview {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: CaseOutcome,
    /// What it must answer on the side before.
    pub base: String,
    /// What it must answer on the side after.
    pub head: String,
    /// What is wrong, or how the answer changed.
    pub detail: String,
}

/// What became of a golden case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CaseOutcome {
    /// The new version fails its own case.
    Fails,
    /// The new version does not give what the old one had to give, and the
    /// case was recorded anew.
    Broken,
    /// It is there no longer.
    Gone,
    /// It is new, and holds.
    New,
    /// It stands and holds.
    Kept,
}

/// The predictions of both versions on the same inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Predictions {
    /// Where the inputs came from.
    pub basis: String,
    /// How many rows both versions answered.
    pub rows: usize,
    /// What changed in each output that both have.
    pub outputs: Vec<OutputChange>,
}

/// What changed in one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutputChange {
    /// The output's name.
    pub name: String,
    /// For numbers: how far they moved.
    pub numbers: Option<Numbers>,
    /// For classes, and for probabilities of several: which rows changed
    /// theirs.
    pub classes: Option<Classes>,
}

/// How far numbers moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Numbers {
    /// How many numbers were compared.
    pub count: usize,
    /// The mean of the absolute change.
    pub mean: f64,
    /// Its 95th percentile.
    pub p95: f64,
    /// The largest.
    pub largest: f64,
    /// The mean of the change with its sign.
    pub bias: f64,
    /// The least and the greatest number of the old version.
    pub range: [f64; 2],
    /// The row with the largest change, from 1, and its numbers before and
    /// after.
    pub worst: Option<(usize, f64, f64)>,
    /// How many were finite on one side only.
    pub not_finite: usize,
    /// Some of the numbers, before and after.
    pub points: Vec<[f64; 2]>,
    /// How often changes of each size occur.
    pub histogram: Histogram,
}

/// How often values fall into bins of equal width.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Histogram {
    /// Where the first bin starts.
    pub from: f64,
    /// Where the last bin ends.
    pub to: f64,
    /// How many values each bin holds.
    pub counts: Vec<usize>,
}

/// Which rows changed their class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Classes {
    /// How many rows were compared.
    pub count: usize,
    /// How many of them changed.
    pub flips: usize,
    /// From which class to which, the most frequent first.
    pub pairs: Vec<Flip>,
}

/// Rows that changed from one class to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Flip {
    /// The class before.
    pub base: String,
    /// The class after.
    pub head: String,
    /// How many rows.
    pub count: usize,
}

/// The speed of both versions in this server, measured in turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Speed {
    /// How many turns each had.
    pub turns: usize,
    /// The version before; absent for a new model.
    pub base: Option<SpeedFacts>,
    /// The version after.
    pub head: SpeedFacts,
}

/// The speed of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SpeedFacts {
    /// The median time of one request alone, in microseconds.
    pub p50_microseconds: f64,
    /// The 99th percentile.
    pub p99_microseconds: f64,
    /// Rows a second with as many requests at once as fill the best batch
    /// twice.
    pub rows_per_second: f64,
    /// The best batch, as this server found it.
    pub batch: usize,
    /// Where it runs, and why.
    pub placement: String,
    /// How long the load takes, in milliseconds: the least of several.
    pub load_milliseconds: f64,
    /// How much memory the load takes, in bytes; absent where the system does
    /// not say.
    pub load_memory: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with `SCHEMA=write` to write the file anew.
    #[test]
    fn the_schema_is_the_one_that_is_documented() {
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(Review)).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/review/report/schema.json");
        if std::env::var("SCHEMA").as_deref() == Ok("write") {
            std::fs::write(path, &schema).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), schema);
    }
}
