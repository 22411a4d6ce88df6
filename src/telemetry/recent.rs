//! The last minutes, step by step: what the web page and `modelship top` show.
//!
//! Once a second somebody calls [`Recent::sample`], which reads the atomics
//! that `/metrics` reads too and keeps what they have grown by. A request pays
//! nothing for it.

mod point;

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Arc, Mutex, Weak, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use self::point::{Before, Bucket};
pub use self::point::{ModelPoint, ServicePoint};
use super::{
    Metrics, ModelMetrics,
    histogram::{BATCH_BOUNDS, DURATION_BOUNDS},
    lock,
    model::Series,
    nanoseconds,
    process::Process,
};

/// How long a step is.
pub const STEP: Duration = Duration::from_secs(1);

/// So many steps are kept: five minutes.
pub const KEPT: u64 = 300;

/// The last minutes. Clones share them.
#[derive(Debug, Clone)]
pub struct Recent {
    metrics: Metrics,
    /// Unlike that of any other start.
    start: Arc<str>,
    begun: Instant,
    ring: Arc<Mutex<Ring>>,
}

/// What is known only outside of the figures, at one moment.
pub struct Gauges<'a> {
    /// Open connections.
    pub connections: usize,
    /// Rows that a version of a model has accepted and that do not run yet.
    pub waiting: &'a dyn Fn(&str, &str) -> usize,
}

#[derive(Debug, Default)]
struct Ring {
    /// The step that is under way.
    next: u64,
    connections: usize,
    rejected: Vec<u64>,
    service: VecDeque<Arc<ServicePoint>>,
    /// What is counted at present. A series is kept until it has been read
    /// once after the last handle to it has gone, so that nothing is missed.
    watched: Vec<Watched>,
    models: BTreeMap<(String, String), History>,
}

#[derive(Debug)]
struct Watched {
    series: Arc<Series>,
    before: Before,
}

#[derive(Debug, Default)]
struct History {
    total: Total,
    points: VecDeque<Arc<ModelPoint>>,
    /// Whether the version is in memory.
    is_loaded: bool,
}

/// Requests that have ended since the version was loaded.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Total {
    /// All of them.
    pub requests: u64,
    /// Those that were not answered with an output.
    pub failed: u64,
}

/// The steps that were asked for, and what stands beside them.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Another value means that the server was restarted.
    pub start: Arc<str>,
    /// When the first step began, in milliseconds since 1970 by the clock of
    /// `now_ms`.
    pub began_ms: u64,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: u64,
    /// The length of a step.
    pub step_ms: u64,
    /// The first step of the answer.
    pub from: u64,
    /// The step after the last of the answer.
    pub next: u64,
    /// Upper bounds of the buckets of durations, in microseconds.
    pub latency_bounds_us: Vec<u64>,
    /// Upper bounds of the buckets of batch sizes, in rows.
    pub batch_bounds: &'static [u64],
    /// The process now; what the kernel hides is left out.
    pub process: ProcessNow,
    /// What is of no single model.
    pub service: ServiceFigures,
    /// By name, then version.
    #[serde(skip)]
    pub models: Vec<ModelFigures>,
}

/// The process as the kernel sees it.
#[derive(Debug, Default, Serialize)]
pub struct ProcessNow {
    /// Processor time spent so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Memory that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
}

/// What is of no single model.
#[derive(Debug, Serialize)]
pub struct ServiceFigures {
    /// Open connections at the last sample.
    pub connections: usize,
    /// The steps in which there was something.
    pub points: Vec<Arc<ServicePoint>>,
}

/// One version of one model.
#[derive(Debug, Serialize)]
pub struct ModelFigures {
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Since it was loaded.
    pub total: Total,
    /// The steps in which there was something.
    pub points: Vec<Arc<ModelPoint>>,
}

/// Which steps are asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Span {
    /// The start that `since` was counted in.
    pub start: Option<String>,
    /// The first step; without it, the oldest that is kept.
    pub since: Option<u64>,
    /// No more than so many, the newest.
    pub steps: Option<u64>,
}

