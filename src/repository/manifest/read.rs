//! TOML → [`Manifest`], every mistake in one pass.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::{
    Manifest, ModelFile,
    fields::{Fields, Notes, shown},
    ranges::ranges,
    refused_path,
};
use crate::{
    repository::{MANIFEST, Problem, Tolerance, check_name},
    scheduler::{Placement, Settings},
};

pub(super) fn manifest(file: &Path, text: &str) -> Result<Manifest, Vec<Problem>> {
    let mut notes = Notes::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.syntax(error);
    }
    if !errors.is_empty() {
        // What a broken text seems to say would only confuse.
        return Err(notes.problems);
    }
    let table = table.into_inner();
    let mut root = Fields::root(&table);
    let name = root.need(&mut notes, "name", "name = \"…\"", |value| {
        let name = string(value)?;
        match check_name(name) {
            Ok(()) => Ok(name),
            Err(e) => Err(format!("another name: {e}")),
        }
    });
    let version = root.need(&mut notes, "version", "version = \"v1.0.0\"", |value| {
        string(value)?
            .parse()
            .map_err(|e| format!("a version: {e}"))
    });
    let description = root.need(
        &mut notes,
        "description",
        "description = \"…\": a sentence on what the model predicts",
        |value| match string(value)?.trim() {
            "" => Err("a sentence on what the model predicts".to_owned()),
            text => Ok(text.to_owned()),
        },
    );
    let license = root.get(&mut notes, "license", |value| match string(value)?.trim() {
        "" => Err("an SPDX expression such as \"Apache-2.0\", or leave the key out".to_owned()),
        text => Ok(text.to_owned()),
    });
    let files = files(&mut notes, &mut root);
    let labels = labels(&mut notes, &mut root);
    let tolerance = tolerance(&mut notes, &mut root);
    let scheduling = scheduling(&mut notes, &mut root);
    let features = features(&mut notes, &mut root);
    let ranges = ranges(&mut notes, &mut root);
    root.finish(&mut notes);
    match (name, version, description) {
        (Some(name), Some(version), Some(description)) if notes.problems.is_empty() => {
            Ok(Manifest {
                name: name.value.into(),
                version: version.value,
                description: description.value,
                license: license.map(|at| at.value),
                files,
                labels,
                tolerance,
                scheduling,
                features,
                ranges,
            })
        }
        _ => {
            notes.problems.sort_by_key(|p| p.line);
            Err(notes.problems)
        }
    }
}

fn string<'t>(value: &'t DeValue<'_>) -> Result<&'t str, String> {
    value.as_str().ok_or_else(|| "a text in quotes".to_owned())
}

fn integer(value: &DeValue<'_>, most: usize) -> Result<usize, String> {
    let number = value.as_integer().and_then(|n| {
        let digits = n.as_str().replace('_', "");
        let digits = digits.trim_start_matches('+');
        usize::from_str_radix(digits, n.radix()).ok()
    });
    number
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| format!("a whole number from 1 to {most}"))
}

fn tolerated(value: &DeValue<'_>) -> Result<f64, String> {
    let text = match value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) => number.as_str(),
        _ => "",
    };
    text.replace('_', "")
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| "a finite number, 0 or greater".to_owned())
}

fn files(notes: &mut Notes<'_>, root: &mut Fields<'_>) -> Vec<ModelFile> {
    const EXPECTED: &str = "[[files]] with path = \"model.onnx\" and its sha256";
    let before = notes.problems.len();
    let mut files: Vec<ModelFile> = Vec::new();
    let Some(tables) = root.tables(notes, "files") else {
        if notes.problems.len() == before {
            notes.note(None, "files", "it is missing", format!("add {EXPECTED}"));
        }
        return files;
    };
    for mut table in tables {
        let path = table.need(notes, "path", "path = \"model.onnx\"", string);
        let sha256 = table.need(notes, "sha256", "the file's sha256", |value| {
            string(value)?
                .parse()
                .map_err(|e| format!("the file's sha256, as `sha256sum` prints it: {e}"))
        });
        let key = table.key("path");
        table.finish(notes);
        let Some(path) = path else { continue };
        if let Some(reason) = refused_path(path.value) {
            notes.note(
                Some(&path.span),
                key,
                format!("{}: {reason}", shown(&DeValue::String(path.value.into()))),
                "name a file in the model's folder by its path from there",
            );
        } else if path.value == MANIFEST {
            notes.note(
                Some(&path.span),
                key,
                "the manifest can't list itself",
                "take it out",
            );
        } else if files.iter().any(|f| f.path == path.value) {
            notes.note(
                Some(&path.span),
                key,
                format!("\"{}\" is listed twice", path.value),
                "take one out",
            );
        } else if let Some(sha256) = sha256 {
            files.push(ModelFile {
                path: path.value.to_owned(),
                sha256: sha256.value,
            });
        }
    }
    if notes.problems.len() == before && !files.iter().any(|f| f.path.ends_with(".onnx")) {
        notes.note(
            None,
            "files",
            "no file is listed whose name ends in .onnx",
            format!("add {EXPECTED}"),
        );
    }
    files
}

