//! What happens to every request: its id, the log, and the count of what
//! reached no model.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use pin_project_lite::pin_project;
use tower::Service;

use super::{Http, access::Line, span::Passed};
use crate::{
    error::{Error, Kind},
    scheduler::event_loop,
    telemetry::trace::{Within, within},
    transport::readiness::Stage,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which of several servers behind one address has answered: the `start` of its
/// `/figures`. A reader that asks twice can tell whether it asked the same one.
const INSTANCE: HeaderName = HeaderName::from_static("modelship-instance");

/// The longest id that is taken from a caller.
const LONGEST_ID: usize = 128;

/// The routes behind the front: what a connection is served by.
#[derive(Clone)]
pub struct Front<S> {
    http: Http,
    router: S,
}

impl<S> Front<S> {
    /// Puts the front before `router`.
    pub fn new(http: Http, router: S) -> Self {
        Self { http, router }
    }
}

impl<S, B> Service<Request<B>> for Front<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Passing<S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Work that has gathered for longer than a turn runs first.
        event_loop::turn();
        let id = id_of(request.headers());
        let line = Line::start(&self.http, &request, &id);
        let span = Passed::start(&self.http, &request);
        let traced = span.as_ref().map(Passed::traced);
        Passing {
            routed: within(traced, self.router.call(request)),
            http: self.http.clone(),
            id: Some(id),
            line,
            span,
        }
    }
}

pin_project! {
    /// A request on its way through.
    pub struct Passing<F> {
        #[pin]
        routed: Within<F>,
        http: Http,
        id: Option<HeaderValue>,
        line: Option<Line>,
        span: Option<Passed>,
    }

    impl<F> PinnedDrop for Passing<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let (Some(line), Some(id)) = (this.line.take(), this.id.as_ref()) {
                line.abandoned(id);
            }
            if let Some(span) = this.span.take() {
                span.abandoned();
            }
        }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Passing<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = std::task::ready!(this.routed.poll(cx));
        let id = this.id.take().unwrap_or(HeaderValue::from_static("0"));
        if let Some(error) = response.extensions_mut().remove::<Error>() {
            report(this.http, &error, &id);
        }
        if let Some(line) = this.line.take() {
            line.answered(&mut response, &id);
        }
        if let Some(span) = this.span.take() {
            span.answered(&mut response);
        }
        if this.http.readiness.stage() == Stage::Draining {
            // So that callers who keep connections open go elsewhere in time.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        headers.insert(INSTANCE, this.http.0.instance.clone());
        Poll::Ready(Ok(response))
    }
}

fn report(http: &Http, error: &Error, id: &HeaderValue) {
    if !error.is_counted() {
        http.metrics.rejected(error.kind());
    }
    let request_id = id.to_str().unwrap_or_default();
    match error.kind() {
        Kind::Internal => tracing::error!(request_id, "{error}"),
        _ => tracing::debug!(request_id, "{error}"),
    }
}

/// The caller's own id, if it is one that can be sent back, else a new one.
fn id_of(headers: &HeaderMap) -> HeaderValue {
    if let Some(id) = headers.get(&REQUEST_ID)
        && id.len() <= LONGEST_ID
        && id.to_str().is_ok_and(|id| !id.is_empty())
    {
        return id.clone();
    }
    new_id()
}

/// Unique in this process, and almost surely among processes: a random
/// start, counted up.
fn new_id() -> HeaderValue {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        use std::hash::{BuildHasher, Hasher, RandomState};
        AtomicU64::new(RandomState::new().build_hasher().finish())
    });
    let mut text = [0u8; 16];
    let mut number = NEXT.fetch_add(1, Ordering::Relaxed);
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[usize::try_from(number & 15).unwrap_or(0)];
        number >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
}
