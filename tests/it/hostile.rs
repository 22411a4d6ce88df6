//! What anybody may send: no request makes the routes panic or fail, and each
//! refusal is a sentence in JSON.

mod direct;
mod requests;

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Frame;
use http_body_util::BodyExt as _;
use modelship::{
    catalog::{Loader, Manager, Origin, VersionPolicy},
    repository::signature::Trusted,
    scheduler::{Background, Host, Settings},
    telemetry::{BuildInfo, Metrics, recent::Recent},
    transport::{
        http::{Context as HttpContext, Front, Http, router},
        limits::Limits,
        memory::Budget,
        readiness::{Readiness, Stage},
    },
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::FileFailurePersistence};
use tower::ServiceExt as _;

use self::requests::{body, headers, inference, method, target};
use crate::service::{models, onnx_runtime};

/// The largest body that is taken here.
const LARGEST: usize = 16 * 1024;

/// What the routes know of the shipped models, made once.
fn http() -> &'static Http {
    static HTTP: OnceLock<Http> = OnceLock::new();
    HTTP.get_or_init(|| {
        let metrics = Metrics::new(BuildInfo {
            version: "v0.0.0".to_owned(),
            commit: String::new(),
        });
        let loader = Loader {
            trust: Trusted::default(),
            engine: onnx_runtime(),
            host: Host {
                event_loops: 1,
                cpus: 1,
                background: Background::Nice,
            },
            defaults: Settings::default(),
            origin: Origin::default(),
            metrics: metrics.clone(),
        };
        let default = Some(Arc::from("linear"));
        let (mut manager, catalog) =
            Manager::new(&models(), loader, VersionPolicy::default(), default);
        let pass = manager.pass();
        assert_eq!(pass.loaded.len(), 2, "{pass:?}");
        let readiness = Readiness::new(metrics.clone());
        readiness.enter(Stage::Ready);
        Http::new(HttpContext {
            catalog,
            readiness,
            recent: Recent::new(metrics.clone()),
            traces: None,
            metrics,
            memory: Budget::new(1 << 30),
            limits: Limits {
                body: LARGEST,
                body_timeout: Duration::from_millis(50),
                ratio: 200,
                ..Limits::UNLIMITED
            },
            control: None,
            access_log: true,
            access_log_share: 1.0,
        })
    })
}

/// The routes before the shipped models.
fn front() -> Front<axum::Router> {
    Front::new(http().clone(), router(http().clone()))
}

/// A body that comes in pieces; where it is not whole, it never ends.
struct Pieces {
    left: VecDeque<Bytes>,
    whole: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.whole => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn pieces(body: &[u8], size: usize, whole: bool) -> Body {
    let left = body
        .chunks(size.max(1))
        .map(Bytes::copy_from_slice)
        .collect();
    Body::new(Pieces { left, whole })
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

fn ask(request: Request<Body>) -> Answer {
    let front = front();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let response = front.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    })
}

fn post(path: &str, body: Body) -> Answer {
    ask(Request::post(path).body(body).unwrap())
}

impl Answer {
    /// The sentence of a refusal, which has the form that all have.
    fn refusal(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "{json}");
        let sentence = object["error"].as_str().unwrap();
        assert!(sentence.split(' ').count() > 2, "no sentence: {sentence:?}");
        assert!(sentence.len() < 2000, "{} bytes", sentence.len());
        assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
        sentence.to_owned()
    }

    /// Holds for every answer, whatever was asked.
    fn is_in_form(&self, method: &Method, path: &str, has_timeout: bool) {
        let status = self.status.as_u16();
        let designed = status < 500 || status == 501 || (status == 504 && has_timeout);
        assert!(designed, "{status}: {:?}", self.body);
        assert_eq!(self.headers.get_all("x-request-id").iter().count(), 1);
        if status == 204 {
            assert!(self.headers.contains_key("allow") && self.body.is_empty());
            return;
        }
        if path == "/metrics" && status == 200 {
            return;
        }
        // Binary tensors follow their JSON.
        if let Some(length) = self.headers.get("inference-header-content-length") {
            assert_eq!(self.headers["content-type"], "application/octet-stream");
            let length: usize = length.to_str().unwrap().parse().unwrap();
            serde_json::from_slice::<serde_json::Value>(&self.body[..length]).unwrap();
            return;
        }
        assert_eq!(self.headers["content-type"], "application/json");
        if method == Method::HEAD {
            assert!(self.body.is_empty());
        } else if status >= 400 {
            self.refusal();
        } else {
            serde_json::from_slice::<serde_json::Value>(&self.body).unwrap();
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::with_cases(1500)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_request_is_answered_in_form(
        method in method(),
        target in target(),
        headers in headers(),
        body in body(),
        size in 1..5000usize,
    ) {
        // What is no URI or header never gets past the connection.
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let path = uri.path().to_owned();
        let mut request = Request::new(pieces(&body, size, true));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(HeaderName::try_from(name).unwrap(), value);
            }
        }
        let has_timeout = request.headers().contains_key("request-timeout");
        ask(request).is_in_form(&method, &path, has_timeout);
    }

    #[test]
    fn any_rows_are_answered_in_form(body in body(), model in select(vec!["", "/iris"]), size in 1..5000usize) {
        let answer = post(&format!("/predict{model}"), pieces(&body, size, true));
        prop_assert!([200, 400, 413, 501].contains(&answer.status.as_u16()), "{}", answer.status);
        answer.is_in_form(&Method::POST, "/predict", false);
    }

    #[test]
    fn any_inference_is_answered_in_form(
        body in prop_oneof![
            3 => (inference(), vec(any::<u8>(), 0..20)).prop_map(|(text, more)| [text.into_bytes(), more].concat()),
            2 => inference().prop_map(String::into_bytes),
            1 => body(),
        ],
        length in prop::option::of(prop_oneof![Just(0), 0..2000usize, Just(usize::MAX)]),
        whole in any::<bool>(),
        model in select(vec!["linear", "iris", "linear/versions/v1.1.0", "linear/versions/x"]),
        size in 1..5000usize,
    ) {
        let path = format!("/v2/models/{model}/infer");
        let mut request = Request::post(&path).body(pieces(&body, size, true)).unwrap();
        // Of the whole JSON, or of anything.
        let length = if whole { length.map(|_| body.len()) } else { length };
        if let Some(length) = length {
            request.headers_mut().insert("inference-header-content-length", length.into());
        }
        ask(request).is_in_form(&Method::POST, &path, true);
    }

    #[test]
    fn sound_rows_are_answered_one_by_one(
        rows in vec([-1e6f32..1e6, -1e6f32..1e6, -1e6f32..1e6, -1e6f32..1e6], 1..20),
        size in 1..500usize,
    ) {
        let names: Vec<String> = {
            let card = ask(Request::get("/models/iris").body(Body::empty()).unwrap());
            let card: serde_json::Value = serde_json::from_slice(&card.body).unwrap();
            let inputs = card["inputs"].as_array().unwrap();
            inputs.iter().map(|i| i["name"].as_str().unwrap().to_owned()).collect()
        };
        let predictions = |rows: serde_json::Value| {
            let body = rows.to_string();
            let answer = post("/predict/iris", pieces(body.as_bytes(), size, true));
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            answer["predictions"].as_array().unwrap().clone()
        };
        let together = predictions(serde_json::json!(rows));
        prop_assert_eq!(together.len(), rows.len());
        let by_name = rows.iter().map(|row| {
            // From the last to the first: the order is the caller's.
            let cells = names.iter().zip(row).rev();
            let cells: Vec<_> = cells.map(|(name, cell)| format!("\"{name}\":{cell}")).collect();
            format!("{{{}}}", cells.join(","))
        });
        let by_name = by_name.collect::<Vec<_>>().join(",");
        let answer = post("/predict/iris", pieces(format!("{{\"rows\":[{by_name}]}}").as_bytes(), size, true));
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        prop_assert_eq!(&answer["predictions"], &serde_json::json!(together));
        for (row, prediction) in rows.iter().zip(&together) {
            prop_assert_eq!(&predictions(serde_json::json!([row]))[0], prediction);
        }
    }
}

