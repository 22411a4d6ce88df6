//! What both transports do with an inference request: inputs by name become
//! the model's own order, and parameters become options.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use crate::{
    catalog::{Catalog, Lease},
    error::{Error, Result},
    repository::Version,
    tensor::{DType, MOST_DIMENSIONS, Shape, Signature, Tensor, TensorSpec},
    transport::limits::Limits,
};

/// A lease of `model`: of its newest version where `version` is empty.
///
/// # Errors
/// As [`Catalog::lease`]; a version that can't be one is not found.
pub(super) fn lease(catalog: &Catalog, model: &str, version: &str) -> Result<Lease> {
    if version.is_empty() {
        return catalog.lease(model, None);
    }
    match version.parse::<Version>() {
        Ok(version) => catalog.lease(model, Some(&version)),
        Err(_) => {
            // Which versions there are is said for a version that could be.
            let newest = catalog.lease(model, None)?;
            Err(Error::not_found(format!(
                "the model \"{model}\" has no version \"{}\"; its newest is {}",
                short(version),
                newest.version_text()
            )))
        }
    }
}

/// The versions of `model` that are served, oldest first.
pub(super) fn versions(catalog: &Catalog, model: &str) -> Vec<String> {
    let snapshot = catalog.snapshot();
    let versions = snapshot.models().get(model);
    versions
        .iter()
        .flat_map(|v| v.keys())
        .map(Version::to_string)
        .collect()
}

/// The datatype called `name`.
///
/// # Errors
/// `Invalid`, with the names that there are.
pub(super) fn datatype(tensor: &str, name: &str) -> Result<DType> {
    name.parse().map_err(|()| {
        let names: Vec<&str> = DType::ALL.iter().map(|d| d.name()).collect();
        Error::invalid(format!(
            "the tensor \"{}\" has the unknown datatype \"{}\"; there is {}",
            short(tensor),
            short(name),
            names.join(", ")
        ))
    })
}

/// The shape of these dimensions.
///
/// # Errors
/// `Invalid` for a dimension below zero, and too many of them; `TooLarge` for
/// too many elements.
pub(super) fn shape(tensor: &str, dims: &[i64], limits: Limits) -> Result<Shape> {
    if dims.len() > MOST_DIMENSIONS {
        return Err(Error::invalid(format!(
            "the tensor \"{}\" has {} dimensions, and {MOST_DIMENSIONS} are the most",
            short(tensor),
            dims.len()
        )));
    }
    let shape = dims
        .iter()
        .map(|&dim| {
            usize::try_from(dim).map_err(|_| {
                Error::invalid(format!(
                    "the tensor \"{}\" has the dimension {dim} in its shape: a request's \
                     dimensions are known, and not below 0",
                    short(tensor)
                ))
            })
        })
        .collect::<Result<Shape>>()?;
    limits.hold(tensor, &shape)?;
    Ok(shape)
}

/// The inputs of one request, put in the model's order.
pub(super) struct Inputs<'a> {
    signature: &'a Signature,
    tensors: Vec<Option<Tensor>>,
}

impl<'a> Inputs<'a> {
    /// None of them yet.
    pub(super) fn new(signature: &'a Signature) -> Self {
        Self {
            signature,
            tensors: vec![None; signature.inputs.len()],
        }
    }

    /// The place of the input called `name`, still free.
    ///
    /// # Errors
    /// `Invalid` where the model has no such input, or it came before.
    pub(super) fn place(&self, name: &str) -> Result<usize> {
        let Some(place) = self.signature.input_index(name) else {
            return Err(Error::invalid(format!(
                "the model has no input \"{}\"; it takes {}",
                short(name),
                names(self.signature.inputs.iter().map(|i| &*i.name))
            )));
        };
        if self.tensors[place].is_some() {
            return Err(twice("input", name));
        }
        Ok(place)
    }

    /// Puts `tensor` where the input called `name` belongs.
    ///
    /// # Errors
    /// As [`place`](Self::place).
    pub(super) fn put(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        let place = self.place(name)?;
        self.tensors[place] = Some(tensor);
        Ok(())
    }

    /// All of them, for the scheduler.
    pub(super) fn finish(self) -> Vec<Option<Tensor>> {
        self.tensors
    }
}

/// The places of the outputs that a request names; every output where it
/// names none.
///
/// # Errors
/// `Invalid` where the model has no such output, or it is named twice.
pub(super) fn requested<'n>(
    signature: &Signature,
    named: impl IntoIterator<Item = &'n str>,
) -> Result<Vec<usize>> {
    let mut places = Vec::with_capacity(signature.outputs.len());
    for name in named {
        let place = signature.output_index(name).ok_or_else(|| {
            Error::invalid(format!(
                "the model has no output \"{}\"; it gives {}",
                short(name),
                names(signature.outputs.iter().map(|o| &*o.name))
            ))
        })?;
        if places.contains(&place) {
            return Err(twice("output", name));
        }
        places.push(place);
    }
    if places.is_empty() {
        places.extend(0..signature.outputs.len());
    }
    Ok(places)
}

/// `tensor` as a sequence of tensors of the shapes that the parameter `shapes`
/// lists: `[[2,3],[4]]`.
///
/// # Errors
/// `Invalid` where that is no such list, or does not fit the tensor.
pub(super) fn parts(tensor: Tensor, name: &str, shapes: &str) -> Result<Tensor> {
    let parts = tensor.with_described_parts(shapes);
    parts.map_err(|e| e.within(format_args!("the tensor \"{}\"", short(name))))
}

