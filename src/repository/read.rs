//! Proving a version: its bytes are the ones that its manifest names.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Candidate, Digest, GoldenCase, MANIFEST, Manifest, ModelId, Problem,
    files::Folder,
    manifest::refused_path,
    onnx::{Outline, outline},
    problem::quoted,
    scan::content,
    signature::{self, SIGNATURE, Signed, Trust},
};
use crate::engine::ModelBytes;

/// A version whose bytes are proved to be the ones that its manifest names.
#[derive(Debug, Clone)]
pub struct VerifiedModel {
    /// What tells it from every other.
    pub id: ModelId,
    /// Its manifest.
    pub manifest: Manifest,
    /// The bytes that were hashed.
    pub bytes: ModelBytes,
    /// What the ONNX file says of itself.
    pub outline: Outline,
    /// Its golden cases, by name.
    pub cases: Vec<GoldenCase>,
    /// Whether its signature was verified.
    pub signed: Signed,
}

/// Reads each file of `candidate` once, and proves that it is what the
/// manifest names: the sha256 of every file, the stamp, that nothing lies in
/// the folder or is loaded by the graph which the manifest does not list.
///
/// # Errors
/// Everything that is wrong.
pub fn read(candidate: &Candidate) -> Result<VerifiedModel, Vec<Problem>> {
    read_trusted(candidate, &Trust::default())
}

/// [`read`], and the signature holds by the keys of `trust`, for the very
/// bytes that are handed out.
///
/// # Errors
/// Everything that is wrong.
pub fn read_trusted(candidate: &Candidate, trust: &Trust) -> Result<VerifiedModel, Vec<Problem>> {
    let folder = Folder::open(&candidate.folder).map_err(|p| vec![p])?;
    let manifest = &candidate.manifest;
    let mut problems = folder.unlisted(manifest);

    let mut files: Vec<(&str, Arc<[u8]>)> = Vec::new();
    let mut known = BTreeMap::from([(MANIFEST.to_owned(), candidate.manifest_digest)]);
    for file in &manifest.files {
        let bytes = match folder.bytes(&file.path) {
            Ok(bytes) => bytes,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let got = Digest::of(&bytes);
        if got != file.sha256 {
            let reason = format!("its sha256 is {got}, and {MANIFEST} says {}", file.sha256);
            let remedy = "put the file back that the manifest names, or make a new version with \
                          `modelship add`";
            problems.push(Problem::new(
                candidate.folder.join(&file.path),
                reason,
                remedy,
            ));
        }
        known.insert(file.path.clone(), got);
        files.push((&file.path, bytes));
    }

    let own = &manifest.graph().path;
    let graph_file = candidate.folder.join(own);
    let graph = files.iter().find(|(path, _)| path == own);
    let mut external = Vec::new();
    let mut about = Outline::default();
    // Of bytes that are not the model's, nothing more needs to be said.
    let is_own = known.get(own) == Some(&manifest.graph().sha256);
    if let Some((_, graph)) = graph.filter(|_| is_own) {
        match outline(graph) {
            Ok(outline) => {
                stamp(&graph_file, manifest, &outline, &mut problems);
                external = externals(&graph_file, own, &outline, manifest, &files, &mut problems);
                about = outline;
            }
            Err(e) => problems.push(Problem::new(
                &graph_file,
                e.to_string(),
                "export the model to ONNX again, and add it with `modelship add`",
            )),
        }
    }

    let bundle = folder.signature().unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let cases = cases(
        &folder,
        candidate,
        bundle.as_deref(),
        &mut known,
        &mut problems,
    );
    let at = &candidate.folder;
    let signed =
        signature::check(&folder, at, bundle.as_deref(), &known, trust).unwrap_or_else(|problem| {
            problems.push(problem);
            Signed::Unsigned
        });
    match graph {
        Some((_, graph)) if problems.is_empty() => Ok(VerifiedModel {
            id: candidate.id.clone(),
            manifest: manifest.clone(),
            bytes: ModelBytes {
                graph: graph.clone(),
                external,
            },
            outline: about,
            cases,
            signed,
        }),
        _ => Err(problems),
    }
}

fn stamp(file: &Path, manifest: &Manifest, outline: &Outline, problems: &mut Vec<Problem>) {
    let expected = manifest.version.to_string();
    let reason = match &outline.stamp {
        Some(stamp) if *stamp == expected => return,
        Some(stamp) => format!("it is stamped {}", quoted(stamp)),
        None => "it bears no stamp".to_owned(),
    };
    problems.push(Problem::new(
        file,
        format!("{reason}, and {MANIFEST} says {expected}"),
        "add it with `modelship add`, which stamps it",
    ));
}

/// The bytes of each file that the graph takes tensors from, by the name that
/// the graph has for it.
fn externals(
    graph_file: &Path,
    graph: &str,
    outline: &Outline,
    manifest: &Manifest,
    files: &[(&str, Arc<[u8]>)],
    problems: &mut Vec<Problem>,
) -> Vec<(String, Arc<[u8]>)> {
    let mut external = Vec::new();
    for location in &outline.external {
        let plain = location.strip_prefix("./").unwrap_or(location);
        if let Some(reason) = refused_path(plain) {
            problems.push(Problem::new(
                graph_file,
                format!("it takes tensors from {}: {reason}", quoted(location)),
                "export the model with its external data beside it",
            ));
            continue;
        }
        // Locations are relative to the ONNX file.
        let path = match graph.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{plain}"),
            None => plain.to_owned(),
        };
        if manifest.file(&path).is_none() {
            problems.push(Problem::new(
                graph_file,
                format!(
                    "it takes tensors from {}, which the manifest does not list",
                    quoted(location)
                ),
                format!(
                    "add {} to [[files]] in {MANIFEST} with its sha256",
                    quoted(&path)
                ),
            ));
        } else if let Some((_, bytes)) = files.iter().find(|(p, _)| *p == path) {
            external.push((location.clone(), bytes.clone()));
        }
    }
    external
}

/// The golden cases; the digests of their bytes go into `known`.
fn cases(
    folder: &Folder,
    candidate: &Candidate,
    bundle: Option<&[u8]>,
    known: &mut BTreeMap<String, Digest>,
    problems: &mut Vec<Problem>,
) -> Vec<GoldenCase> {
    let paths = match folder.cases() {
        Ok(paths) => paths,
        Err(problem) => {
            problems.push(problem);
            return Vec::new();
        }
    };
    let (mut cases, mut digests) = (Vec::new(), Vec::new());
    for path in paths {
        let file: PathBuf = candidate.folder.join(&path);
        let bytes = match folder.text(&path) {
            Ok(bytes) => bytes,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let digest = Digest::of(&bytes);
        known.insert(path.clone(), digest);
        digests.push((path, digest));
        match GoldenCase::parse(&file, &bytes) {
            Ok(case) => cases.push(case),
            Err(problem) => problems.push(problem),
        }
    }
    digests.extend(bundle.map(|bytes| (SIGNATURE.to_owned(), Digest::of(bytes))));
    let now = content(candidate.manifest_digest, &candidate.manifest, &digests);
    if problems.is_empty() && now != candidate.id.content {
        problems.push(Problem::new(
            &candidate.folder,
            "its golden cases or its signature changed after it was scanned",
            "scan it again",
        ));
    }
    cases
}

#[cfg(test)]
mod tests;
