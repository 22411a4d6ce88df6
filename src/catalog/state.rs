//! The state of each version, ready or not: what the repository index says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use crate::repository::Version;

/// The state of a version, in the protocol's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// On its way in.
    Loading,
    /// In the catalog.
    Ready,
    /// On its way out.
    Unloading,
    /// Not served; the reason says why.
    Unavailable,
}

impl State {
    /// The state's name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            State::Loading => "LOADING",
            State::Ready => "READY",
            State::Unloading => "UNLOADING",
            State::Unavailable => "UNAVAILABLE",
        }
    }
}

/// One line of the repository index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionState {
    /// The model's name.
    pub name: Arc<str>,
    /// The version; empty where the folder's manifest can't be read.
    pub version: String,
    /// Its state.
    pub state: State,
    /// Why it is not ready.
    pub reason: Option<String>,
}

/// The states of all versions.
#[derive(Default)]
pub(super) struct States {
    map: Mutex<BTreeMap<Key, (State, Option<String>)>>,
}

type Key = (Arc<str>, Option<Version>);

impl States {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Key, (State, Option<String>)>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state of a version. Gives whether that is new.
    pub(super) fn set(
        &self,
        name: &Arc<str>,
        version: Option<&Version>,
        state: State,
        reason: Option<String>,
    ) -> bool {
        let now = (state, reason);
        let key = (Arc::clone(name), version.cloned());
        let before = self.map().insert(key, now.clone());
        before != Some(now)
    }

    /// Forgets every version that `keep` does not want.
    pub(super) fn retain(&self, mut keep: impl FnMut(&str, Option<&Version>) -> bool) {
        self.map()
            .retain(|(name, version), _| keep(name, version.as_ref()));
    }

    pub(super) fn all(&self) -> Vec<VersionState> {
        self.map()
            .iter()
            .map(|((name, version), (state, reason))| VersionState {
                name: Arc::clone(name),
                version: version
                    .as_ref()
                    .map_or_else(String::new, Version::to_string),
                state: *state,
                reason: reason.clone(),
            })
            .collect()
    }

    /// The state of `version`, or of the newest.
    pub(super) fn of(&self, name: &str, version: Option<&Version>) -> Option<VersionState> {
        let wanted = version.map(Version::to_string);
        self.all()
            .into_iter()
            .rfind(|s| &*s.name == name && wanted.as_ref().is_none_or(|w| *w == s.version))
    }
}
