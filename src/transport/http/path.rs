//! What stands in a request's target: the parts of the path, and the query.

use axum::extract::{FromRequestParts, Path};
use http::{Uri, request::Parts};
use serde::de::DeserializeOwned;

use super::answer::{Failure, shown};
use crate::error::{Error, Result};

/// The variable parts of the path, decoded. What can't be decoded is refused
/// with a sentence, as everything is; axum's own extractor answers in plain
/// text.
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(not_utf8().into()),
        }
    }
}

/// The text after the last slash, decoded.
///
/// # Errors
/// `Invalid` where it is not UTF-8.
pub(super) fn last_segment(uri: &Uri) -> Result<String> {
    let segment = uri.path().rsplit('/').next().unwrap_or_default();
    percent_encoding::percent_decode_str(segment)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| not_utf8())
}

fn not_utf8() -> Error {
    Error::invalid("the path is not UTF-8: percent-encode the bytes of UTF-8 text")
}

/// Refuses a query where none is taken: a parameter that does nothing would
/// let its caller believe that it did.
///
/// # Errors
/// `Invalid`, with the parameter's name.
pub(super) fn refuse_query(uri: &Uri) -> Result<()> {
    let parameters = uri.query().unwrap_or_default().split('&');
    let Some(parameter) = parameters.into_iter().find(|p| !p.is_empty()) else {
        return Ok(());
    };
    let name = parameter.split('=').next().unwrap_or_default();
    Err(Error::invalid(format!(
        "there is no query parameter \"{}\": /predict takes none; the model and the number stand \
         in the path, as in /predict/linear/21",
        shown(name)
    )))
}
