//! One connection, from its first byte to its end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{net::TcpStream, sync::watch};

use super::Answers;

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
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// The most that a request's head may take, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// HTTP/2 windows: large enough for a tensor not to wait for an update.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Counts one connection for as long as it lives.
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    /// Counts down `open`, which counts this connection already, when it drops.
    pub(super) fn new(open: Arc<AtomicUsize>) -> Self {
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one connection to its end. Its receiver of `closing` is what the
/// drain waits for.
pub(super) async fn carry(
    stream: std::net::TcpStream,
    service: impl Answers,
    mut closing: watch::Receiver<bool>,
    open: Open,
) {
    let _open = open;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "a connection was dropped");
            return;
        }
    };
    if !has_begun(&stream, &mut closing).await {
        return;
    }
    let stream = TokioIo::new(stream);
    let mut builder = Builder::new(TokioExecutor::new());
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
    let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
    tokio::pin!(connection);
    let last_moment = async {
        announced(&mut closing).await;
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
async fn has_begun(stream: &TcpStream, closing: &mut watch::Receiver<bool>) -> bool {
    let begun = first_bytes(stream);
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
