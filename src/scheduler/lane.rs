//! Inline placement: one instance for each event loop, run on its thread.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    aside::let_go,
    background::Background,
    batch::{self, Overrun, Ran},
    beyond::Beyond,
    event_loop,
    plan::Plan,
    request::{Answer, Pending, Request, wait, wait_until},
};
use crate::{
    engine::{EngineError, Model, Timed},
    error::Result,
    telemetry::ModelMetrics,
};

/// The lanes of one model, one for each event loop.
pub(super) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// For requests larger than a batch, and for all requests of a model that
    /// was once too slow: they would hold up an event loop.
    beyond: Arc<Beyond>,
    background: Background,
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
    /// lane beyond itself.
    beyond: Option<Arc<Beyond>>,
}

/// A model of microseconds that takes this long has gone astray, and the event
/// loop can't wait to see how far.
pub(super) const LONGEST_INLINE: Duration = Duration::from_millis(100);

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
        let lane = |beyond: Option<Arc<Beyond>>| {
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
        let beyond = Beyond::new(lane(None)?, plan);
        Ok(Self {
            lanes: (0..plan.instances.max(1))
                .map(|_| lane(Some(beyond.clone())))
                .collect::<Result<_, EngineError>>()?,
            beyond,
            background: plan.background,
        })
    }

    pub(super) fn waiting(&self) -> usize {
        let gathered: usize = self.lanes.iter().map(|lane| lane.state().rows).sum();
        gathered + self.beyond.waiting()
    }

    /// Where requests go that an event loop can't wait for.
    #[cfg(test)]
    pub(super) fn beyond(&self) -> &Arc<Beyond> {
        &self.beyond
    }

    pub(super) async fn submit(&self, request: Request, rows: usize) -> Result<Answer> {
        let index = event_loop::index();
        let lane = &self.lanes[index.unwrap_or(0) % self.lanes.len()];
        let deadline = request.deadline;
        let (pending, answer) = Pending::new(request, rows);
        let large = lane.max_batch > 1 && pending.rows > lane.max_batch;
        if index.is_some() && (large || self.beyond.takes_all()) {
            self.beyond.push(pending)?;
            return wait_until(answer, deadline).await;
        }
        lane.accept(pending, index.is_some());
        wait(answer).await
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.beyond.close();
        let lanes = std::mem::take(&mut self.lanes);
        let_go((lanes, self.beyond.clone()), self.background);
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

    /// The most rows of one run.
    pub(super) fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Runs requests that go together, now.
    pub(super) fn run_all(&self, requests: Vec<Pending>) {
        let mut state = self.state();
        state.pending.extend(requests);
        self.run(&mut state);
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
                    beyond.take_over(std::mem::take(pending));
                }
            }
        }
    }
}
