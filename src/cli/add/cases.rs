//! Golden cases to record: from a file, from the version before, or drawn at
//! random.

mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::table::{Claim, table};
use crate::{
    repository::{GoldenCase, Mismatch, Tolerance, onnx},
    review::{
        Sampler,
        exercise::Loaded,
        rows::{Features, from_json},
        unrepeated::Unrepeated,
    },
    scheduler::Inputs,
    tensor::{Signature, Tensor},
};

/// How many cases are drawn where none are given.
const DRAWN: usize = 8;

/// What was recorded.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) cases: Vec<GoldenCase>,
    /// Names of columns that were learned from the file.
    pub(super) features: Features,
    /// What a person should know, in sentences.
    pub(super) notes: Vec<String>,
}

/// What to record cases from.
pub(super) struct Sources<'a> {
    pub(super) file: Option<&'a Path>,
    /// The most cases that the file gives.
    pub(super) most: usize,
    /// The cases of the version that is replaced.
    pub(super) standing: &'a [GoldenCase],
    pub(super) features: &'a Features,
    pub(super) tolerance: Tolerance,
    /// Decides what is drawn.
    pub(super) seed: &'a str,
}

/// Records golden cases of the model in `loaded`.
pub(super) fn record(loaded: &mut Loaded, sources: &Sources<'_>) -> anyhow::Result<Recorded> {
    let mut recorded = Recorded::default();
    let signature = loaded.signature().clone();
    keep(loaded, sources, &mut recorded);
    if let Some(file) = sources.file {
        let given = given(file, &signature, sources, &mut recorded)
            .with_context(|| format!("--cases {}", file.display()))?;
        if given.is_empty() {
            bail!("--cases {}: there is no case in it", file.display());
        }
        for (case, claims) in given {
            let own = answered(loaded, &case, sources.tolerance)
                .with_context(|| format!("--cases {}: {}", file.display(), case.name))?;
            for claim in claims {
                claim
                    .hold(&own, sources.tolerance)
                    .with_context(|| format!("--cases {}", file.display()))?;
            }
            recorded.cases.retain(|c| c.name != own.name);
            recorded.cases.push(own);
        }
    } else if recorded.cases.is_empty() {
        let mut sampler = Sampler::new(sources.seed);
        let drawn = sampler.accepted(&mut *loaded.session, &signature, DRAWN);
        if drawn.is_empty() {
            bail!(
                "the model refused every input that was drawn at random within its shapes and types: \
                 give inputs that it takes with --cases"
            );
        }
        let mut is_steady = true;
        for (n, inputs) in drawn.into_iter().enumerate() {
            let case = case(format!("sampled-{}", n + 1), &signature, &inputs, true);
            let own = answered(loaded, &case, sources.tolerance)?;
            let again = answered(loaded, &case, sources.tolerance)?;
            is_steady &= !differs(&own, &again, sources.tolerance);
            recorded.cases.push(own);
        }
        recorded.notes.push(if is_steady {
            format!(
                "{} golden cases were drawn at random: better are inputs whose answers you know, \
                 given with --cases",
                recorded.cases.len()
            )
        } else {
            // Such as dropout in training mode: no answer could be held to.
            recorded.cases.clear();
            "no golden case was recorded: asked the same twice, the model gives different answers"
                .to_owned()
        });
    }
    recorded.cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(recorded)
}

/// Keeps the inputs of the version before, with the answers of this one.
/// Cases drawn at random give way to a person's.
fn keep(loaded: &mut Loaded, sources: &Sources<'_>, recorded: &mut Recorded) {
    let (mut changed, mut dropped) = (0, Vec::new());
    let standing = sources.standing.iter();
    for old in standing.filter(|case| !case.sampled || sources.file.is_none()) {
        let inputs = GoldenCase {
            outputs: Vec::new(),
            ..old.clone()
        };
        match answered(loaded, &inputs, sources.tolerance) {
            Ok(own) => {
                changed += usize::from(differs(old, &own, sources.tolerance));
                recorded.cases.push(own);
            }
            Err(e) => dropped.push(format!("{} ({e:#})", old.name)),
        }
    }
    let kept = recorded.cases.len();
    if kept > 0 {
        recorded.notes.push(format!(
            "{kept} golden case{} kept, {changed} of them with a new answer",
            if kept == 1 { "" } else { "s" }
        ));
    }
    if !dropped.is_empty() {
        recorded.notes.push(format!(
            "golden cases that this version does not take, and that are gone: {}",
            dropped.join(", ")
        ));
    }
}

fn differs(old: &GoldenCase, new: &GoldenCase, tolerance: Tolerance) -> bool {
    old.outputs.iter().any(|(name, expected)| {
        let got = new.outputs.iter().find(|(own, _)| own == name);
        got.is_none_or(|(_, got)| {
            crate::repository::compare_outputs(name, expected, got, tolerance).is_err()
        })
    })
}

/// The case with the model's answer. Where it has an answer already, the
/// model must give it.
fn answered(
    loaded: &mut Loaded,
    case: &GoldenCase,
    tolerance: Tolerance,
) -> anyhow::Result<GoldenCase> {
    let (_, outputs) = loaded.run(case).map_err(anyhow::Error::msg)?;
    let signature = loaded.signature();
    case.verify(signature, &outputs, tolerance)
        .map_err(|mismatch: Mismatch| anyhow::anyhow!("{mismatch}"))?;
    let names = signature.outputs.iter().map(|spec| spec.name.to_string());
    Ok(GoldenCase {
        outputs: names.zip(outputs).collect(),
        ..case.clone()
    })
}

