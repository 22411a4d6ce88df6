//! TLS handshakes, on threads of their own: one takes as long as a hundred
//! requests, which would wait for it on an event loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{net::TcpStream, sync::mpsc};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    arrival::Arrival,
    connection::{LAST_MOMENT, announced},
    event_loop::Loops,
    wire::{Moving, Socket},
};
use crate::{telemetry::Metrics, transport::tls::Tls};

/// How long a handshake may take, from the first byte that is waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// Event loops for which one thread of handshakes is enough: connections are
/// kept, and callers who come again need no signature.
const LOOPS: usize = 4;

/// The first byte of every TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: application/json\r\nconnection: close\r\n\r\n\
    {\"error\":\"this port speaks TLS: write https:// instead of http://\"}";

/// The threads.
pub(super) struct Handshakes {
    threads: Vec<mpsc::UnboundedSender<Arrival>>,
    next: AtomicUsize,
}

impl Handshakes {
    /// Starts the threads beside `count` event loops; what has shaken hands
    /// goes on in one of `loops`.
    pub(super) fn start(
        count: usize,
        tls: Arc<Tls>,
        loops: Loops,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let start = |number| start(number, tls.clone(), loops.clone(), metrics.clone());
        Ok(Self {
            threads: (0..count.div_ceil(LOOPS).max(1))
                .map(start)
                .collect::<std::io::Result<_>>()?,
            next: AtomicUsize::new(0),
        })
    }

    /// Begins the handshake of `arrival`.
    pub(super) fn begin(&self, arrival: Arrival) {
        let next = self.next.fetch_add(1, Relaxed) % self.threads.len();
        if self.threads[next].send(arrival).is_err() {
            tracing::error!("a thread of handshakes has ended: a connection was dropped");
        }
    }
}

fn start(
    number: usize,
    tls: Arc<Tls>,
    loops: Loops,
    metrics: Metrics,
) -> std::io::Result<mpsc::UnboundedSender<Arrival>> {
    let (sender, mut arriving) = mpsc::unbounded_channel::<Arrival>();
    // By its own thread, as an event loop's.
    let (made, ready) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name(format!("handshakes-{number}"))
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(made.send(Err(error))),
            };
            let _ = made.send(Ok(()));
            runtime.block_on(async move {
                while let Some(arrival) = arriving.recv().await {
                    let (tls, loops, metrics) = (tls.clone(), loops.clone(), metrics.clone());
                    tokio::spawn(async move {
                        let shaken = shake(arrival, &tls).await;
                        metrics.doors().shook_hands(shaken.is_some());
                        if let Some(arrival) = shaken {
                            loops.give(arrival);
                        }
                    });
                }
            });
        })?;
    let ended = |_| {
        Err(std::io::Error::other(
            "a thread of handshakes ended at its start",
        ))
    };
    ready.recv().unwrap_or_else(ended)?;
    Ok(sender)
}

/// The connection after its handshake; `None` where there was none in time,
/// or none that is taken.
async fn shake(arrival: Arrival, tls: &Tls) -> Option<Arrival> {
    let Arrival { moving, mut stay } = arrival;
    let Moving::Plain(stream) = moving else {
        return Some(Arrival { moving, stay });
    };
    let closing = &mut stay.closing;
    let last_moment = async {
        announced(closing).await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    let shaken = tokio::select! {
        biased;
        shaken = accept(stream, tls) => shaken,
        () = last_moment => return None,
        () = tokio::time::sleep(LIMIT) => return None,
    };
    match shaken.and_then(Moving::leave) {
        Ok(moving) => Some(Arrival { moving, stay }),
        Err(error) => {
            // The caller's doing: a scan, a certificate that it does not
            // trust, or none of its own.
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

async fn accept(stream: std::net::TcpStream, tls: &Tls) -> std::io::Result<Box<TlsStream<Socket>>> {
    let stream = TcpStream::from_std(stream)?;
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first[0] != HANDSHAKE {
        if first[0].is_ascii_uppercase() {
            // Read, so that closing sends no reset, which would overtake it.
            let _ = stream.try_read(&mut [0; 4096]);
            let _ = stream.try_write(PLAIN);
        }
        return Err(std::io::Error::other("this is not TLS"));
    }
    let acceptor = TlsAcceptor::from(tls.now());
    acceptor.accept(Socket::new(stream)).await.map(Box::new)
}
