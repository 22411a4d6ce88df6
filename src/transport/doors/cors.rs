//! CORS: which pages of other origins may read answers. None, unless set.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

/// The headers of requests that pages may send.
const TAKEN: &str = "authorization, content-type, content-encoding, \
                     inference-header-content-length, request-timeout, traceparent, tracestate, \
                     x-api-key, x-request-id";

/// The headers of answers that pages may read.
const SHOWN: &str = "content-length, inference-header-content-length, retry-after, \
                     www-authenticate, x-request-id";

/// How long a browser may keep what it was told, in seconds.
const KEPT: &str = "600";

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// These, as a browser writes them: `https://example.com`.
    Named(Vec<String>),
}

impl Origins {
    /// What to answer as the allowed origin.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        match self {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Named(all) => all
                .iter()
                .any(|named| named.as_bytes() == origin.as_bytes())
                .then(|| origin.clone()),
        }
    }
}

/// Whether a browser asks what a page may send.
pub(super) fn is_asked<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that. Without an allowed origin the browser stops there.
pub(super) fn answer() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, TAKEN),
        (header::ACCESS_CONTROL_MAX_AGE, KEPT),
        (header::ALLOW, "GET, HEAD, POST"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Says in an answer which origin may read it.
pub(super) fn mark(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    // Another origin gets another answer, which caches must know.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(SHOWN),
        );
    }
}