fn labels(notes: &mut Notes<'_>, root: &mut Fields<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(mut table) = root.table(notes, "labels") else {
        return labels;
    };
    for (key, _, value) in table.rest() {
        match string(value.get_ref()) {
            Ok(text) => {
                labels.insert(key.to_owned(), text.to_owned());
            }
            Err(expected) => notes.note(
                Some(&value.span()),
                table.key(key),
                format!("{} does not fit", shown(value.get_ref())),
                format!("give {expected}"),
            ),
        }
    }
    labels
}

fn tolerance(notes: &mut Notes<'_>, root: &mut Fields<'_>) -> Tolerance {
    let mut tolerance = Tolerance::default();
    if let Some(mut table) = root.table(notes, "golden") {
        if let Some(absolute) = table.get(notes, "absolute", tolerated) {
            tolerance.absolute = absolute.value;
        }
        if let Some(relative) = table.get(notes, "relative", tolerated) {
            tolerance.relative = relative.value;
        }
        table.finish(notes);
    }
    tolerance
}

fn scheduling(notes: &mut Notes<'_>, root: &mut Fields<'_>) -> Settings {
    const ROWS: usize = 1 << 20;
    const THREADS: usize = 1024;
    const LEVELS: usize = 16;
    let mut settings = Settings::default();
    if let Some(mut table) = root.table(notes, "scheduling") {
        let mut number = |key, most| {
            let at = table.get(notes, key, |value| integer(value, most));
            at.map(|at| at.value)
        };
        settings.max_batch_size = number("max_batch_size", ROWS);
        settings.max_queue_size = number("max_queue_size", ROWS);
        settings.instances = number("instances", THREADS);
        settings.intra_threads = number("intra_threads", THREADS);
        let mut level = |key| number(key, LEVELS).and_then(|n| u32::try_from(n).ok());
        settings.priority_levels = level("priority_levels");
        settings.default_priority = level("default_priority");
        if let Some(delay) = table.get(notes, "max_queue_delay", delay) {
            settings.max_queue_delay = Some(delay.value);
        }
        if let Some(timeout) = table.get(notes, "default_timeout", delay) {
            settings.default_timeout = Some(timeout.value);
        }
        if let Some(longest) = table.get(notes, "max_run_time", delay) {
            settings.max_run_time = Some(longest.value);
        }
        if let Some(placement) = table.get(notes, "placement", placement) {
            settings.placement = placement.value;
        }
        table.finish(notes);
    }
    settings
}

/// A wait as people write it: `2ms`, `500us`, `1s`.
fn delay(value: &DeValue<'_>) -> Result<Duration, String> {
    const EXPECTED: &str = "a time up to 10s, such as \"2ms\" or \"500us\"";
    let text = value.as_str().ok_or(EXPECTED)?;
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let micros = match unit {
        "us" | "µs" => 1,
        "ms" => 1000,
        "s" => 1_000_000,
        _ => return Err(EXPECTED.to_owned()),
    };
    text[..text.len() - unit.len()]
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(micros))
        .filter(|micros| *micros <= 10_000_000)
        .map(Duration::from_micros)
        .ok_or_else(|| EXPECTED.to_owned())
}

fn placement(value: &DeValue<'_>) -> Result<Placement, String> {
    match value.as_str() {
        Some("auto") => Ok(Placement::Auto),
        Some("inline") => Ok(Placement::Inline),
        Some("threads") => Ok(Placement::Threads),
        _ => Err("\"auto\", \"inline\" or \"threads\"".to_owned()),
    }
}

fn features(notes: &mut Notes<'_>, root: &mut Fields<'_>) -> BTreeMap<String, Vec<String>> {
    const EXPECTED: &str = "the names of the input's columns, such as [\"age\", \"income\"]";
    let mut features = BTreeMap::new();
    let Some(mut table) = root.table(notes, "features") else {
        return features;
    };
    for (input, _, value) in table.rest() {
        let key = table.key(input);
        let names: Option<Vec<String>> = value.get_ref().as_array().and_then(|array| {
            let names = array
                .iter()
                .map(|v| v.get_ref().as_str().map(str::to_owned));
            names.collect()
        });
        let Some(names) = names.filter(|n| !n.is_empty() && n.iter().all(|n| !n.is_empty())) else {
            let shown = format!("{} does not fit", shown(value.get_ref()));
            notes.note(Some(&value.span()), key, shown, format!("give {EXPECTED}"));
            continue;
        };
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            notes.note(
                Some(&value.span()),
                key,
                format!("the column \"{twice}\" stands there twice"),
                "give each column a name of its own",
            );
            continue;
        }
        features.insert(input.to_owned(), names);
    }
    features
}

#[cfg(test)]
mod tests;
