//! The limit of the HTTP stack: modelship's own event loops with one axum
//! route that gives the answer without a model.
//!
//! usage: bare ADDRESS [--answer FILE] [--content-type TYPE] [--grpc] [--stock]
//!
//! `GET /predict/{n}` is answered as modelship answers it for its model of
//! deliveries. Any POST is read whole and answered with the bytes of FILE;
//! with `--grpc` as a message of gRPC. With `--stock` by `axum::serve` on
//! tokio's threads, as axum's own examples do. SIGTERM and SIGINT end it.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{Path, Request},
    response::Response,
    routing::get,
    serve::ListenerExt as _,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use clap::{Arg, ArgAction, Command, value_parser};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, Full};
use modelship::{
    telemetry::{BuildInfo, Metrics},
    tensor::write_number,
    transport::{
        limits,
        serve::{Capacity, Drain, EventLoops, Ways},
    },
};
use tokio::{net::TcpListener, signal::unix};

fn main() -> anyhow::Result<()> {
    let flags = Command::new("bare")
        .arg(Arg::new("address").required(true))
        .arg(
            Arg::new("answer")
                .long("answer")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("content-type")
                .long("content-type")
                .default_value("application/json"),
        )
        .arg(Arg::new("grpc").long("grpc").action(ArgAction::SetTrue))
        .arg(Arg::new("stock").long("stock").action(ArgAction::SetTrue))
        .get_matches();
    let answer = match flags.get_one::<PathBuf>("answer") {
        Some(file) => std::fs::read(file).with_context(|| file.display().to_string())?,
        None => Vec::new(),
    };
    let answer = if flags.get_flag("grpc") {
        Answer::grpc(&answer)
    } else {
        let kind: &String = flags.get_one("content-type").context("no content type")?;
        Answer::http(answer.into(), kind)?
    };
    let router = Router::new()
        .route("/predict/{n}", get(predict))
        .fallback(move |request: Request| answer.clone().give(request));
    let address: &String = flags.get_one("address").context("no address")?;
    if flags.get_flag("stock") {
        return tokio::runtime::Runtime::new()?.block_on(serve_stock(address, router));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(address, router))
}

/// Until SIGTERM or SIGINT.
fn stop() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn serve_stock(address: &str, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    let stop = stop()?;
    // Connections that are kept open would hold it up.
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served?,
        () = stop => {}
    }
    Ok(())
}

async fn serve(address: &str, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    // As many as modelship starts.
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let stop = stop()?;
    let drain = Drain {
        pause: Duration::ZERO,
        timeout: Duration::from_secs(1),
    };
    let ways = Ways {
        tls: None,
        models: true,
        capacity: Capacity {
            connections: 1_000_000,
            reserve: 0,
        },
        limits: limits::Connection::default(),
        metrics: Metrics::new(BuildInfo {
            version: String::new(),
            commit: String::new(),
        }),
    };
    EventLoops::start(count, &router, ways)?
        .serve(listener, stop, || {}, drain)
        .await?;
    Ok(())
}

async fn predict(Path(n): Path<f32>) -> Response {
    let mut out = Vec::with_capacity(96);
    out.extend_from_slice(b"{\"input\":");
    write_number(n, &mut out);
    out.extend_from_slice(b",\"prediction\":");
    write_number(2.0 * n + 6.0, &mut out);
    out.extend_from_slice(b",\"model_version\":\"v1.1.0\"}");
    let mut response = Response::new(Body::from(out));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// What a POST is answered with.
#[derive(Clone)]
struct Answer {
    body: Bytes,
    kind: HeaderValue,
    trailers: Option<HeaderMap>,
}

impl Answer {
    fn http(body: Bytes, kind: &str) -> anyhow::Result<Self> {
        Ok(Self {
            body,
            kind: kind.parse()?,
            trailers: None,
        })
    }

    fn grpc(message: &[u8]) -> Self {
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        framed.put_slice(message);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Self {
            body: framed.freeze(),
            kind: HeaderValue::from_static("application/grpc"),
            trailers: Some(trailers),
        }
    }

    async fn give(self, request: Request) -> Response {
        // Read whole, as whoever uses it must; its bytes are of no use here.
        let read = request.into_body().collect().await;
        if read.is_err() {
            let mut response = Response::default();
            *response.status_mut() = http::StatusCode::BAD_REQUEST;
            return response;
        }
        let body = Full::new(self.body);
        let mut response = match self.trailers {
            None => Response::new(Body::new(body)),
            Some(trailers) => {
                let trailers = std::future::ready(Some(Ok(trailers)));
                Response::new(Body::new(body.with_trailers(trailers)))
            }
        };
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, self.kind);
        response
    }
}
