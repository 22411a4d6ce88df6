//! Each model looked at by itself, on every processor, and the memory that
//! each takes told apart.

use std::{
    fs,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Checked, Findings, Rule, Severity, own::Own, signatures};
use crate::{
    engine::Engine,
    repository::{self, Candidate, Problem, VerifiedModel, signature::Trust},
    review::exercise::Loaded,
    tensor::Signature,
};

/// A model of more bytes than this is looked at while nothing else is: the
/// memory of the process is what tells how much it takes.
const SMALL: u64 = 1_000_000;

/// As much as a process starts with: ONNX Runtime goes as deep as a model's
/// graphs are nested.
const STACK: usize = 8 << 20;

/// A model that was read and proved, or what is wrong with it.
pub(super) type Read = Result<VerifiedModel, Vec<Problem>>;

/// Reads the first of `candidates` while `has_time`, as long as they are
/// small: they stay in memory until each is looked at.
pub(super) fn read_ahead(candidates: &[Candidate], has_time: impl Fn() -> bool) -> Vec<Read> {
    const MOST: u64 = 64_000_000;
    let mut read = Vec::new();
    let mut total = 0;
    for candidate in candidates {
        let bytes = bytes(candidate);
        total += bytes;
        if bytes > SMALL || total > MOST || !has_time() {
            break;
        }
        read.push(repository::read(candidate));
    }
    read
}

/// What was learned of one model.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) findings: Findings,
    /// Absent where it can't be read or loaded.
    pub(super) model: Option<(Checked, Signature)>,
}

/// Looks at each of `candidates`, of which the first were read `ahead`, and
/// gives what was learned in their order. `on_model` hears of each before that.
pub(super) fn look(
    engine: &dyn Engine,
    trust: &Trust,
    (candidates, ahead): (&[Candidate], Vec<Read>),
    on_model: impl FnMut(usize, usize, &str) + Send,
) -> Vec<Learned> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let workers = processors.min(candidates.len());
    let places: Vec<Mutex<Learned>> = candidates.iter().map(|_| Mutex::default()).collect();
    let ahead: Vec<Mutex<Option<Read>>> = ahead.into_iter().map(|r| Mutex::new(Some(r))).collect();
    let on_model = Mutex::new(on_model);
    let (next, alone) = (AtomicUsize::new(0), RwLock::new(()));
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let (Some(candidate), Some(place)) = (candidates.get(n), places.get(n)) else {
                return;
            };
            let wait = || alone.write().unwrap_or_else(PoisonError::into_inner);
            let small = bytes(candidate) <= SMALL;
            let beside = small.then(|| alone.read().unwrap_or_else(PoisonError::into_inner));
            let by_itself = (!small).then(wait);
            lock(&on_model)(n, candidates.len(), &candidate.id.to_string());
            let read = ahead.get(n).and_then(|read| lock(read).take());
            let read = read.unwrap_or_else(|| repository::read(candidate));
            let (learned, loaded) = one(engine, trust, candidate, read);
            *lock(place) = learned;
            // Memory that comes back while another model is loaded would make
            // that one seem to take less.
            drop(beside);
            let grew = loaded.as_ref().and_then(|loaded| loaded.memory) > Some(SMALL);
            let _by_itself = by_itself.or_else(|| grew.then(wait));
            drop(loaded);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            let thread = thread::Builder::new().stack_size(STACK);
            // Where there is no other thread, this one does it all.
            let _ = thread.spawn_scoped(scope, work);
        }
        work();
    });
    let own = |place: Mutex<Learned>| place.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut learned: Vec<Learned> = places.into_iter().map(own).collect();
    if workers > 1 {
        for (own, candidate) in learned.iter_mut().zip(candidates) {
            own.tell_memory_apart(engine, candidate);
        }
    }
    learned
}

/// What is learned of one model, and the model itself where it was loaded.
fn one(
    engine: &dyn Engine,
    trust: &Trust,
    candidate: &Candidate,
    read: Read,
) -> (Learned, Option<Loaded>) {
    let mut findings = Findings::default();
    let found = match read {
        Ok(verified) => {
            signatures::check(trust, candidate, &verified, &mut findings);
            let mut own = Own {
                candidate,
                verified: &verified,
                findings: &mut findings,
            };
            own.check(engine)
        }
        Err(problems) => {
            findings.add_all(Severity::Error, Rule::Repository, problems);
            None
        }
    };
    let (model, loaded) = match found {
        Some((checked, loaded)) => (Some((checked, loaded.signature().clone())), Some(loaded)),
        None => (None, None),
    };
    (Learned { findings, model }, loaded)
}

impl Learned {
    /// What a small model seems to take may be what another took or gave back
    /// beside it: where it is much, it is loaded once more, alone.
    fn tell_memory_apart(&mut self, engine: &dyn Engine, candidate: &Candidate) {
        let Some((checked, _)) = &mut self.model else {
            return;
        };
        if checked.load_memory > Some(SMALL)
            && bytes(candidate) <= SMALL
            && let Ok(verified) = repository::read(candidate)
            && let Ok(loaded) = Loaded::of(engine, &verified)
        {
            checked.load_memory = loaded.memory;
        }
    }
}

/// The size of the model's files, as far as they are there.
fn bytes(candidate: &Candidate) -> u64 {
    let files = candidate.manifest.files.iter();
    let sizes = files.map(|file| fs::metadata(candidate.folder.join(&file.path)));
    sizes.flatten().map(|file| file.len()).sum()
}

/// A poisoned lock means that another thread panicked, which ends the check.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
