//! What happens to every request: its id, the log, and the count of what
//! reached no model.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, header};

use super::Http;
use crate::{
    error::{Error, Kind},
    scheduler::event_loop,
    transport::readiness::Stage,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a caller.
const LONGEST_ID: usize = 128;

/// Passes a request on to its route.
pub(super) async fn pass(State(http): State<Http>, request: Request, next: Next) -> Response {
    // Work that has gathered for longer than a turn runs first.
    event_loop::turn();
    let id = id_of(&request);
    let method = request.method().clone();
    let path = tracing::enabled!(tracing::Level::DEBUG).then(|| request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        report(&http, &error, &id);
    }
    if let Some(path) = path {
        tracing::debug!(
            request_id = id.to_str().unwrap_or_default(), %method, path,
            status = response.status().as_u16(), "request"
        );
    }
    if http.readiness.stage() == Stage::Draining {
        // So that callers who keep connections open go elsewhere in time.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
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
fn id_of(request: &Request) -> HeaderValue {
    if let Some(id) = request.headers().get(&REQUEST_ID)
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
