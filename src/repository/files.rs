//! Reading files of a model's folder, and none outside it.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{Digest, MANIFEST, Manifest, Problem, signature::SIGNATURE};

/// The folder of golden cases in a model's folder.
pub(super) const CASES: &str = "cases";

/// Manifests and golden cases beyond this are refused: they are text that
/// people review.
const MAX_TEXT: u64 = 64 << 20;

/// A model's folder.
pub(super) struct Folder {
    /// As it was named, for problems.
    shown: PathBuf,
    /// Without links.
    real: PathBuf,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let real = path.canonicalize().map_err(|e| Problem::io(path, &e))?;
        Ok(Self {
            shown: path.to_owned(),
            real,
        })
    }

    /// The bytes of a text file.
    pub(super) fn text(&self, path: &str) -> Result<Arc<[u8]>, Problem> {
        self.read_up_to(path, MAX_TEXT)
    }

    /// The bytes of a file of the model, read once.
    pub(super) fn bytes(&self, path: &str) -> Result<Arc<[u8]>, Problem> {
        self.read_up_to(path, u64::MAX)
    }

    /// Where the file at `path` lies, and what it is. Where there is no link
    /// in it, that is plain: to resolve it from the root on takes longer than
    /// to read it.
    fn without_links(&self, path: &str) -> io::Result<(PathBuf, Metadata)> {
        let mut real = self.real.clone();
        let mut found = None;
        for part in Path::new(path).components() {
            real.push(part);
            let is_plain = matches!(part, Component::Normal(_));
            found = if is_plain {
                Some(fs::symlink_metadata(&real)?).filter(|own| !own.is_symlink())
            } else {
                None
            };
            if found.is_none() {
                break;
            }
        }
        if let Some(found) = found {
            return Ok((real, found));
        }
        let real = self.real.join(path).canonicalize()?;
        let found = fs::metadata(&real)?;
        Ok((real, found))
    }

    fn read_up_to(&self, path: &str, most: u64) -> Result<Arc<[u8]>, Problem> {
        let shown = self.shown.join(path);
        let io = |e: std::io::Error| Problem::io(&shown, &e);
        // Looked at before it is opened: opening a pipe would wait for ever.
        let (real, kind) = self.without_links(path).map_err(io)?;
        if !real.starts_with(&self.real) {
            return Err(Problem::new(
                &shown,
                "it is a link that leaves the model's folder",
                "put the file itself there",
            ));
        }
        if kind.is_dir() {
            let remedy = "put a file there, or take it out of the manifest";
            return Err(Problem::new(&shown, "it is a folder, not a file", remedy));
        }
        if !kind.is_file() {
            return Err(Problem::new(
                &shown,
                "it is not a plain file",
                "put a plain file there",
            ));
        }
        let mut file = File::open(&real).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size == 0 {
            let remedy = "put the whole file there; a copy or an export may have failed";
            return Err(Problem::new(&shown, "it is empty", remedy));
        }
        if size > most {
            return Err(Problem::new(
                &shown,
                format!("it has {size} bytes, and may have {most}"),
                "make it smaller",
            ));
        }
        let size = usize::try_from(size)
            .map_err(|_| Problem::new(&shown, "it is larger than memory", "make it smaller"))?;
        // What can't be had is refused here; without asking first, it would end
        // the process.
        let mut room = Vec::<u8>::new();
        let has_room = room.try_reserve_exact(size).is_ok();
        // Seen from outside, or the compiler would leave the question out.
        drop(std::hint::black_box(room));
        if !has_room {
            return Err(Problem::new(
                &shown,
                format!("it has {size} bytes, and there is not so much memory"),
                "make it smaller, or give the process more memory",
            )
            .passing());
        }
        // Straight into its last place: a model may be as large as memory.
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
        let changed = || {
            let remedy = "let it rest, and try again";
            Problem::new(&shown, "it changed while it was read", remedy)
        };
        if let Some(place) = Arc::get_mut(&mut bytes) {
            file.read_exact(place).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => changed(),
                _ => io(e),
            })?;
        }
        if file.read(&mut [0]).map_err(io)? != 0 {
            return Err(changed());
        }
        if is_lfs_pointer(&bytes) {
            return Err(Problem::new(
                &shown,
                "it is a Git LFS pointer: the file itself was not fetched",
                "run `git lfs pull`",
            ));
        }
        Ok(bytes)
    }

    /// The bytes of the signature, where there is one.
    pub(super) fn signature(&self) -> Result<Option<Arc<[u8]>>, Problem> {
        // Not `exists`: a broken link is a problem, not an absence.
        match fs::symlink_metadata(self.real.join(SIGNATURE)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            _ => self.text(SIGNATURE).map(Some),
        }
    }

    /// The digest of a file that is not loaded, which may be empty.
    pub(super) fn digest(&self, path: &str) -> Result<Digest, Problem> {
        let shown = self.shown.join(path);
        let file = self.real.join(path);
        let kind = fs::symlink_metadata(&file).map_err(|e| Problem::io(&shown, &e))?;
        if !kind.is_file() {
            let remedy = "put a plain file there, or take it out";
            return Err(Problem::new(
                &shown,
                "it is not a plain file, so it can't be signed",
                remedy,
            ));
        }
        let bytes = fs::read(&file).map_err(|e| Problem::io(&shown, &e))?;
        Ok(Digest::of(&bytes))
    }

    /// The path of every file but those named in `without`, hidden ones
    /// included, and but the versions beside this one.
    pub(super) fn every(&self, without: &[&str]) -> Result<Vec<String>, Problem> {
        let mut paths = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let io = |e| Problem::io(&self.shown.join(&folder), &e);
            for entry in fs::read_dir(self.real.join(&folder)).map_err(io)? {
                let entry = entry.map_err(io)?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    let file = self.shown.join(&folder).join(name);
                    let remedy = "give it a plain name";
                    return Err(Problem::new(file, "its name is not UTF-8", remedy));
                };
                let top = folder.is_empty();
                if top && without.contains(&name) {
                    continue;
                }
                let path = match &*folder {
                    "" => name.to_owned(),
                    folder => format!("{folder}/{name}"),
                };
                if !entry.file_type().map_err(io)?.is_dir() {
                    paths.push(path);
                } else if !(top && entry.path().join(MANIFEST).exists()) {
                    folders.push(path);
                }
            }
        }
        Ok(paths)
    }

    /// The paths of the golden cases, in order.
    pub(super) fn cases(&self) -> Result<Vec<String>, Problem> {
        let folder = self.shown.join(CASES);
        let entries = match fs::read_dir(self.real.join(CASES)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Problem::io(&folder, &e)),
        };
        let mut cases = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| Problem::io(&folder, &e))?.file_name();
            let Some(name) = name.to_str() else {
                let remedy = "give it a plain name";
                return Err(Problem::new(
                    folder.join(name),
                    "its name is not UTF-8",
                    remedy,
                ));
            };
            if name.ends_with(".json") && !name.starts_with('.') {
                cases.push(format!("{CASES}/{name}"));
            }
        }
        cases.sort();
        Ok(cases)
    }

    /// A problem for every file that is neither listed in `manifest` nor a
    /// companion that needs no listing, and for every folder that is a link.
    pub(super) fn unlisted(&self, manifest: &Manifest) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.real.join(&folder)) {
                Ok(entries) => entries,
                Err(e) => {
                    problems.push(Problem::io(&self.shown.join(&folder), &e));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') {
                    continue;
                }
                let path = match &*folder {
                    "" => name.clone(),
                    folder => format!("{folder}/{name}"),
                };
                let kind = entry.file_type();
                let is_link = kind.as_ref().is_ok_and(|kind| kind.is_symlink());
                let is_folder = match kind {
                    Ok(kind) if !is_link => kind.is_dir(),
                    _ => entry.path().is_dir(),
                };
                if is_folder && is_link {
                    problems.push(Problem::new(
                        self.shown.join(&path),
                        "it is a link to a folder, which is not followed",
                        "put the folder itself there, or take the link out",
                    ));
                } else if is_folder {
                    // A version beside this one has its own manifest.
                    let own = folder.is_empty() && entry.path().join(MANIFEST).exists();
                    if !own {
                        folders.push(path);
                    }
                } else if manifest.file(&path).is_none() && !is_companion(&path) {
                    problems.push(Problem::new(
                        self.shown.join(&path),
                        "the manifest does not list it",
                        format!("add it to [[files]] in {MANIFEST}, or take it out of the folder"),
                    ));
                }
            }
        }
        problems.sort();
        problems
    }
}

