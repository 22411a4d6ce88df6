//! `POST …/infer`.

use axum::{body::Body, extract::State, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Uri};
use serde_json::Value;

use super::{
    super::{Http, access::served, answer::Failure, encoding::Encoding, path::Segments},
    arrival::Arrival,
    request::{Input, Parameters, Request},
    response::{Reply, Wanted},
};
use crate::{
    catalog::Lease,
    error::{Error, Result},
    scheduler,
    tensor::{DType, Dim, Shape, Signature, Tensor, read_raw},
    transport::{
        inference::{self, Inputs},
        limits::Limits,
        memory::{self, Reserved},
        off_loop::off_loop,
    },
};

/// The length of the JSON before the raw bytes of binary tensors.
pub(super) const HEADER_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// Infers with the newest version.
pub(super) async fn newest(
    State(http): State<Http>,
    Segments(model): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let lease = http.catalog.lease(&model, None)?;
    Ok(infer(http, lease, headers, body).await)
}

/// The newest version of the model that `uri` names, where it is the address
/// of its inference and written plainly.
pub(in super::super) fn direct(http: &Http, uri: &Uri) -> Option<Lease> {
    let model = uri.path().strip_prefix("/v2/models/")?;
    let model = model.strip_suffix("/infer")?;
    if model.contains(['/', '%']) {
        return None;
    }
    http.catalog.lease(model, None).ok()
}

/// Infers with the version named.
pub(super) async fn version(
    State(http): State<Http>,
    Segments((model, version)): Segments<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let lease = inference::lease(&http.catalog, &model, &version)?;
    Ok(infer(http, lease, headers, body).await)
}

/// Infers with the version of `lease`.
pub(in super::super) async fn infer(
    http: Http,
    lease: Lease,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answered = answer(&lease, &http, &headers, body).await;
    served(&http, &lease, answered)
}

async fn answer(lease: &Lease, http: &Http, headers: &HeaderMap, body: Body) -> Result<Response> {
    let limits = http.limits;
    let mut memory = http.memory.begin();
    lease.admit()?;
    let arrived = tokio::time::timeout(
        limits.body_timeout,
        arrive(lease.signature(), limits, headers, body, &mut memory),
    )
    .await
    .unwrap_or_else(|_| Err(limits.too_slow("body")));
    let prepared = arrived.and_then(|(request, inputs)| {
        let scheduled = schedule(&request.parameters, inputs)?;
        let reply = reply(lease, request)?;
        Ok((scheduled, reply))
    });
    let (scheduled, mut reply) = prepared.map_err(|e| lease.refused(e))?;
    reply.encoding = Encoding::asked(headers);
    let (answer, in_flight) = lease.begin(scheduled).await?;
    let elements: usize = answer.outputs.iter().map(|o| o.tensor.len()).sum();
    if let Err(full) = memory.take(elements * memory::ELEMENT) {
        return in_flight.settle(Err(full));
    }
    let responded = reply.respond(lease, answer).await;
    in_flight.settle(responded.map(|response| memory.kept_until_sent(response)))
}

type Tensors = Vec<Option<Tensor>>;

/// The request, and its inputs in the model's order.
async fn arrive(
    signature: &Signature,
    limits: Limits,
    headers: &HeaderMap,
    body: Body,
    memory: &mut Reserved,
) -> Result<(Request, Tensors)> {
    let length = header_length(headers)?;
    let times = 1 + if length.is_some() {
        memory::BINARY
    } else {
        memory::JSON
    };
    let announced = http_body::Body::size_hint(&body).exact();
    let announced = announced.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    if announced.is_none_or(|n| n <= limits.body) {
        memory.take(announced.unwrap_or(0).saturating_mul(times))?;
    }
    let mut arrival = Arrival::new(body, limits, memory)?;
    if let Some(encoding) = Encoding::of(headers)? {
        let compressed = arrival.rest().await?;
        let expansion = encoding.expansion(compressed, limits);
        let body = expansion.whole(memory, times).await?;
        arrival = Arrival::whole(body, limits);
    }
    let json = match length {
        Some(0) => return raw(signature, arrival.rest().await?, limits),
        Some(length) => arrival.take(length, 1, &"its JSON").await?,
        None => arrival.rest().await?,
    };
    if announced.is_none() {
        memory.take(json.len() * times)?;
    }
    let mut request = read(json, limits).await?;
    let mut inputs = Inputs::new(signature);
    for input in std::mem::take(&mut request.inputs) {
        // Before its bytes are waited for.
        inputs.place(&input.name)?;
        let tensor = match input.tensor {
            Some(tensor) => tensor,
            None if length.is_some() => binary(&input, &mut arrival).await?,
            None => return Err(without_data(&input)),
        };
        let tensor = shaped(tensor, &input.name, &input.parameters)?;
        inputs.put(&input.name, tensor)?;
    }
    if !arrival.is_over().await? {
        return Err(Error::invalid(
            "the body goes on after the last binary tensor: the sizes in binary_data_size and \
             the header Inference-Header-Content-Length must add up to its length",
        ));
    }
    Ok((request, inputs.finish()))
}

