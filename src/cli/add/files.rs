//! The files of a version, prepared beside their place and put there at once.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};

use crate::{
    cli::scratch::{Scratch, undivided},
    engine::ModelBytes,
    repository::{Digest, ModelFile, Version, onnx, stamp},
};

/// The bytes of a new version.
pub(super) struct Bytes {
    pub(super) model: ModelBytes,
    pub(super) files: Vec<ModelFile>,
    pub(super) outline: onnx::Outline,
}

impl Bytes {
    /// Reads the ONNX file `source` and the external data beside it, and
    /// stamps it. `graph` is the path that it gets in the model's folder.
    pub(super) fn read(source: &Path, graph: &str, version: &Version) -> anyhow::Result<Self> {
        let shown = source.display();
        let bytes = fs::read(source).with_context(|| format!("{shown} can't be read"))?;
        if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
            bail!(
                "{shown} is a Git LFS pointer: the file itself was not fetched; run `git lfs pull`"
            );
        }
        let outline = onnx::outline(&bytes).with_context(|| format!("{shown} can't be added"))?;
        let stamped: Arc<[u8]> = stamp::write(&bytes, version)?.into();
        let mut files = vec![ModelFile {
            path: graph.to_owned(),
            sha256: Digest::of(&stamped),
        }];
        let within = graph
            .rsplit_once('/')
            .map(|(folder, _)| format!("{folder}/"));
        let mut external = Vec::new();
        for location in &outline.external {
            let plain = location.strip_prefix("./").unwrap_or(location);
            let inside = Path::new(plain)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            if !inside || plain.contains('\\') {
                bail!(
                    "{shown} takes tensors from \"{location}\", outside its own folder: export it with its \
                     external data beside it"
                );
            }
            let file = source.parent().unwrap_or(Path::new("")).join(plain);
            let data: Arc<[u8]> = fs::read(&file)
                .with_context(|| {
                    format!(
                        "{shown} takes tensors from {}, which can't be read",
                        file.display()
                    )
                })?
                .into();
            files.push(ModelFile {
                path: format!("{}{plain}", within.as_deref().unwrap_or_default()),
                sha256: Digest::of(&data),
            });
            external.push((location.clone(), data));
        }
        Ok(Self {
            model: ModelBytes {
                graph: stamped,
                external,
            },
            files,
            outline,
        })
    }

    /// Each file's path in the model's folder, and its bytes.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let external = self.model.external.iter().map(|(_, bytes)| &**bytes);
        let bytes = std::iter::once(&*self.model.graph).chain(external);
        self.files.iter().map(|f| &*f.path).zip(bytes)
    }

    /// The bytes of all files together.
    pub(super) fn size(&self) -> u64 {
        self.each().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// Files prepared in a hidden folder beside their place.
pub(super) struct Prepared {
    scratch: Scratch,
    /// Paths in the model's folder, in the order in which they go there.
    paths: Vec<String>,
}

impl Prepared {
    /// Prepares files for a folder in `models`, which is made if need be.
    pub(super) fn in_repository(models: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(models)
            .with_context(|| format!("the folder {} can't be made", models.display()))?;
        Ok(Self {
            scratch: Scratch::within(models)?,
            paths: Vec::new(),
        })
    }

    /// Prepares one file.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.scratch.path().join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, bytes).with_context(|| format!("{} can't be written", file.display()))?;
        self.paths.push(path.to_owned());
        Ok(())
    }

    /// Moves every file to its place in `folder`, and removes `stale` ones
    /// from it, undisturbed by signals. What is the same already is left
    /// alone.
    pub(super) fn commit(self, folder: &Path, stale: &[PathBuf]) -> anyhow::Result<()> {
        undivided(|| {
            for path in &self.paths {
                let (from, to) = (self.scratch.path().join(path), folder.join(path));
                if fs::read(&to).is_ok_and(|old| fs::read(&from).is_ok_and(|new| old == new)) {
                    continue;
                }
                if let Some(parent) = to.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::rename(&from, &to)
                    .with_context(|| format!("{} can't be written", to.display()))?;
            }
            for path in stale {
                let file = folder.join(path);
                match fs::remove_file(&file) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(e)
                            .with_context(|| format!("{} can't be removed", file.display()));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}
