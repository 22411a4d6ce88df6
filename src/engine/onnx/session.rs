//! One ONNX Runtime session.

use std::{borrow::Cow, sync::Arc};

use ort::{
    ErrorCode,
    environment::Environment,
    session::{RunOptions, Session as OrtSession, SessionInputs},
    value::{DynSequence, DynValue, TensorElementType, ValueType},
};

use super::{
    one_line,
    operator::{self, Operator},
    values,
};
use crate::{
    engine::{self, EngineError, Interrupt, Session},
    tensor::{Signature, Tensor, ValueKind},
};

/// A session with the names that a run needs.
pub(super) struct OnnxSession {
    session: OrtSession,
    options: Arc<Ender>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// Whether an output may lie in an input's memory: operators on sequences
    /// and optionals pass on what they were given.
    outputs_alias: bool,
}

struct Input {
    name: Arc<str>,
    way: WayIn,
}

/// How a tensor becomes what the model takes.
enum WayIn {
    /// As it is.
    Tensor,
    /// As its parts; where there are none, as this.
    Sequence(DynValue),
    /// Made narrow by an operator.
    Narrow(TensorElementType, Operator),
}

struct Output {
    name: Arc<str>,
    /// Where the protocol lacks its type.
    widen: Option<Operator>,
}

/// The options of every run of one session: their only use is to end a run.
struct Ender(RunOptions);

impl Interrupt for Ender {
    fn interrupt(&self) {
        // Fails only for options that are not ONNX Runtime's.
        let _ = self.0.terminate();
    }

    fn reset(&self) {
        let _ = self.0.unterminate();
    }
}

impl OnnxSession {
    pub(super) fn new(
        session: OrtSession,
        signature: &Signature,
        environment: &Environment,
    ) -> Result<Self, EngineError> {
        let options = RunOptions::new().map_err(|e| EngineError::Load(one_line(e.message())))?;
        let mut inputs = Vec::with_capacity(signature.inputs.len());
        for spec in &signature.inputs {
            let declared = session.inputs().iter().find(|i| i.name() == &*spec.name);
            let narrow = declared.and_then(|i| narrow(i.dtype()));
            let way = match (spec.kind, narrow) {
                (ValueKind::SequenceOfTensors, _) => {
                    WayIn::Sequence(Operator::empty_sequence(environment, spec.dtype)?.run(None)?)
                }
                (_, Some(ty)) => WayIn::Narrow(ty, Operator::narrow(environment, ty)?),
                _ => WayIn::Tensor,
            };
            inputs.push(Input {
                name: spec.name.clone(),
                way,
            });
        }
        let outputs = session
            .outputs()
            .iter()
            .map(|output| {
                let widen = narrow(output.dtype()).map(|ty| Operator::widen(environment, ty));
                Ok(Output {
                    name: output.name().into(),
                    widen: widen.transpose()?,
                })
            })
            .collect::<Result<_, EngineError>>()?;
        Ok(Self {
            outputs_alias: session.inputs().iter().any(|i| !i.dtype().is_tensor()),
            session,
            options: Arc::new(Ender(options)),
            inputs,
            outputs,
        })
    }
}

/// The element type that the protocol lacks, of a tensor that has one.
fn narrow(declared: &ValueType) -> Option<TensorElementType> {
    match declared {
        ValueType::Tensor { ty, .. } if operator::wider(*ty).is_some() => Some(*ty),
        _ => None,
    }
}

/// A value that was made for one run.
enum Made<'a> {
    Sequence(DynSequence),
    Value(DynValue),
    Kept(&'a DynValue),
}

impl Session for OnnxSession {
    fn run(&mut self, inputs: &[Option<Tensor>]) -> Result<Vec<engine::Output>, EngineError> {
        // They live until the outputs have been read: see `outputs_alias`.
        let mut made = Vec::with_capacity(inputs.len());
        for (Input { name, way }, tensor) in self.inputs.iter_mut().zip(inputs) {
            let value = match (way, tensor) {
                (_, None) | (WayIn::Tensor, _) => None,
                (WayIn::Sequence(empty), Some(tensor)) => Some(match values::sequence(tensor)? {
                    Some(sequence) => Made::Sequence(sequence),
                    None => Made::Kept(empty),
                }),
                (WayIn::Narrow(ty, operator), Some(tensor)) => {
                    operator::check(tensor, *ty).map_err(|e| within(name, e))?;
                    Some(Made::Value(operator.run(Some(values::input(tensor)?))?))
                }
            };
            made.push((&**name, value));
        }
        let mut values = Vec::with_capacity(inputs.len());
        for ((name, made), tensor) in made.iter().zip(inputs) {
            let value = match (made, tensor) {
                (Some(Made::Sequence(sequence)), _) => sequence.view().into(),
                (Some(Made::Value(value)), _) => value.view().into(),
                (Some(Made::Kept(value)), _) => value.view().into(),
                (None, Some(tensor)) => values::input(tensor)?,
                (None, None) => continue,
            };
            values.push((Cow::Borrowed(*name), value));
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
            .iter_mut()
            .map(|output| {
                let value = ran.remove(&output.name).ok_or_else(|| {
                    EngineError::Run(format!("the model gave no output \"{}\"", output.name))
                })?;
                match &mut output.widen {
                    None => values::output(value, self.outputs_alias),
                    Some(widen) => values::output(widen.run(Some(value.view().into()))?, false),
                }
            })
            .collect()
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.options.clone()
    }
}

/// A refusal that names the input.
fn within(input: &str, error: EngineError) -> EngineError {
    match error {
        EngineError::Refused(reason) => {
            EngineError::Refused(format!("the input \"{input}\": {reason}"))
        }
        error => error,
    }
}
