//! The model card: what is served, and how that was proved.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use crate::{
    repository::{Digest, Manifest, ModelId, TrainedRange},
    scheduler::Plan,
    tensor::{Signature, TensorSpec, ValueKind},
};

/// Where the served files came from; empty outside an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The git commit that the files came in.
    pub commit: Option<String>,
    /// The image that carried them.
    pub image: Option<String>,
}

/// The model card.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// The model's name.
    pub name: Arc<str>,
    /// Its version.
    pub version: String,
    /// What it is.
    pub description: String,
    /// Its licence, where `model.toml` says.
    pub license: Option<String>,
    /// Labels of `model.toml`.
    pub labels: BTreeMap<String, String>,
    /// The sha256 of the ONNX file's bytes that were handed to the engine.
    pub sha256: String,
    /// The digest of manifest, files and golden cases together.
    pub content: String,
    /// Every file, with the sha256 of the bytes in use.
    pub files: Vec<FileCard>,
    /// The git commit that it came in.
    pub commit: Option<String>,
    /// The image that it came in.
    pub image: Option<String>,
    /// Whether a signature was verified: `unsigned` where there is none, `not
    /// checked` where nobody's signature counts, or `verified by` and who
    /// signed: a key's sha256, a certificate, or an identity.
    pub signature: String,
    /// What it takes.
    pub inputs: Vec<TensorCard>,
    /// What it gives.
    pub outputs: Vec<TensorCard>,
    /// Golden cases that passed on this machine, at this load.
    pub golden_cases: GoldenCard,
    /// From the first byte read to ready, in milliseconds.
    pub load_milliseconds: f64,
    /// When it became ready, in milliseconds since 1970.
    pub ready_since: u64,
    /// The engine that runs it.
    pub engine: String,
    /// How its requests are scheduled, and why.
    pub scheduling: Plan,
}

/// One file of a model.
#[derive(Debug, Clone, Serialize)]
pub struct FileCard {
    /// The path in the model's folder.
    pub path: String,
    /// The sha256 of its bytes.
    pub sha256: String,
}

/// One input or output.
#[derive(Debug, Clone, Serialize)]
pub struct TensorCard {
    /// Its name in the model.
    pub name: Arc<str>,
    /// Its datatype, in the protocol's words.
    pub datatype: &'static str,
    /// Its shape; -1 varies.
    pub shape: Vec<i64>,
    /// Whether a request may leave it out.
    pub optional: bool,
    /// What the model declares it to be, where that is not a tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// The names of its columns, where `model.toml` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// The least and the greatest value that it was trained on, where
    /// `model.toml` says: one for each of `features`, or one for the whole
    /// input where its columns have no names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Option<TrainedRange>>,
}

/// The golden cases of a load.
#[derive(Debug, Clone, Serialize)]
pub struct GoldenCard {
    /// How many passed; a load where one fails is no load.
    pub passed: usize,
    /// Their names.
    pub names: Vec<String>,
}

/// What a card is made of.
pub(super) struct Facts<'a> {
    pub(super) id: &'a ModelId,
    pub(super) manifest: &'a Manifest,
    pub(super) signature: &'a Signature,
    pub(super) origin: &'a Origin,
    pub(super) signed: String,
    pub(super) cases: Vec<String>,
    pub(super) plan: Plan,
    pub(super) engine: String,
    pub(super) load: std::time::Duration,
}

impl Card {
    pub(super) fn new(facts: Facts<'_>) -> Self {
        let manifest = facts.manifest;
        let tensor = |spec: &TensorSpec, ranges| TensorCard {
            name: Arc::clone(&spec.name),
            datatype: spec.dtype.name(),
            shape: spec.protocol_shape(),
            optional: spec.optional,
            declared: (spec.kind != ValueKind::Tensor).then(|| spec.kind.to_string()),
            features: manifest
                .features
                .get(&*spec.name)
                .cloned()
                .unwrap_or_default(),
            ranges,
        };
        let input = |spec: &TensorSpec| tensor(spec, manifest.ranges_of(&spec.name));
        let output = |spec: &TensorSpec| tensor(spec, Vec::new());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            name: Arc::clone(&facts.id.name),
            version: facts.id.version.to_string(),
            description: manifest.description.clone(),
            license: manifest.license.clone(),
            labels: manifest.labels.clone(),
            sha256: manifest.graph().sha256.to_string(),
            content: Digest::to_string(&facts.id.content),
            files: manifest
                .files
                .iter()
                .map(|f| FileCard {
                    path: f.path.clone(),
                    sha256: f.sha256.to_string(),
                })
                .collect(),
            commit: facts.origin.commit.clone(),
            image: facts.origin.image.clone(),
            signature: facts.signed,
            inputs: facts.signature.inputs.iter().map(input).collect(),
            outputs: facts.signature.outputs.iter().map(output).collect(),
            golden_cases: GoldenCard {
                passed: facts.cases.len(),
                names: facts.cases,
            },
            load_milliseconds: facts.load.as_secs_f64() * 1e3,
            ready_since: now.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            engine: facts.engine,
            scheduling: facts.plan,
        }
    }
}
