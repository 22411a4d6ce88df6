//! A request's body as it arrives: pieces are taken off its front, each in one
//! piece, with at most one copy.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::{
    error::{Error, Result},
    tensor::Buffer,
    transport::{limits::Limits, memory::Reserved},
};

/// What of a body has not been taken yet.
pub(super) struct Arrival {
    body: Body,
    /// Arrived, and not taken.
    pending: Bytes,
    arrived: usize,
    limits: Limits,
    /// What has arrived, where no length was announced.
    memory: Option<Reserved>,
}

impl Arrival {
    /// A body still on its way.
    ///
    /// # Errors
    /// `TooLarge` where it is announced to be so.
    pub(super) fn new(body: Body, limits: Limits, memory: &Reserved) -> Result<Self> {
        let announced = http_body::Body::size_hint(&body).exact();
        if http_body::Body::size_hint(&body).lower() > limits.body as u64 {
            return Err(limits.too_large("body"));
        }
        Ok(Self {
            body,
            pending: Bytes::new(),
            arrived: 0,
            limits,
            memory: announced.is_none().then(|| memory.another()),
        })
    }

    /// A body that is here.
    pub(super) fn whole(body: Bytes, limits: Limits) -> Self {
        Self {
            body: Body::empty(),
            pending: body,
            arrived: 0,
            limits,
            memory: None,
        }
    }

    /// Waits for more. `false` at the end of the body.
    async fn more(&mut self) -> Result<bool> {
        while self.pending.is_empty() {
            let Some(frame) = self.body.frame().await else {
                return Ok(false);
            };
            let frame =
                frame.map_err(|e| Error::invalid(format!("the body did not come whole: {e}")))?;
            if let Ok(data) = frame.into_data() {
                self.arrived += data.len();
                if self.arrived > self.limits.body {
                    return Err(self.limits.too_large("body"));
                }
                if let Some(memory) = &mut self.memory {
                    memory.take_piece(data.len())?;
                }
                self.pending = data;
            }
        }
        Ok(true)
    }

    /// The next `size` bytes, at a multiple of `alignment` in memory. `what`
    /// they are, for errors.
    ///
    /// # Errors
    /// `Invalid` when the body ends before.
    pub(super) async fn take(
        &mut self,
        size: usize,
        alignment: usize,
        what: &(dyn std::fmt::Display + Sync),
    ) -> Result<Bytes> {
        if size > self.limits.body {
            return Err(self.limits.too_large("body"));
        }
        if size > 0 {
            self.more().await?;
        }
        if self.pending.len() >= size && self.pending.as_ptr().align_offset(alignment) == 0 {
            return Ok(self.pending.split_to(size));
        }
        let mut buffer = Buffer::new(size);
        while buffer.missing() > 0 {
            if !self.more().await? {
                return Err(Error::invalid(format!(
                    "the body ends {} bytes before the end of {what}, which takes {size}",
                    buffer.missing()
                )));
            }
            let taken = buffer.fill(&self.pending);
            self.pending = self.pending.split_off(taken);
        }
        Ok(buffer.freeze())
    }

    /// All that is left.
    pub(super) async fn rest(&mut self) -> Result<Bytes> {
        let first = std::mem::take(&mut self.pending);
        if let Some(size) = http_body::Body::size_hint(&self.body).exact() {
            let left = usize::try_from(size).map_err(|_| self.limits.too_large("body"))?;
            self.pending = first;
            let size = self.pending.len() + left;
            return self.take(size, 1, &"the request").await;
        }
        // Only where no length was announced.
        let mut all: Vec<u8> = first.into();
        while self.more().await? {
            all.extend_from_slice(&std::mem::take(&mut self.pending));
        }
        Ok(all.into())
    }

    /// Whether nothing is left.
    pub(super) async fn is_over(&mut self) -> Result<bool> {
        Ok(!self.more().await?)
    }
}
