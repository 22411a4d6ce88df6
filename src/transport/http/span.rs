//! A request's own span, where requests are traced.

use std::time::Instant;

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use opentelemetry::KeyValue;

use super::{Http, answer::shown};
use crate::telemetry::trace::{Span, Traced};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// One request on its way.
pub(super) struct Passed {
    traced: Traced,
    /// What its span will say, where one is sent.
    said: Option<Box<Said>>,
}

struct Said {
    method: Method,
    path: String,
    since: Instant,
}

impl Passed {
    /// `request` begins, where requests are traced.
    pub(super) fn start<B>(http: &Http, request: &Request<B>) -> Option<Self> {
        let traces = http.traces.as_ref()?;
        let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
        let traced = traces.request(header(&PARENT), header(&STATE));
        let said = traced.is_sampled().then(|| {
            Box::new(Said {
                method: request.method().clone(),
                path: shown(request.uri().path()),
                since: Instant::now(),
            })
        });
        Some(Self { traced, said })
    }

    pub(super) fn traced(&self) -> Traced {
        self.traced.clone()
    }

    /// The request was answered.
    pub(super) fn answered(self, response: &mut Response) {
        if let Ok(parent) = HeaderValue::from_bytes(&self.traced.traceparent()) {
            response.headers_mut().insert(PARENT, parent);
        }
        if self.said.is_none() {
            return;
        }
        let status = response.status();
        let call = response.headers().get(&GRPC_STATUS);
        let call = call.and_then(|v| v.to_str().ok()).map(str::to_owned);
        self.finish(Some(status), call);
    }

    /// The caller went away first.
    pub(super) fn abandoned(self) {
        self.finish(None, None);
    }

    fn finish(self, status: Option<StatusCode>, call: Option<String>) {
        let Some(said) = self.said else {
            return;
        };
        let (route, mut attributes) = describe(&said.method, &said.path);
        if let Some(status) = status {
            attributes.push(KeyValue::new(
                "http.response.status_code",
                i64::from(status.as_u16()),
            ));
        }
        // Of a call that went well the status comes after the answer's body.
        let broke = call.as_deref().is_some_and(|code| BROKEN.contains(&code));
        if let Some(code) = call {
            attributes.push(KeyValue::new("rpc.response.status_code", code));
        }
        let failure = match status {
            None => Some("cancelled".to_owned()),
            Some(status) if status.is_server_error() => Some(status.to_string()),
            Some(_) => broke.then(|| "the call failed".to_owned()),
        };
        let span = Span {
            name: route.into(),
            start: said.since,
            end: Instant::now(),
            attributes,
            failure,
        };
        self.traced.finish(span);
    }
}

/// Statuses of gRPC that are this side's fault: Unknown, DeadlineExceeded,
/// Unimplemented, Internal, Unavailable, DataLoss.
const BROKEN: [&str; 6] = ["2", "4", "12", "13", "14", "15"];

/// The span's name, of which there are few, and what tells requests apart.
fn describe(method: &Method, path: &str) -> (String, Vec<KeyValue>) {
    if let Some(call) = path.strip_prefix('/')
        && let Some((service, name)) = call.split_once('/')
        && service.contains('.')
    {
        let attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", format!("{service}/{name}")),
        ];
        return (call.to_owned(), attributes);
    }
    let mut attributes = vec![
        KeyValue::new("http.request.method", method.to_string()),
        KeyValue::new("url.path", path.to_owned()),
    ];
    let Some(route) = route(path) else {
        return (method.to_string(), attributes);
    };
    attributes.push(KeyValue::new("http.route", route));
    (format!("{method} {route}"), attributes)
}

/// The form of the path, without names and numbers.
fn route(path: &str) -> Option<&'static str> {
    let mut parts = path.split('/').skip(1);
    let route = match (parts.next()?, parts.next(), path.rsplit('/').next()?) {
        ("predict", ..) => "/predict",
        ("models", ..) => "/models",
        ("v2", Some("models"), "infer") => "/v2/models/{model}/infer",
        ("v2", Some("models"), _) => "/v2/models/{model}",
        ("v2", ..) => "/v2",
        ("metrics", None, _) => "/metrics",
        ("figures", None, _) => "/figures",
        ("livez", None, _) => "/livez",
        ("readyz", None, _) => "/readyz",
        ("healthz", None, _) => "/healthz",
        _ => return None,
    };
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_model_and_no_number() {
        let name = |path: &str| describe(&Method::GET, path).0;
        assert_eq!(name("/predict/21"), "GET /predict");
        assert_eq!(
            name("/v2/models/a/versions/2/infer"),
            "GET /v2/models/{model}/infer"
        );
        assert_eq!(name("/v2/models/a"), "GET /v2/models/{model}");
        assert_eq!(name("/whatever"), "GET");
        assert_eq!(
            name("/inference.GRPCInferenceService/ModelInfer"),
            "inference.GRPCInferenceService/ModelInfer"
        );
    }
}
