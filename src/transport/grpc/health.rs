//! `grpc.health.v1`: what Kubernetes' gRPC probes and grpcurl ask.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_stream::{Stream, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use crate::transport::readiness::{Readiness, Stage};

/// The services whose health there is: the server as a whole, and inference.
const SERVICES: [&str; 2] = ["", "inference.GRPCInferenceService"];

/// The service.
pub(super) fn service(readiness: Readiness) -> HealthServer<impl Health> {
    HealthServer::new(Ready(readiness))
}

struct Ready(Readiness);

fn response(stage: Stage) -> HealthCheckResponse {
    let status = match stage {
        Stage::Ready => ServingStatus::Serving,
        Stage::Starting | Stage::Draining => ServingStatus::NotServing,
    };
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for Ready {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !SERVICES.contains(&service.as_str()) {
            return Err(Status::not_found(
                "health is known of \"\" and of \"inference.GRPCInferenceService\"",
            ));
        }
        Ok(Response::new(response(self.0.stage())))
    }

    type WatchStream = Stages;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Stages>, Status> {
        let service = request.into_inner().service;
        Ok(Response::new(Stages {
            stages: WatchStream::new(self.0.watch()),
            is_known: SERVICES.contains(&service.as_str()),
            is_over: false,
        }))
    }
}

/// The stages as they come. The last ends it, or the drain would wait for it.
struct Stages {
    stages: WatchStream<Stage>,
    is_known: bool,
    is_over: bool,
}

impl Stream for Stages {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let stage = ready!(Pin::new(&mut self.stages).poll_next(cx));
        let Some(stage) = stage else {
            return Poll::Ready(None);
        };
        self.is_over = stage == Stage::Draining;
        Poll::Ready(Some(Ok(if self.is_known {
            response(stage)
        } else {
            HealthCheckResponse {
                status: ServingStatus::ServiceUnknown.into(),
            }
        })))
    }
}
