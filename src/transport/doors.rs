//! Who may come in, and what every answer says to browsers.
//!
//! [`Doors`] stand between what happens to every request and the routes of
//! both transports: a key is asked for here, so that no route can forget it.

mod cors;
pub mod keys;
mod paths;
pub mod renew;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use pin_project_lite::pin_project;
use tower::Service;

pub use self::cors::Origins;
use self::{
    keys::{Holder, Keys},
    paths::{Class, class_of},
};
use super::{grpc, http as http_transport};
use crate::error::{Error, Kind};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a browser may do with a page that says nothing else: show it, on its
/// own, and load nothing.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// A browser that has seen this comes back over TLS alone, for a year.
const TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Which port a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The only one, which answers everything.
    Only,
    /// The main one, where management has a port of its own.
    Main,
    /// The one for health, the figures, and control.
    Management,
}

/// What holds at the doors.
#[derive(Clone, Default)]
pub struct Rules {
    /// The keys, where keys are asked for.
    pub keys: Option<Arc<Keys>>,
    /// The origins whose pages may read answers.
    pub origins: Option<Origins>,
    /// Whether connections come over TLS.
    pub tls: bool,
}

/// Which key a request was let in by; it travels on the answer, for the log.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Arc<str>);

/// The doors before `inner`.
#[derive(Clone)]
pub struct Doors<S> {
    rules: Arc<Rules>,
    port: Port,
    inner: S,
}

impl<S> Doors<S> {
    /// Puts doors before `inner`, which is asked by way of `port`.
    pub fn new(rules: Arc<Rules>, port: Port, inner: S) -> Self {
        Self { rules, port, inner }
    }

    /// Who asks, where keys are asked for, or why the request stays out.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<Arc<str>>, Refusal> {
        if self.port == Port::Only && self.rules.keys.is_none() {
            return Ok(None);
        }
        let class = class_of(request.uri().path());
        if self.port == Port::Main && !class.is_public() {
            return Err(Refusal::elsewhere(
                "this is answered on the port of management alone, which the setting \
                 management-listen names",
            ));
        }
        if self.port == Port::Management && !class.is_managing() {
            return Err(Refusal::elsewhere(
                "this port answers for health, metrics and the model repository; the rest is \
                 answered on the main port",
            ));
        }
        match &self.rules.keys {
            Some(keys) => let_in(keys, class, request.headers()),
            None => Ok(None),
        }
    }
}

/// Whether `path` asks for health, which is answered where little else is.
pub(super) fn is_health(path: &str) -> bool {
    class_of(path) == Class::Health
}

/// Why a request stays out.
struct Refusal {
    error: Error,
    challenge: Option<&'static str>,
}

impl Refusal {
    fn elsewhere(message: &'static str) -> Self {
        Self {
            error: Error::not_found(message),
            challenge: None,
        }
    }

    /// As the caller's protocol writes it.
    fn into_response(self, is_grpc: bool) -> Response {
        let mut response = if is_grpc {
            grpc::refused(self.error)
        } else {
            http_transport::refused(self.error)
        };
        if let Some(challenge) = self.challenge {
            let value = HeaderValue::from_static(challenge);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

fn let_in(keys: &Keys, class: Class, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
    let scopes = class.scopes();
    let refusal = |kind, challenge, message| Refusal {
        error: Error::new(kind, message),
        challenge: Some(challenge),
    };
    if scopes.is_empty() {
        return Ok(None);
    }
    let Some(key) = key(headers) else {
        return Err(refusal(
            Kind::Unauthenticated,
            "Bearer realm=\"modelship\"",
            "a key is asked for: send it as the header Authorization: Bearer KEY, or X-API-Key: KEY",
        ));
    };
    let Some(Holder { name, scopes: held }) = keys.find(key) else {
        return Err(refusal(
            Kind::Unauthenticated,
            "Bearer realm=\"modelship\", error=\"invalid_token\"",
            "the key is not known here: it may have been taken back; ask those who run this \
             service for another",
        ));
    };
    if held.has(scopes) {
        return Ok(Some(name));
    }
    let (challenge, message) = match class {
        Class::Control => (
            "Bearer realm=\"modelship\", error=\"insufficient_scope\", scope=\"admin\"",
            "the key may not load or unload models: that takes one with the scope admin",
        ),
        Class::Metrics => (
            "Bearer realm=\"modelship\", error=\"insufficient_scope\", scope=\"metrics\"",
            "the key may not read the metrics: that takes one with the scope metrics",
        ),
        _ => (
            "Bearer realm=\"modelship\", error=\"insufficient_scope\", scope=\"predict\"",
            "the key may not use models: that takes one with the scope predict",
        ),
    };
    Err(refusal(Kind::Forbidden, challenge, message))
}

/// The key that a caller shows.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let value = value.as_bytes();
        let (scheme, key) = value.split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME).then_some(key)
    });
    let key = bearer.or_else(|| headers.get(API_KEY).map(HeaderValue::as_bytes))?;
    Some(key.trim_ascii())
}

impl<S, B> Service<Request<B>> for Doors<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Passing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut passing = Passing {
            routed: None,
            answer: None,
            caller: None,
            marked: false,
            origin: None,
            tls: self.rules.tls && self.port != Port::Management,
        };
        if let Some(origins) = &self.rules.origins {
            passing.marked = true;
            passing.origin = origins.allowed(request.headers());
            if cors::is_asked(&request) {
                passing.answer = Some(cors::answer());
                return passing;
            }
        }
        match self.admit(&request) {
            Ok(caller) => {
                passing.caller = caller.map(Caller);
                passing.routed = Some(self.inner.call(request));
            }
            Err(refusal) => {
                let kind = request.headers().get(header::CONTENT_TYPE);
                let is_grpc = kind.is_some_and(|k| k.as_bytes().starts_with(b"application/grpc"));
                passing.answer = Some(refusal.into_response(is_grpc));
            }
        }
        passing
    }
}

pin_project! {
    /// A request on its way through, or the answer to one that stays out.
    pub struct Passing<F> {
        #[pin]
        routed: Option<F>,
        answer: Option<Response>,
        caller: Option<Caller>,
        marked: bool,
        origin: Option<HeaderValue>,
        tls: bool,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Passing<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match (this.answer.take(), this.routed.as_pin_mut()) {
            (Some(answer), _) => answer,
            (None, Some(routed)) => {
                let Ok(response) = std::task::ready!(routed.poll(cx));
                response
            }
            // Polled after its end.
            (None, None) => return Poll::Pending,
        };
        if let Some(caller) = this.caller.take() {
            response.extensions_mut().insert(caller);
        }
        let headers = response.headers_mut();
        guard(headers, *this.tls);
        if *this.marked {
            cors::mark(headers, this.origin.take());
        }
        Poll::Ready(Ok(response))
    }
}

/// What every answer says to browsers.
fn guard(headers: &mut HeaderMap, tls: bool) {
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let nowhere = HeaderValue::from_static("no-referrer");
    headers.insert(header::REFERRER_POLICY, nowhere);
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        // It may have a policy of its own.
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert(POLICY);
    }
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TLS_ALONE);
    }
}
