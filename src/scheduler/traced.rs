//! What a batch leaves in the traces of its requests.

use std::{thread, time::Instant};

use opentelemetry::KeyValue;

use super::request::Pending;
use crate::{error::Result, telemetry::trace::Span};

/// Leaves what `batch` did, which was taken up at `taken`, began to run at
/// `begun` and has ended now as `ran` says: for each request that is traced its
/// wait and its run, and for several together a span of the batch.
pub(super) fn leave<T>(
    batch: &[Pending],
    taken: Instant,
    begun: Instant,
    ran: &thread::Result<Result<T>>,
) {
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
    let traced = || batch.iter().filter_map(|r| Some((r, r.traced.as_ref()?)));
    let together = match traced().next() {
        Some((_, first)) if batch.len() > 1 => Some(first.batch()),
        _ => None,
    };
    for (request, traced) in traced() {
        traced.part(Span {
            name: "queue".into(),
            start: request.accepted,
            end: taken,
            attributes: Vec::new(),
            failure: None,
        });
        traced.part_linked(run("compute".into()), together.as_ref());
    }
    if let Some(together) = together {
        together.batched(run("batch".into()), traced().map(|(_, traced)| traced));
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
