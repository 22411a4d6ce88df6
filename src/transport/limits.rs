//! What a caller may send.

use std::time::Duration;

/// Limits on what a caller may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: usize,
    /// The longest that a body may take to arrive.
    pub body_timeout: Duration,
}
