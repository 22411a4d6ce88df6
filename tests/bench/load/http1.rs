//! HTTP/1.1 over keep-alive connections, all on one thread and one poll.

mod connection;
mod ticker;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use self::{
    connection::{Connection, Read},
    ticker::Ticker,
};
use super::{
    arrivals::Arrivals,
    outcome::{Outcome, Tally},
    plan::{Plan, Way},
};

/// An answer that takes longer than this is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the poll waits before it looks whether it is to end.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// The pause before each connection at the start.
const BETWEEN_CONNECTS: Duration = Duration::from_millis(1);

/// Carries out `plan`.
pub(crate) fn run(plan: &Plan, closed: Arc<AtomicBool>) -> anyhow::Result<Outcome> {
    let mut load = Load::start(plan, closed)?;
    load.go()?;
    for connection in &load.connections {
        if connection
            .busy
            .is_some_and(|since| since.elapsed() > PATIENCE)
        {
            load.tally.failure("no answer within 30 s");
        }
    }
    Ok(load.tally.outcome())
}

struct Load {
    poll: Poll,
    tally: Tally,
    connections: Vec<Connection>,
    way: Way,
    request: Vec<u8>,
    /// Requests that may still be sent.
    left: u64,
    /// With a rate, what is due and when; without one, nothing.
    schedule: Option<Schedule>,
}

/// What is due, and what may be sent on.
struct Schedule {
    arrivals: Arrivals,
    /// Those that fell due while no connection was free.
    waiting: VecDeque<Instant>,
    free: Vec<usize>,
    _ticker: Ticker,
}

impl Load {
    fn start(plan: &Plan, closed: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..plan.connections)
            .map(|place| {
                // A burst would all be accepted by whichever of a server's
                // processes wakes first.
                std::thread::sleep(BETWEEN_CONNECTS);
                Connection::open(plan.way(), &poll, Token(place))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        let schedule = match (Arrivals::of(plan), plan.rate) {
            (Some(arrivals), Some(rate)) => Some(Schedule {
                arrivals,
                waiting: VecDeque::new(),
                free: (0..plan.connections).rev().collect(),
                _ticker: Ticker::start(&poll, Token(plan.connections), rate)?,
            }),
            _ => None,
        };
        Ok(Self {
            poll,
            tally: Tally::start(plan, closed)?,
            connections,
            way: plan.way(),
            request: request(plan)?,
            left: plan.requests,
            schedule,
        })
    }

    fn go(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        if self.schedule.is_none() {
            for place in 0..self.connections.len() {
                self.send(place, Instant::now())?;
            }
        }
        loop {
            if self.tally.is_over() || (self.left == 0 && self.idle()) {
                return Ok(());
            }
            let left = self.tally.until().saturating_duration_since(Instant::now());
            self.poll.poll(&mut events, Some(left.min(LONGEST_WAIT)))?;
            for event in &events {
                let Token(place) = event.token();
                // The last token is the ticker's.
                if place < self.connections.len() {
                    if event.is_writable() {
                        let wrote = self.connections[place].write(&self.request);
                        if let Err(error) = wrote {
                            self.fail(place, &error)?;
                            continue;
                        }
                    }
                    if event.is_readable() {
                        self.read(place)?;
                    }
                }
            }
            self.dispatch()?;
        }
    }

    fn idle(&self) -> bool {
        self.connections.iter().all(|c| c.busy.is_none())
    }

    /// Sends one request on connection `place`; its latency counts from
    /// `since`.
    fn send(&mut self, place: usize, since: Instant) -> std::io::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        match self.connections[place].send(&self.request, since) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(place, &error),
        }
    }

    /// Sends what has fallen due.
    fn dispatch(&mut self) -> std::io::Result<()> {
        let Some(schedule) = &mut self.schedule else {
            return Ok(());
        };
        let now = Instant::now();
        while schedule.arrivals.due() <= now {
            schedule.waiting.push_back(schedule.arrivals.take());
        }
        let mut ready = Vec::new();
        while !schedule.waiting.is_empty() {
            let Some(place) = schedule.free.pop() else {
                break;
            };
            ready.extend(schedule.waiting.pop_front().map(|due| (place, due)));
        }
        let held_back = !schedule.waiting.is_empty();
        for (place, due) in ready {
            self.tally.sent(now, now - due);
            // The ticker's own lateness is not the server's; a wait for a
            // free connection is.
            self.send(place, if held_back { due } else { now })?;
        }
        Ok(())
    }

    fn read(&mut self, place: usize) -> std::io::Result<()> {
        let connection = &mut self.connections[place];
        match connection.read() {
            Ok(Read::Partial) => Ok(()),
            Ok(Read::Closed) if connection.busy.is_none() => {
                self.tally.reconnect();
                self.reopen(place)
            }
            Ok(Read::Closed) => {
                let closed = std::io::Error::other("closed before the answer was whole");
                self.fail(place, &closed)
            }
            Ok(Read::Answer(answer)) => {
                let now = Instant::now();
                if let Some(since) = connection.busy.take() {
                    let body = connection.body(&answer);
                    self.tally.answer(now, now - since, answer.status, body);
                }
                connection.clear();
                if answer.closes {
                    self.reopen(place)?;
                }
                self.next(place, now)
            }
            Err(error) => self.fail(place, &error),
        }
    }

    /// Connection `place` has its answer.
    fn next(&mut self, place: usize, now: Instant) -> std::io::Result<()> {
        let Some(schedule) = &mut self.schedule else {
            return self.send(place, now);
        };
        match schedule.waiting.pop_front() {
            Some(due) => {
                self.tally.sent(now, now - due);
                self.send(place, due)
            }
            None => {
                schedule.free.push(place);
                Ok(())
            }
        }
    }

    fn fail(&mut self, place: usize, error: &std::io::Error) -> std::io::Result<()> {
        self.tally.failure(&error.to_string());
        self.reopen(place)?;
        self.next(place, Instant::now())
    }

    fn reopen(&mut self, place: usize) -> std::io::Result<()> {
        self.connections[place] = Connection::open(self.way, &self.poll, Token(place))?;
        Ok(())
    }
}

