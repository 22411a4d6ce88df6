//! HTTP: the routes, and what each answers.

mod access;
mod answer;
mod body;
mod carried;
mod direct;
mod docs;
mod encoding;
mod figures;
mod front;
mod health;
mod index;
mod models;
mod openapi;
mod page;
mod path;
mod predict;
mod rows;
mod span;
mod v2;

use std::{ops::Deref, sync::Arc};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::HeaderValue;

use self::answer::Failure;
use self::openapi::{Api, Operation, Schema};
pub use self::{direct::Direct, front::Front};
use super::{limits::Limits, memory::Budget, readiness::Readiness};
use crate::{
    catalog::{Catalog, Control},
    error::{Error, Result},
    telemetry::{Metrics, recent::Recent, trace::Traces},
};

/// What the routes need to know. Clones share it.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    context: Context,
    /// What tells this process from others behind the same address.
    instance: HeaderValue,
}

impl Http {
    /// Shares `context` with the routes.
    pub fn new(context: Context) -> Self {
        let instance = HeaderValue::from_str(context.recent.start());
        Self(Arc::new(Shared {
            instance: instance.unwrap_or(HeaderValue::from_static("0")),
            context,
        }))
    }
}

impl Deref for Http {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0.context
    }
}

/// What the routes need to know.
pub struct Context {
    /// What is served.
    pub catalog: Catalog,
    /// Whether to be sent traffic.
    pub readiness: Readiness,
    /// The figures.
    pub metrics: Metrics,
    /// The same, step by step.
    pub recent: Recent,
    /// Where spans go, where requests are traced.
    pub traces: Option<Traces>,
    /// Limits on what a caller may send.
    pub limits: Limits,
    /// What requests may take of memory.
    pub memory: Budget,
    /// The means to load and unload models, where callers may.
    pub control: Option<Control>,
    /// Whether each request is logged.
    pub access_log: bool,
    /// The share of requests that are, by their ids.
    pub access_log_share: f64,
}

/// The routes.
pub fn router(http: Http) -> Router {
    api()
        .into_router()
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(http)
}

/// The answer to a request that is refused before it reaches a route.
pub(super) fn refused(error: Error) -> Response {
    Failure::from(error).into_response()
}

/// Whether `json` is an inference request, its binary tensors aside.
///
/// # Errors
/// `Invalid`, with what is wrong and where.
pub fn check_request(json: &str) -> Result<()> {
    v2::check(json)
}

/// The text after the last slash of a request's target, decoded.
///
/// # Errors
/// `Invalid` where it is none, or has a query.
pub fn check_path(target: &str) -> Result<String> {
    let target = target
        .parse()
        .map_err(|e| Error::invalid(format!("no target of a request: {e}")))?;
    path::refuse_query(&target)?;
    path::last_segment(&target)
}

/// How many rows of two numbers `json` holds.
///
/// # Errors
/// `Invalid`, with what is wrong and where.
pub fn check_rows(json: &str) -> Result<usize> {
    rows::check(json)
}

/// How many bytes the `body` holds that was compressed so: at most `limit`.
///
/// # Errors
/// `Invalid` where it was not, `TooLarge` beyond the limit, `Unsupported` for
/// another way.
pub fn check_compressed(encoding: &str, body: &[u8], limit: usize) -> Result<usize> {
    let mut headers = ::http::HeaderMap::new();
    if let Ok(value) = encoding.parse() {
        headers.insert(::http::header::CONTENT_ENCODING, value);
    }
    let limits = Limits {
        body: limit,
        body_timeout: std::time::Duration::ZERO,
        ..Limits::UNLIMITED
    };
    match encoding::Encoding::of(&headers)? {
        None => Ok(body.len()),
        Some(encoding) => {
            let body = bytes::Bytes::copy_from_slice(body);
            encoding
                .expansion(body, limits)
                .at_once()
                .map(|body| body.len())
        }
    }
}

