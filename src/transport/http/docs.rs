//! `/openapi.json`, and `/docs`, which shows it with what the binary carries.

use std::io::Read;

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    Http,
    answer::{Failure, json},
    openapi,
};
use crate::error::Error;

/// Swagger UI, compressed.
const SCRIPT: &[u8] = include_bytes!("docs/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("docs/swagger-ui.css.gz");

const PAGE: &str = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>modelship API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"##;

/// Swagger UI sets styles inline, and draws its icons as data.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

const START: &str = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#ui', deepLinking: true});\n";

/// The description of the HTTP surface.
pub(super) async fn document(State(http): State<Http>) -> Response {
    json(StatusCode::OK, openapi::document(&http).to_string())
}

/// The page.
pub(super) async fn page() -> Response {
    let mut response = file("text/html; charset=utf-8", PAGE.into());
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// What starts the page: apart from it, so that a policy may forbid inline
/// scripts.
pub(super) async fn start() -> Response {
    file("text/javascript; charset=utf-8", START.into())
}

/// The page's script.
pub(super) async fn script(headers: HeaderMap) -> Result<Response, Failure> {
    compressed(&headers, "text/javascript; charset=utf-8", SCRIPT)
}

/// The page's style.
pub(super) async fn style(headers: HeaderMap) -> Result<Response, Failure> {
    compressed(&headers, "text/css; charset=utf-8", STYLE)
}

fn file(kind: &'static str, content: Bytes) -> Response {
    let mut response = Response::new(Body::from(content));
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    response.headers_mut().extend(headers);
    response
}

/// The file `gzip`, as it is to who takes that.
fn compressed(
    headers: &HeaderMap,
    kind: &'static str,
    gzip: &'static [u8],
) -> Result<Response, Failure> {
    let takes = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|v| v.to_str().is_ok_and(|v| v.contains("gzip")));
    let mut response = if takes {
        let mut response = file(kind, Bytes::from_static(gzip));
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let mut plain = Vec::with_capacity(4 * gzip.len());
        GzDecoder::new(gzip)
            .read_to_end(&mut plain)
            .map_err(|e| Error::internal(format!("a file of the documentation: {e}")))?;
        file(kind, plain.into())
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}
