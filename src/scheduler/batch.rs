//! Several requests as one run: put together by rows, run, taken apart.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{
    request::{Answer, Pending, late},
    traced,
};
use crate::{
    engine::{Output, Session as _, Timed},
    error::{Error, Kind, Result},
    telemetry::{ModelMetrics, Run},
    tensor::{Tensor, concatenate, split},
};

/// What becomes of requests whose run takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overrun {
    /// They fail: their deadline is over.
    Fail,
    /// They are given back, to run where nobody else waits.
    GiveBack,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// Each request was answered.
    Sound,
    /// Each was answered, and the session is not to be used again.
    Panicked,
    /// The run took too long, and the requests were given back.
    Overran,
}

/// Runs `requests` as one batch and answers each of them. What has been
/// abandoned is skipped; what is late is answered so without running.
///
/// Where the batch fails because of one request's inputs, each is run alone,
/// so that only the one at fault fails.
pub(super) fn run(
    session: &mut Timed,
    requests: &mut Vec<Pending>,
    metrics: &ModelMetrics,
    overrun: Overrun,
) -> Ran {
    let started = Instant::now();
    let mut batch = Vec::with_capacity(requests.len());
    for mut request in requests.drain(..) {
        if request.is_abandoned() {
            continue;
        }
        let since = request.take_up(started);
        if request.is_late(started) {
            end(request, metrics, Err(late()));
            continue;
        }
        if let (Some(since), Some(traced)) = (since, &request.traced) {
            traced::leave_wait(traced, since, started);
        }
        batch.push(request);
    }
    if batch.is_empty() {
        return Ran::Sound;
    }
    let ran = catch_unwind(AssertUnwindSafe(|| together(session, &batch, metrics)));
    if batch.iter().any(|request| request.traced.is_some()) {
        traced::leave_run(&batch, started, &ran);
    }
    match ran {
        Ok(Ok((parts, compute))) => {
            for (request, outputs) in batch.into_iter().zip(parts) {
                let queue = request.waited();
                let answer = Answer {
                    outputs,
                    queue,
                    compute,
                };
                end(request, metrics, Ok(answer));
            }
            Ran::Sound
        }
        Ok(Err(error)) if overrun == Overrun::GiveBack && error.kind() == Kind::Deadline => {
            let now = Instant::now();
            batch.iter_mut().for_each(|request| request.put_back(now));
            requests.extend(batch);
            Ran::Overran
        }
        Ok(Err(_)) if batch.len() > 1 => {
            let mut ran = Ran::Sound;
            for request in batch {
                if run(session, &mut vec![request], metrics, Overrun::Fail) == Ran::Panicked {
                    ran = Ran::Panicked;
                }
            }
            ran
        }
        Ok(Err(error)) => {
            fail(batch, metrics, &error);
            Ran::Sound
        }
        Err(_) => {
            fail(
                batch,
                metrics,
                &Error::internal("an instance panicked while it ran the model"),
            );
            Ran::Panicked
        }
    }
}

fn fail(batch: Vec<Pending>, metrics: &ModelMetrics, error: &Error) {
    for request in batch {
        end(request, metrics, Err(error.clone()));
    }
}

/// Answers `request`, whose wait is counted now: once, however often it was
/// taken up.
fn end(request: Pending, metrics: &ModelMetrics, answer: Result<Answer>) {
    metrics.observe_queue(request.waited());
    request.answer(answer);
}

/// The outputs of each request of the batch, and how long the run took.
type Parts = (Vec<Vec<Output>>, Duration);

fn together(session: &mut Timed, batch: &[Pending], metrics: &ModelMetrics) -> Result<Parts> {
    let started = Instant::now();
    session.until(latest(batch));
    if let [one] = batch {
        let outputs = session.run(&one.inputs)?;
        let compute = started.elapsed();
        metrics.observe_run(&Run {
            rows: one.rows,
            compute,
            ..Run::default()
        });
        return Ok((vec![outputs], compute));
    }
    let counts: Vec<usize> = batch.iter().map(|r| r.rows).collect();
    let whole = join(batch)?;
    let joined = Instant::now();
    let outputs = session.run(&whole)?;
    let ran = Instant::now();
    let parts = part(&outputs, &counts)?;
    let run = Run {
        rows: counts.iter().sum(),
        input: joined - started,
        compute: ran - joined,
        output: ran.elapsed(),
    };
    metrics.observe_run(&run);
    Ok((parts, run.compute))
}

/// When nobody needs the batch's result any more: the latest deadline, where
/// all have one.
fn latest(batch: &[Pending]) -> Option<Instant> {
    batch
        .iter()
        .map(|request| request.deadline)
        .reduce(|a, b| Some(a?.max(b?)))
        .flatten()
}

/// Input by input, the rows of all requests.
fn join(batch: &[Pending]) -> Result<Vec<Option<Tensor>>> {
    let width = batch.first().map_or(0, |r| r.inputs.len());
    (0..width)
        .map(|i| {
            let parts: Vec<&Tensor> = batch.iter().filter_map(|r| r.inputs[i].as_ref()).collect();
            match parts.len() {
                0 => Ok(None),
                n if n == batch.len() => concatenate(&parts).map(Some),
                _ => Err(Error::internal(
                    "a batch mixed requests with and without an input",
                )),
            }
        })
        .collect()
}

/// Request by request, its rows of each output.
fn part(outputs: &[Output], counts: &[usize]) -> Result<Vec<Vec<Output>>> {
    let mut parts: Vec<Vec<Output>> = counts
        .iter()
        .map(|_| Vec::with_capacity(outputs.len()))
        .collect();
    for output in outputs {
        let tensors = split(&output.tensor, counts).map_err(|e| {
            Error::internal(format!(
                "a batch gave rows that do not fit its requests: {e}"
            ))
        })?;
        for (part, tensor) in parts.iter_mut().zip(tensors) {
            part.push(Output {
                tensor,
                keys: output.keys.clone(),
            });
        }
    }
    Ok(parts)
}

/// Whether `a` and `b` can run in one batch: the same inputs given, alike in
/// all but their rows.
pub(super) fn compatible(a: &[Option<Tensor>], b: &[Option<Tensor>]) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => {
            a.shape().len() == b.shape().len() && a.shape().get(1..) == b.shape().get(1..)
        }
        (None, None) => true,
        _ => false,
    })
}
