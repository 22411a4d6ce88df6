//! What counting costs a request: `cargo bench --bench telemetry`.
//!
//! Prints the middle one of several rounds, in time on the CPU, so that the
//! machine's other work counts little.

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

use std::{
    fs,
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use modelship::telemetry::{BuildInfo, Metrics, ModelMetrics, Run};

const REQUESTS: u64 = 1_000_000;
const ROUNDS: usize = 15;

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

/// How long this thread has been on a CPU, in nanoseconds, as Linux counts it;
/// elsewhere, the time that has passed.
fn on_cpu(since: Instant) -> u64 {
    let passed = || u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = |text: String| text.split(' ').next()?.parse().ok();
    counted.and_then(first).unwrap_or_else(passed)
}

/// What one of the requests of `round` takes, with `threads` at it at once.
fn middle(threads: u32, round: impl Fn() + Sync) -> u64 {
    let since = Instant::now();
    let timed = || {
        let start = on_cpu(since);
        round();
        on_cpu(since) - start
    };
    let together = |_| {
        thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(timed)).collect();
            let times = all.into_iter().filter_map(|thread| thread.join().ok());
            times.sum::<u64>() / u64::from(threads)
        })
    };
    let mut rounds: Vec<u64> = (0..ROUNDS).map(together).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2] / REQUESTS
}

fn main() {
    let metrics = Metrics::new(BuildInfo {
        version: String::new(),
        commit: String::new(),
    });
    let model = metrics.model("linear", "v1.1.0", "", "unsigned");
    let count = || (0..REQUESTS).for_each(|_| request(&model));
    for threads in [1, 2, 4] {
        let middle = middle(threads, count);
        println!("{middle:>5} ns a request, {threads} threads on one model");
    }
    let clock = || {
        (0..REQUESTS).for_each(|_| {
            black_box((Instant::now(), Instant::now()));
        });
    };
    println!("{:>5} ns of them, the clock read twice", middle(1, clock));
    let start = Instant::now();
    let text = metrics.encode();
    println!("/metrics: {} bytes in {:.1?}", text.len(), start.elapsed());
}
