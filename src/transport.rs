//! Wire ⇄ tensors.
//!
//! Two transports, which never see each other: [`http`] and [`grpc`]. They share
//! the error table ([`status`]), what they do with an inference request
//! (`inference`), whether the server is ready ([`readiness`]), who may come in
//! ([`doors`], [`tls`]), and the event loops that carry their connections
//! ([`serve`]).

pub mod doors;
pub mod grpc;
pub mod http;
mod inference;
pub mod limits;
pub mod memory;
mod off_loop;
pub mod readiness;
pub mod serve;
pub mod status;
pub mod tls;
