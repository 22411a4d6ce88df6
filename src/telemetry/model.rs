//! The numbers of one version of one model.

use std::{
    array,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    histogram::{DURATION_BOUNDS, Histogram, Reading},
    index, nanoseconds,
    runs::{Run, Runs},
    slow::{Slow, Spent},
    statistics::{InferStatistics, Statistics, Time},
};
use crate::error::{Error, Kind, Result};

/// How a request ended: [`SUCCESS`], or the place of its [`Kind`] after it.
const OUTCOMES: usize = Kind::ALL.len() + 1;
const SUCCESS: usize = 0;

/// The handle of a loaded version: its series, resolved once.
#[derive(Debug)]
pub struct ModelMetrics {
    series: Arc<Series>,
    sha256: String,
    signature: &'static str,
    slow: Arc<Slow>,
}

/// The series of a name and version. Two handles share them while two files
/// that claim the same version are loaded, since series may not appear twice.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) version: String,
    /// The origin of `last_success`.
    created: Instant,
    started: AtomicU64,
    /// One histogram for each outcome: its count is the counter of that
    /// outcome, so that a request costs one addition for both.
    finished: [Histogram<{ DURATION_BOUNDS.len() }>; OUTCOMES],
    pub(super) queue: Histogram<{ DURATION_BOUNDS.len() }>,
    pub(super) runs: Runs,
    /// Nanoseconds after `created`, 0 for never.
    last_success: AtomicU64,
}

impl Series {
    pub(super) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            created: Instant::now(),
            started: AtomicU64::new(0),
            finished: array::from_fn(|_| Histogram::new(&DURATION_BOUNDS)),
            queue: Histogram::new(&DURATION_BOUNDS),
            runs: Runs::new(),
            last_success: AtomicU64::new(0),
        }
    }

    fn finish(&self, outcome: usize, started: Instant) -> Duration {
        let now = Instant::now();
        self.finished[outcome].observe(nanoseconds(now - started));
        if outcome == SUCCESS {
            self.last_success
                .store(nanoseconds(now - self.created).max(1), Relaxed);
        }
        now - started
    }

    /// All outcomes, each with its label.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, Reading)> {
        let labels = ["success"].into_iter().chain(Kind::ALL.map(Kind::label));
        labels.zip(self.finished.iter().map(Histogram::read))
    }

    /// Requests that have started and not ended, given those that have.
    /// `finished` is read first, so that this is not below zero.
    pub(super) fn in_flight(&self, finished: u64) -> u64 {
        self.started.load(Relaxed).saturating_sub(finished)
    }

    fn last_inference(&self) -> u64 {
        let last = self.last_success.load(Relaxed);
        if last == 0 {
            return 0;
        }
        // By way of the time since: the wall clock may have been set since.
        let since = self
            .created
            .elapsed()
            .saturating_sub(Duration::from_nanos(last));
        let at = SystemTime::now().checked_sub(since);
        at.and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
    }
}

impl ModelMetrics {
    pub(super) fn new(
        series: Arc<Series>,
        sha256: &str,
        signature: &'static str,
        slow: Arc<Slow>,
    ) -> Self {
        Self {
            series,
            sha256: sha256.to_owned(),
            signature,
            slow,
        }
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.series.name
    }

    /// The model's version.
    pub fn version(&self) -> &str {
        &self.series.version
    }

    /// The digest of the model's file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What is known of its signature, in a word.
    pub fn signature(&self) -> &'static str {
        self.signature
    }

    pub(super) fn series(&self) -> &Arc<Series> {
        &self.series
    }

    /// A request has arrived.
    pub fn start(self: &Arc<Self>) -> InFlight {
        self.series.started.fetch_add(1, Relaxed);
        InFlight {
            model: self.clone(),
            started: Instant::now(),
            outcome: 1 + index(Kind::Cancelled),
            spent: Spent::default(),
        }
    }

    /// A request has waited this long in the queue.
    pub fn observe_queue(&self, waited: Duration) {
        self.series.queue.observe(nanoseconds(waited));
    }

    /// The model has run. A run that failed is not counted here: it shows in
    /// the outcomes of its requests.
    pub fn observe_run(&self, run: &Run) {
        self.series.runs.observe(run);
    }

    /// The numbers so far, in the form of the protocol.
    pub fn statistics(&self) -> Statistics {
        let mut success = Time::default();
        let mut fail = Time::default();
        for (outcome, reading) in self.series.finished.iter().map(Histogram::read).enumerate() {
            let sum = if outcome == SUCCESS {
                &mut success
            } else {
                &mut fail
            };
            *sum += reading.time();
        }
        let (batch_stats, runs) = self.series.runs.read();
        let rows = self.series.runs.rows.read();
        Statistics {
            last_inference: self.series.last_inference(),
            inference_count: rows.sum,
            execution_count: rows.count,
            inference_stats: InferStatistics {
                success,
                fail,
                queue: self.series.queue.read().time(),
                compute_input: runs.compute_input,
                compute_infer: runs.compute_infer,
                compute_output: runs.compute_output,
                ..InferStatistics::default()
            },
            batch_stats,
        }
    }
}

/// A request in flight. Dropped without [`finish`](Self::finish), it counts as
/// cancelled: whoever waited for it has gone.
#[derive(Debug)]
#[must_use = "dropping it counts the request as cancelled"]
pub struct InFlight {
    model: Arc<ModelMetrics>,
    started: Instant,
    outcome: usize,
    spent: Spent,
}

impl InFlight {
    /// When the request arrived.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The request came `since`, and was taken when its body had come and was
    /// read. What is counted begins there; the log of slow requests tells of
    /// both.
    pub fn came(&mut self, since: Instant) {
        self.spent.body = self.started.saturating_duration_since(since);
    }

    /// The request waited for an instance, and its run took so long.
    pub fn ran(&mut self, queue: Duration, compute: Duration) {
        self.spent.known = Some((queue, compute));
    }

    /// The request ends with `result`, which is given back, its error marked as
    /// counted.
    ///
    /// # Errors
    /// That of `result`.
    pub fn settle<T>(self, result: Result<T>) -> Result<T> {
        self.finish(result.as_ref().map(|_| ()).map_err(Error::kind));
        result.map_err(Error::counted)
    }

    /// The request was answered, or refused for this reason.
    pub fn finish(mut self, outcome: Result<(), Kind>) {
        self.outcome = outcome.err().map_or(SUCCESS, |kind| 1 + index(kind));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let took = self.model.series.finish(self.outcome, self.started);
        let outcome = match self.outcome {
            SUCCESS => "success",
            other => Kind::ALL[other - 1].label(),
        };
        self.model
            .slow
            .ended(&self.model, outcome, took, self.spent);
    }
}
