//! The scheduler: what runs together, what runs when, and what is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use modelship::{
    engine::{
        Engine, Model, ModelBytes, Threads,
        fake::{Failure, FakeEngine},
    },
    error::Kind,
    scheduler::{Background, Batching, Placement, Plan, Request, Scheduler, event_loop},
    telemetry::{BuildInfo, Metrics, ModelMetrics},
    tensor::Tensor,
};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::repository::fake_graph;

pub fn plan(placement: Placement) -> Plan {
    Plan {
        placement,
        placement_reason: String::new(),
        batching: Batching::On,
        max_batch_size: 8,
        max_queue_size: 64,
        max_queue_bytes: None,
        max_queue_delay: Duration::ZERO,
        priority_levels: 3,
        default_priority: 2,
        default_timeout: None,
        instances: 1,
        max_run_time: Duration::from_secs(30),
        background: Background::Nice,
        intra_threads: 1,
        run: None,
    }
}

pub struct Bench {
    pub engine: FakeEngine,
    pub metrics: Arc<ModelMetrics>,
    pub scheduler: Arc<Scheduler>,
}

impl Bench {
    pub fn new(plan: Plan) -> Self {
        let engine = FakeEngine::default();
        let bytes = ModelBytes {
            graph: fake_graph("v1.0.0", 2.0).into(),
            external: Vec::new(),
        };
        let model: Arc<dyn Model> = engine.load(&bytes, Threads { intra: 1 }).unwrap();
        let metrics = Metrics::new(BuildInfo {
            version: String::new(),
            commit: String::new(),
        })
        .model("double", "v1.0.0", "", "unsigned");
        let scheduler = Scheduler::start(&model, plan, &metrics).unwrap();
        Self {
            engine,
            metrics,
            scheduler: Arc::new(scheduler),
        }
    }

    /// Submits `rows` rows that begin with `first`, and gives the answer's.
    pub fn ask(
        &self,
        first: f32,
        rows: usize,
        request: Request,
    ) -> impl Future<Output = Result<Vec<f32>, Kind>> + Send + use<> {
        let scheduler = Arc::clone(&self.scheduler);
        let given = (0..rows).map(|i| first + i as f32).collect::<Vec<f32>>();
        async move {
            let request = Request {
                inputs: vec![Some(Tensor::new([given.len(), 1], given).unwrap())],
                ..request
            };
            let answer = scheduler.submit(request).await.map_err(|e| e.kind())?;
            Ok(answer.outputs[0]
                .tensor
                .elements::<f32>()
                .unwrap()
                .into_owned())
        }
    }
}

/// A runtime that keeps the promise of an event loop.
pub fn event_loop() -> Runtime {
    event_loop::attach(0);
    Builder::new_current_thread()
        .enable_all()
        .on_thread_park(event_loop::idle)
        .build()
        .unwrap()
}

pub fn threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn what_arrives_while_an_instance_is_busy_is_the_next_batch() {
    let bench = Bench::new(plan(Placement::Threads));
    let runtime = threads();
    bench.engine.hold();
    let first = runtime.spawn(bench.ask(1.0, 1, Request::default()));
    bench.engine.wait_for_waiting(1);
    let rest: Vec<_> = (0..5)
        .map(|i| bench.ask(i as f32 * 10.0, 1, Request::default()))
        .collect();
    let rest = runtime.block_on(async {
        let rest: Vec<_> = rest.into_iter().map(tokio::spawn).collect();
        // They are in the queue once their tasks wait for an answer.
        while bench.scheduler.waiting() < 5 {
            tokio::task::yield_now().await;
        }
        bench.engine.open();
        let mut answers = vec![first.await.unwrap().unwrap()];
        for answer in rest {
            answers.push(answer.await.unwrap().unwrap());
        }
        answers
    });
    assert_eq!(rest[0], [2.0]);
    assert_eq!(rest[1..], [[0.0], [20.0], [40.0], [60.0], [80.0]]);
    assert_eq!(bench.engine.batches(), [1, 5]);
}

