//! HTTP/1.1 over keep-alive connections, all on one thread and one poll.

mod connection;
mod ticker;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

use self::{
    connection::{Connection, Read},
    ticker::Ticker,
};
use super::{
    outcome::{Outcome, Tally},
    plan::Plan,
};

/// An answer that takes longer than this is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Carries out `plan`.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut load = Load::start(plan)?;
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
    target: std::net::SocketAddr,
    request: Vec<u8>,
    /// Requests that may still be sent.
    left: u64,
    /// With a rate, what is due and when; without one, nothing.
    schedule: Option<Schedule>,
}

/// The times at which requests are due, whatever the answers do.
struct Schedule {
    start: Instant,
    rate: f64,
    /// How many have fallen due so far.
    due: u64,
    /// Those that fell due while no connection was free.
    waiting: VecDeque<Instant>,
    free: Vec<usize>,
    _ticker: Ticker,
}

impl Schedule {
    fn time_of(&self, number: u64) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let seconds = number as f64 / self.rate;
        self.start + Duration::from_secs_f64(seconds)
    }
}

impl Load {
    fn start(plan: &Plan) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..plan.connections)
            .map(|place| Connection::open(plan.target, &poll, Token(place)))
            .collect::<std::io::Result<Vec<_>>>()?;
        let schedule = match plan.rate {
            None => None,
            Some(rate) => Some(Schedule {
                start: Instant::now(),
                rate,
                due: 0,
                waiting: VecDeque::new(),
                free: (0..plan.connections).rev().collect(),
                _ticker: Ticker::start(&poll, Token(plan.connections), rate)?,
            }),
        };
        Ok(Self {
            poll,
            tally: Tally::start(plan)?,
            connections,
            target: plan.target,
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
            let left = self.tally.until().saturating_duration_since(Instant::now());
            if left.is_zero() || (self.left == 0 && self.idle()) {
                return Ok(());
            }
            self.poll.poll(&mut events, Some(left))?;
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
        while schedule.time_of(schedule.due) <= now {
            schedule.waiting.push_back(schedule.time_of(schedule.due));
            schedule.due += 1;
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
        self.connections[place] = Connection::open(self.target, &self.poll, Token(place))?;
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
