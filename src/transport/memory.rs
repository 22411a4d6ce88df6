//! Memory for requests: what they may take in all, so that no number of them
//! makes the kernel end the process.
//!
//! A request takes its part before the memory itself is taken: for its body,
//! for the tensors that are made from it, and for the answer. What it has taken
//! is given back when its [`Reserved`] drops.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::{
    error::{Error, Result},
    telemetry::RequestMemory,
};

/// What all requests may take together. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<RequestMemory>);

/// What one request has taken; given back when it drops.
#[derive(Debug)]
pub struct Reserved {
    budget: Budget,
    bytes: usize,
    /// Seen, and not taken yet.
    pieces: usize,
}

/// What is smaller than this takes nothing: connections and queues have limits
/// of their own, and the count would cost such a request more than it tells.
const SMALL: usize = 16 * 1024;

impl Budget {
    /// At most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self::shown(most, Arc::default())
    }

    /// The same, whose figures `memory` shows.
    #[must_use]
    pub fn shown(most: usize, memory: Arc<RequestMemory>) -> Self {
        memory.most.store(most, Relaxed);
        Self(memory)
    }

    /// What a request has that has taken nothing yet.
    #[must_use]
    pub fn begin(&self) -> Reserved {
        Reserved {
            budget: self.clone(),
            bytes: 0,
            pieces: 0,
        }
    }

    /// How much is taken now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.load(Relaxed)
    }
}

impl Reserved {
    /// Another, of the same budget, that has taken nothing.
    #[must_use]
    pub fn another(&self) -> Self {
        self.budget.begin()
    }

    /// `response`, whose body keeps what is taken until it is sent.
    #[must_use]
    pub fn kept_until_sent(self, response: Response) -> Response {
        if self.bytes == 0 {
            return response;
        }
        response.map(|body| Body::new(Kept { body, _taken: self }))
    }

    /// Takes `bytes` more for a piece of something whose size nobody said:
    /// small ones add up.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_piece(&mut self, bytes: usize) -> Result<()> {
        self.pieces += bytes;
        if self.pieces < SMALL {
            return Ok(());
        }
        let pieces = std::mem::take(&mut self.pieces);
        self.take(pieces)
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// `TooLarge` where the request would take more than there is for all,
    /// `Overloaded` where others have it now.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        if bytes < SMALL {
            return Ok(());
        }
        let most = self.budget.0.most.load(Relaxed);
        let own = self.bytes.saturating_add(bytes);
        if own > most {
            return Err(Error::too_large(format!(
                "the request would take {own} bytes of memory, and requests may take {most} in \
                 all: send it in parts; the setting request-memory raises the limit"
            )));
        }
        let taken = &self.budget.0.taken;
        let before = taken.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > most {
            taken.fetch_sub(bytes, Relaxed);
            self.budget.0.refused.fetch_add(1, Relaxed);
            return Err(Error::overloaded(
                "other requests have the memory that this one would take; try again later",
                Duration::from_secs(1),
            ));
        }
        self.bytes = own;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// How many times its own size JSON may take as tensors: two bytes, `1,`, may
/// become eight, and there are the texts of cells on the way.
pub const JSON: usize = 4;

/// How many times its size a binary tensor takes: aligned, and once more where
/// it is put together with others.
pub const BINARY: usize = 2;

/// How many bytes of JSON an element of an answer takes.
pub const ELEMENT: usize = 16;

/// A body that keeps what was taken for it, and is otherwise as it was: who
/// reads it is told its length.
struct Kept {
    body: Body,
    _taken: Reserved,
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_taken_is_given_back() {
        let budget = Budget::new(100 * 1024);
        let mut one = budget.begin();
        one.take(1024).unwrap();
        assert_eq!(budget.taken(), 0);
        one.take(60 * 1024).unwrap();
        let mut other = budget.begin();
        let refused = |r: Result<()>| r.unwrap_err().kind();
        assert_eq!(refused(other.take(50 * 1024)), Kind::Overloaded);
        assert_eq!(refused(other.take(101 * 1024)), Kind::TooLarge);
        // With what it has, it could never fit.
        assert_eq!(refused(one.take(50 * 1024)), Kind::TooLarge);
        drop(one);
        assert_eq!(budget.taken(), 0);
        other.take(100 * 1024).unwrap();
        assert_eq!(budget.taken(), 100 * 1024);
    }
}
