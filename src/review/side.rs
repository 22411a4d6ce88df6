//! One side of a comparison: the models of a folder, or of a commit.

use std::path::{Path, PathBuf};

use super::git::{GitError, Repository};
use crate::repository::{
    self, Candidate, MANIFEST, Manifest, ModelFile, Problem, Scan, VerifiedModel, Version,
    signature::SIGNATURE,
};

/// A side can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SideError {
    /// git could not help.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Neither folder nor commit.
    #[error(
        "\"{0}\" is no folder, and there is no git repository here in which it could be a commit"
    )]
    Unknown(String),
    /// The models lie outside the repository.
    #[error("{0} is not a folder of the git repository {1}")]
    Outside(PathBuf, PathBuf),
    /// The scratch folder can't be written.
    #[error("the temporary folder {0} can't be made: {1}")]
    Scratch(PathBuf, String),
}

/// The models of a folder, or of a commit.
#[derive(Debug, Clone)]
pub struct Side {
    /// What it is called: the folder's path, or the commit's name.
    pub label: String,
    /// What it holds. Of a commit, only manifests, golden cases and signatures are there
    /// until a model is read.
    pub scan: Scan,
    root: PathBuf,
    commit: Option<Commit>,
}

#[derive(Debug, Clone)]
struct Commit {
    repository: Repository,
    id: String,
    /// The folder of the models, from the top of the repository.
    folder: String,
    /// Every file in it.
    files: Vec<String>,
    /// Where its files are written to.
    export: PathBuf,
}

impl Side {
    /// Opens `what`: a folder that holds models (or `models/`, or is one
    /// model), else a commit, whose models lie where `models` lies now.
    /// Files of a commit are written into a new folder in `scratch`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn open(what: &str, models: &Path, scratch: &Path) -> Result<Self, SideError> {
        let folder = Path::new(what);
        if folder.is_dir() {
            return Ok(Self::folder(folder, models));
        }
        let repository =
            Repository::of(models).ok_or_else(|| SideError::Unknown(what.to_owned()))?;
        let id = repository.commit(what)?;
        let folder = repository
            .relative(models)
            .ok_or_else(|| SideError::Outside(models.to_owned(), repository.top().to_owned()))?;
        let files = repository.files(&id, &folder)?;
        let export = scratch.join(&id);
        std::fs::create_dir_all(export.join(&folder))
            .map_err(|e| SideError::Scratch(export.clone(), e.to_string()))?;
        let describing: Vec<String> = files.iter().filter(|f| describes(f)).cloned().collect();
        repository.export(&id, &describing, &export)?;
        let root = export.join(&folder);
        let short = &id[..id.len().min(12)];
        let label = if id.starts_with(what) {
            short.to_owned()
        } else {
            format!("{what} ({short})")
        };
        let mut own = Self {
            label,
            scan: repository::scan(&root),
            root,
            commit: Some(Commit {
                repository,
                id,
                folder,
                files,
                export,
            }),
        };
        let problems = std::mem::take(&mut own.scan.problems);
        own.scan.problems = problems.into_iter().map(|p| own.shown(p)).collect();
        Ok(own)
    }

    fn folder(folder: &Path, models: &Path) -> Self {
        let label = folder.display().to_string();
        if folder.join(MANIFEST).exists() {
            let mut scan = Scan::default();
            match repository::scan_folder(folder) {
                Ok(candidate) => scan.candidates.push(candidate),
                Err(problems) => scan.problems = problems,
            }
            // Its name stands in its manifest, so its folder's may be any.
            let root = folder.to_owned();
            return Self {
                label,
                scan,
                root,
                commit: None,
            };
        }
        // A whole checkout: the models lie in it where they lie here.
        let inside = folder.join(models.file_name().unwrap_or("models".as_ref()));
        let scan = repository::scan(&inside);
        if inside.is_dir() && !scan.candidates.is_empty() {
            return Self {
                label,
                scan,
                root: inside,
                commit: None,
            };
        }
        let scan = repository::scan(folder);
        Self {
            label,
            scan,
            root: folder.to_owned(),
            commit: None,
        }
    }

    /// The side of a folder that was scanned already.
    pub(super) fn of_scan(root: &Path, scan: Scan) -> Self {
        Self {
            label: root.display().to_string(),
            scan,
            root: root.to_owned(),
            commit: None,
        }
    }

    /// As [`Side::place`], where there is a candidate.
    pub(super) fn place_of(&self, candidate: Option<&Candidate>) -> Option<PathBuf> {
        candidate.map(|own| self.place(own))
    }

    /// The folder of a candidate of this side, from the side's own root.
    pub fn place(&self, candidate: &Candidate) -> PathBuf {
        let place = candidate.folder.strip_prefix(&self.root);
        place.unwrap_or(&candidate.folder).to_owned()
    }

    /// Brings the files of `candidate` here, if they are not.
    ///
    /// # Errors
    /// When git fails.
    pub fn fetch(&self, candidate: &Candidate) -> Result<(), GitError> {
        let Some(commit) = &self.commit else {
            return Ok(());
        };
        let place = self.place(candidate);
        let prefix = format!("{}/", Path::new(&commit.folder).join(place).display());
        let files = commit
            .files
            .iter()
            .filter(|f| f.starts_with(&prefix))
            .cloned();
        let files: Vec<String> = files.collect();
        commit.repository.export(&commit.id, &files, &commit.export)
    }

    /// Reads and proves `candidate`, after bringing its files here.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(&self, candidate: &Candidate) -> Result<VerifiedModel, Vec<Problem>> {
        self.fetch(candidate).map_err(|e| {
            let remedy = "run `git fetch`, and `git lfs fetch` where Git LFS keeps the file";
            vec![Problem::new(self.place(candidate), e.to_string(), remedy)]
        })?;
        repository::read(candidate)
            .map_err(|problems| problems.into_iter().map(|p| self.shown(p)).collect())
    }

    /// A problem with the path that a person knows: a commit's files are
    /// written `COMMIT:PATH`, as git does.
    fn shown(&self, mut problem: Problem) -> Problem {
        if let Some(commit) = &self.commit
            && let Ok(path) = problem.file.strip_prefix(&commit.export)
        {
            let short = &commit.id[..commit.id.len().min(12)];
            problem.file = format!("{short}:{}", path.display()).into();
        }
        problem
    }

    /// Every version in the history of this side's commit: its name, version
    /// and files. Empty for a folder.
    ///
    /// # Errors
    /// When git fails.
    pub fn history(&self) -> Result<History, GitError> {
        match &self.commit {
            Some(commit) => History::of(&commit.repository, &commit.id, &commit.folder),
            None => Ok(History::default()),
        }
    }
}

