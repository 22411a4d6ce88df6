//! Golden cases from the rows of a CSV file.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, bail};

use super::{Recorded, Sources, case, limit, number};
use crate::{
    repository::GoldenCase,
    review::rows::{Layout, Table, cell_data},
    tensor::{Signature, Tolerance, compare, json::read_data},
};

/// What a cell says that the model must answer.
#[derive(Debug)]
pub(super) struct Claim {
    output: String,
    cell: String,
    /// The row in the file, from 1.
    row: usize,
}

/// Reads the rows of `file`. A column with the name of an output, that is not
/// an input's, is what the model must answer.
pub(super) fn table(
    file: &Path,
    signature: &Signature,
    sources: &Sources<'_>,
    recorded: &mut Recorded,
) -> anyhow::Result<Vec<(GoldenCase, Vec<Claim>)>> {
    let table = Table::read(file, sources.most + 1).map_err(anyhow::Error::msg)?;
    let layout = table.layout(signature, sources.features)?;
    for (index, spec) in signature.inputs.iter().enumerate() {
        let names = table.names(&layout, index);
        let distinct = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        // A column that bears the input's own name needs no other.
        if sources.features.is_empty() && distinct && names.len() > 1 {
            recorded.features.insert(spec.name.to_string(), names);
        }
    }
    let answers = answers(&table, &layout, signature);
    recorded
        .notes
        .extend(reading(&table, &layout, signature, sources));
    let count = limit(table.rows.len(), sources.most, recorded);
    (0..count)
        .map(|row| {
            let inputs = table.inputs(&layout, signature, row)?;
            let claims = answers.iter().filter_map(|&column| {
                let cell = table.rows[row]
                    .get(column)
                    .filter(|cell| !cell.is_empty())?;
                Some(Claim {
                    output: table.columns[column].clone(),
                    cell: cell.clone(),
                    row: row + 1,
                })
            });
            let own = case(number(row, count), signature, &inputs, false);
            Ok((own, claims.collect()))
        })
        .collect()
}

/// The columns that say what the model must answer.
fn answers(table: &Table, layout: &Layout, signature: &Signature) -> Vec<usize> {
    let free = layout.free(table.columns.len());
    let named = free
        .into_iter()
        .filter(|&column| signature.output_index(&table.columns[column]).is_some());
    named.collect()
}

/// What is taken as what, where the names alone do not say so.
fn reading(
    table: &Table,
    layout: &Layout,
    signature: &Signature,
    sources: &Sources<'_>,
) -> Option<String> {
    let mut parts = Vec::new();
    for (index, spec) in signature.inputs.iter().enumerate() {
        let names = table.names(layout, index);
        let by_name = names == [&*spec.name] || sources.features.get(&*spec.name) == Some(&names);
        if !names.is_empty() && !by_name {
            let also = names
                .iter()
                .filter(|name| signature.output_index(name).is_some());
            let also: Vec<&str> = also.map(String::as_str).collect();
            let also = match &also[..] {
                [] => String::new(),
                also => format!(" (also {}, which an output is called)", also.join(", ")),
            };
            parts.push(format!(
                "{} became the input \"{}\", by position{also}",
                listed(&names),
                spec.name
            ));
        }
    }
    let answers = answers(table, layout, signature);
    let name = |column: &usize| table.columns[*column].clone();
    let unused: Vec<String> = layout
        .free(table.columns.len())
        .iter()
        .filter(|column| !answers.contains(column))
        .map(name)
        .collect();
    if !answers.is_empty() {
        let names: Vec<String> = answers.iter().map(name).collect();
        parts.push(format!(
            "{} {} what the model must answer",
            listed(&names),
            verb(&names)
        ));
    }
    if !unused.is_empty() {
        parts.push(format!("{} {} not used", listed(&unused), verb(&unused)));
    }
    (!parts.is_empty()).then(|| format!("of the columns, {}", parts.join("; ")))
}

fn verb(names: &[String]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

/// A list that a line can bear.
fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown = names.iter().take(MOST).map(String::as_str);
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

impl Claim {
    /// Holds the answer in `case` against what the cell says.
    ///
    /// # Errors
    /// When the model answers something else, or nothing that stands in one
    /// cell.
    pub(super) fn hold(&self, case: &GoldenCase, tolerance: Tolerance) -> anyhow::Result<()> {
        let Self { output, cell, row } = self;
        let remedy = "take the column out, or give it another name, if it is not what the model \
                      answers";
        let given = case.outputs.iter().find(|(name, _)| name == output);
        let (_, given) = given.with_context(|| format!("the model gave no \"{output}\""))?;
        let tensor = &given.tensor;
        if tensor.len() != 1 {
            bail!(
                "row {row}: the column \"{output}\" says {cell}, and the output of that name has {} \
                 elements a row, which no cell holds; {remedy}",
                tensor.len()
            );
        }
        let data = format!("[{}]", cell_data(tensor.dtype(), cell));
        let expected = read_data(output, tensor.dtype(), tensor.shape().clone(), &data);
        let holds =
            expected.is_ok_and(|expected| compare(output, &expected, tensor, tolerance).is_ok());
        if !holds {
            let mut answer = Vec::new();
            tensor.write_element(0, &mut answer);
            let answer = String::from_utf8_lossy(&answer).into_owned();
            bail!(
                "row {row}: the column \"{output}\" says {cell}, and the model answers {answer}: \
                 correct the cell or the model; {remedy}"
            );
        }
        Ok(())
    }
}