/// When a request with the parameter `timeout` of so many microseconds stops
/// being of use. 0 means that it does not.
pub(super) fn deadline(microseconds: u64) -> Option<Instant> {
    if microseconds == 0 {
        return None;
    }
    Instant::now().checked_add(Duration::from_micros(microseconds))
}

/// Parameters that ask for what is not offered here, and what to do instead.
const NOT_OFFERED: [(&str, &str); 2] = [
    ("shared_memory_region", NO_SHARED_MEMORY),
    (
        "classification",
        "the classification extension is not offered here: ask for the output itself",
    ),
];

/// Parameters that act, and so are not given back with the answer.
const ACTING: [&str; 8] = [
    "binary_data",
    "binary_data_output",
    "binary_data_size",
    "priority",
    "timeout",
    "triton_enable_empty_final_response",
    "shapes",
    "keys",
];

/// Whether the parameter `name` is the caller's own, to be given back with the
/// answer. `enabled` says whether it is set to anything but false.
///
/// # Errors
/// `Unsupported` for one that asks for what is not offered.
pub(super) fn is_callers_own(name: &str, enabled: bool) -> Result<bool> {
    if let Some((_, sentence)) = NOT_OFFERED.iter().find(|(n, _)| *n == name) {
        if !enabled {
            return Ok(false);
        }
        return Err(Error::unsupported(format!(
            "the parameter \"{name}\": {sentence}"
        )));
    }
    Ok(!ACTING.contains(&name))
}

fn twice(what: &str, name: &str) -> Error {
    Error::invalid(format!("the {what} \"{name}\" is given twice"))
}

fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|n| format!("\"{n}\"")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Text of the caller's, fit to be shown back.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    const MOST: usize = 80;
    let is_plain =
        |b: u8| (b == b' ' || b.is_ascii_graphic()) && !matches!(b, b'"' | b'\'' | b'\\');
    if text.len() <= MOST && text.bytes().all(is_plain) {
        return text.into();
    }
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown.into()
}

/// The extensions of the protocol that are offered.
pub(super) const EXTENSIONS: [&str; 6] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
];

/// The platform of every model.
pub(super) const PLATFORM: &str = "onnx_onnxv1";

/// The name of this server.
pub(super) const SERVER: &str = "modelship";

/// The most rows that a client may count on having batched: 0 where requests
/// are not put together, and the model's own first dimension is all there is.
pub(super) fn max_batch_size(lease: &Lease) -> usize {
    match lease.card().scheduling.max_batch_size {
        0 | 1 => 0,
        size => size,
    }
}

/// The dimensions of a value in the words of a model's configuration, which
/// leaves the batch dimension out where there is one.
pub(super) fn configured_dims(spec: &TensorSpec, is_batched: bool) -> Vec<i64> {
    let mut dims = spec.protocol_shape();
    if is_batched && !dims.is_empty() {
        dims.remove(0);
    }
    dims
}

/// A datatype in the words of a model's configuration.
pub(super) fn configured_type(dtype: DType) -> String {
    match dtype {
        DType::Bytes => "TYPE_STRING".to_owned(),
        dtype => format!("TYPE_{}", dtype.name()),
    }
}

/// Why models are not loaded and unloaded by callers.
pub(super) const NO_CONTROL: &str = "what is served is decided by the model repository, not by callers: \
     change the repository, or let callers load and unload with the setting \
     allow-repository-control";

/// Why no region of shared memory is known here, and what to do instead.
pub(super) const NO_SHARED_MEMORY: &str = "shared memory is not offered here: send tensors in the \
     request, binary over REST or in raw_input_contents over gRPC, where they are copied once";

/// Refuses `parameters` of a call that loads a model: what would be loaded is
/// not what the repository holds.
///
/// # Errors
/// `Invalid`, with the first of them by name.
pub(super) fn refuse_overrides<'n>(parameters: impl IntoIterator<Item = &'n str>) -> Result<()> {
    let Some(name) = parameters.into_iter().min() else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "the parameter \"{}\": a model is loaded as the model repository has it, and takes no \
         configuration or file from a call: change its model.toml or its files there, and load it \
         without parameters",
        short(name)
    )))
}

/// Refuses `parameters` of a call that unloads a model, but for
/// `unload_dependents`: no model here depends on another.
///
/// # Errors
/// `Invalid`, with the first of the others by name.
pub(super) fn refuse_beside_dependents<'n>(
    parameters: impl IntoIterator<Item = &'n str>,
) -> Result<()> {
    let others = parameters.into_iter().filter(|n| *n != UNLOAD_DEPENDENTS);
    let Some(name) = others.min() else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "to unload a model takes the parameter {UNLOAD_DEPENDENTS} alone, and not \"{}\"",
        short(name)
    )))
}

/// The parameter of a call that unloads a model: whether those that depend on
/// it go too.
pub(super) const UNLOAD_DEPENDENTS: &str = "unload_dependents";

/// Whether errors, warnings, information and details are logged.
pub(super) fn logged() -> [bool; 4] {
    [
        tracing::enabled!(tracing::Level::ERROR),
        tracing::enabled!(tracing::Level::WARN),
        tracing::enabled!(tracing::Level::INFO),
        tracing::enabled!(tracing::Level::DEBUG),
    ]
}

/// Why there are no settings to change while the server runs.
pub(super) const NO_SETTINGS: &str = "tracing and logging are not set by callers: the settings \
     log-level, log-format and access-log set them at the start";
