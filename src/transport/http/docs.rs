//! `/openapi.json`, and `/docs`, which shows it with what the binary carries.

use axum::{extract::State, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    Http,
    answer::{Failure, json},
    carried::{Carried, file},
    openapi,
};

/// Swagger UI.
static SCRIPT: Carried = Carried::new(
    "text/javascript; charset=utf-8",
    include_bytes!("docs/swagger-ui-bundle.js.gz"),
    None,
);
static STYLE: Carried = Carried::new(
    "text/css; charset=utf-8",
    include_bytes!("docs/swagger-ui.css.gz"),
    None,
);

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
    SCRIPT.answer(&headers)
}

/// The page's style.
pub(super) async fn style(headers: HeaderMap) -> Result<Response, Failure> {
    STYLE.answer(&headers)
}
