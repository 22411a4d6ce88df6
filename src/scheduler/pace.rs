//! How often an event loop looks at the network while it refuses.
//!
//! Where more comes than a queue takes, each request finds the loop waiting, and
//! the run that the loop gives way to is interrupted for each. Most of what a
//! refusal costs is that: to wake up, to wake the caller, and to go to sleep
//! again. So a loop that refuses looks once in a while, and answers what has
//! come by then together. A loop with more to do than fits in between never
//! waits, and what it can do in all stays the same.

use std::time::{Duration, Instant};

/// The least time between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// One event loop's pace.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Whether this turn refused a request for want of room.
    refused: bool,
    /// When the loop last looked, having refused.
    looked: Option<Instant>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            refused: false,
            looked: None,
        }
    }

    /// A request was refused for want of room.
    pub(super) fn refused(&mut self) {
        self.refused = true;
    }

    /// How long the loop has to rest before it looks at the network, its turn
    /// being over. `now` is asked for only where it refused.
    pub(super) fn due(&mut self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if !std::mem::take(&mut self.refused) {
            return None;
        }
        let now = now();
        let rest = self
            .looked
            .map(|looked| (looked + LOOK).saturating_duration_since(now))
            .filter(|rest| !rest.is_zero());
        self.looked = Some(now + rest.unwrap_or_default());
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_micros(100);

    /// How long a loop takes for `turns`, in each of which it works for `step`
    /// and refuses where `refuses` says so.
    fn took(turns: u32, step: Duration, refuses: impl Fn(u32) -> bool) -> Duration {
        let mut pace = Pace::new();
        let start = Instant::now();
        let mut now = start;
        for turn in 0..turns {
            now += step;
            if refuses(turn) {
                pace.refused();
            }
            now += pace.due(|| now).unwrap_or_default();
        }
        now - start
    }

    #[test]
    fn who_refuses_looks_once_in_a_while() {
        let took = took(100, STEP, |_| true);
        assert!((99..=101).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn who_refuses_nothing_or_seldom_never_rests() {
        assert_eq!(took(100, STEP, |_| false), STEP * 100);
        assert_eq!(took(100, STEP, |turn| turn % 20 == 0), STEP * 100);
    }

    #[test]
    fn who_has_enough_to_do_never_rests() {
        assert_eq!(took(100, LOOK, |_| true), LOOK * 100);
    }
}
