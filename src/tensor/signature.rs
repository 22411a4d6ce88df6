//! What a model takes and gives: its signature.

use std::{fmt, sync::Arc};

use smallvec::SmallVec;

use super::{DType, Dim, Shape, Tensor};
use crate::error::{Error, Result};

/// What a value is in the model, beyond a plain tensor. All are answered as
/// tensors; this says what the model itself declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// A tensor.
    Tensor,
    /// A sequence of maps, as scikit-learn's ZipMap gives.
    SequenceOfMaps,
    /// One map.
    Map,
    /// A sequence of tensors.
    SequenceOfTensors,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueKind::Tensor => "tensor",
            ValueKind::SequenceOfMaps => "sequence of maps",
            ValueKind::Map => "map",
            ValueKind::SequenceOfTensors => "sequence of tensors",
        })
    }
}

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the model.
    pub name: Arc<str>,
    /// The type of its elements.
    pub dtype: DType,
    /// Its dimensions; `None` where the model does not say its rank.
    pub dims: Option<Vec<Dim>>,
    /// Whether a request may leave it out.
    pub optional: bool,
    /// Whether the model has a value of its own for it then. One without is
    /// told that nothing came.
    pub has_default: bool,
    /// What the model declares it to be.
    pub kind: ValueKind,
}

impl TensorSpec {
    /// The shape as the protocol writes it: -1 for what varies.
    pub fn protocol_shape(&self) -> Vec<i64> {
        match &self.dims {
            Some(dims) => dims.iter().map(Dim::protocol).collect(),
            None => vec![-1],
        }
    }

    /// Whether the first dimension may vary: the mark of a batch.
    pub fn has_dynamic_rows(&self) -> bool {
        self.dims
            .as_ref()
            .is_some_and(|dims| dims.first().is_some_and(Dim::is_dynamic))
    }

    /// The dimensions in words: `[N,4]`.
    pub fn shape_text(&self) -> String {
        match &self.dims {
            Some(dims) => {
                let dims: Vec<_> = dims.iter().map(Dim::to_string).collect();
                format!("[{}]", dims.join(","))
            }
            None => "of any rank".to_owned(),
        }
    }

    fn accepts_shape(&self, shape: &Shape) -> bool {
        self.dims.as_ref().is_none_or(|dims| {
            dims.len() == shape.len()
                && dims.iter().zip(shape.iter()).all(|(dim, &n)| match dim {
                    Dim::Fixed(fixed) => *fixed == n,
                    Dim::Symbol(_) | Dim::Any => true,
                })
        })
    }
}

/// What a model takes and gives, in the model's own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The inputs.
    pub inputs: Vec<TensorSpec>,
    /// The outputs.
    pub outputs: Vec<TensorSpec>,
}

