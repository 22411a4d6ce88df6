//! `/v2`: the Open Inference Protocol over HTTP.

mod arrival;
mod infer;
mod repository;
mod request;
mod response;
mod shared_memory;

pub(super) use self::infer::{direct, infer};

use axum::{
    extract::State,
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{
    Http,
    answer::{Failure, json_of},
    openapi::{Api, Operation, Schema},
    path::Segments,
};
use crate::{
    catalog::Lease,
    error::Result,
    telemetry::Statistics,
    tensor::TensorSpec,
    transport::{
        inference::{self, EXTENSIONS, PLATFORM, SERVER},
        limits::Limits,
    },
};

/// Whether `json` is an inference request.
pub(super) fn check(json: &str) -> Result<()> {
    request::Request::read(json, Limits::UNLIMITED).map(drop)
}

/// The routes under `/v2`, and what is said of them.
pub(super) fn api() -> Api {
    let tag = "Open Inference Protocol";
    let get_ = |summary| Operation::get(tag, summary);
    let name = || json!({"type": "string", "minLength": 1});
    let model = |o: Operation| o.path("model", "The model's name", name());
    let version = |o: Operation| {
        let semver = json!({"type": "string", "pattern": "^v[0-9]+\\.[0-9]+\\.[0-9]+$"});
        model(o).path("version", "Its version: v1.2.3", semver)
    };
    let metadata_of = || get_("A model's metadata").ok("It", Schema::Metadata);
    let ready_of = || get_("Whether a model is ready").ok("It is", Schema::ModelReady);
    let config_of = || get_("A model's configuration").ok("It", Schema::Configuration);
    let stats = |summary| get_(summary).ok("They", Schema::Statistics);
    Api::new()
        .route(
            "/v2",
            get(server),
            [get_("The server's metadata").ok("It", Schema::Server)],
        )
        .route(
            "/v2/health/live",
            get(super::health::protocol_live),
            [get_("Whether the server is alive").ok("It is", Schema::ServerLive)],
        )
        .route(
            "/v2/health/ready",
            get(super::health::protocol_ready),
            [super::stages(
                get_("Whether the server is ready"),
                Schema::ServerReady,
            )],
        )
        .route(
            "/v2/models/{model}",
            get(newest_metadata),
            [model(metadata_of())],
        )
        .route(
            "/v2/models/{model}/versions/{version}",
            get(metadata),
            [version(metadata_of())],
        )
        .route(
            "/v2/models/{model}/ready",
            get(newest_ready),
            [model(ready_of())],
        )
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            get(ready),
            [version(ready_of())],
        )
        .route(
            "/v2/models/{model}/infer",
            post(infer::newest),
            [model(infers(tag))],
        )
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            post(infer::version),
            [version(infers(tag))],
        )
        .route(
            "/v2/models/{model}/config",
            get(newest_config),
            [model(config_of())],
        )
        .route(
            "/v2/models/{model}/versions/{version}/config",
            get(config),
            [version(config_of())],
        )
        .route(
            "/v2/models/stats",
            get(all_statistics),
            [stats("Statistics of every version")],
        )
        .route(
            "/v2/models/{model}/stats",
            get(model_statistics),
            [model(stats("Statistics of a model's versions"))],
        )
        .route(
            "/v2/models/{model}/versions/{version}/stats",
            get(statistics),
            [version(stats("Statistics of a version"))],
        )
        .route(
            "/v2/repository/index",
            post(repository::index),
            [Operation::post(tag, "Every version and its state")
                .body(
                    false,
                    &[("application/json", Schema::IndexRequest.reference())],
                )
                .ok("They", Schema::RepositoryIndex)],
        )
        .route(
            "/v2/repository/models/{model}/load",
            post(repository::load),
            [
                model(Operation::post(tag, "Loads a model, where callers may"))
                    .body(false, &[("application/json", repository::load_schema())])
                    .ok("It is loaded", Schema::Nothing),
            ],
        )
        .route(
            "/v2/repository/models/{model}/unload",
            post(repository::unload),
            [
                model(Operation::post(tag, "Unloads a model, where callers may"))
                    .body(false, &[("application/json", repository::unload_schema())])
                    .ok("It is unloaded", Schema::Nothing),
            ],
        )
        .route(
            "/v2/trace/setting",
            get(tracing),
            [get_("Trace settings: it is off").ok("They", Schema::Settings)],
        )
        .route(
            "/v2/logging",
            get(logging),
            [get_("Log settings, which are set at the start").ok("They", Schema::Settings)],
        )
        .merge(shared_memory::api())
}

fn infers(tag: &'static str) -> Operation {
    let binary = json!({"type": "string", "format": "binary"});
    Operation::post(tag, "Infers")
        .description(
            "Tensors come as JSON, or as raw bytes after it: then the header \
             Inference-Header-Content-Length is the length of the JSON, and each such tensor has \
             the parameter binary_data_size. With 0 there, the whole body is the tensor of the \
             only input. The parameter binary_data_output asks for raw outputs, and timeout says \
             after how many microseconds the answer is of no more use. Bodies may be compressed \
             both ways, by gzip or deflate.",
        )
        .body(
            true,
            &[("application/json", Schema::InferRequest.reference())],
        )
        .answer(
            200,
            "The outputs; binary ones follow the JSON",
            &[
                ("application/json", Schema::InferResponse.reference()),
                ("application/octet-stream", binary),
            ],
        )
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

/// What clients that measure read of a model's configuration.
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

/// There is no tracing of requests, and these say so in Triton's words.
async fn tracing() -> Response {
    let off = json!({
        "trace_level": ["OFF"], "trace_rate": "0", "trace_count": "-1", "log_frequency": "0",
        "trace_file": "", "trace_mode": "triton",
    });
    json_of(StatusCode::OK, &off)
}

/// What is logged, in Triton's words.
async fn logging() -> Response {
    let [error, warning, info, verbose] = inference::logged();
    json_of(
        StatusCode::OK,
        &json!({
            "log_file": "", "log_error": error, "log_warning": warning, "log_info": info,
            "log_verbose_level": u8::from(verbose), "log_format": "default",
        }),
    )
}
