//! The streams of an HTTP/2 connection: each begins when it is its client's
//! turn, and ends when its caller takes nothing of the answer for too long.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::turns::Gate;
use crate::telemetry::Metrics;

/// How long a caller may take nothing of an answer.
pub(super) const NOTHING_TAKEN: Duration = Duration::from_secs(60);

/// The most bytes that are handed to a stream at once: what a caller's window
/// has no room for waits there, out of reach.
const AT_ONCE: usize = 64 * 1024;

thread_local! {
    /// What the stream that is being polled came to.
    static CAME_TO: Cell<CameTo> = const { Cell::new(CameTo::Nothing) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CameTo {
    /// It was not asked.
    Nothing,
    /// The answer itself is not further yet.
    Waits,
    /// There is more for the caller, once its window has room.
    HasMore,
}

/// An answer has been made, of which the caller has nothing yet.
pub(super) fn answered() {
    CAME_TO.set(CameTo::HasMore);
}

/// Spawns the streams of one connection.
#[derive(Clone)]
pub(super) struct Streams {
    gate: Gate,
    metrics: Metrics,
}

impl Streams {
    pub(super) fn new(gate: Gate, metrics: Metrics) -> Self {
        Self { gate, metrics }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Stream {
            inner: stream,
            gate: self.gate.clone(),
            has_begun: false,
            limit: None,
            metrics: self.metrics.clone(),
        });
    }
}

pin_project! {
    struct Stream<F> {
        #[pin]
        inner: F,
        gate: Gate,
        has_begun: bool,
        // Runs while the caller's window has no room.
        limit: Option<Pin<Box<Sleep>>>,
        metrics: Metrics,
    }
}

impl<F: Future> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if !*this.has_begun {
            std::task::ready!(this.gate.poll(cx));
            this.gate.took();
            *this.has_begun = true;
        }
        CAME_TO.set(CameTo::Nothing);
        if this.inner.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match CAME_TO.get() {
            CameTo::Nothing => {}
            CameTo::Waits => *this.limit = None,
            CameTo::HasMore => *this.limit = Some(Box::pin(sleep(NOTHING_TAKEN))),
        }
        if let Some(limit) = this.limit {
            // Dropped, the stream is reset.
            std::task::ready!(limit.as_mut().poll(cx));
            this.metrics.doors().cut();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

pin_project! {
    /// The body of an answer, which says how far it is.
    pub(super) struct Paced<B> {
        #[pin]
        inner: B,
        in_pieces: bool,
        left: Bytes,
    }
}

impl<B> Paced<B> {
    /// `in_pieces` where it may wait for a caller's window.
    pub(super) fn new(inner: B, in_pieces: bool) -> Self {
        Self {
            inner,
            in_pieces,
            left: Bytes::new(),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if this.left.is_empty() {
            let polled = this.inner.poll_frame(cx);
            CAME_TO.set(match &polled {
                Poll::Pending => CameTo::Waits,
                Poll::Ready(_) => CameTo::HasMore,
            });
            let frame = match std::task::ready!(polled) {
                Some(Ok(frame)) if *this.in_pieces => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.len() > AT_ONCE => *this.left = data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        CAME_TO.set(CameTo::HasMore);
        let piece = this.left.split_to(this.left.len().min(AT_ONCE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let left = self.left.len() as u64;
        let (lower, upper) = (hint.lower(), hint.upper());
        if left > 0 {
            if let Some(upper) = upper {
                hint.set_upper(upper + left);
            }
            hint.set_lower(lower + left);
        }
        hint
    }
}
