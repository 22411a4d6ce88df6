//! Model cards.

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::{
    Http,
    answer::{Failure, json, json_of},
    path::Segments,
};
use crate::catalog::Card;

/// A model with all its versions.
#[derive(serde::Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    newest: &'a Card,
    /// Every version that is served, newest first.
    versions: Vec<String>,
}

/// Every model, by its newest version.
pub(super) async fn all(State(http): State<Http>) -> Response {
    let snapshot = http.catalog.snapshot();
    let listed: Vec<Listed<'_>> = snapshot
        .models()
        .values()
        .filter_map(|versions| {
            Some(Listed {
                newest: versions.last_key_value()?.1.card(),
                versions: versions.keys().rev().map(ToString::to_string).collect(),
            })
        })
        .collect();
    json_of(StatusCode::OK, &serde_json::json!({ "models": listed }))
}

/// One model's golden cases, as their files hold them.
pub(super) async fn cases(
    State(http): State<Http>,
    Segments(model): Segments<String>,
) -> Result<Response, Failure> {
    let lease = http.catalog.lease(&model, None)?;
    let text = |s: &str| serde_json::Value::from(s).to_string();
    Ok(json(
        StatusCode::OK,
        format!(
            r#"{{"model":{},"version":{},"cases":{}}}"#,
            text(&lease.id().name),
            text(lease.version_text()),
            lease.cases()
        ),
    ))
}

/// One model's card.
pub(super) async fn one(
    State(http): State<Http>,
    Segments(model): Segments<String>,
) -> Result<Response, Failure> {
    let lease = http.catalog.lease(&model, None)?;
    let snapshot = http.catalog.snapshot();
    // It may have left since; the lease still has its card.
    let versions = snapshot.models().get(&*model);
    let versions = versions.into_iter().flat_map(|v| v.keys().rev());
    Ok(json_of(
        StatusCode::OK,
        &Listed {
            newest: lease.card(),
            versions: versions.map(ToString::to_string).collect(),
        },
    ))
}
