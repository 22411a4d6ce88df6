//! `ModelInfer`.

use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use http::HeaderMap;

use super::{
    Context, contents,
    proto::{
        InferParameter, ModelInferRequest, ModelInferResponse,
        infer_parameter::ParameterChoice as Choice, model_infer_request::InferInputTensor,
        model_infer_response::InferOutputTensor,
    },
    reply,
    wire::{self, Messages},
};
use crate::{
    catalog::Lease,
    error::{Error, Result},
    scheduler::{self, Answer},
    tensor::{Tensor, read_raw, write_raw},
    transport::{
        inference::{self, Inputs},
        limits::Limits,
    },
};

pub(super) type Parameters = HashMap<String, InferParameter>;

/// One request, one answer.
pub(super) async fn infer(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let came = Instant::now();
    let answered = async {
        let mut messages = Messages::new(&headers, body, context.limits, context.memory.begin())?;
        let deadline = wire::deadline(&headers)?;
        let admit = |model: &str, version: &str| {
            let lease = inference::lease(&context.catalog, model, version)?;
            lease.admit()
        };
        let request = messages.next_admitted(&admit).await?;
        let request = request.ok_or_else(|| Error::invalid("the call came without a message"))?;
        let mut memory = messages.reserved();
        let answered = answer(&context, request, deadline, came).await?;
        memory.take(answered.size())?;
        let response = reply::one(answered, messages.is_gzip()).await?;
        Ok(memory.kept_until_sent(response))
    };
    answered.await.unwrap_or_else(reply::refused)
}

/// An answer: the message, and beside it the raw tensors that belong in it.
pub(super) struct Answered {
    pub(super) message: ModelInferResponse,
    pub(super) raw: Vec<Bytes>,
}

impl Answered {
    /// How many bytes it takes, or somewhat fewer.
    pub(super) fn size(&self) -> usize {
        let raw: usize = self.raw.iter().map(Bytes::len).sum();
        // To count what is typed, all of it is looked at.
        if self.raw.is_empty() {
            prost::Message::encoded_len(&self.message)
        } else {
            raw
        }
    }
}

/// Answers `request`, which came at `came`.
///
/// # Errors
/// Whatever is wrong with it, and as [`crate::catalog::Servable::infer`].
pub(super) async fn answer(
    context: &Context,
    request: ModelInferRequest,
    deadline: Option<Instant>,
    came: Instant,
) -> Result<Answered> {
    let lease = inference::lease(
        &context.catalog,
        &request.model_name,
        &request.model_version,
    )?
    .of_one_that_came(came);
    let prepared = Prepared::new(&lease, request, deadline, context.limits);
    let (scheduled, prepared) = prepared.map_err(|e| lease.refused(e))?;
    let (answer, in_flight) = lease.begin(scheduled).await?;
    in_flight.settle(prepared.answered(&lease, answer))
}

/// What is kept of a request while it runs.
struct Prepared {
    id: String,
    parameters: Parameters,
    wanted: Vec<(usize, Parameters)>,
    is_raw: bool,
}

impl Prepared {
    fn new(
        lease: &Lease,
        request: ModelInferRequest,
        deadline: Option<Instant>,
        limits: Limits,
    ) -> Result<(scheduler::Request, Self)> {
        let signature = lease.signature();
        let is_typed = request.inputs.iter().any(|i| i.contents.is_some());
        let names = request.outputs.iter().map(|o| o.name.as_str());
        let places = inference::requested(signature, names)?;
        let has_lists = places
            .iter()
            .filter_map(|p| signature.outputs.get(*p))
            .all(|spec| contents::has_list(spec.dtype));
        let mut named = request.outputs.into_iter();
        let wanted = places
            .into_iter()
            .map(|place| {
                let parameters = named.next().map(|o| o.parameters).unwrap_or_default();
                Ok((place, own(parameters)?))
            })
            .collect::<Result<_>>()?;
        let priority = number(&request.parameters, "priority")?;
        let own_deadline = inference::deadline(number(&request.parameters, "timeout")?);
        let scheduled = scheduler::Request {
            inputs: inputs(lease, request.inputs, request.raw_input_contents, limits)?,
            deadline: match (deadline, own_deadline) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            priority: u32::try_from(priority).map_err(|_| {
                Error::invalid(format!(
                    "the parameter priority is {priority}, which is too large"
                ))
            })?,
        };
        let prepared = Self {
            id: request.id,
            parameters: own(request.parameters)?,
            wanted,
            is_raw: !(is_typed && has_lists),
        };
        Ok((scheduled, prepared))
    }