fn header_length(headers: &HeaderMap) -> Result<Option<usize>> {
    let Some(value) = headers.get(HEADER_LENGTH) else {
        return Ok(None);
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| {
        Error::invalid(
            "the header Inference-Header-Content-Length is not the length in bytes of the JSON \
             before the binary tensors",
        )
    })
}

async fn read(json: Bytes, limits: Limits) -> Result<Request> {
    off_loop(json.len(), move || {
        let text = std::str::from_utf8(&json).map_err(|e| {
            Error::invalid(format!(
                "the body is not UTF-8 from byte {} on; binary tensors come with the header \
                 Inference-Header-Content-Length",
                e.valid_up_to()
            ))
        })?;
        Request::read(text, limits)
    })
    .await
}

async fn binary(input: &Input, arrival: &mut Arrival) -> Result<Tensor> {
    let size = input.parameters.get("binary_data_size");
    let size = size.ok_or_else(|| without_data(input))?;
    let size = size.as_u64().and_then(|n| usize::try_from(n).ok());
    let size = size.ok_or_else(|| {
        Error::invalid(format!(
            "the parameter binary_data_size of the input \"{}\" is not a number of bytes",
            inference::short(&input.name)
        ))
    })?;
    if let Some(one) = input.dtype.size() {
        let expected = input.shape.elements().and_then(|n| n.checked_mul(one));
        if expected != Some(size) {
            return Err(Error::invalid(format!(
                "the input \"{}\" has a binary_data_size of {size}, and {} of its shape {} takes {}",
                inference::short(&input.name),
                input.dtype,
                input.shape,
                expected.map_or_else(|| "more than memory".to_owned(), |n| n.to_string()),
            )));
        }
    }
    let alignment = input.dtype.size().unwrap_or(1);
    let what = format!("the tensor \"{}\"", inference::short(&input.name));
    let raw = arrival.take(size, alignment, &what).await?;
    read_raw(&input.name, input.dtype, input.shape.clone(), raw)
}

fn without_data(input: &Input) -> Error {
    let name = inference::short(&input.name);
    if input.parameters.contains_key("binary_data_size") {
        return Error::invalid(format!(
            "the input \"{name}\" is binary, and the header Inference-Header-Content-Length, \
             which says where its bytes begin, is missing"
        ));
    }
    Error::invalid(format!(
        "the input \"{name}\" has no \"data\", and no parameter binary_data_size"
    ))
}

/// A sequence of tensors of different shapes comes flat, with its shapes as a
/// parameter.
fn shaped(tensor: Tensor, name: &str, parameters: &Parameters) -> Result<Tensor> {
    match parameters.get("shapes") {
        None => Ok(tensor),
        Some(Value::String(shapes)) => inference::parts(tensor, name, shapes),
        Some(_) => Err(Error::invalid(format!(
            "the parameter shapes of the input \"{}\" is not text",
            inference::short(name)
        ))),
    }
}