#[test]
fn nesting_of_any_depth_is_refused() {
    for open in ["[", "{\"rows\":", "[[", "[{\"distance_km\":"] {
        for depth in [3, 100, 200, LARGEST / open.len()] {
            let answer = post("/predict", open.repeat(depth).into());
            assert_eq!(answer.status, 400, "{open} {depth}");
            answer.refusal();
        }
    }
    let closed = "[".repeat(8000) + &"]".repeat(8000);
    let answer = post("/predict", closed.into());
    assert_eq!(answer.status, 400);
    assert!(
        answer.refusal().contains("takes a number"),
        "{}",
        answer.refusal()
    );
}

#[test]
fn a_body_over_the_limit_is_refused_however_it_comes() {
    let sound = format!("[[1]{}]", " ".repeat(LARGEST - 5));
    assert_eq!(sound.len(), LARGEST);
    assert_eq!(post("/predict", sound.clone().into()).status, 200);
    assert_eq!(
        post("/predict", pieces(sound.as_bytes(), 1000, true)).status,
        200
    );
    let large = sound + " ";
    for body in [
        Body::from(large.clone()),
        pieces(large.as_bytes(), 1000, true),
        // Refused as soon as it is known to be too large.
        pieces(large.as_bytes(), 1000, false),
    ] {
        let answer = post("/predict", body);
        assert_eq!(answer.status, 413);
        assert!(answer.refusal().contains("max-body-size"));
    }
}

#[test]
fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let answer = post("/predict", pieces(b"[[1]", 1, false));
    assert_eq!(answer.status, 504);
    assert!(
        answer.refusal().contains("did not arrive"),
        "{}",
        answer.refusal()
    );
}

#[test]
fn what_a_refusal_quotes_is_cut() {
    let long = "x".repeat(10_000);
    for body in [
        format!("{{\"{long}\":1}}"),
        format!("[{{\"{long}\":1}}]"),
        format!("[[\"{long}\"]]"),
        format!("[[1{long}]]"),
        format!("[[{}]]", "9".repeat(10_000)),
    ] {
        let answer = post("/predict", body.into());
        assert_eq!(answer.status, 400);
        assert!(answer.refusal().len() < 400, "{}", answer.refusal());
    }
    for path in [
        format!("/{long}"),
        format!("/models/{long}"),
        format!("/predict/{long}"),
        format!("/predict/{long}/21"),
        format!("/predict/21?{long}"),
        format!("/v2/models/{long}"),
        format!("/v2/models/linear/versions/{long}"),
        format!("/v2/models/{long}/versions/x/ready"),
    ] {
        let answer = ask(Request::get(&path).body(Body::empty()).unwrap());
        assert!(answer.status.is_client_error());
        assert!(answer.refusal().len() < 400, "{}", answer.refusal());
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_a_sentence() {
    for path in [
        "/predict/%ff",
        "/predict/%ff/21",
        "/predict/linear/%ff",
        "/models/%ff",
    ] {
        let answer = ask(Request::get(path).body(Body::empty()).unwrap());
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.refusal().contains("UTF-8"), "{}", answer.refusal());
    }
    let answer = post("/predict", Body::from(&b"[[\xff]]"[..]));
    assert_eq!(answer.status, 400);
    assert!(answer.refusal().contains("not UTF-8 from byte 2"));
}
