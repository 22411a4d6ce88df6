//! One connection, from its first byte to its end.

use std::{future::poll_fn, pin::Pin, sync::atomic::Ordering::Relaxed, time::Duration};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{io::AsyncBufRead as _, net::TcpStream, sync::watch, time::sleep};
use tokio_rustls::server::TlsStream;

use super::{
    Answers,
    arrival::Arrival,
    clients::Seat,
    event_loop::Open,
    patience,
    seated::Seated,
    streams::Streams,
    turns, unread,
    wire::{Watch, Wire},
};
use crate::transport::limits::Connection as Limits;

/// What an HTTP/2 connection starts with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long until a preface that came in part is looked at again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a connection of the reserve may take to say which HTTP it is, and
/// how long it is kept.
const RESERVE_BEGINS: Duration = Duration::from_secs(2);
const RESERVE_STAYS: Duration = Duration::from_secs(5);

/// How often an HTTP/2 peer is asked whether it is still there, and how long
/// it may take to say so. Such connections are otherwise kept as long as the
/// peer likes.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// How long a connection with nothing to do is kept once the end has come: its
/// next request may be on the way. The answer tells the caller to close.
pub(super) const LAST_MOMENT: Duration = Duration::from_millis(500);

/// HTTP/2 windows: large enough for a tensor not to wait for an update.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The largest frame of HTTP/2: as much as is read at once over HTTP/1. Frames
/// of 16 KiB, the least that there is, take a read for each half.
const FRAME: u32 = 64 << 10;

/// Serves one connection to its end. Its receiver of `closing` is what the
/// drain waits for.
pub(super) async fn carry(arrival: Arrival, service: impl Answers, open: Open) {
    let _open = open;
    let mut stay = arrival.stay;
    let seat = stay.taken.seat.clone();
    let member = turns::join(stay.taken.address);
    let watch = Watch {
        gate: member.gate(),
        seat: seat.clone(),
    };
    let mut wire = match arrival.moving.land(watch) {
        Ok(wire) => wire,
        Err(error) => {
            tracing::warn!(%error, "a connection was dropped");
            return;
        }
    };
    let limits = stay.limits;
    let first_bytes = if seat.reserve {
        RESERVE_BEGINS
    } else {
        limits.head_timeout
    };
    let Some(is_http2) = begun(&mut wire, &seat, &mut stay.closing, first_bytes).await else {
        return;
    };
    let streams = Streams::new(member.gate(), stay.metrics.clone());
    let builder = builder(streams, is_http2, &limits);
    let service = TowerToHyperService::new(Seated {
        inner: service,
        seat: seat.clone(),
        is_http2,
        address: stay.taken.address,
    });
    let connection = builder.serve_connection(TokioIo::new(wire), service);
    let lost = async {
        if seat.reserve {
            sleep(RESERVE_STAYS).await;
            "it was one too many"
        } else {
            patience::lost(&seat, is_http2, &limits).await
        }
    };
    let closing = &mut stay.closing;
    let last_moment = async {
        tokio::select! {
            () = seat.leave.notified() => {}
            () = async { announced(closing).await; sleep(LAST_MOMENT).await } => {}
        }
    };
    let result = {
        tokio::pin!(connection, lost, last_moment);
        let mut is_leaving = false;
        loop {
            tokio::select! {
                // The connection first: what has come is read before it is told
                // to close, and so is answered.
                biased;
                result = connection.as_mut() => break result,
                () = last_moment.as_mut(), if !is_leaving => {
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                why = lost.as_mut() => {
                    stay.metrics.doors().cut();
                    tracing::debug!(why, "a connection was cut");
                    return;
                }
            }
        }
    };
    if let Err(error) = &result {
        // The caller's doing: a reset, a late head, bytes that are not HTTP.
        tracing::debug!(%error, "a connection ended early");
    }
    let refused = |error: &(dyn std::error::Error + Send + Sync + 'static)| {
        let error = error.downcast_ref::<hyper::Error>();
        error.is_some_and(hyper::Error::is_parse)
    };
    let is_unread = seat.unread.load(Relaxed) || result.is_err_and(|e| refused(&*e));
    let left = seat.left().take();
    if let Some(stream) = left.filter(|_| is_unread) {
        tokio::select! {
            () = unread::linger(stream) => {}
            () = async { announced(&mut stay.closing).await; sleep(LAST_MOMENT).await } => {}
            () = seat.leave.notified() => {}
        }
    }
}

/// What reads and writes HTTP. What a connection speaks has been seen, or
/// under TLS agreed on.
fn builder(streams: Streams, is_http2: bool, limits: &Limits) -> Builder<Streams> {
    // Less would be a panic of hyper's, more than there is a number for.
    let (least, most) = Limits::HEADS.into_inner();
    let head = limits.head.clamp(least, most);
    let builder = Builder::new(streams);
    let mut builder = if is_http2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    };
    builder
        .http1()
        // `patience` sees to it: hyper would set a clock for each request.
        .header_read_timeout(None)
        .max_buf_size(head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_frame_size(FRAME)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Waits until the first bytes say which HTTP this is; gives whether it is
/// HTTP/2. `None` when they do not come within `limit`: a connection that was
/// opened and not used. One that was accepted just before the end is given a moment,
/// since its request is on the way.
async fn begun(
    wire: &mut Wire,
    seat: &Seat,
    closing: &mut watch::Receiver<bool>,
    limit: Duration,
) -> Option<bool> {
    let begun = first_bytes(wire);
    tokio::pin!(begun);
    let wait = tokio::select! {
        biased;
        begun = &mut begun => return begun,
        () = announced(closing) => LAST_MOMENT,
        () = seat.leave.notified() => return None,
        () = sleep(limit) => return None,
    };
    tokio::time::timeout(wait, begun).await.ok().flatten()
}

async fn first_bytes(wire: &mut Wire) -> Option<bool> {
    match wire {
        Wire::Plain(socket) => preface(socket.stream().ok()?).await,
        Wire::Tls(stream) => {
            let read = poll_fn(|cx| {
                let read = Pin::new(&mut *stream).poll_fill_buf(cx);
                read.map_ok(|bytes| !bytes.is_empty())
            });
            let agreed = |stream: &TlsStream<_>| stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let is_there = read.await.unwrap_or(false);
            is_there.then(|| agreed(stream))
        }
    }
}

/// Whether the first bytes are HTTP/2's preface, once they can't be the start
/// of it alone. hyper would wait for the rest of a preface for ever.
async fn preface(stream: &TcpStream) -> Option<bool> {
    let mut start = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return None,
            Ok(n) if n < PREFACE.len() && PREFACE.starts_with(&start[..n]) => {
                // The bytes that are there keep the stream readable, so there
                // is nothing to wait for but time.
                sleep(AGAIN).await;
            }
            Ok(n) => return Some(start[..n] == *PREFACE),
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
