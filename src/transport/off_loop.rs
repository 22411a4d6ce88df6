//! Large bodies are read and written away from the event loop, which others
//! wait for; and compressed ones are expanded step by step.

use std::io::Read;

use bytes::Bytes;

use super::{limits::Limits, memory::Reserved};
use crate::{
    error::{Error, Result},
    scheduler::aside::elsewhere,
};

/// From this many bytes on nothing is read or written on the event loop.
pub(super) const LARGE: usize = 256 * 1024;

/// How much is expanded before it is taken from the memory for requests.
const STEP: usize = 4 * 1024 * 1024;

/// Runs `work` on `size` bytes: here where that is quick, else where nobody
/// waits.
pub(super) async fn off_loop<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if size < LARGE {
        return work();
    }
    let ended = || Err(Error::internal("reading or writing a body panicked"));
    elsewhere(work).await.unwrap_or_else(ended)
}

/// A compressed body or message on its way to what it holds.
pub(super) struct Expansion {
    source: Box<dyn Read + Send>,
    /// How many bytes there are of `source`.
    compressed: usize,
    expanded: Vec<u8>,
    limits: Limits,
    what: &'static str,
}

impl Expansion {
    /// Of `what`, for errors, whose `compressed` bytes are read from `source`.
    pub(super) fn new(
        source: Box<dyn Read + Send>,
        compressed: usize,
        limits: Limits,
        what: &'static str,
    ) -> Self {
        Self {
            source,
            compressed,
            expanded: Vec::new(),
            limits,
            what,
        }
    }

    /// All that it holds: a small one is expanded here, of others the first
    /// [`LARGE`] bytes at most. For each byte that comes out, `times` are taken
    /// of `memory`.
    ///
    /// # Errors
    /// `Invalid` for what is not compressed so, `TooLarge` for more than the
    /// limit or than the ratio allows, and as [`Reserved::take`].
    pub(super) async fn whole(mut self, memory: &mut Reserved, times: usize) -> Result<Bytes> {
        let mut size = self.compressed;
        let mut step = LARGE;
        loop {
            let before = self.expanded.len();
            let more;
            (self, more) = off_loop(size, move || {
                let more = self.step(step)?;
                Ok((self, more))
            })
            .await?;
            memory.take((self.expanded.len() - before).saturating_mul(times))?;
            if !more {
                return Ok(self.expanded.into());
            }
            size = LARGE;
            step = STEP;
        }
    }

    /// All that it holds, at once.
    ///
    /// # Errors
    /// As [`whole`](Self::whole).
    pub(super) fn at_once(mut self) -> Result<Bytes> {
        while self.step(STEP)? {}
        Ok(self.expanded.into())
    }

    /// Expands at most `size` bytes more. Whether there may be more.
    fn step(&mut self, size: usize) -> Result<bool> {
        let most = self.limits.expanded(self.compressed) - self.expanded.len();
        let read = (&mut self.source)
            .take(size.min(most + 1) as u64)
            .read_to_end(&mut self.expanded)
            .map_err(|e| {
                Error::invalid(format!(
                    "the {} is not compressed as it says: {e}",
                    self.what
                ))
            })?;
        if read > most {
            return Err(self.limits.expands_too_far(self.what, self.compressed));
        }
        Ok(read == size)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use super::*;
    use crate::{error::Kind, transport::memory::Budget};

    fn expanded(size: u64, budget: &Budget) -> Result<usize> {
        expanded_within(usize::MAX, size, budget)
    }

    /// Of ten bytes.
    fn expanded_within(ratio: usize, size: u64, budget: &Budget) -> Result<usize> {
        let limits = Limits {
            body: 10 << 20,
            body_timeout: Duration::from_secs(1),
            ratio,
            ..Limits::UNLIMITED
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let expansion = Expansion::new(Box::new(io::repeat(7).take(size)), 10, limits, "body");
        let mut memory = budget.begin();
        let whole = runtime.block_on(expansion.whole(&mut memory, 3))?;
        assert!(whole.iter().all(|b| *b == 7));
        // What is smaller than a few pages is not counted.
        assert!((3 * whole.len()).abs_diff(budget.taken()) < 16 * 1024);
        Ok(whole.len())
    }

    #[test]
    fn steps_make_a_whole() {
        let budget = Budget::new(100 << 20);
        let large = LARGE as u64;
        let step = STEP as u64;
        for size in [0, 1, large - 1, large, large + 1, large + step, 10 << 20] {
            assert_eq!(expanded(size, &budget).unwrap() as u64, size);
        }
        let error = expanded((10 << 20) + 1, &budget).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.message().contains("max-body-size"));
    }

    #[test]
    fn expansion_ends_at_the_ratio_before_memory_is_taken_for_more() {
        let budget = Budget::new(100 << 20);
        let most = 10 * 1_000_000;
        assert_eq!(
            expanded_within(1_000_000, most, &budget).unwrap() as u64,
            most
        );
        // There is no memory for all of it.
        let budget = Budget::new(3 * 10_100_000);
        let error = expanded_within(1_000_000, 10 << 20, &budget).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.message().contains("max-compression-ratio"), "{error}");
    }

    #[test]
    fn expansion_ends_where_the_memory_does() {
        let error = expanded(10 << 20, &Budget::new(14 << 20)).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.message().contains("request-memory"));
    }
}
