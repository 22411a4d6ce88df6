//! An instance on a thread of its own.

use std::sync::{Arc, mpsc};

use super::{
    batch::{self, Overrun, Ran},
    plan::Plan,
    queue::Queue,
};
use crate::{
    engine::{EngineError, Model, Timed},
    telemetry::ModelMetrics,
};

/// Starts a thread that takes batches from `queue` until it is drained for
/// good.
///
/// # Errors
/// When the session or the thread can't be made.
pub(super) fn start(
    model: Arc<dyn Model>,
    queue: Arc<Queue>,
    metrics: Arc<ModelMetrics>,
    plan: &Plan,
) -> Result<(), EngineError> {
    let background = plan.background;
    let longest = plan.max_run_time;
    let (made, ready) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("instance".to_owned())
        .spawn(move || {
            background.give_way();
            // Made here, so that its memory is near the thread that uses it.
            let timed = |session| Timed::new(session, longest);
            let mut session = match model.session() {
                Ok(session) => timed(session),
                Err(error) => {
                    let _ = made.send(Err(error));
                    return;
                }
            };
            let _ = made.send(Ok(()));
            let mut requests = Vec::new();
            while queue.next(&mut requests) {
                let _at_work = background.at_work();
                let ran = batch::run(&mut session, &mut requests, &metrics, Overrun::Fail);
                if ran == Ran::Panicked {
                    // A session that panicked may be in any state.
                    match model.session() {
                        Ok(fresh) => session = timed(fresh),
                        Err(error) => {
                            tracing::error!(%error, "an instance could not be made anew");
                        }
                    }
                }
            }
        })
        .map_err(|e| EngineError::Start(format!("a thread for an instance can't start: {e}")))?;
    ready.recv().unwrap_or_else(|_| {
        Err(EngineError::Start(
            "an instance ended at its start".to_owned(),
        ))
    })
}
