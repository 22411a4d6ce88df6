//! A connection on its way from the listener to an event loop.

use tokio::sync::watch;

use super::{clients::Taken, wire::Moving};
use crate::{telemetry::Metrics, transport::limits};

/// A connection on its way, and what it takes along.
pub(super) struct Arrival {
    pub(super) moving: Moving,
    pub(super) stay: Stay,
}

/// Held for as long as a connection is open.
pub(super) struct Stay {
    /// Whether the end has come. The drain waits until no receiver is left.
    pub(super) closing: watch::Receiver<bool>,
    /// Its seat, which is given back when it closes.
    pub(super) taken: Taken,
    pub(super) limits: limits::Connection,
    pub(super) metrics: Metrics,
}

impl Arrival {
    /// A connection that was just accepted, and has a seat.
    pub(super) fn new(
        moving: Moving,
        taken: Taken,
        limits: limits::Connection,
        closing: &watch::Sender<bool>,
        metrics: &Metrics,
    ) -> Self {
        metrics.doors().opened();
        let stay = Stay {
            closing: closing.subscribe(),
            taken,
            limits,
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
