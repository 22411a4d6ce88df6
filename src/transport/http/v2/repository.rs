//! The repository extension: what there is, loading and unloading.

use std::collections::BTreeMap;

use axum::{body::Body, extract::State};
use http::StatusCode;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
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
    #[derive(Default, Deserialize)]
    struct Asked {
        #[serde(default)]
        ready: bool,
    }
    read::<Asked>(body, "{\"ready\": true}").map(|asked| asked.ready)
}

/// What may stand in a call that loads or unloads a model.
#[derive(Default, Deserialize)]
struct Asked<P> {
    #[serde(default = "Option::default")]
    parameters: Option<BTreeMap<String, P>>,
}

impl<P> Asked<P> {
    fn names(&self) -> impl Iterator<Item = &str> {
        let parameters = self.parameters.iter().flatten();
        parameters.map(|(name, _)| name.as_str())
    }
}

/// Refuses what a call that loads a model can't ask for.
fn refuse_overrides(body: &[u8]) -> Result<()> {
    let asked = read::<Asked<IgnoredAny>>(body, "{}")?;
    inference::refuse_overrides(asked.names())
}

/// Refuses what a call that unloads a model has no use for.
fn refuse_beside_dependents(body: &[u8]) -> Result<()> {
    const FORM: &str = "{\"parameters\": {\"unload_dependents\": false}}";
    let asked = read::<Asked<bool>>(body, FORM)?;
    inference::refuse_beside_dependents(asked.names())
}

/// The object that `body` is; an empty one where nothing came.
fn read<T: Default + DeserializeOwned>(body: &[u8], form: &str) -> Result<T> {
    let wrong = |why: &dyn std::fmt::Display| {
        Error::invalid(format!(
            "the body is not of the form {form}, nor empty: {why}"
        ))
    };
    match body.trim_ascii_start().first() {
        None => Ok(T::default()),
        // A list would do as well for serde.
        Some(b'{') => serde_json::from_slice(body).map_err(|e| wrong(&e)),
        Some(_) => Err(wrong(&"it is no object")),
    }
}

/// Loads a model.
pub(super) async fn load(
    State(http): State<Http>,
    Segments(model): Segments<String>,
    body: Body,
) -> Answer {
    let control = control(&http)?;
    refuse_overrides(&body::read(body, http.limits, &mut http.memory.begin()).await?)?;
    control.load(model).await?;
    Ok(json(StatusCode::OK, "{}"))
}

/// Unloads a model.
pub(super) async fn unload(
    State(http): State<Http>,
    Segments(model): Segments<String>,
    body: Body,
) -> Answer {
    let control = control(&http)?;
    refuse_beside_dependents(&body::read(body, http.limits, &mut http.memory.begin()).await?)?;
    control.unload(model).await?;
    Ok(json(StatusCode::OK, "{}"))
}

/// What a call that unloads a model takes, for the description.
pub(super) fn unload_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"parameters": {
            "type": ["object", "null"],
            "properties": {(inference::UNLOAD_DEPENDENTS): {"type": "boolean"}},
            "additionalProperties": false,
        }},
    })
}

/// What a call that loads a model takes, for the description.
pub(super) fn load_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"parameters": {"type": ["object", "null"], "maxProperties": 0}},
    })
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

    #[test]
    fn what_a_load_and_an_unload_may_say() {
        for body in ["", "{}", "{\"parameters\":{}}", "{\"parameters\":null}"] {
            refuse_overrides(body.as_bytes()).unwrap();
            refuse_beside_dependents(body.as_bytes()).unwrap();
        }
        for value in ["true", "false"] {
            let body = format!("{{\"parameters\":{{\"unload_dependents\":{value}}}}}");
            refuse_beside_dependents(body.as_bytes()).unwrap();
        }
        let load = |body: &str| refuse_overrides(body.as_bytes()).unwrap_err();
        let unload = |body: &str| refuse_beside_dependents(body.as_bytes()).unwrap_err();
        for (error, why) in [
            (
                load("{\"parameters\":{\"config\":\"{}\"}}"),
                "the parameter \"config\"",
            ),
            (
                load("{\"parameters\":{\"file:1/model.onnx\":\"AAAA\"}}"),
                "the parameter \"file:1/model.onnx\"",
            ),
            (load("[]"), "it is no object"),
            (load("{\"parameters\":[]}"), "expected a map"),
            (
                unload("{\"parameters\":{\"unload_dependents\":1}}"),
                "expected a boolean",
            ),
            (unload("{\"parameters\":{\"other\":true}}"), "\"other\""),
        ] {
            assert_eq!(error.kind(), crate::error::Kind::Invalid);
            assert!(error.message().contains(why), "{error}");
        }
    }
}
