//! One connection, from its first byte to its end.

use std::{future::poll_fn, pin::Pin, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{io::AsyncBufRead as _, net::TcpStream, sync::watch};

use super::{Answers, arrival::Arrival, event_loop::Open, wire::Wire};

/// What an HTTP/2 connection starts with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a new connection may take to say which HTTP it is.
const FIRST_BYTES: Duration = Duration::from_secs(15);

/// How long until a preface that came in part is looked at again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a kept connection may be idle, and a head take to arrive: hyper
/// has one clock for both. It is longer than the 60 s for which load balancers
/// commonly keep a connection, since where this side closes first, a request
/// that is on its way is lost.
const IDLE: Duration = Duration::from_secs(75);

/// How often an HTTP/2 peer is asked whether it is still there, and how long
/// it may take to say so. Such connections are otherwise kept as long as the
/// peer likes.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// How long a connection with nothing to do is kept once the end has come: its
/// next request may be on the way. The answer tells the caller to close.
pub(super) const LAST_MOMENT: Duration = Duration::from_millis(500);

/// The most that a request's head may take, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// HTTP/2 windows: large enough for a tensor not to wait for an update.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Serves one connection to its end. Its receiver of `closing` is what the
/// drain waits for.
pub(super) async fn carry(arrival: Arrival, service: impl Answers, open: Open) {
    let _open = open;
    let mut stay = arrival.stay;
    let mut wire = match arrival.moving.land() {
        Ok(wire) => wire,
        Err(error) => {
            tracing::warn!(%error, "a connection was dropped");
            return;
        }
    };
    if !has_begun(&mut wire, &mut stay.closing).await {
        return;
    }
    let mut builder = Builder::new(TokioExecutor::new());
    // Under TLS both sides have agreed on what they speak.
    if let Wire::Tls(stream) = &wire {
        let agreed = stream.get_ref().1.alpn_protocol();
        builder = if agreed == Some(b"h2") {
            builder.http2_only()
        } else {
            builder.http1_only()
        };
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD_LIMIT)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let connection =
        builder.serve_connection(TokioIo::new(wire), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let last_moment = async {
        announced(&mut stay.closing).await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    let result = tokio::select! {
        // The connection first: what has come is read before it is told to
        // close, and so is answered.
        biased;
        result = connection.as_mut() => result,
        () = last_moment => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // The caller's doing: a reset, a late head, bytes that are not HTTP.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits until the first bytes say which HTTP this is. `false` when they do
/// not come in time: a connection that was opened and not used. One that was
/// accepted just before the end is given a moment, since its request is on the
/// way.
async fn has_begun(wire: &mut Wire, closing: &mut watch::Receiver<bool>) -> bool {
    let begun = async {
        match wire {
            Wire::Plain(stream) => first_bytes(stream).await,
            Wire::Tls(stream) => {
                let read = poll_fn(|cx| {
                    let read = Pin::new(&mut *stream).poll_fill_buf(cx);
                    read.map_ok(|bytes| !bytes.is_empty())
                });
                read.await.unwrap_or(false)
            }
        }
    };
    tokio::pin!(begun);
    let wait = tokio::select! {
        biased;
        begun = &mut begun => return begun,
        () = announced(closing) => LAST_MOMENT,
        () = tokio::time::sleep(FIRST_BYTES) => return false,
    };
    tokio::time::timeout(wait, begun).await.unwrap_or(false)
}

/// `true` once there are bytes that can't be the start of HTTP/2's preface, or
/// are all of it. hyper would wait for the rest of a preface for ever.
async fn first_bytes(stream: &TcpStream) -> bool {
    let mut start = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if n < PREFACE.len() && PREFACE.starts_with(&start[..n]) => {
                // The bytes that are there keep the stream readable, so there
                // is nothing to wait for but time.
                tokio::time::sleep(AGAIN).await;
            }
            Ok(_) => return true,
        }
    }
}

/// Waits until closing is announced.
pub(super) async fn announced(closing: &mut watch::Receiver<bool>) {
    // An error means that the announcer has gone, which says the same.
    let _ = closing.wait_for(|closing| *closing).await.map(|_| ());
}

#[cfg(test)]
mod tests;