#[test]
fn what_is_ready_in_one_turn_of_an_event_loop_is_one_batch() {
    let bench = Bench::new(plan(Placement::Inline));
    let answers = event_loop().block_on(async {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let asked: Vec<_> = (0..8)
                .map(|i| tokio::spawn(bench.ask(i as f32, 1, Request::default())))
                .collect();
            for asked in asked {
                answers.push(asked.await.unwrap().unwrap()[0]);
            }
        }
        answers
    });
    let one: Vec<f32> = (0..8u8).map(|i| f32::from(i) * 2.0).collect();
    assert_eq!(answers, [one.clone(), one].concat());
    // The first turn finds a lone request and runs it at once; the second
    // knows that there are several.
    assert_eq!(bench.engine.batches(), [1, 7, 8]);
}

#[test]
fn a_lone_request_on_an_event_loop_runs_at_once() {
    let bench = Bench::new(plan(Placement::Inline));
    event_loop().block_on(async {
        for _ in 0..3 {
            let mut asked = Box::pin(bench.ask(1.0, 1, Request::default()));
            let now = std::future::poll_fn(|cx| std::task::Poll::Ready(asked.as_mut().poll(cx)));
            assert!(now.await.is_ready(), "it is answered in its first poll");
            event_loop::idle();
        }
    });
}

#[test]
fn a_request_larger_than_a_batch_runs_alone() {
    for placement in [Placement::Inline, Placement::Threads] {
        let bench = Bench::new(plan(placement));
        let answer = event_loop().block_on(bench.ask(0.0, 100, Request::default()));
        assert_eq!(answer.unwrap().len(), 100);
        assert_eq!(bench.engine.batches(), [100]);
    }
}

#[test]
fn a_full_queue_refuses_and_a_later_request_fits() {
    let bench = Bench::new(plan(Placement::Threads));
    let runtime = threads();
    bench.engine.hold();
    let busy = runtime.spawn(bench.ask(1.0, 1, Request::default()));
    bench.engine.wait_for_waiting(1);
    let large = runtime.spawn(bench.ask(0.0, 64, Request::default()));
    while bench.scheduler.waiting() < 64 {
        std::thread::yield_now();
    }
    let refused = runtime.block_on(bench.ask(0.0, 1, Request::default()));
    assert_eq!(refused, Err(Kind::Overloaded));
    bench.engine.open();
    assert!(runtime.block_on(busy).unwrap().is_ok());
    assert!(runtime.block_on(large).unwrap().is_ok());
    assert!(
        runtime
            .block_on(bench.ask(0.0, 1, Request::default()))
            .is_ok()
    );
}

#[test]
fn the_most_urgent_runs_first() {
    let bench = Bench::new(Plan {
        max_batch_size: 1,
        ..plan(Placement::Threads)
    });
    let runtime = threads();
    bench.engine.hold();
    let busy = runtime.spawn(bench.ask(0.0, 1, Request::default()));
    bench.engine.wait_for_waiting(1);
    let (tell, told) = std::sync::mpsc::channel();
    for (waiting, priority) in [(1, 3), (2, 0), (3, 1)] {
        let asked = bench.ask(
            priority as f32,
            1,
            Request {
                priority,
                ..Request::default()
            },
        );
        let tell = tell.clone();
        runtime.spawn(async move {
            asked.await.unwrap();
            tell.send(priority).unwrap();
        });
        while bench.scheduler.waiting() < waiting {
            std::thread::yield_now();
        }
    }
    let mut order = Vec::new();
    for run in 0..4 {
        bench.engine.release(1);
        if run > 0 {
            order.push(told.recv().unwrap());
        }
    }
    assert_eq!(order, [1, 0, 3]);
    assert!(runtime.block_on(busy).unwrap().is_ok());
    let beyond = Request {
        priority: 4,
        ..Request::default()
    };
    bench.engine.open();
    assert_eq!(
        runtime.block_on(bench.ask(0.0, 1, beyond)),
        Err(Kind::Invalid)
    );
}