/// Whether the file at `path` in a model's folder may stand there unlisted:
/// what accompanies a model and is never loaded. These are the manifest;
/// `cases/*.json`; signatures (`*.sig`, `*.sig.json`); texts (`*.md`,
/// `LICENSE*`, `NOTICE*`); and how the model came about (`*.py`, `*.ipynb`,
/// `*.csv`, `requirements*.txt`). Hidden files are passed over before.
fn is_companion(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if folder == CASES {
        return name.ends_with(".json");
    }
    let ends = [".sig", ".sig.json", ".md", ".py", ".ipynb", ".csv"];
    let starts = ["LICENSE", "NOTICE"];
    path == MANIFEST
        || ends.iter().any(|end| name.ends_with(end))
        || starts.iter().any(|start| name.starts_with(start))
        || name.starts_with("requirements") && name.ends_with(".txt")
}

/// Whether the bytes are what Git LFS leaves in place of a file.
///
/// <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>
pub(super) fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.len() < 1024 && bytes.starts_with(b"version https://git-lfs.github.com/spec/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companions_are_known_by_name() {
        for path in [
            "model.toml",
            "README.md",
            "LICENSE",
            "LICENSE-MIT.txt",
            "NOTICE",
            "train.py",
            "training.csv",
            "cases/a.json",
            "model.sig",
            "model.sig.json",
            "requirements.txt",
            "notes/how.ipynb",
        ] {
            assert!(is_companion(path), "{path}");
        }
        for path in [
            "model.onnx",
            "weights.bin",
            "model.onnx.data",
            "cases/a.bin",
            "a.json",
            "sub/model.toml",
            "x.txt",
        ] {
            assert!(!is_companion(path), "{path}");
        }
    }

    #[test]
    fn lfs_pointers_are_told_from_models() {
        assert!(is_lfs_pointer(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n"
        ));
        assert!(!is_lfs_pointer(b"\x08\x08"));
    }
}
