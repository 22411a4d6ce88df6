//! A request on its way to a run, and its answer on the way back.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{client, waiting::Load};
use crate::{
    engine::Output,
    error::{Error, Result},
    telemetry::trace::{self, Traced},
    tensor::Tensor,
};

/// One request to a model.
#[derive(Debug, Default)]
pub struct Request {
    /// One for each of the signature's inputs, in order; `None` for one that
    /// is left out.
    pub inputs: Vec<Option<Tensor>>,
    /// When the answer stops being of use.
    pub deadline: Option<Instant>,
    /// 1 is the most urgent; 0 means the model's default.
    pub priority: u32,
}

/// The answer to one request.
#[derive(Debug)]
pub struct Answer {
    /// One for each of the signature's outputs, in order.
    pub outputs: Vec<Output>,
    /// From acceptance to the start of the run.
    pub queue: Duration,
    /// The run itself, of the whole batch.
    pub compute: Duration,
}

/// A request that has been accepted and not yet answered.
pub(super) struct Pending {
    pub(super) inputs: Vec<Option<Tensor>>,
    pub(super) rows: usize,
    /// Whose it is.
    pub(super) client: Option<IpAddr>,
    bytes: usize,
    pub(super) deadline: Option<Instant>,
    pub(super) accepted: Instant,
    /// Since when it waits; `None` while it runs.
    queued: Option<Instant>,
    /// How long it waited before.
    waited: Duration,
    /// Its place in a trace, where it has one.
    pub(super) traced: Option<Traced>,
    reply: oneshot::Sender<Result<Answer>>,
}

impl Pending {
    /// Accepts `request` of so many rows, and gives where its answer will come.
    pub(super) fn new(request: Request, rows: usize) -> (Self, oneshot::Receiver<Result<Answer>>) {
        let (reply, answer) = oneshot::channel();
        let accepted = Instant::now();
        let pending = Self {
            rows,
            client: client::current(),
            bytes: bytes(&request.inputs),
            inputs: request.inputs,
            deadline: request.deadline,
            accepted,
            queued: Some(accepted),
            waited: Duration::ZERO,
            traced: trace::current(),
            reply,
        };
        (pending, answer)
    }

    /// What it takes of a queue's room.
    pub(super) fn load(&self) -> Load {
        Load {
            rows: self.rows,
            bytes: self.bytes,
        }
    }

    /// It waits no longer: gives the time since when it did, where it did.
    pub(super) fn take_up(&mut self, now: Instant) -> Option<Instant> {
        let since = self.queued.take()?;
        self.waited += now.saturating_duration_since(since);
        Some(since)
    }

    /// It waits once more.
    pub(super) fn put_back(&mut self, now: Instant) {
        self.queued = Some(now);
    }

    /// How long it waited, in all.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// Whether the caller has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Whether the deadline has passed.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|d| d <= now)
    }

    /// Answers the request. The caller may have gone; then nobody reads it.
    pub(super) fn answer(self, answer: Result<Answer>) {
        let _ = self.reply.send(answer);
    }
}

/// The rows of a request: the first dimension of its first input.
pub(super) fn rows(inputs: &[Option<Tensor>]) -> usize {
    inputs
        .iter()
        .flatten()
        .next()
        .and_then(|t| t.shape().rows())
        .unwrap_or(1)
}

/// The bytes that the inputs take in memory.
fn bytes(inputs: &[Option<Tensor>]) -> usize {
    inputs.iter().flatten().map(Tensor::size).sum()
}

/// Waits for the answer of an accepted request.
pub(super) async fn wait(answer: oneshot::Receiver<Result<Answer>>) -> Result<Answer> {
    answer
        .await
        .unwrap_or_else(|_| Err(Error::internal("an instance ended without an answer")))
}

/// The same, until `deadline`: its caller is told when that passes, not when a
/// queue is next looked at.
pub(super) async fn wait_until(
    answer: oneshot::Receiver<Result<Answer>>,
    deadline: Option<Instant>,
) -> Result<Answer> {
    match deadline {
        None => wait(answer).await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), wait(answer))
            .await
            .unwrap_or_else(|_| Err(late())),
    }
}

/// The error of a request whose deadline passed before it ran.
pub(super) fn late() -> Error {
    Error::deadline("the request's deadline passed before the model ran")
}