/// The routes, and what is said of them.
fn api() -> Api {
    let json = "application/json";
    let name = || serde_json::json!({"type": "string", "minLength": 1});
    let timeout = || serde_json::json!({"type": "string", "pattern": "^[1-9][0-9]{1,3}s$"});
    let number = || serde_json::json!({"type": "number", "exclusiveMinimum": -3.402823567797337e38, "exclusiveMaximum": 3.402823567797337e38});
    let waits = "How long the caller waits: 250ms, 2s";
    let predicts = |operation: Operation| operation.header("Request-Timeout", waits, timeout());
    Api::new()
        .route(
            "/",
            get(page::root),
            [Operation::get("service", "What this is; for browsers, the page")
                .ok("It", Schema::Index)],
        )
        .route(
            "/predict",
            post(predict::post_default),
            [predicts(Operation::post(
                "predict",
                "Rows to predictions, by the default model",
            ))
            .body(true, &[(json, Schema::Rows.reference())])
            .ok("A prediction for each row", Schema::Predictions)],
        )
        .route(
            "/predict/",
            get(predict::nothing),
            [Operation::get("predict", "Not found: a number is missing")],
        )
        .route(
            "/predict/{first}",
            get(predict::get_default).post(predict::post_named),
            [
                predicts(Operation::get(
                    "predict",
                    "A number to a prediction, by the default model",
                ))
                .path("first", "The number", number())
                .ok("The prediction", Schema::Prediction),
                predicts(Operation::post(
                    "predict",
                    "Rows to predictions, by a model",
                ))
                .path("first", "The model's name", name())
                .body(true, &[(json, Schema::Rows.reference())])
                .ok("A prediction for each row", Schema::Predictions),
            ],
        )
        .route(
            "/predict/{model}/{n}",
            get(predict::get_named),
            [predicts(Operation::get(
                "predict",
                "A number to a prediction, by a model",
            ))
            .path("model", "The model's name", name())
            .path("n", "The number", number())
            .ok("The prediction", Schema::Prediction)],
        )
        .route(
            "/models",
            get(models::all),
            [Operation::get("models", "Every model card").ok("The cards", Schema::Cards)],
        )
        .route(
            "/models/{model}",
            get(models::one),
            [Operation::get("models", "A model card")
                .path("model", "The model's name", name())
                .ok("The card of its newest version", Schema::Card)],
        )
        .route(
            "/models/{model}/cases",
            get(models::cases),
            [Operation::get("models", "Golden cases that it passed")
                .path("model", "The model's name", name())
                .ok(
                    "Those of its newest version, up to 64 KiB",
                    Schema::Cases,
                )],
        )
        .route(
            "/livez",
            get(health::live),
            [Operation::get("health", "Whether the process is alive").ok("It is", Schema::Stage)],
        )
        .route(
            "/readyz",
            get(health::ready),
            [stages(
                Operation::get("health", "Whether traffic should come"),
                Schema::Stage,
            )],
        )
        .route(
            "/healthz",
            get(health::health),
            [stages(
                Operation::get("health", "The same, and every version's state"),
                Schema::Health,
            )],
        )
        .route(
            "/metrics",
            get(health::metrics),
            [Operation::get("service", "Metrics for Prometheus").answer(
                200,
                "The metrics",
                &[("text/plain", serde_json::json!({"type": "string"}))],
            )],
        )
        .route(
            "/figures",
            get(figures::figures),
            [
                Operation::get("service", "The last five minutes, step by step")
                    .description(
                        "A step is a second. What is 0 or empty in a step is left out, and so \
                         is a step in which all was. Buckets hold values up to their bound: \
                         [3, 12] says that 12 fell into the bucket of bound number 3.",
                    )
                    .query(
                        "start",
                        "The start that since was counted in: where the server has a new one, \
                         since does not hold",
                        serde_json::json!({"type": "string"}),
                    )
                    .query(
                        "since",
                        "The first step to give: next of the answer before",
                        serde_json::json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64}),
                    )
                    .query(
                        "steps",
                        "No more than so many, the newest",
                        serde_json::json!({"type": "integer", "minimum": 1, "maximum": 300}),
                    )
                    .ok("The steps", Schema::Figures),
            ],
        )
        .route(
            "/openapi.json",
            get(docs::document),
            [Operation::get("service", "This document").answer(
                200,
                "The document",
                &[(json, serde_json::json!({"type": "object"}))],
            )],
        )
        .route(
            "/docs",
            get(docs::page),
            [page("The reference page", "text/html")],
        )
        .route(
            "/docs/start.js",
            get(docs::start),
            [page("What starts it", "text/javascript")],
        )
        .route(
            "/docs/swagger-ui.js",
            get(docs::script),
            [page("Its script", "text/javascript")],
        )
        .route(
            "/docs/swagger-ui.css",
            get(docs::style),
            [page("Its style", "text/css")],
        )
        .merge(v2::api())
}

/// An operation that says the stage, ready or not.
fn stages(operation: Operation, schema: Schema) -> Operation {
    let kinds = [("application/json", schema.reference())];
    operation
        .ok("Ready", schema)
        .answer(503, "Not ready, and why", &kinds)
}

fn page(summary: &'static str, kind: &str) -> Operation {
    let text = serde_json::json!({"type": "string"});
    Operation::get("service", summary).answer(200, summary, &[(kind, text)])
}

async fn unknown(uri: ::http::Uri) -> Failure {
    Error::not_found(format!(
        "there is nothing at {}; GET / lists what there is",
        answer::shown(uri.path())
    ))
    .into()
}

/// The router adds the Allow header.
async fn wrong_method(method: ::http::Method, uri: ::http::Uri) -> Response {
    if method == ::http::Method::OPTIONS {
        return ::http::StatusCode::NO_CONTENT.into_response();
    }
    Failure::from(Error::method_not_allowed(format!(
        "{} does not take {}; the Allow header says what it takes",
        answer::shown(uri.path()),
        answer::shown(method.as_str())
    )))
    .into_response()
}
