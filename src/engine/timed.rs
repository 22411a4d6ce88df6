//! Runs that end: each has a latest moment, and a watchdog that sees to it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{EngineError, Interrupt, Output, Session};
use crate::tensor::Tensor;

/// A session none of whose runs goes on for ever.
pub struct Timed {
    session: Box<dyn Session>,
    watched: Arc<Watched>,
    /// The longest that a run may take.
    longest: Duration,
    /// When the next run's result stops being of use.
    until: Option<Instant>,
}

impl Timed {
    /// Ends each run of `session` that takes longer than `longest`.
    #[must_use]
    pub fn new(session: Box<dyn Session>, longest: Duration) -> Self {
        let watched = Arc::new(Watched {
            state: Mutex::default(),
            interrupt: session.interrupter(),
        });
        WATCHDOG.watch(&watched);
        Self {
            session,
            watched,
            longest,
            until: None,
        }
    }

    /// Has the next run end at `until` if it is not done by then.
    pub fn until(&mut self, until: Option<Instant>) -> &mut Self {
        self.until = until;
        self
    }
}

impl Session for Timed {
    fn run(&mut self, inputs: &[Option<Tensor>]) -> Result<Vec<Output>, EngineError> {
        let longest = Instant::now().checked_add(self.longest);
        let until = match (self.until.take(), longest) {
            (Some(until), Some(longest)) => Some(until.min(longest)),
            (until, longest) => until.or(longest),
        };
        self.watched.state().until = until;
        let result = self.session.run(inputs);
        let mut state = self.watched.state();
        state.until = None;
        if std::mem::take(&mut state.ended) {
            // It may have been done just then: the next run must not inherit it.
            self.watched.interrupt.reset();
        }
        result
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.session.interrupter()
    }
}

/// What the watchdog knows of one session.
struct Watched {
    state: Mutex<State>,
    interrupt: Arc<dyn Interrupt>,
}

#[derive(Default)]
struct State {
    /// When the run in progress must end; `None` between runs.
    until: Option<Instant>,
    /// Whether it has been told to.
    ended: bool,
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run that is overdue. Tells whether there is a run at all.
    fn look(&self, now: Instant) -> bool {
        // The lock is kept meanwhile, so that it is this run that ends.
        let mut state = self.state();
        if state.until.is_some_and(|until| until <= now) {
            state.ended = true;
            self.interrupt.interrupt();
        }
        state.until.is_some()
    }
}

/// The one thread that looks after all sessions of the process. It looks
/// instead of being told, since to tell it of each run would cost a run of
/// microseconds more than the run.
static WATCHDOG: Watchdog = Watchdog {
    sessions: Mutex::new(Sessions {
        watched: Vec::new(),
        started: false,
    }),
    more: Condvar::new(),
};

struct Watchdog {
    sessions: Mutex<Sessions>,
    /// Signalled when there is a session to look after.
    more: Condvar,
}

struct Sessions {
    watched: Vec<Weak<Watched>>,
    started: bool,
}

/// Between two looks, while something runs and while nothing does.
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(100);

impl Watchdog {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&'static self, watched: &Arc<Watched>) {
        let mut sessions = self.sessions();
        sessions.watched.push(Arc::downgrade(watched));
        if !sessions.started {
            let thread = std::thread::Builder::new().name("watchdog".to_owned());
            match thread.spawn(|| self.look()) {
                Ok(_) => sessions.started = true,
                // Tried again for the next session.
                Err(error) => tracing::warn!(%error, "no run is ended at its deadline"),
            }
        }
        drop(sessions);
        self.more.notify_all();
    }

    fn look(&self) {
        let mut pause = BUSY;
        let mut sessions = self.sessions();
        loop {
            let now = Instant::now();
            let mut running = false;
            sessions.watched.retain(|watched| {
                let watched = watched.upgrade();
                running |= watched.as_ref().is_some_and(|watched| watched.look(now));
                watched.is_some()
            });
            pause = if running { BUSY } else { (pause * 2).min(IDLE) };
            sessions = if sessions.watched.is_empty() {
                self.more
                    .wait(sessions)
                    .unwrap_or_else(PoisonError::into_inner)
            } else {
                drop(sessions);
                std::thread::sleep(pause);
                self.sessions()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Model, ModelBytes, Threads, fake::FakeEngine};

    fn model(engine: &FakeEngine) -> Arc<dyn Model> {
        let bytes = ModelBytes {
            graph: Arc::from(&b"fake 2;"[..]),
            external: Vec::new(),
        };
        engine.load(&bytes, Threads { intra: 1 }).unwrap()
    }

    fn one() -> Vec<Option<Tensor>> {
        let shape = crate::tensor::Shape::new(&[1, 1]);
        vec![Some(Tensor::new(shape, vec![1.0_f32]).unwrap())]
    }

    #[test]
    fn a_run_that_does_not_end_is_ended_and_the_next_is_not() {
        let engine = FakeEngine::default();
        let mut timed = Timed::new(model(&engine).session().unwrap(), Duration::from_millis(10));
        engine.hold();
        assert_eq!(timed.run(&one()), Err(EngineError::Interrupted));
        engine.open();
        assert!(timed.run(&one()).is_ok());
    }

    #[test]
    fn a_deadline_ends_one_run_alone() {
        let engine = FakeEngine::default();
        let mut timed = Timed::new(model(&engine).session().unwrap(), Duration::MAX);
        engine.hold();
        let ended = timed.until(Some(Instant::now())).run(&one());
        assert_eq!(ended, Err(EngineError::Interrupted));
        engine.release(1);
        assert!(timed.run(&one()).is_ok());
    }
}
