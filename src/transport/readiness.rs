//! Whether this process should be sent traffic, and why not.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::watch;

use crate::telemetry::Metrics;

/// A stage of the process's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Models are being loaded and proved.
    Starting,
    /// Every model at start-up has proved itself.
    Ready,
    /// On the way out: what is in flight is still answered.
    Draining,
}

impl Stage {
    /// The stage in a word.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Starting => "starting",
            Stage::Ready => "ready",
            Stage::Draining => "draining",
        }
    }

    /// The stage in a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Stage::Starting => "the models are being loaded and proved",
            Stage::Ready => "every model has proved itself",
            Stage::Draining => "the server is shutting down; requests in flight are still answered",
        }
    }
}

/// The stage, shared by all who ask. Clones share it.
#[derive(Clone)]
pub struct Readiness {
    stage: Arc<AtomicU8>,
    /// For those who wait for a change; who only asks reads `stage`.
    changes: watch::Sender<Stage>,
    metrics: Metrics,
}

impl Readiness {
    /// Starting.
    pub fn new(metrics: Metrics) -> Self {
        metrics.set_ready(false);
        Self {
            stage: Arc::new(AtomicU8::new(0)),
            changes: watch::Sender::new(Stage::Starting),
            metrics,
        }
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Draining,
        }
    }

    /// Whether traffic should come.
    pub fn is_ready(&self) -> bool {
        self.stage() == Stage::Ready
    }

    /// The stages from now on.
    pub fn watch(&self) -> watch::Receiver<Stage> {
        self.changes.subscribe()
    }

    /// Waits until `stage` is reached.
    pub async fn reach(&self, stage: Stage) {
        // The sender lives in `self`, so the wait ends only so.
        let _ = self.watch().wait_for(|now| *now == stage).await;
    }

    /// Moves on to `stage`; there is no way back.
    pub fn enter(&self, stage: Stage) {
        let number = match stage {
            Stage::Starting => 0,
            Stage::Ready => 1,
            Stage::Draining => 2,
        };
        let before = self.stage.fetch_max(number, Ordering::AcqRel);
        self.metrics.set_ready(number.max(before) == 1);
        self.changes.send_replace(self.stage());
    }
}
