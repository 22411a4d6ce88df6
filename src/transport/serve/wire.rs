//! The bytes of a connection, with TLS or without, and how a connection that
//! one runtime has begun goes on in another.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{clients::Seat, turns::Gate};

/// A connection between two runtimes: it belongs to neither.
pub(super) enum Moving {
    /// Without TLS.
    Plain(std::net::TcpStream),
    /// The handshake is done; the stream's own socket has been taken out.
    Tls(Box<TlsStream<Socket>>, std::net::TcpStream),
}

/// A connection of this runtime.
pub(super) enum Wire {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A socket, which under TLS can be taken out and put back.
pub(super) struct Socket {
    stream: Option<TcpStream>,
    watch: Option<Watch>,
}

/// When a socket is read, and what its traffic says.
pub(super) struct Watch {
    pub(super) gate: Gate,
    pub(super) seat: Arc<Seat>,
}

impl Watch {
    fn read(&self) {
        self.gate.took();
        let seat = &self.seat;
        seat.moved.store(true, Relaxed);
        if !seat.busy.load(Relaxed) && !seat.in_head.load(Relaxed) {
            seat.in_head.store(true, Relaxed);
            seat.head.store(seat.head.load(Relaxed) + 1, Relaxed);
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        let seat = &self.seat;
        let is_blocked = written.is_pending();
        seat.blocked.store(is_blocked, Relaxed);
        if !is_blocked {
            seat.moved.store(true, Relaxed);
            seat.wrote.store(true, Relaxed);
        }
    }
}

impl Moving {
    /// Takes `stream` out of this runtime.
    pub(super) fn leave(mut stream: Box<TlsStream<Socket>>) -> io::Result<Self> {
        let socket = stream
            .get_mut()
            .0
            .stream
            .take()
            .ok_or(ErrorKind::NotConnected)?;
        Ok(Moving::Tls(stream, socket.into_std()?))
    }

    /// Brings it into this runtime.
    pub(super) fn land(self, watch: Watch) -> io::Result<Wire> {
        let socket = |stream| {
            Ok::<_, io::Error>(Socket {
                stream: Some(TcpStream::from_std(stream)?),
                watch: Some(watch),
            })
        };
        match self {
            Moving::Plain(stream) => Ok(Wire::Plain(socket(stream)?)),
            Moving::Tls(mut tls, stream) => {
                *tls.get_mut().0 = socket(stream)?;
                Ok(Wire::Tls(tls))
            }
        }
    }
}

impl Socket {
    /// A socket that nobody watches yet.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Some(stream),
            watch: None,
        }
    }

    /// The socket itself.
    pub(super) fn stream(&self) -> io::Result<&TcpStream> {
        self.stream
            .as_ref()
            .ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn get(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.get_mut().stream.as_mut();
        Ok(Pin::new(stream.ok_or(ErrorKind::NotConnected)?))
    }

    fn write(
        self: Pin<&mut Self>,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Self { stream, watch } = self.get_mut();
        let stream = stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        let written = write(Pin::new(stream));
        if let Some(watch) = watch {
            watch.wrote(&written);
        }
        written
    }
}

impl Drop for Socket {
    /// Leaves the connection to whoever carried it: the caller may still send.
    fn drop(&mut self) {
        if let (Some(watch), Some(stream)) = (&self.watch, self.stream.take()) {
            *watch.seat.left() = Some(stream);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, watch } = self.get_mut();
        let stream = stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        let Some(watch) = watch else {
            return Pin::new(stream).poll_read(cx, into);
        };
        if !watch.gate.is_open() {
            // Who has nothing to read needs no turn.
            ready!(stream.poll_read_ready(cx))?;
            ready!(watch.gate.poll(cx));
        }
        let before = into.filled().len();
        ready!(Pin::new(stream).poll_read(cx, into))?;
        if into.filled().len() > before {
            watch.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        all: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write_vectored(cx, all))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get()?.poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        all: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, all),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, all),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
