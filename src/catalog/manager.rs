//! The one writer of the catalog: it brings what is served to what the
//! source aspires to.
//!
//! New versions are loaded first and old ones leave last, so availability
//! never falls to zero. A version that fails its proof changes nothing but
//! its reported state, and a model keeps the version it has until another is
//! ready. An empty or failed scan changes nothing.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Catalog, Snapshot, State, VersionPolicy,
    apart::{self, Prover},
    loader::{LoadError, Loader},
    servable::Servable,
    watch::Fingerprint,
};
use crate::{
    repository::{self, Candidate, ModelId, Problem, Scan, Version, signature::Trusted},
    scheduler::Background,
};

/// Brings the catalog to what the repository aspires to.
pub struct Manager {
    pub(super) catalog: Catalog,
    loader: Arc<Loader>,
    root: PathBuf,
    policy: VersionPolicy,
    /// Versions that failed by themselves, and what their folder looked like:
    /// tried again when it has changed, or whose signatures count.
    pub(super) failed: HashMap<ModelId, Fingerprint>,
    /// Models that a caller has unloaded.
    pub(super) held: BTreeSet<Arc<str>>,
    busy: Busy,
    /// Where a version is proved before it is loaded here.
    prover: Option<Prover>,
}

/// Held while a pass is under way. The process must not end meanwhile: the
/// native library would be taken down under a thread that runs in it.
pub type Busy = Arc<tokio::sync::Mutex<()>>;

/// What one pass over the repository did.
#[derive(Debug, Default)]
pub struct Pass {
    /// How many versions the repository holds, aspired or not.
    pub found: usize,
    /// Versions that became ready.
    pub loaded: Vec<ModelId>,
    /// Versions that left.
    pub unloaded: Vec<ModelId>,
    /// What failed: for whoever asked for the pass to log, or to end on.
    pub failures: Vec<LoadError>,
}

impl Pass {
    /// Whether another may do better though nothing has changed.
    pub fn may_do_better(&self) -> bool {
        self.failures.iter().any(LoadError::may_pass)
    }
}

/// Loads on a thread that gives way to the event loops, as do the threads that
/// the engine makes for the model.
fn load_apart(loader: &Loader, candidate: &Candidate) -> Result<Servable, LoadError> {
    std::thread::scope(|scope| {
        let apart = std::thread::Builder::new()
            .name("loader".to_owned())
            .spawn_scoped(scope, || {
                let background = loader.host.background;
                background.give_way();
                let _at_work = background.at_work();
                loader.load(candidate)
            });
        match apart.map(|thread| thread.join()) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(_)) => Err(LoadError::Panicked(candidate.id.to_string())),
            // No thread to be had: here, then.
            Err(_) => loader.load(candidate),
        }
    })
}

impl Manager {
    /// A manager of the repository at `root`, and the catalog it writes.
    pub fn new(
        root: &Path,
        loader: Loader,
        policy: VersionPolicy,
        default_model: Option<Arc<str>>,
    ) -> (Self, Catalog) {
        let catalog = Catalog::new(default_model);
        let manager = Self {
            catalog: catalog.clone(),
            loader: Arc::new(loader),
            root: root.to_owned(),
            policy,
            failed: HashMap::new(),
            held: BTreeSet::new(),
            busy: Busy::default(),
            prover: None,
        };
        (manager, catalog)
    }

    /// The repository's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whose signatures count.
    pub(super) fn trust(&self) -> Trusted {
        self.loader.trust.clone()
    }

    /// From now on each version is proved in a process of its own before it is
    /// loaded into this one.
    pub fn prove_apart(&mut self, prover: Prover) {
        self.prover = Some(prover);
    }

    /// How its work gives way to the event loops.
    pub fn background(&self) -> Background {
        self.loader.host.background
    }

    /// What is held while a pass is under way; who holds it keeps the next
    /// from beginning.
    pub fn busy(&self) -> Busy {
        Arc::clone(&self.busy)
    }

    /// One pass: scans, loads what is new, and retires what has gone. Blocks
    /// for as long as loads take, so it must not be called on a thread that runs
    /// a runtime. Failures are the caller's to report.
    pub fn pass(&mut self) -> Pass {
        let busy = Arc::clone(&self.busy);
        let _busy = busy.blocking_lock();
        let Scan {
            candidates,
            problems,
        } = repository::scan(&self.root);
        let mut pass = Pass {
            found: candidates.len(),
            ..Pass::default()
        };
        self.note_problems(&problems);
        if !problems.is_empty() {
            pass.failures.push(LoadError::Repository(problems.clone()));
        }
        let mut aspired = self.policy.aspired(candidates);
        if aspired.is_empty() {
            return pass;
        }
        let held: Vec<Candidate> = aspired
            .extract_if(.., |c| self.held.contains(&c.id.name))
            .collect();
        for candidate in &aspired {
            self.bring(candidate, &mut pass);
        }
        self.retire(&aspired, &problems, &mut pass);
        for Candidate { id, .. } in &held {
            let reason = Some("a caller has unloaded it".to_owned());
            let states = &self.catalog.shared.states;
            states.set(&id.name, Some(&id.version), State::Unavailable, reason);
        }
        pass
    }

