//! A loaded version, and the lease that keeps it alive.

use std::{ops::Deref, sync::Arc, time::Instant};

use super::card::Card;
use crate::{
    engine::Output,
    error::{Error, Result},
    repository::{Manifest, ModelId},
    scheduler::{Answer, Request, Scheduler},
    telemetry::{InFlight, ModelMetrics},
    tensor::Signature,
};

/// A version that has proved itself and can answer.
pub struct Servable {
    pub(super) id: ModelId,
    pub(super) manifest: Manifest,
    pub(super) card: Card,
    pub(super) signature: Signature,
    pub(super) scheduler: Scheduler,
    pub(super) metrics: Arc<ModelMetrics>,
    /// The version as text: written in every answer.
    pub(super) version_text: Arc<str>,
    /// Golden cases, as JSON.
    pub(super) cases: Box<str>,
}

impl Servable {
    /// Name, version and content.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The version as text: `v1.1.0`.
    pub fn version_text(&self) -> &Arc<str> {
        &self.version_text
    }

    /// Its `model.toml`.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What a person reads about it.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What it takes and gives.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Rows that are accepted and do not run yet.
    pub fn waiting(&self) -> usize {
        self.scheduler.waiting()
    }

    /// Golden cases that it passed, as a JSON array: the first ones, as many
    /// as are worth their memory.
    pub fn cases(&self) -> &str {
        &self.cases
    }

    /// Its figures.
    pub fn metrics(&self) -> &Arc<ModelMetrics> {
        &self.metrics
    }

    /// [`Lease::begin`], for an answer that takes no writing.
    ///
    /// # Errors
    /// As [`Signature::check`] and [`Scheduler::submit`].
    pub async fn infer(&self, request: Request) -> Result<Answer> {
        let (answer, in_flight) = self.begin(request, Instant::now()).await?;
        in_flight.settle(Ok(answer))
    }

    /// Checks `request`, which came at `since`, against the signature and runs
    /// it. The request ends when the guard beside the answer settles, once that
    /// is written: one that can't be written is a failure like any other. Each
    /// request is counted once, whatever comes of it; a caller that goes away
    /// is counted as cancelled.
    ///
    /// # Errors
    /// As [`Signature::check`] and [`Scheduler::submit`].
    async fn begin(&self, request: Request, since: Instant) -> Result<(Answer, InFlight)> {
        let mut in_flight = self.metrics.start();
        in_flight.came(since);
        let result = match self.signature.check(&request.inputs) {
            Ok(()) => self.scheduler.submit(request).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(answer) => {
                in_flight.ran(answer.queue, answer.compute);
                Ok((answer, in_flight))
            }
            Err(error) => in_flight.settle(Err(error)),
        }
    }

    /// The output called `name` of `answer`.
    ///
    /// # Errors
    /// `Invalid` where the model has no such output.
    pub fn output<'a>(&self, answer: &'a Answer, name: &str) -> Result<&'a Output> {
        self.signature
            .output_index(name)
            .and_then(|i| answer.outputs.get(i))
            .ok_or_else(|| Error::invalid(format!("the model has no output \"{name}\"")))
    }
}

/// Keeps a servable alive while a request uses it.
#[derive(Clone)]
pub struct Lease {
    servable: Arc<Servable>,
    /// When the request came.
    since: Instant,
}

impl Lease {
    pub(super) fn new(servable: Arc<Servable>) -> Self {
        Self {
            servable,
            since: Instant::now(),
        }
    }

    /// The lease of a request that came before its model was known.
    #[must_use]
    pub fn of_one_that_came(self, since: Instant) -> Self {
        Self { since, ..self }
    }

    /// As [`Servable::infer`]; the request ends when the guard beside the
    /// answer settles, once that is written.
    ///
    /// # Errors
    /// As [`Servable::infer`].
    pub async fn begin(&self, request: Request) -> Result<(Answer, InFlight)> {
        self.servable.begin(request, self.since).await
    }

    /// Refuses now what would be refused once it was read, since nothing has
    /// room for it; counted as [`refused`](Self::refused) does.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn admit(&self) -> Result<()> {
        self.servable.scheduler.admit().map_err(|e| self.refused(e))
    }

    /// Counts a request that was refused before it could be submitted, and
    /// gives its error back.
    pub fn refused(&self, error: Error) -> Error {
        let mut in_flight = self.servable.metrics.start();
        in_flight.came(self.since);
        in_flight.finish(Err(error.kind()));
        error.counted()
    }
}

impl Deref for Lease {
    type Target = Servable;

    fn deref(&self) -> &Servable {
        &self.servable
    }
}
