//! The answer to an inference request: JSON, and after it the raw bytes of
//! binary tensors, in the engine's own memory.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Frame, SizeHint};

use super::{super::encoding::Encoding, infer::HEADER_LENGTH, request::Parameters};
use crate::{
    catalog::Lease,
    engine::Output,
    error::{Error, Result},
    scheduler::Answer,
    tensor::{TensorSpec, json::write_data, write_raw},
    transport::off_loop::{LARGE, off_loop},
};

/// How an answer is to be written.
pub(super) struct Reply {
    pub(super) id: Option<String>,
    pub(super) parameters: Parameters,
    pub(super) wanted: Vec<Wanted>,
    pub(super) encoding: Option<Encoding>,
}

/// One output that is to be written.
pub(super) struct Wanted {
    /// Its place among the model's outputs.
    pub(super) place: usize,
    pub(super) binary: bool,
    pub(super) parameters: Parameters,
}

impl Reply {
    /// The response that holds `answer`.
    pub(super) async fn respond(self, lease: &Lease, answer: Answer) -> Result<Response> {
        let lease = lease.clone();
        let encoding = self.encoding;
        let json: usize = self
            .wanted
            .iter()
            .filter(|w| !w.binary)
            .filter_map(|w| answer.outputs.get(w.place))
            .map(|o| o.tensor.len() * 8)
            .sum();
        let size = if encoding.is_some() { LARGE } else { json };
        let (parts, length) = off_loop(size, move || {
            let (parts, length) = self.write(&lease, &answer)?;
            match encoding {
                None => Ok((parts, length)),
                Some(encoding) => Ok((vec![encoding.encode(&parts)?], length)),
            }
        })
        .await?;
        let mut response = Response::new(Body::new(Parts(parts.into())));
        let headers = response.headers_mut();
        let kind = match length {
            Some(length) => {
                headers.insert(HEADER_LENGTH, HeaderValue::from(length));
                HeaderValue::from_static("application/octet-stream")
            }
            None => HeaderValue::from_static("application/json"),
        };
        headers.insert(header::CONTENT_TYPE, kind);
        headers.extend(encoding.map(Encoding::header));
        Ok(response)
    }

    /// The JSON and what follows it, and the length of the JSON where anything
    /// does.
    fn write(&self, lease: &Lease, answer: &Answer) -> Result<(Vec<Bytes>, Option<usize>)> {
        let mut out = Vec::with_capacity(256);
        let mut binary = Vec::new();
        out.extend_from_slice(b"{\"model_name\":");
        write_json(&mut out, &*lease.id().name);
        out.extend_from_slice(b",\"model_version\":");
        write_json(&mut out, &**lease.version_text());
        if let Some(id) = &self.id {
            out.extend_from_slice(b",\"id\":");
            write_json(&mut out, id);
        }
        if !self.parameters.is_empty() {
            out.extend_from_slice(b",\"parameters\":");
            write_json(&mut out, &self.parameters);
        }
        out.extend_from_slice(b",\"outputs\":[");
        for (index, wanted) in self.wanted.iter().enumerate() {
            let (Some(spec), Some(output)) = (
                lease.signature().outputs.get(wanted.place),
                answer.outputs.get(wanted.place),
            ) else {
                return Err(Error::internal("the model gave fewer outputs than it has"));
            };
            if index > 0 {
                out.push(b',');
            }
            wanted.write(spec, output, &mut out, &mut binary)?;
        }
        out.extend_from_slice(b"]}");
        let length = (!binary.is_empty()).then_some(out.len());
        binary.insert(0, out.into());
        Ok((binary, length))
    }
}

impl Wanted {
    fn write(
        &self,
        spec: &TensorSpec,
        output: &Output,
        out: &mut Vec<u8>,
        binary: &mut Vec<Bytes>,
    ) -> Result<()> {
        let tensor = &output.tensor;
        out.extend_from_slice(b"{\"name\":");
        write_json(out, &*spec.name);
        out.extend_from_slice(b",\"datatype\":\"");
        out.extend_from_slice(tensor.dtype().name().as_bytes());
        out.extend_from_slice(b"\",\"shape\":");
        write_json(out, &tensor.shape()[..]);
        let mut parameters = self.parameters.clone();
        for (name, text) in output.described() {
            parameters.insert(name.to_owned(), text.into());
        }
        if self.binary {
            let raw = write_raw(tensor)?;
            parameters.insert("binary_data_size".to_owned(), raw.len().into());
            binary.push(raw);
        }
        if !parameters.is_empty() {
            out.extend_from_slice(b",\"parameters\":");
            write_json(out, &parameters);
        }
        if !self.binary {
            out.extend_from_slice(b",\"data\":");
            write_data(tensor, out);
        }
        out.push(b'}');
        Ok(())
    }
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // These are text, numbers and lists of them, and memory takes them all.
    let _ = serde_json::to_writer(out, value);
}

/// A body of several parts.
struct Parts(VecDeque<Bytes>);

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}
