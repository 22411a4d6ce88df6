//! Inline placement: one instance for each event loop, run on its thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::{
    aside::let_go,
    background::Background,
    batch, event_loop,
    plan::Plan,
    request::{Answer, Pending, Request, wait},
};
use crate::{
    engine::{EngineError, Model, Session},
    error::{Error, Result},
    telemetry::ModelMetrics,
};

/// The lanes of one model, one for each event loop.
pub(super) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// For requests larger than a batch, which would hold up an event loop.
    aside: Arc<Lane>,
    /// One of them at a time: the others wait as tasks, not as threads.
    turn_aside: Semaphore,
    background: Background,
}

/// One instance and the requests that gather for it. The lock is taken by
/// the lane's own event loop, so it is free whenever it is wanted.
pub(super) struct Lane {
    state: Mutex<State>,
    model: Arc<dyn Model>,
    metrics: Arc<ModelMetrics>,
    max_batch: usize,
}

struct State {
    session: Box<dyn Session>,
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
        let lane = || {
            Ok(Arc::new(Lane {
                state: Mutex::new(State {
                    session: model.session()?,
                    pending: Vec::new(),
                    rows: 0,
                    turn: 0,
                    last_turn: 0,
                }),
                model: Arc::clone(model),
                metrics: Arc::clone(&metrics),
                max_batch: plan.max_batch_size,
            }))
        };
        Ok(Self {
            lanes: (0..plan.instances.max(1))
                .map(|_| lane())
                .collect::<Result<_, EngineError>>()?,
            aside: lane()?,
            turn_aside: Semaphore::new(1),
            background: plan.background,
        })
    }

    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.state().rows).sum()
    }

    pub(super) async fn submit(&self, request: Request) -> Result<Answer> {
        let index = event_loop::index();
        let lane = &self.lanes[index.unwrap_or(0) % self.lanes.len()];
        let (pending, answer) = Pending::new(request);
        if lane.max_batch > 1 && pending.rows > lane.max_batch && index.is_some() {
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
        // Fails only when it is closed, and nobody closes it.
        let _turn = self.turn_aside.acquire().await;
        let lane = Arc::clone(&self.aside);
        let ran = tokio::task::spawn_blocking(move || lane.accept(pending, false));
        if ran.await.is_err() {
            return Err(Error::internal("the thread of a large request ended early"));
        }
        wait(answer).await
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let lanes = std::mem::take(&mut self.lanes);
        let_go((lanes, Arc::clone(&self.aside)), self.background);
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
        let sound = batch::run(&mut **session, pending, &self.metrics);
        if !sound {
            // A session that panicked may be in any state: make a new one.
            match self.model.session() {
                Ok(fresh) => *session = fresh,
                Err(error) => tracing::error!(%error, "an instance could not be made anew"),
            }
        }
    }
}
