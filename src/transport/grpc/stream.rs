//! `ModelStreamInfer`: requests on a stream run as they come, and are answered
//! in their order.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
    time::{Duration, Instant},
};

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};

use super::{
    Context,
    infer::{Answered, answer},
    proto::{ModelInferRequest, infer_parameter::ParameterChoice},
    reply,
    wire::{self, Messages},
};
use crate::{
    error::{Error, Kind, Result},
    scheduler::client,
    telemetry::trace::{self, Span, Traced},
    transport::{memory::Reserved, readiness::Stage, status},
};

/// Requests of one stream that run at once; more wait in the socket.
const AT_ONCE: usize = 32;

/// How long an idle stream may go on while the server drains.
const IDLE: Duration = Duration::from_secs(1);

/// A stream of requests, a stream of answers.
pub(super) async fn infer(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let started = Messages::new(&headers, body, context.limits, context.memory.begin())
        .and_then(|messages| Ok((messages, wire::deadline(&headers)?)));
    let (messages, deadline) = match started {
        Ok(started) => started,
        Err(error) => return reply::refused(error),
    };
    let is_gzip = messages.is_gzip();
    let (running, runs) = mpsc::channel(AT_ONCE);
    let reading = read(context, messages, deadline, running, trace::current());
    let reading = tokio::spawn(client::working_for(client::current(), reading));
    let answers = Answers {
        runs,
        current: None,
        parts: VecDeque::new(),
        taken: None,
        is_over: false,
        reading: reading.abort_handle(),
    };
    reply::response(Body::new(answers), is_gzip)
}

/// A request that runs; dropping it takes it back.
enum Run {
    Request(Aborting<Result<Written>>),
    /// The stream ends here, for this reason.
    End(Error),
}

/// Starts a run for each request, until the stream ends.
async fn read(
    context: Arc<Context>,
    mut messages: Messages,
    deadline: Option<Instant>,
    running: mpsc::Sender<Run>,
    traced: Option<Traced>,
) {
    loop {
        let next = tokio::select! {
            biased;
            next = messages.next::<ModelInferRequest>() => next,
            () = drained(&context) => Err(Error::unavailable(
                "the server is shutting down, and the stream was idle: open another",
            )),
        };
        let run = match next {
            Ok(None) => return,
            Err(error) => {
                let _ = running.send(Run::End(error)).await;
                return;
            }
            Ok(Some(request)) => {
                let context = Arc::clone(&context);
                let id = request.id.clone();
                let memory = messages.reserved();
                // How long a stream waits for its next message is its caller's affair.
                let came = Instant::now();
                let run = async move {
                    let answered = answer(&context, request, deadline, came).await?;
                    // The request has gone; what is kept now is the answer.
                    let mut taken = memory.another();
                    drop(memory);
                    taken.take(answered.size())?;
                    Ok((answered, taken))
                };
                let run = client::working_for(client::current(), run);
                let traced = traced.as_ref().map(Traced::below);
                let is_gzip = messages.is_gzip();
                Run::Request(Aborting(tokio::spawn(async move {
                    written(message(traced, run).await, id, is_gzip).await
                })))
            }
        };
        if running.send(run).await.is_err() {
            return;
        }
    }
}

/// `run`, and where its stream is traced a span of its own.
async fn message<T>(traced: Option<Traced>, run: impl Future<Output = Result<T>>) -> Result<T> {
    let start = Instant::now();
    let result = trace::within(traced.clone(), run).await;
    if let Some(traced) = traced {
        let kind = result.as_ref().err().map(Error::kind);
        let failure = kind.filter(|kind| status::http(*kind).is_server_error());
        traced.finish(Span {
            name: "message".into(),
            start,
            end: Instant::now(),
            attributes: Vec::new(),
            failure: failure.map(|kind| kind.label().to_owned()),
        });
    }
    result
}

/// Waits until the server drains, and a while longer.
async fn drained(context: &Context) {
    context.readiness.reach(Stage::Draining).await;
    tokio::time::sleep(IDLE).await;
}

struct Aborting<T>(JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The answers, in the order of the requests.
struct Answers {
    runs: mpsc::Receiver<Run>,
    current: Option<Aborting<Result<Written>>>,
    parts: VecDeque<Bytes>,
    /// What the answer takes whose parts these are.
    taken: Option<Reserved>,
    is_over: bool,
    reading: AbortHandle,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Answers {
    /// The next part of an answer; `None` where there are no more.
    fn poll_part(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Poll::Ready(Some(Ok(part)));
            }
            self.taken = None;
            if let Some(current) = &mut self.current {
                let joined = ready!(Pin::new(&mut current.0).poll(cx));
                self.current = None;
                let written = joined.unwrap_or_else(|e| {
                    let error = Error::internal(format!("a request of a stream: {e}"));
                    failed(&error, String::new())
                });
                let (parts, taken) = written?;
                self.parts = parts.into();
                self.taken = taken;
                continue;
            }
            match ready!(self.runs.poll_recv(cx)) {
                None => return Poll::Ready(None),
                Some(Run::Request(run)) => self.current = Some(run),
                Some(Run::End(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

/// A message of the stream, and what it takes of the memory for requests.
type Written = (Vec<Bytes>, Option<Reserved>);

/// The message that says what became of the request `id`.
async fn written(
    answered: Result<(Answered, Reserved)>,
    id: String,
    is_gzip: bool,
) -> Result<Written> {
    match answered {
        Ok((answered, taken)) => {
            let parts = reply::streamed(last(answered), is_gzip).await?;
            Ok((parts, Some(taken)))
        }
        Err(error) => failed(&error, id),
    }
}

fn failed(error: &Error, id: String) -> Result<Written> {
    if error.kind() == Kind::Internal {
        tracing::error!("{error}");
    }
    Ok((reply::failed(error, id)?, None))
}

/// Says that no other answer to this request follows, which clients of streams
/// look for.
fn last(mut answered: Answered) -> Answered {
    answered.message.parameters.insert(
        "triton_final_response".to_owned(),
        ParameterChoice::BoolParam(true).into(),
    );
    answered
}

impl http_body::Body for Answers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let error = match ready!(self.poll_part(cx)) {
            Some(Ok(part)) => return Poll::Ready(Some(Ok(Frame::data(part)))),
            Some(Err(error)) => Some(error),
            None => None,
        };
        self.is_over = true;
        let trailers = reply::trailers(error.as_ref());
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
