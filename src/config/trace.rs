//! Settings of traces.

use crate::telemetry::trace::{Protocol, Settings};

/// Where spans go, once all settings are read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// The collector; without one nothing is traced.
    pub endpoint: Option<String>,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The share of requests that are traced.
    pub share: f64,
}

impl Trace {
    /// The settings, where there is a collector.
    #[must_use]
    pub fn settings(&self) -> Option<Settings> {
        Some(Settings {
            endpoint: self.endpoint.clone()?,
            protocol: self.protocol,
            share: self.share,
        })
    }
}

pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    let is_http = host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace));
    if !is_http {
        return Err(format!(
            "\"{text}\" is not the address of a collector: write http://host:4317"
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    super::values::word(text, &[("grpc", Protocol::Grpc), ("http", Protocol::Http)])
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|s| (0.0..=1.0).contains(s));
    share.ok_or_else(|| format!("\"{text}\" is not a share from 0 to 1"))
}
