//! `/v2`: the Open Inference Protocol over HTTP.

mod arrival;
mod infer;
mod request;
mod response;

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Http,
    answer::{Failure, json, json_of},
    body,
    path::Segments,
};
use crate::{
    catalog::{Control, Lease},
    error::{Error, Result},
    telemetry::Statistics,
    tensor::TensorSpec,
    transport::inference::{self, EXTENSIONS, PLATFORM, SERVER},
};

/// The routes under `/v2`.
pub(super) fn routes() -> Router<Http> {
    let model = "/v2/models/{model}";
    let version = "/v2/models/{model}/versions/{version}";
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(super::health::live))
        .route("/v2/health/ready", get(super::health::ready))
        .route(model, get(newest_metadata))
        .route(version, get(metadata))
        .route(&format!("{model}/ready"), get(newest_ready))
        .route(&format!("{version}/ready"), get(ready))
        .route(&format!("{model}/infer"), post(infer::newest))
        .route(&format!("{version}/infer"), post(infer::version))
        .route(&format!("{model}/config"), get(newest_config))
        .route(&format!("{version}/config"), get(config))
        .route("/v2/models/stats", get(all_statistics))
        .route(&format!("{model}/stats"), get(model_statistics))
        .route(&format!("{version}/stats"), get(statistics))
        .route("/v2/repository/index", post(index))
        .route("/v2/repository/models/{model}/load", post(load))
        .route("/v2/repository/models/{model}/unload", post(unload))
        .route("/v2/trace/setting", get(settings).post(settings))
        .route("/v2/logging", get(settings).post(settings))
}

/// The server's metadata.
async fn server() -> Response {
    json_of(
        StatusCode::OK,
        &json!({
            "name": SERVER,
            "version": env!("CARGO_PKG_VERSION"),
            "extensions": EXTENSIONS,
        }),
    )
}

type Answer = Result<Response, Failure>;

async fn newest_metadata(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    describe(&http, &http.catalog.lease(&model, None)?)
}

async fn metadata(
    State(http): State<Http>,
    Segments((model, version)): Segments<(String, String)>,
) -> Answer {
    describe(&http, &inference::lease(&http.catalog, &model, &version)?)
}

fn describe(http: &Http, lease: &Lease) -> Answer {
    let tensor = |spec: &TensorSpec| {
        json!({
            "name": &*spec.name,
            "datatype": spec.dtype.name(),
            "shape": spec.protocol_shape(),
        })
    };
    let signature = lease.signature();
    Ok(json_of(
        StatusCode::OK,
        &json!({
            "name": &*lease.id().name,
            "versions": inference::versions(&http.catalog, &lease.id().name),
            "platform": PLATFORM,
            "inputs": signature.inputs.iter().map(tensor).collect::<Vec<_>>(),
            "outputs": signature.outputs.iter().map(tensor).collect::<Vec<_>>(),
        }),
    ))
}

async fn newest_ready(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    Ok(is_ready(&http.catalog.lease(&model, None)?))
}

async fn ready(
    State(http): State<Http>,
    Segments((model, version)): Segments<(String, String)>,
) -> Answer {
    let lease = inference::lease(&http.catalog, &model, &version)?;
    Ok(is_ready(&lease))
}

fn is_ready(lease: &Lease) -> Response {
    json_of(
        StatusCode::OK,
        &json!({
            "name": &*lease.id().name,
            "version": &**lease.version_text(),
            "ready": true,
        }),
    )
}

async fn newest_config(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    Ok(configuration(&http.catalog.lease(&model, None)?))
}

async fn config(
    State(http): State<Http>,
    Segments((model, version)): Segments<(String, String)>,
) -> Answer {
    let lease = inference::lease(&http.catalog, &model, &version)?;
    Ok(configuration(&lease))
}

/// What perf_analyzer and the like read of a model's configuration.
fn configuration(lease: &Lease) -> Response {
    let plan = &lease.card().scheduling;
    let max_batch_size = inference::max_batch_size(lease);
    let is_batched = max_batch_size > 0;
    let signature = lease.signature();
    let input = |spec: &TensorSpec| {
        json!({
            "name": &*spec.name,
            "data_type": inference::configured_type(spec.dtype),
            "dims": inference::configured_dims(spec, is_batched),
            "optional": spec.optional,
        })
    };
    let output = |spec: &TensorSpec| {
        json!({
            "name": &*spec.name,
            "data_type": inference::configured_type(spec.dtype),
            "dims": inference::configured_dims(spec, is_batched),
        })
    };
    let mut configuration = json!({
        "name": &*lease.id().name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": max_batch_size,
        "input": signature.inputs.iter().map(input).collect::<Vec<_>>(),
        "output": signature.outputs.iter().map(output).collect::<Vec<_>>(),
        "instance_group": [{
            "name": &*lease.id().name,
            "kind": "KIND_CPU",
            "count": plan.instances,
        }],
        "model_transaction_policy": {"decoupled": false},
    });
    if is_batched {
        configuration["dynamic_batching"] = json!({
            "max_queue_delay_microseconds": micros(plan.max_queue_delay),
            "default_queue_policy": {"max_queue_size": plan.max_queue_size},
        });
    }
    json_of(StatusCode::OK, &configuration)
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct VersionStatistics<'a> {
    name: &'a str,
    version: &'a str,
    #[serde(flatten)]
    statistics: Statistics,
}

async fn all_statistics(State(http): State<Http>) -> Response {
    let snapshot = http.catalog.snapshot();
    count(snapshot.servables().map(|s| &**s))
}

async fn model_statistics(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    // Of all its versions, as without a version in the other servers.
    http.catalog.lease(&model, None)?;
    let snapshot = http.catalog.snapshot();
    let versions = snapshot.models().get(&*model);
    Ok(count(
        versions.iter().flat_map(|v| v.values()).map(|s| &**s),
    ))
}

async fn statistics(
    State(http): State<Http>,
    Segments((model, version)): Segments<(String, String)>,
) -> Answer {
    let lease = inference::lease(&http.catalog, &model, &version)?;
    Ok(count(std::iter::once(&*lease)))
}

fn count<'a>(servables: impl Iterator<Item = &'a crate::catalog::Servable>) -> Response {
    let statistics: Vec<VersionStatistics<'_>> = servables
        .map(|s| VersionStatistics {
            name: &s.id().name,
            version: s.version_text(),
            statistics: s.metrics().statistics(),
        })
        .collect();
    json_of(StatusCode::OK, &json!({ "model_stats": statistics }))
}

#[derive(Deserialize, Default)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

async fn index(State(http): State<Http>, body: Body) -> Answer {
    let body = body::read(body, http.limits).await?;
    let asked = if body.is_empty() {
        IndexRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|e| {
            Error::invalid(format!(
                "the body is not of the form {{\"ready\": true}}, nor empty: {e}"
            ))
        })?
    };
    let states = http.catalog.states();
    let listed: Vec<Value> = states
        .iter()
        .filter(|s| !asked.ready || s.state == crate::catalog::State::Ready)
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

async fn load(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    control(&http)?.load(model).await?;
    Ok(json(StatusCode::OK, "{}"))
}

async fn unload(State(http): State<Http>, Segments(model): Segments<String>) -> Answer {
    control(&http)?.unload(model).await?;
    Ok(json(StatusCode::OK, "{}"))
}

fn control(http: &Http) -> Result<&Control> {
    http.control
        .as_ref()
        .ok_or_else(|| Error::unsupported(inference::NO_CONTROL))
}

async fn settings() -> Failure {
    Error::unsupported(inference::NO_SETTINGS).into()
}
