//! How fast two versions are in this server: through the same loader and
//! scheduler as when they are served, and in turns, so that noise falls on
//! both.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime, task::JoinSet};

use crate::{
    catalog::{Loader, Origin, Servable},
    engine::Engine,
    repository::{Candidate, VerifiedModel, signature::Trusted},
    review::{
        exercise::Loaded,
        report::{Speed, SpeedFacts},
        sampling::Sampler,
    },
    scheduler::{Background, Host, Inputs, Placement, Request, Settings, event_loop},
    telemetry::{BuildInfo, Metrics},
};

/// Turns of each version.
const TURNS: usize = 4;

/// Loads of each version.
const LOADS: usize = 3;

/// One version to measure.
pub(super) struct Runner<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) model: &'a VerifiedModel,
}

/// Measures one version, or two in turns, for `time` in all.
///
/// # Errors
/// Why they can't be measured, in a sentence.
pub(super) fn speed(
    engine: &Arc<dyn Engine>,
    base: Option<Runner<'_>>,
    head: Runner<'_>,
    time: Duration,
) -> Result<Speed, String> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let loader = Loader {
        trust: Trusted::default(),
        engine: Arc::clone(engine),
        host: Host {
            event_loops: 1,
            cpus,
            background: Background::Nice,
        },
        defaults: Settings::default(),
        origin: Origin::default(),
        metrics: Metrics::new(BuildInfo {
            version: String::new(),
            commit: String::new(),
        }),
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .on_thread_park(event_loop::idle)
        .build()
        .map_err(|e| format!("no event loop can be started: {e}"))?;
    // This thread is the event loop for as long as it measures.
    event_loop::attach(0);
    let mut sides = Vec::new();
    for runner in base.iter().chain([&head]) {
        sides.push(Measured::load(engine, &loader, runner)?);
    }
    // Loads in turns as well; the first found above counts too.
    for _ in 1..LOADS {
        for (side, runner) in sides.iter_mut().zip(base.iter().chain([&head])) {
            side.note_load(engine.as_ref(), runner);
        }
    }
    let runs = u32::try_from(2 * TURNS * sides.len()).unwrap_or(u32::MAX);
    let share = time / runs;
    for turn in 0..TURNS {
        // Either goes first as often as the other.
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for n in order {
            let side = &mut sides[n];
            runtime.block_on(side.alone(share))?;
            runtime.block_on(side.together(share))?;
        }
    }
    let mut facts = sides.into_iter().map(Measured::facts);
    let (first, second) = (facts.next(), facts.next());
    let (base, head) = match (first, second) {
        (base, Some(head)) => (base, head),
        (Some(head), None) => (None, head),
        (None, None) => return Err("there is nothing to measure".to_owned()),
    };
    Ok(Speed {
        turns: TURNS,
        base,
        head,
    })
}

/// One version while it is measured.
struct Measured {
    servable: Arc<Servable>,
    rows: Vec<Inputs>,
    latencies: Vec<Duration>,
    answered: usize,
    spent: Duration,
    load: Duration,
    memory: Option<u64>,
}

impl Measured {
    fn load(
        engine: &Arc<dyn Engine>,
        loader: &Loader,
        runner: &Runner<'_>,
    ) -> Result<Self, String> {
        let named = runner.candidate.id.to_string();
        let failed = |e: &dyn std::fmt::Display| format!("{named} can't be measured: {e}");
        let mut loaded = Loaded::of(engine.as_ref(), runner.model).map_err(|e| failed(&e))?;
        let rows = rows(&mut loaded, runner.model);
        if rows.is_empty() {
            return Err(failed(&"no input is known that it takes"));
        }
        let (load, memory) = (loaded.load, loaded.memory);
        drop(loaded);
        let servable = loader.load(runner.candidate).map_err(|e| failed(&e))?;
        Ok(Self {
            servable: Arc::new(servable),
            rows,
            latencies: Vec::new(),
            answered: 0,
            spent: Duration::ZERO,
            load,
            memory,
        })
    }