/// The bytes of the request.
fn request(plan: &Plan) -> anyhow::Result<Vec<u8>> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\n",
        plan.method, plan.path, plan.target
    );
    for (name, value) in &plan.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = plan.body()?;
    if plan.body.is_some() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    Ok([head.into_bytes(), body].concat())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener},
    };

    use super::*;

    /// A server that answers the request number n, from 0 on, with
    /// `answer(n)`, whatever connection it comes on.
    fn serve(answer: fn(usize) -> String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut number = 0;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer) {
                    let text = answer(number);
                    number += 1;
                    if stream.write_all(text.as_bytes()).is_err() || text.contains("close") {
                        break;
                    }
                }
            }
        });
        address
    }

    fn outcome(target: SocketAddr, more: &str) -> serde_json::Value {
        let known = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&known, "ok").unwrap();
        let text = format!(
            r#"{{"target": "{target}", "path": "/", "connections": 1, "seconds": 20, "requests": 9,
                "answers": [{:?}], {more}}}"#,
            known.path()
        );
        let plan: Plan = serde_json::from_str(&text).unwrap();
        let outcome = run(&plan, Arc::default()).unwrap();
        serde_json::to_value(outcome).unwrap()
    }

    #[test]
    fn wrong_and_refused_answers_are_told_from_right_ones() {
        let target = serve(|n| match n % 3 {
            0 => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
            1 => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno".to_owned(),
            _ => "HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        });
        let outcome = outcome(target, r#""method": "GET""#);
        assert_eq!(outcome["requests"], 3);
        assert_eq!(outcome["wrong"], 3);
        assert_eq!(outcome["statuses"]["503"], 3);
        assert_eq!(outcome["answers"][0], 3);
    }

    #[test]
    fn a_connection_that_closes_after_its_answer_is_no_failure() {
        let target = serve(|_| {
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_owned()
        });
        let outcome = outcome(target, r#""rate": 1000"#);
        assert_eq!(outcome["requests"], 9);
        assert_eq!(outcome["failures"], serde_json::json!({}));
    }

    #[test]
    fn a_connection_that_closes_within_an_answer_is_a_failure() {
        let target = serve(|n| match n {
            0 => "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nclose".to_owned(),
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        });
        let outcome = outcome(target, r#""rate": 1000"#);
        assert_eq!(outcome["requests"], 8);
        let failure = "closed before the answer was whole";
        assert_eq!(outcome["failures"][failure], 1);
    }
}
