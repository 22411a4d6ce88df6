//! How a model's requests are scheduled.

use std::time::Duration;

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Chosen from the warm-up's measurement.
    #[default]
    Auto,
    /// On the event loop's own thread: for models of microseconds.
    Inline,
    /// On threads of its own: for models of milliseconds.
    Threads,
}

/// The settings of one model; what is `None` is chosen at load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The most rows of one run. 1 turns batching off.
    pub max_batch_size: Option<usize>,
    /// The most rows that may wait; more are refused as overload.
    pub max_queue_size: Option<usize>,
    /// How long an idle instance waits for a batch to fill. 0: never.
    pub max_queue_delay: Duration,
    /// How many instances run the model at once.
    pub instances: Option<usize>,
    /// Threads inside one run.
    pub intra_threads: Option<usize>,
    /// Where the model runs.
    pub placement: Placement,
}
