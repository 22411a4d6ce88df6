//! One step: what the figures have grown by in it.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::Total;
use crate::{
    error::Kind,
    telemetry::{histogram::Reading, model::Series},
};

/// A bucket and how many fell into it in one step. Written as `[3,12]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bucket(u8, u32);

impl Bucket {
    /// A count as it is kept: a step has less than 2^32 of anything.
    pub(super) fn count(number: u64) -> u32 {
        u32::try_from(number).unwrap_or(u32::MAX)
    }
}

/// How many requests failed, by kind. Written as `{"invalid":2}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures(Box<[(Kind, u32)]>);

impl Failures {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Failures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (kind, count) in &self.0 {
            map.serialize_entry(kind.label(), count)?;
        }
        map.end()
    }
}

/// One step of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServicePoint {
    /// Which step.
    pub step: u64,
    /// Connections open at its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub connections: u32,
    /// Requests that were refused before they reached a model.
    #[serde(skip_serializing_if = "Failures::is_empty")]
    pub rejected: Failures,
}

impl ServicePoint {
    /// `None` where there is nothing to say.
    pub(super) fn new(
        step: u64,
        connections: usize,
        before: &[u64],
        now: &[u64],
    ) -> Option<ServicePoint> {
        let grown = Kind::ALL.into_iter().zip(now).enumerate();
        let point = Self {
            step,
            connections: u32::try_from(connections).unwrap_or(u32::MAX),
            rejected: Failures(
                grown
                    .filter_map(|(i, (kind, now))| {
                        let grown = now - before.get(i).unwrap_or(&0);
                        (grown > 0).then(|| (kind, Bucket::count(grown)))
                    })
                    .collect(),
            ),
        };
        (point.connections > 0 || !point.rejected.is_empty()).then_some(point)
    }
}

/// One step of one version of a model. What is 0 or empty is not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ModelPoint {
    /// Which step.
    pub step: u64,
    /// Requests that ended in it, failures included.
    #[serde(skip_serializing_if = "is_zero")]
    pub requests: u32,
    /// Those that failed.
    #[serde(skip_serializing_if = "Failures::is_empty")]
    pub failures: Failures,
    /// From arrival to end, by bucket of durations.
    #[serde(skip_serializing_if = "is_none")]
    pub latency: Box<[Bucket]>,
    /// The same, summed.
    #[serde(skip_serializing_if = "is_zero_long")]
    pub latency_us: u64,
    /// Waiting for an instance, by bucket of durations.
    #[serde(skip_serializing_if = "is_none")]
    pub queue: Box<[Bucket]>,
    /// Runs, by bucket of durations.
    #[serde(skip_serializing_if = "is_none")]
    pub compute: Box<[Bucket]>,
    /// Runs, by bucket of rows.
    #[serde(skip_serializing_if = "is_none")]
    pub batches: Box<[Bucket]>,
    /// Rows that were run.
    #[serde(skip_serializing_if = "is_zero_long")]
    pub rows: u64,
    /// Requests that had not ended at its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_flight: u32,
    /// Rows that were accepted and did not run yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u32,
}

impl ModelPoint {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self
            == Self {
                step: self.step,
                ..Self::default()
            }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero_long(number: &u64) -> bool {
    *number == 0
}

fn is_none(buckets: &[Bucket]) -> bool {
    buckets.is_empty()
}

/// What a series had counted at the end of the step before.
#[derive(Debug, Default)]
pub(super) struct Before {
    outcomes: Vec<u64>,
    latency: Counted,
    queue: Counted,
    compute: Counted,
    batches: Counted,
}

impl Before {
    /// What `series` has counted since, and in all.
    pub(super) fn advance(&mut self, step: u64, series: &Series) -> (ModelPoint, Total) {
        let readings: Vec<Reading> = series.outcomes().map(|(_, reading)| reading).collect();
        let counts: Vec<u64> = readings.iter().map(|reading| reading.count).collect();
        // The first outcome is success; the kinds stand behind it.
        let failures = Kind::ALL.into_iter().enumerate().filter_map(|(i, kind)| {
            let grown = counts[i + 1] - self.outcomes.get(i + 1).unwrap_or(&0);
            (grown > 0).then(|| (kind, Bucket::count(grown)))
        });
        let failures = Failures(failures.collect());
        let mut all = readings[0].clone();
        for reading in &readings[1..] {
            all.add(reading);
        }
        let total = Total {
            requests: all.count,
            failed: all.count - counts[0],
        };
        self.outcomes = counts;
        let (latency, latency_ns) = self.latency.advance(&all);
        let (queue, _) = self.queue.advance(&series.queue.read());
        let (compute, _) = self.compute.advance(&series.runs.compute.read());
        let (batches, rows) = self.batches.advance(&series.runs.rows.read());
        let point = ModelPoint {
            step,
            requests: latency.iter().map(|bucket| bucket.1).sum(),
            failures,
            latency,
            latency_us: latency_ns / 1000,
            queue,
            compute,
            batches,
            rows,
            in_flight: Bucket::count(series.in_flight(all.count)),
            waiting: 0,
        };
        (point, total)
    }
}

/// A histogram at the end of the step before.
#[derive(Debug, Default)]
struct Counted {
    /// By bucket, that above the last bound included.
    buckets: Vec<u64>,
    sum: u64,
}

impl Counted {
    /// The buckets that have grown, and what the sum has.
    fn advance(&mut self, reading: &Reading) -> (Box<[Bucket]>, u64) {
        let mut now: Vec<u64> = reading.within.iter().map(|(_, count)| *count).collect();
        now.push(reading.count - now.iter().sum::<u64>());
        let grown = now.iter().enumerate().filter_map(|(i, now)| {
            let grown = now - self.buckets.get(i).unwrap_or(&0);
            (grown > 0).then(|| Bucket(u8::try_from(i).unwrap_or(u8::MAX), Bucket::count(grown)))
        });
        let grown = grown.collect();
        let sum = reading.sum - self.sum;
        *self = Self {
            buckets: now,
            sum: reading.sum,
        };
        (grown, sum)
    }
}
