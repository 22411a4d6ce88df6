//! Inline placement: one instance for each event loop, run on its thread.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Semaphore, oneshot};

use super::{
    aside::let_go,
    background::Background,
    batch::{self, Overrun, Ran},
    event_loop,
    plan::Plan,
    request::{Answer, Pending, Request, wait},
    waiting::{Load, Room, full},
};
use crate::{
    engine::{EngineError, Model, Timed},
    error::{Error, Result},
    telemetry::ModelMetrics,
};

/// The lanes of one model, one for each event loop.
pub(super) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// For requests larger than a batch, and for all requests of a model that
    /// was once too slow: they would hold up an event loop.
    beyond: Beyond,
    /// What waits for its turn there, and how much may.
    aside: Aside,
    room: Room,
    /// One of them at a time: the others wait as tasks, not as threads.
    turn_aside: Semaphore,
}

/// One instance and the requests that gather for it. The lock is taken by
/// the lane's own event loop, so it is free whenever it is wanted.
pub(super) struct Lane {
    state: Mutex<State>,
    model: Arc<dyn Model>,
    metrics: Arc<ModelMetrics>,
    max_batch: usize,
    longest: Duration,
    /// Where runs go on that take too long for an event loop; `None` for the
    /// lane aside itself.
    beyond: Option<Beyond>,
}

/// Where a lane's requests go when a run of theirs took too long.
#[derive(Clone)]
struct Beyond {
    aside: Arc<Lane>,
    /// Whether it has happened.
    overran: Arc<AtomicBool>,
    background: Background,
}

/// A model of microseconds that takes this long has gone astray, and the event
/// loop can't wait to see how far.
const LONGEST_INLINE: Duration = Duration::from_millis(100);

struct State {
    session: Timed,
    pending: Vec<Pending>,
    rows: usize,
    /// Requests of this turn, and of the one before: a lone request runs at
    /// once, and where there were several, they gather.
    turn: usize,
    last_turn: usize,
}

impl Lanes {
    pub(super) fn start(
        model: &Arc<dyn Model>,
        plan: &Plan,
        metrics: Arc<ModelMetrics>,
    ) -> Result<Self, EngineError> {
        let lane = |beyond: Option<Beyond>| {
            let longest = match beyond {
                Some(_) => plan.max_run_time.min(LONGEST_INLINE),
                None => plan.max_run_time,
            };
            Ok(Arc::new(Lane {
                state: Mutex::new(State {
                    session: Timed::new(model.session()?, longest),
                    pending: Vec::new(),
                    rows: 0,
                    turn: 0,
                    last_turn: 0,
                }),
                model: Arc::clone(model),
                metrics: Arc::clone(&metrics),
                max_batch: plan.max_batch_size,
                longest,
                beyond,
            }))
        };
        let beyond = Beyond {
            aside: lane(None)?,
            overran: Arc::default(),
            background: plan.background,
        };
        Ok(Self {
            lanes: (0..plan.instances.max(1))
                .map(|_| lane(Some(beyond.clone())))
                .collect::<Result<_, EngineError>>()?,
            beyond,
            turn_aside: Semaphore::new(1),
            aside: Aside::default(),
            room: plan.room(),
        })
    }

    pub(super) fn waiting(&self) -> usize {
        let gathered: usize = self.lanes.iter().map(|lane| lane.state().rows).sum();
        gathered + self.aside.rows.load(Ordering::Relaxed)
    }

    pub(super) async fn submit(&self, request: Request) -> Result<Answer> {
        let index = event_loop::index();
        let lane = &self.lanes[index.unwrap_or(0) % self.lanes.len()];
        let (pending, answer) = Pending::new(request);
        let large = lane.max_batch > 1 && pending.rows > lane.max_batch;
        if index.is_some() && (large || self.beyond.overran.load(Ordering::Relaxed)) {
            return self.submit_aside(pending, answer).await;
        }
        lane.accept(pending, index.is_some());
        wait(answer).await
    }