impl Signature {
    /// The place of the input called `name`.
    pub fn input_index(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|i| &*i.name == name)
    }

    /// The place of the output called `name`.
    pub fn output_index(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|o| &*o.name == name)
    }

    /// The inputs that a plain request brings, with their places: those that
    /// must come; where none must, those that the model has no value of its own
    /// for.
    pub fn plain_inputs(&self) -> impl Iterator<Item = (usize, &TensorSpec)> {
        let some_must = self.inputs.iter().any(|i| !i.optional);
        let inputs = self.inputs.iter().enumerate();
        inputs.filter(move |(_, i)| !i.optional || !(some_must || i.has_default))
    }

    /// Whether the first dimension varies on every input and output, so that
    /// requests may be put together by rows. Where an input may hold nothing,
    /// rows could be told by it alone.
    pub fn has_dynamic_rows(&self) -> bool {
        !self.inputs.is_empty()
            && self.inputs.iter().all(|i| !i.optional || i.has_default)
            && self
                .inputs
                .iter()
                .chain(&self.outputs)
                .all(TensorSpec::has_dynamic_rows)
    }

    /// Why requests can't be put together by rows: the input or output whose
    /// first dimension does not vary; `None` where every one's does.
    pub fn why_rows_are_fixed(&self) -> Option<String> {
        if self.inputs.is_empty() {
            return Some("it takes no input".to_owned());
        }
        let inputs = self.inputs.iter().map(|spec| ("input", spec));
        let outputs = self.outputs.iter().map(|spec| ("output", spec));
        let (side, spec) = inputs
            .chain(outputs)
            .find(|(_, spec)| !spec.has_dynamic_rows())?;
        let name = &spec.name;
        Some(match spec.dims.as_deref().map(<[Dim]>::first) {
            Some(Some(first)) => format!(
                "the first dimension of its {side} \"{name}\" is always {first} (its shape is {})",
                spec.shape_text()
            ),
            Some(None) => {
                format!("its {side} \"{name}\" is one value, without a dimension for rows")
            }
            None => format!("its {side} \"{name}\" has no declared shape"),
        })
    }

    /// Checks that `inputs`, one for each of the signature's own in order,
    /// fit the model.
    ///
    /// # Errors
    /// `Invalid`, with the input's name, what it got and what it takes.
    pub fn check(&self, inputs: &[Option<Tensor>]) -> Result<()> {
        let mut symbols: SmallVec<[(&str, &str, usize); 4]> = SmallVec::new();
        for (spec, input) in self.inputs.iter().zip(inputs) {
            let Some(tensor) = input else {
                if spec.optional {
                    continue;
                }
                return Err(Error::invalid(format!(
                    "the input \"{}\" is missing: the model takes {} {}",
                    spec.name,
                    spec.dtype,
                    spec.shape_text()
                )));
            };
            if tensor.dtype() != spec.dtype {
                return Err(Error::invalid(format!(
                    "the input \"{}\" has datatype {}, and the model takes {}",
                    spec.name,
                    tensor.dtype(),
                    spec.dtype
                )));
            }
            if !spec.accepts_shape(tensor.shape()) {
                return Err(Error::invalid(format!(
                    "the input \"{}\" has shape {}, and the model takes {}",
                    spec.name,
                    tensor.shape(),
                    spec.shape_text()
                )));
            }
            for (dim, &n) in spec.dims.iter().flatten().zip(tensor.shape().iter()) {
                let Dim::Symbol(symbol) = dim else { continue };
                match symbols.iter().find(|(s, ..)| s == symbol) {
                    None => symbols.push((symbol, &spec.name, n)),
                    Some((_, _, first)) if *first == n => {}
                    Some((_, other, first)) => {
                        return Err(Error::invalid(format!(
                            "the dimension \"{symbol}\" is {first} in the input \"{other}\" and \
                             {n} in \"{}\": they must be equal",
                            spec.name
                        )));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, optional: bool, has_default: bool) -> TensorSpec {
        TensorSpec {
            name: name.into(),
            dtype: DType::F32,
            dims: Some(vec![Dim::Any]),
            optional,
            has_default,
            kind: ValueKind::Tensor,
        }
    }

    fn signature(inputs: &[(&str, bool, bool)]) -> Signature {
        let input = |(name, optional, has_default): &(&str, bool, bool)| {
            input(name, *optional, *has_default)
        };
        Signature {
            inputs: inputs.iter().map(input).collect(),
            outputs: vec![input(&("y", false, false))],
        }
    }

    #[test]
    fn a_plain_request_brings_what_must_come_or_what_has_no_default() {
        let must = ("must", false, false);
        let may = ("may", true, false);
        let has = ("has", true, true);
        for (inputs, plain) in [
            (&[must, may, has][..], &[0][..]),
            (&[may, must, must], &[1, 2]),
            (&[may, has], &[0]),
            (&[has], &[]),
            (&[], &[]),
        ] {
            let signature = signature(inputs);
            let places: Vec<usize> = signature.plain_inputs().map(|(place, _)| place).collect();
            assert_eq!(places, plain, "{inputs:?}");
        }
        // What may hold nothing is never put together with others.
        assert!(signature(&[must, has]).has_dynamic_rows());
        assert!(!signature(&[must, may]).has_dynamic_rows());
        let nothing = [None, None];
        assert!(signature(&[may, has]).check(&nothing).is_ok());
        let error = signature(&[may, must]).check(&nothing).unwrap_err();
        assert!(error.message().contains("\"must\" is missing"), "{error}");
    }
}
