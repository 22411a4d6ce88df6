//! The catalog and what must hold of it, side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, SystemTime},
};

use modelship::{
    catalog::{Busy, Catalog, Control, Lease, Loader, Manager, Origin, Pass, State, VersionPolicy},
    error::Result,
    repository::{Version, signature::Trusted},
    scheduler::{Background, Host, Placement, Request, Settings},
    telemetry::{BuildInfo, Metrics},
    tensor::{Shape, Tensor},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use super::{
    Step,
    engine::{ASKED, Gate, Stepped, Verdict},
    truth::{Content, Folder, Key, Kind, MODELS, Next, Passing, Told, Truth, VERSIONS},
};
use crate::repository::{fake_graph, onnx_graph, write_manifest};

/// What the thread of a pass tells.
enum Event {
    Loads,
    Passed(Pass),
    /// A pass that a caller asked for.
    Controlled(Result<()>),
}

/// Why a pass is under way.
#[derive(Clone, Copy)]
enum Why {
    Looked,
    Load(usize),
    /// The model, and whether it was served.
    Unload(usize, bool),
}

struct Held {
    lease: Lease,
    key: Key,
    content: Content,
}

struct Asked {
    answer: JoinHandle<Result<f32>>,
    expected: f32,
}

pub struct Drive {
    folder: tempfile::TempDir,
    stamp: u64,
    manager: Option<Arc<Mutex<Manager>>>,
    busy: Busy,
    catalog: Catalog,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    verdicts: mpsc::Sender<Verdict>,
    gate: Arc<Gate>,
    is_held_back: bool,
    alive: Arc<()>,
    runtime: Runtime,
    truth: Truth,
    passing: Option<(Passing, Why)>,
    leases: Vec<Held>,
    asked: Vec<Asked>,
    count: u8,
}

fn version(number: usize) -> Version {
    VERSIONS[number].parse().unwrap()
}

impl Drive {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("models");
        fs::create_dir(&root).unwrap();
        let (tell, events) = mpsc::channel();
        let (verdicts, told) = mpsc::channel();
        let gate = Arc::new(Gate::default());
        let alive = Arc::new(());
        let stopped = {
            let tell = tell.clone();
            move || tell.send(Event::Loads).unwrap()
        };
        let loader = Loader {
            engine: Arc::new(Stepped {
                stopped: Box::new(stopped),
                verdicts: Mutex::new(told),
                gate: Arc::clone(&gate),
                alive: Arc::clone(&alive),
            }),
            host: Host {
                event_loops: 1,
                cpus: 1,
                background: Background::Nice,
            },
            defaults: Settings {
                placement: Placement::Threads,
                max_batch_size: Some(4),
                ..Settings::default()
            },
            origin: Origin::default(),
            trust: Trusted::default(),
            metrics: Metrics::new(BuildInfo {
                version: String::new(),
                commit: String::new(),
            }),
        };
        let (manager, catalog) = Manager::new(&root, loader, VersionPolicy::All, None);
        Self {
            folder,
            stamp: 0,
            busy: manager.busy(),
            manager: Some(Arc::new(Mutex::new(manager))),
            catalog,
            events: (tell, events),
            verdicts,
            gate,
            is_held_back: false,
            alive,
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            truth: Truth::default(),
            passing: None,
            leases: Vec::new(),
            asked: Vec::new(),
            count: 0,
        }
    }

    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Put(key, content) => self.put(key, content),
            Step::Remove(key) => {
                let _ = fs::remove_dir_all(self.path(key));
                self.truth.folders.remove(&key);
            }
            Step::Spoil(key) => self.spoil(key),
            Step::Move => self.take_away_or_bring_back(),
            Step::Pass if self.passing.is_none() => self.begin(Why::Looked),
            Step::Load(model) if self.passing.is_none() => self.begin(Why::Load(model)),
            Step::Unload(model) if self.passing.is_none() => {
                let is_served = self.truth.lease(model, None).is_some();
                self.begin(Why::Unload(model, is_served));
            }
            // One pass at a time: what stands still goes on.
            Step::Pass | Step::Load(_) | Step::Unload(_) => self.go_on(Verdict::Go),
            Step::Verdict(verdict) => self.go_on(verdict),
            Step::Lease(model, number) => self.lease(model, number),
            Step::Drop(which) if !self.leases.is_empty() => {
                self.leases.swap_remove(which % self.leases.len());
            }
            Step::Ask(which) if !self.leases.is_empty() => self.ask(which % self.leases.len()),
            Step::Leave(which) if !self.asked.is_empty() => {
                // The caller goes away; whether it was answered just then is
                // nobody's business.
                let gone = self.asked.swap_remove(which % self.asked.len());
                gone.answer.abort();
            }
            Step::Hold => {
                self.is_held_back = true;
                self.gate.set(true);
            }
            Step::Release => self.release(),
            Step::Drop(_) | Step::Ask(_) | Step::Leave(_) => {}
        }
        self.compare();
    }

    fn root(&self) -> PathBuf {
        let name = if self.truth.away { "away" } else { "models" };
        self.folder.path().join(name)
    }

    fn path(&self, (model, number): Key) -> PathBuf {
        self.root().join(MODELS[model]).join(VERSIONS[number])
    }

    /// A time for what is written next that no other had: two writes within one
    /// tick of the clock would look the same.
    fn touch(&mut self, key: Key) -> u64 {
        self.stamp += 1;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + self.stamp);
        let manifest = File::options()
            .append(true)
            .open(self.path(key).join("model.toml"));
        manifest.unwrap().set_modified(time).unwrap();
        self.stamp
    }

    fn put(&mut self, key: Key, content: Content) {
        let (folder, name, text) = (self.path(key), MODELS[key.0], VERSIONS[key.1]);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("cases")).unwrap();
        let scale = f32::from(content.scale);
        let graph = match content.kind {
            Kind::NoModel => onnx_graph(text, scale),
            _ => fake_graph(text, scale),
        };
        fs::write(folder.join("model.onnx"), &graph).unwrap();
        let named = match content.kind {
            Kind::WrongHash => vec![content.scale],
            _ => graph,
        };
        write_manifest(&folder, name, text, &named, "");
        let tensor = |name: &str, value: f32| serde_json::json!([{"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}]);
        let y = match content.kind {
            Kind::WrongCase => scale + 1.0,
            _ => scale,
        };
        let case = serde_json::json!({"inputs": tensor("x", 1.0), "outputs": tensor("y", y)});
        fs::write(folder.join("cases/one.json"), case.to_string()).unwrap();
        let stamp = self.touch(key);
        let folder = Folder {
            content,
            readable: true,
            stamp,
        };
        self.truth.folders.insert(key, folder);
    }

    fn spoil(&mut self, key: Key) {
        if self.truth.folders.contains_key(&key) {
            fs::write(self.path(key).join("model.toml"), "name = \n").unwrap();
            let stamp = self.touch(key);
            let folder = self.truth.folders.get_mut(&key).unwrap();
            (folder.readable, folder.stamp) = (false, stamp);
        }
    }

    fn take_away_or_bring_back(&mut self) {
        let from = self.root();
        self.truth.away = !self.truth.away;
        fs::rename(from, self.root()).unwrap();
    }

    fn begin(&mut self, why: Why) {
        let Some(manager) = self.manager.clone() else {
            return;
        };
        let tell = self.events.0.clone();
        let control = Control::new(Arc::clone(&manager));
        match why {
            Why::Looked => {
                std::thread::spawn(move || {
                    let pass = manager.lock().unwrap().pass();
                    let _ = tell.send(Event::Passed(pass));
                });
            }
            Why::Load(model) => {
                self.truth.load(model);
                self.runtime.spawn(async move {
                    let done = control.load(MODELS[model].to_owned()).await;
                    let _ = tell.send(Event::Controlled(done));
                });
            }
            Why::Unload(model, is_served) => {
                self.runtime.spawn(async move {
                    let done = control.unload(MODELS[model].to_owned()).await;
                    let _ = tell.send(Event::Controlled(done));
                });
                if !is_served {
                    let told = self.events.1.recv().unwrap();
                    assert!(matches!(told, Event::Controlled(Err(_))));
                    return;
                }
                self.truth.held.insert(model);
            }
        }
        let passing = self.truth.begin();
        self.passing = Some((passing, why));
        self.follow();
    }

    fn go_on(&mut self, verdict: Verdict) {
        let Some((passing, _)) = &mut self.passing else {
            return;
        };
        self.truth.settle(passing, verdict);
        self.verdicts.send(verdict).unwrap();
        self.follow();
    }

    /// Waits until the pass loads the next version, or is over.
    fn follow(&mut self) {
        let (passing, why) = self.passing.as_mut().unwrap();
        let expected = self.truth.next(passing);
        match (self.events.1.recv().unwrap(), &expected) {
            (Event::Loads, Next::Loads) => {
                assert!(self.busy.try_lock().is_err(), "the end waits for a load");
            }
            (Event::Passed(pass), Next::Done) => {
                let keys = |keys: &[Key]| -> BTreeSet<(String, String)> {
                    let named = |(m, v): &Key| (MODELS[*m].into(), VERSIONS[*v].into());
                    keys.iter().map(named).collect()
                };
                let told = |ids: &[modelship::repository::ModelId]| -> BTreeSet<_> {
                    let named = ids
                        .iter()
                        .map(|id| (id.name.to_string(), id.version.to_string()));
                    named.collect()
                };
                assert_eq!(told(&pass.loaded), keys(&passing.loaded));
                assert_eq!(told(&pass.unloaded), keys(&passing.unloaded));
                assert_eq!(pass.failures.len(), passing.failures, "{:?}", pass.failures);
                self.passing = None;
            }
            (Event::Controlled(done), Next::Done) => {
                let good = match *why {
                    Why::Load(model) => {
                        passing.failures == 0 && self.truth.lease(model, None).is_some()
                    }
                    Why::Unload(_, is_served) => is_served,
                    Why::Looked => unreachable!("nobody asked"),
                };
                assert_eq!(done.is_ok(), good, "{done:?}");
                self.passing = None;
            }
            (Event::Loads, Next::Done) => panic!("it loads what it should not"),
            (_, Next::Loads) => panic!("it does not load what it should"),
        }
        if self.passing.is_none() {
            assert!(self.busy.try_lock().is_ok(), "nothing is under way");
        }
    }

    fn lease(&mut self, model: usize, number: Option<usize>) {
        let wanted = number.map(version);
        let lease = self.catalog.lease(MODELS[model], wanted.as_ref());
        match (lease, self.truth.lease(model, number)) {
            (Ok(lease), Some((key, content))) => {
                assert_eq!(&**lease.version_text(), VERSIONS[key.1]);
                self.leases.push(Held {
                    lease,
                    key,
                    content,
                });
            }
            (Err(_), None) => {}
            (lease, expected) => panic!("{:?} and not {expected:?}", lease.map(|_| "a lease")),
        }
    }

    /// Asks on a lease, whatever has become of its version since.
    fn ask(&mut self, which: usize) {
        let held = &self.leases[which];
        assert_eq!(&*held.lease.id().name, MODELS[held.key.0]);
        self.count = self.count.wrapping_add(1);
        let x = ASKED + f32::from(self.count);
        let expected = x * f32::from(held.content.scale);
        let lease = held.lease.clone();
        let answer = self.runtime.spawn(async move {
            let x = Tensor::new(Shape::new(&[1, 1]), vec![x]).unwrap();
            let request = Request {
                inputs: vec![Some(x)],
                ..Request::default()
            };
            let answer = lease.infer(request).await?;
            Ok(answer.outputs[0].tensor.elements::<f32>().unwrap()[0])
        });
        self.asked.push(Asked { answer, expected });
        if !self.is_held_back {
            self.answered();
        }
    }

    /// Everybody who waits is answered, once and right.
    fn answered(&mut self) {
        for Asked { answer, expected } in self.asked.drain(..) {
            let limit = Duration::from_secs(60);
            let answer = async { tokio::time::timeout(limit, answer).await };
            let answer = self.runtime.block_on(answer).expect("an answer");
            assert_eq!(answer.unwrap().unwrap(), expected);
        }
    }

    fn release(&mut self) {
        self.is_held_back = false;
        self.gate.set(false);
        self.answered();
    }

    fn compare(&self) {
        let snapshot = self.catalog.snapshot();
        let served: BTreeSet<(String, String)> = snapshot
            .servables()
            .map(|s| (s.id().name.to_string(), s.id().version.to_string()))
            .collect();
        let expected: BTreeSet<_> = self
            .truth
            .served
            .keys()
            .map(|(m, v)| (MODELS[*m].to_owned(), VERSIONS[*v].to_owned()))
            .collect();
        assert_eq!(served, expected);
        let states: BTreeMap<(String, String), Told> = self
            .catalog
            .states()
            .into_iter()
            .map(|s| {
                (
                    (s.name.to_string(), s.version),
                    (s.state, s.reason.is_some()),
                )
            })
            .collect();
        let mut told: BTreeMap<_, _> = self
            .truth
            .states
            .iter()
            .map(|((m, v), told)| {
                let version = v.map_or("", |v| VERSIONS[v]);
                ((MODELS[*m].to_owned(), version.to_owned()), *told)
            })
            .collect();
        if self.truth.away_told {
            let key = ("models".to_owned(), String::new());
            told.insert(key, (State::Unavailable, true));
        }
        assert_eq!(states, told);
        // Ready is what a lease can be had of, and nothing else.
        let ready = states
            .iter()
            .filter(|(_, (state, _))| *state == State::Ready);
        assert_eq!(
            ready.map(|(key, _)| key.clone()).collect::<BTreeSet<_>>(),
            served
        );
    }

    /// The end: what is under way comes to its end, what was accepted is
    /// answered, and nothing stays behind.
    pub fn shut_down(mut self) {
        while self.passing.is_some() {
            self.go_on(Verdict::Go);
            self.compare();
        }
        self.manager = None;
        self.lease(0, None);
        self.lease(1, None);
        for which in 0..self.leases.len() {
            self.ask(which);
        }
        self.release();
        let Self {
            catalog,
            leases,
            alive,
            runtime,
            ..
        } = self;
        drop((catalog, leases, runtime));
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&alive) > 1 {
            assert!(std::time::Instant::now() < limit, "a model stays behind");
            std::thread::yield_now();
        }
    }
}
