//! The metrics as Prometheus reads them: names, help and labels.

mod doors;

use std::{
    fmt::Result,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use super::{
    ModelMetrics, RequestMemory, Shared, histogram::Reading, lock, model::Series, process::Process,
};
use crate::error::Kind;

#[derive(Debug)]
pub(super) struct Exposition(pub(super) Arc<Shared>);

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result {
        let out = &mut Writer(&mut encoder);
        let mut models: Vec<_> = lock(&self.0.models)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        models.sort_by(|a, b| order(a).cmp(&order(b)));
        self.service(out, &models)?;
        doors::write(out, &self.0.doors)?;
        memory(out, &self.0.memory)?;
        spans(out, &self.0.spans)?;
        requests(out, &models)?;
        process(out)
    }
}

fn order(model: &ModelMetrics) -> (&str, &str, &str, &str) {
    (
        model.name(),
        model.version(),
        model.sha256(),
        model.signature(),
    )
}

impl Exposition {
    fn service(&self, out: &mut Writer<'_, '_>, models: &[Arc<ModelMetrics>]) -> Result {
        let build = &self.0.build;
        let labels = [("version", &*build.version), ("commit", &*build.commit)];
        out.info(
            "modelship_build",
            "The build of modelship that is running",
            [labels],
        )?;
        out.gauge(
            "modelship_ready",
            "Whether the service is ready for requests: 1 or 0",
            [(NO_LABELS, u64::from(self.0.ready.load(Relaxed)))],
        )?;
        let loaded = u64::try_from(models.len()).unwrap_or(u64::MAX);
        out.gauge(
            "modelship_models_loaded",
            "Versions in memory, those that still answer their last requests included",
            [(NO_LABELS, loaded)],
        )?;
        out.info(
            "modelship_model",
            "The versions in memory, with the digest of the file that is being served, and whether their \
             signature is verified, unchecked or unsigned",
            models.iter().map(|model| {
                [
                    ("model", model.name()),
                    ("version", model.version()),
                    ("sha256", model.sha256()),
                    ("signature", model.signature()),
                ]
            }),
        )?;
        out.counter(
            "modelship_model_load_failures",
            "Versions that could not be loaded or did not prove themselves",
            lock(&self.0.load_failures)
                .iter()
                .map(|(model, &count)| ([("model", &**model)], count)),
        )?;
        out.counter(
            "modelship_requests_rejected",
            "Requests that were refused before they reached a model, by reason",
            Kind::ALL
                .iter()
                .zip(&self.0.rejected)
                .map(|(kind, count)| ([("outcome", kind.label())], count.load(Relaxed))),
        )
    }
}

fn memory(out: &mut Writer<'_, '_>, memory: &RequestMemory) -> Result {
    let (taken, most, refused) = memory.read();
    for (name, help, bytes) in [
        (
            "modelship_request_memory",
            "Memory that requests hold, of small ones nothing",
            taken,
        ),
        (
            "modelship_request_memory_limit",
            "Memory that requests may hold in all",
            most,
        ),
    ] {
        let of = (name, help, Some(&Unit::Bytes), MetricType::Gauge);
        out.family(of, [(NO_LABELS, bytes)], gauge)?;
    }
    out.counter(
        "modelship_request_memory_refused",
        "Requests that were refused since others held the memory",
        [(NO_LABELS, refused)],
    )
}

fn spans(out: &mut Writer<'_, '_>, counts: &super::trace::Counts) -> Result {
    let outcomes = [("sent", &counts.sent), ("dropped", &counts.dropped)];
    out.counter(
        "modelship_spans",
        "Spans for the collector of traces, by what became of them",
        outcomes.map(|(outcome, count)| ([("outcome", outcome)], count.load(Relaxed))),
    )
}

fn requests(out: &mut Writer<'_, '_>, models: &[Arc<ModelMetrics>]) -> Result {
    let mut all: Vec<&Series> = models.iter().map(|model| &**model.series()).collect();
    all.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let outcomes: Vec<Vec<_>> = all.iter().map(|s| s.outcomes().collect()).collect();
    out.counter(
        "modelship_requests",
        "Requests to a model that have ended, by outcome",
        all.iter().zip(&outcomes).flat_map(|(series, outcomes)| {
            outcomes.iter().map(|(outcome, reading)| {
                let [model, version] = labels(series);
                ([model, version, ("outcome", *outcome)], reading.count)
            })
        }),
    )?;
    let durations: Vec<_> = outcomes.iter().map(|outcomes| merge(outcomes)).collect();
    out.gauge(
        "modelship_requests_in_flight",
        "Requests to a model that have not ended yet",
        all.iter()
            .zip(&durations)
            .map(|(series, ended)| (labels(series), series.in_flight(ended.count))),
    )?;
    out.durations(
        "modelship_request_duration",
        "Time from a request's arrival to its end, whatever its outcome",
        all.iter()
            .zip(durations)
            .map(|(s, reading)| (labels(s), reading)),
    )?;
    out.durations(
        "modelship_queue_duration",
        "Time that a request waited for an instance",
        all.iter().map(|s| (labels(s), s.queue.read())),
    )?;
    out.durations(
        "modelship_compute_duration",
        "Time of one run of the model, which may answer several requests",
        all.iter().map(|s| (labels(s), s.runs.compute.read())),
    )?;
    out.sizes(
        "modelship_batch_size",
        "Rows of one run of the model",
        all.iter().map(|s| (labels(s), s.runs.rows.read())),
    )
}