fn case(name: String, signature: &Signature, inputs: &Inputs, sampled: bool) -> GoldenCase {
    let named = signature.inputs.iter().zip(inputs);
    GoldenCase {
        name,
        description: None,
        inputs: named
            .filter_map(|(spec, tensor)| Some((spec.name.to_string(), tensor.clone()?)))
            .collect(),
        outputs: Vec::new(),
        sampled,
    }
}

/// The cases of a file or folder, and what cells say of their answers; those
/// without outputs have yet to be answered.
fn given(
    file: &Path,
    signature: &Signature,
    sources: &Sources<'_>,
    recorded: &mut Recorded,
) -> anyhow::Result<Vec<(GoldenCase, Vec<Claim>)>> {
    let alone = |cases: Vec<GoldenCase>| cases.into_iter().map(|case| (case, Vec::new())).collect();
    if file.is_dir() {
        return test_data(file, signature).map(alone);
    }
    let extension = file
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    match &*extension {
        "csv" => table(file, signature, sources, recorded),
        "json" | "jsonl" | "ndjson" => json(file, signature, sources, recorded).map(alone),
        _ => bail!(
            "cases come as JSON lines (.jsonl), CSV (.csv), or a folder test_data_set_* of ONNX"
        ),
    }
}

/// `case-01` to `case-64`, so that they sort as they stood.
fn number(n: usize, of: usize) -> String {
    let width = of.to_string().len();
    format!("case-{:0width$}", n + 1)
}

fn limit(count: usize, most: usize, recorded: &mut Recorded) -> usize {
    if count > most {
        recorded.notes.push(format!(
            "only the first {most} rows became golden cases: --max-cases takes more"
        ));
    }
    count.min(most)
}

fn json(
    file: &Path,
    signature: &Signature,
    sources: &Sources<'_>,
    recorded: &mut Recorded,
) -> anyhow::Result<Vec<GoldenCase>> {
    let text = fs::read_to_string(file)?;
    // One value on each line, or one in the whole file: an array is its items.
    let values: Vec<Value> = match serde_json::from_str(&text) {
        Ok(Unrepeated(Value::Array(items)))
            if signature.inputs.len() > 1 || items.iter().any(|i| !i.is_number()) =>
        {
            items
        }
        Ok(Unrepeated(value)) => vec![value],
        // It is JSON, and wrong.
        Err(e) if e.is_data() => return Err(e.into()),
        Err(_) => {
            let lines = text
                .lines()
                .enumerate()
                .filter(|(_, line)| !line.trim().is_empty());
            lines
                .map(|(n, line)| {
                    let read = serde_json::from_str(line);
                    let Unrepeated(value) = read.with_context(|| format!("line {}", n + 1))?;
                    Ok(value)
                })
                .collect::<anyhow::Result<_>>()?
        }
    };
    let count = limit(values.len(), sources.most, recorded);
    let mut cases = Vec::new();
    for (n, value) in values.iter().take(count).enumerate() {
        let name = number(n, count);
        let is_request = value.get("inputs").is_some_and(Value::is_array)
            && signature.input_index("inputs").is_none();
        cases.push(if is_request {
            let own = GoldenCase::parse_request(Path::new(&name), value.to_string().as_bytes());
            own.map_err(|problem| anyhow::anyhow!("{}", problem.reason))
                .with_context(|| format!("case {}", n + 1))?
        } else {
            let inputs = from_json(value, signature, sources.features)
                .with_context(|| format!("case {}", n + 1))?;
            case(name, signature, &inputs, false)
        });
    }
    Ok(cases)
}

/// ONNX's own form: `test_data_set_0/input_0.pb`, `output_0.pb` and so on.
fn test_data(folder: &Path, signature: &Signature) -> anyhow::Result<Vec<GoldenCase>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && path.join("input_0.pb").is_file())
        .collect();
    if folder.join("input_0.pb").is_file() {
        folders = vec![folder.to_owned()];
    }
    folders.sort();
    if folders.is_empty() {
        bail!("it holds no input_0.pb, and no folder that does");
    }
    folders
        .iter()
        .map(|own| {
            let inputs: Vec<&str> = signature.inputs.iter().map(|i| &*i.name).collect();
            let outputs: Vec<&str> = signature.outputs.iter().map(|o| &*o.name).collect();
            let name = own.canonicalize()?;
            let name = name
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok(GoldenCase {
                name: file_name(&name),
                description: None,
                inputs: tensors(own, "input", &inputs)?,
                outputs: tensors(own, "output", &outputs)?
                    .into_iter()
                    .map(|(name, tensor)| (name, tensor.into()))
                    .collect(),
                sampled: false,
            })
        })
        .collect()
}

/// A name that is plain in a path.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let own: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    own.trim_start_matches('.').to_owned()
}

/// `SIDE_0.pb`, `SIDE_1.pb` and so on, by the name in the file, else by order.
fn tensors(folder: &Path, side: &str, names: &[&str]) -> anyhow::Result<Vec<(String, Tensor)>> {
    let mut tensors = Vec::new();
    for n in 0.. {
        let file = folder.join(format!("{side}_{n}.pb"));
        if !file.is_file() {
            break;
        }
        let read = fs::read(&file).map_err(anyhow::Error::from);
        let (own, tensor) = read
            .and_then(|bytes| Ok(onnx::tensor(&bytes)?))
            .with_context(|| format!("{}", file.display()))?;
        let name = names
            .iter()
            .find(|name| **name == own)
            .or_else(|| names.get(n))
            .with_context(|| format!("{}: the model has no {side} number {n}", file.display()))?;
        tensors.push(((*name).to_owned(), tensor));
    }
    Ok(tensors)
}