    /// Loads `candidate` unless it is served or known to fail.
    fn bring(&mut self, candidate: &Candidate, pass: &mut Pass) {
        let id = &candidate.id;
        let snapshot = self.catalog.snapshot();
        let served = snapshot
            .models()
            .get(&id.name)
            .and_then(|v| v.get(&id.version));
        let states = &self.catalog.shared.states;
        if served.is_some_and(|s| s.id == *id) {
            // Whatever stood in its place and failed is gone.
            states.set(&id.name, Some(&id.version), State::Ready, None);
            return;
        }
        let fingerprint = Fingerprint::of(&candidate.folder).under(self.loader.trust.renewals());
        if self.failed.get(id) == Some(&fingerprint) {
            return;
        }
        if served.is_none() {
            states.set(&id.name, Some(&id.version), State::Loading, None);
        }
        let proved = self
            .prover
            .as_ref()
            .map_or(Ok(()), |prover| apart::prove(prover, candidate));
        match proved.and_then(|()| load_apart(&self.loader, candidate)) {
            Ok(servable) => {
                self.failed.remove(id);
                tracing::info!(
                    model = %id.name, version = %id.version,
                    sha256 = %servable.card.sha256,
                    load_ms = servable.card.load_milliseconds,
                    placement = ?servable.card.scheduling.placement,
                    "ready"
                );
                self.publish(|models| {
                    models
                        .entry(Arc::clone(&id.name))
                        .or_default()
                        .insert(id.version.clone(), Arc::new(servable));
                });
                // Only after it is in the catalog.
                states.set(&id.name, Some(&id.version), State::Ready, None);
                pass.loaded.push(id.clone());
            }
            Err(error) => {
                if !error.may_pass() {
                    self.failed.insert(id.clone(), fingerprint);
                }
                self.loader.metrics.load_failed(&id.name);
                // What serves under this version goes on serving, and the
                // state says so.
                let state = if served.is_some() {
                    State::Ready
                } else {
                    State::Unavailable
                };
                let reason = Some(self.told(&error));
                states.set(&id.name, Some(&id.version), state, reason);
                pass.failures.push(error);
            }
        }
    }

    /// Retires what is served and no longer aspired, where the model has an
    /// aspired version to serve instead or has gone altogether. Where a part of
    /// it can't be looked at, nothing of it leaves.
    fn retire(&mut self, aspired: &[Candidate], problems: &[Problem], pass: &mut Pass) {
        let wanted: BTreeSet<(&str, &Version)> = aspired
            .iter()
            .map(|c| (&*c.id.name, &c.id.version))
            .collect();
        let snapshot = self.catalog.snapshot();
        let mut leaving: Vec<Arc<Servable>> = Vec::new();
        for (name, versions) in snapshot.models() {
            let is_wanted = |v: &Version| wanted.contains(&(&**name, v));
            let replaced = versions.keys().any(is_wanted);
            let gone = !wanted.iter().any(|(n, _)| *n == &**name);
            let is_whole = !problems.iter().any(|p| self.hides(p, name));
            if self.held.contains(name) || is_whole && (replaced || gone) {
                leaving.extend(
                    versions
                        .iter()
                        .filter(|(v, _)| !is_wanted(v))
                        .map(|(_, s)| Arc::clone(s)),
                );
            }
        }
        let states = &self.catalog.shared.states;
        for servable in &leaving {
            let id = &servable.id;
            // Announced before it leaves.
            states.set(&id.name, Some(&id.version), State::Unloading, None);
            tracing::info!(model = %id.name, version = %id.version, "unloading");
        }
        if !leaving.is_empty() {
            self.publish(|models| {
                for servable in &leaving {
                    if let Some(versions) = models.get_mut(&servable.id.name) {
                        versions.remove(&servable.id.version);
                    }
                }
                models.retain(|_, versions| !versions.is_empty());
            });
            pass.unloaded.extend(leaving.iter().map(|s| s.id.clone()));
        }
        let snapshot = self.catalog.snapshot();
        self.catalog.shared.states.retain(|name, version| {
            let served = |v| {
                snapshot
                    .models()
                    .get(name)
                    .is_some_and(|m| m.contains_key(v))
            };
            version.is_none_or(|v| wanted.contains(&(name, v)) || served(v))
        });
        let current: BTreeSet<&ModelId> = aspired.iter().map(|c| &c.id).collect();
        self.failed.retain(|id, _| current.contains(id));
    }

    /// Puts a changed copy of the snapshot in its place.
    fn publish(&self, change: impl FnOnce(&mut BTreeMap<Arc<str>, super::Versions>)) {
        let mut next: Snapshot = (*self.catalog.snapshot()).clone();
        change(&mut next.models);
        self.catalog.shared.snapshot.store(Arc::new(next));
    }

    /// `error` as callers may read it: files are named from the repository's
    /// folder on, since where that stands is nobody's business.
    fn told(&self, error: &impl ToString) -> String {
        let folder = format!("{}/", self.root.display());
        error.to_string().replace(&folder, "")
    }

    /// The folder of a model that `problem` is in: the first one below the
    /// repository's. `None` where it is the repository's own.
    fn folder_of<'a>(&self, problem: &'a Problem) -> Option<Cow<'a, str>> {
        let below = problem.file.strip_prefix(&self.root).ok()?;
        Some(below.iter().next()?.to_string_lossy())
    }

    /// Whether there may be more of the model `name` than was seen.
    fn hides(&self, problem: &Problem, name: &str) -> bool {
        self.folder_of(problem).is_none_or(|folder| folder == name)
    }

    /// Shows models whose manifests can't be read for as long as that is so,
    /// and counts each once for what is wrong with it.
    fn note_problems(&self, problems: &[Problem]) {
        let mut folders: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
        for problem in problems {
            let folder = self.folder_of(problem).unwrap_or_else(|| {
                let own = self.root.file_name().unwrap_or_default();
                own.to_string_lossy()
            });
            let told = folders.entry(folder.as_ref().into()).or_default();
            told.push(self.told(problem));
        }
        let states = &self.catalog.shared.states;
        states.retain(|name, version| version.is_some() || folders.contains_key(name));
        for (folder, told) in folders {
            if states.set(&folder, None, State::Unavailable, Some(told.join("; "))) {
                self.loader.metrics.load_failed(&folder);
            }
        }
    }
}
