//! Which versions a model repository holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::Digest as _;

use super::{Digest, Manifest, ModelId, Problem, files::Folder, signature::SIGNATURE};

/// The name of the manifest in a model's folder.
pub const MANIFEST: &str = "model.toml";

/// What a repository holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scan {
    /// The versions, by name and then by version. Their files are not read
    /// yet.
    pub candidates: Vec<Candidate>,
    /// What is wrong; a folder with a problem gives no candidate.
    pub problems: Vec<Problem>,
}

/// A version as its manifest describes it, not yet proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its folder.
    pub folder: PathBuf,
    /// What tells it from every other.
    pub id: ModelId,
    /// Its manifest.
    pub manifest: Manifest,
    /// The digest of the manifest's text.
    pub(super) manifest_digest: Digest,
}

/// Finds every version in the repository at `root`: each folder
/// `<name>/` or `<name>/<version>/` that holds a `model.toml`. Reads
/// manifests and golden cases, and no file of a model. Hidden folders are
/// passed over; `root` itself may be a link, but no link may leave it.
pub fn scan(root: &Path) -> Scan {
    let mut scan = Scan::default();
    let real = match root.canonicalize() {
        Ok(real) if real.is_dir() => real,
        Ok(_) => {
            let problem = Problem::new(root, "it is not a folder", "name the folder of the models");
            scan.problems.push(problem);
            return scan;
        }
        Err(e) => {
            let mut problem = Problem::io(root, &e);
            problem.remedy = "name the folder of the models with --models".to_owned();
            scan.problems.push(problem);
            return scan;
        }
    };
    for folder in folders(root, &real, &mut scan.problems) {
        note(&folder, None, &mut scan);
        for version in folders(&folder, &real, &mut scan.problems) {
            note(&version, Some(&folder), &mut scan);
        }
    }
    refuse_doubles(&mut scan);
    scan.candidates.sort_by(|a, b| a.id.cmp(&b.id));
    scan.problems.sort();
    scan
}

/// The folders in `parent`, in order; links that leave `root` are problems.
fn folders(parent: &Path, root: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(e) => {
            problems.push(Problem::io(parent, &e));
            return Vec::new();
        }
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                problems.push(Problem::io(parent, &e));
                continue;
            }
        };
        let path = parent.join(entry.file_name());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Only a link needs to be followed to know where it leads.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                folders.push(path);
                continue;
            }
            Ok(kind) if !kind.is_symlink() => continue,
            _ if !path.is_dir() => continue,
            _ => {}
        }
        match path.canonicalize() {
            Ok(real) if real.starts_with(root) => folders.push(path),
            Ok(_) => problems.push(Problem::new(
                path,
                "it is a link that leaves the model repository",
                "put the folder itself there",
            )),
            Err(e) => problems.push(Problem::io(&path, &e)),
        }
    }
    folders.sort();
    folders
}

/// Notes the candidate in `folder`, if it holds a manifest. `model` is the
/// folder above, where that is the model's.
fn note(folder: &Path, model: Option<&Path>, scan: &mut Scan) {
    // Not `exists`: a broken link is a problem, not an absence.
    if fs::symlink_metadata(folder.join(MANIFEST)).is_err() {
        return;
    }
    let candidate = match scan_folder(folder) {
        Ok(candidate) => candidate,
        Err(problems) => return scan.problems.extend(problems),
    };
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let own = &candidate.id;
    let expected = match model {
        None => vec![("name", own.name.to_string(), name(folder))],
        Some(model) => vec![
            ("name", own.name.to_string(), name(model)),
            ("version", own.version.to_string(), name(folder)),
        ],
    };
    let before = scan.problems.len();
    for (key, says, folder_says) in expected {
        if says != folder_says {
            let problem = Problem::new(
                folder.join(MANIFEST),
                format!("it says \"{says}\", and its folder says \"{folder_says}\""),
                format!("rename the folder to \"{says}\", or correct the {key}"),
            );
            scan.problems.push(problem.at(None, key));
        }
    }
    if scan.problems.len() == before {
        scan.candidates.push(candidate);
    }
}

/// A name and version that two folders claim is in neither.
fn refuse_doubles(scan: &mut Scan) {
    let mut doubles = Vec::new();
    for (i, a) in scan.candidates.iter().enumerate() {
        for b in &scan.candidates[..i] {
            if (&a.id.name, &a.id.version) == (&b.id.name, &b.id.version) {
                doubles.push(a.folder.clone());
                doubles.push(b.folder.clone());
                scan.problems.push(Problem::new(
                    a.folder.join(MANIFEST),
                    format!("{} is claimed by {} as well", a.id, b.folder.display()),
                    "give one of them another version, or take it out",
                ));
            }
        }
    }
    scan.candidates.retain(|c| !doubles.contains(&c.folder));
}

/// The version in `folder`, whatever the folder's name.
///
/// # Errors
/// What is wrong with its manifest, or with reading its golden cases.
pub fn scan_folder(folder: &Path) -> Result<Candidate, Vec<Problem>> {
    let file = folder.join(MANIFEST);
    let opened = Folder::open(folder).map_err(|p| vec![p])?;
    let bytes = opened.text(MANIFEST).map_err(|p| vec![p])?;
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let line = 1 + bytes[..e.valid_up_to()]
            .iter()
            .filter(|&&b| b == b'\n')
            .count();
        let mut problem = Problem::new(&file, "it is not UTF-8", "save it as UTF-8");
        problem.line = Some(line);
        vec![problem]
    })?;
    let manifest = Manifest::parse(&file, text)?;
    let manifest_digest = Digest::of(&bytes);
    let mut problems = Vec::new();
    let mut cases = Vec::new();
    match opened.cases() {
        Ok(paths) => {
            for path in paths {
                match opened.text(&path) {
                    Ok(bytes) => cases.push((path, Digest::of(&bytes))),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Err(problem) => problems.push(problem),
    }
    // A signature that comes later makes the version another.
    match opened.signature() {
        Ok(Some(bytes)) => cases.push((SIGNATURE.to_owned(), Digest::of(&bytes))),
        Ok(None) => {}
        Err(problem) => problems.push(problem),
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let id = ModelId {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        content: content(manifest_digest, &manifest, &cases),
    };
    Ok(Candidate {
        folder: folder.to_owned(),
        id,
        manifest,
        manifest_digest,
    })
}

/// The digest of all that makes up a version. Every part has a length or a
/// fixed size, so that no two contents run together to the same bytes.
pub(super) fn content(manifest: Digest, own: &Manifest, cases: &[(String, Digest)]) -> Digest {
    let mut hash = sha2::Sha256::new();
    let mut part = |path: &str, digest: &Digest| {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update(digest.as_bytes());
    };
    part(MANIFEST, &manifest);
    for file in &own.files {
        part(&file.path, &file.sha256);
    }
    for (path, digest) in cases {
        part(path, digest);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.into()
}
