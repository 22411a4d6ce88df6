//! A model in the engine: loaded once, run on golden cases.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    engine::{Engine, EngineError, Model, Output, Session, Threads},
    repository::{GoldenCase, VerifiedModel},
    scheduler::Inputs,
    tensor::{Signature, Tolerance},
};

/// A model in the engine, and what loading it took.
pub struct Loaded {
    /// The model.
    pub model: Arc<dyn Model>,
    /// One session of it.
    pub session: Box<dyn Session>,
    /// How long the load took, the first session included.
    pub load: Duration,
    /// How much this process's memory grew by it, in bytes; `None` where the
    /// system does not say.
    pub memory: Option<u64>,
}

impl Loaded {
    /// Loads `verified`.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn of(engine: &dyn Engine, verified: &VerifiedModel) -> Result<Self, EngineError> {
        let intra = verified.manifest.scheduling.intra_threads.unwrap_or(1);
        let before = resident();
        let started = Instant::now();
        let model = engine.load(&verified.bytes, Threads { intra })?;
        let session = model.session()?;
        let load = started.elapsed();
        let memory = before.zip(resident()).map(|(a, b)| b.saturating_sub(a));
        Ok(Self {
            model,
            session,
            load,
            memory,
        })
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        self.model.signature()
    }

    /// Runs it on the inputs of `case`.
    ///
    /// # Errors
    /// Why the inputs do not fit, or the run failed.
    pub fn run(&mut self, case: &GoldenCase) -> Result<(Inputs, Vec<Output>), String> {
        let inputs = case
            .arrange(self.model.signature())
            .map_err(|e| e.to_string())?;
        let outputs = self.session.run(&inputs).map_err(|e| e.to_string())?;
        Ok((inputs, outputs))
    }

    /// Runs it on `case`, and gives the inputs where the outputs are right.
    ///
    /// # Errors
    /// What is not right, in a sentence.
    pub fn verify(&mut self, case: &GoldenCase, tolerance: Tolerance) -> Result<Inputs, String> {
        let (inputs, outputs) = self.run(case)?;
        case.verify(self.model.signature(), &outputs, tolerance)
            .map_err(|e| e.to_string())?;
        Ok(inputs)
    }
}

/// The memory of this process, in bytes, where the system tells it.
fn resident() -> Option<u64> {
    // In pages: the system writes its lines for people ten times as slowly.
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
