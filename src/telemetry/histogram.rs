//! A histogram of plain atomics: two additions for an observation, no lock.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::statistics::Time;

/// Upper bounds of durations, in nanoseconds: 10 µs to 60 s.
pub(super) const DURATION_BOUNDS: [u64; 21] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// Upper bounds of batch sizes, in rows.
pub(super) const BATCH_BOUNDS: [u64; 13] =
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];

/// How often values fell under each of `N` bounds, and their sum.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    within: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram with these ascending bounds.
    pub(super) fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            within: array::from_fn(|_| AtomicU64::new(0)),
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts `value`.
    pub(super) fn observe(&self, value: u64) {
        let index = self.bounds.partition_point(|&bound| bound < value);
        let bucket = self.within.get(index).unwrap_or(&self.above);
        bucket.fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// What was counted so far.
    pub(super) fn read(&self) -> Reading {
        let bounds = self.bounds.iter().copied();
        let counts = self.within.iter().map(|count| count.load(Relaxed));
        let within: Vec<_> = bounds.zip(counts).collect();
        let above = self.above.load(Relaxed);
        Reading {
            count: within.iter().map(|(_, count)| count).sum::<u64>() + above,
            within,
            sum: self.sum.load(Relaxed),
        }
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Each bound, and the values between it and the bound before.
    pub(super) within: Vec<(u64, u64)>,
    /// All values, those above the last bound included.
    pub(super) count: u64,
    /// The sum of all values.
    pub(super) sum: u64,
}

impl Reading {
    /// A reading of durations as the protocol shows it.
    pub(super) fn time(&self) -> Time {
        Time {
            count: self.count,
            ns: self.sum,
        }
    }

    /// Adds a reading of a histogram with the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.within.iter_mut().zip(&other.within) {
            mine.1 += theirs.1;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_under_it() {
        let histogram = Histogram::new(&BATCH_BOUNDS);
        for rows in [1, 2, 3, 4, 16_384, 16_385] {
            histogram.observe(rows);
        }
        let reading = histogram.read();
        assert_eq!(reading.within[..3], [(1, 1), (2, 1), (4, 2)]);
        assert_eq!(reading.within[12], (16_384, 1));
        assert_eq!(
            (reading.count, reading.sum),
            (6, 1 + 2 + 3 + 4 + 16_384 + 16_385)
        );
    }

    #[test]
    fn bounds_ascend() {
        assert!(DURATION_BOUNDS.is_sorted_by(|a, b| a < b));
        assert!(BATCH_BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
