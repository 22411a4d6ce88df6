//! What a caller may send.

use std::time::Duration;

use crate::error::Error;

/// Limits on what a caller may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: usize,
    /// The longest that a body may take to arrive.
    pub body_timeout: Duration,
}

impl Limits {
    /// The error of a body or a message beyond the limit.
    pub(super) fn too_large(self, what: &str) -> Error {
        Error::too_large(format!(
            "the {what} is larger than the {} bytes that are taken; the setting max-body-size \
             raises it",
            self.body
        ))
    }
}
