//! `GET /`: where to go from here.

use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::answer::json_of;

/// What this is, and what it answers.
pub(super) async fn index() -> Response {
    json_of(
        StatusCode::OK,
        &json!({
            "name": "modelship",
            "version": env!("CARGO_PKG_VERSION"),
            "links": {
                "models": "/models",
                "model": "/models/{model}",
                "cases": "/models/{model}/cases",
                "predict": "/predict/21",
                "predict_by_model": "/predict/{model}/{n}",
                "live": "/livez",
                "ready": "/readyz",
                "health": "/healthz",
                "metrics": "/metrics",
                "figures": "/figures",
                "inference": "/v2",
                "openapi": "/openapi.json",
                "docs": "/docs",
            },
        }),
    )
}
