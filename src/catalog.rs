//! What is served: aspired versions → loads → snapshots.
//!
//! The [`Catalog`] is an immutable snapshot behind an atomic pointer, with
//! one writer, the [`Manager`]. A [`Lease`] holds the servable's own count,
//! never the snapshot's, so one slow request delays nobody. When the last
//! lease of a retired version drops, its scheduler drops, its queue drains,
//! and its instances end.

mod apart;
mod card;
mod cases;
mod control;
mod loader;
mod manager;
mod policy;
mod sample;
mod servable;
mod state;
pub mod watch;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;

pub use self::{
    apart::Prover,
    card::{Card, Origin},
    control::Control,
    loader::{LoadError, Loader},
    manager::{Busy, Manager, Pass},
    policy::VersionPolicy,
    servable::{Lease, Servable},
    state::{State, VersionState},
    watch::Watch,
};
use crate::{
    error::{Error, Result},
    repository::{Version, plain, quoted},
};

/// The versions of one model that are served, oldest first.
pub type Versions = BTreeMap<Version, Arc<Servable>>;

/// All that is served at one moment.
#[derive(Default, Clone)]
pub struct Snapshot {
    models: BTreeMap<Arc<str>, Versions>,
}

impl Snapshot {
    /// The models and their versions, by name.
    pub fn models(&self) -> &BTreeMap<Arc<str>, Versions> {
        &self.models
    }

    /// Every servable.
    pub fn servables(&self) -> impl Iterator<Item = &Arc<Servable>> {
        self.models.values().flat_map(BTreeMap::values)
    }
}

/// The handle to what is served now, and to the state of each version.
/// Clones share it.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    snapshot: ArcSwap<Snapshot>,
    states: state::States,
    default_model: Option<Arc<str>>,
}

impl Catalog {
    fn new(default_model: Option<Arc<str>>) -> Self {
        Self {
            shared: Arc::new(Shared {
                snapshot: ArcSwap::default(),
                states: state::States::default(),
                default_model,
            }),
        }
    }

    /// What is served now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// A lease of a model: of `version`, or of its newest.
    ///
    /// # Errors
    /// `NotFound`, with the names or versions that there are; `Unavailable`
    /// where the version is known but not ready.
    pub fn lease(&self, model: &str, version: Option<&Version>) -> Result<Lease> {
        let snapshot = self.shared.snapshot.load();
        let found = snapshot.models.get(model).and_then(|v| match version {
            Some(version) => v.get(version),
            None => v.last_key_value().map(|(_, s)| s),
        });
        match found {
            Some(servable) => Ok(Lease::new(Arc::clone(servable))),
            None => Err(self.missing(&snapshot, model, version)),
        }
    }

    /// A lease of the default model: the one set, or the only one.
    ///
    /// # Errors
    /// `NotFound` where several are served and none is set; `Unavailable`
    /// where none is served; for the one that is set, as [`lease`](Self::lease).
    pub fn lease_default(&self) -> Result<Lease> {
        if let Some(name) = &self.shared.default_model {
            return self.lease(name, None);
        }
        let snapshot = self.shared.snapshot.load();
        let mut models = snapshot.models.values();
        match (
            models.next().and_then(BTreeMap::last_key_value),
            models.next(),
        ) {
            (Some((_, servable)), None) => Ok(Lease::new(Arc::clone(servable))),
            (None, _) => Err(Error::unavailable("no model is served")),
            (Some(_), Some(_)) => Err(Error::not_found(format!(
                "several models are served and none is the default: name one of {}",
                names(&snapshot)
            ))),
        }
    }

    /// The state of every version that the server knows of.
    pub fn states(&self) -> Vec<VersionState> {
        self.shared.states.all()
    }

    fn missing(&self, snapshot: &Snapshot, model: &str, version: Option<&Version>) -> Error {
        // The name is the caller's, and may be anything.
        let plain = plain(model);
        let shown = quoted(&plain);
        if let Some(state) = self.shared.states.of(model, version)
            && state.state != State::Ready
        {
            return Error::unavailable(format!(
                "the model {shown} {} is not ready: {}",
                state.version,
                state.reason.as_deref().unwrap_or(state.state.name())
            ));
        }
        match (snapshot.models.get(model), version) {
            (Some(versions), Some(version)) => {
                let there: Vec<String> = versions.keys().map(Version::to_string).collect();
                Error::not_found(format!(
                    "the model {shown} has no version {version}; it has {}",
                    there.join(", ")
                ))
            }
            _ => Error::not_found(format!(
                "no model is called {shown}; there is {}",
                names(snapshot)
            )),
        }
    }
}

fn names(snapshot: &Snapshot) -> String {
    let names: Vec<String> = snapshot.models.keys().map(|n| format!("\"{n}\"")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
