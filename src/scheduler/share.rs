//! What an event loop leaves to work that only gets what nobody else wants.
//!
//! A thread of Linux's idle policy stands still where an event loop never
//! waits, and whoever waits for that thread would wait for ever. So a loop that
//! has hardly waited in a while rests for a tenth of it, but only while such
//! work is there.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// How long a loop may go on without leaving anything.
const WINDOW: Duration = Duration::from_millis(2);
/// What it leaves in that time, by waiting for the network or by resting.
const SHARE: Duration = Duration::from_micros(200);

/// Threads of the idle policy that have something to do now.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Counts one thread as having something to do, until it drops.
#[derive(Debug)]
pub struct AtWork(());

impl AtWork {
    pub(super) fn start() -> Self {
        AT_WORK.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there is work to leave a share to.
pub(super) fn is_wanted() -> bool {
    AT_WORK.load(Ordering::Relaxed) > 0
}

/// One event loop's account of what it has left.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The window that is under way, and how long the loop has waited in it.
    window: Option<(Instant, Duration)>,
    /// Since when the loop waits.
    waiting: Option<Instant>,
}

impl Share {
    pub(super) const fn new() -> Self {
        Self {
            window: None,
            waiting: None,
        }
    }

    /// How long the loop has to rest at `now`, where it has left too little in
    /// the window that ends. Begins the next window.
    pub(super) fn due(&mut self, now: Instant) -> Option<Duration> {
        let Some((since, waited)) = self.window else {
            self.window = Some((now, Duration::ZERO));
            return None;
        };
        if now.duration_since(since) < WINDOW {
            return None;
        }
        let rest = SHARE.checked_sub(waited).filter(|rest| !rest.is_zero());
        self.window = Some((now + rest.unwrap_or_default(), Duration::ZERO));
        rest
    }

    /// The loop begins to wait.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting = Some(now);
    }

    /// The loop has waited, where it began to while there was such work.
    pub(super) fn waited(&mut self, now: impl FnOnce() -> Instant) {
        if let (Some(began), Some((_, waited))) = (self.waiting.take(), &mut self.window) {
            *waited += now().saturating_duration_since(began);
        }
    }

    /// There is no such work: nothing is owed.
    pub(super) fn forget(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_micros(100);

    /// What a loop rests in `steps` of [`STEP`], of each of which it waits for
    /// `waits`.
    fn rested(steps: u32, waits: Duration) -> Duration {
        let mut share = Share::new();
        let mut now = Instant::now();
        let mut rested = Duration::ZERO;
        for _ in 0..steps {
            if let Some(rest) = share.due(now) {
                rested += rest;
                now += rest;
            }
            share.wait(now);
            share.waited(|| now + waits);
            now += STEP;
        }
        rested
    }

    #[test]
    fn a_loop_that_never_waits_leaves_a_tenth() {
        let rested = rested(1000, Duration::ZERO);
        let share = rested.as_secs_f64() / (STEP * 1000).as_secs_f64();
        assert!((0.08..0.11).contains(&share), "{share}");
    }

    #[test]
    fn a_loop_that_waits_anyway_does_not_rest() {
        assert_eq!(rested(1000, Duration::from_micros(20)), Duration::ZERO);
    }

    #[test]
    fn a_loop_that_waits_a_little_rests_for_the_difference() {
        let rested = rested(1000, Duration::from_micros(5));
        let share = rested.as_secs_f64() / (STEP * 1000).as_secs_f64();
        assert!((0.03..0.06).contains(&share), "{share}");
    }
}
