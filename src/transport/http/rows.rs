//! Rows of features ⇄ tensors, for models that take rows.

mod read;
mod write;

use std::{borrow::Cow, cell::OnceCell};

use self::read::Table;
pub(super) use self::write::write_row;
use crate::{
    catalog::Servable,
    error::{Error, Result},
    tensor::{
        DType, Dim, Shape, Tensor, TensorSpec, ValueKind,
        json::{Scanner, read_data, read_rows},
    },
};

/// The columns of a model's rows: its inputs, side by side.
pub(super) struct Columns<'a> {
    inputs: Vec<Input<'a>>,
}

struct Input<'a> {
    spec: &'a TensorSpec,
    /// Its place in the signature.
    place: usize,
    /// Whether the tensor has a second dimension.
    is_table: bool,
    /// How many columns it is.
    width: usize,
    features: Option<&'a Vec<String>>,
    /// The columns' names, once somebody asks for them.
    names: OnceCell<Vec<Cow<'a, str>>>,
}

impl<'a> Columns<'a> {
    /// The columns of `servable`.
    ///
    /// # Errors
    /// `Invalid` where the model does not take rows.
    pub(super) fn of(servable: &'a Servable) -> Result<Self> {
        let features = &servable.manifest().features;
        let inputs = servable
            .signature()
            .plain_inputs()
            .map(|(place, spec)| {
                let (is_table, width) = match spec.dims.as_deref() {
                    Some([first]) if first.is_dynamic() || *first == Dim::Fixed(1) => (false, 1),
                    Some([first, Dim::Fixed(width)])
                        if first.is_dynamic() || *first == Dim::Fixed(1) =>
                    {
                        (true, *width)
                    }
                    Some([]) => (false, 1),
                    _ => {
                        return Err(Error::invalid(format!(
                            "the model \"{}\" does not take rows: its input \"{}\" is {}; ask it \
                             at /v2/models/{}/infer",
                            servable.id().name,
                            spec.name,
                            spec.shape_text(),
                            servable.id().name,
                        )));
                    }
                };
                Ok(Input {
                    spec,
                    place,
                    is_table,
                    width,
                    features: features.get(&*spec.name),
                    names: OnceCell::new(),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { inputs })
    }

    /// Reads rows as JSON: the inputs of a request, one for each of the
    /// signature's, and how many rows there are.
    ///
    /// # Errors
    /// `Invalid`, with the row and the column that do not fit.
    pub(super) fn read(
        &self,
        servable: &Servable,
        json: &str,
    ) -> Result<(Vec<Option<Tensor>>, usize)> {
        let mut tensors = vec![None; servable.signature().inputs.len()];
        if let [input] = self.inputs.as_slice()
            && let Some(tensor) = input.plain_rows(json)
        {
            let rows = tensor.shape().rows().unwrap_or(1);
            tensors[input.place] = Some(tensor);
            return Ok((tensors, rows));
        }
        let mut table = Table::new(self);
        table.read(json)?;
        let rows = table.rows();
        if rows == 0 {
            return Err(no_rows());
        }
        for (input, cells) in self.inputs.iter().zip(table.into_cells()) {
            tensors[input.place] = Some(input.tensor(rows, &cells)?);
        }
        Ok((tensors, rows))
    }
}

/// Reads rows of the two numbers `a` and `b`; how many there are.
///
/// # Errors
/// As [`Columns::read`].
pub(super) fn check(json: &str) -> Result<usize> {
    let spec = TensorSpec {
        name: "x".into(),
        dtype: DType::F64,
        dims: Some(vec![Dim::Any, Dim::Fixed(2)]),
        optional: false,
        has_default: false,
        kind: ValueKind::Tensor,
    };
    let columns = Columns {
        inputs: vec![Input {
            spec: &spec,
            place: 0,
            is_table: true,
            width: 2,
            features: None,
            names: OnceCell::from(vec!["a".into(), "b".into()]),
        }],
    };
    let mut table = Table::new(&columns);
    table.read(json)?;
    let rows = table.rows();
    if rows == 0 {
        return Err(no_rows());
    }
    for (input, cells) in columns.inputs.iter().zip(table.into_cells()) {
        input.tensor(rows, &cells)?;
    }
    Ok(rows)
}

fn no_rows() -> Error {
    Error::invalid("there are no rows")
}

impl<'a> Input<'a> {
    /// What its columns are called.
    fn names(&self) -> &[Cow<'a, str>] {
        self.names
            .get_or_init(|| names(self.spec, self.width, self.features))
    }

    /// This input's tensor; `cells` is the JSON array of its values.
    fn tensor(&self, rows: usize, cells: &str) -> Result<Tensor> {
        let shape = if self.is_table {
            Shape::from([rows, self.width])
        } else if self.spec.dims.as_ref().is_some_and(Vec::is_empty) {
            Shape::default()
        } else {
            Shape::from([rows])
        };
        read_data(&self.spec.name, self.spec.dtype, shape, cells)
    }

    /// `json` as this input's tensor, where it is nothing but rows of numbers:
    /// most of what comes, and many times quicker to read than what may be
    /// anything.
    fn plain_rows(&self, json: &str) -> Option<Tensor> {
        if !self.is_table && self.spec.dims.as_ref().is_none_or(Vec::is_empty) {
            return None;
        }
        let mut scanner = Scanner::new(json);
        let is_object = scanner.take(b'{');
        if is_object {
            scanner.peek();
            if !(scanner.take_word("\"rows\"") && scanner.take(b':')) {
                return None;
            }
        }
        let tensor = read_rows(self.spec.dtype, self.width, !self.is_table, &mut scanner)?;
        let is_whole = (!is_object || scanner.take(b'}')) && scanner.peek().is_none();
        is_whole.then_some(tensor)
    }

    fn takes_text(&self) -> bool {
        self.spec.dtype == DType::Bytes
    }
}

fn names<'a>(
    spec: &'a TensorSpec,
    width: usize,
    features: Option<&'a Vec<String>>,
) -> Vec<Cow<'a, str>> {
    match features {
        Some(features) if features.len() == width => {
            features.iter().map(|f| Cow::Borrowed(&**f)).collect()
        }
        _ if width == 1 => vec![Cow::Borrowed(&*spec.name)],
        _ => (0..width)
            .map(|i| Cow::Owned(format!("{}_{i}", spec.name)))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
