//! The log of slow requests: which took too long, and where.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{ModelMetrics, trace};

/// Lines in a second; a flood of slow requests is no flood of lines.
const MOST: u32 = 10;

/// Where the time of one request went, as far as it got.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spent {
    /// Before the request was taken: its body came, and was read.
    pub(super) body: Duration,
    /// Waiting for an instance, and in the run.
    pub(super) known: Option<(Duration, Duration)>,
}

/// What is slow, and what has been said of it.
#[derive(Debug, Default)]
pub(super) struct Slow {
    /// In nanoseconds; 0 where nothing is.
    limit: std::sync::atomic::AtomicU64,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// The second that is under way, and its lines.
    since: Option<Instant>,
    lines: u32,
    /// Requests of which nothing was said.
    passed_over: u64,
}

impl Slow {
    /// From now on a request that takes `limit` or more is slow.
    pub(super) fn set(&self, limit: Option<Duration>) {
        let limit = limit.map_or(0, super::nanoseconds);
        self.limit
            .store(limit, std::sync::atomic::Ordering::Relaxed);
    }

    /// A request has ended `took` after it was taken.
    pub(super) fn ended(&self, model: &ModelMetrics, outcome: &str, took: Duration, spent: Spent) {
        let took = took + spent.body;
        let limit = self.limit.load(std::sync::atomic::Ordering::Relaxed);
        if limit == 0 || super::nanoseconds(took) < limit {
            return;
        }
        let Some(passed_over) = self.may_say(Instant::now()) else {
            return;
        };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let (queue, compute) = spent.known.unwrap_or_default();
        let rest = took.saturating_sub(spent.body + queue + compute);
        tracing::warn!(
            model = model.name(),
            version = model.version(),
            outcome,
            duration_ms = milliseconds(took),
            reason = reason(took, spent),
            body_ms = milliseconds(spent.body),
            queue_ms = spent.known.map(|_| milliseconds(queue)),
            compute_ms = spent.known.map(|_| milliseconds(compute)),
            rest_ms = spent.known.map(|_| milliseconds(rest)),
            trace = trace::current()
                .map(|traced| String::from_utf8_lossy(&traced.traceparent()).into_owned()),
            passed_over,
            "a slow request"
        );
    }

    /// Whether there may be a line now, and how many were left out before it.
    fn may_say(&self, now: Instant) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said
            .since
            .is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1))
        {
            said.since = Some(now);
            said.lines = 0;
        }
        if said.lines >= MOST {
            said.passed_over += 1;
            return None;
        }
        said.lines += 1;
        Some(std::mem::take(&mut said.passed_over))
    }
}

/// Where most of the time went: `body` until the request had come whole,
/// `queue`, `compute`, `batch` for putting together, taking apart and writing
/// the answer, or `no answer` where it ended before there was one.
fn reason(took: Duration, spent: Spent) -> &'static str {
    let body = spent.body;
    let Some((queue, compute)) = spent.known else {
        return if body >= took / 2 {
            "body"
        } else {
            "no answer"
        };
    };
    let batch = took.saturating_sub(body + queue + compute);
    let parts = [
        ("body", body),
        ("batch", batch),
        ("compute", compute),
        ("queue", queue),
    ];
    parts
        .into_iter()
        .max_by_key(|(_, time)| *time)
        .map_or("batch", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_reason_is_where_most_of_the_time_went() {
        let reason = |body: u32, known: Option<(u32, u32)>, took: u32| {
            let body = body * MS;
            let known = known.map(|(queue, compute)| (queue * MS, compute * MS));
            super::reason(took * MS, Spent { body, known })
        };
        assert_eq!(reason(0, Some((5, 2)), 8), "queue");
        assert_eq!(reason(0, Some((2, 5)), 8), "compute");
        assert_eq!(reason(0, Some((1, 1)), 8), "batch");
        assert_eq!(reason(6, Some((1, 1)), 8), "body");
        assert_eq!(reason(6, None, 8), "body");
        assert_eq!(reason(0, None, 8), "no answer");
    }

    #[test]
    fn a_flood_leaves_few_lines_and_the_next_says_how_many_it_left_out() {
        let slow = Slow::default();
        let now = Instant::now();
        let said = (0..100).filter(|_| slow.may_say(now).is_some()).count();
        assert_eq!(said, 10);
        assert_eq!(slow.may_say(now + Duration::from_secs(2)), Some(90));
        assert_eq!(slow.may_say(now + Duration::from_secs(2)), Some(0));
    }
}
