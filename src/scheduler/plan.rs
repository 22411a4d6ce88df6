//! How one model is scheduled: what its owner set, and what a measurement at
//! warm-up chose.

use std::time::Duration;

use serde::Serialize;

use super::{
    background::Background,
    effort::Effort,
    request::rows,
    settings::{Placement, Settings},
    waiting::Room,
};
use crate::{
    engine::{EngineError, Output, Session},
    tensor::{Signature, Tensor, Tolerance, compare, concatenate, split},
};

/// A run up to this long does not hold up an event loop noticeably: it is
/// what the loop spends on a handful of requests anyway.
const INLINE_RUN: Duration = Duration::from_micros(100);

/// The longest run of a whole batch on an event loop.
const INLINE_BATCH: Duration = Duration::from_millis(1);

/// How long trying batch sizes may take in all.
const MEASURING: Duration = Duration::from_millis(400);

/// The largest batch that is tried.
const LARGEST_BATCH: usize = 128;

/// What the machine offers.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Threads that serve connections.
    pub event_loops: usize,
    /// Processors that this process may use.
    pub cpus: usize,
    /// How work in the background gives way.
    pub background: Background,
}

/// Whether requests are put together, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum Batching {
    /// Proven at load: a batch gives what its rows give alone.
    On,
    /// Off, for this reason.
    Off(String),
}

/// How one model is scheduled; it stands on the model card.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Where the model runs: never `Auto`.
    pub placement: Placement,
    /// Why there.
    pub placement_reason: String,
    /// Whether requests are put together.
    pub batching: Batching,
    /// The most rows of one run; 1 without batching.
    pub max_batch_size: usize,
    /// The most rows that may wait.
    pub max_queue_size: usize,
    /// The most bytes of inputs that may wait; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue_bytes: Option<usize>,
    /// How long an idle instance waits for a batch to fill.
    #[serde(rename = "max_queue_delay_microseconds", serialize_with = "micros")]
    pub max_queue_delay: Duration,
    /// Levels of priority, 1 the most urgent; 0 means that all are alike.
    pub priority_levels: u32,
    /// The level of a request that asks for none.
    pub default_priority: u32,
    /// How long a request may wait that brings no deadline of its own.
    #[serde(
        rename = "default_timeout_microseconds",
        serialize_with = "some_micros"
    )]
    pub default_timeout: Option<Duration>,
    /// How many instances run the model at once.
    pub instances: usize,
    /// The longest that a run may take.
    #[serde(rename = "max_run_time_microseconds", serialize_with = "micros")]
    pub max_run_time: Duration,
    /// How runs on threads give way to the event loops.
    #[serde(skip)]
    pub background: Background,
    /// Threads inside one run.
    pub intra_threads: usize,
    /// One run of one row, measured at warm-up; absent if it could not be.
    #[serde(rename = "run_microseconds", serialize_with = "some_micros")]
    pub run: Option<Duration>,
}

fn micros<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(d.as_secs_f64() * 1e6)
}

fn some_micros<S: serde::Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match d {
        Some(d) => micros(d, s),
        None => s.serialize_none(),
    }
}

/// Inputs of one request, one for each of the signature's.
pub type Inputs = Vec<Option<Tensor>>;

impl Plan {
    /// What may wait.
    pub(super) fn room(&self) -> Room {
        Room {
            rows: self.max_queue_size,
            bytes: self.max_queue_bytes.unwrap_or(usize::MAX),
        }
    }

    /// Chooses how to schedule a model: by `settings` where they say, else by
    /// measuring `session` on `samples`, which fit its signature.
    ///
    /// `intra_threads` is what the session was made with.
    ///
    /// # Errors
    /// When the model fails to run a sample.
    pub fn choose(
        session: &mut dyn Session,
        signature: &Signature,
        samples: &[Inputs],
        tolerance: Tolerance,
        settings: &Settings,
        host: Host,
        intra_threads: usize,
    ) -> Result<Self, EngineError> {
        let run = match samples.first() {
            Some(sample) => Some(time(session, sample, intra_threads)?),
            None => None,
        };
        let (placement, placement_reason) = place(settings.placement, run);
        let inline = placement == Placement::Inline;
        let mut batching = if settings.max_batch_size == Some(1) {
            Batching::Off("max_batch_size is set to 1".to_owned())
        } else {
            prove_batching(session, signature, samples, tolerance)?
        };
        let max_batch_size = match (&batching, settings.max_batch_size) {
            (Batching::Off(_), _) => 1,
            (Batching::On, Some(size)) => size.max(1),
            (Batching::On, None) => {
                let longest = if inline { INLINE_BATCH } else { Duration::MAX };
                best_batch(session, samples, longest, intra_threads)?
            }
        };
        if batching == Batching::On && max_batch_size == 1 {
            batching = Batching::Off("a batch is no faster than its rows one by one".to_owned());
        }
        let priority_levels = settings.priority_levels.unwrap_or(0);
        let instances = settings.instances.unwrap_or(if inline {
            host.event_loops
        } else {
            (host.cpus / intra_threads.max(1)).max(1)
        });
        Ok(Self {
            placement,
            placement_reason,
            batching,
            max_batch_size,
            max_queue_size: settings
                .max_queue_size
                .unwrap_or_else(|| (max_batch_size * instances * 16).max(256)),
            max_queue_bytes: settings.max_queue_bytes,
            max_queue_delay: settings.max_queue_delay.unwrap_or_default(),
            priority_levels,
            default_priority: settings
                .default_priority
                .unwrap_or_else(|| priority_levels.div_ceil(2))
                .min(priority_levels),
            default_timeout: settings.default_timeout,
            instances,
            max_run_time: settings.max_run_time(),
            background: host.background,
            intra_threads,
            run,
        })
    }
}

