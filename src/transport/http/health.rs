//! Health, and the figures.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    Http,
    answer::{json, json_of},
};
use crate::{catalog, telemetry::Metrics, transport::readiness::Stage};

/// The process is alive, draining or not.
pub(super) async fn live() -> Response {
    json(StatusCode::OK, r#"{"status":"live"}"#)
}

/// Whether traffic should come.
pub(super) async fn ready(State(http): State<Http>) -> Response {
    let stage = http.readiness.stage();
    let status = if http.readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_of(
        status,
        &json!({"status": stage.name(), "reason": stage.reason()}),
    )
}

/// [`live`] in the words of the Open Inference Protocol's clients.
pub(super) async fn protocol_live() -> Response {
    json(StatusCode::OK, r#"{"live":true}"#)
}

/// [`ready`] in the words of the Open Inference Protocol's clients.
pub(super) async fn protocol_ready(State(http): State<Http>) -> Response {
    let stage = http.readiness.stage();
    let (status, ready) = if stage == Stage::Ready {
        (StatusCode::OK, true)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, false)
    };
    json_of(status, &json!({"ready": ready, "reason": stage.reason()}))
}

/// [`ready`], and the state of every version.
pub(super) async fn health(State(http): State<Http>) -> Response {
    let stage = http.readiness.stage();
    let states: Vec<catalog::VersionState> = http.catalog.states();
    let status = if http.readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_of(
        status,
        &json!({"status": stage.name(), "reason": stage.reason(), "versions": states}),
    )
}

/// The figures, for Prometheus.
pub(super) async fn metrics(State(http): State<Http>) -> Response {
    let mut response = Body::from(http.metrics.encode()).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(Metrics::CONTENT_TYPE),
    );
    response
}
