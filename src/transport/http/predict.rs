//! `/predict`: a number, or rows of features, to predictions.

use std::time::{Duration, Instant};

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use serde_json::value::RawValue;

use super::{
    Http,
    access::served,
    answer::{Failure, json, shown},
    body,
    direct::Answering,
    path::{Segments, last_segment, refuse_query},
    rows::{Columns, write_row},
};
use crate::{
    catalog::{Lease, Servable},
    engine::Output,
    error::{Error, Result},
    scheduler::{self, Answer},
    tensor::{DType, Dim, Shape, Tensor, TensorSpec, json::read_data},
    transport::{limits::Limits, memory, off_loop::off_loop},
};

/// How long the caller will wait: `250ms`, `2s`.
const TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");

/// `/predict/`: no number.
pub(super) async fn nothing() -> Failure {
    Error::not_found("there is no number after /predict/; ask for example /predict/21").into()
}

/// `/predict/{n}`: the default model.
pub(super) async fn get_default(
    State(http): State<Http>,
    request: Request,
) -> Result<Response, Failure> {
    refuse_query(request.uri())?;
    let number = last_segment(request.uri())?;
    if number.starts_with(char::is_alphabetic) && http.catalog.lease(&number, None).is_ok() {
        return Err(Error::not_found(format!(
            "there is no number after /predict/{number}/, which is a model: GET its number there, \
             or POST its rows"
        ))
        .into());
    }
    let lease = http.catalog.lease_default()?;
    let asked = asked(&lease, &number, request.headers());
    // What waits for the model is kept small: it is allocated each time.
    drop(request);
    let answer = predict_number(&lease, asked).await;
    Ok(served(&http, &lease, answer))
}

/// The answer to `GET` of `uri`, where that is `/predict/{n}` and nothing has
/// to be said of it.
pub(super) fn direct(http: &Http, uri: &Uri, headers: &HeaderMap) -> Option<Answering> {
    let number = uri.path().strip_prefix("/predict/")?;
    let is_plain = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if number.is_empty() || !number.bytes().all(is_plain) || uri.query().is_some() {
        return None;
    }
    let lease = http.catalog.lease_default().ok()?;
    let asked = asked(&lease, number, headers);
    let http = http.clone();
    Some(Box::pin(async move {
        let answer = predict_number(&lease, asked).await;
        served(&http, &lease, answer)
    }))
}

/// `/predict/{model}/{n}`.
pub(super) async fn get_named(
    State(http): State<Http>,
    Segments((model, number)): Segments<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    refuse_query(request.uri())?;
    let lease = http.catalog.lease(&model, None)?;
    let asked = asked(&lease, &number, request.headers());
    drop(request);
    let answer = predict_number(&lease, asked).await;
    Ok(served(&http, &lease, answer))
}

/// `POST /predict`: rows for the default model.
pub(super) async fn post_default(
    State(http): State<Http>,
    request: Request,
) -> Result<Response, Failure> {
    refuse_query(request.uri())?;
    let lease = http.catalog.lease_default()?;
    let answer = predict_rows(&http, &lease, request).await;
    Ok(served(&http, &lease, answer))
}

/// `POST /predict/{model}`.
pub(super) async fn post_named(
    State(http): State<Http>,
    Segments(model): Segments<String>,
    request: Request,
) -> Result<Response, Failure> {
    refuse_query(request.uri())?;
    let lease = http.catalog.lease(&model, None)?;
    let answer = predict_rows(&http, &lease, request).await;
    Ok(served(&http, &lease, answer))
}

/// When the answer stops being of use, by the caller's header.
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(None);
    };
    let wrong = || Error::invalid("the header Request-Timeout is not a time such as 250ms or 2s");
    let text = value.to_str().map_err(|_| wrong())?;
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1.0),
    };
    let seconds: f64 = number.trim().parse().map_err(|_| wrong())?;
    let wait = Duration::try_from_secs_f64(seconds * unit).map_err(|_| wrong())?;
    Ok(Instant::now().checked_add(wait))
}

/// The number that a request brings, and when its answer stops being of use.
type Asked = (Tensor, Option<Instant>);

fn asked(lease: &Lease, number: &str, headers: &HeaderMap) -> Result<Asked> {
    let refused = |e| lease.refused(e);
    let deadline = deadline(headers).map_err(refused)?;
    let input = read_number(lease, number).map_err(refused)?;
    Ok((input, deadline))
}

async fn predict_number(lease: &Lease, asked: Result<Asked>) -> Result<Response> {
    let (input, deadline) = asked?;
    let request = scheduler::Request {
        inputs: vec![Some(input.clone())],
        deadline,
        priority: 0,
    };
    let (answer, in_flight) = lease.begin(request).await?;
    let write = || {
        let mut out = Vec::with_capacity(96);
        out.extend_from_slice(b"{\"input\":");
        input.write_element(0, &mut out);
        out.extend_from_slice(b",\"prediction\":");
        let one = |_: &TensorSpec, output: &Output, out: &mut Vec<u8>| {
            write_row(output, 0, 1, out);
            Ok(())
        };
        write_answer(lease, &answer, one, &mut out)?;
        out.extend_from_slice(b",\"model_version\":\"");
        out.extend_from_slice(lease.version_text().as_bytes());
        out.extend_from_slice(b"\"}");
        Ok(json(StatusCode::OK, out))
    };
    in_flight.settle(write())
}

