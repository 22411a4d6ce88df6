//! What a caller may send, and how long it may take.

use std::time::Duration;

use crate::{
    error::{Error, Result},
    tensor::Shape,
    transport::inference::short,
};

/// Limits on what a request brings.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: usize,
    /// The longest that a body may take to arrive.
    pub body_timeout: Duration,
    /// How many times its own size a compressed body may become, where that is
    /// more than 8 MiB.
    pub ratio: usize,
    /// The most elements of one tensor.
    pub elements: usize,
    /// How many lists and objects of JSON may stand within each other.
    pub json_depth: usize,
}

/// What a compressed body may become in any case, in bytes. Zeros, which is what
/// people try a model with and pad a batch by, become a thousandth by gzip; so
/// much of them is an ordinary request. Of more, a few KiB would take what many
/// requests share.
const FLOOR: usize = 8 << 20;

impl Limits {
    /// None.
    pub const UNLIMITED: Self = Self {
        body: usize::MAX,
        body_timeout: Duration::MAX,
        ratio: usize::MAX,
        elements: usize::MAX,
        json_depth: usize::MAX,
    };

    /// The error of a body or a message beyond the limit.
    pub(super) fn too_large(self, what: &str) -> Error {
        Error::too_large(format!(
            "the {what} is larger than the {} bytes that are taken; the setting max-body-size \
             raises it",
            self.body
        ))
    }

    /// The error of a body or a message that does not come in time.
    pub(super) fn too_slow(self, what: &str) -> Error {
        Error::deadline(format!(
            "the {what} did not arrive within {:?}; the setting body-timeout gives it longer",
            self.body_timeout
        ))
    }

    /// Refuses a `shape` of too many elements, for the tensor called `name`.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(super) fn hold(self, name: &str, shape: &Shape) -> Result<()> {
        // One that can't be counted is refused where it is made.
        if shape.elements().unwrap_or(usize::MAX) <= self.elements {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "the tensor \"{}\" has the shape {shape}, which is more than the {} elements that are \
             taken; the setting max-tensor-elements raises it",
            short(name),
            self.elements
        )))
    }

    /// How many bytes may come of `compressed` ones.
    pub(super) fn expanded(self, compressed: usize) -> usize {
        let by_ratio = compressed.saturating_mul(self.ratio).max(FLOOR);
        self.body.min(by_ratio)
    }

    /// The error of more than [`expanded`](Self::expanded) allows.
    pub(super) fn expands_too_far(self, what: &str, compressed: usize) -> Error {
        if self.expanded(compressed) == self.body {
            return self.too_large(what);
        }
        Error::too_large(format!(
            "the {what} holds more than {} times its {compressed} compressed bytes: send it in \
             parts, or as it is; the setting max-compression-ratio raises the limit",
            self.ratio
        ))
    }
}

/// Limits on a connection, and on what it brings before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The most bytes of a request's head.
    pub head: usize,
    /// The longest that a head may take, and a connection's first bytes.
    pub head_timeout: Duration,
    /// How long a connection over HTTP/1 is kept that nobody uses.
    pub idle_timeout: Duration,
    /// Streams at once, over HTTP/2.
    pub streams: u32,
}

impl Connection {
    /// How large heads may be made. A parser of HTTP that knows of less would
    /// refuse what it has read ahead.
    pub const HEADS: std::ops::RangeInclusive<usize> = 8 * 1024..=16 << 20;
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            head_timeout: Duration::from_secs(15),
            // Longer than the 60 seconds for which load balancers commonly keep
            // one: where this side closes first, a request that is on its way is
            // lost.
            idle_timeout: Duration::from_secs(75),
            streams: 256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expands_has_a_floor_a_ratio_and_a_most() {
        let limits = Limits {
            body: 64 << 20,
            body_timeout: Duration::from_secs(1),
            ratio: 200,
            ..Limits::UNLIMITED
        };
        for (compressed, expanded) in [
            (0, FLOOR),
            (8_000, FLOOR),
            (FLOOR / 200 + 1, (FLOOR / 200 + 1) * 200),
            (100_000, 20_000_000),
            (1 << 20, 64 << 20),
            (usize::MAX, 64 << 20),
        ] {
            assert_eq!(limits.expanded(compressed), expanded, "{compressed}");
        }
        let error = limits.expands_too_far("body", 100_000);
        assert!(error.message().contains("200 times its 100000"), "{error}");
        assert!(error.message().contains("max-compression-ratio"));
        let error = limits.expands_too_far("body", 1 << 20);
        assert!(error.message().contains("max-body-size"), "{error}");
    }
}
