//! Event loops and the connections that they carry.
//!
//! Each event loop is one thread with a runtime of its own, and a connection
//! stays on the loop it was given. So a model that runs inline is run by the
//! thread that read the request and will write the answer, and what a loop
//! finds ready in one turn runs as one batch (`scheduler::event_loop`).

mod connection;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tower::Service;

use self::connection::{Open, announced, carry};
use crate::scheduler::event_loop;

/// What answers requests: a router, or what stands before one.
pub trait Answers:
    Service<
        Request<Incoming>,
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
            Request<Incoming>,
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

/// The event loops. Dropping them ends their threads and cuts off what is
/// still in flight.
pub struct EventLoops {
    loops: Vec<EventLoop>,
    closing: watch::Sender<bool>,
}

struct EventLoop {
    connections: mpsc::UnboundedSender<std::net::TcpStream>,
    /// Connections given to this loop and not yet closed.
    open: Arc<AtomicUsize>,
}

impl EventLoops {
    /// Starts `count` event loops that answer by `service`.
    ///
    /// # Errors
    /// When a thread or its runtime can't be made.
    pub fn start(count: usize, service: &impl Answers) -> std::io::Result<Self> {
        let (closing, _) = watch::channel(false);
        let loops = (0..count.max(1))
            .map(|index| EventLoop::start(index, service.clone(), closing.subscribe()))
            .collect::<std::io::Result<_>>()?;
        Ok(Self { loops, closing })
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
        refuse_new(&listener);
        while let Some(accepted) = ready(&listener).await {
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
            Ok((stream, _)) => self.give(stream),
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "a connection was not accepted");
                if is_exhaustion(&error) {
                    // Trying at once would spin until a descriptor is free.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives a connection to the loop that has fewest.
    fn give(&self, stream: TcpStream) {
        let Some(least) = self
            .loops
            .iter()
            .min_by_key(|l| l.open.load(Ordering::Relaxed))
        else {
            return;
        };
        // Answers are written whole: waiting for more only delays them.
        let _ = stream.set_nodelay(true);
        match stream.into_std() {
            Ok(stream) => {
                least.open.fetch_add(1, Ordering::Relaxed);
                if least.connections.send(stream).is_err() {
                    tracing::error!("an event loop has ended: a connection was dropped");
                }
            }
            Err(error) => tracing::warn!(%error, "a connection was dropped"),
        }
    }

    /// Waits until every connection has closed, or `timeout` has passed.
    async fn wait(&self, timeout: Duration) -> Drained {
        let closed = tokio::time::timeout(timeout, self.closing.closed()).await;
        match closed {
            Ok(()) => Drained::Whole,
            Err(_) => Drained::Cut(
                self.loops
                    .iter()
                    .map(|l| l.open.load(Ordering::Relaxed))
                    .sum(),
            ),
        }
    }
}

impl EventLoop {
    fn start(
        index: usize,
        service: impl Answers,
        closing: watch::Receiver<bool>,
    ) -> std::io::Result<Self> {
        let (connections, mut arriving) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(event_loop::idle)
            .on_thread_unpark(event_loop::awake)
            .build()?;
        let counted = Arc::clone(&open);
        std::thread::Builder::new()
            .name(format!("event-loop-{index}"))
            .spawn(move || {
                event_loop::attach(index);
                runtime.block_on(async move {
                    let mut closing = closing;
                    loop {
                        // The channel holds no connection once closing is
                        // announced: the acceptor gives them before.
                        tokio::select! {
                            biased;
                            stream = arriving.recv() => {
                                let Some(stream) = stream else { break };
                                let open = Open::new(Arc::clone(&counted));
                                let connection = carry(stream, service.clone(), closing.clone(), open);
                                tokio::spawn(connection);
                            }
                            () = announced(&mut closing) => break,
                        }
                    }
                    drop(closing);
                    // The acceptor drops its end when all is drained or cut.
                    while arriving.recv().await.is_some() {}
                });
            })?;
        Ok(Self { connections, open })
    }
}

/// Keeps the kernel from accepting any more for `listener`: it drops their
/// first packet, so that their next try finds the port closed.
#[cfg(target_os = "linux")]
fn refuse_new(listener: &TcpListener) {
    const RETURN: u16 = 0x06;
    const NOTHING: u32 = 0;
    let drop_all = socket2::SockFilter::new(RETURN, 0, 0, NOTHING);
    if let Err(error) = socket2::SockRef::from(listener).attach_filter(&[drop_all]) {
        tracing::debug!(%error, "connections that come now may be reset");
    }
}

/// Elsewhere there is no such means.
#[cfg(not(target_os = "linux"))]
fn refuse_new(_: &TcpListener) {}

/// The next connection that is ready now.
async fn ready(
    listener: &TcpListener,
) -> Option<std::io::Result<(TcpStream, std::net::SocketAddr)>> {
    tokio::select! {
        biased;
        accepted = listener.accept() => Some(accepted),
        () = std::future::ready(()) => None,
    }
}

/// Errors of `accept` that say nothing of the listener.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    is_exhaustion(error)
        || matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        )
}

/// Out of descriptors or memory: EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn is_exhaustion(error: &std::io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOMEM: i32 = 12;
    let enobufs = if cfg!(target_os = "macos") { 55 } else { 105 };
    error
        .raw_os_error()
        .is_some_and(|code| [EMFILE, ENFILE, ENOMEM, enobufs].contains(&code))
}
