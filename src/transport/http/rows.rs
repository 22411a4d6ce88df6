//! Rows of features ⇄ tensors, for models that take rows.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{
    catalog::Servable,
    engine::{MapKey, Output},
    error::{Error, Result},
    tensor::{DType, Dim, Shape, Tensor, TensorSpec, json::read_data},
};

/// The columns of a model's rows: its inputs, side by side.
pub(super) struct Columns<'a> {
    inputs: Vec<Input<'a>>,
}

struct Input<'a> {
    spec: &'a TensorSpec,
    /// Whether the tensor has a second dimension.
    is_table: bool,
    names: Vec<Cow<'a, str>>,
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
            .inputs
            .iter()
            .filter(|spec| !spec.optional)
            .map(|spec| {
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
                    is_table,
                    names: names(spec, width, features.get(&*spec.name)),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { inputs })
    }

    /// How many columns there are.
    pub(super) fn count(&self) -> usize {
        self.inputs.iter().map(|i| i.names.len()).sum()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs
            .iter()
            .flat_map(|i| i.names.iter().map(|n| &**n))
    }

    /// The inputs of a request that holds `rows`.
    ///
    /// # Errors
    /// `Invalid`, with the row and the column that do not fit.
    pub(super) fn tensors(
        &self,
        servable: &Servable,
        rows: &[Row<'_>],
    ) -> Result<Vec<Option<Tensor>>> {
        if rows.is_empty() {
            return Err(Error::invalid("there are no rows"));
        }
        let count = self.count();
        let mut cells: Vec<&str> = Vec::with_capacity(rows.len() * count);
        for (index, row) in rows.iter().enumerate() {
            self.lay_out(index, row, &mut cells)?;
        }
        let mut start = 0;
        let mut tensors: Vec<Option<Tensor>> = vec![None; servable.signature().inputs.len()];
        for input in &self.inputs {
            let width = input.names.len();
            let tensor = input.tensor(rows.len(), count, start, &cells)?;
            start += width;
            if let Some(place) = servable.signature().input_index(&input.spec.name) {
                tensors[place] = Some(tensor);
            }
        }
        Ok(tensors)
    }

    /// Appends the cells of one row, in the order of the columns.
    fn lay_out<'r>(&self, index: usize, row: &'r Row<'_>, cells: &mut Vec<&'r str>) -> Result<()> {
        match row {
            Row::Cells(given) => {
                if given.len() != self.count() {
                    return Err(Error::invalid(format!(
                        "row {index} has {} values, and the model takes {}: {}",
                        given.len(),
                        self.count(),
                        self.names().collect::<Vec<_>>().join(", ")
                    )));
                }
                cells.extend(given.iter().map(|c| c.get()));
            }
            Row::Named(given) => {
                for (at, (name, _)) in given.iter().enumerate() {
                    if given[..at].iter().any(|(other, _)| other == name) {
                        return Err(Error::invalid(format!(
                            "row {index} has the feature \"{name}\" twice"
                        )));
                    }
                    if !self.names().any(|n| n == name) {
                        return Err(Error::invalid(format!(
                            "row {index} has the unknown feature \"{name}\"; the model takes {}",
                            self.names().collect::<Vec<_>>().join(", ")
                        )));
                    }
                }
                for name in self.names() {
                    let Some((_, cell)) = given.iter().find(|(n, _)| n == name) else {
                        return Err(Error::invalid(format!(
                            "row {index} lacks the feature \"{name}\""
                        )));
                    };
                    cells.push(cell.get());
                }
            }
        }
        Ok(())
    }
}

impl Input<'_> {
    /// This input's tensor, of the cells of all rows.
    fn tensor(&self, rows: usize, count: usize, start: usize, cells: &[&str]) -> Result<Tensor> {
        let width = self.names.len();
        let mut text = String::with_capacity(cells.len() * 4 + 2);
        text.push('[');
        for row in 0..rows {
            for column in start..start + width {
                let cell = cells[row * count + column];
                if cell.starts_with(['[', '{']) || cell.starts_with('"') != self.takes_text() {
                    return Err(Error::invalid(format!(
                        "row {row}: the feature \"{}\" takes {}, and got {}",
                        self.names[column - start],
                        if self.takes_text() {
                            "text"
                        } else {
                            "a number"
                        },
                        super::answer::shown(cell),
                    )));
                }
                if text.len() > 1 {
                    text.push(',');
                }
                text.push_str(cell);
            }
        }
        text.push(']');
        let shape = if self.is_table {
            Shape::from([rows, width])
        } else if self.spec.dims.as_ref().is_some_and(Vec::is_empty) {
            Shape::default()
        } else {
            Shape::from([rows])
        };
        read_data(&self.spec.name, self.spec.dtype, shape, &text)
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

/// One row as it came: its cells are JSON text, read by the column's type.
pub(super) enum Row<'a> {
    /// By position.
    Cells(Vec<&'a serde_json::value::RawValue>),
    /// By name, in the order given: a name that comes twice is seen.
    Named(Vec<(String, &'a serde_json::value::RawValue)>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row: an array of values, or an object of values by feature name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Row<'de>, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = seq.next_element()? {
                    cells.push(cell);
                }
                Ok(Row::Cells(cells))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
                let mut cells = Vec::new();
                while let Some(cell) = map.next_entry()? {
                    cells.push(cell);
                }
                Ok(Row::Named(cells))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// Appends row `row` of `output` as JSON: one value, an array of them, or an
/// object by the keys of a map.
///
/// # Errors
/// `Internal`-free: `Invalid` names an output that holds NaN or an infinity,
/// for which JSON has no number.
pub(super) fn write_row(
    spec: &TensorSpec,
    output: &Output,
    row: usize,
    rows: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let width = output.tensor.len().checked_div(rows).unwrap_or(0);
    let write = |index: usize, out: &mut Vec<u8>| {
        if output.tensor.write_element(row * width + index, out) {
            return Ok(());
        }
        Err(Error::new(
            crate::error::Kind::Unsupported,
            format!(
                "the output \"{}\" is NaN or infinite, which JSON numbers can't say; \
                 /v2/models answers it",
                spec.name
            ),
        ))
    };
    if let Some(keys) = &output.keys {
        for (index, key) in keys.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            let name = match key {
                MapKey::Int(n) => n.to_string(),
                MapKey::Text(text) => text.clone(),
            };
            let _ = serde_json::to_writer(&mut *out, &name);
            out.push(b':');
            write(index, out)?;
        }
        if keys.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        return Ok(());
    }
    let is_single =
        output.tensor.shape().len() <= 1 || (output.tensor.shape().len() == 2 && width == 1);
    if is_single && width == 1 {
        return write(0, out);
    }
    out.push(b'[');
    for index in 0..width {
        if index > 0 {
            out.push(b',');
        }
        write(index, out)?;
    }
    out.push(b']');
    Ok(())
}
