//! One connection: a request going out, or an answer coming in.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    time::Instant,
};

use mio::{Interest, Poll, Token, net::TcpStream};

use crate::plan::Way;

/// One keep-alive connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// Since when a request waits for its answer.
    pub(super) busy: Option<Instant>,
    /// How much of the request has been written.
    written: usize,
    /// What has been read of the answer.
    buffer: Vec<u8>,
    filled: usize,
    head: Option<Answer>,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether the server closes the connection after it.
    pub(super) closes: bool,
    head: usize,
    body: usize,
}

/// What reading came to.
pub(super) enum Read {
    /// The answer is not whole yet.
    Partial,
    /// An answer.
    Answer(Answer),
    /// The server has closed the connection.
    Closed,
}

impl Connection {
    /// Connects by `way`.
    pub(super) fn open(way: Way, poll: &Poll, token: Token) -> std::io::Result<Self> {
        let stream = way.connect()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            busy: None,
            written: 0,
            buffer: vec![0; 16 * 1024],
            filled: 0,
            head: None,
        })
    }

    /// Starts to send `request`.
    pub(super) fn send(&mut self, request: &[u8], since: Instant) -> std::io::Result<()> {
        self.busy = Some(since);
        self.written = 0;
        self.write(request)
    }

    /// Goes on sending `request`, as far as the socket takes it.
    pub(super) fn write(&mut self, request: &[u8]) -> std::io::Result<()> {
        while self.busy.is_some() && self.written < request.len() {
            match self.stream.write(&request[self.written..]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads until the answer is whole or there is no more for now.
    pub(super) fn read(&mut self) -> std::io::Result<Read> {
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.filled * 2, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Ok(Read::Closed),
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Read::Partial),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            if self.head.is_none() {
                self.head = parse(&self.buffer[..self.filled])?;
            }
            if let Some(answer) = self.head
                && self.filled >= answer.head + answer.body
            {
                // What is read at once with its end can't be a second answer:
                // there is one request at a time.
                return Ok(Read::Answer(answer));
            }
        }
    }

    /// The body of an answer that is whole.
    pub(super) fn body(&self, answer: &Answer) -> &[u8] {
        &self.buffer[answer.head..answer.head + answer.body]
    }

    /// Makes room for the next answer.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
        self.head = None;
    }
}

/// The head of the answer that `bytes` starts with, once it is whole.
fn parse(bytes: &[u8]) -> std::io::Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(std::io::Error::other)?;
    let httparse::Status::Complete(head) = parsed else {
        return Ok(None);
    };
    let value = |name: &str| {
        let header = response
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let Some(body) = value("content-length").and_then(|v| v.parse().ok()) else {
        return Err(std::io::Error::other("the answer has no content-length"));
    };
    Ok(Some(Answer {
        status: response.code.unwrap_or(0),
        closes: value("connection").is_some_and(|v| v.eq_ignore_ascii_case("close")),
        head,
        body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_once_it_is_whole() {
        let text =
            b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nconnection: close\r\n\r\nno";
        assert!(parse(&text[..30]).unwrap().is_none());
        let answer = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.body, answer.closes), (429, 2, true));
        assert_eq!(&text[answer.head..], b"no");
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
