//! What is known of one version, and how its words change.

use std::collections::BTreeSet;

use crate::{
    repository::{Manifest, VerifiedModel, signature::SIGNATURE},
    review::report::{VersionFacts, WordChange},
    scheduler::Placement,
    tensor::{Signature, TensorSpec},
};

pub(super) fn facts(model: &VerifiedModel, signature: Option<&Signature>) -> VersionFacts {
    let external = model.bytes.external.iter().map(|(_, bytes)| bytes.len());
    let outline = &model.outline;
    let specs = |specs: Option<&Vec<TensorSpec>>| {
        let lines = specs.into_iter().flatten();
        lines.map(line).collect()
    };
    VersionFacts {
        version: model.id.version.to_string(),
        sha256: model.manifest.graph().sha256.to_string(),
        bytes: (model.bytes.graph.len() + external.sum::<usize>()) as u64,
        parameters: outline.parameters(),
        producer: outline.producer.clone(),
        opsets: outline.opsets.clone(),
        operators: outline.operators.clone(),
        inputs: specs(signature.map(|s| &s.inputs)),
        outputs: specs(signature.map(|s| &s.outputs)),
    }
}

fn line(spec: &TensorSpec) -> String {
    let optional = if spec.optional { ", optional" } else { "" };
    format!(
        "{}: {} {}{optional}",
        spec.name,
        spec.dtype,
        spec.shape_text()
    )
}

/// How what people wrote in the manifest changes.
pub(super) fn words(base: &Manifest, head: &Manifest) -> Vec<WordChange> {
    let mut changes = Vec::new();
    let mut compare = |key: &str, base: String, head: String| {
        if base != head {
            let key = key.to_owned();
            changes.push(WordChange { key, base, head });
        }
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    compare(
        "description",
        base.description.clone(),
        head.description.clone(),
    );
    compare("license", text(&base.license), text(&head.license));
    let tolerance = |m: &Manifest| {
        format!(
            "absolute {:e}, relative {:e}",
            m.tolerance.absolute, m.tolerance.relative
        )
    };
    compare("golden", tolerance(base), tolerance(head));
    compare("scheduling", settings(base), settings(head));
    let keys: BTreeSet<&String> = base.labels.keys().chain(head.labels.keys()).collect();
    for key in keys {
        let value = |m: &Manifest| m.labels.get(key).cloned().unwrap_or_default();
        compare(&format!("labels.{key}"), value(base), value(head));
    }
    let keys: BTreeSet<&String> = base.ranges.keys().chain(head.ranges.keys()).collect();
    for key in keys {
        let value = |m: &Manifest| m.ranges.get(key).map(ToString::to_string);
        let [before, after] = [base, head].map(|m| value(m).unwrap_or_default());
        compare(&format!("ranges.{key}"), before, after);
    }
    changes
}

/// How who signed changes, as the files themselves say it.
pub(super) fn signer(base: &VerifiedModel, head: &VerifiedModel) -> Option<WordChange> {
    let [before, after] = [base, head].map(|model| model.signed.claim());
    (before != after).then(|| WordChange {
        key: SIGNATURE.to_owned(),
        base: before,
        head: after,
    })
}

/// The settings that the owner made, as the manifest names them.
fn settings(manifest: &Manifest) -> String {
    let own = &manifest.scheduling;
    let placement = match own.placement {
        Placement::Auto => None,
        Placement::Inline => Some("\"inline\"".to_owned()),
        Placement::Threads => Some("\"threads\"".to_owned()),
    };
    let number = |n: Option<usize>| n.map(|n| n.to_string());
    let level = |n: Option<u32>| n.map(|n| n.to_string());
    let time = |t: Option<std::time::Duration>| t.map(|t| format!("{t:?}"));
    let set = [
        ("max_batch_size", number(own.max_batch_size)),
        ("max_queue_size", number(own.max_queue_size)),
        ("max_queue_delay", time(own.max_queue_delay)),
        ("instances", number(own.instances)),
        ("intra_threads", number(own.intra_threads)),
        ("placement", placement),
        ("priority_levels", level(own.priority_levels)),
        ("default_priority", level(own.default_priority)),
        ("default_timeout", time(own.default_timeout)),
        ("max_run_time", time(own.max_run_time)),
    ];
    let lines = set
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key} = {}", value?)));
    lines.collect::<Vec<_>>().join(", ")
}
