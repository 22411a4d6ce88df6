#![doc = include_str!("ARCHITECTURE.md")]

pub mod app;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod repository;
pub mod review;
pub mod scheduler;
pub mod telemetry;
pub mod tensor;
pub mod transport;
