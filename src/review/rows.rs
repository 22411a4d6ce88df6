//! Rows of features as people keep them, CSV and JSON, as inputs of a model.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{
    error::{Error, Result},
    scheduler::Inputs,
    tensor::{DType, Dim, Shape, Signature, Tensor, TensorSpec, json},
};

/// The names of an input's columns, by input.
pub type Features = BTreeMap<String, Vec<String>>;

/// A table with named columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows; each has a cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// Which columns of a table are which input's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// For each input the columns, in order; `None` for one left out.
    columns: Vec<Option<Vec<usize>>>,
}

impl Layout {
    /// The columns, of `count`, that are no input's.
    pub fn free(&self, count: usize) -> Vec<usize> {
        let used: Vec<usize> = self.columns.iter().flatten().flatten().copied().collect();
        (0..count).filter(|column| !used.contains(column)).collect()
    }
}

impl Table {
    /// Reads a CSV file whose first line names the columns, up to `most`
    /// rows of it.
    ///
    /// # Errors
    /// What is wrong with the file, in a sentence.
    pub fn read(path: &Path, most: usize) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|e| e.to_string())?;
        let columns = reader.headers().map_err(|e| e.to_string())?;
        let columns = columns
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').to_owned())
            .collect();
        let rows = reader
            .records()
            .take(most)
            .map(|row| {
                Ok(row
                    .map_err(|e| e.to_string())?
                    .iter()
                    .map(str::to_owned)
                    .collect())
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { columns, rows })
    }

    /// Which columns are which input's: by the names in `features`, by the
    /// input's own name, and for a model of one input by position. What bears
    /// the name of an output is passed over then, unless there are just as
    /// many columns as the input takes.
    ///
    /// # Errors
    /// `Invalid`, with the input whose columns can't be told.
    pub fn layout(&self, signature: &Signature, features: &Features) -> Result<Layout> {
        let find = |name: &str| self.columns.iter().position(|c| c == name);
        let mut columns = Vec::new();
        for spec in &signature.inputs {
            let own = if let Some(names) = features.get(&*spec.name) {
                let found: Option<Vec<usize>> = names.iter().map(|n| find(n)).collect();
                found.or_else(|| self.by_position(signature, spec))
            } else if let Some(column) = find(&spec.name).filter(|_| width(spec) == Some(1)) {
                Some(vec![column])
            } else if !signature.plain_inputs().any(|(_, plain)| plain == spec) {
                columns.push(None);
                continue;
            } else {
                self.by_position(signature, spec)
            };
            let own = own.ok_or_else(|| {
                Error::invalid(format!(
                    "it is not clear which columns are the input \"{}\" ({} {}): name a column so, or \
                     name the input's columns in [features] of model.toml; the columns are {}",
                    spec.name,
                    spec.dtype,
                    spec.shape_text(),
                    self.columns.join(", ")
                ))
            })?;
            columns.push(Some(own));
        }
        Ok(Layout { columns })
    }

    fn by_position(&self, signature: &Signature, spec: &TensorSpec) -> Option<Vec<usize>> {
        let only = signature.plain_inputs().count() == 1;
        let width = width(spec).filter(|_| only)?;
        let all = 0..self.columns.len();
        if all.len() == width {
            return Some(all.collect());
        }
        let columns: Vec<usize> = all
            .filter(|&c| signature.output_index(&self.columns[c]).is_none())
            .take(width)
            .collect();
        (columns.len() == width).then_some(columns)
    }

    /// The names of the columns that `layout` takes for `input`.
    pub fn names(&self, layout: &Layout, input: usize) -> Vec<String> {
        let columns = layout.columns.get(input).and_then(Option::as_ref);
        let columns = columns.into_iter().flatten();
        columns.map(|&c| self.columns[c].clone()).collect()
    }

    /// The inputs that row `row` holds.
    ///
    /// # Errors
    /// `Invalid`, with the column and the cell that does not fit.
    pub fn inputs(&self, layout: &Layout, signature: &Signature, row: usize) -> Result<Inputs> {
        let cells = self
            .rows
            .get(row)
            .ok_or_else(|| Error::invalid("there is no such row"))?;
        let inputs = signature.inputs.iter().zip(&layout.columns);
        let inputs = inputs.map(|(spec, columns)| {
            let Some(columns) = columns else {
                return Ok(None);
            };
            let text: Vec<String> = columns
                .iter()
                .map(|&c| cell_data(spec.dtype, cells.get(c).map_or("", String::as_str)))
                .collect();
            let names: Vec<&str> = columns.iter().map(|&c| &*self.columns[c]).collect();
            let shape = row_shape(spec, text.len());
            let tensor = json::read_data(
                &spec.name,
                spec.dtype,
                shape,
                &format!("[{}]", text.join(",")),
            );
            tensor
                .map(Some)
                .map_err(|e| e.within(format_args!("row {}, {}", row + 1, names.join(", "))))
        });
        let inputs = inputs.collect::<Result<Inputs>>()?;
        signature.check(&inputs)?;
        Ok(inputs)
    }
}

