//! The way of most requests, past the router: a number to predict, and
//! inference by a model's name.
//!
//! For a model of microseconds the router is a tenth of a request's work: it
//! keeps what the path matched, and a future that holds all a handler might
//! need. What is not asked for in just these ways goes to the router, which
//! answers the same.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    response::Response,
    routing::future::RouteFuture,
};
use http::{Method, Request};
use pin_project_lite::pin_project;
use tower::Service;

use super::{Http, predict, v2};

/// An answer on its way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The router, and the way past it.
#[derive(Clone)]
pub struct Direct {
    http: Http,
    router: Router,
}

impl Direct {
    /// A way past `router`, which has the routes of `http`.
    pub fn new(http: Http, router: Router) -> Self {
        Self { http, router }
    }
}

impl<B> Service<Request<B>> for Direct
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Directed;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Directed {
        let http = &self.http;
        let uri = request.uri();
        if *request.method() == Method::GET {
            if let Some(answering) = predict::direct(http, uri, request.headers()) {
                return Directed::Past { answering };
            }
        } else if *request.method() == Method::POST
            && let Some(lease) = v2::direct(http, uri)
        {
            let (parts, body) = request.into_parts();
            let answering = v2::infer(http.clone(), lease, parts.headers, Body::new(body));
            return Directed::Past {
                answering: Box::pin(answering),
            };
        }
        Directed::Routed {
            routed: self.router.call(request),
        }
    }
}

pin_project! {
    /// The answer, from either.
    #[project = Projected]
    pub enum Directed {
        Past { answering: Answering },
        Routed { #[pin] routed: RouteFuture<Infallible> },
    }
}

impl Future for Directed {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Past { answering } => answering.as_mut().poll(cx).map(Ok),
            Projected::Routed { routed } => routed.poll(cx),
        }
    }
}
