//! An engine for tests: it runs when the test says so, and fails on demand.
//!
//! A model file is any that holds the text `fake SCALE;`, such as an ONNX file
//! with that producer. Its one input `x` and one output `y` are FP32 of shape
//! `[N,1]`, and `y = SCALE * x`.

use std::sync::{
    Arc, Condvar, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{Engine, EngineError, Interrupt, Model, ModelBytes, Output, Session, Threads};
use crate::tensor::{DType, Dim, Signature, Tensor, TensorSpec, ValueKind};

/// The engine. Clones share the gate and the counts.
#[derive(Debug, Clone, Default)]
pub struct FakeEngine {
    control: Arc<Control>,
}

#[derive(Debug, Default)]
struct Control {
    gate: Mutex<Gate>,
    changed: Condvar,
    runs: AtomicUsize,
    batches: Mutex<Vec<usize>>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    /// Runs let through while the gate is closed.
    permits: usize,
    waiting: usize,
    fail_next: Option<Failure>,
}

/// How a run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// With an error of the engine.
    Error,
    /// With a panic.
    Panic,
}

impl FakeEngine {
    /// Runs wait from now on until they are released.
    pub fn hold(&self) {
        self.gate().closed = true;
    }

    /// Lets `runs` runs through the closed gate.
    pub fn release(&self, runs: usize) {
        self.gate().permits += runs;
        self.control.changed.notify_all();
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.gate().closed = false;
        self.control.changed.notify_all();
    }

    /// Makes the next run fail.
    pub fn fail_next(&self, failure: Failure) {
        self.gate().fail_next = Some(failure);
    }

    /// Blocks until `count` runs wait at the gate.
    pub fn wait_for_waiting(&self, count: usize) {
        let mut gate = self.gate();
        while gate.waiting < count {
            gate = self
                .control
                .changed
                .wait(gate)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many runs were started.
    pub fn runs(&self) -> usize {
        self.control.runs.load(Ordering::SeqCst)
    }

    /// The rows of each run so far.
    pub fn batches(&self) -> Vec<usize> {
        self.control
            .batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.control
            .gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for FakeEngine {
    fn load(&self, bytes: &ModelBytes, _threads: Threads) -> Result<Arc<dyn Model>, EngineError> {
        let scale = scale_of(&bytes.graph)
            .ok_or_else(|| EngineError::Load("not a fake model".to_owned()))?;
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            dtype: DType::F32,
            dims: Some(vec![Dim::Symbol("N".to_owned()), Dim::Fixed(1)]),
            optional: false,
            has_default: false,
            kind: ValueKind::Tensor,
        };
        Ok(Arc::new(FakeModel {
            signature: Signature {
                inputs: vec![spec("x")],
                outputs: vec![spec("y")],
            },
            scale,
            control: self.control.clone(),
        }))
    }

    fn version(&self) -> String {
        "fake engine".to_owned()
    }
}

fn scale_of(graph: &[u8]) -> Option<f32> {
    const MARK: &[u8] = b"fake ";
    let at = graph.windows(MARK.len()).position(|w| w == MARK)?;
    let rest = &graph[at + MARK.len()..];
    let end = rest.iter().position(|&b| b == b';')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

struct FakeModel {
    signature: Signature,
    scale: f32,
    control: Arc<Control>,
}

impl Model for FakeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(FakeSession {
            scale: self.scale,
            interrupted: Arc::new(Interrupted {
                set: AtomicBool::new(false),
                control: self.control.clone(),
            }),
        }))
    }
}

struct FakeSession {
    scale: f32,
    interrupted: Arc<Interrupted>,
}

impl Session for FakeSession {
    fn run(&mut self, inputs: &[Option<Tensor>]) -> Result<Vec<Output>, EngineError> {
        let control = &self.interrupted.control;
        let mut gate = control.gate.lock().unwrap_or_else(PoisonError::into_inner);
        control.runs.fetch_add(1, Ordering::SeqCst);
        gate.waiting += 1;
        control.changed.notify_all();
        while gate.closed && gate.permits == 0 {
            if self.interrupted.set.swap(false, Ordering::SeqCst) {
                gate.waiting -= 1;
                return Err(EngineError::Interrupted);
            }
            gate = control
                .changed
                .wait(gate)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if gate.closed {
            gate.permits -= 1;
        }
        gate.waiting -= 1;
        let failure = gate.fail_next.take();
        drop(gate);
        match failure {
            Some(Failure::Error) => return Err(EngineError::Run("told to fail".to_owned())),
            Some(Failure::Panic) => std::panic::panic_any("told to panic"),
            None => {}
        }
        let x = inputs
            .first()
            .and_then(Option::as_ref)
            .ok_or_else(|| EngineError::Refused("no x".to_owned()))?;
        let rows = x.shape().rows().unwrap_or(1);
        control
            .batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(rows);
        let elements = x.elements::<f32>().unwrap_or_default();
        let y = elements.iter().map(|v| v * self.scale).collect();
        let tensor = Tensor::new(x.shape().clone(), y)
            .map_err(|e| EngineError::Run(e.message().to_owned()))?;
        Ok(vec![tensor.into()])
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.interrupted.clone()
    }
}

/// Ends a run that waits at the gate.
#[derive(Debug)]
struct Interrupted {
    set: AtomicBool,
    control: Arc<Control>,
}

impl Interrupt for Interrupted {
    fn interrupt(&self) {
        // Under the lock, so that a run about to wait sees it.
        let gate = self.control.gate.lock();
        self.set.store(true, Ordering::SeqCst);
        drop(gate);
        self.control.changed.notify_all();
    }

    fn reset(&self) {
        self.set.store(false, Ordering::SeqCst);
    }
}
