//! The values of a TOML table, each taken once, every mistake noted.

use std::{collections::BTreeMap, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::repository::{Problem, problem::quoted};

/// Where problems are noted while a manifest is read.
pub(super) struct Notes<'a> {
    file: &'a Path,
    text: &'a str,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            problems: Vec::new(),
        }
    }

    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        1 + before.iter().filter(|&&b| b == b'\n').count()
    }

    pub(super) fn note(
        &mut self,
        span: Option<&Range<usize>>,
        key: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let line = span.map(|span| self.line(span));
        let problem = Problem::new(self.file, reason, remedy).at(line, key);
        self.problems.push(problem);
    }

    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let mut problem = Problem::new(
            self.file,
            format!("it is not valid TOML: {}", error.message()),
            "see https://toml.io for the format",
        );
        problem.line = error.span().map(|span| self.line(&span));
        self.problems.push(problem);
    }
}

/// A value with its place.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table whose keys are taken one by one; what is left is unknown.
pub(super) struct Fields<'t> {
    /// The table's own place in the file: `scheduling`, or empty.
    prefix: String,
    span: Option<Range<usize>>,
    known: Vec<&'static str>,
    left: BTreeMap<&'t str, (Range<usize>, &'t Spanned<DeValue<'t>>)>,
}

impl<'t> Fields<'t> {
    pub(super) fn root(table: &'t DeTable<'t>) -> Self {
        Self::new(String::new(), None, table)
    }

    fn new(prefix: String, span: Option<Range<usize>>, table: &'t DeTable<'t>) -> Self {
        let left = table
            .iter()
            .map(|(key, value)| (&**key.get_ref(), (key.span(), value)))
            .collect();
        Self {
            prefix,
            span,
            known: Vec::new(),
            left,
        }
    }

    pub(super) fn key(&self, key: &str) -> String {
        match &*self.prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.left.remove(key).map(|(_, value)| value)
    }

    /// The value at `key` through `read`, which gives what it expected when
    /// the value is something else.
    pub(super) fn get<T>(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
        read: impl FnOnce(&'t DeValue<'t>) -> Result<T, String>,
    ) -> Option<At<T>> {
        let value = self.take(key)?;
        match read(value.get_ref()) {
            Ok(own) => Some(At {
                value: own,
                span: value.span(),
            }),
            Err(expected) => {
                let shown = shown(value.get_ref());
                notes.note(
                    Some(&value.span()),
                    self.key(key),
                    format!("{shown} does not fit"),
                    format!("give {expected}"),
                );
                None
            }
        }
    }

    /// As [`Fields::get`], and it is a problem when the key is missing.
    pub(super) fn need<T>(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'t DeValue<'t>) -> Result<T, String>,
    ) -> Option<At<T>> {
        if self.left.contains_key(key) {
            return self.get(notes, key, read);
        }
        self.known.push(key);
        let own = self.key(key);
        notes.note(
            self.span.clone().as_ref(),
            own,
            "it is missing",
            format!("add {expected}"),
        );
        None
    }

    /// The table at `key`, as fields of its own.
    pub(super) fn table(&mut self, notes: &mut Notes<'_>, key: &'static str) -> Option<Fields<'t>> {
        let prefix = self.key(key);
        self.get(notes, key, |value| {
            value
                .as_table()
                .ok_or_else(|| format!("a table: [{prefix}]"))
        })
        .map(|at| Fields::new(prefix.clone(), Some(at.span), at.value))
    }

    /// The tables of the array at `key`; `None` when it is missing or no
    /// array of tables.
    pub(super) fn tables(
        &mut self,
        notes: &mut Notes<'_>,
        key: &'static str,
    ) -> Option<Vec<Fields<'t>>> {
        let prefix = self.key(key);
        let expected = || format!("tables: [[{prefix}]]");
        let at = self.get(notes, key, |value| {
            let array = value.as_array().ok_or_else(expected)?;
            array
                .iter()
                .map(|own| {
                    let table = own.get_ref().as_table().ok_or_else(expected)?;
                    Ok(Fields::new(prefix.clone(), Some(own.span()), table))
                })
                .collect()
        })?;
        Some(at.value)
    }

    /// Every key that is left, for a table of free keys.
    pub(super) fn rest(&mut self) -> Vec<(&'t str, Range<usize>, &'t Spanned<DeValue<'t>>)> {
        std::mem::take(&mut self.left)
            .into_iter()
            .map(|(key, (span, value))| (key, span, value))
            .collect()
    }

    /// Notes every key that nobody took.
    pub(super) fn finish(mut self, notes: &mut Notes<'_>) {
        let known = std::mem::take(&mut self.known);
        for (key, span, _) in self.rest() {
            let near = known
                .iter()
                .map(|known| (strsim::levenshtein(key, known), *known))
                .min()
                .filter(|(distance, known)| *distance <= 1 + known.len() / 4);
            let remedy = match near {
                Some((_, near)) => format!("did you mean \"{near}\"?"),
                None => format!("take it out; the keys here are {}", known.join(", ")),
            };
            let own = self.key(key);
            notes.note(Some(&span), own, "unknown key", remedy);
        }
    }
}

/// The value as a problem quotes it.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text).to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
