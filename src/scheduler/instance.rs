//! An instance on a thread of its own.

use std::sync::{Arc, mpsc};

use super::{background::Background, batch, queue::Queue};
use crate::{
    engine::{EngineError, Model},
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
    background: Background,
) -> Result<(), EngineError> {
    let (made, ready) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("instance".to_owned())
        .spawn(move || {
            background.give_way();
            // Made here, so that its memory is near the thread that uses it.
            let mut session = match model.session() {
                Ok(session) => session,
                Err(error) => {
                    let _ = made.send(Err(error));
                    return;
                }
            };
            let _ = made.send(Ok(()));
            let mut requests = Vec::new();
            while queue.next(&mut requests) {
                let _at_work = background.at_work();
                let sound = batch::run(&mut *session, &mut requests, &metrics);
                if !sound {
                    // A session that panicked may be in any state.
                    match model.session() {
                        Ok(fresh) => session = fresh,
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