    async fn submit_aside(
        &self,
        pending: Pending,
        answer: oneshot::Receiver<Result<Answer>>,
    ) -> Result<Answer> {
        let waiting = WaitingAside::new(&self.aside, pending.load());
        let Load { rows, bytes } = waiting.before;
        // A request larger than all that may wait still runs, when it is alone.
        let fits = rows + pending.rows <= self.room.rows
            && bytes.saturating_add(pending.load().bytes) <= self.room.bytes;
        if rows > 0 && !fits {
            return Err(full(waiting.before, self.room));
        }
        // Fails only when it is closed, and nobody closes it.
        let _turn = self.turn_aside.acquire().await;
        drop(waiting);
        let lane = Arc::clone(&self.beyond.aside);
        let ran = tokio::task::spawn_blocking(move || lane.accept(pending, false));
        if ran.await.is_err() {
            return Err(Error::internal("the thread of a large request ended early"));
        }
        wait(answer).await
    }
}

/// What waits for its turn aside.
#[derive(Default)]
struct Aside {
    rows: AtomicUsize,
    bytes: AtomicUsize,
}

/// Counts a request that waits for its turn aside.
struct WaitingAside<'a> {
    aside: &'a Aside,
    load: Load,
    /// What waited already.
    before: Load,
}

impl<'a> WaitingAside<'a> {
    fn new(aside: &'a Aside, load: Load) -> Self {
        let before = Load {
            rows: aside.rows.fetch_add(load.rows, Ordering::Relaxed),
            bytes: aside.bytes.fetch_add(load.bytes, Ordering::Relaxed),
        };
        Self {
            aside,
            load,
            before,
        }
    }
}

impl Drop for WaitingAside<'_> {
    fn drop(&mut self) {
        self.aside.rows.fetch_sub(self.load.rows, Ordering::Relaxed);
        self.aside
            .bytes
            .fetch_sub(self.load.bytes, Ordering::Relaxed);
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let lanes = std::mem::take(&mut self.lanes);
        let_go((lanes, self.beyond.clone()), self.beyond.background);
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request: runs it now, or lets it gather until the turn ends.
    fn accept(self: &Arc<Self>, request: Pending, on_loop: bool) {
        let mut state = self.state();
        let batches = self.max_batch > 1 && on_loop;
        let first = state.turn == 0;
        state.turn += 1;
        if batches && first {
            event_loop::gather(Arc::downgrade(self), request.accepted);
        }
        let fits = state.rows + request.rows <= self.max_batch
            && state
                .pending
                .first()
                .is_none_or(|p| batch::compatible(&p.inputs, &request.inputs));
        if !fits {
            self.run(&mut state);
        }
        let alone = first && state.last_turn <= 1;
        state.rows += request.rows;
        state.pending.push(request);
        if !batches || alone || state.rows >= self.max_batch {
            self.run(&mut state);
        }
        if !on_loop {
            state.turn = 0;
        }
    }

    /// The turn is over.
    pub(super) fn flush(&self) {
        let mut state = self.state();
        state.last_turn = std::mem::take(&mut state.turn);
        self.run(&mut state);
    }

    fn run(&self, state: &mut State) {
        if state.pending.is_empty() {
            return;
        }
        state.rows = 0;
        let State {
            session, pending, ..
        } = state;
        let overrun = match self.beyond {
            Some(_) => Overrun::GiveBack,
            None => Overrun::Fail,
        };
        match batch::run(session, pending, &self.metrics, overrun) {
            Ran::Sound => {}
            // A session that panicked may be in any state: make a new one.
            Ran::Panicked => match self.model.session() {
                Ok(fresh) => *session = Timed::new(fresh, self.longest),
                Err(error) => tracing::error!(%error, "an instance could not be made anew"),
            },
            Ran::Overran => {
                if let Some(beyond) = &self.beyond {
                    beyond.take(std::mem::take(pending));
                }
            }
        }
    }
}

impl Beyond {
    /// Runs `requests` on a thread of their own, and from now on all others of
    /// the model away from the event loops.
    fn take(&self, mut requests: Vec<Pending>) {
        if !self.overran.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit = ?LONGEST_INLINE,
                "a run held up an event loop: the model runs aside from now on"
            );
        }
        let Self {
            aside, background, ..
        } = self.clone();
        let apart = std::thread::Builder::new()
            .name("aside".to_owned())
            .spawn(move || {
                background.give_way();
                let _at_work = background.at_work();
                for request in requests.drain(..) {
                    aside.accept(request, false);
                }
            });
        if let Err(error) = apart {
            // The requests went with it: their callers are told of an end
            // without an answer.
            tracing::error!(%error, "no thread for requests that took too long");
        }
    }
}
