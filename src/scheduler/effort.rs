//! How long a run takes, whatever else the machine does meanwhile.
//!
//! A model is measured while its pod starts, on a thread that gives way to
//! everybody: by the clock, a busy machine would make each run seem long, and
//! batches no faster than their rows. The plan that came of it would stand for
//! as long as the pod lives. So a run that is one thread's is measured by the
//! processor's time for it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How many times as long by the clock a measurement may take at the most.
const PATIENCE: u32 = 8;

/// A measurement that is under way, on the thread that began it.
pub(super) struct Effort {
    /// What the processor had spent for this thread; `None` where others work
    /// with it, whose time it can't tell.
    spent: Option<Duration>,
    began: Instant,
}

impl Effort {
    /// Begins to measure a run inside which so many threads work.
    pub(super) fn start(threads: usize) -> Self {
        Self {
            spent: (threads == 1).then(of_this_thread),
            began: Instant::now(),
        }
    }

    /// What has been spent since.
    pub(super) fn spent(&self) -> Duration {
        match self.spent {
            Some(before) => of_this_thread().saturating_sub(before),
            None => self.began.elapsed(),
        }
    }

    /// Whether that is `most` or more, or has taken far longer by the clock.
    pub(super) fn is_beyond(&self, most: Duration) -> bool {
        self.spent() >= most || self.began.elapsed() >= most * PATIENCE
    }
}

fn of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_does_meanwhile_counts_for_a_run_of_several_threads_alone() {
        let (one, several) = (Effort::start(1), Effort::start(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let work = Effort::start(1);
                while work.spent() < Duration::from_millis(20) {}
            });
        });
        assert!(one.spent() < Duration::from_millis(20), "{:?}", one.spent());
        assert!(several.spent() >= Duration::from_millis(20));
        assert!(several.is_beyond(Duration::from_millis(20)));
        assert!(one.is_beyond(Duration::from_millis(20) / PATIENCE));
    }
}
