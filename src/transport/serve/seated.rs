//! The service as one connection sees it: what is in hand is noted, and a
//! connection of the reserve gets health, and a sentence.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service;

use super::{
    Answers,
    clients::Seat,
    streams::{Paced, answered},
    unread::{Arriving, PassBy, Unread},
};
use crate::{
    error::Error,
    scheduler::client::{WorkingFor, working_for},
    transport::{doors, http as http_transport},
};

/// `inner`, as asked by the connection on `seat`.
#[derive(Clone)]
pub(super) struct Seated<S> {
    pub(super) inner: S,
    pub(super) seat: Arc<Seat>,
    pub(super) is_http2: bool,
    /// Whose connection it is.
    pub(super) address: IpAddr,
}

impl<S: Answers> Service<Request<Incoming>> for Seated<S> {
    type Response = Response<Paced<Body>>;
    type Error = Infallible;
    type Future = Answering<WorkingFor<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.seat.in_head.store(false, Relaxed);
        self.seat.busy.store(true, Relaxed);
        let is_refused = self.seat.reserve && !doors::is_health(request.uri().path());
        let (request, unread) = Arriving::watched(request);
        let (inner, refused) = if is_refused {
            (None, Some(refused()))
        } else {
            let answer = self.inner.call(request);
            (Some(working_for(Some(self.address), answer)), None)
        };
        Answering {
            inner,
            refused,
            unread,
            passing: None,
            seat: self.seat.clone(),
            is_http2: self.is_http2,
        }
    }
}

fn refused() -> Response {
    let mut response = http_transport::refused(Error::unavailable(
        "there are too many connections: try again later, or keep fewer; the setting \
         max-connections raises the limit",
    ));
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

pin_project! {
    pub(super) struct Answering<F> {
        #[pin]
        inner: Option<F>,
        refused: Option<Response>,
        // What the request brought, until it is answered.
        unread: Option<Unread>,
        // The answer, while the rest of the request goes by.
        passing: Option<(Response, Option<PassBy>)>,
        seat: Arc<Seat>,
        is_http2: bool,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answering<F> {
    type Output = Result<Response<Paced<Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.passing.is_none() {
            let response = match (this.refused.take(), this.inner.as_pin_mut()) {
                (Some(refused), _) => refused,
                (None, Some(inner)) => {
                    let Ok(response) = std::task::ready!(inner.poll(cx));
                    response
                }
                // Polled after its end.
                (None, None) => return Poll::Pending,
            };
            let rest = this.unread.take().and_then(|u| u.rest(*this.is_http2));
            *this.passing = Some((response, rest));
        }
        let is_whole = match this.passing {
            Some((_, Some(rest))) => std::task::ready!(rest.poll(cx)),
            _ => true,
        };
        // The body goes with its rest, so that nobody waits for it.
        let Some((mut response, _)) = this.passing.take() else {
            return Poll::Pending;
        };
        if !is_whole && !*this.is_http2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            this.seat.unread.store(true, Relaxed);
        }
        this.seat.busy.store(false, Relaxed);
        answered();
        let is_http2 = *this.is_http2;
        Poll::Ready(Ok(response.map(|body| Paced::new(body, is_http2))))
    }
}