fn place(wanted: Placement, run: Option<Duration>) -> (Placement, String) {
    match (wanted, run) {
        (Placement::Inline | Placement::Threads, _) => (wanted, "set by its owner".to_owned()),
        (Placement::Auto, None) => (
            Placement::Threads,
            "there is no sample to measure a run with".to_owned(),
        ),
        (Placement::Auto, Some(run)) => {
            let micros = run.as_secs_f64() * 1e6;
            let limit = INLINE_RUN.as_micros();
            if run <= INLINE_RUN {
                let text = format!("a run takes {micros:.1} µs, at most {limit} µs");
                (Placement::Inline, text)
            } else {
                let text = format!("a run takes {micros:.0} µs, more than {limit} µs");
                (Placement::Threads, text)
            }
        }
    }
}

/// The median time of a few runs of `inputs`, after one that is not counted.
fn time(
    session: &mut dyn Session,
    inputs: &Inputs,
    threads: usize,
) -> Result<Duration, EngineError> {
    const RUNS: usize = 9;
    session.run(inputs)?;
    let mut times = Vec::with_capacity(RUNS);
    let started = Effort::start(threads);
    while times.len() < RUNS && (times.is_empty() || !started.is_beyond(MEASURING / 4)) {
        let start = Effort::start(threads);
        session.run(inputs)?;
        times.push(start.spent());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// Whether a batch gives what its rows give alone, tried with rows of
/// `samples`.
///
/// # Errors
/// When the model fails to run a row.
pub fn prove_batching(
    session: &mut dyn Session,
    signature: &Signature,
    samples: &[Inputs],
    tolerance: Tolerance,
) -> Result<Batching, EngineError> {
    let off = |reason: &str| Ok(Batching::Off(reason.to_owned()));
    if let Some(reason) = signature.why_rows_are_fixed() {
        return off(&reason);
    }
    let singles = single_rows(samples);
    if singles.is_empty() {
        return off("there is no sample to prove it with");
    }
    let mut alone = Vec::with_capacity(singles.len());
    for single in &singles {
        alone.push(session.run(single)?);
    }
    let counts = vec![1; singles.len()];
    let Some(whole) = join(&singles) else {
        return off("the rows of its samples do not go together");
    };
    let Ok(together) = session.run(&whole) else {
        return off("the model refuses a batch of its samples");
    };
    for (index, (spec, output)) in signature.outputs.iter().zip(&together).enumerate() {
        let Ok(parts) = split(&output.tensor, &counts) else {
            return off(&format!(
                "the output \"{}\" of a batch does not have one row for each of its rows",
                spec.name
            ));
        };
        for (part, single) in parts.iter().zip(&alone) {
            let single: &Output = &single[index];
            if let Err(mismatch) = compare(&spec.name, &single.tensor, part, tolerance) {
                return off(&format!(
                    "a batch does not give what its rows give alone: {mismatch}"
                ));
            }
        }
    }
    Ok(Batching::On)
}

/// Some of the samples' rows, one by one; at least three where there is one.
fn single_rows(samples: &[Inputs]) -> Vec<Inputs> {
    const MOST: usize = 8;
    let mut singles: Vec<Inputs> = Vec::new();
    for sample in samples {
        let count = rows(sample);
        let counts = vec![1; count];
        let split_input = |t: &Option<Tensor>| match t {
            None => Some(vec![None; count]),
            Some(t) => Some(split(t, &counts).ok()?.into_iter().map(Some).collect()),
        };
        let Some(columns) = sample
            .iter()
            .map(split_input)
            .collect::<Option<Vec<Vec<Option<Tensor>>>>>()
        else {
            continue;
        };
        for row in 0..count {
            singles.push(columns.iter().map(|c| c[row].clone()).collect());
        }
        if singles.len() >= MOST {
            break;
        }
    }
    // Rows of one batch must be alike in all but their content.
    if let Some(first) = singles.first().cloned() {
        singles.retain(|s| super::batch::compatible(&first, s));
        while singles.len() < 3 {
            singles.push(first.clone());
        }
    }
    singles.truncate(MOST);
    singles
}

fn join(singles: &[Inputs]) -> Option<Inputs> {
    let width = singles.first()?.len();
    (0..width)
        .map(|i| {
            let parts: Vec<&Tensor> = singles.iter().filter_map(|s| s[i].as_ref()).collect();
            match parts.len() {
                0 => Some(None),
                n if n == singles.len() => concatenate(&parts).ok().map(Some),
                _ => None,
            }
        })
        .collect()
}

/// The smallest batch that comes within a twentieth of the most rows a
/// second, among those whose run is no longer than `longest`.
fn best_batch(
    session: &mut dyn Session,
    samples: &[Inputs],
    longest: Duration,
    threads: usize,
) -> Result<usize, EngineError> {
    let Some(row) = single_rows(samples).into_iter().next() else {
        return Ok(1);
    };
    let started = Effort::start(threads);
    let mut measured: Vec<(usize, f64)> = Vec::new();
    let mut size = 1;
    while size <= LARGEST_BATCH && (size == 1 || !started.is_beyond(MEASURING)) {
        let Some(batch) = join(&vec![row.clone(); size]) else {
            break;
        };
        let run = time(session, &batch, threads)?;
        if size > 1 && run > longest {
            break;
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch size is small")]
        measured.push((size, run.as_secs_f64() / size as f64));
        size *= 2;
    }
    let best = measured.iter().map(|m| m.1).fold(f64::INFINITY, f64::min);
    Ok(measured
        .iter()
        .find(|m| m.1 <= best * 1.05)
        .map_or(1, |m| m.0))
}