/// The one number that a model of one number takes.
fn read_number(servable: &Servable, text: &str) -> Result<Tensor> {
    let (spec, shape) = number_input(servable)?;
    // The forms of JSON alone: Rust reads more, such as "inf" and "+1".
    let is_json = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok();
    let tensor = match spec.dtype {
        DType::Bytes | DType::Bool => None,
        // The usual type, without a detour.
        DType::F32 if is_json => text
            .parse::<f32>()
            .ok()
            .filter(|n| n.is_finite())
            .and_then(|n| Tensor::new(shape, vec![n]).ok()),
        dtype if is_json => read_data(&spec.name, dtype, shape, &format!("[{text}]")).ok(),
        _ => None,
    };
    tensor.ok_or_else(|| {
        Error::invalid(format!(
            "\"{}\" is not a number that {} can hold",
            shown(text),
            spec.dtype
        ))
    })
}

fn number_input(servable: &Servable) -> Result<(&TensorSpec, Shape)> {
    if let [spec] = servable.signature().inputs.as_slice()
        && let Some(dims) = &spec.dims
    {
        let one = |dim: &Dim| dim.is_dynamic() || *dim == Dim::Fixed(1);
        if dims.len() <= 2 && dims.iter().all(one) {
            return Ok((spec, dims.iter().map(|_| 1).collect()));
        }
    }
    Err(Error::invalid(format!(
        "the model \"{name}\" does not take one number: POST rows of its features to \
         /predict/{name}; GET /models/{name} lists them",
        name = servable.id().name
    )))
}

async fn predict_rows(http: &Http, lease: &Lease, request: Request) -> Result<Response> {
    let refused = |e| lease.refused(e);
    let deadline = deadline(request.headers()).map_err(refused)?;
    lease.admit()?;
    let mut memory = http.memory.begin();
    let body = body::read(request.into_body(), http.limits, &mut memory)
        .await
        .map_err(refused)?;
    memory.take(body.len() * memory::JSON).map_err(refused)?;
    let reading = lease.clone();
    let read = off_loop(body.len(), move || read_rows(&reading, &body)).await;
    let (inputs, count) = read
        .and_then(|read| held(http.limits, lease, read))
        .map_err(refused)?;
    let request = scheduler::Request {
        inputs,
        deadline,
        priority: 0,
    };
    let (answer, in_flight) = lease.begin(request).await?;
    let elements: usize = answer.outputs.iter().map(|o| o.tensor.len()).sum();
    if let Err(full) = memory.take(elements * memory::ELEMENT) {
        return in_flight.settle(Err(full));
    }
    let writing = lease.clone();
    let write = move || write_rows(&writing, &answer, count);
    let written = off_loop(elements * 8, write).await;
    in_flight.settle(written.map(|response| memory.kept_until_sent(response)))
}

/// What was read, where no input has more elements than are taken.
fn held<T>(
    limits: Limits,
    lease: &Lease,
    read: (Vec<Option<Tensor>>, T),
) -> Result<(Vec<Option<Tensor>>, T)> {
    for (spec, tensor) in lease.signature().inputs.iter().zip(&read.0) {
        if let Some(tensor) = tensor {
            limits.hold(&spec.name, tensor.shape())?;
        }
    }
    Ok(read)
}

fn write_rows(lease: &Lease, answer: &Answer, count: usize) -> Result<Response> {
    let mut out = Vec::with_capacity(64 + 16 * count);
    out.extend_from_slice(b"{\"predictions\":");
    write_answer(lease, answer, all_rows(count), &mut out)?;
    out.extend_from_slice(b",\"model_name\":\"");
    out.extend_from_slice(lease.id().name.as_bytes());
    out.extend_from_slice(b"\",\"model_version\":\"");
    out.extend_from_slice(lease.version_text().as_bytes());
    out.extend_from_slice(b"\"}");
    Ok(json(StatusCode::OK, out))
}

/// Writes each of `count` rows of an output.
fn all_rows(count: usize) -> impl Fn(&TensorSpec, &Output, &mut Vec<u8>) -> Result<()> {
    move |spec, output, out| {
        if output.tensor.shape().rows().unwrap_or(1) != count {
            return Err(Error::unsupported(format!(
                "the output \"{}\" has shape {}, not one row for each of the {count} rows; ask \
                 the model at /v2/models",
                spec.name,
                output.tensor.shape()
            )));
        }
        for row in 0..count {
            out.push(if row == 0 { b'[' } else { b',' });
            write_row(output, row, count, out);
        }
        out.push(b']');
        Ok(())
    }
}

fn read_rows(servable: &Servable, body: &[u8]) -> Result<(Vec<Option<Tensor>>, usize)> {
    let text = std::str::from_utf8(body).map_err(|e| {
        Error::invalid(format!(
            "the body is not UTF-8 from byte {}",
            e.valid_up_to()
        ))
    })?;
    Columns::of(servable)?.read(servable, text)
}

/// Writes the model's first output as the prediction, and where there are
/// others, those by name.
fn write_answer(
    servable: &Servable,
    answer: &Answer,
    write: impl Fn(&TensorSpec, &Output, &mut Vec<u8>) -> Result<()>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut outputs = servable.signature().outputs.iter().zip(&answer.outputs);
    let Some((spec, first)) = outputs.next() else {
        return Err(Error::unsupported("the model has no outputs"));
    };
    write(spec, first, out)?;
    let mut is_first = true;
    for (spec, output) in outputs {
        out.extend_from_slice(if is_first { b",\"outputs\":{" } else { b"," });
        is_first = false;
        let _ = serde_json::to_writer(&mut *out, &*spec.name);
        out.push(b':');
        write(spec, output, out)?;
    }
    if !is_first {
        out.push(b'}');
    }
    Ok(())
}
