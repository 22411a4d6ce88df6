//! Running models. The only row that knows ONNX Runtime.
//!
//! An [`Engine`] turns the bytes of a model into a [`Model`]; a model makes
//! [`Session`]s, which share its weights; a session runs one batch at a time.

pub mod fake;
mod library;
mod onnx;
mod timed;

use std::sync::Arc;

use crate::tensor::{Signature, Tensor};

pub use self::{
    library::find as find_library,
    onnx::{NO_TELEMETRY, OnnxRuntime},
    timed::Timed,
};

/// A failure of the engine: to start, to load a model, or to run it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// ONNX Runtime can't be used in this process.
    #[error("{0}")]
    Start(String),
    /// The model can't be loaded.
    #[error("ONNX Runtime can't load the model: {0}")]
    Load(String),
    /// The inputs do not fit the model in a way that only running shows.
    #[error("the model refused the inputs: {0}")]
    Refused(String),
    /// A run failed.
    #[error("the model failed to run: {0}")]
    Run(String),
    /// A run was ended from outside.
    #[error("the run was ended before it was done")]
    Interrupted,
    /// The model needs what this engine does not do.
    #[error("{0}")]
    Unsupported(String),
}

impl EngineError {
    /// Whether it may be gone the next time, since the machine lacked something:
    /// a thread, or memory.
    pub fn may_pass(&self) -> bool {
        // How ONNX Runtime and the system say so.
        const LACKS: [&str; 3] = ["bad_alloc", "allocate memory", "temporarily unavailable"];
        match self {
            Self::Start(_) => true,
            Self::Load(text) | Self::Run(text) => LACKS.iter().any(|lack| text.contains(lack)),
            Self::Refused(_) | Self::Interrupted | Self::Unsupported(_) => false,
        }
    }
}

/// The bytes of a model, verified elsewhere.
#[derive(Debug, Clone)]
pub struct ModelBytes {
    /// The ONNX file.
    pub graph: Arc<[u8]>,
    /// External-data files: the path as the graph names it, and the bytes.
    pub external: Vec<(String, Arc<[u8]>)>,
}

/// Something that loads models.
pub trait Engine: Send + Sync {
    /// Loads a model. May take seconds.
    ///
    /// # Errors
    /// `Load` or `Unsupported`, with the engine's reason.
    fn load(&self, bytes: &ModelBytes, threads: Threads) -> Result<Arc<dyn Model>, EngineError>;

    /// The engine's name and version, for the model card.
    fn version(&self) -> String;
}

/// How many threads a session may use inside one run. Always explicit:
/// ONNX Runtime's own guess is wrong under a container's CPU limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Threads that share one operator's work, the caller's included.
    pub intra: usize,
}

/// A loaded model, from which sessions are made.
pub trait Model: Send + Sync {
    /// What the model takes and gives.
    fn signature(&self) -> &Signature;

    /// A session of its own, sharing the model's weights.
    ///
    /// # Errors
    /// As [`Engine::load`].
    fn session(&self) -> Result<Box<dyn Session>, EngineError>;
}

/// One instance's means to run a model.
pub trait Session: Send {
    /// Runs the model on `inputs`, one for each of the signature's own in
    /// order, `None` for one that is left out. The caller has checked them
    /// against the signature. Gives one output for each of the signature's.
    ///
    /// # Errors
    /// `Refused` when the inputs are at fault, `Interrupted` after
    /// [`Interrupt::interrupt`], else `Run`. The session stays usable.
    fn run(&mut self, inputs: &[Option<Tensor>]) -> Result<Vec<Output>, EngineError>;

    /// A handle with which another thread ends the run in progress.
    fn interrupter(&self) -> Arc<dyn Interrupt>;
}

/// Ends the run in progress of one session.
pub trait Interrupt: Send + Sync {
    /// Ends the run in progress.
    fn interrupt(&self);

    /// Takes an [`interrupt`](Self::interrupt) back that came too late for the
    /// run it was meant for, so that the next run is not ended.
    fn reset(&self);
}

/// One output of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The values; a map's values have one column for each key.
    pub tensor: Tensor,
    /// The keys of a map, in the order of the columns.
    pub keys: Option<Arc<[MapKey]>>,
}

impl Output {
    /// What the protocol's parameters say of it beyond its shape, as JSON
    /// text: the `keys` of a map, and the `shapes` of a sequence whose parts
    /// differ.
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let mut said = Vec::new();
        if let Some(keys) = &self.keys {
            said.push(("keys", serde_json::to_string(&keys[..]).unwrap_or_default()));
        }
        said.extend(self.tensor.described_parts().map(|text| ("shapes", text)));
        said
    }
}

impl From<Tensor> for Output {
    fn from(tensor: Tensor) -> Self {
        Self { tensor, keys: None }
    }
}

/// A key of a map output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum MapKey {
    /// An integer key.
    Int(i64),
    /// A text key.
    Text(String),
}
