//! The runs of a model, by batch size.

use std::{
    array,
    collections::BTreeMap,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    histogram::{BATCH_BOUNDS, DURATION_BOUNDS, Histogram},
    lock, nanoseconds,
    statistics::{BatchStatistics, Time},
};

/// Batch sizes up to this one are counted without a lock.
const SMALL: usize = 64;
/// So many larger sizes are told apart; more would let callers, who choose
/// the rows of a request, fill the memory.
const LARGE_SIZES: usize = 256;

/// One run of a model that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// The rows of the batch; 1 for a model without a batch dimension.
    pub rows: usize,
    /// What it took to make the batch from its requests.
    pub input: Duration,
    /// What the model took.
    pub compute: Duration,
    /// What it took to split the outputs.
    pub output: Duration,
}

#[derive(Debug)]
pub(super) struct Runs {
    pub(super) compute: Histogram<{ DURATION_BOUNDS.len() }>,
    pub(super) rows: Histogram<{ BATCH_BOUNDS.len() }>,
    small: [OnceLock<Box<Times>>; SMALL],
    large: Mutex<BTreeMap<usize, Box<Times>>>,
    /// Sizes that are not told apart.
    rest: Times,
}

#[derive(Debug, Default)]
struct Times {
    count: AtomicU64,
    input: AtomicU64,
    compute: AtomicU64,
    output: AtomicU64,
}

impl Times {
    fn add(&self, run: &Run) {
        self.count.fetch_add(1, Relaxed);
        self.compute.fetch_add(nanoseconds(run.compute), Relaxed);
        for (time, sum) in [(run.input, &self.input), (run.output, &self.output)] {
            // A run of a single request has neither.
            if !time.is_zero() {
                sum.fetch_add(nanoseconds(time), Relaxed);
            }
        }
    }

    fn read(&self, size: usize) -> BatchStatistics {
        let count = self.count.load(Relaxed);
        let time = |ns: &AtomicU64| Time {
            count,
            ns: ns.load(Relaxed),
        };
        BatchStatistics {
            batch_size: u64::try_from(size).unwrap_or(u64::MAX),
            compute_input: time(&self.input),
            compute_infer: time(&self.compute),
            compute_output: time(&self.output),
        }
    }
}

impl Runs {
    pub(super) fn new() -> Self {
        Self {
            compute: Histogram::new(&DURATION_BOUNDS),
            rows: Histogram::new(&BATCH_BOUNDS),
            small: array::from_fn(|_| OnceLock::new()),
            large: Mutex::default(),
            rest: Times::default(),
        }
    }

    pub(super) fn observe(&self, run: &Run) {
        self.compute.observe(nanoseconds(run.compute));
        self.rows
            .observe(u64::try_from(run.rows).unwrap_or(u64::MAX));
        if let Some(slot) = run.rows.checked_sub(1).and_then(|i| self.small.get(i)) {
            slot.get_or_init(Box::default).add(run);
            return;
        }
        let mut large = lock(&self.large);
        if large.len() < LARGE_SIZES {
            large.entry(run.rows).or_default().add(run);
        } else {
            large
                .get(&run.rows)
                .map_or(&self.rest, |times| times)
                .add(run);
        }
    }

    /// Every batch size that is told apart, and the sums over all runs.
    pub(super) fn read(&self) -> (Vec<BatchStatistics>, BatchStatistics) {
        let small = self.small.iter().enumerate();
        let mut sizes: Vec<_> = small
            .filter_map(|(i, slot)| Some(slot.get()?.read(i + 1)))
            .collect();
        sizes.extend(
            lock(&self.large)
                .iter()
                .map(|(&size, times)| times.read(size)),
        );
        let mut all = self.rest.read(0);
        for size in &sizes {
            all.compute_input += size.compute_input;
            all.compute_infer += size.compute_infer;
            all.compute_output += size.compute_output;
        }
        (sizes, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_chosen_by_callers_do_not_fill_the_memory() {
        let runs = Runs::new();
        for rows in 0..10_000 {
            runs.observe(&Run {
                rows,
                compute: Duration::from_nanos(1),
                ..Run::default()
            });
        }
        let (sizes, all) = runs.read();
        assert_eq!(sizes.len(), SMALL + LARGE_SIZES);
        assert_eq!(
            all.compute_infer,
            Time {
                count: 10_000,
                ns: 10_000
            }
        );
        assert_eq!(runs.rows.read().count, 10_000);
    }
}
