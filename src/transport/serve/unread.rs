//! What a request brings and nobody reads.
//!
//! Where an answer is made before the body has come whole, the rest has to go
//! by: who is still sending does not read the answer, and a connection that is
//! closed over bytes that were not read is reset, which takes the answer with
//! it. A little is waited for; of more, the caller is told that the connection
//! closes, and what it goes on to send is thrown away.

use std::{
    net::Shutdown,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};

/// What is let by before the answer, and how long it is waited for.
const LITTLE: u64 = 256 * 1024;
const SOON: Duration = Duration::from_secs(1);

/// What is let by after the answer, how long in all, and how long without a
/// byte.
const MUCH: usize = 256 << 20;
const LONGEST: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(5);

/// Where a body is left that was dropped before its end, and whether its
/// caller waits to be asked for it.
type Left = Arc<Mutex<Option<(Incoming, bool)>>>;

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct Arriving {
    /// Taken when it drops.
    body: Option<Incoming>,
    left: Option<Left>,
    /// Whether the caller waits to be asked for it.
    waits: bool,
}

impl Arriving {
    /// The body of `request` under a watch, which tells what was not read.
    pub(super) fn watched(request: Request<Incoming>) -> (Request<Self>, Option<Unread>) {
        let waits = request.headers().contains_key(header::EXPECT);
        let mut unread = None;
        let request = request.map(|body| {
            let left = (!body.is_end_stream()).then(Left::default);
            unread = left.clone().map(Unread);
            Self {
                body: Some(body),
                left,
                waits,
            }
        });
        (request, unread)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // To ask for the body is to be sent it.
        self.waits = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::new, Body::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let (Some(left), Some(body)) = (&self.left, self.body.take())
            && !body.is_end_stream()
        {
            *left.lock().unwrap_or_else(PoisonError::into_inner) = Some((body, self.waits));
        }
    }
}

/// Tells what was not read of a request's body.
pub(super) struct Unread(Left);

impl Unread {
    /// The way to let the rest go by; `None` where all was read, or somebody
    /// still reads.
    pub(super) fn rest(self, is_http2: bool) -> Option<PassBy> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (body, waits) = left.take()?;
        Some(PassBy {
            body,
            passed: 0,
            limit: None,
            is_asked_for: !waits,
            is_waited_for: !is_http2,
        })
    }
}

/// Lets the rest of a body go by.
pub(super) struct PassBy {
    body: Incoming,
    passed: u64,
    limit: Option<Pin<Box<Sleep>>>,
    /// Who waits to be asked for it need not send it.
    is_asked_for: bool,
    /// Over HTTP/2 a stream that is not read to its end costs no connection.
    is_waited_for: bool,
}

impl PassBy {
    /// Whether it went by whole, once that is known.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if !self.is_asked_for || self.passed + self.body.size_hint().lower() > LITTLE {
                return Poll::Ready(false);
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                Poll::Ready(Some(Ok(frame))) => {
                    self.passed += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                Poll::Pending if self.is_waited_for => {
                    let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(SOON)));
                    return limit.as_mut().poll(cx).map(|()| false);
                }
                Poll::Pending => return Poll::Ready(false),
            }
        }
    }
}

/// Throws away what still comes on a connection whose last answer is out,
/// until its caller has read that and closes.
pub(super) async fn linger(stream: TcpStream) {
    let _ = socket2::SockRef::from(&stream).shutdown(Shutdown::Write);
    let mut passed = 0;
    let mut buffer = vec![0; 16 * 1024];
    let all = async {
        while passed < MUCH {
            let Ok(Ok(())) = timeout(SILENCE, stream.readable()).await else {
                return;
            };
            match stream.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => passed += n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = timeout(LONGEST, all).await;
}
