//! The way past the router, held to the router: whatever is asked, both answer
//! the same.

use std::sync::OnceLock;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use modelship::transport::http::{Direct, router};
use proptest::{collection::vec, prelude::*, sample::select};
use tower::ServiceExt as _;

use super::{config, http};

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
];

const BODIES: [&str; 3] = [
    r#"{"id":"7","inputs":[{"name":"distance_km","shape":[2,1],"datatype":"FP32","data":[21,5.5]}]}"#,
    r#"{"inputs":[{"name":"nothing","shape":[1],"datatype":"FP32","data":[1]}]}"#,
    "",
];

/// Addresses of inference and of predictions, and what is nearly one.
const PATHS: [&str; 46] = [
    "/v2/models/linear/infer",
    "/v2/models/linear/versions/v1.1.0/infer",
    "/v2/models/linear/versions/v9.9.9/infer",
    "/v2/models/linear/versions/latest/infer",
    "/v2/models/linear/versions//infer",
    "/v2/models/nothing/infer",
    "/v2/models/nothing/versions/v1.1.0/infer",
    "/v2/models//infer",
    "/v2/models/infer",
    "/v2/models/infer/infer",
    "/v2/models/stats/infer",
    "/v2/models/linear//infer",
    "/v2/models/linear/infer/",
    "/v2/models/linear/infer//",
    "/v2/models/%6cinear/infer",
    "/v2/models/linear/%69nfer",
    "/v2/%6dodels/linear/infer",
    "/v2/models/lin%ffear/infer",
    "/v2/models/linear%2finfer",
    "/v2/models/linear%2F/infer",
    "/v2/models/linear%00/infer",
    "/v2/models/linear%zz/infer",
    "/v2/models/%20linear/infer",
    "/v2/models/linear/infer?",
    "/v2/models/linear/infer?a=b",
    "/v2/models/linear/infer?/infer",
    "/v2/models/linear/ready?/infer",
    "/v2//models/linear/infer",
    "//v2/models/linear/infer",
    "/v2/models/./linear/infer",
    "/v2/models/linear/../linear/infer",
    "/v2/models/Linear/infer",
    "/V2/models/linear/infer",
    "/v2/models/linear/Infer",
    "/v2/models/linear;v=1/infer",
    "/v2/models/linear+/infer",
    "http://elsewhere/v2/models/linear/infer",
    "/predict/21",
    "/predict/21/",
    "/predict/21?a=b",
    "/predict/21?",
    "/predict/%32%31",
    "/predict/-",
    "/predict/1.2.3",
    "/predict//21",
    "/predict/linear/21",
];

type Answer = (StatusCode, HeaderMap, Bytes);

/// What the way past the router and the router answer. `None` for what is no
/// request.
fn both(method: &Method, path: &str, body: &str) -> Option<(Answer, Answer)> {
    let request = || {
        let builder = Request::builder().method(method.clone()).uri(path);
        builder.body(Body::from(body.to_owned())).ok()
    };
    static ROUTER: OnceLock<axum::Router> = OnceLock::new();
    let router = ROUTER.get_or_init(|| router(http().clone())).clone();
    let direct = Direct::new(http().clone(), router.clone());
    let (first, second) = (request()?, request()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    Some(runtime.block_on(async {
        let Ok(past) = direct.oneshot(first).await;
        let Ok(routed) = router.oneshot(second).await;
        (read(past).await, read(routed).await)
    }))
}

async fn read(response: axum::response::Response) -> Answer {
    let (head, body) = response.into_parts();
    let exact = http_body::Body::size_hint(&body).exact();
    let body = body.collect().await.unwrap().to_bytes();
    let mut headers = head.headers;
    // The router says the length of a whole body itself; else the connection
    // does.
    if let Some(length) = headers.remove(http::header::CONTENT_LENGTH) {
        let length: usize = length.to_str().unwrap().parse().unwrap();
        assert!(body.is_empty() || length == body.len());
    } else {
        assert_eq!(exact, Some(body.len() as u64));
    }
    (head.status, headers, body)
}

#[test]
fn each_address_answers_as_by_the_router() {
    for path in PATHS {
        for method in &METHODS {
            for body in BODIES {
                let (past, routed) = both(method, path, body).expect(path);
                assert_eq!(past, routed, "{method} {path} {body}");
            }
        }
    }
    // What is compared is not refusals alone.
    let (past, _) = both(&Method::POST, PATHS[0], BODIES[0]).unwrap();
    assert_eq!(past.0, StatusCode::OK, "{:?}", past.2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..config() })]

    #[test]
    fn any_address_answers_as_by_the_router(
        method in select(METHODS.to_vec()),
        pieces in vec(select(vec![
            "/", "/", "/v2/models/", "v2", "models", "linear", "iris", "infer", "/infer", "versions",
            "v1.1.0", "v2.0.0", "predict", "21", "-", ".", "..", "%2f", "%69", "%", "%ff", "?", "a=b", ";",
        ]), 0..7),
        body in select(BODIES.to_vec()),
    ) {
        let path = format!("/{}", pieces.concat());
        if let Some((past, routed)) = both(&method, &path, body) {
            prop_assert_eq!(past, routed, "{} {}", method, path);
        }
    }
}
