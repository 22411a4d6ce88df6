//! What two versions answer to the same inputs.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{Both, changes::Collected};
use crate::{
    repository::VerifiedModel,
    review::{report::Predictions, rows::Table, sampling::Sampler},
    scheduler::Inputs,
    tensor::Signature,
};

/// Rows that are compared at most.
const ROWS: usize = 500;

/// Rows of training data that are looked at.
const TABLE: usize = 100_000;

/// How long both versions may run in all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs both versions on the same inputs. `folders` may hold training data.
///
/// # Errors
/// Why they can't be compared, in a sentence.
pub(super) fn predictions(both: &mut Both<'_>, folders: &[PathBuf]) -> Result<Predictions, String> {
    let pairs = outputs(both.base.signature(), both.head.signature());
    if pairs.is_empty() {
        return Err("they have no output in common".to_owned());
    }
    let rows = rows(both, folders)?;
    let mut collected: Vec<Collected> = pairs.iter().map(|_| Collected::default()).collect();
    let started = Instant::now();
    let mut answered = 0;
    let mut failed = None;
    for (n, (before, after)) in rows.inputs.iter().enumerate() {
        if started.elapsed() > PATIENCE {
            break;
        }
        let old = both.base.session.run(before);
        let new = both.head.session.run(after);
        let (old, new) = match (old, new) {
            (Ok(old), Ok(new)) => (old, new),
            (Ok(_), Err(e)) => {
                failed
                    .get_or_insert_with(|| format!("the new version fails on row {}: {e}", n + 1));
                continue;
            }
            // What the old one did not answer can't be compared.
            (Err(_), _) => continue,
        };
        answered += 1;
        for (&(before, after), own) in pairs.iter().zip(&mut collected) {
            own.add(n + 1, &old[before], &new[after]);
        }
    }
    if answered == 0 {
        return Err(failed.unwrap_or_else(|| format!("neither answers inputs from {}", rows.basis)));
    }
    if let Some(failed) = failed {
        both.failed = Some(failed);
    }
    // Where an output names the class, the likeliest of another is the same.
    let named = collected.iter().any(|own| !own.classes.is_empty());
    let specs = &both.head.signature().outputs;
    let outputs = pairs.iter().zip(collected);
    Ok(Predictions {
        basis: rows.basis,
        rows: answered,
        outputs: outputs
            .map(|(&(_, head), own)| own.finish(&specs[head].name, !named))
            .collect(),
    })
}

/// The outputs that both have, by name; where none has the name of another,
/// by position.
fn outputs(base: &Signature, head: &Signature) -> Vec<(usize, usize)> {
    let by_name: Vec<_> = head
        .outputs
        .iter()
        .enumerate()
        .filter_map(|(h, spec)| Some((base.output_index(&spec.name)?, h)))
        .collect();
    if !by_name.is_empty() {
        return by_name;
    }
    let pairs = base.outputs.iter().zip(&head.outputs).enumerate();
    pairs
        .filter(|(_, (b, h))| b.dtype == h.dtype)
        .map(|(n, _)| (n, n))
        .collect()
}

struct Rows {
    basis: String,
    inputs: Vec<(Inputs, Inputs)>,
}

/// Inputs for both: training data beside the model, else golden cases and
/// inputs drawn at random around them.
fn rows(both: &mut Both<'_>, folders: &[PathBuf]) -> Result<Rows, String> {
    let cases = golden(both);
    if let Some((file, table)) = training(folders) {
        let features = |model: &VerifiedModel| model.manifest.features.clone();
        let (before, after) = (both.base.signature(), both.head.signature());
        let layouts = table
            .layout(before, &features(both.base_model))
            .and_then(|old| Ok((old, table.layout(after, &features(both.head_model))?)));
        if let Ok((old, new)) = layouts {
            let step = table.rows.len().div_ceil(ROWS).max(1);
            let mut inputs: Vec<_> = (0..table.rows.len())
                .step_by(step)
                .filter_map(|row| {
                    let old = table.inputs(&old, before, row).ok()?;
                    Some((old, table.inputs(&new, after, row).ok()?))
                })
                .collect();
            if !inputs.is_empty() {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let basis = format!(
                    "{} rows of {name} and {} golden cases",
                    inputs.len(),
                    cases.len()
                );
                inputs.extend(cases);
                return Ok(Rows { basis, inputs });
            }
        }
    }
    let signature = both.head.signature().clone();
    let manifest = &both.head_model.manifest;
    let mut sampler = Sampler::new(&both.head_model.id.name);
    sampler.keep_to(manifest, &signature);
    for (_, inputs) in &cases {
        sampler.learn(&signature, inputs);
    }
    let drawn = sampler.accepted(&mut *both.head.session, &signature, ROWS);
    let drawn: Vec<_> = drawn
        .into_iter()
        .filter_map(|new| Some((translated(&new, &signature, both.base.signature())?, new)))
        .collect();
    if drawn.is_empty() && cases.is_empty() {
        return Err("no input is known that both take".to_owned());
    }
    let around = match (manifest.ranges.is_empty(), cases.is_empty()) {
        (false, _) => " within [ranges]",
        (true, false) => " around them",
        (true, true) => "",
    };
    let basis = format!(
        "{} golden cases and {} inputs drawn at random{around}",
        cases.len(),
        drawn.len()
    );
    let inputs = cases.into_iter().chain(drawn).collect();
    Ok(Rows { basis, inputs })
}

/// The inputs of golden cases that both take.
fn golden(both: &Both<'_>) -> Vec<(Inputs, Inputs)> {
    let (before, after) = (both.base.signature(), both.head.signature());
    let mut cases: Vec<_> = both
        .head_model
        .cases
        .iter()
        .chain(&both.base_model.cases)
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases.dedup_by(|a, b| a.name == b.name && a.inputs == b.inputs);
    let inputs = cases.iter();
    inputs
        .filter_map(|case| Some((case.arrange(before).ok()?, case.arrange(after).ok()?)))
        .collect()
}

/// The inputs of one signature for another, by name.
fn translated(inputs: &Inputs, from: &Signature, to: &Signature) -> Option<Inputs> {
    let find = |name: &str| from.input_index(name).and_then(|i| inputs[i].clone());
    let own: Inputs = to.inputs.iter().map(|spec| find(&spec.name)).collect();
    to.check(&own).ok().map(|()| own)
}

/// The training data beside the model.
fn training(folders: &[PathBuf]) -> Option<(PathBuf, Table)> {
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| csv_files(folder))
        .collect();
    // The name that the guide gives it comes first.
    files.sort_by_key(|file| !file.ends_with("training.csv"));
    files.into_iter().find_map(|file| {
        let table = Table::read(&file, TABLE).ok()?;
        (!table.rows.is_empty()).then_some((file, table))
    })
}

fn csv_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|t| t.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    files
}
