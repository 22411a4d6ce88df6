//! What became of a plan.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{answers::Answers, plan::Plan, processes};

/// The figures of one run; times in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// Answers that were right.
    requests: u64,
    /// Seconds in which they were counted.
    seconds: f64,
    /// Right answers a second.
    throughput: f64,
    /// From when a request was sent, or with a rate was due, to its answer.
    latency_us: Quantiles,
    /// With a rate: how late requests were sent. Late sends mean that the
    /// load itself, or too few connections, held the rate back.
    #[serde(skip_serializing_if = "Option::is_none")]
    late_us: Option<Quantiles>,
    /// CPU time of the server's processes for each right answer.
    server_cpu_us: f64,
    /// CPU time of the load itself for each right answer.
    load_cpu_us: f64,
    /// Resident memory of the server's processes at the end.
    resident_kib: u64,
    /// Answers by status.
    statuses: BTreeMap<u16, u64>,
    /// Answers of a good status with a body that may not be given.
    wrong: u64,
    /// The first of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong_example: Option<String>,
    /// Connections that failed under a request, by reason.
    failures: BTreeMap<String, u64>,
    /// Connections that the server closed between two requests.
    reconnects: u64,
    /// How often each answer of the plan was given.
    answers: Vec<u64>,
    /// Latency of answers that are not 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_us: Option<Quantiles>,
}

/// The latencies that a server is judged by.
#[derive(Debug, Serialize)]
pub(crate) struct Quantiles {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Quantiles {
    #[expect(clippy::cast_precision_loss, reason = "a latency in ns is below 2^53")]
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |q| us(histogram.value_at_quantile(q));
        (!histogram.is_empty()).then(|| Self {
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: us(histogram.max()),
        })
    }
}

/// Counts while a plan runs.
pub(crate) struct Tally {
    pub(crate) answers: Answers,
    latency: Histogram<u64>,
    refused: Histogram<u64>,
    late: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    wrong: u64,
    failures: BTreeMap<String, u64>,
    reconnects: u64,
    right: u64,
    pids: Vec<u32>,
    record: Option<PathBuf>,
    closed: Arc<AtomicBool>,
    /// When counting starts, and when it ends.
    from: Instant,
    until: Instant,
    /// CPU times of the server and of the load when counting started.
    before: Option<(Duration, Duration)>,
}

impl Tally {
    /// Starts the clock of `plan`.
    /// `closed` ends it early.
    pub(crate) fn start(plan: &Plan, closed: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, 600_000_000_000, 3);
        let from = Instant::now() + plan.warm_up();
        Ok(Self {
            answers: Answers::of(plan)?,
            latency: histogram()?,
            refused: histogram()?,
            late: histogram()?,
            statuses: BTreeMap::new(),
            wrong: 0,
            failures: BTreeMap::new(),
            reconnects: 0,
            right: 0,
            pids: plan.pids.clone(),
            record: plan.record.clone(),
            closed,
            from,
            until: from + plan.counted(),
            before: None,
        })
    }

    /// Whether the plan is over.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.closed.load(Ordering::Relaxed)
    }

    /// When the plan is over at the latest.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Whether what happens at `now` counts.
    fn counts(&mut self, now: Instant) -> bool {
        if now < self.from || now >= self.until {
            return false;
        }
        if self.before.is_none() {
            self.from = now;
            self.before = Some(self.cpu_times());
        }
        true
    }

    fn cpu_times(&self) -> (Duration, Duration) {
        (
            processes::cpu_time(&self.pids),
            processes::cpu_time(&[std::process::id()]),
        )
    }

    /// An answer came.
    pub(crate) fn answer(&mut self, now: Instant, latency: Duration, status: u16, body: &[u8]) {
        if status == 200
            && let Some(file) = self.record.take()
            && let Err(error) = std::fs::write(&file, body)
        {
            self.failure(&format!("{}: {error}", file.display()));
        }
        if !self.counts(now) {
            return;
        }
        let count = self.statuses.entry(status).or_default();
        *count += 1;
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if status != 200 {
            self.refused.saturating_record(ns);
        } else if self.answers.take(body) {
            self.right += 1;
            self.latency.saturating_record(ns);
        } else {
            self.wrong += 1;
        }
    }

    /// A request was sent, this long after it was due.
    pub(crate) fn sent(&mut self, now: Instant, late: Duration) {
        if self.counts(now) {
            self.late
                .saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// A connection failed under a request. Counts at any time.
    pub(crate) fn failure(&mut self, reason: &str) {
        *self.failures.entry(reason.to_owned()).or_default() += 1;
    }

    /// The server closed a connection between two requests.
    pub(crate) fn reconnect(&mut self) {
        self.reconnects += 1;
    }

    /// The figures.
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    pub(crate) fn outcome(self) -> Outcome {
        let now = Instant::now();
        let after = self.cpu_times();
        let before = self.before.unwrap_or(after);
        // CPU time is read now, which may be a little after the end.
        let elapsed = now.duration_since(self.from).as_secs_f64();
        let each = |used: Duration| used.as_secs_f64() * 1e6 / (self.right.max(1) as f64);
        Outcome {
            requests: self.right,
            seconds: elapsed,
            throughput: self.right as f64 / elapsed,
            latency_us: Quantiles::of(&self.latency).unwrap_or(Quantiles {
                mean: 0.0,
                p50: 0.0,
                p90: 0.0,
                p99: 0.0,
                p999: 0.0,
                max: 0.0,
            }),
            late_us: Quantiles::of(&self.late),
            server_cpu_us: each(after.0.saturating_sub(before.0)),
            load_cpu_us: each(after.1.saturating_sub(before.1)),
            resident_kib: processes::resident_kib(&self.pids),
            statuses: self.statuses,
            wrong: self.wrong,
            wrong_example: self.answers.wrong.as_ref().map(|body| {
                let text = String::from_utf8_lossy(body);
                text.chars().take(300).collect()
            }),
            failures: self.failures,
            reconnects: self.reconnects,
            answers: self.answers.counts().to_vec(),
            refused_us: Quantiles::of(&self.refused),
        }
    }
}
