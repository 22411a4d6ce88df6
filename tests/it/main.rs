//! Behaviour of the service, through its public interfaces: the library in
//! this process, and the real binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it can't go on, its functions outside #[test] included"
)]

mod drain;
mod health;
mod predict;
mod repository;
mod service;
mod tidy;
