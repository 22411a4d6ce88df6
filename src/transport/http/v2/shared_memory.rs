//! The shared-memory extensions, which are not offered, and say so.

use axum::routing::{get, post};

use super::super::{answer::Failure, openapi::Api};
use crate::{error::Error, transport::inference};

/// The routes of the extensions for the system's memory and for CUDA's.
pub(super) fn api() -> Api {
    ["systemsharedmemory", "cudasharedmemory"]
        .into_iter()
        .fold(Api::new(), |api, kind| {
            let all = |call| format!("/v2/{kind}/{call}");
            let one = |call| format!("/v2/{kind}/region/{{name}}/{call}");
            api.not_offered(&all("status"), get(refuse))
                .not_offered(&one("status"), get(refuse))
                .not_offered(&one("register"), post(refuse))
                .not_offered(&all("unregister"), post(refuse))
                .not_offered(&one("unregister"), post(refuse))
        })
}

async fn refuse() -> Failure {
    Error::unsupported(inference::NO_SHARED_MEMORY).into()
}
