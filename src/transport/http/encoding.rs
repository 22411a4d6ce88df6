//! Compressed bodies: `gzip` and `deflate`, both ways.

use std::io::{Cursor, Read, Write};

use bytes::Bytes;
use flate2::{
    Compression,
    bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    error::{Error, Result},
    transport::{limits::Limits, off_loop::Expansion},
};

/// A way to compress a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls so; RFC 1951, which some send, is read too.
    Deflate,
}

impl Encoding {
    /// How the body under these headers is compressed.
    ///
    /// # Errors
    /// `Unsupported` for another way.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(None);
        };
        match value.as_bytes().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(None),
            b"gzip" | b"x-gzip" => Ok(Some(Encoding::Gzip)),
            b"deflate" => Ok(Some(Encoding::Deflate)),
            _ => Err(Error::unsupported(
                "the header Content-Encoding names a way to compress that is not known here; \
                 there is gzip and deflate",
            )),
        }
    }

    /// How the caller asks for the answer to be compressed: by naming one way
    /// alone. A list of ways, which HTTP libraries send of themselves, is no
    /// wish, and compressing a tensor costs more than sending it.
    pub(super) fn asked(headers: &HeaderMap) -> Option<Self> {
        match headers.get(header::ACCEPT_ENCODING)?.as_bytes() {
            b"gzip" => Some(Encoding::Gzip),
            b"deflate" => Some(Encoding::Deflate),
            _ => None,
        }
    }

    /// The header that says it.
    pub(super) fn header(self) -> (HeaderName, HeaderValue) {
        let value = match self {
            Encoding::Gzip => HeaderValue::from_static("gzip"),
            Encoding::Deflate => HeaderValue::from_static("deflate"),
        };
        (header::CONTENT_ENCODING, value)
    }

    /// The way from `compressed` to the body that it holds.
    pub(super) fn expansion(self, compressed: Bytes, limits: Limits) -> Expansion {
        let (size, is_zlib) = (compressed.len(), is_zlib(&compressed));
        let compressed = Cursor::new(compressed);
        let source: Box<dyn Read + Send> = match self {
            Encoding::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Encoding::Deflate if is_zlib => Box::new(ZlibDecoder::new(compressed)),
            Encoding::Deflate => Box::new(DeflateDecoder::new(compressed)),
        };
        Expansion::new(source, size, limits, "body")
    }

    /// `parts`, one after the other, compressed.
    ///
    /// # Errors
    /// Never in fact: it writes to memory.
    pub(super) fn encode(self, parts: &[Bytes]) -> Result<Bytes> {
        fn write<W: Write>(mut to: W, parts: &[Bytes]) -> std::io::Result<W> {
            for part in parts {
                to.write_all(part)?;
            }
            Ok(to)
        }
        let level = Compression::fast();
        let written = match self {
            Encoding::Gzip => {
                write(GzEncoder::new(Vec::new(), level), parts).and_then(GzEncoder::finish)
            }
            Encoding::Deflate => {
                write(ZlibEncoder::new(Vec::new(), level), parts).and_then(ZlibEncoder::finish)
            }
        };
        written
            .map(Bytes::from)
            .map_err(|e| Error::internal(format!("an answer could not be compressed: {e}")))
    }
}

/// Whether `bytes` begin with the two of RFC 1950.
fn is_zlib(bytes: &[u8]) -> bool {
    match bytes {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const LIMITS: Limits = Limits {
        body: 1000,
        body_timeout: Duration::from_secs(1),
        ..Limits::UNLIMITED
    };

    proptest! {
        #[test]
        fn decoding_undoes_encoding(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let parts: Vec<Bytes> = parts.into_iter().map(Bytes::from).collect();
            for encoding in [Encoding::Gzip, Encoding::Deflate] {
                let body = encoding.expansion(encoding.encode(&parts).unwrap(), LIMITS).at_once().unwrap();
                prop_assert_eq!(body, parts.concat());
            }
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [Encoding::Gzip, Encoding::Deflate] {
                let _ = encoding.expansion(bytes.clone().into(), LIMITS).at_once();
            }
        }
    }

    #[test]
    fn a_small_body_can_not_become_a_large_one() {
        let zeros = Encoding::Gzip.encode(&[vec![0; 1 << 20].into()]).unwrap();
        let error = Encoding::Gzip
            .expansion(zeros, LIMITS)
            .at_once()
            .unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::TooLarge);
    }

    #[test]
    fn a_list_of_ways_is_no_wish() {
        let asked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            Encoding::asked(&headers)
        };
        assert_eq!(asked("gzip"), Some(Encoding::Gzip));
        assert_eq!(asked("deflate"), Some(Encoding::Deflate));
        assert_eq!(asked("gzip, deflate, br"), None);
    }
}
