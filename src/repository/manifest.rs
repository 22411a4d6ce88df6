//! `model.toml`: what a folder says of the model in it.

mod fields;
mod ranges;
mod read;

use std::{
    collections::BTreeMap,
    path::{Component, Path},
    sync::Arc,
};

pub use self::ranges::TrainedRange;
use super::{Digest, Problem, Tolerance, Version};
use crate::scheduler::Settings;

/// A parsed `model.toml`.
///
/// ```toml
/// name = "linear"
/// version = "v1.1.0"
/// description = "What it predicts, and from what."
/// license = "Apache-2.0"           # optional
///
/// [[files]]                        # the .onnx file, and its external data
/// path = "model.onnx"
/// sha256 = "<64 hexadecimal digits>"
///
/// [labels]                         # optional: free text by free keys
/// team = "pricing"
///
/// [golden]                         # optional: the tolerance of golden cases
/// absolute = 1e-5
/// relative = 1e-4
///
/// [scheduling]                     # optional: chosen at load where left out
/// max_batch_size = 64
/// max_queue_size = 1024
/// max_queue_delay = "0ms"
/// instances = 1
/// intra_threads = 1
/// placement = "auto"               # or "inline" or "threads"
/// priority_levels = 3              # 1 is the most urgent; left out: all alike
/// default_priority = 2
/// default_timeout = "1s"           # for requests without a deadline
/// max_run_time = "30s"             # a run that takes longer is ended
///
/// [features]                       # optional: names for an input's columns
/// x = ["sepal_length", "sepal_width"]
///
/// [ranges]                         # optional: what it was trained on, by the
/// sepal_length = [4.3, 7.9]        # name of a column, or of an input
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The model's name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Version,
    /// What it predicts, in a sentence.
    pub description: String,
    /// The licence that it may be used under, best as an SPDX expression.
    pub license: Option<String>,
    /// Every file that makes it up; at least one, and one of them ONNX.
    pub files: Vec<ModelFile>,
    /// Free text by free keys.
    pub labels: BTreeMap<String, String>,
    /// How far an output may be from a golden case.
    pub tolerance: Tolerance,
    /// How its requests are scheduled.
    pub scheduling: Settings,
    /// For an input, the names of its columns.
    pub features: BTreeMap<String, Vec<String>>,
    /// What it was trained on, by the name of a column or of an input.
    pub ranges: BTreeMap<String, TrainedRange>,
}

/// A file that makes up a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Its path in the model's folder, with `/` between the parts.
    pub path: String,
    /// The sha256 that its bytes must have.
    pub sha256: Digest,
}

impl Manifest {
    /// Parses the text of a manifest; `file` is its path, for problems.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        read::manifest(file, text)
    }

    /// The ONNX file: the first whose path ends in `.onnx`.
    pub fn graph(&self) -> &ModelFile {
        // `parse` lets no manifest pass without one.
        let graph = self.files.iter().find(|f| f.path.ends_with(".onnx"));
        graph.unwrap_or(&self.files[0])
    }

    /// The file at `path` in the model's folder.
    pub fn file(&self, path: &str) -> Option<&ModelFile> {
        self.files.iter().find(|f| f.path == path)
    }
}

/// Why `path` may not name a file of a model; `None` when it may.
///
/// The same text must mean the same file on every system, and no file outside
/// the folder.
pub(super) fn refused_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("the path is empty");
    }
    if path.contains(['\\', '\0']) || path.chars().any(char::is_control) {
        return Some("the path holds a backslash or a control character");
    }
    for component in Path::new(path).components() {
        match component {
            Component::Normal(_) => {}
            Component::ParentDir => return Some("the path leaves the model's folder"),
            Component::RootDir | Component::Prefix(_) => return Some("the path is absolute"),
            Component::CurDir => return Some("the path starts with \"./\""),
        }
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return Some("the path has an empty part");
    }
    None
}
