//! How a model's requests are scheduled.

use std::time::Duration;

/// Longer than any sound model of a service takes, and short enough that
/// whoever waits behind a runaway gets an answer.
const LONGEST_RUN: Duration = Duration::from_secs(30);

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
    /// The most bytes of inputs that may wait; without it, no limit but that
    /// on the memory of requests.
    pub max_queue_bytes: Option<usize>,
    /// How long an idle instance waits for a batch to fill; not at all, unless
    /// set.
    pub max_queue_delay: Option<Duration>,
    /// The longest that a run may take; then it is ended.
    pub max_run_time: Option<Duration>,
    /// How many instances run the model at once.
    pub instances: Option<usize>,
    /// Threads inside one run.
    pub intra_threads: Option<usize>,
    /// Where the model runs.
    pub placement: Placement,
    /// Levels of priority that callers may ask for, 1 the most urgent; with
    /// none, all are alike.
    pub priority_levels: Option<u32>,
    /// The level of a request that asks for none.
    pub default_priority: Option<u32>,
    /// How long a request may wait that brings no deadline of its own.
    pub default_timeout: Option<Duration>,
}

impl Settings {
    /// The longest that a run may take: half a minute unless set.
    #[must_use]
    pub fn max_run_time(&self) -> Duration {
        self.max_run_time.unwrap_or(LONGEST_RUN)
    }

    /// These settings, and `defaults` for what they leave open.
    #[must_use]
    pub fn or(&self, defaults: &Settings) -> Settings {
        Settings {
            max_batch_size: self.max_batch_size.or(defaults.max_batch_size),
            max_queue_size: self.max_queue_size.or(defaults.max_queue_size),
            max_queue_bytes: self.max_queue_bytes.or(defaults.max_queue_bytes),
            max_queue_delay: self.max_queue_delay.or(defaults.max_queue_delay),
            max_run_time: self.max_run_time.or(defaults.max_run_time),
            instances: self.instances.or(defaults.instances),
            intra_threads: self.intra_threads.or(defaults.intra_threads),
            priority_levels: self.priority_levels.or(defaults.priority_levels),
            default_priority: self.default_priority.or(defaults.default_priority),
            default_timeout: self.default_timeout.or(defaults.default_timeout),
            placement: match self.placement {
                Placement::Auto => defaults.placement,
                placement => placement,
            },
        }
    }
}
