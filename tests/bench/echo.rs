//! The least that a server of these bytes can do: an axum route that reads a
//! body and writes it back, and a tonic call that does so with a message. What
//! `protocol.py` holds modelship against.

use std::{convert::Infallible, task::Poll};

use axum::{Router, body::Body, response::Response, routing::post};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tonic::{Request, Status, server::UnaryService};
use tonic_prost::ProstCodec;

async fn echo(body: Body) -> Result<Bytes, String> {
    body.collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|e| e.to_string())
}

#[derive(Clone)]
struct Echo;

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = std::future::Ready<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

impl tower::Service<axum::extract::Request> for Echo {
    type Response = Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::extract::Request) -> Self::Future {
        Box::pin(async move {
            let codec = ProstCodec::<Bytes, Bytes>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(64 << 20);
            Ok(grpc.unary(Echo, request).await.map(Body::new))
        })
    }
}

/// Serves on a free port of the loopback, and says which.
#[expect(clippy::print_stdout, reason = "the address is its output")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let router = Router::new()
        .route("/echo", post(echo))
        .route_service("/echo.Echo/Echo", Echo);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http2()
                .initial_stream_window_size(4 << 20)
                .initial_connection_window_size(16 << 20);
            // A client that goes away ends its connection.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
