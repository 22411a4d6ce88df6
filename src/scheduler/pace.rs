//! How an event loop refuses without taking the processor from what it gives
//! way to.
//!
//! Where more comes than a queue takes, each request finds the loop waiting, and
//! the run that the loop gives way to is interrupted for each. Most of what a
//! refusal costs is that: to wake up, to wake the caller, and to go to sleep
//! again. So a loop that refuses looks once in a while, and answers what has
//! come by then together.
//!
//! Where refused callers ask again at once, the loop never waits, and there would
//! be no run at all. So after some refusals without a wait it rests for twice
//! the time, as far as that went into refusals; they come a little later then.

use std::time::{Duration, Instant};

/// The least time between two looks at the network.
const LOOK: Duration = Duration::from_millis(1);

/// Refusals without a wait after which the loop rests, and how many times as
/// long as they took.
const MANY: u32 = 32;
const TIMES: u32 = 2;

/// The longest rest.
const LONGEST: Duration = Duration::from_millis(10);

/// One event loop's pace.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Requests since the loop waited or rested last, and those of them that
    /// were refused for want of room.
    asked: u32,
    refused: u32,
    /// Since when it has done neither, where it has been refusing.
    since: Option<Instant>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            asked: 0,
            refused: 0,
            since: None,
        }
    }

    /// A request is taken up. Whether the loop has to rest first.
    pub(super) fn asked(&mut self) -> bool {
        self.asked = self.asked.saturating_add(1);
        self.refused >= MANY
    }

    /// A request was refused for want of room.
    pub(super) fn refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// The loop has waited for the network, and goes on.
    pub(super) fn awake(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(since) = &mut self.since {
            *since = now();
        }
    }

    /// How long a loop rests that has not waited for many refusals.
    pub(super) fn owed(&mut self, now: Instant) -> Duration {
        let busy = self.since.map_or(Duration::ZERO, |since| now - since);
        let refused = busy * TIMES * self.refused / self.asked.max(1);
        let rest = refused.min(LONGEST);
        *self = Self {
            since: Some(now + rest),
            ..Self::new()
        };
        rest
    }

    /// How long the loop has to rest before it looks at the network, its turn
    /// being over. `now` is asked for only where it refused.
    pub(super) fn due(&mut self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let (refused, since) = (self.refused, self.since);
        *self = Self::new();
        if refused == 0 {
            return None;
        }
        let now = now();
        let rest = since.map(|since| (since + LOOK).saturating_duration_since(now));
        let rest = rest.filter(|rest| !rest.is_zero());
        self.since = Some(now + rest.unwrap_or_default());
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_micros(100);

    /// How long a loop takes for 100 turns of `step`, in each of which it
    /// refuses where `refuses` says so.
    fn turns(step: Duration, refuses: impl Fn(u32) -> bool) -> Duration {
        let mut pace = Pace::new();
        let start = Instant::now();
        let mut now = start;
        for turn in 0..100 {
            pace.awake(|| now);
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
        let took = turns(STEP, |_| true);
        assert!((99..=101).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn who_refuses_nothing_never_rests() {
        assert_eq!(turns(STEP, |_| false), STEP * 100);
    }

    #[test]
    fn who_has_enough_to_do_never_rests_before_a_look() {
        assert_eq!(turns(LOOK, |_| true), LOOK * 100);
    }

    /// The share of its time that a loop rests which never waits, and refuses
    /// every `nth` request.
    fn rested(nth: u32) -> f64 {
        let mut pace = Pace::new();
        let start = Instant::now();
        let (mut now, mut rested) = (start, Duration::ZERO);
        for number in 0..100_000 {
            if pace.asked() {
                let rest = pace.owed(now);
                rested += rest;
                now += rest;
            }
            if number % nth == 0 {
                pace.refused();
            }
            now += STEP / 10;
        }
        rested.as_secs_f64() / (now - start).as_secs_f64()
    }

    #[test]
    fn who_never_waits_rests_as_far_as_it_refuses() {
        assert!((0.65..0.68).contains(&rested(1)), "{}", rested(1));
        let tenth = rested(10);
        assert!((0.14..0.18).contains(&tenth), "{tenth}");
        assert!(rested(200_000) < 1e-6);
    }
}