#[test]
fn a_deadline_that_passes_in_the_queue_is_told_and_nothing_runs() {
    let bench = Bench::new(plan(Placement::Threads));
    let runtime = threads();
    bench.engine.hold();
    let busy = runtime.spawn(bench.ask(0.0, 1, Request::default()));
    bench.engine.wait_for_waiting(1);
    let late = Request {
        deadline: Some(Instant::now() + Duration::from_millis(5)),
        ..Request::default()
    };
    // Told while the instance is still busy.
    assert_eq!(
        runtime.block_on(bench.ask(0.0, 1, late)),
        Err(Kind::Deadline)
    );
    bench.engine.open();
    assert!(runtime.block_on(busy).unwrap().is_ok());
    assert!(
        runtime
            .block_on(bench.ask(0.0, 1, Request::default()))
            .is_ok()
    );
    assert_eq!(bench.engine.runs(), 2);
    let passed = Request {
        deadline: Some(Instant::now()),
        ..Request::default()
    };
    assert_eq!(
        runtime.block_on(bench.ask(0.0, 1, passed)),
        Err(Kind::Deadline)
    );
}

#[test]
fn a_caller_that_has_gone_is_skipped() {
    let bench = Bench::new(plan(Placement::Threads));
    let runtime = threads();
    bench.engine.hold();
    let busy = runtime.spawn(bench.ask(0.0, 1, Request::default()));
    bench.engine.wait_for_waiting(1);
    let gone = runtime.spawn(bench.ask(0.0, 1, Request::default()));
    while bench.scheduler.waiting() < 1 {
        std::thread::yield_now();
    }
    gone.abort();
    assert!(runtime.block_on(gone).unwrap_err().is_cancelled());
    bench.engine.open();
    assert!(runtime.block_on(busy).unwrap().is_ok());
    assert!(
        runtime
            .block_on(bench.ask(0.0, 1, Request::default()))
            .is_ok()
    );
    assert_eq!(bench.engine.batches(), [1, 1]);
}

#[test]
fn a_failure_is_its_batch_s_alone() {
    for placement in [Placement::Inline, Placement::Threads] {
        for failure in [Failure::Error, Failure::Panic] {
            let bench = Bench::new(plan(placement));
            let runtime = event_loop();
            bench.engine.fail_next(failure);
            let failed = runtime.block_on(bench.ask(1.0, 1, Request::default()));
            assert_eq!(failed, Err(Kind::Internal));
            let next = runtime.block_on(bench.ask(1.0, 1, Request::default()));
            assert_eq!(next, Ok(vec![2.0]));
        }
    }
}

#[test]
fn where_a_batch_fails_each_request_gets_its_own_run() {
    let bench = Bench::new(plan(Placement::Inline));
    event_loop().block_on(async {
        for _ in 0..2 {
            let asked: Vec<_> = (0..4)
                .map(|i| tokio::spawn(bench.ask(i as f32, 1, Request::default())))
                .collect();
            for asked in asked {
                asked.await.unwrap().unwrap();
            }
            bench.engine.fail_next(Failure::Error);
        }
    });
    // The failed batch of four, then its requests one by one.
    assert_eq!(bench.engine.batches(), [1, 3, 1, 1, 1, 1]);
    // Each has waited once, however often it ran.
    let waits = bench.metrics.statistics().inference_stats.queue;
    assert_eq!(waits.count, 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever comes in whatever order, each request is answered exactly
    /// once, with its own rows.
    #[test]
    fn each_request_is_answered_once_with_its_own(
        sizes in prop::collection::vec(1usize..20, 1..60),
        instances in 1usize..3,
        inline: bool,
    ) {
        let placement = if inline { Placement::Inline } else { Placement::Threads };
        let bench = Bench::new(Plan {
            instances,
            max_queue_size: 10_000,
            ..plan(placement)
        });
        let runtime = event_loop();
        let answers = runtime.block_on(async {
            let asked: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(i, &rows)| tokio::spawn(bench.ask(i as f32 * 100.0, rows, Request::default())))
                .collect();
            let mut answers = Vec::new();
            for asked in asked {
                answers.push(asked.await.unwrap().unwrap());
            }
            answers
        });
        for (i, (answer, &rows)) in answers.iter().zip(&sizes).enumerate() {
            let expected: Vec<f32> = (0..rows).map(|r| (i as f32 * 100.0 + r as f32) * 2.0).collect();
            prop_assert_eq!(answer, &expected);
        }
        let ran: usize = bench.engine.batches().iter().sum();
        prop_assert_eq!(ran, sizes.iter().sum::<usize>());
        let statistics = bench.metrics.statistics();
        prop_assert_eq!(statistics.inference_count, ran as u64);
        prop_assert_eq!(statistics.execution_count, bench.engine.runs() as u64);
    }
}
