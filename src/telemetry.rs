//! Metrics: what `/metrics` shows and what the protocol's statistics say,
//! from the same numbers.
//!
//! A request pays a few atomic additions on a handle that was resolved when
//! its model was loaded; text is made only when somebody asks for it.

mod doors;
mod exposition;
mod histogram;
mod memory;
mod model;
mod process;
pub mod recent;
mod runs;
pub mod scope;
mod slow;
mod statistics;
pub mod trace;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{encoding::prometheus_text, registry::Registry};

pub use self::{
    doors::{Doors, Renewed},
    memory::RequestMemory,
    model::{InFlight, ModelMetrics},
    runs::Run,
    statistics::{BatchStatistics, InferStatistics, Statistics, Time},
};
use self::{exposition::Exposition, model::Series};
use crate::error::Kind;

/// The target of the records that the access log is made of: one for each
/// request, at the level "info". The log leaves them out unless it is told.
pub const ACCESS_LOG: &str = "modelship::access";

/// Which build is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// The version of modelship.
    pub version: String,
    /// The git commit that the image was built from, where known.
    pub commit: String,
}

/// Every number of the service. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
}

#[derive(Debug)]
struct Shared {
    build: BuildInfo,
    ready: AtomicBool,
    /// By [`Kind`], in the order of [`Kind::ALL`].
    rejected: [AtomicU64; Kind::ALL.len()],
    load_failures: Mutex<BTreeMap<String, u64>>,
    models: Mutex<Vec<Weak<ModelMetrics>>>,
    doors: Doors,
    memory: Arc<RequestMemory>,
    spans: Arc<trace::Counts>,
    slow: Arc<slow::Slow>,
}

impl Metrics {
    /// The type of what [`encode`](Self::encode) gives: Prometheus's text
    /// format, which every scraper reads.
    pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

    /// Metrics of a service that is not ready and has no model.
    pub fn new(build: BuildInfo) -> Self {
        let shared = Arc::new(Shared {
            build,
            ready: AtomicBool::new(false),
            rejected: Default::default(),
            load_failures: Mutex::default(),
            models: Mutex::default(),
            doors: Doors::default(),
            memory: Arc::default(),
            spans: Arc::default(),
            slow: Arc::default(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition(shared.clone())));
        Self {
            shared,
            registry: Arc::new(registry),
        }
    }

    /// The metrics as text, of the type [`CONTENT_TYPE`](Self::CONTENT_TYPE).
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a string can't fail, and the collector fails only with
        // its writer.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }

    /// The handle of a loaded version. The version is shown as loaded, with
    /// its series, as long as a handle to it lives; a version that is loaded
    /// again while an old handle lives goes on counting where that one is.
    /// `signature` is what is known of its signature, in a word.
    pub fn model(
        &self,
        name: &str,
        version: &str,
        sha256: &str,
        signature: &'static str,
    ) -> Arc<ModelMetrics> {
        // From 0 on, so that the first failure is a growth that can be seen.
        let mut failures = lock(&self.shared.load_failures);
        if !failures.contains_key(name) {
            failures.insert(name.to_owned(), 0);
        }
        drop(failures);
        let mut models = lock(&self.shared.models);
        models.retain(|model| model.strong_count() > 0);
        let mut same: Option<Arc<Series>> = None;
        for model in models.iter().filter_map(Weak::upgrade) {
            if model.name() == name && model.version() == version {
                if model.sha256() == sha256 && model.signature() == signature {
                    return model;
                }
                same = Some(model.series().clone());
            }
        }
        let series = same.unwrap_or_else(|| Arc::new(Series::new(name, version)));
        let model = Arc::new(ModelMetrics::new(
            series,
            sha256,
            signature,
            Arc::clone(&self.shared.slow),
        ));
        models.push(Arc::downgrade(&model));
        model
    }

    /// The figures of the memory that requests may take.
    pub fn memory(&self) -> &Arc<RequestMemory> {
        &self.shared.memory
    }

    /// From now on a request to a model that takes `limit` or more leaves a
    /// line in the log; with `None`, none does.
    pub fn log_slow(&self, limit: Option<Duration>) {
        self.shared.slow.set(limit);
    }

    /// Counts a version of `model` that could not be loaded.
    pub fn load_failed(&self, model: &str) {
        let mut failures = lock(&self.shared.load_failures);
        match failures.get_mut(model) {
            Some(count) => *count += 1,
            None => drop(failures.insert(model.to_owned(), 1)),
        }
    }

    /// The figures of the way in: certificates, keys, handshakes, connections.
    pub fn doors(&self) -> &Doors {
        &self.shared.doors
    }

    /// What became of spans.
    fn spans(&self) -> &Arc<trace::Counts> {
        &self.shared.spans
    }

    /// Counts a request that was refused before it reached a model.
    pub fn rejected(&self, kind: Kind) {
        self.shared.rejected[index(kind)].fetch_add(1, Relaxed);
    }

    /// Shows whether the service is ready.
    pub fn set_ready(&self, ready: bool) {
        self.shared.ready.store(ready, Relaxed);
    }
}

/// The place of `kind` in [`Kind::ALL`].
fn index(kind: Kind) -> usize {
    kind as usize
}

/// A duration as a count of nanoseconds, which lasts for 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What these locks guard is whole after every statement, so that a panic
/// elsewhere while one was held does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
