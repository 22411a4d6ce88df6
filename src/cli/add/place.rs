//! Where a version goes, and whether it may go there.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::{
    repository::{self, Candidate, MANIFEST, ModelFile, Problem, Version},
    review::{History, git::Repository, same_bytes},
};

/// The folder of a version, and the version that stands there.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) standing: Option<Candidate>,
    /// Other versions of the model, which stay.
    others: Vec<Candidate>,
}

impl Place {
    /// Finds the place of `version` of the model `name`: the folder of the
    /// model, or one of its own where versions stand side by side, or are
    /// asked to.
    pub(super) fn find(
        models: &Path,
        name: &str,
        version: &Version,
        beside: bool,
    ) -> anyhow::Result<Self> {
        let model = models.join(name);
        let own = model.join(version.to_string());
        let versions = versions(&model);
        let flat = model.join(MANIFEST).exists();
        let folder =
            if own.join(MANIFEST).exists() || flat && beside || !flat && !versions.is_empty() {
                own
            } else {
                model.clone()
            };
        let mut standing = None;
        let mut others = Vec::new();
        let mut all = versions;
        if flat {
            all.push(model);
        }
        for place in all {
            match repository::scan_folder(&place) {
                Ok(candidate) if place == folder => standing = Some(candidate),
                Ok(candidate) => others.push(candidate),
                // A broken manifest could not be edited, and must not be lost.
                Err(problems) if place == folder => bail!("{}", lines(&problems)),
                Err(_) => {}
            }
        }
        Ok(Self {
            folder,
            standing,
            others,
        })
    }

    /// Refuses a version that is not newer than the one that it replaces, or
    /// that other bytes have had. `files` are those of the new version.
    pub(super) fn admit(
        &self,
        name: &str,
        version: &Version,
        files: &[ModelFile],
        beside: bool,
    ) -> anyhow::Result<()> {
        if let Some(own) = self.others.iter().find(|c| c.id.version == *version) {
            bail!(
                "{name} {version} stands in {} already",
                own.folder.display()
            );
        }
        let newest = self
            .standing
            .iter()
            .chain(&self.others)
            .map(|c| &c.id.version)
            .max();
        let next = |above: &Version| Version::new(above.major(), above.minor() + 1, 0);
        match &self.standing {
            Some(own) if own.id.version == *version => {
                if !same_bytes(&own.manifest.files, files) {
                    bail!(
                        "{name} {version} stands in {} with other bytes, and a version never gets \
                         others: raise it, to {} or more",
                        own.folder.display(),
                        next(version)
                    );
                }
                return Ok(());
            }
            Some(own) if own.id.version > *version => bail!(
                "{version} is not newer than {}, which stands in {}: raise it, to {} or more",
                own.id.version,
                own.folder.display(),
                next(&own.id.version)
            ),
            None if !beside && newest.is_some_and(|newest| newest > version) => {
                if let Some(newest) = newest {
                    bail!(
                        "{version} is not newer than {newest}, the newest version of {name}: raise it, or \
                         say --beside to serve the older one as well"
                    );
                }
            }
            _ => {}
        }
        if merged_with_other_bytes(&self.folder, name, version, files) {
            bail!(
                "{name} {version} was committed before with other bytes, and a version never gets \
                 others: raise it, to {} or more",
                next(newest.map_or(version, |newest| newest.max(version)))
            );
        }
        Ok(())
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// The folders of versions in a model's folder.
fn versions(model: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(model).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path());
    folders
        .filter(|folder| folder.join(MANIFEST).exists() && !is_hidden(folder))
        .collect()
}

fn is_hidden(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

/// Whether git's history knows this version with other bytes. Where there is
/// no git, or nothing is committed yet, nothing is known.
fn merged_with_other_bytes(
    folder: &Path,
    name: &str,
    version: &Version,
    files: &[ModelFile],
) -> bool {
    let Some(repository) = Repository::of(folder) else {
        return false;
    };
    let history = repository
        .commit("HEAD")
        .and_then(|head| History::of(&repository, &head, ""));
    history.is_ok_and(|history| history.had(name, version, files) == Some(false))
}
