//! What counting costs a request: `cargo bench --bench telemetry`.
//!
//! Prints the least of several rounds, which is the one that the machine's
//! other work disturbed least.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use modelship::telemetry::{BuildInfo, Metrics, ModelMetrics, Run};

const REQUESTS: u32 = 200_000;
const ROUNDS: u32 = 50;

/// All that one request of a batch of one counts.
fn request(model: &Arc<ModelMetrics>) {
    let in_flight = model.start();
    model.observe_queue(black_box(Duration::from_micros(7)));
    model.observe_run(&Run {
        rows: black_box(1),
        input: Duration::ZERO,
        compute: black_box(Duration::from_micros(12)),
        output: Duration::ZERO,
    });
    in_flight.finish(Ok(()));
}

fn least(round: impl Fn()) -> Duration {
    let time = |()| {
        let start = Instant::now();
        round();
        start.elapsed()
    };
    (0..ROUNDS).map(|_| time(())).min().unwrap_or_default() / REQUESTS
}

fn main() {
    let metrics = Metrics::new(BuildInfo {
        version: String::new(),
        commit: String::new(),
    });
    let model = metrics.model("linear", "v1.1.0", "");
    let all = || (0..REQUESTS).for_each(|_| request(&model));
    println!("one thread                 {:>8.1?} a request", least(all));
    let both = || {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(all);
            }
        });
    };
    println!("each of two, one model     {:>8.1?} a request", least(both));
    let clock = || {
        (0..REQUESTS).for_each(|_| {
            black_box((Instant::now(), Instant::now()));
        });
    };
    println!("of it the clock, read twice {:>7.1?}", least(clock));
    let start = Instant::now();
    let text = metrics.encode();
    println!("/metrics: {} bytes in {:.1?}", text.len(), start.elapsed());
}
