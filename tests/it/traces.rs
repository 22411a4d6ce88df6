//! Traces, as a collector receives them.

use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use prost::Message;

use crate::{
    checkout::fixture,
    repository::Repository,
    service::{Service, agent, models, send},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A collector on a port of its own, by both of the protocol's ways.
struct Collector {
    address: SocketAddr,
    requests: Receiver<ExportTraceServiceRequest>,
    spans: Vec<Span>,
}

#[derive(Clone)]
struct Taking(Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Taking {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let _ = self.0.send(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn take(State(taking): State<Taking>, body: Bytes) -> Vec<u8> {
    let _ = taking
        .0
        .send(ExportTraceServiceRequest::decode(body).unwrap());
    ExportTraceServiceResponse::default().encode_to_vec()
}

impl Collector {
    fn start() -> Self {
        let (sender, requests) = channel();
        let (tell, told) = channel();
        thread::spawn(move || {
            let taking = Taking(sender);
            let router = Router::new()
                .route_service(
                    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                    TraceServiceServer::new(taking.clone()),
                )
                .route("/v1/traces", post(take))
                .with_state(taking);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self {
            address: told.recv().unwrap(),
            requests,
            spans: Vec::new(),
        }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first span that `wanted` likes, once it has come.
    fn span(&mut self, wanted: impl Fn(&Span) -> bool) -> Span {
        loop {
            if let Some(span) = self.spans.iter().find(|span| wanted(span)) {
                return span.clone();
            }
            let request = self.requests.recv_timeout(PATIENCE);
            let request = request.unwrap_or_else(|e| panic!("{e}: {:#?}", self.spans));
            let scopes = request.resource_spans.into_iter().flat_map(|r| {
                let resource = r.resource.unwrap();
                assert!(resource.attributes.iter().any(|a| a.key == "service.name"));
                r.scope_spans
            });
            self.spans.extend(scopes.flat_map(|s| s.spans));
        }
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks with headers, and gives the header `traceparent` of the answer.
fn ask(service: &Service, path: &str, headers: &[(&str, &str)]) -> Option<String> {
    let response = headers
        .iter()
        .fold(agent().get(service.url(path)), |r, (k, v)| r.header(*k, *v))
        .call()
        .unwrap();
    let parent = response.headers().get("traceparent")?;
    Some(parent.to_str().unwrap().to_owned())
}

#[test]
fn a_request_is_a_part_of_its_caller_s_trace() {
    for protocol in ["grpc", "http"] {
        let mut collector = Collector::start();
        let service = Service::start(
            &models(),
            &[
                ("trace-endpoint", &collector.endpoint()),
                ("trace-protocol", protocol),
            ],
        );
        let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
        let answered = ask(&service, "/predict/linear/21", &headers).unwrap();
        let request = collector.span(|s| s.name == "GET /predict");
        assert_eq!(hex(&request.trace_id), TRACE);
        assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
        assert_eq!(request.trace_state, "vendor=1");
        assert_eq!(answered, format!("00-{TRACE}-{}-01", hex(&request.span_id)));
        for name in ["queue", "compute"] {
            let part = collector.span(|s| s.name == name);
            assert_eq!(part.parent_span_id, request.span_id, "{name}");
            assert_eq!(hex(&part.trace_id), TRACE, "{name}");
            assert!(part.start_time_unix_nano >= request.start_time_unix_nano);
            assert!(part.end_time_unix_nano <= request.end_time_unix_nano);
        }
    }
}

/// `ModelInfer`'s messages, as far as they are needed here.
#[derive(Clone, PartialEq, Message)]
struct Asked {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<Input>,
}

#[derive(Clone, PartialEq, Message)]
struct Input {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    contents: Option<Contents>,
}

#[derive(Clone, PartialEq, Message)]
struct Contents {
    #[prost(float, repeated, tag = "6")]
    fp32: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct Answered {
    #[prost(string, tag = "2")]
    model_version: String,
}

/// Calls `linear` over gRPC with trace context, and gives the answer's.
async fn call(address: SocketAddr) -> String {
    let channel = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(Asked {
        model_name: "linear".to_owned(),
        inputs: vec![Input {
            name: "distance_km".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 1],
            contents: Some(Contents { fp32: vec![21.0] }),
        }],
    });
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", PARENT.parse().unwrap());
    metadata.insert("tracestate", "vendor=1".parse().unwrap());
    let path = http::uri::PathAndQuery::from_static("/inference.GRPCInferenceService/ModelInfer");
    let codec = tonic_prost::ProstCodec::<Asked, Answered>::default();
    let answer = client.unary(request, path, codec).await.unwrap();
    assert_eq!(answer.get_ref().model_version, "v1.1.0");
    let parent = answer.metadata().get("traceparent").unwrap();
    parent.to_str().unwrap().to_owned()
}

#[test]
fn a_call_is_a_part_of_its_caller_s_trace() {
    let mut collector = Collector::start();
    let endpoint = collector.endpoint();
    let service = Service::start(&models(), &[("trace-endpoint", &endpoint)]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let answered = runtime.block_on(call(service.address));
    let request = collector.span(|s| s.name == "inference.GRPCInferenceService/ModelInfer");
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(request.trace_state, "vendor=1");
    assert_eq!(answered, format!("00-{TRACE}-{}-01", hex(&request.span_id)));
    for name in ["queue", "compute"] {
        let part = collector.span(|s| s.name == name);
        assert_eq!(part.parent_span_id, request.span_id, "{name}");
    }
}

#[test]
fn what_its_caller_or_the_share_leaves_out_is_not_sent() {
    let mut collector = Collector::start();
    let endpoint = collector.endpoint();
    let service = Service::start(
        &models(),
        &[("trace-endpoint", &endpoint), ("trace-share", "0")],
    );
    let answered = ask(
        &service,
        "/predict/linear/1",
        &[("traceparent", NOT_SAMPLED)],
    )
    .unwrap();
    assert!(answered.starts_with(&format!("00-{TRACE}-")), "{answered}");
    assert!(answered.ends_with("-00"), "{answered}");
    let answered = ask(&service, "/predict/linear/2", &[]).unwrap();
    assert!(answered.ends_with("-00"), "{answered}");
    // What is no trace context is none.
    assert!(
        ask(
            &service,
            "/predict/linear/3",
            &[("traceparent", "00-0-0-01")]
        )
        .is_some()
    );
    // The last one is taken, and so nothing is on its way any more.
    ask(&service, "/predict/linear/4", &[("traceparent", PARENT)]);
    let request = collector.span(|s| s.name == "GET /predict");
    assert_eq!(hex(&request.trace_id), TRACE);
    drop(service);
    assert!(collector.spans.iter().all(|s| hex(&s.trace_id) == TRACE));
}

#[test]
fn requests_that_ran_together_are_linked() {
    let mut collector = Collector::start();
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "[scheduling]\nplacement = \"threads\"\nmax_queue_delay = \"10s\"\nmax_batch_size = 2\ninstances = 1\n");
    let service = Service::start(
        repository.path(),
        &[("trace-endpoint", &collector.endpoint())],
    );
    let url = service.url("/predict/21");
    let other = thread::spawn(move || send(&agent(), &url, "GET", &[], b"").status);
    assert_eq!(service.get("/predict/4").status, 200);
    assert_eq!(other.join().unwrap(), 200);
    let batch = collector.span(|s| s.name == "batch");
    assert_eq!(batch.links.len(), 2);
    for link in &batch.links {
        let request = collector.span(|s| s.span_id == link.span_id);
        assert_eq!(request.name, "GET /predict");
        let compute =
            collector.span(|s| s.name == "compute" && s.parent_span_id == request.span_id);
        assert_eq!(compute.links[0].span_id, batch.span_id);
    }
}

#[test]
fn a_failure_on_this_side_is_one_in_the_trace() {
    let mut collector = Collector::start();
    let repository = Repository::empty();
    repository.put_graph("rounds", &std::fs::read(fixture("rounds.onnx")).unwrap());
    let service = Service::start(
        repository.path(),
        &[
            ("trace-endpoint", &collector.endpoint()),
            ("max-run-time", "100ms"),
            ("placement", "threads"),
        ],
    );
    assert_eq!(service.get("/predict/1000000000000000").status, 504);
    let request = collector.span(|s| s.name == "GET /predict");
    assert_eq!(request.status.unwrap().code, 2);
    let compute = collector.span(|s| s.name == "compute");
    assert_eq!(compute.status.unwrap().message, "deadline");
}

#[test]
fn a_collector_that_is_away_costs_no_request() {
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let service = Service::start(&models(), &[("trace-endpoint", &endpoint)]);
    for _ in 0..50 {
        assert_eq!(service.get("/predict/linear/21").json()["prediction"], 48);
    }
    let dropped = |text: &str| {
        let line = text
            .lines()
            .find(|l| l.starts_with("modelship_spans_total{outcome=\"dropped\"}"));
        line.and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
    };
    while dropped(&service.get("/metrics").body).is_none_or(|n| n < 1.0) {
        thread::yield_now();
    }
}

#[test]
fn off_there_is_nothing_of_it() {
    let service = Service::start(&models(), &[]);
    assert_eq!(
        ask(&service, "/predict/linear/21", &[("traceparent", PARENT)]),
        None
    );
}