    fn note_load(&mut self, engine: &dyn Engine, runner: &Runner<'_>) {
        if let Ok(again) = Loaded::of(engine, runner.model) {
            self.load = self.load.min(again.load);
            // Memory that was freed before may serve again, so the most is
            // nearest to what a fresh process needs.
            self.memory = self.memory.max(again.memory);
        }
    }

    fn request(&self, n: usize) -> Request {
        Request {
            inputs: self.rows[n % self.rows.len()].clone(),
            ..Request::default()
        }
    }

    /// One request after the other, for `time`.
    async fn alone(&mut self, time: Duration) -> Result<(), String> {
        let started = Instant::now();
        let mut n = 0;
        while started.elapsed() < time || n < 10 {
            let request = self.request(n);
            let start = Instant::now();
            self.servable
                .infer(request)
                .await
                .map_err(|e| e.to_string())?;
            self.latencies.push(start.elapsed());
            n += 1;
        }
        Ok(())
    }

    /// As many requests at once as fill the best batch twice, for `time`.
    async fn together(&mut self, time: Duration) -> Result<(), String> {
        let batch = self.servable.card().scheduling.max_batch_size;
        let at_once = (2 * batch).clamp(4, 256);
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        for first in 0..at_once {
            let servable = Arc::clone(&self.servable);
            let requests: Vec<Inputs> = (0..self.rows.len())
                .map(|n| self.rows[(first + n) % self.rows.len()].clone())
                .collect();
            tasks.spawn(async move {
                let mut answered = 0;
                for inputs in requests.iter().cycle() {
                    if started.elapsed() >= time && answered > 0 {
                        break;
                    }
                    let request = Request {
                        inputs: inputs.clone(),
                        ..Request::default()
                    };
                    servable.infer(request).await.map_err(|e| e.to_string())?;
                    answered += 1;
                }
                Ok::<usize, String>(answered)
            });
        }
        while let Some(done) = tasks.join_next().await {
            self.answered += done.map_err(|e| e.to_string())??;
        }
        self.spent += started.elapsed();
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn facts(mut self) -> SpeedFacts {
        self.latencies.sort_unstable();
        let at = |part: usize| {
            let index =
                (self.latencies.len() * part / 100).min(self.latencies.len().saturating_sub(1));
            self.latencies
                .get(index)
                .map_or(0.0, |d| d.as_secs_f64() * 1e6)
        };
        let plan = &self.servable.card().scheduling;
        SpeedFacts {
            p50_microseconds: at(50),
            p99_microseconds: at(99),
            rows_per_second: self.answered as f64 / self.spent.as_secs_f64().max(f64::EPSILON),
            batch: plan.max_batch_size,
            placement: format!(
                "{}: {}",
                if plan.placement == Placement::Inline {
                    "inline"
                } else {
                    "threads"
                },
                plan.placement_reason
            ),
            load_milliseconds: self.load.as_secs_f64() * 1e3,
            load_memory: self.memory,
        }
    }
}

/// Inputs of one row: those of golden cases where they have one, else drawn
/// around them.
fn rows(loaded: &mut Loaded, model: &VerifiedModel) -> Vec<Inputs> {
    let signature = loaded.signature().clone();
    let cases: Vec<Inputs> = model
        .cases
        .iter()
        .filter_map(|case| case.arrange(&signature).ok())
        .collect();
    let single = |inputs: &Inputs| {
        let shapes = inputs.iter().flatten().map(|t| t.shape().rows());
        !signature.has_dynamic_rows() || shapes.into_iter().all(|rows| rows == Some(1))
    };
    let own: Vec<Inputs> = cases
        .iter()
        .filter(|inputs| single(inputs))
        .cloned()
        .collect();
    if !own.is_empty() {
        return own;
    }
    let mut sampler = Sampler::new(&model.id.name);
    for inputs in &cases {
        sampler.learn(&signature, inputs);
    }
    sampler.accepted(&mut *loaded.session, &signature, 8)
}
