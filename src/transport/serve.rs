//! Event loops and the connections that they carry.
//!
//! Each event loop is one thread with a runtime of its own, and a connection
//! stays on the loop it was given. So a model that runs inline is run by the
//! thread that read the request and will write the answer, and what a loop
//! finds ready in one turn runs as one batch (`scheduler::event_loop`).

mod arrival;
mod clients;
mod connection;
mod event_loop;
mod handshake;
mod listener;
mod patience;
mod seated;
mod streams;
mod turns;
mod unread;
mod wire;

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::response::Response;
use http::Request;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tower::Service;

use self::{
    arrival::Arrival, clients::Clients, event_loop::Loops, handshake::Handshakes, wire::Moving,
};
pub use self::{clients::Capacity, unread::Arriving};
use super::{limits, tls::Tls};
use crate::telemetry::Metrics;

/// What answers requests: a router, or what stands before one.
pub trait Answers:
    Service<
        Request<Arriving>,
        Response = Response,
        Error = Infallible,
        Future: Future<Output = Result<Response, Infallible>> + Send,
    > + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<
            Request<Arriving>,
            Response = Response,
            Error = Infallible,
            Future: Future<Output = Result<Response, Infallible>> + Send,
        > + Clone
        + Send
        + 'static
{
}

/// How the service ends.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// Between "not ready" and the closed listener, while those who route
    /// traffic learn of it.
    pub pause: Duration,
    /// The longest that requests in flight may still take.
    pub timeout: Duration,
}

/// What became of the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Whole,
    /// The limit passed first, with so many connections still open.
    Cut(usize),
}

/// What event loops are for, and how connections come to them.
pub struct Ways {
    /// What connections are accepted by, where they come over TLS.
    pub tls: Option<Arc<Tls>>,
    /// Whether models may run on these threads.
    pub models: bool,
    /// How many connections there may be.
    pub capacity: Capacity,
    /// What holds for each of them.
    pub limits: limits::Connection,
    /// The figures.
    pub metrics: Metrics,
}

/// The event loops. Dropping them ends their threads and cuts off what is
/// still in flight.
pub struct EventLoops {
    loops: Loops,
    handshakes: Option<Handshakes>,
    clients: Arc<Clients>,
    limits: limits::Connection,
    metrics: Metrics,
    closing: watch::Sender<bool>,
}

impl EventLoops {
    /// Starts `count` event loops that answer by `service`.
    ///
    /// # Errors
    /// When a thread or its runtime can't be made.
    pub fn start(count: usize, service: &impl Answers, ways: Ways) -> std::io::Result<Self> {
        let (closing, _) = watch::channel(false);
        let loops = Loops::start(count.max(1), service, ways.models)?;
        let metrics = ways.metrics;
        let handshakes = ways
            .tls
            .map(|tls| Handshakes::start(count, tls, loops.clone(), &metrics))
            .transpose()?;
        Ok(Self {
            loops,
            handshakes,
            clients: Clients::new(ways.capacity),
            limits: ways.limits,
            metrics,
            closing,
        })
    }

    /// Asks how many connections are open, for as long as somebody does.
    pub fn connections(&self) -> impl Fn() -> usize + Send + 'static {
        self.loops.connections()
    }

    /// Accepts connections until `shutdown` is done, then drains. `draining`
    /// is called the moment that `shutdown` is done.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        draining: impl FnOnce(),
        drain: Drain,
    ) -> std::io::Result<Drained> {
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => self.take(accepted).await?,
            }
        }
        draining();
        // Those who route here have not heard of it yet: go on accepting.
        let pause = tokio::time::sleep(drain.pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => break,
                accepted = listener.accept() => self.take(accepted).await?,
            }
        }
        // What the kernel has already accepted for us is ours to answer; what
        // comes after must not be accepted, or it would be reset.
        listener::refuse_new(&listener);
        while let Some(accepted) = listener::ready(&listener).await {
            self.take(accepted).await?;
        }
        drop(listener);
        self.closing.send_replace(true);
        Ok(self.wait(drain.timeout).await)
    }

    async fn take(
        &self,
        accepted: std::io::Result<(TcpStream, std::net::SocketAddr)>,
    ) -> std::io::Result<()> {
        match accepted {
            Ok((stream, address)) => self.give(stream, address.ip()),
            Err(error) if listener::is_passing(&error) => {
                tracing::warn!(%error, "a connection was not accepted");
                if listener::is_exhaustion(&error) {
                    // Trying at once would spin until a descriptor is free.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives a connection to the loop that has fewest; where it is to speak
    /// TLS, when the handshake is done.
    fn give(&self, stream: TcpStream, address: IpAddr) {
        let Some(taken) = self.clients.admit(address) else {
            self.metrics.doors().turned_away();
            return;
        };
        if taken.seat.reserve {
            self.metrics.doors().turned_away();
        }
        // Answers are written whole: waiting for more only delays them.
        let _ = stream.set_nodelay(true);
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was dropped");
                return;
            }
        };
        let moving = Moving::Plain(stream);
        let arrival = Arrival::new(moving, taken, self.limits, &self.closing, &self.metrics);
        match &self.handshakes {
            Some(handshakes) => handshakes.begin(arrival),
            None => self.loops.give(arrival),
        }
    }

    /// Waits until every connection has closed, or `timeout` has passed.
    async fn wait(&self, timeout: Duration) -> Drained {
        let closed = tokio::time::timeout(timeout, self.closing.closed()).await;
        match closed {
            Ok(()) => Drained::Whole,
            Err(_) => Drained::Cut(self.closing.receiver_count()),
        }
    }
}

#[cfg(test)]
mod tests;
