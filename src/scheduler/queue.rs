//! Threads placement: one queue, and the instances that take from it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    client, event_loop, instance,
    plan::Plan,
    request::{Answer, Pending, Request, wait_until},
    waiting::{Room, Waiting, full, gave_way},
};
use crate::{
    engine::{EngineError, Model},
    error::{Error, Result},
    telemetry::ModelMetrics,
};

/// The way into the queue. When it drops, the queue drains and the instances
/// end on their own threads.
pub(super) struct Sender {
    queue: Arc<Queue>,
}

/// What senders and instances share.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Signalled for each request, and when the sender drops.
    changed: Condvar,
    limits: Limits,
}

struct Limits {
    max_batch: usize,
    room: Room,
    delay: Duration,
    default_priority: u32,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    closed: bool,
}

/// Starts the instances and gives the way in.
pub(super) fn start(
    model: &Arc<dyn Model>,
    plan: &Plan,
    metrics: Arc<ModelMetrics>,
) -> Result<Sender, EngineError> {
    let queue = Arc::new(Queue {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        limits: Limits {
            max_batch: plan.max_batch_size,
            room: plan.room(),
            delay: plan.max_queue_delay,
            default_priority: plan.default_priority,
        },
    });
    let sender = Sender {
        queue: Arc::clone(&queue),
    };
    for _ in 0..plan.instances.max(1) {
        instance::start(
            Arc::clone(model),
            Arc::clone(&queue),
            Arc::clone(&metrics),
            plan,
        )?;
    }
    Ok(sender)
}

impl Sender {
    /// Why a request of one row would be refused now, before it is read.
    pub(super) fn refusal(&self) -> Option<Error> {
        let state = self.queue.state();
        let room = self.queue.limits.room;
        let is_full = state.waiting.is_full_for(client::current(), room);
        is_full.then(|| {
            event_loop::refused();
            full(state.waiting.load(), room)
        })
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.state().waiting.rows()
    }

    pub(super) async fn submit(&self, request: Request, rows: usize) -> Result<Answer> {
        let limits = &self.queue.limits;
        let level = match request.priority {
            // Without levels all are alike, whatever they ask for.
            _ if limits.default_priority == 0 => 0,
            0 => limits.default_priority,
            level => level,
        };
        let deadline = request.deadline;
        let (pending, answer) = Pending::new(request, rows);
        self.queue.push(level, pending)?;
        wait_until(answer, deadline).await
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, level: u32, request: Pending) -> Result<()> {
        let mut state = self.state();
        let mut gone = Vec::new();
        let pushed = state
            .waiting
            .push(level, request, self.limits.room, &mut gone);
        drop(state);
        for request in gone {
            request.answer(Err(gave_way()));
        }
        match pushed {
            Ok(()) => self.changed.notify_one(),
            Err(_) => event_loop::refused(),
        }
        pushed
    }

    /// Waits for the next batch and moves it into `batch`. `false` when the
    /// sender has dropped and the queue is empty: the instance ends.
    pub(super) fn next(&self, batch: &mut Vec<Pending>) -> bool {
        let mut state = self.state();
        loop {
            let Some(first) = state.waiting.oldest() else {
                if state.closed {
                    return false;
                }
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            // Only where the owner asked for it does an idle instance wait.
            let left = (first + self.limits.delay).saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed || state.waiting.rows() >= self.limits.max_batch {
                break;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.waiting.take(self.limits.max_batch, batch);
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.changed.notify_one();
        }
        true
    }
}