/// A body that is the raw tensor of the model's only input.
fn raw(signature: &Signature, raw: Bytes, limits: Limits) -> Result<(Request, Tensors)> {
    let mut plain = signature.plain_inputs();
    let (Some((_, spec)), None) = (plain.next(), plain.next()) else {
        return Err(Error::invalid(
            "Inference-Header-Content-Length is 0, which sends the tensor of an only input, and \
             the model has several: send their JSON first",
        ));
    };
    if raw.is_empty() {
        return Err(Error::invalid(
            "the body is empty, and Inference-Header-Content-Length says that it is a tensor",
        ));
    }
    let mut request = Request::default();
    request
        .parameters
        .insert("binary_data_output".to_owned(), Value::Bool(true));
    let mut inputs = Inputs::new(signature);
    let dims = spec.dims.clone().unwrap_or_else(|| vec![Dim::Any]);
    if spec.dtype == DType::Bytes {
        // The one element, without its length.
        let element = String::from_utf8(raw.into())
            .map_err(|_| Error::invalid("the body is not the UTF-8 text of one element"))?;
        let shape: Shape = dims.iter().map(|_| 1).collect();
        inputs.put(&spec.name, Tensor::text(shape, vec![element])?)?;
        return Ok((request, inputs.finish()));
    }
    let fixed: usize = dims
        .iter()
        .map(|d| match d {
            Dim::Fixed(n) => *n,
            Dim::Symbol(_) | Dim::Any => 1,
        })
        .product();
    let elements = raw.len() / spec.dtype.size().unwrap_or(1);
    // The first open dimension takes what the bytes leave; others are 1.
    let mut open = elements.checked_div(fixed).unwrap_or(0);
    let shape: Shape = dims
        .iter()
        .map(|d| match d {
            Dim::Fixed(n) => *n,
            Dim::Symbol(_) | Dim::Any => std::mem::replace(&mut open, 1),
        })
        .collect();
    limits.hold(&spec.name, &shape)?;
    let raw = aligned(raw, spec.dtype);
    inputs.put(&spec.name, read_raw(&spec.name, spec.dtype, shape, raw)?)?;
    Ok((request, inputs.finish()))
}

fn aligned(raw: Bytes, dtype: DType) -> Bytes {
    if raw.as_ptr().align_offset(dtype.size().unwrap_or(1)) == 0 {
        return raw;
    }
    let mut buffer = crate::tensor::Buffer::new(raw.len());
    buffer.fill(&raw);
    buffer.freeze()
}

/// What of the parameters the scheduler acts on.
fn schedule(parameters: &Parameters, inputs: Tensors) -> Result<scheduler::Request> {
    let number = |name: &str, most: u64| match parameters.get(name) {
        None => Ok(0),
        Some(value) => whole(value).filter(|n| *n <= most).ok_or_else(|| {
            Error::invalid(format!(
                "the parameter {name} is not an integer from 0 to {most}"
            ))
        }),
    };
    let priority = number("priority", u32::MAX.into())?;
    Ok(scheduler::Request {
        inputs,
        deadline: inference::deadline(number("timeout", u64::MAX)?),
        priority: u32::try_from(priority).unwrap_or(0),
    })
}

/// An integer, however it is written: 5, 5.0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be integral and in range"
)]
fn whole(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
    })
}

fn flag(parameters: &Parameters, name: &str) -> Result<Option<bool>> {
    match parameters.get(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Error::invalid(format!(
            "the parameter {name} is not true or false"
        ))),
    }
}

/// The caller's own parameters.
fn own(parameters: Parameters) -> Result<Parameters> {
    let mut kept = Parameters::new();
    for (name, value) in parameters {
        let enabled = !matches!(value, Value::Bool(false) | Value::Null);
        if inference::is_callers_own(&name, enabled)? {
            kept.insert(name, value);
        }
    }
    Ok(kept)
}

/// How the answer is to be written.
fn reply(lease: &Lease, request: Request) -> Result<Reply> {
    let signature = lease.signature();
    let names = request.outputs.iter().map(|o| o.name.as_str());
    let places = inference::requested(signature, names)?;
    let binary = flag(&request.parameters, "binary_data_output")?.unwrap_or(false);
    let mut named = request.outputs.into_iter();
    let wanted = places
        .into_iter()
        .map(|place| {
            let parameters = named.next().map(|o| o.parameters).unwrap_or_default();
            Ok(Wanted {
                place,
                binary: flag(&parameters, "binary_data")?.unwrap_or(binary),
                parameters: own(parameters)?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Reply {
        id: request.id,
        parameters: own(request.parameters)?,
        wanted,
        encoding: None,
    })
}
