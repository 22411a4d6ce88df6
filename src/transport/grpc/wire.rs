//! gRPC's framing: messages out of a request's body.

use std::{
    collections::VecDeque,
    io::Cursor,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use http_body_util::BodyExt;
use prost::Message;

use super::named::named;
use crate::{
    error::{Error, Result},
    tensor::Buffer,
    transport::{
        limits::Limits,
        memory::{self, Reserved},
        off_loop::Expansion,
    },
};

/// Before each message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The messages of a request, as they arrive.
pub(super) struct Messages {
    body: Body,
    frames: Frames,
    is_gzip: bool,
    limits: Limits,
    /// What the message that is being read takes.
    memory: Reserved,
}

impl Messages {
    /// The messages of `body`, which came with `headers`.
    ///
    /// # Errors
    /// `Unsupported` for a way to compress that is not known here.
    pub(super) fn new(
        headers: &HeaderMap,
        body: Body,
        limits: Limits,
        memory: Reserved,
    ) -> Result<Self> {
        let is_gzip = match headers.get("grpc-encoding").map(|v| v.as_bytes()) {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => {
                return Err(Error::unsupported(
                    "grpc-encoding names a way to compress that is not known here; there is gzip",
                ));
            }
        };
        Ok(Self {
            body,
            frames: Frames::default(),
            is_gzip,
            limits,
            memory,
        })
    }

    /// What the message takes that was read last: to be kept as long as it is.
    pub(super) fn reserved(&mut self) -> Reserved {
        let next = self.memory.another();
        std::mem::replace(&mut self.memory, next)
    }

    /// Whether the caller compresses, and so is answered alike.
    pub(super) fn is_gzip(&self) -> bool {
        self.is_gzip
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// `Invalid` for what is no such message, `TooLarge` beyond the limit,
    /// `Deadline` when it comes too slowly.
    pub(super) async fn next<M: Message + Default>(&mut self) -> Result<Option<M>> {
        self.next_admitted(&|_, _| Ok(())).await
    }

    /// The same, of a message that `admit` lets in by what it names first: the
    /// model and its version. One that is not let in is not read.
    ///
    /// # Errors
    /// As [`next`](Self::next), and as `admit`.
    pub(super) async fn next_admitted<M: Message + Default>(
        &mut self,
        admit: &(dyn Fn(&str, &str) -> Result<()> + Sync),
    ) -> Result<Option<M>> {
        // An idle stream may stay idle: the time runs from the first byte on.
        if !self.fill(1).await? {
            return Ok(None);
        }
        let limits = self.limits;
        tokio::time::timeout(limits.body_timeout, self.whole(admit))
            .await
            .unwrap_or_else(|_| Err(limits.too_slow("message")))
            .map(Some)
    }

    async fn whole<M: Message + Default>(
        &mut self,
        admit: &(dyn Fn(&str, &str) -> Result<()> + Sync),
    ) -> Result<M> {
        let cut = || Error::invalid("the body ends within a message");
        if !self.fill(PREFIX).await? {
            return Err(cut());
        }
        let is_compressed = self.frames.get_u8();
        let length = usize::try_from(self.frames.get_u32()).unwrap_or(usize::MAX);
        if length > self.limits.body {
            return Err(self.limits.too_large("message"));
        }
        if length > 0 && is_compressed == 0 {
            if !self.fill(1).await? {
                return Err(cut());
            }
            if let Some((model, version)) = named(self.frames.chunk(), length) {
                admit(model, version)?;
            }
        }
        self.memory.take(length * (1 + memory::BINARY))?;
        if !self.fill(length).await? {
            return Err(cut());
        }
        match is_compressed {
            0 => {
                // What a message that can't be read leaves is dropped with it.
                M::decode(self.frames.split(length)).map_err(|e| undecodable(&e))
            }
            1 if self.is_gzip => {
                let compressed = self.frames.copy_to_bytes(length);
                let expansion = gunzip(compressed, self.limits);
                let times = 1 + memory::BINARY;
                let message = expansion.whole(&mut self.memory, times).await?;
                M::decode(message).map_err(|e| undecodable(&e))
            }
            _ => Err(Error::invalid(
                "a message is compressed, and grpc-encoding does not say how",
            )),
        }
    }

    /// Waits until `size` bytes are here. `false` where the body ends before.
    async fn fill(&mut self, size: usize) -> Result<bool> {
        while self.frames.remaining() < size {
            let Some(frame) = self.body.frame().await else {
                return Ok(false);
            };
            let frame =
                frame.map_err(|e| Error::cancelled(format!("the body did not come whole: {e}")))?;
            if let Ok(data) = frame.into_data() {
                self.frames.push(data);
            }
        }
        Ok(true)
    }
}

/// The message that `pieces` are.
///
/// # Errors
/// `Invalid` where they are none.
pub(super) fn decode<'p, M: Message + Default>(
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Result<M> {
    let mut frames = Frames::default();
    for piece in pieces {
        frames.push(Bytes::copy_from_slice(piece));
    }
    M::decode(frames).map_err(|e| undecodable(&e))
}

fn undecodable(error: &prost::DecodeError) -> Error {
    Error::invalid(format!(
        "the message is not the protobuf of this call: {error}"
    ))
}

/// The way from `compressed` to the message that it holds.
fn gunzip(compressed: Bytes, limits: Limits) -> Expansion {
    let size = compressed.len();
    let source = MultiGzDecoder::new(Cursor::new(compressed));
    Expansion::new(Box::new(source), size, limits, "message")
}

/// Pieces of a body, read as one. What is copied out of it is aligned for
/// every element type, and copied once.
#[derive(Debug, Default)]
struct Frames {
    frames: VecDeque<Bytes>,
    /// Bytes in `frames`.
    size: usize,
}

impl Frames {
    fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.size += frame.len();
            self.frames.push_back(frame);
        }
    }

    /// Takes the first `size` bytes off.
    fn split(&mut self, size: usize) -> Frames {
        let mut front = Frames::default();
        while front.size < size {
            let Some(mut frame) = self.frames.pop_front() else {
                break;
            };
            self.size -= frame.len();
            let wanted = size - front.size;
            if frame.len() > wanted {
                let rest = frame.split_off(wanted);
                self.size += rest.len();
                self.frames.push_front(rest);
            }
            front.push(frame);
        }
        front
    }
}

