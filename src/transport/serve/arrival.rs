//! A connection on its way from the listener to an event loop.

use tokio::sync::watch;

use super::wire::Moving;
use crate::telemetry::Metrics;

/// A connection on its way, and what it takes along.
pub(super) struct Arrival {
    pub(super) moving: Moving,
    pub(super) stay: Stay,
}

/// Held for as long as a connection is open.
pub(super) struct Stay {
    /// Whether the end has come. The drain waits until no receiver is left.
    pub(super) closing: watch::Receiver<bool>,
    metrics: Metrics,
}

impl Arrival {
    /// A connection that was just accepted.
    pub(super) fn new(moving: Moving, closing: &watch::Sender<bool>, metrics: &Metrics) -> Self {
        metrics.doors().opened();
        let stay = Stay {
            closing: closing.subscribe(),
            metrics: metrics.clone(),
        };
        Self { moving, stay }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.metrics.doors().closed();
    }
}
