//! Requests → batches → runs → answers.
//!
//! A [`Scheduler`] belongs to one loaded version. It never waits for a timer
//! while an instance is idle: what arrives while instances are busy becomes
//! the next batch. Each accepted request is answered exactly once; one whose
//! caller has gone is skipped.
//!
//! Two placements. A model of microseconds runs *inline*, on the event loop's
//! own thread, in batches of what the loop found ready in one turn. A model of
//! milliseconds runs on *threads*, so that it never blocks an event loop.

pub mod aside;
mod background;
mod batch;
mod beyond;
pub mod client;
mod effort;
pub mod event_loop;
mod instance;
mod lane;
mod pace;
mod plan;
mod queue;
mod request;
mod settings;
mod share;
mod traced;
mod waiting;

use std::{sync::Arc, time::Instant};

pub use self::{
    background::Background,
    plan::{Batching, Host, Inputs, Plan, prove_batching},
    request::{Answer, Request},
    settings::{Placement, Settings},
};
use crate::{
    engine::{EngineError, Model},
    error::{Error, Result},
    telemetry::ModelMetrics,
};

/// The way into one model's instances. Dropping it lets the queue drain and
/// the instances end; nothing closes a queue by hand.
pub struct Scheduler {
    plan: Plan,
    /// Whether the first dimension of its inputs counts rows: where it is part
    /// of what the model takes, a request is one.
    has_rows: bool,
    place: Place,
}

enum Place {
    Inline(lane::Lanes),
    Threads(queue::Sender),
}

impl Scheduler {
    /// Starts the instances that `plan` asks for.
    ///
    /// # Errors
    /// When a session or a thread can't be made.
    pub fn start(
        model: &Arc<dyn Model>,
        plan: Plan,
        metrics: &Arc<ModelMetrics>,
    ) -> Result<Self, EngineError> {
        let place = match plan.placement {
            Placement::Inline => {
                Place::Inline(lane::Lanes::start(model, &plan, Arc::clone(metrics))?)
            }
            Placement::Threads | Placement::Auto => {
                Place::Threads(queue::start(model, &plan, Arc::clone(metrics))?)
            }
        };
        Ok(Self {
            plan,
            has_rows: model.signature().has_dynamic_rows(),
            place,
        })
    }

    /// How this model is scheduled, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Rows that are accepted and do not run yet.
    pub fn waiting(&self) -> usize {
        match &self.place {
            Place::Inline(lanes) => lanes.waiting(),
            Place::Threads(sender) => sender.waiting(),
        }
    }

    /// Why a request would be refused now, whatever it brings: so that what
    /// has to be refused is refused before it is read.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full, and nobody would give way.
    pub fn admit(&self) -> Result<()> {
        let refusal = match &self.place {
            Place::Inline(_) => None,
            Place::Threads(sender) => sender.refusal(),
        };
        refusal.map_or(Ok(()), Err)
    }

    /// Runs one request, alone or in a batch. The inputs have been checked
    /// against the model's signature.
    ///
    /// Dropping the future takes the request back: it is skipped if it has
    /// not run yet.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full, `Deadline` when the request's
    /// deadline passed before it was answered, `Invalid` when the model has no
    /// such priority or itself refuses the inputs, `Internal` when a run fails.
    pub async fn submit(&self, mut request: Request) -> Result<Answer> {
        let plan = &self.plan;
        if request.priority > plan.priority_levels && plan.priority_levels > 0 {
            return Err(Error::invalid(format!(
                "the priority {} is not one of the model's {} levels; 1 is the most urgent",
                request.priority, plan.priority_levels
            )));
        }
        if let Some(deadline) = request.deadline {
            if deadline <= Instant::now() {
                return Err(request::late());
            }
        } else if let Some(timeout) = plan.default_timeout {
            request.deadline = Instant::now().checked_add(timeout);
        }
        let rows = if self.has_rows {
            request::rows(&request.inputs)
        } else {
            1
        };
        match &self.place {
            Place::Inline(lanes) => lanes.submit(request, rows).await,
            Place::Threads(sender) => sender.submit(request, rows).await,
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(_) => Error::invalid(error.to_string()),
            EngineError::Unsupported(text) => Error::unsupported(text),
            EngineError::Interrupted => {
                Error::deadline("the request's deadline passed while the model ran")
            }
            EngineError::Start(_) | EngineError::Load(_) | EngineError::Run(_) => {
                Error::internal(error.to_string())
            }
        }
    }
}