fn labels(series: &Series) -> Labels<'_, 2> {
    [("model", &*series.name), ("version", &*series.version)]
}

fn merge(outcomes: &[(&str, Reading)]) -> Reading {
    let mut all = outcomes[0].1.clone();
    for (_, reading) in &outcomes[1..] {
        all.add(reading);
    }
    all
}

/// The names are those that every Prometheus client library uses.
fn process(out: &mut Writer<'_, '_>) -> Result {
    let Some(process) = Process::read() else {
        return Ok(());
    };
    let bytes = Some(Unit::Bytes);
    for (name, help, unit, value) in [
        (
            "process_resident_memory",
            "Resident memory size in bytes",
            &bytes,
            process.resident_bytes,
        ),
        (
            "process_virtual_memory",
            "Virtual memory size in bytes",
            &bytes,
            process.virtual_bytes,
        ),
        (
            "process_open_fds",
            "Number of open file descriptors",
            &None,
            process.open_fds,
        ),
        (
            "process_max_fds",
            "Maximum number of open file descriptors",
            &None,
            process.max_fds,
        ),
        (
            "process_threads",
            "Number of threads",
            &None,
            process.threads,
        ),
    ] {
        let of = (name, help, unit.as_ref(), MetricType::Gauge);
        out.family(of, value.map(|v| (NO_LABELS, v)), gauge)?;
    }
    out.family(
        (
            "process_start_time",
            "Start time of the process in seconds since 1970",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        ),
        process.start_seconds.map(|s| (NO_LABELS, s)),
        gauge,
    )?;
    out.family(
        (
            "process_cpu",
            "CPU time spent, user and system, in seconds",
            Some(&Unit::Seconds),
            MetricType::Counter,
        ),
        process.cpu_seconds.map(|s| (NO_LABELS, s)),
        |series, seconds| series.encode_counter::<NoLabelSet, _, u64>(seconds, None),
    )
}

const NO_LABELS: Labels<'static, 0> = [];

fn gauge(series: &mut MetricEncoder<'_>, value: &impl EncodeGaugeValue) -> Result {
    series.encode_gauge(value)
}

/// A histogram whose bounds and sum are shown divided by `unit`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a sum of 2^53 ns is a hundred days of computing; its last digit is no matter"
)]
fn histogram(series: &mut MetricEncoder<'_>, reading: &Reading, unit: f64) -> Result {
    let buckets: Vec<_> = reading
        .within
        .iter()
        .map(|&(bound, count)| (bound as f64 / unit, count))
        .collect();
    let sum = reading.sum as f64 / unit;
    series.encode_histogram::<NoLabelSet>(sum, reading.count, &buckets, None)
}

/// Writes whole families, and none without a series.
struct Writer<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Writer<'_, '_> {
    fn family<L: EncodeLabelSet, V>(
        &mut self,
        (name, help, unit, of): (&str, &str, Option<&Unit>, MetricType),
        all: impl IntoIterator<Item = (L, V)>,
        write: impl Fn(&mut MetricEncoder<'_>, &V) -> Result,
    ) -> Result {
        let mut all = all.into_iter().peekable();
        if all.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, unit, of)?;
        all.try_for_each(|(labels, value)| write(&mut family.encode_family(&labels)?, &value))
    }

    fn info<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = Labels<'l, N>>,
    ) -> Result {
        self.family(
            (name, help, None, MetricType::Info),
            all.into_iter().map(|labels| (labels, ())),
            |series, ()| series.encode_info(&NO_LABELS),
        )
    }

    fn gauge<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (L, u64)>,
    ) -> Result {
        self.family((name, help, None, MetricType::Gauge), all, gauge)
    }

    /// `_total` is added to the name.
    fn counter<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (L, u64)>,
    ) -> Result {
        self.family(
            (name, help, None, MetricType::Counter),
            all,
            |series, value| series.encode_counter::<NoLabelSet, _, u64>(value, None),
        )
    }

    /// `_seconds` is added to the name.
    fn durations<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (L, Reading)>,
    ) -> Result {
        self.family(
            (name, help, Some(&Unit::Seconds), MetricType::Histogram),
            all,
            |series, reading| histogram(series, reading, 1e9),
        )
    }

    fn sizes<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (L, Reading)>,
    ) -> Result {
        self.family(
            (name, help, None, MetricType::Histogram),
            all,
            |series, reading| histogram(series, reading, 1.0),
        )
    }
}
