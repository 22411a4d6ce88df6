//! Answers and failures as HTTP.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::{error::Error, transport::status};

/// JSON text as a response.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// A value as JSON.
pub(super) fn json_of<T: serde::Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => json(status, text),
        Err(e) => Failure::from(Error::internal(format!("an answer can't be written: {e}")))
            .into_response(),
    }
}

/// A failed request, on its way out.
#[derive(Debug, Clone)]
pub(super) struct Failure(pub(super) Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

#[derive(serde::Serialize)]
struct Refusal<'a> {
    error: &'a str,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = self.0;
        let body = Refusal {
            error: error.public_message(),
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = json(status::http(error.kind()), text);
        if let Some(wait) = error.retry_after() {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.0}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        // For the front: it counts and logs, once, where the request ends.
        response.extensions_mut().insert(error);
        response
    }
}

/// Text of the caller's, fit to be shown back: short, and without what could
/// act on a terminal.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().count() > MOST {
        shown.push('…');
    }
    shown
}
