//! What a batch leaves in the traces of its requests.

use std::{thread, time::Instant};

use opentelemetry::KeyValue;

use super::request::Pending;
use crate::{
    error::Result,
    telemetry::trace::{Span, Traced},
};

/// Leaves the wait of one request.
pub(super) fn leave_wait(request: &Traced, since: Instant, until: Instant) {
    request.part(Span {
        name: "queue".into(),
        start: since,
        end: until,
        attributes: Vec::new(),
        failure: None,
    });
}

/// Leaves what `batch` did, which began at `begun` and has ended now as `ran`
/// says: for each request that is traced its run, and for several together a
/// span of the batch.
pub(super) fn leave_run<T>(batch: &[Pending], begun: Instant, ran: &thread::Result<Result<T>>) {
    let end = Instant::now();
    let failure = match ran {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.kind().label().to_owned()),
        Err(_) => Some("panic".to_owned()),
    };
    let rows: usize = batch.iter().map(|request| request.rows).sum();
    let run = |name| Span {
        name,
        start: begun,
        end,
        attributes: vec![
            KeyValue::new("modelship.batch.rows", count(rows)),
            KeyValue::new("modelship.batch.requests", count(batch.len())),
        ],
        failure: failure.clone(),
    };
    let traced = || batch.iter().filter_map(|request| request.traced.as_ref());
    let together = match traced().next() {
        Some(first) if batch.len() > 1 => Some(first.batch()),
        _ => None,
    };
    for traced in traced() {
        traced.part_linked(run("compute".into()), together.as_ref());
    }
    if let Some(together) = together {
        together.batched(run("batch".into()), traced());
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
