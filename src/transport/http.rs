//! HTTP: the routes, and what each answers.

mod access;
mod answer;
mod body;
mod encoding;
mod front;
mod health;
mod index;
mod models;
mod path;
mod predict;
mod rows;
mod v2;

use std::{ops::Deref, sync::Arc};

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};

use self::answer::Failure;
pub use self::front::Front;
use super::{limits::Limits, readiness::Readiness};
use crate::{
    catalog::{Catalog, Control},
    error::Error,
    telemetry::Metrics,
};

/// What the routes need to know. Clones share it.
#[derive(Clone)]
pub struct Http(Arc<Context>);

impl Http {
    /// Shares `context` with the routes.
    pub fn new(context: Context) -> Self {
        Self(Arc::new(context))
    }
}

impl Deref for Http {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
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
    /// Limits on what a caller may send.
    pub limits: Limits,
    /// The means to load and unload models, where callers may.
    pub control: Option<Control>,
    /// Whether each request is logged.
    pub access_log: bool,
}

/// The routes.
pub fn router(http: Http) -> Router {
    Router::new()
        .route("/", get(index::index))
        .route("/predict", post(predict::post_default))
        .route("/predict/", any(predict::nothing))
        .route(
            "/predict/{first}",
            get(predict::get_default).post(predict::post_named),
        )
        .route("/predict/{model}/{n}", get(predict::get_named))
        .route("/models", get(models::all))
        .route("/models/{model}", get(models::one))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::health))
        .route("/metrics", get(health::metrics))
        .merge(v2::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(http)
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
