//! `GET /`: the web page for browsers, and for programs where to go from here.
//!
//! The page is built by `scripts/page` and committed, so that to build this
//! crate takes no Node.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use super::{
    answer::Failure,
    carried::{Carried, weight},
    index,
};

static PAGE: Carried = Carried::new(
    "text/html; charset=utf-8",
    include_bytes!("page/built/page.html.gz"),
    Some(include_bytes!("page/built/page.html.br")),
);
/// What the page may do: run its own script, and ask this server.
const POLICY: &str = include_str!("page/built/page.policy");

/// The page, or what this is and what it answers.
pub(super) async fn root(headers: HeaderMap) -> Result<Response, Failure> {
    let wants = |kind| weight(&headers, &header::ACCEPT, kind);
    let html = wants("text/html");
    let mut response = if html > 0.0 && html >= wants("application/json") {
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
    let mut response = PAGE.answer(headers)?;
    if let Ok(policy) = HeaderValue::from_str(POLICY.trim()) {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}