impl Buf for Frames {
    fn remaining(&self) -> usize {
        self.size
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| &frame[..])
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.size, "advanced beyond the end");
        self.size -= count;
        while let Some(frame) = self.frames.front_mut() {
            if frame.len() > count {
                frame.advance(count);
                return;
            }
            count -= frame.len();
            self.frames.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, size: usize) -> Bytes {
        assert!(size <= self.size, "read beyond the end");
        if let Some(frame) = self.frames.front_mut()
            && frame.len() >= size
            && frame.as_ptr().align_offset(align_of::<u64>()) == 0
        {
            let front = frame.split_to(size);
            self.size -= size;
            if frame.is_empty() {
                self.frames.pop_front();
            }
            return front;
        }
        let mut buffer = Buffer::new(size);
        while buffer.missing() > 0 {
            let taken = buffer.fill(self.chunk());
            self.advance(taken);
        }
        buffer.freeze()
    }
}

/// When the call stops being of use, by its header `grpc-timeout`.
///
/// # Errors
/// `Invalid` for what is no such time.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Instant>> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let wait = value.to_str().ok().and_then(timeout).ok_or_else(|| {
        Error::invalid("grpc-timeout is not up to eight digits and one of the units H M S m u n")
    })?;
    Ok(Instant::now().checked_add(wait))
}

fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{grpc::proto::ModelInferRequest, memory::Budget};
    use proptest::prelude::*;

    fn frames(pieces: &[&[u8]]) -> Frames {
        let mut frames = Frames::default();
        for piece in pieces {
            frames.push(Bytes::copy_from_slice(piece));
        }
        frames
    }

    #[test]
    fn what_is_copied_out_is_aligned() {
        let mut frames = frames(&[b"x", b"0123", b"456789"]);
        assert_eq!(frames.get_u8(), b'x');
        let bytes = frames.copy_to_bytes(9);
        assert_eq!(bytes, "012345678");
        assert_eq!(bytes.as_ptr().align_offset(8), 0);
        assert_eq!(frames.chunk(), b"9");
    }

    proptest! {
        #[test]
        fn pieces_read_as_one(bytes in prop::collection::vec(any::<u8>(), 0..64), cuts in prop::collection::vec(0usize..64, 0..6), reads in prop::collection::vec(0usize..20, 0..8)) {
            let mut pieces = Frames::default();
            let mut rest = Bytes::from(bytes.clone());
            for cut in cuts {
                let piece = rest.split_to(cut.min(rest.len()));
                pieces.push(piece);
            }
            pieces.push(rest);
            let mut whole = Bytes::from(bytes);
            for read in reads {
                let size = read.min(whole.len());
                if read % 2 == 0 {
                    prop_assert_eq!(pieces.copy_to_bytes(size), whole.split_to(size));
                } else {
                    prop_assert_eq!(pieces.split(size).copy_to_bytes(size), whole.split_to(size));
                }
                prop_assert_eq!(pieces.remaining(), whole.len());
            }
        }

        #[test]
        fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..200), flag: bool) {
            let limits = Limits { body: 100, body_timeout: Duration::from_secs(1), ratio: 100, ..Limits::UNLIMITED };
            let mut headers = HeaderMap::new();
            if flag {
                headers.insert("grpc-encoding", http::HeaderValue::from_static("gzip"));
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let mut messages = Messages::new(&headers, Body::from(body), limits, Budget::new(1000).begin()).unwrap();
                while let Ok(Some(_)) = messages.next::<ModelInferRequest>().await {}
            });
        }
    }

    #[test]
    fn times_of_grpc() {
        assert_eq!(timeout("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "1x", "123456789S", "-1S", "1.5S", "é"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }
}
