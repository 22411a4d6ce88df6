//! The figures of the memory that requests may take.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What requests hold. Whoever gives memory out counts here.
#[derive(Debug, Default)]
pub struct RequestMemory {
    /// What they may hold in all, in bytes.
    pub most: AtomicUsize,
    /// What they hold, in bytes.
    pub taken: AtomicUsize,
    /// Requests that were refused since others held it.
    pub refused: AtomicU64,
}

impl RequestMemory {
    /// What is held, the most that may be, and how many were refused.
    pub(super) fn read(&self) -> (u64, u64, u64) {
        let read = |of: &AtomicUsize| u64::try_from(of.load(Relaxed)).unwrap_or(u64::MAX);
        (
            read(&self.taken),
            read(&self.most),
            self.refused.load(Relaxed),
        )
    }
}
