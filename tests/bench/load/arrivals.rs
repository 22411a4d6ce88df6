//! When requests are due, whatever the answers do.

use std::time::{Duration, Instant};

use super::plan::Plan;

/// The times at which requests are due.
#[derive(Debug)]
pub(crate) struct Arrivals {
    due: Instant,
    rate: f64,
    /// What the gaps are drawn by; without it, all are alike.
    random: Option<u64>,
}

impl Arrivals {
    /// The arrivals of `plan`, from now on; `None` where it has no rate.
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        plan.rate.map(|rate| Self {
            due: Instant::now(),
            rate,
            random: plan.random.then_some(0x9e37_79b9_7f4a_7c15),
        })
    }

    /// When the next request is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// The same, which is then past.
    pub(crate) fn take(&mut self) -> Instant {
        let due = self.due;
        let times = match &mut self.random {
            None => 1.0,
            // Callers that know nothing of each other: a Poisson process.
            Some(state) => -uniform(state).ln(),
        };
        self.due += Duration::from_secs_f64(times / self.rate);
        due
    }
}

/// A number above 0, up to 1 (xorshift64*).
#[expect(clippy::cast_precision_loss, reason = "53 bits are a float's own")]
fn uniform(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
    (bits + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept() {
        for random in [None, Some(7)] {
            let start = Instant::now();
            let mut arrivals = Arrivals {
                due: start,
                rate: 1000.0,
                random,
            };
            for _ in 0..100_000 {
                arrivals.take();
            }
            let seconds = arrivals.due().duration_since(start).as_secs_f64();
            assert!((98.0..102.0).contains(&seconds), "{seconds}");
        }
    }
}
