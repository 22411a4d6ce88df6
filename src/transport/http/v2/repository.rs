//! The repository extension: what there is, loading and unloading.

use axum::{body::Body, extract::State};
use http::StatusCode;
use serde_json::{Value, json};

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
    let ready_only = asks_for_ready(&body)?;
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

/// Whether the body asks for what is ready alone.
fn asks_for_ready(body: &[u8]) -> Result<bool> {
    /// Reading it is an error where a key that is known stands twice.
    #[derive(serde::Deserialize)]
    struct Asked {
        #[serde(default)]
        ready: bool,
    }
    match body.trim_ascii_start().first() {
        None => Ok(false),
        // A list would do as well for serde.
        Some(b'{') => serde_json::from_slice::<Asked>(body)
            .map(|asked| asked.ready)
            .map_err(|e| not_of_the_form(&e)),
        Some(_) => Err(not_of_the_form(&"it is no object")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_the_index() {
        for (body, ready) in [
            ("", false),
            (" ", false),
            ("{}", false),
            ("{\"ready\":false}", false),
            (" {\"ready\": true, \"other\": [1]}", true),
        ] {
            assert_eq!(asks_for_ready(body.as_bytes()).unwrap(), ready, "{body}");
        }
        for (body, why) in [
            (
                "{\"ready\":true,\"ready\":false}",
                "duplicate field `ready`",
            ),
            ("{\"ready\":null}", "expected a boolean"),
            ("{\"ready\":1}", "expected a boolean"),
            ("[true]", "it is no object"),
            ("{\"ready\":true", "EOF"),
        ] {
            let error = asks_for_ready(body.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Invalid, "{body}");
            assert!(error.message().contains(why), "{error}");
        }
    }
}
