//! What lies where it should not, and what git would not carry.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Findings, Request, Rule, Severity};
use crate::{
    repository::{MANIFEST, Problem, Scan, shell},
    review::git::{GitError, Repository},
};

/// Models that nobody will find: a manifest below the folders that are
/// looked at, an ONNX file without a manifest beside it.
pub(super) fn misplaced(root: &Path, findings: &mut Findings) {
    // Level 0 is the repository, 1 a model, 2 a version.
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, level)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut graphs = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if name.starts_with('.') || kind.is_symlink() {
                continue;
            }
            let path = entry.path();
            if kind.is_dir() {
                if level < 8 {
                    folders.push((path, level + 1));
                }
            } else if name.ends_with(".onnx") {
                graphs.push(path);
            } else if name == MANIFEST && (level == 0 || level > 2) {
                let remedy = "move the folder to <models>/<name>/ or <models>/<name>/<version>/";
                let problem = Problem::new(path, "nobody looks for a manifest here", remedy);
                findings.add(Severity::Error, Rule::Repository, problem);
            }
        }
        // Within a model's folder, unlisted files are told of anyway.
        let in_model = || {
            let above = folder.ancestors().take_while(|f| f.starts_with(root));
            let mut own = above.filter(|&f| f != root);
            own.any(|f| f.join(MANIFEST).exists())
        };
        if !graphs.is_empty() && !folder.join(MANIFEST).exists() && !in_model() {
            findings.add_all(
                Severity::Error,
                Rule::Repository,
                graphs.into_iter().map(|graph| {
                    let reason = format!("it has no {MANIFEST} beside it, so it is no model");
                    Problem::new(
                        graph,
                        reason,
                        "add it with `modelship add`, and take the file out",
                    )
                }),
            );
        }
    }
}

/// What git knows of a model repository, whatever is in it.
pub(super) struct Git {
    repository: Repository,
    /// The files in it that `.gitignore` names.
    ignored: Result<Vec<String>, GitError>,
}

impl Git {
    /// Asks git; `None` where `models` is in no repository of its.
    pub(super) fn of(models: &Path) -> Option<Self> {
        let repository = Repository::of(models)?;
        let folder = repository.relative(models).unwrap_or_default();
        Some(Self {
            ignored: repository.ignored(&folder),
            repository,
        })
    }
}

/// Large files that git itself would keep, and listed files that it ignores.
pub(super) fn git(request: &Request<'_>, git: Git, scan: &Scan, findings: &mut Findings) {
    let Git {
        repository,
        ignored,
    } = git;
    let mut large = Vec::new();
    let mut listed = Vec::new();
    for candidate in &scan.candidates {
        let Some(folder) = repository.relative(&candidate.folder) else {
            continue;
        };
        for file in &candidate.manifest.files {
            let path = candidate.folder.join(&file.path);
            let relative = format!("{folder}/{}", file.path);
            let size = fs::metadata(&path).map_or(0, |m| m.len());
            if size > request.large_file {
                large.push((relative.clone(), path.clone(), size));
            }
            listed.push((relative, path));
        }
    }
    let paths: Vec<String> = large
        .iter()
        .map(|(relative, ..)| relative.clone())
        .collect();
    match repository.in_lfs(&paths) {
        Ok(kept) => {
            for (relative, path, size) in large {
                if kept.contains(&relative) {
                    continue;
                }
                let pattern = path.extension().map_or_else(
                    || PathBuf::from(&relative),
                    |extension| Path::new(&format!("*.{}", extension.to_string_lossy())).into(),
                );
                let problem = Problem::new(
                    path,
                    format!(
                        "it has {:.1} MB, more than the {:.1} MB that git keeps well",
                        megabytes(size),
                        megabytes(request.large_file)
                    ),
                    format!(
                        "keep it in Git LFS: `git lfs track {}`, then add it again",
                        shell(&pattern)
                    ),
                );
                findings.add(Severity::Error, Rule::Git, problem);
            }
        }
        Err(e) => warn(request.models, &e.to_string(), findings),
    }
    match ignored {
        Ok(ignored) => findings.add_all(
            Severity::Error,
            Rule::Git,
            listed
                .into_iter()
                .filter(|(relative, _)| ignored.contains(relative))
                .map(|(_, path)| {
                    let remedy =
                        "take the rule out of .gitignore, or add the file with `git add --force`";
                    Problem::new(
                        path,
                        ".gitignore names it, so git would leave it behind",
                        remedy,
                    )
                }),
        ),
        Err(e) => warn(request.models, &e.to_string(), findings),
    }
}

fn warn(models: &Path, reason: &str, findings: &mut Findings) {
    let problem = Problem::new(models, reason, "files are not checked against git");
    findings.add(Severity::Warning, Rule::Git, problem);
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
