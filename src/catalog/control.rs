//! Loading and unloading by hand, where the operator lets callers do so.

use std::sync::{Arc, Mutex, PoisonError};

use super::Manager;
use crate::{
    error::{Error, Result},
    scheduler::aside::elsewhere,
};

/// The means to load and unload models. Clones share it.
#[derive(Clone)]
pub struct Control {
    manager: Arc<Mutex<Manager>>,
}

impl Control {
    /// Control over what `manager` writes.
    pub fn new(manager: Arc<Mutex<Manager>>) -> Self {
        Self { manager }
    }

    /// Looks at the repository now and loads `model` from it, also where it
    /// was unloaded or failed before.
    ///
    /// # Errors
    /// `NotFound` where the repository has no such model, `Unavailable` where
    /// it can't be loaded, with the reason.
    pub async fn load(&self, model: String) -> Result<()> {
        self.with(move |manager| manager.load(&model)).await
    }

    /// Stops serving `model`, until it is loaded again or the service starts
    /// anew.
    ///
    /// # Errors
    /// `NotFound` where it is not served.
    pub async fn unload(&self, model: String) -> Result<()> {
        self.with(move |manager| manager.unload(&model)).await
    }

    async fn with(
        &self,
        work: impl FnOnce(&mut Manager) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let manager = Arc::clone(&self.manager);
        let done =
            elsewhere(move || work(&mut manager.lock().unwrap_or_else(PoisonError::into_inner)));
        let ended = || Err(Error::internal("loading or unloading panicked"));
        done.await.unwrap_or_else(ended)
    }
}

impl Manager {
    fn load(&mut self, model: &str) -> Result<()> {
        self.held.remove(model);
        self.failed.retain(|id, _| &*id.name != model);
        let failures = self.pass().failures;
        for failure in &failures {
            tracing::error!("{failure}");
        }
        match self.catalog.lease(model, None) {
            Ok(_) if failures.is_empty() => Ok(()),
            Ok(lease) => Err(Error::unavailable(format!(
                "not all of the repository could be loaded; \"{model}\" {} is served; the \
                 repository's index and the log say what failed",
                lease.version_text()
            ))),
            Err(error) => Err(error),
        }
    }

    fn unload(&mut self, model: &str) -> Result<()> {
        let lease = self.catalog.lease(model, None)?;
        self.held.insert(lease.id().name.clone());
        drop(lease);
        for failure in self.pass().failures {
            tracing::error!("{failure}");
        }
        Ok(())
    }
}