/// Whether a scan reads the file at `path`.
fn describes(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    name == MANIFEST
        || name == SIGNATURE
        || name.ends_with(".json") && parts.next() == Some("cases")
}

/// Every version that was ever merged.
#[derive(Debug, Clone, Default)]
pub struct History {
    versions: Vec<(String, Version, Vec<ModelFile>)>,
}

impl History {
    /// The versions in the history of `commit`, of models below `folder`.
    ///
    /// # Errors
    /// When git fails.
    pub fn of(repository: &Repository, commit: &str, folder: &str) -> Result<Self, GitError> {
        let mut versions = Vec::new();
        for (path, bytes) in repository.history(commit, folder, MANIFEST)? {
            // What was merged and is no manifest names no version.
            let manifest = std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| Manifest::parse(Path::new(&path), text).ok());
            if let Some(manifest) = manifest {
                versions.push((manifest.name.to_string(), manifest.version, manifest.files));
            }
        }
        Ok(Self { versions })
    }

    /// What this version was before: `None` when it was never merged, and else
    /// whether it always had the bytes of `files`.
    pub fn had(&self, name: &str, version: &Version, files: &[ModelFile]) -> Option<bool> {
        let mut own = self
            .versions
            .iter()
            .filter(|(own, v, _)| own == name && v == version)
            .map(|(.., then)| same_bytes(then, files));
        let first = own.next()?;
        Some(first && own.all(|same| same))
    }
}

/// Whether two lists name the same files with the same bytes.
pub fn same_bytes(a: &[ModelFile], b: &[ModelFile]) -> bool {
    let sorted = |files: &[ModelFile]| {
        let mut own: Vec<_> = files.iter().map(|f| (f.path.clone(), f.sha256)).collect();
        own.sort();
        own
    };
    sorted(a) == sorted(b)
}