    fn answered(self, lease: &Lease, answer: Answer) -> Result<Answered> {
        let mut message = ModelInferResponse {
            model_name: lease.id().name.to_string(),
            model_version: lease.version_text().to_string(),
            id: self.id,
            parameters: self.parameters,
            ..ModelInferResponse::default()
        };
        let mut raw = Vec::new();
        for (place, mut parameters) in self.wanted {
            let (Some(spec), Some(output)) = (
                lease.signature().outputs.get(place),
                answer.outputs.get(place),
            ) else {
                return Err(Error::internal("the model gave fewer outputs than it has"));
            };
            for (name, text) in output.described() {
                parameters.insert(name.to_owned(), Choice::StringParam(text).into());
            }
            let tensor = &output.tensor;
            let dim = |n: &usize| i64::try_from(*n).unwrap_or(i64::MAX);
            message.outputs.push(InferOutputTensor {
                name: spec.name.to_string(),
                datatype: tensor.dtype().name().to_owned(),
                shape: tensor.shape().iter().map(dim).collect(),
                parameters,
                contents: (!self.is_raw).then(|| contents::write(tensor)),
            });
            if self.is_raw {
                raw.push(write_raw(tensor)?);
            }
        }
        Ok(Answered { message, raw })
    }
}

/// The inputs of a request in the model's order.
fn inputs(
    lease: &Lease,
    given: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    limits: Limits,
) -> Result<Vec<Option<Tensor>>> {
    if !raw.is_empty() && raw.len() != given.len() {
        return Err(Error::invalid(format!(
            "raw_input_contents has {} tensors for {} inputs: it takes one for each, in order",
            raw.len(),
            given.len()
        )));
    }
    let mut raw = raw.into_iter();
    let mut inputs = Inputs::new(lease.signature());
    for input in given {
        let name = &*input.name;
        // From here on the name is one of the model's own.
        inputs.place(name)?;
        let dtype = inference::datatype(name, &input.datatype)?;
        let shape = inference::shape(name, &input.shape, limits)?;
        let tensor = match (raw.next(), input.contents) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(format!(
                    "the input \"{}\" has typed contents, and the request has \
                     raw_input_contents: send either for all inputs",
                    inference::short(name)
                )));
            }
            (Some(raw), None) => read_raw(name, dtype, shape, raw)?,
            (None, Some(contents)) => contents::read(name, dtype, shape, contents)?,
            (None, None) if shape.elements() == Some(0) => {
                read_raw(name, dtype, shape, Bytes::new())?
            }
            (None, None) => {
                return Err(Error::invalid(format!(
                    "the input \"{}\" has neither contents nor a tensor in raw_input_contents",
                    inference::short(name)
                )));
            }
        };
        let tensor = match text(&input.parameters, "shapes") {
            None => tensor,
            Some(shapes) => inference::parts(tensor, name, shapes)?,
        };
        inputs.put(name, tensor)?;
    }
    Ok(inputs.finish())
}

/// The caller's own parameters.
fn own(parameters: Parameters) -> Result<Parameters> {
    let mut kept = Parameters::new();
    for (name, value) in parameters {
        let enabled = !matches!(
            value.parameter_choice,
            None | Some(Choice::BoolParam(false))
        );
        if inference::is_callers_own(&name, enabled)? {
            kept.insert(name, value);
        }
    }
    Ok(kept)
}

fn text<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p str> {
    match parameters.get(name)?.parameter_choice.as_ref()? {
        Choice::StringParam(text) => Some(text),
        _ => None,
    }
}

fn number(parameters: &Parameters, name: &str) -> Result<u64> {
    let choice = parameters
        .get(name)
        .and_then(|p| p.parameter_choice.as_ref());
    let value = match choice {
        None => Some(0),
        Some(Choice::Uint64Param(n)) => Some(*n),
        Some(Choice::Int64Param(n)) => u64::try_from(*n).ok(),
        Some(Choice::StringParam(text)) => text.parse().ok(),
        Some(Choice::BoolParam(_) | Choice::DoubleParam(_)) => None,
    };
    value.ok_or_else(|| {
        Error::invalid(format!(
            "the parameter {name} is not an integer of 0 or more"
        ))
    })
}

impl From<Choice> for InferParameter {
    fn from(choice: Choice) -> Self {
        Self {
            parameter_choice: Some(choice),
        }
    }
}
