//! JSON rows → the cells of each input, in one pass.
//!
//! A body of millions of small rows must not take many times its size in
//! memory: no row is kept, its cells go straight to their inputs.

use std::{cell::OnceCell, collections::HashMap, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{super::answer::shown, Columns};
use crate::error::{Error, Result};

/// The most names that a refusal lists.
const LISTED: usize = 32;

/// The cells of rows, gathered by input.
pub(super) struct Table<'c> {
    columns: Vec<Column<'c>>,
    /// For each input, the JSON array of its cells so far, unclosed.
    cells: Vec<String>,
    rows: usize,
    /// The columns by name; made when a row does not name them in order.
    by_name: OnceCell<HashMap<&'c str, usize>>,
    /// Why reading stopped, where the JSON itself was in order.
    refusal: Option<Error>,
}

struct Column<'c> {
    name: &'c str,
    input: usize,
    takes_text: bool,
}

impl<'c> Table<'c> {
    pub(super) fn new(columns: &'c Columns<'_>) -> Self {
        let inputs = columns.inputs.iter().enumerate();
        Self {
            columns: inputs
                .flat_map(|(index, input)| {
                    input.names().iter().map(move |name| Column {
                        name,
                        input: index,
                        takes_text: input.takes_text(),
                    })
                })
                .collect(),
            cells: vec!["[".to_owned(); columns.inputs.len()],
            rows: 0,
            by_name: OnceCell::new(),
            refusal: None,
        }
    }

    /// Reads `json`: rows, or `{"rows": …}`.
    ///
    /// # Errors
    /// `Invalid`, with what is wrong and where.
    pub(super) fn read(&mut self, json: &str) -> Result<()> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let read = Body(self)
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        match (self.refusal.take(), read) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(())) => Ok(()),
            (None, Err(e)) => Err(Error::invalid(format!(
                "the body is not rows: {e}; send {{\"rows\":[[1,2],[3,4]]}}, or objects by \
                 feature name"
            ))),
        }
    }

    /// How many rows were read.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// For each input, the JSON array of its cells.
    pub(super) fn into_cells(self) -> impl Iterator<Item = String> {
        self.cells.into_iter().map(|mut cells| {
            cells.push(']');
            cells
        })
    }

    fn push<E: serde::de::Error>(&mut self, column: usize, cell: &str) -> Result<(), E> {
        let Column {
            name,
            input,
            takes_text,
        } = self.columns[column];
        if cell.starts_with(['[', '{']) || cell.starts_with('"') != takes_text {
            let takes = if takes_text { "text" } else { "a number" };
            return Err(self.refuse(format!(
                "row {}: the feature \"{name}\" takes {takes}, and got {}",
                self.rows,
                shown(cell),
            )));
        }
        let cells = &mut self.cells[input];
        if cells.len() > 1 {
            cells.push(',');
        }
        cells.push_str(cell);
        Ok(())
    }

    /// The column called `name`; rows mostly name them in order, so `expected`
    /// is tried first.
    fn column(&self, name: &str, expected: usize) -> Option<usize> {
        if self.columns.get(expected).is_some_and(|c| c.name == name) {
            return Some(expected);
        }
        let by_name = self.by_name.get_or_init(|| {
            let columns = self.columns.iter().enumerate();
            columns
                .map(|(index, column)| (column.name, index))
                .collect()
        });
        by_name.get(name).copied()
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().take(LISTED).map(|c| c.name).collect();
        let more = self.columns.len().saturating_sub(LISTED);
        if more > 0 {
            format!("{} and {more} more", names.join(", "))
        } else {
            names.join(", ")
        }
    }

    fn refuse<E: serde::de::Error>(&mut self, sentence: String) -> E {
        self.refusal = Some(Error::invalid(sentence));
        E::custom("refused")
    }
}

/// The whole body.
struct Body<'t, 'c>(&'t mut Table<'c>);

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows, or an object with the field rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        Rows(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut has_rows = false;
        while let Some(field) = map.next_key::<String>()? {
            if field != "rows" {
                return Err(self.0.refuse(format!(
                    "the body has the unknown field \"{}\"; it takes rows",
                    shown(&field)
                )));
            }
            if std::mem::replace(&mut has_rows, true) {
                return Err(self
                    .0
                    .refuse("the body has the field \"rows\" twice".to_owned()));
            }
            map.next_value_seed(Rows(self.0))?;
        }
        if has_rows {
            Ok(())
        } else {
            Err(A::Error::missing_field("rows"))
        }
    }
}

/// All rows.
struct Rows<'t, 'c>(&'t mut Table<'c>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Row(self.0))?.is_some() {
            self.0.rows += 1;
        }
        Ok(())
    }
}

/// One row.
struct Row<'t, 'c>(&'t mut Table<'c>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row: an array of values, or an object of values by feature name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let width = self.0.columns.len();
        let mut given = 0;
        while given < width {
            let Some(cell) = seq.next_element::<&RawValue>()? else {
                break;
            };
            self.0.push(given, cell.get())?;
            given += 1;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            given += 1;
        }
        if given == width {
            return Ok(());
        }
        Err(self.0.refuse(format!(
            "row {} has {given} values, and the model takes {width}: {}",
            self.0.rows,
            self.0.names()
        )))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let table = self.0;
        let mut row: Vec<Option<&RawValue>> = vec![None; table.columns.len()];
        let mut expected = 0;
        while let Some(column) = map.next_key_seed(Name {
            table: &mut *table,
            expected,
        })? {
            if row[column].is_some() {
                return Err(table.refuse(format!(
                    "row {} has the feature \"{}\" twice",
                    table.rows, table.columns[column].name
                )));
            }
            row[column] = Some(map.next_value()?);
            expected = column + 1;
        }
        for (column, cell) in row.into_iter().enumerate() {
            let Some(cell) = cell else {
                return Err(table.refuse(format!(
                    "row {} lacks the feature \"{}\"",
                    table.rows, table.columns[column].name
                )));
            };
            table.push(column, cell.get())?;
        }
        Ok(())
    }
}

/// The name of a feature: gives its column.
struct Name<'t, 'c> {
    table: &'t mut Table<'c>,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a feature")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        let table = self.table;
        match table.column(name, self.expected) {
            Some(column) => Ok(column),
            None => Err(table.refuse(format!(
                "row {} has the unknown feature \"{}\"; the model takes {}",
                table.rows,
                shown(name),
                table.names()
            ))),
        }
    }
}
