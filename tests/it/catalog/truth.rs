//! What must hold of the catalog, told as plainly as can be: maps, and no
//! threads.

use std::collections::{BTreeMap, BTreeSet};

use modelship::catalog::State;

use super::engine::Verdict;

/// A model and a version of it, by number.
pub type Key = (usize, usize);

pub const MODELS: [&str; 2] = ["one", "two"];
/// In the order of versions, which is not the order of text.
pub const VERSIONS: [&str; 3] = ["v1.2.0", "v1.10.0", "v2.0.0"];

/// What is right or wrong with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Sound,
    /// The manifest names another sha256.
    WrongHash,
    /// Its golden case does not hold.
    WrongCase,
    /// The engine can't load it.
    NoModel,
}

/// All that a version's content depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    pub scale: u8,
    pub kind: Kind,
}

impl Content {
    /// What its files depend on, but for the manifest.
    fn files(self) -> (u8, Kind) {
        match self.kind {
            Kind::WrongHash => (self.scale, Kind::Sound),
            kind => (self.scale, kind),
        }
    }
}

/// A version's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folder {
    pub content: Content,
    /// Whether its manifest can be read.
    pub readable: bool,
    /// Another for each time that it was written.
    pub stamp: u64,
}

/// A state, and whether a reason stands beside it.
pub type Told = (State, bool);

/// Where a pass has got to.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The engine loads.
    Loads,
    Done,
}

/// What is in the repository, and what must be served.
#[derive(Default)]
pub struct Truth {
    pub folders: BTreeMap<Key, Folder>,
    /// Whether the repository's folder is away.
    pub away: bool,
    pub served: BTreeMap<Key, Content>,
    pub held: BTreeSet<usize>,
    /// Of versions, and of models one of whose manifests can't be read.
    pub states: BTreeMap<(usize, Option<usize>), Told>,
    /// Whether the index tells that the repository is away.
    pub away_told: bool,
    failed: BTreeMap<(Key, Content), Option<u64>>,
}

/// A pass under way.
#[derive(Default)]
pub struct Passing {
    aspired: Vec<(Key, Content)>,
    held: Vec<Key>,
    troubled: BTreeSet<usize>,
    /// Of `aspired`, the one that is looked at.
    at: usize,
    stamp: Option<u64>,
    over: bool,
    pub loaded: Vec<Key>,
    pub unloaded: Vec<Key>,
    pub failures: usize,
}

impl Truth {
    /// The folder that a reader finds now.
    fn seen(&self, key: Key) -> Option<Folder> {
        let folder = self.folders.get(&key).copied();
        folder.filter(|_| !self.away)
    }

    /// A lease of `model`, of one version or of the newest.
    pub fn lease(&self, model: usize, version: Option<usize>) -> Option<(Key, Content)> {
        let mut versions = self.served.range((model, 0)..=(model, usize::MAX));
        let found = match version {
            Some(version) => versions.find(|((_, v), _)| *v == version),
            None => versions.next_back(),
        };
        found.map(|(key, content)| (*key, *content))
    }

    /// An operator asks for `model`: what failed is tried again.
    pub fn load(&mut self, model: usize) {
        self.held.remove(&model);
        self.failed.retain(|(key, _), _| key.0 != model);
    }

    /// Everything is looked at, and nothing is loaded yet.
    pub fn begin(&mut self) -> Passing {
        let mut passing = Passing::default();
        let folders = self.folders.iter().filter(|_| !self.away);
        for (key, folder) in folders {
            if !folder.readable {
                passing.troubled.insert(key.0);
            } else if self.held.contains(&key.0) {
                passing.held.push(*key);
            } else {
                passing.aspired.push((*key, folder.content));
            }
        }
        // A trouble is told while it lasts.
        self.away_told = self.away;
        self.states.retain(|(_, version), _| version.is_some());
        for model in &passing.troubled {
            let told = (State::Unavailable, true);
            self.states.insert((*model, None), told);
        }
        passing.failures += usize::from(self.away || !passing.troubled.is_empty());
        // Nothing found changes nothing.
        passing.over = passing.aspired.is_empty() && passing.held.is_empty();
        passing
    }

    /// Goes on to the next load, or to the end.
    pub fn next(&mut self, passing: &mut Passing) -> Next {
        while let Some((key, content)) = passing.aspired.get(passing.at).copied() {
            let served = self.served.get(&key).copied();
            if served == Some(content) {
                self.tell(key, State::Ready, false);
                passing.at += 1;
                continue;
            }
            let now = self.seen(key);
            passing.stamp = now.map(|folder| folder.stamp);
            if self.failed.get(&(key, content)) == Some(&passing.stamp) {
                passing.at += 1;
                continue;
            }
            if served.is_none() {
                self.tell(key, State::Loading, false);
            }
            // Its files are read once, after the look at its manifest.
            let same = now.is_some_and(|folder| folder.content.files() == content.files());
            if same && content.kind != Kind::WrongHash {
                return Next::Loads;
            }
            self.fail(passing);
        }
        if !passing.over {
            passing.over = true;
            self.retire(passing);
        }
        Next::Done
    }

    /// How the load that it stopped at goes on.
    pub fn settle(&mut self, passing: &mut Passing, verdict: Verdict) {
        let (key, content) = passing.aspired[passing.at];
        if verdict == Verdict::Go && content.kind == Kind::Sound {
            self.failed.remove(&(key, content));
            self.served.insert(key, content);
            self.tell(key, State::Ready, false);
            passing.loaded.push(key);
            passing.at += 1;
        } else {
            self.fail(passing);
        }
    }

    fn fail(&mut self, passing: &mut Passing) {
        let (key, content) = passing.aspired[passing.at];
        self.failed.insert((key, content), passing.stamp);
        let state = if self.served.contains_key(&key) {
            State::Ready
        } else {
            State::Unavailable
        };
        self.tell(key, state, true);
        passing.failures += 1;
        passing.at += 1;
    }

    /// What is not aspired leaves: where its model has another version to
    /// serve, is gone, or is unloaded. Of a model that can't be looked at
    /// whole, nothing leaves.
    fn retire(&mut self, passing: &mut Passing) {
        let wanted: BTreeSet<Key> = passing.aspired.iter().map(|(key, _)| *key).collect();
        let served = self.served.clone();
        for key @ (model, _) in served.keys().filter(|key| !wanted.contains(key)) {
            let replaced = served.keys().any(|k| k.0 == *model && wanted.contains(k));
            let gone = !wanted.iter().any(|(m, _)| m == model);
            let whole = !passing.troubled.contains(model);
            if self.held.contains(model) || (whole && (replaced || gone)) {
                self.served.remove(key);
                passing.unloaded.push(*key);
            }
        }
        let (served, states) = (&self.served, &mut self.states);
        states.retain(|(model, version), _| {
            version
                .is_none_or(|v| wanted.contains(&(*model, v)) || served.contains_key(&(*model, v)))
        });
        self.failed
            .retain(|(key, content), _| passing.aspired.contains(&(*key, *content)));
        for key in &passing.held {
            self.tell(*key, State::Unavailable, true);
        }
    }

    fn tell(&mut self, key: Key, state: State, reason: bool) {
        self.states.insert((key.0, Some(key.1)), (state, reason));
    }
}
