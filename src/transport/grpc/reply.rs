//! gRPC's framing: messages into a response's body, and how a call ends.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Write,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use prost::Message;

use super::{
    infer::Answered,
    proto::{ModelInferResponse, ModelStreamInferResponse},
    refusal,
    wire::PREFIX,
};
use crate::{
    error::{Error, Result},
    transport::off_loop::off_loop,
};

/// Answers up to this size are sent in one piece: copying them costs less than
/// a frame of its own for each tensor.
const SMALL: usize = 16 * 1024;

/// The field of raw tensors in `ModelInferResponse`.
const RAW_OUTPUT_CONTENTS: u32 = 6;

/// The field of the answer in `ModelStreamInferResponse`.
const INFER_RESPONSE: u32 = 2;

/// The response of a call with one answer.
///
/// # Errors
/// Where the answer is larger than gRPC can say.
pub(super) async fn one(answered: Answered, is_gzip: bool) -> Result<Response> {
    let parts = framed(message(answered), is_gzip).await?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(response(
        Body::new(Whole {
            parts: parts.into(),
            trailers: Some(trailers),
        }),
        is_gzip,
    ))
}

/// The head of a response, with `body`.
pub(super) fn response(body: Body, is_gzip: bool) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        "grpc-accept-encoding",
        HeaderValue::from_static("identity,gzip"),
    );
    if is_gzip {
        headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

/// The response of a call that failed.
pub(in crate::transport) fn refused(error: Error) -> Response {
    let mut response = refusal(&error).into_http::<Body>();
    // For the front: it counts and logs, once, where the request ends.
    response.extensions_mut().insert(error);
    response
}

/// The trailers of a stream that ends with `error`.
pub(super) fn trailers(error: Option<&Error>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = match error {
        None => tonic::Status::new(tonic::Code::Ok, ""),
        Some(error) => refusal(error),
    };
    // Fails for metadata that is not of HTTP, of which there is none.
    let _ = status.add_header(&mut trailers);
    trailers
}

/// The answer as protobuf: the message, and its raw tensors in their own
/// memory.
fn message(answered: Answered) -> Vec<Bytes> {
    let Answered { message, raw } = answered;
    let size = message.encoded_len();
    let total: usize = raw.iter().map(|r| r.len() + 12).sum();
    let mut head = BytesMut::with_capacity(size + if total < SMALL { total } else { 12 });
    // A vector of bytes takes whatever comes.
    let _ = message.encode(&mut head);
    if total < SMALL {
        for tensor in raw {
            field(&mut head, RAW_OUTPUT_CONTENTS, tensor.len());
            head.put_slice(&tensor);
        }
        return vec![head.freeze()];
    }
    let mut parts = Vec::with_capacity(1 + 2 * raw.len());
    for tensor in raw {
        field(&mut head, RAW_OUTPUT_CONTENTS, tensor.len());
        parts.push(head.split().freeze());
        parts.push(tensor);
    }
    parts
}

/// The beginning of a field of `size` bytes.
fn field(out: &mut BytesMut, number: u32, size: usize) {
    const LENGTH_DELIMITED: u32 = 2;
    prost::encoding::encode_varint(u64::from(number << 3 | LENGTH_DELIMITED), out);
    prost::encoding::encode_varint(size as u64, out);
}

/// `answered` as one message of a stream.
///
/// # Errors
/// Where the message is larger than gRPC can say.
pub(super) async fn streamed(answered: Answered, is_gzip: bool) -> Result<Vec<Bytes>> {
    let mut parts = message(answered);
    let mut head = BytesMut::new();
    field(
        &mut head,
        INFER_RESPONSE,
        parts.iter().map(Bytes::len).sum(),
    );
    parts.insert(0, head.freeze());
    framed(parts, is_gzip).await
}

/// The message of a stream that says why the request `id` failed.
///
/// # Errors
/// Never in fact: it is small.
pub(super) fn failed(error: &Error, id: String) -> Result<Vec<Bytes>> {
    let message = ModelStreamInferResponse {
        error_message: error.public_message().to_owned(),
        // Clients find by it which of their requests it was.
        infer_response: (!id.is_empty()).then(|| ModelInferResponse {
            id,
            ..ModelInferResponse::default()
        }),
    };
    prefixed(vec![message.encode_to_vec().into()], false)
}

/// `parts` as one message, with its prefix before it.
async fn framed(parts: Vec<Bytes>, is_gzip: bool) -> Result<Vec<Bytes>> {
    if !is_gzip {
        return prefixed(parts, false);
    }
    let size = parts.iter().map(Bytes::len).sum();
    let compressed = off_loop(size, move || gzip(&parts)).await?;
    prefixed(vec![compressed], true)
}

fn prefixed(mut parts: Vec<Bytes>, is_compressed: bool) -> Result<Vec<Bytes>> {
    let size = parts.iter().map(Bytes::len).sum::<usize>();
    let size = u32::try_from(size)
        .map_err(|_| Error::unsupported("the answer is larger than gRPC's 4 GiB"))?;
    let mut prefix = BytesMut::with_capacity(PREFIX);
    prefix.put_u8(u8::from(is_compressed));
    prefix.put_u32(size);
    match parts.as_mut_slice() {
        [only] if only.len() < SMALL => {
            prefix.put_slice(only);
            Ok(vec![prefix.freeze()])
        }
        _ => {
            parts.insert(0, prefix.freeze());
            Ok(parts)
        }
    }
}

/// `parts` as one, compressed.
fn gzip(parts: &[Bytes]) -> Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    parts
        .iter()
        .try_for_each(|part| encoder.write_all(part))
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .map_err(|e| Error::internal(format!("an answer could not be compressed: {e}")))
}

/// A body that is there.
struct Whole {
    parts: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        Poll::Ready(self.trailers.take().map(|t| Ok(Frame::trailers(t))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(raw: Vec<Bytes>) -> Answered {
        Answered {
            message: ModelInferResponse {
                id: "7".to_owned(),
                ..ModelInferResponse::default()
            },
            raw,
        }
    }

    #[tokio::test]
    async fn raw_tensors_are_fields_of_the_message() {
        for size in [0, 1, 200, SMALL, 100_000] {
            let raw = vec![Bytes::from(vec![1; size]), Bytes::from_static(b"ab")];
            let whole = message(answered(raw.clone())).concat();
            let back = ModelInferResponse::decode(whole.as_slice()).unwrap();
            assert_eq!(
                (back.id.as_str(), back.raw_output_contents),
                ("7", raw.clone())
            );

            let parts = streamed(answered(raw.clone()), false)
                .await
                .unwrap()
                .concat();
            assert_eq!(parts[0], 0);
            let back = ModelStreamInferResponse::decode(&parts[PREFIX..]).unwrap();
            assert_eq!(back.infer_response.unwrap().raw_output_contents, raw);
        }
    }

    #[test]
    fn large_tensors_are_not_copied() {
        let tensor = Bytes::from(vec![7; 100_000]);
        let parts = message(answered(vec![tensor.clone()]));
        assert_eq!(parts[1].as_ptr(), tensor.as_ptr());
    }
}
