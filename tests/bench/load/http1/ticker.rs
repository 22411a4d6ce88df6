//! Wakes the poll when requests fall due: the poll's own timer counts in
//! milliseconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Poll, Token, Waker};

/// Waking more often than this would cost more than it tells.
const SHORTEST: Duration = Duration::from_micros(200);

/// A thread that wakes a poll at a steady rate, until this drops.
pub(super) struct Ticker {
    stopped: Arc<AtomicBool>,
}

impl Ticker {
    /// Wakes `poll` with `token` for each request of `rate` a second, or for
    /// several at once where they are dense.
    pub(super) fn start(poll: &Poll, token: Token, rate: f64) -> std::io::Result<Self> {
        let waker = Waker::new(poll.registry(), token)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let period = Duration::from_secs_f64(1.0 / rate).max(SHORTEST);
        std::thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || {
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) && waker.wake().is_ok() {
                    next += period;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })?;
        Ok(Self { stopped })
    }
}

impl Drop for Ticker {
    /// The thread ends after its next tick.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
