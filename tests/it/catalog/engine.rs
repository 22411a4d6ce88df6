//! The fake engine, one step at a time: each load waits for its verdict, and
//! runs of callers wait while they are held back.

use std::sync::{Arc, Condvar, Mutex, mpsc};

use modelship::{
    engine::{
        Engine, EngineError, Interrupt, Model, ModelBytes, Output, Session, Threads,
        fake::FakeEngine,
    },
    tensor::{Signature, Tensor},
};

/// Callers ask for numbers from here on; warm-up and golden cases for less.
pub const ASKED: f32 = 100.0;

/// What becomes of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Go,
    Fail,
    Panic,
}

/// Holds runs back.
#[derive(Default)]
pub struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock().unwrap();
        while *closed {
            closed = self.opened.wait(closed).unwrap();
        }
    }
}

/// The engine. Tells `stopped` of each load, and then waits for its verdict.
pub struct Stepped {
    pub stopped: Box<dyn Fn() + Send + Sync>,
    pub verdicts: Mutex<mpsc::Receiver<Verdict>>,
    pub gate: Arc<Gate>,
    /// Counted once for each model that is there.
    pub alive: Arc<()>,
}

impl Engine for Stepped {
    fn load(&self, bytes: &ModelBytes, threads: Threads) -> Result<Arc<dyn Model>, EngineError> {
        (self.stopped)();
        let verdict = self.verdicts.lock().unwrap().recv();
        match verdict {
            Ok(Verdict::Go) => {}
            Ok(Verdict::Fail) => return Err(EngineError::Load("told to fail".to_owned())),
            // Without the words of a panic, which would stand in the output.
            Ok(Verdict::Panic) | Err(_) => std::panic::resume_unwind(Box::new("told to panic")),
        }
        Ok(Arc::new(Held {
            model: FakeEngine::default().load(bytes, threads)?,
            gate: Arc::clone(&self.gate),
            _alive: Arc::clone(&self.alive),
        }))
    }

    fn version(&self) -> String {
        "stepped engine".to_owned()
    }
}

struct Held {
    model: Arc<dyn Model>,
    gate: Arc<Gate>,
    _alive: Arc<()>,
}

impl Model for Held {
    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(HeldSession {
            session: self.model.session()?,
            gate: Arc::clone(&self.gate),
        }))
    }
}

struct HeldSession {
    session: Box<dyn Session>,
    gate: Arc<Gate>,
}

impl Session for HeldSession {
    fn run(&mut self, inputs: &[Option<Tensor>]) -> Result<Vec<Output>, EngineError> {
        let x = inputs.first().and_then(Option::as_ref);
        let first = x.and_then(|x| x.elements::<f32>()?.first().copied());
        if first.is_some_and(|x| x >= ASKED) {
            self.gate.pass();
        }
        self.session.run(inputs)
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.session.interrupter()
    }
}