/// A cell of a CSV file in JSON's form. An empty cell is a missing number.
pub fn cell_data(dtype: DType, text: &str) -> String {
    let quoted = || Value::from(text).to_string();
    match dtype {
        DType::Bytes => quoted(),
        DType::Bool => text.to_lowercase(),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => match text.to_lowercase().as_str() {
            "" | "nan" | "na" | "null" | "none" => "\"NaN\"".to_owned(),
            _ if text.parse::<f64>().is_ok_and(f64::is_finite) => number(text),
            _ => quoted(),
        },
        _ if text.parse::<f64>().is_ok_and(f64::is_finite) => number(text),
        _ => quoted(),
    }
}

/// What people and Rust write as numbers, and JSON does not: `.5`, `+1`, `1.`
fn number(text: &str) -> String {
    match serde_json::from_str::<serde_json::Number>(text) {
        Ok(_) => text.to_owned(),
        Err(_) => text
            .parse::<f64>()
            .map_or_else(|_| text.to_owned(), |n| format!("{n:?}")),
    }
}

/// How many columns an input has, where that can be told: the elements of one
/// row.
fn width(spec: &TensorSpec) -> Option<usize> {
    let dims = spec.dims.as_deref()?;
    dims.iter().skip(1).try_fold(1usize, |n, dim| match dim {
        Dim::Fixed(d) => n.checked_mul(*d),
        Dim::Symbol(_) | Dim::Any => None,
    })
}

/// The shape of one row of `count` elements.
fn row_shape(spec: &TensorSpec, count: usize) -> Shape {
    match spec.dims.as_deref() {
        Some([]) => Shape::default(),
        Some(dims) if width(spec).is_some() => {
            let rest = dims.iter().skip(1).map(|dim| match dim {
                Dim::Fixed(n) => *n,
                Dim::Symbol(_) | Dim::Any => 1,
            });
            std::iter::once(1).chain(rest).collect()
        }
        Some([_]) => Shape::from([count]),
        Some(_) | None => Shape::from([1, count]),
    }
}

/// The inputs that a JSON value holds: an object by the names of inputs or of
/// their columns, an array by position, or one value for a model of one.
///
/// # Errors
/// `Invalid`, with what does not fit.
pub fn from_json(value: &Value, signature: &Signature, features: &Features) -> Result<Inputs> {
    let inputs = match value {
        Value::Object(object) => by_name(object, signature, features)?,
        Value::Array(cells) if signature.inputs.len() > 1 => {
            if cells.len() != signature.inputs.len() {
                return Err(Error::invalid(format!(
                    "there are {} values, and the model takes {}",
                    cells.len(),
                    signature.inputs.len()
                )));
            }
            let pairs = signature.inputs.iter().zip(cells);
            pairs
                .map(|(spec, value)| nested(spec, value).map(Some))
                .collect::<Result<_>>()?
        }
        value => match &signature.inputs[..] {
            [spec] => vec![Some(nested(spec, value)?)],
            inputs => {
                return Err(Error::invalid(format!(
                    "there is one value, and the model takes {}",
                    inputs.len()
                )));
            }
        },
    };
    signature.check(&inputs)?;
    Ok(inputs)
}

fn by_name(
    object: &serde_json::Map<String, Value>,
    signature: &Signature,
    features: &Features,
) -> Result<Inputs> {
    let mut used = Vec::new();
    let mut inputs = Vec::new();
    for spec in &signature.inputs {
        if let Some(value) = object.get(&*spec.name) {
            used.push(spec.name.to_string());
            inputs.push(Some(nested(spec, value)?));
            continue;
        }
        let names = features.get(&*spec.name).map_or(&[][..], Vec::as_slice);
        let cells: Option<Vec<Value>> = names.iter().map(|n| object.get(n).cloned()).collect();
        match cells.filter(|cells| !cells.is_empty()) {
            Some(cells) => {
                used.extend(names.iter().cloned());
                inputs.push(Some(nested(spec, &Value::Array(cells))?));
            }
            // What is required and missing is told by the signature's check.
            None => inputs.push(None),
        }
    }
    if let Some(unknown) = object.keys().find(|key| !used.contains(key)) {
        let names: Vec<_> = signature.inputs.iter().map(|i| &*i.name).collect();
        return Err(Error::invalid(format!(
            "the model has no input \"{unknown}\": it takes {}",
            names.join(", ")
        )));
    }
    Ok(inputs)
}

/// A tensor from a value that is nested as deep as the input's rank, or one
/// less for a single row, or is flat.
fn nested(spec: &TensorSpec, value: &Value) -> Result<Tensor> {
    let mut dims = Vec::new();
    let mut level = value;
    while let Value::Array(items) = level {
        dims.push(items.len());
        let Some(first) = items.first() else { break };
        level = first;
    }
    let shape: Shape = match spec.dims.as_ref().map(Vec::len) {
        Some(rank) if rank == dims.len() => dims.into_iter().collect(),
        Some(rank) if rank == dims.len() + 1 => std::iter::once(1).chain(dims).collect(),
        None if !dims.is_empty() => dims.into_iter().collect(),
        _ => row_shape(spec, dims.iter().product()),
    };
    let text = match value {
        Value::Array(_) => value.to_string(),
        value => format!("[{value}]"),
    };
    json::read_data(&spec.name, spec.dtype, shape, &text)
}

#[cfg(test)]
mod tests;
