//! gRPC: the Open Inference Protocol, health and reflection.
//!
//! Inference does not go through tonic's own reader and writer, which copy
//! every message: raw tensors go from the socket's buffers to the session with
//! one copy, and from the session to the socket with none.

mod contents;
mod health;
mod infer;
mod named;
mod reply;
mod service;
mod stream;
mod wire;

use std::sync::Arc;

use axum::{Router, routing::post};
use tonic::codec::CompressionEncoding::Gzip;

pub(super) use self::reply::refused;
use self::{proto::grpc_inference_service_server::GrpcInferenceServiceServer, service::Inference};
use super::{limits::Limits, memory::Budget, off_loop::LARGE, readiness::Readiness};
use crate::{
    catalog::{Catalog, Control},
    error::{Error, Result},
    transport::status,
};

/// The messages and the service of `inference.proto`.
mod proto {
    #![expect(
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        clippy::enum_variant_names,
        reason = "generated"
    )]
    tonic::include_proto!("inference");

    /// What reflection answers from.
    pub(super) const DESCRIPTORS: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/inference.bin"));
}

/// What the calls need to know.
pub struct Context {
    /// What is served.
    pub catalog: Catalog,
    /// Whether to be sent traffic.
    pub readiness: Readiness,
    /// Limits on what a caller may send.
    pub limits: Limits,
    /// What requests may take of memory.
    pub memory: Budget,
    /// The means to load and unload models, where callers may.
    pub control: Option<Control>,
}

/// The calls, by the paths that gRPC gives them.
///
/// # Errors
/// When the description of the service, which the build made, can't be read.
pub fn router(context: Context) -> Result<Router, tonic_reflection::server::Error> {
    let context = Arc::new(context);
    let limit = context.limits.body;
    let inference = GrpcInferenceServiceServer::new(Inference(Arc::clone(&context)))
        .accept_compressed(Gzip)
        // These hold names and flags; what is compressed is expanded on the loop.
        .max_decoding_message_size(limit.min(LARGE));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    const INFERENCE: &str = "/inference.GRPCInferenceService";
    Ok(Router::new()
        .route(&format!("{INFERENCE}/ModelInfer"), post(infer::infer))
        .route(
            &format!("{INFERENCE}/ModelStreamInfer"),
            post(stream::infer),
        )
        .route_service(&format!("{INFERENCE}/{{call}}"), inference)
        .route_service(
            "/grpc.health.v1.Health/{call}",
            health::service(context.readiness.clone()),
        )
        .route_service(
            "/grpc.reflection.v1.ServerReflection/{call}",
            reflection().build_v1()?,
        )
        .route_service(
            "/grpc.reflection.v1alpha.ServerReflection/{call}",
            reflection().build_v1alpha()?,
        )
        .with_state(context))
}

/// Whether `message`, which comes in pieces of `size` bytes, is an inference
/// request.
///
/// # Errors
/// `Invalid` where it is not.
pub fn check_message(message: &[u8], size: usize) -> Result<()> {
    wire::decode::<proto::ModelInferRequest>(message.chunks(size.max(1))).map(drop)
}

/// What the caller reads of `error`.
fn refusal(error: &Error) -> tonic::Status {
    let mut refusal = tonic::Status::new(status::grpc(error.kind()), error.public_message());
    if let Some(wait) = error.retry_after()
        && let Ok(value) = wait.as_millis().to_string().parse()
    {
        // gRPC's own word for it: clients with a retry policy wait so long.
        refusal
            .metadata_mut()
            .insert("grpc-retry-pushback-ms", value);
    }
    refusal
}
