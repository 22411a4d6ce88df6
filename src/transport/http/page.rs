//! `GET /`: the web page for browsers, and for programs where to go from here.
//!
//! The page is built by `scripts/page` and committed, so that to build this
//! crate takes no Node.

use std::{io::Read, sync::LazyLock};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{answer::Failure, index};
use crate::{error::Error, repository::Digest};

const BROTLI: &[u8] = include_bytes!("page/built/page.html.br");
const GZIP: &[u8] = include_bytes!("page/built/page.html.gz");
/// What the page may do: run its own script, and ask this server.
const POLICY: &str = include_str!("page/built/page.policy");

/// Which page it is.
static TAG: LazyLock<String> = LazyLock::new(|| format!("W/\"{}\"", Digest::of(BROTLI)));

/// The page, or what this is and what it answers.
pub(super) async fn root(headers: HeaderMap) -> Result<Response, Failure> {
    let mut response = if accepts(&headers, &header::ACCEPT, "text/html") {
        page(&headers)?
    } else {
        index::index().await
    };
    response.headers_mut().insert(
        header::VARY,
        HeaderValue::from_static("accept, accept-encoding"),
    );
    Ok(response)
}

fn page(headers: &HeaderMap) -> Result<Response, Failure> {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tag| tag.as_bytes() == TAG.as_bytes());
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let (coding, content) = encoded(headers)?;
        let mut response = Response::new(Body::from(content));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        if let Some(coding) = coding {
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    };
    let own = [
        (header::CONTENT_SECURITY_POLICY, POLICY.trim()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, TAG.as_str()),
    ];
    for (name, value) in own {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The page in the best way that the caller takes.
fn encoded(headers: &HeaderMap) -> Result<(Option<&'static str>, Bytes), Failure> {
    if accepts(headers, &header::ACCEPT_ENCODING, "br") {
        return Ok((Some("br"), Bytes::from_static(BROTLI)));
    }
    if accepts(headers, &header::ACCEPT_ENCODING, "gzip") {
        return Ok((Some("gzip"), Bytes::from_static(GZIP)));
    }
    let mut plain = Vec::with_capacity(4 * GZIP.len());
    GzDecoder::new(GZIP)
        .read_to_end(&mut plain)
        .map_err(|e| Error::internal(format!("the page: {e}")))?;
    Ok((None, plain.into()))
}

/// Whether the header `name` lists `wanted`, and not with the weight 0.
fn accepts(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|n| n.eq_ignore_ascii_case(wanted));
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_accepted_unless_its_weight_is_0() {
        let listed = |value: &'static str, wanted| {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            accepts(&headers, &header::ACCEPT_ENCODING, wanted)
        };
        assert!(listed("gzip, deflate, BR;q=0.5", "br"));
        assert!(!listed("gzip, br;q=0", "br"));
        assert!(!listed("brotli", "br"));
    }
}
