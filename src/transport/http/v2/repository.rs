//! The repository extension: what there is, loading and unloading.

use axum::{body::Body, extract::State};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Http,
        answer::{json, json_of},
        body,
        path::Segments,
    },
    Answer,
};
use crate::{
    catalog::{Control, State as VersionState},
    error::{Error, Result},
    transport::inference,
};

/// Every version and its state.
pub(super) async fn index(State(http): State<Http>, body: Body) -> Answer {
    let body = body::read(body, http.limits, &mut http.memory.begin()).await?;
    let asked: Map<String, Value> = if body.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(&body).map_err(|e| not_of_the_form(&e))?
    };
    let ready_only = match asked.get("ready") {
        None => false,
        Some(Value::Bool(ready)) => *ready,
        Some(_) => return Err(not_of_the_form(&"ready is neither true nor false").into()),
    };
    let states = http.catalog.states();
    let listed: Vec<Value> = states
        .iter()
        .filter(|s| !ready_only || s.state == VersionState::Ready)
        .map(|s| {
            json!({
                "name": &*s.name,
                "version": s.version,
                "state": s.state.name(),
                "reason": s.reason.as_deref().unwrap_or_default(),
            })
        })
        .collect();
    Ok(json_of(StatusCode::OK, &listed))
}

fn not_of_the_form(why: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!(
        "the body is not of the form {{\"ready\": true}}, nor empty: {why}"
    ))
}

/// Loads a model.
pub(super) async fn load(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    control(&http)?.load(model).await?;
    Ok(json(StatusCode::OK, "{}"))
}

/// Unloads a model.
pub(super) async fn unload(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    control(&http)?.unload(model).await?;
    Ok(json(StatusCode::OK, "{}"))
}

fn control(http: &Http) -> Result<&Control> {
    http.control
        .as_ref()
        .ok_or_else(|| Error::unsupported(inference::NO_CONTROL))
}
