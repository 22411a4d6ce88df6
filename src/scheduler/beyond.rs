//! What an event loop can't wait for: requests larger than a batch, and all
//! requests of a model that was once too slow. They wait in a queue like any
//! other and run on a thread that is there while they come.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    background::Background,
    lane::{LONGEST_INLINE, Lane},
    plan::Plan,
    request::Pending,
    waiting::{Room, Waiting, gave_way},
};
use crate::error::{Error, Result};

/// How long the thread waits for the next request before it ends.
const KEPT: Duration = Duration::from_secs(1);

/// No limit: for requests that were accepted before.
const ANY: Room = Room {
    rows: usize::MAX,
    bytes: usize::MAX,
};

/// The queue, and the instance that its requests run on.
pub(super) struct Beyond {
    lane: Arc<Lane>,
    room: Room,
    background: Background,
    /// Whether a run took too long for an event loop.
    overran: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    /// Whether the thread is there.
    is_running: bool,
    /// Whether no more will come.
    is_closed: bool,
}

impl Beyond {
    /// An empty queue before `lane`, which no event loop has.
    pub(super) fn new(lane: Arc<Lane>, plan: &Plan) -> Arc<Self> {
        Arc::new(Self {
            lane,
            room: plan.room(),
            background: plan.background,
            overran: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Whether all requests of the model belong here.
    pub(super) fn takes_all(&self) -> bool {
        self.overran.load(Ordering::Relaxed)
    }

    /// Rows that wait here.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.rows()
    }

    /// Takes `request` in, as [`Waiting::push`] does.
    ///
    /// # Errors
    /// As [`Waiting::push`].
    pub(super) fn push(self: &Arc<Self>, request: Pending) -> Result<()> {
        self.push_within(self.room, request)
    }

    /// Takes requests over whose run took too long, and from now on all others
    /// of the model.
    pub(super) fn take_over(self: &Arc<Self>, requests: Vec<Pending>) {
        if !self.overran.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit = ?LONGEST_INLINE,
                "a run held up an event loop: the model runs aside from now on"
            );
        }
        for request in requests {
            // They were accepted: there is room, whatever waits.
            let _ = self.push_within(ANY, request);
        }
    }

    /// No more will come: the thread ends when all has run.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push_within(self: &Arc<Self>, room: Room, request: Pending) -> Result<()> {
        let mut gone = Vec::new();
        let mut state = self.state();
        let pushed = state.waiting.push(0, request, room, &mut gone);
        let is_first = pushed.is_ok() && !std::mem::replace(&mut state.is_running, true);
        drop(state);
        for request in gone {
            request.answer(Err(gave_way()));
        }
        if is_first {
            self.start();
        } else {
            self.changed.notify_one();
        }
        pushed
    }

    fn start(self: &Arc<Self>) {
        let beyond = Arc::clone(self);
        let started = std::thread::Builder::new()
            .name("aside".to_owned())
            .spawn(move || beyond.run());
        if let Err(error) = started {
            tracing::error!(%error, "no thread for requests that take long");
            self.refuse_all();
        }
    }

    /// Refuses all that wait, since nothing can run them.
    fn refuse_all(&self) {
        let mut state = self.state();
        state.is_running = false;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for request in waiting.into_requests() {
            request.answer(Err(Error::overloaded(
                "the system gives no thread for this request now; try again later",
                Duration::from_secs(1),
            )));
        }
    }

    fn run(&self) {
        let _running = Running(self);
        self.background.give_way();
        let mut batch = Vec::new();
        while self.next(&mut batch) {
            let _at_work = self.background.at_work();
            self.lane.run_all(std::mem::take(&mut batch));
        }
    }

    /// Moves the next requests that go together into `batch`. `false` where
    /// none have come for a while: the thread ends.
    fn next(&self, batch: &mut Vec<Pending>) -> bool {
        let mut state = self.state();
        loop {
            state.waiting.take(self.lane.max_batch(), batch);
            if !batch.is_empty() {
                return true;
            }
            if !state.is_closed {
                let waited = self.changed.wait_timeout(state, KEPT);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if state.waiting.is_empty() {
                state.is_running = false;
                return false;
            }
        }
    }
}

/// Says that the thread has ended, after a panic too.
struct Running<'a>(&'a Beyond);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.refuse_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Engine as _, ModelBytes, Threads, fake::FakeEngine},
        error::Kind,
        scheduler::{Batching, Placement, Request, lane::Lanes},
        telemetry::{BuildInfo, Metrics},
    };

    fn plan() -> Plan {
        Plan {
            placement: Placement::Inline,
            placement_reason: String::new(),
            batching: Batching::On,
            max_batch_size: 8,
            max_queue_size: 64,
            max_queue_bytes: None,
            max_queue_delay: Duration::ZERO,
            priority_levels: 0,
            default_priority: 0,
            default_timeout: None,
            instances: 1,
            max_run_time: Duration::from_secs(30),
            background: Background::Nice,
            intra_threads: 1,
            run: None,
        }
    }

    #[test]
    fn where_no_thread_can_be_had_each_request_is_told_so() {
        let graph = b"fake 2;".to_vec().into();
        let external = Vec::new();
        let bytes = ModelBytes { graph, external };
        let model = FakeEngine::default().load(&bytes, Threads { intra: 1 });
        let metrics = Metrics::new(BuildInfo {
            version: String::new(),
            commit: String::new(),
        });
        let metrics = metrics.model("double", "v1.0.0", "", "unsigned");
        let lanes = Lanes::start(&model.unwrap(), &plan(), metrics).unwrap();
        let beyond = lanes.beyond();
        let (request, answer) = Pending::new(Request::default(), 1);
        let mut state = beyond.state();
        state.is_running = true;
        let pushed = state.waiting.push(0, request, ANY, &mut Vec::new());
        drop(state);
        pushed.unwrap();
        assert_eq!(beyond.waiting(), 1);
        beyond.refuse_all();
        let refused = answer.blocking_recv().unwrap().unwrap_err();
        assert_eq!(refused.kind(), Kind::Overloaded);
        assert!(refused.message().contains("no thread"), "{refused}");
        assert_eq!(beyond.waiting(), 0);
        assert!(!beyond.state().is_running);
    }
}
