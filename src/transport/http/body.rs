//! Reading a request's body, within limits.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::{
    error::{Error, Result},
    transport::{limits::Limits, memory::Reserved},
};

/// The whole of `body`.
///
/// # Errors
/// `TooLarge` beyond the limit, `Invalid` when it does not come whole,
/// `Deadline` when it comes too slowly, as [`Reserved::take`] where there is
/// no memory for it.
pub(super) async fn read(body: Body, limits: Limits, memory: &mut Reserved) -> Result<Bytes> {
    let announced = http_body::Body::size_hint(&body).lower();
    if announced > limits.body as u64 {
        return Err(limits.too_large("body"));
    }
    memory.take(usize::try_from(announced).unwrap_or(usize::MAX))?;
    match tokio::time::timeout(limits.body_timeout, collect(body, limits, memory)).await {
        Ok(read) => read,
        Err(_) => Err(limits.too_slow("body")),
    }
}

async fn collect(mut body: Body, limits: Limits, memory: &mut Reserved) -> Result<Bytes> {
    let announced = http_body::Body::size_hint(&body).exact().is_some();
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| Error::invalid(format!("the body did not come whole: {e}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > limits.body {
            return Err(limits.too_large("body"));
        }
        if !announced {
            memory.take_piece(data.len())?;
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            // Most bodies are one piece: no copy.
            None if first.is_empty() => first = data,
            None => {
                let expected = http_body::Body::size_hint(&body).lower();
                let expected = usize::try_from(expected).unwrap_or(0);
                let mut all =
                    BytesMut::with_capacity(first.len() + data.len() + expected.min(limits.body));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                rest = Some(all);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}
