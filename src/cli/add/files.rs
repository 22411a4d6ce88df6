//! The files of a version, prepared beside their place and put there at once.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};

use crate::{
    cli::{
        exchange,
        scratch::{Scratch, undivided},
    },
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

/// The folder of a version, prepared in a hidden folder beside its place.
pub(super) struct Prepared {
    scratch: Scratch,
    /// Paths in the model's folder.
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

    fn new_folder(&self) -> PathBuf {
        self.scratch.path().join("new")
    }

    /// Prepares one file.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.new_folder().join(path);
        undivided(|| {
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&file, bytes)
        })
        .with_context(|| format!("{} can't be written", file.display()))?;
        self.paths.push(path.to_owned());
        Ok(())
    }

    /// Puts the prepared folder at `folder`, in one step. What stands there
    /// stands there still, but for what was prepared and what is `stale`.
    /// Gives whether anything changed.
    pub(super) fn commit(self, folder: &Path, stale: &[PathBuf]) -> anyhow::Result<bool> {
        let new = self.new_folder();
        let is_as_it_was = |path: &String| is_same(&new.join(path), &folder.join(path));
        if self.paths.iter().all(is_as_it_was)
            && !stale.iter().any(|path| folder.join(path).exists())
        {
            return Ok(false);
        }
        let failed = || format!("{} can't be written", folder.display());
        // A link to the folder stays one.
        let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if place.is_dir() {
            undivided(|| carry(&place, &new, Path::new(""), stale)).with_context(failed)?;
        } else if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).with_context(failed)?;
        }
        undivided(|| exchange::put(self.scratch.path(), &new, &place)).with_context(failed)?;
        Ok(true)
    }
}

fn is_same(new: &Path, old: &Path) -> bool {
    fs::read(old).is_ok_and(|old| fs::read(new).is_ok_and(|new| old == new))
}

/// Brings what lies in the folder `at` of `old` into `new`, where it is not
/// `stale` and nothing else was prepared in its place. A file is the same file
/// in both; where that can't be, it is copied.
fn carry(old: &Path, new: &Path, at: &Path, stale: &[PathBuf]) -> io::Result<()> {
    let (from, to) = (old.join(at), new.join(at));
    fs::create_dir_all(&to)?;
    fs::set_permissions(&to, fs::metadata(&from)?.permissions())?;
    for entry in fs::read_dir(&from)? {
        let entry = entry?;
        let path = at.join(entry.file_name());
        let (from, to) = (old.join(&path), new.join(&path));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            carry(old, new, &path, stale)?;
            continue;
        }
        let is_prepared = to.exists();
        if stale.contains(&path) || is_prepared && !is_same(&to, &from) {
            continue;
        }
        if is_prepared {
            fs::remove_file(&to)?;
        }
        match fs::hard_link(&from, &to) {
            Err(_) if kind.is_file() => drop(fs::copy(&from, &to)?),
            Err(_) if kind.is_symlink() => symlink(fs::read_link(&from)?, &to)?,
            linked => linked?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_prepared_stays_as_it_is() {
        let models = tempfile::tempdir().unwrap();
        let folder = models.path().join("line");
        let put = |path: &str, text: &str| {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        put("model.onnx", "old");
        put("same.bin", "same");
        put("README.md", "mine");
        put(".hidden", "mine");
        put("cases/case-1.json", "old");
        put("cases/case-2.json", "stale");
        put("v2.0.0/model.toml", "another version");
        fs::create_dir(folder.join("empty")).unwrap();
        symlink("README.md", folder.join("link.md")).unwrap();
        let inode = |path: &str| {
            use std::os::unix::fs::MetadataExt as _;
            fs::symlink_metadata(folder.join(path)).unwrap().ino()
        };
        let before = ["same.bin", "README.md", "v2.0.0/model.toml"].map(inode);
        let prepare = || {
            let mut prepared = Prepared::in_repository(models.path()).unwrap();
            prepared.write("model.onnx", b"new").unwrap();
            prepared.write("same.bin", b"same").unwrap();
            prepared.write("cases/case-1.json", b"new").unwrap();
            prepared
        };
        let stale = [PathBuf::from("cases/case-2.json")];
        assert!(prepare().commit(&folder, &stale).unwrap());
        let text = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
        assert_eq!(
            (text("model.onnx"), text("cases/case-1.json")),
            ("new".to_owned(), "new".to_owned())
        );
        assert!(!folder.join("cases/case-2.json").exists());
        assert!(folder.join("empty").is_dir());
        assert_eq!(text("link.md"), "mine");
        assert_eq!(text(".hidden"), "mine");
        assert_eq!(
            ["same.bin", "README.md", "v2.0.0/model.toml"].map(inode),
            before
        );
        // Again, there is nothing to do, and the folder stays the same one.
        let own = inode("");
        assert!(!prepare().commit(&folder, &stale).unwrap());
        assert_eq!(inode(""), own);
        assert_eq!(fs::read_dir(models.path()).unwrap().count(), 1);
    }
}
