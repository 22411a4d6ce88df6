//! `GET /figures`: the last minutes, step by step.

use axum::{extract::State, response::Response};
use http::{HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use super::{
    Http,
    answer::{Failure, json_of, shown},
};
use crate::{
    error::{Error, Result},
    telemetry::recent::{Figures, KEPT, ModelFigures, Span},
};

#[derive(Serialize)]
struct Answer<'a> {
    ready: bool,
    #[serde(flatten)]
    figures: &'a Figures,
    models: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    figures: &'a ModelFigures,
    /// Whether the version is in the catalog now.
    served: bool,
}

/// The steps that the query asks for.
pub(super) async fn figures(State(http): State<Http>, uri: Uri) -> Result<Response, Failure> {
    let figures = http.recent.read(&span(uri.query().unwrap_or_default())?);
    let snapshot = http.catalog.snapshot();
    let is_served = |model: &ModelFigures| {
        let versions = snapshot.models().get(&*model.name);
        versions.is_some_and(|v| v.values().any(|s| **s.version_text() == *model.version))
    };
    let answer = Answer {
        ready: http.readiness.is_ready(),
        figures: &figures,
        models: figures
            .models
            .iter()
            .map(|figures| Listed {
                figures,
                served: is_served(figures),
            })
            .collect(),
    };
    let mut response = json_of(StatusCode::OK, &answer);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What `query` asks for.
fn span(query: &str) -> Result<Span> {
    let mut span = Span::default();
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        let twice = match &*name {
            "start" => span.start.replace(value.into_owned()).is_some(),
            "since" => span
                .since
                .replace(whole("since", &value, 0, MOST)?)
                .is_some(),
            "steps" => span
                .steps
                .replace(whole("steps", &value, 1, KEPT)?)
                .is_some(),
            _ => {
                return Err(Error::invalid(format!(
                    "there is no query parameter \"{}\": /figures takes start, since and steps",
                    shown(&name)
                )));
            }
        };
        if twice {
            return Err(Error::invalid(format!(
                "the query parameter \"{name}\" is given twice"
            )));
        }
    }
    Ok(span)
}

/// The largest whole number that every reader of JSON keeps.
const MOST: u64 = (1 << 53) - 1;

fn whole(name: &str, text: &str, least: u64, most: u64) -> Result<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|n| digits && (least..=most).contains(n));
    number.ok_or_else(|| {
        Error::invalid(format!(
            "{name} is \"{}\", which is not a whole number from {least} to {most}",
            shown(text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        assert_eq!(span("").unwrap(), Span::default());
        let all = span("start=a%20b&since=0&steps=300").unwrap();
        assert_eq!(all.start.as_deref(), Some("a b"));
        assert_eq!((all.since, all.steps), (Some(0), Some(300)));
        for (query, sentence) in [
            ("since=", "whole number from 0"),
            ("since=-1", "whole number from 0"),
            ("since=%2B1", "whole number from 0"),
            ("since=99999999999999999999", "whole number from 0"),
            ("steps=0", "from 1 to 300"),
            ("steps=301", "from 1 to 300"),
            ("steps=1&steps=2", "twice"),
            ("model=linear", "no query parameter \"model\""),
        ] {
            let error = span(query).unwrap_err();
            assert!(error.message().contains(sentence), "{query}: {error}");
        }
    }
}
