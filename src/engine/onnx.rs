//! The engine that runs models with ONNX Runtime.

mod graph;
mod maps;
mod operator;
mod session;
mod signature;
mod values;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, OnceLock},
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{
        Session as OrtSession,
        builder::{GraphOptimizationLevel, PrepackedWeights},
    },
};

use self::session::OnnxSession;
use super::{Engine, EngineError, Model, ModelBytes, Session, Threads, library};
use crate::tensor::Signature;

/// ONNX Runtime, loaded into this process.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    version: Option<String>,
}

/// The variable that keeps Microsoft's official builds from phoning home. It
/// works only if it stands in the environment before the library is loaded.
pub const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

impl OnnxRuntime {
    /// Loads the library at `path`, once for the process: a later call gives
    /// the same runtime, whatever its path.
    ///
    /// # Errors
    /// `Start` when the file is not ONNX Runtime of a version that serves, or
    /// when [`NO_TELEMETRY`] is not set to 1.
    pub fn start(path: &Path) -> Result<Self, EngineError> {
        static STARTED: OnceLock<Result<OnnxRuntime, EngineError>> = OnceLock::new();
        STARTED.get_or_init(|| Self::load_library(path)).clone()
    }

    fn load_library(path: &Path) -> Result<Self, EngineError> {
        if std::env::var(NO_TELEMETRY).as_deref() != Ok("1") {
            return Err(EngineError::Start(format!(
                "{NO_TELEMETRY}=1 must be in the environment before ONNX Runtime is loaded, or \
                 it phones home"
            )));
        }
        let unusable = |reason: &dyn std::fmt::Display| {
            EngineError::Start(format!(
                "{} can't be used as ONNX Runtime ({reason}): run scripts/setup, or set \
                 ORT_DYLIB_PATH to version 1.{} or newer",
                path.display(),
                ort::MINOR_VERSION
            ))
        };
        let environment = ort::init_from(path)
            .map_err(|e| unusable(&e))?
            .with_name("modelship")
            .with_telemetry(false)
            .build()
            .map_err(|e| unusable(&e))?;
        Ok(Self {
            environment,
            version: library::version(path),
        })
    }
}

impl Engine for OnnxRuntime {
    fn load(&self, bytes: &ModelBytes, threads: Threads) -> Result<Arc<dyn Model>, EngineError> {
        let mut model = OnnxModel {
            environment: self.environment.clone(),
            bytes: bytes.clone(),
            threads,
            weights: PrepackedWeights::new(),
            signature: Signature::default(),
            first: std::sync::Mutex::new(None),
        };
        // Of types that ONNX knows and `ort` does not, it panics.
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let session = model.commit()?;
            let signature = signature::of(&session, &model.bytes.graph)?;
            Ok((session, signature))
        }));
        let (session, signature) = loaded.unwrap_or_else(|_| {
            Err(EngineError::Unsupported(
                "the model takes or gives values of a type that can't be served".to_owned(),
            ))
        })?;
        model.signature = signature;
        *lock(&model.first) = Some(session);
        Ok(Arc::new(model))
    }

    fn version(&self) -> String {
        let version = self.version.as_deref();
        format!(
            "ONNX Runtime {}",
            version.unwrap_or("of an unknown version")
        )
    }
}

/// A loaded ONNX model.
struct OnnxModel {
    environment: Environment,
    bytes: ModelBytes,
    threads: Threads,
    /// Weights in the layout that the kernels want, made once for all sessions.
    weights: PrepackedWeights,
    signature: Signature,
    /// The session made while loading, for whoever asks first.
    first: std::sync::Mutex<Option<OrtSession>>,
}

impl OnnxModel {
    #[expect(
        clippy::result_large_err,
        reason = "ort's builder gives itself back inside its error"
    )]
    fn commit(&self) -> Result<OrtSession, EngineError> {
        let load = |e: ort::Error| EngineError::Load(one_line(e.message()));
        let option = |e: ort::Error<ort::session::builder::SessionBuilder>| {
            EngineError::Load(one_line(e.message()))
        };
        let mut builder = OrtSession::builder(&self.environment)
            .map_err(load)?
            .with_log_level(LogLevel::Fatal)
            .and_then(|b| b.with_optimization_level(GraphOptimizationLevel::All))
            .and_then(|b| b.with_intra_threads(self.threads.intra))
            .and_then(|b| b.with_inter_threads(1))
            // Threads that wait by spinning take the processor from the event
            // loops, and from each other where a container's CPU is limited.
            .and_then(|b| b.with_intra_op_spinning(false))
            .and_then(|b| b.with_parallel_execution(false))
            .and_then(|b| b.with_prepacked_weights(&self.weights))
            .map_err(option)?;
        for (name, bytes) in &self.bytes.external {
            builder = builder
                .with_external_initializer_file_in_memory(name, bytes.clone())
                .map_err(option)?;
        }
        builder.commit_from_memory(&self.bytes.graph).map_err(load)
    }
}

impl Model for OnnxModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        let ready = lock(&self.first).take();
        let session = match ready {
            Some(session) => session,
            None => self.commit()?,
        };
        Ok(Box::new(OnnxSession::new(
            session,
            &self.signature,
            &self.environment,
        )?))
    }
}

/// A poisoned lock only means that another thread panicked; what it guards
/// here is a plain option.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// ONNX Runtime's messages span lines and repeat file paths of its build.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
