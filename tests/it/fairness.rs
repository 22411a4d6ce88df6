//! A full queue: the client that holds most of it gives way, not the newcomer.

use std::net::IpAddr;

use modelship::{
    error::Kind,
    scheduler::{Placement, Plan, Request, client},
};
use tokio::task::JoinHandle;

use crate::batching::{Bench, event_loop, plan, threads};

type Asked = JoinHandle<Result<Vec<f32>, Kind>>;

const GREEDY: [u8; 4] = [10, 0, 0, 1];
const POLITE: [u8; 4] = [10, 0, 0, 2];

/// A queue that is full of one client's requests: `count` of `rows` rows.
struct Full {
    bench: Bench,
    runtime: tokio::runtime::Runtime,
    busy: Asked,
    greedy: Vec<Asked>,
}

impl Full {
    fn new(plan: Plan, count: usize, rows: usize) -> Self {
        let bench = Bench::new(plan);
        let runtime = threads();
        bench.engine.hold();
        let busy = runtime.spawn(bench.ask(0.0, 1, Request::default()));
        bench.engine.wait_for_waiting(1);
        let mut full = Self {
            bench,
            runtime,
            busy,
            greedy: Vec::new(),
        };
        for first in 0..count {
            let asked = full.ask(GREEDY, first as f32, rows);
            full.wait_until_waiting((first + 1) * rows);
            full.greedy.push(asked);
        }
        full
    }

    fn ask(&self, from: [u8; 4], first: f32, rows: usize) -> Asked {
        let asked = self.bench.ask(first, rows, Request::default());
        let from = Some(IpAddr::from(from));
        self.runtime.spawn(client::working_for(from, asked))
    }

    fn wait_until_waiting(&self, rows: usize) {
        while self.bench.scheduler.waiting() != rows {
            std::thread::yield_now();
        }
    }

    /// Asks as `from`, and gives the answer of a request that is refused.
    fn refused(&self, from: [u8; 4], rows: usize) {
        let answer = self.runtime.block_on(self.ask(from, 0.0, rows));
        assert_eq!(answer.unwrap(), Err(Kind::Overloaded));
    }

    /// Lets all run: how many of the greedy one's were answered.
    fn open(&mut self) -> usize {
        self.bench.engine.open();
        assert!(self.runtime.block_on(&mut self.busy).unwrap().is_ok());
        let answers = std::mem::take(&mut self.greedy).into_iter();
        let answers = answers.map(|asked| self.runtime.block_on(asked).unwrap());
        let answered = answers.map(|answer| match answer {
            Ok(_) => 1,
            Err(kind) => {
                assert_eq!(kind, Kind::Overloaded);
                0
            }
        });
        answered.sum()
    }
}

#[test]
fn by_rows() {
    let mut full = Full::new(plan(Placement::Threads), 64, 1);
    full.refused(GREEDY, 1);
    let polite: Vec<_> = (0..3)
        .map(|i| full.ask(POLITE, 100.0 * i as f32, 1))
        .collect();
    // Three give way at once, while nothing has run.
    while full.greedy.iter().filter(|a| a.is_finished()).count() < 3 {
        std::thread::yield_now();
    }
    // One larger than what the greedy one would keep is not let in.
    full.refused(POLITE, 60);
    assert_eq!(full.bench.engine.runs(), 1);
    assert_eq!(full.open(), 61);
    for (i, asked) in polite.into_iter().enumerate() {
        let answer = full.runtime.block_on(asked);
        assert_eq!(answer.unwrap(), Ok(vec![200.0 * i as f32]));
    }
}

#[test]
fn by_bytes() {
    // A row is four bytes.
    let plan = Plan {
        max_queue_bytes: Some(64),
        ..plan(Placement::Threads)
    };
    let mut full = Full::new(plan, 4, 4);
    assert!(full.bench.scheduler.admit().is_ok());
    full.refused(GREEDY, 1);
    let polite = full.ask(POLITE, 7.0, 2);
    full.wait_until_waiting(14);
    full.refused(POLITE, 16);
    assert_eq!(full.open(), 3);
    let answer = full.runtime.block_on(polite);
    assert_eq!(answer.unwrap(), Ok(vec![14.0, 16.0]));
}

#[test]
fn what_would_be_refused_is_known_before_it_is_read() {
    let mut full = Full::new(plan(Placement::Threads), 64, 1);
    let admit = |from: [u8; 4]| {
        let scheduler = full.bench.scheduler.clone();
        let from = Some(IpAddr::from(from));
        let asked = client::working_for(from, async move { scheduler.admit() });
        full.runtime.block_on(asked).map_err(|e| e.kind())
    };
    assert_eq!(admit(GREEDY), Err(Kind::Overloaded));
    assert_eq!(admit(POLITE), Ok(()));
    assert_eq!(full.open(), 64);
}

#[test]
fn of_requests_that_an_event_loop_can_not_wait_for() {
    let bench = Bench::new(plan(Placement::Inline));
    let runtime = event_loop();
    bench.engine.hold();
    let ask = |from: [u8; 4], first: f32| {
        let asked = bench.ask(first, 16, Request::default());
        runtime.spawn(client::working_for(Some(IpAddr::from(from)), asked))
    };
    let turn = || {
        runtime.block_on(async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        });
    };
    let running = ask(GREEDY, 0.0);
    turn();
    bench.engine.wait_for_waiting(1);
    let mut greedy: Vec<_> = (1..=4).map(|i| ask(GREEDY, i as f32)).collect();
    turn();
    assert_eq!(bench.scheduler.waiting(), 64);
    let more = runtime.block_on(ask(GREEDY, 9.0)).unwrap();
    assert_eq!(more, Err(Kind::Overloaded));
    let polite = ask(POLITE, 7.0);
    turn();
    assert_eq!(bench.scheduler.waiting(), 64);
    let last = greedy.pop().unwrap();
    assert_eq!(runtime.block_on(last).unwrap(), Err(Kind::Overloaded));
    bench.engine.open();
    for asked in greedy.into_iter().chain([running, polite]) {
        assert!(runtime.block_on(asked).unwrap().is_ok());
    }
    assert_eq!(bench.scheduler.waiting(), 0);
}
