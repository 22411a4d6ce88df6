//! The access log: one line for each request, where it is wanted.

use std::{
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
    time::Instant,
};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, StatusCode};

use super::{
    Http,
    answer::{Failure, shown},
};
use crate::{
    catalog::Lease,
    error::{Kind, Result},
    transport::{doors::Caller, status},
};

/// What `--log-level` calls the access log.
const TARGET: &str = crate::telemetry::ACCESS_LOG;

/// Which model answered; it travels on the response.
#[derive(Clone)]
struct Served {
    model: Arc<str>,
    version: Arc<str>,
}

/// `result` as a response that says which model it is of, for the log. Without
/// one it costs nothing.
pub(super) fn served(http: &Http, lease: &Lease, result: Result<Response>) -> Response {
    let mut response = result.map_err(Failure::from).into_response();
    if http.access_log {
        response.extensions_mut().insert(Served {
            model: Arc::clone(&lease.id().name),
            version: Arc::clone(lease.version_text()),
        });
    }
    response
}

/// Whether the request `id` is of the share that is shown. The id decides, so
/// that a request which passes several services is shown by all or by none.
fn is_in_share(share: f64, id: &HeaderValue) -> bool {
    if share >= 1.0 {
        return true;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    let place = f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX));
    place < share * 2f64.powi(32)
}

/// The line of one request, from its start to its end.
pub(super) struct Line {
    method: http::Method,
    path: String,
    since: Instant,
}

impl Line {
    /// A line for `request`, where one is wanted.
    pub(super) fn start<B>(http: &Http, request: &Request<B>, id: &HeaderValue) -> Option<Self> {
        let wanted = http.access_log
            && is_in_share(http.access_log_share, id)
            && tracing::enabled!(target: TARGET, tracing::Level::INFO);
        wanted.then(|| Self {
            method: request.method().clone(),
            path: shown(request.uri().path()),
            since: Instant::now(),
        })
    }

    /// The request was answered.
    pub(super) fn answered(self, response: &mut Response, id: &HeaderValue) {
        let extensions = response.extensions_mut();
        let served = extensions.remove::<Served>();
        let caller = extensions.remove::<Caller>();
        self.write(response.status(), served, caller, id);
    }

    /// The caller went away first.
    pub(super) fn abandoned(self, id: &HeaderValue) {
        self.write(status::http(Kind::Cancelled), None, None, id);
    }

    fn write(
        self,
        status: StatusCode,
        served: Option<Served>,
        caller: Option<Caller>,
        id: &HeaderValue,
    ) {
        let milliseconds = self.since.elapsed().as_secs_f64() * 1e3;
        tracing::info!(
            target: TARGET,
            method = self.method.as_str(),
            path = self.path,
            status = status.as_u16(),
            duration_ms = milliseconds,
            model = served.as_ref().map(|s| &*s.model),
            version = served.as_ref().map(|s| &*s.version),
            key = caller.as_ref().map(|c| &*c.0),
            request_id = id.to_str().unwrap_or_default(),
            "request"
        );
    }
}
