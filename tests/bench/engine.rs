//! The limit of the engine: a loop around sessions in the process itself.
//!
//! usage: engine MODEL.onnx CASE.json [--seconds S] [--instances N --intra N --batch N]
//!
//! Runs the rows of a golden case in batches on sessions that share nothing
//! but the weights, one thread each, and writes for each setting the rows a
//! second as JSON, a line each. Without `--batch` it tries: one instance and
//! one for each processor with one thread, one with a thread for each
//! processor; and batches of 1, 2, 4 … 128 rows where the model takes them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, Command, value_parser};
use modelship::{
    engine::{Engine, Model, ModelBytes, OnnxRuntime, Session, Threads, find_library},
    repository::GoldenCase,
    tensor::{Tensor, concatenate, split},
};
use serde::Serialize;

/// Where a run takes longer than this, no larger batch is tried.
const LONGEST_RUN: Duration = Duration::from_millis(200);

/// The inputs of one run.
type Inputs = Vec<Option<Tensor>>;

/// One setting, and what it gave.
#[derive(Debug, Serialize)]
struct Measured {
    instances: usize,
    intra: usize,
    batch: usize,
    rows_per_second: f64,
    run_us: f64,
}

fn main() -> anyhow::Result<()> {
    let number = |name: &'static str| Arg::new(name).long(name).value_parser(value_parser!(usize));
    let flags = Command::new("engine")
        .arg(
            Arg::new("model")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("case")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .default_value("0.3")
                .value_parser(value_parser!(f64)),
        )
        .args(["instances", "intra", "batch"].map(number))
        .get_matches();
    let path = |name| flags.get_one::<PathBuf>(name).context("missing");
    let seconds: &f64 = flags.get_one("seconds").context("missing")?;
    let span = Duration::from_secs_f64(seconds.clamp(0.01, 60.0));

    let engine = OnnxRuntime::start(&find_library()?)?;
    let bytes = ModelBytes {
        graph: std::fs::read(path("model")?)?.into(),
        external: Vec::new(),
    };
    let mut out = std::io::stdout();
    for (instances, intra) in settings(&flags) {
        let model = engine.load(&bytes, Threads { intra })?;
        let row = first_row(&*model, path("case")?)?;
        for batch in batches(&flags, &*model) {
            let inputs = repeated(&row, batch)?;
            let measured = measure(&model, instances, intra, batch, &inputs, span)?;
            serde_json::to_writer(&mut out, &measured)?;
            out.write_all(b"\n")?;
            if measured.run_us > LONGEST_RUN.as_secs_f64() * 1e6 {
                break;
            }
        }
    }
    Ok(())
}

/// Instances, and threads inside a run.
fn settings(flags: &ArgMatches) -> Vec<(usize, usize)> {
    let given = |name| flags.get_one::<usize>(name).copied();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    match (given("instances"), given("intra")) {
        (None, None) if cpus == 1 => vec![(1, 1)],
        (None, None) => vec![(1, 1), (cpus, 1), (1, cpus)],
        (instances, intra) => vec![(instances.unwrap_or(1), intra.unwrap_or(1))],
    }
}

fn batches(flags: &ArgMatches, model: &dyn Model) -> Vec<usize> {
    match flags.get_one::<usize>("batch") {
        Some(batch) => vec![*batch],
        None if model.signature().has_dynamic_rows() => (0..8).map(|n| 1 << n).collect(),
        None => vec![1],
    }
}

/// The first row of the case's inputs, in the order of the signature.
fn first_row(model: &dyn Model, case: &Path) -> anyhow::Result<Inputs> {
    let parsed = GoldenCase::parse(case, &std::fs::read(case)?);
    let parsed = parsed.map_err(|e| anyhow::anyhow!("{e}"))?;
    model
        .signature()
        .inputs
        .iter()
        .map(|spec| {
            let named = parsed.inputs.iter().find(|(name, _)| **name == *spec.name);
            let Some((_, tensor)) = named else {
                bail!("{} lacks the input \"{}\"", case.display(), spec.name);
            };
            let rows = tensor.shape().rows().unwrap_or(1);
            Ok(split(tensor, &vec![1; rows])?.into_iter().next())
        })
        .collect()
}

fn repeated(row: &Inputs, times: usize) -> anyhow::Result<Inputs> {
    row.iter()
        .map(|input| {
            Ok(match input {
                None => None,
                Some(tensor) => Some(concatenate(&vec![tensor; times])?),
            })
        })
        .collect()
}

fn measure(
    model: &Arc<dyn Model>,
    instances: usize,
    intra: usize,
    batch: usize,
    inputs: &Inputs,
    span: Duration,
) -> anyhow::Result<Measured> {
    let sessions = (0..instances)
        .map(|_| model.session())
        .collect::<Result<Vec<_>, _>>()?;
    let together = Barrier::new(instances);
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(|| count(session, inputs, span, &together)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<anyhow::Result<Vec<f64>>>()
    })?;
    let runs_per_second: f64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    Ok(Measured {
        instances,
        intra,
        batch,
        rows_per_second: runs_per_second * batch as f64,
        run_us: 1e6 * instances as f64 / runs_per_second,
    })
}

/// Runs a second of one session, kept busy for `span` after a warm-up.
fn count(
    mut session: Box<dyn Session>,
    inputs: &Inputs,
    span: Duration,
    together: &Barrier,
) -> anyhow::Result<f64> {
    for warm in [true, false] {
        // Only a third at most is spent on warming up.
        let span = if warm { span / 3 } else { span };
        together.wait();
        let start = Instant::now();
        let mut runs = 0u32;
        loop {
            session.run(inputs)?;
            runs += 1;
            let elapsed = start.elapsed();
            if elapsed >= span {
                if !warm {
                    return Ok(f64::from(runs) / elapsed.as_secs_f64());
                }
                break;
            }
        }
    }
    bail!("nothing was measured")
}
