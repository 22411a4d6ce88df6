//! Threads placement: one queue, and the instances that take from it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    batch, instance,
    plan::Plan,
    request::{Answer, Pending, Request, late, wait},
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
    max_rows: usize,
    delay: Duration,
    default_priority: u32,
}

#[derive(Default)]
struct State {
    /// The most urgent level first.
    levels: BTreeMap<u32, VecDeque<Pending>>,
    rows: usize,
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
            max_rows: plan.max_queue_size,
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
    pub(super) fn waiting(&self) -> usize {
        self.queue.state().rows
    }

    pub(super) async fn submit(&self, request: Request) -> Result<Answer> {
        let limits = &self.queue.limits;
        let level = match request.priority {
            // Without levels all are alike, whatever they ask for.
            _ if limits.default_priority == 0 => 0,
            0 => limits.default_priority,
            level => level,
        };
        let deadline = request.deadline;
        let (pending, answer) = Pending::new(request);
        self.queue.push(level, pending)?;
        match deadline {
            None => wait(answer).await,
            // A caller with a deadline is told when it passes, not when an
            // instance next looks at the queue.
            Some(deadline) => tokio::time::timeout_at(deadline.into(), wait(answer))
                .await
                .unwrap_or_else(|_| Err(late())),
        }
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
        // A request larger than the whole queue still runs, when it is alone.
        if state.rows > 0 && state.rows + request.rows > self.limits.max_rows {
            return Err(full(state.rows, self.limits.max_rows));
        }
        state.rows += request.rows;
        state.levels.entry(level).or_default().push_back(request);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for the next batch and moves it into `batch`. `false` when the
    /// sender has dropped and the queue is empty: the instance ends.
    pub(super) fn next(&self, batch: &mut Vec<Pending>) -> bool {
        let mut state = self.state();
        loop {
            let Some(first) = state.oldest() else {
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
            if left.is_zero() || state.closed || state.rows >= self.limits.max_batch {
                break;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.take(self.limits.max_batch, batch);
        let more = !state.levels.is_empty();
        drop(state);
        if more {
            self.changed.notify_one();
        }
        true
    }
}

/// The refusal of what finds `waiting` rows in a queue of `most`.
pub(super) fn full(waiting: usize, most: usize) -> Error {
    Error::overloaded(
        format!("the queue is full: {waiting} rows wait and it holds {most}; try again later"),
        Duration::from_secs(1),
    )
}

impl State {
    /// When the request that would run first was accepted.
    fn oldest(&self) -> Option<Instant> {
        self.levels.values().next()?.front().map(|r| r.accepted)
    }

    /// Moves out the next requests that go together, up to `max` rows; one
    /// that is larger goes alone.
    fn take(&mut self, max: usize, batch: &mut Vec<Pending>) {
        let mut rows = 0;
        while let Some(mut level) = self.levels.first_entry() {
            let queue = level.get_mut();
            let Some(next) = queue.front() else {
                level.remove();
                continue;
            };
            // The caller has gone: out of the way.
            if next.is_abandoned() {
                self.rows -= next.rows;
                queue.pop_front();
                continue;
            }
            let fits = match batch.first() {
                None => true,
                Some(first) => {
                    rows + next.rows <= max && batch::compatible(&first.inputs, &next.inputs)
                }
            };
            if !fits {
                return;
            }
            rows += next.rows;
            self.rows -= next.rows;
            batch.extend(queue.pop_front());
        }
    }
}