impl Recent {
    /// Nothing yet of `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            start: format!("{:016x}", RandomState::new().build_hasher().finish()).into(),
            begun: Instant::now(),
            ring: Arc::default(),
        }
    }

    /// What tells this process from any other, and from itself before it was
    /// started again.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// When the step that is under way ends.
    pub fn due(&self) -> Instant {
        let seconds = lock(&self.ring).next + 1;
        self.begun + STEP * u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    /// Ends the step that is under way, if it is time. Where steps were
    /// missed, what grew in them is counted under the last of them.
    pub fn sample(&self, gauges: &Gauges<'_>) {
        let steps = nanoseconds(self.begun.elapsed()) / nanoseconds(STEP);
        self.sample_at(steps, gauges);
    }

    /// [`sample`](Self::sample), after so many whole steps.
    fn sample_at(&self, steps: u64, gauges: &Gauges<'_>) {
        let live = self.live();
        let rejected = self
            .metrics
            .shared
            .rejected
            .iter()
            .map(|count| count.load(Relaxed));
        let mut ring = lock(&self.ring);
        ring.watch(&live);
        if steps <= ring.next {
            return;
        }
        ring.next = steps;
        ring.take_service(gauges.connections, rejected.collect());
        ring.take_models(&live, gauges.waiting);
        ring.forget();
    }

    /// The series of every version in memory.
    fn live(&self) -> Vec<Arc<Series>> {
        lock(&self.metrics.shared.models)
            .iter()
            .filter_map(Weak::upgrade)
            .map(|model: Arc<ModelMetrics>| Arc::clone(model.series()))
            .collect()
    }

    /// The steps of `span`, as far as they are kept.
    pub fn read(&self, span: &Span) -> Figures {
        let process = Process::read().unwrap_or_default();
        let live = self.live();
        let mut ring = lock(&self.ring);
        // A version is there from its load on, not from the next sample.
        ring.watch(&live);
        let next = ring.next;
        let is_ours = span.start.as_deref().is_none_or(|s| s == &*self.start);
        let since = span.since.filter(|_| is_ours).unwrap_or(0);
        let from = since
            .max(next.saturating_sub(span.steps.unwrap_or(KEPT).min(KEPT)))
            .min(next);
        let models = ring.models.iter().map(|((name, version), history)| {
            let newest = history.points.iter().rev();
            let mut points: Vec<_> = newest.take_while(|p| p.step >= from).cloned().collect();
            points.reverse();
            ModelFigures {
                name: name.clone(),
                version: version.clone(),
                total: history.total,
                points,
            }
        });
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        Figures {
            start: Arc::clone(&self.start),
            began_ms: milliseconds(now.saturating_sub(self.begun.elapsed())),
            now_ms: milliseconds(now),
            step_ms: u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX),
            from,
            next,
            latency_bounds_us: DURATION_BOUNDS.iter().map(|ns| ns / 1000).collect(),
            batch_bounds: &BATCH_BOUNDS,
            process: ProcessNow {
                cpu_seconds: process.cpu_seconds,
                resident_bytes: process.resident_bytes,
                threads: process.threads,
            },
            service: ServiceFigures {
                connections: ring.connections,
                points: ring
                    .service
                    .iter()
                    .filter(|p| p.step >= from)
                    .cloned()
                    .collect(),
            },
            models: models.collect(),
        }
    }
}

impl Ring {
    /// The step that has just ended.
    fn ended(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    fn take_service(&mut self, connections: usize, rejected: Vec<u64>) {
        self.connections = connections;
        let point = ServicePoint::new(self.ended(), connections, &self.rejected, &rejected);
        self.rejected = rejected;
        self.service.extend(point.map(Arc::new));
    }

    /// Counts each of `live` from now on.
    fn watch(&mut self, live: &[Arc<Series>]) {
        for series in live {
            if !self.watched.iter().any(|w| Arc::ptr_eq(&w.series, series)) {
                self.watched.push(Watched {
                    series: Arc::clone(series),
                    before: Before::default(),
                });
                let history = self.history(series);
                // Loaded again, it counts from nothing, as /metrics does.
                history.total = Total::default();
                history.is_loaded = true;
            }
        }
    }

    fn take_models(&mut self, live: &[Arc<Series>], waiting: &dyn Fn(&str, &str) -> usize) {
        let step = self.ended();
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain_mut(|Watched { series, before }| {
            let is_live = live.iter().any(|l| Arc::ptr_eq(l, series));
            let rows = if is_live {
                waiting(&series.name, &series.version)
            } else {
                0
            };
            let (mut point, total) = before.advance(step, series);
            point.waiting = Bucket::count(u64::try_from(rows).unwrap_or(u64::MAX));
            let history = self.history(series);
            history.is_loaded = is_live;
            history.total = total;
            if !point.is_empty() {
                history.points.push_back(Arc::new(point));
            }
            is_live
        });
        self.watched = watched;
    }

    fn history(&mut self, series: &Series) -> &mut History {
        let key = (series.name.clone(), series.version.clone());
        self.models.entry(key).or_default()
    }

    /// Lets go of what is older than the steps that are kept.
    fn forget(&mut self) {
        let oldest = self.next.saturating_sub(KEPT);
        while self.service.front().is_some_and(|p| p.step < oldest) {
            self.service.pop_front();
        }
        self.models.retain(|_, history| {
            while history.points.front().is_some_and(|p| p.step < oldest) {
                history.points.pop_front();
            }
            history.is_loaded || !history.points.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
