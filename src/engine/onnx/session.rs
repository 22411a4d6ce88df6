//! One ONNX Runtime session.

use std::{borrow::Cow, sync::Arc};

use ort::{
    ErrorCode,
    session::{RunOptions, Session as OrtSession, SessionInputs},
};

use super::{one_line, values};
use crate::{
    engine::{EngineError, Interrupt, Output, Session},
    tensor::{Signature, Tensor, ValueKind},
};

/// A session with the names that a run needs.
pub(super) struct OnnxSession {
    session: OrtSession,
    options: Arc<Ender>,
    inputs: Vec<(Arc<str>, ValueKind)>,
    outputs: Vec<Arc<str>>,
    /// Whether an output may lie in an input's memory: operators on sequences
    /// and optionals pass on what they were given.
    outputs_alias: bool,
}

/// The options of every run of one session: their only use is to end a run.
struct Ender(RunOptions);

impl Interrupt for Ender {
    fn interrupt(&self) {
        // Fails only for options that are not ONNX Runtime's.
        let _ = self.0.terminate();
    }
}

impl OnnxSession {
    pub(super) fn new(session: OrtSession, signature: &Signature) -> Result<Self, EngineError> {
        let options = RunOptions::new().map_err(|e| EngineError::Load(one_line(e.message())))?;
        Ok(Self {
            outputs_alias: session.inputs().iter().any(|i| !i.dtype().is_tensor()),
            session,
            options: Arc::new(Ender(options)),
            inputs: signature
                .inputs
                .iter()
                .map(|i| (i.name.clone(), i.kind))
                .collect(),
            outputs: signature.outputs.iter().map(|o| o.name.clone()).collect(),
        })
    }
}

impl Session for OnnxSession {
    fn run(&mut self, inputs: &[Option<Tensor>]) -> Result<Vec<Output>, EngineError> {
        // They live until the outputs have been read: see `outputs_alias`.
        let sequences = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|((_, kind), tensor)| match (kind, tensor) {
                (ValueKind::SequenceOfTensors, Some(tensor)) => values::sequence(tensor).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut values = Vec::with_capacity(inputs.len());
        for (((name, _), tensor), sequence) in self.inputs.iter().zip(inputs).zip(&sequences) {
            let value = match (sequence, tensor) {
                (Some(sequence), _) => sequence.view().into(),
                (None, Some(tensor)) => values::input(tensor)?,
                (None, None) => continue,
            };
            values.push((Cow::Borrowed(&**name), value));
        }
        let ran = self
            .session
            .run_with_options(SessionInputs::<0>::ValueMap(values), &self.options.0);
        let mut ran = match ran {
            Ok(outputs) => outputs,
            Err(e) => {
                // Ready for the next run, whatever ended this one.
                let ended = e.message().contains("terminate flag");
                let _ = self.options.0.unterminate();
                let message = one_line(e.message());
                return Err(match e.code() {
                    _ if ended => EngineError::Interrupted,
                    ErrorCode::InvalidArgument => EngineError::Refused(message),
                    _ => EngineError::Run(message),
                });
            }
        };
        self.outputs
            .iter()
            .map(|name| {
                let value = ran.remove(name).ok_or_else(|| {
                    EngineError::Run(format!("the model gave no output \"{name}\""))
                })?;
                values::output(value, self.outputs_alias)
            })
            .collect()
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.options.clone()
    }
}
