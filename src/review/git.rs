//! What git knows: folders as they stood at a commit, every version that was
//! ever merged, and which files Git LFS keeps. By git's own command.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// git could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GitError(String);

/// A git repository with a work tree.
#[derive(Debug, Clone)]
pub struct Repository {
    top: PathBuf,
}

impl Repository {
    /// The repository whose work tree holds `path`, which need not exist;
    /// `None` where there is none, or no git.
    pub fn of(path: &Path) -> Option<Self> {
        let path = path
            .ancestors()
            .map(here)
            .find(|p| p.is_dir())?
            .canonicalize()
            .ok()?;
        let top = run(&path, ["rev-parse", "--show-toplevel"], &[]).ok()?;
        let top = String::from_utf8(top).ok()?;
        let top = PathBuf::from(top.trim_end_matches('\n'))
            .canonicalize()
            .ok()?;
        Some(Self { top })
    }

    /// The folder of the work tree.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// `path` as git names it: from the top of the work tree, with `/`.
    /// `None` when it lies outside.
    pub fn relative(&self, path: &Path) -> Option<String> {
        // The folder may be gone from the work tree, as a removed model's is.
        let existing = path.ancestors().find(|p| here(p).exists())?;
        let rest = path.strip_prefix(existing).ok()?;
        let real = here(existing).canonicalize().ok()?.join(rest);
        let relative = real.strip_prefix(&self.top).ok()?;
        let parts: Option<Vec<_>> = relative.iter().map(OsStr::to_str).collect();
        Some(parts?.join("/"))
    }

    /// The commit that `name` stands for.
    ///
    /// # Errors
    /// When it stands for none.
    pub fn commit(&self, name: &str) -> Result<String, GitError> {
        let commit = format!("{name}^{{commit}}");
        let arguments = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &commit,
        ];
        let found = run(&self.top, arguments, &[]).map_err(|_| {
            GitError(format!(
                "\"{name}\" is no folder, and no commit, branch or tag of this repository; a branch \
                 that only the remote has is called origin/{name}, and `git fetch` brings it"
            ))
        })?;
        Ok(String::from_utf8_lossy(&found).trim().to_owned())
    }

    /// The paths of the files in `folder` at `commit`, from the top.
    ///
    /// # Errors
    /// When git fails.
    pub fn files(&self, commit: &str, folder: &str) -> Result<Vec<String>, GitError> {
        let mut arguments = vec!["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit];
        if !folder.is_empty() {
            arguments.extend(["--", folder]);
        }
        Ok(split(&run(&self.top, arguments, &[])?))
    }

    /// Writes `files` as they stood at `commit` into the folder `to`, through
    /// the filters that a checkout goes through, so that Git LFS fetches what
    /// it keeps.
    ///
    /// # Errors
    /// When git fails.
    pub fn export(&self, commit: &str, files: &[String], to: &Path) -> Result<(), GitError> {
        if files.is_empty() {
            return Ok(());
        }
        // An index of its own: the repository's stays as it is.
        let index = to.join(".modelship-index");
        let environment = [("GIT_INDEX_FILE", index.as_os_str())];
        run_with(&self.top, ["read-tree", commit], &[], &environment)?;
        let mut prefix = to.as_os_str().to_owned();
        prefix.push("/");
        let mut option = std::ffi::OsString::from("--prefix=");
        option.push(prefix);
        let arguments = [
            OsStr::new("checkout-index"),
            OsStr::new("--quiet"),
            OsStr::new("--force"),
            OsStr::new("-z"),
            OsStr::new("--stdin"),
            &option,
        ];
        let list: Vec<u8> = files
            .iter()
            .flat_map(|f| [f.as_bytes(), b"\0"].concat())
            .collect();
        let exported = run_with(&self.top, arguments, &list, &environment).map(drop);
        // Only the index of this export is at stake, which is in the way of
        // nobody.
        let _ = fs::remove_file(&index);
        exported
    }

    /// The text of every file of the name `name` below `folder` that was ever
    /// committed in the history of `commit`, with the path that it had.
    ///
    /// # Errors
    /// When git fails.
    pub fn history(
        &self,
        commit: &str,
        folder: &str,
        name: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        let pathspec = format!(":(top,literal){folder}");
        let arguments = [
            "log",
            "--raw",
            "-z",
            "-m",
            "--no-renames",
            "--no-abbrev",
            "--format=",
            commit,
            "--",
            &pathspec,
        ];
        let log = run(&self.top, arguments, &[])?;
        // `:mode mode old new status\0path\0`
        let mut fields = log.split(|&b| b == 0);
        let mut blobs: Vec<(String, String)> = Vec::new();
        while let Some(head) = fields.next() {
            let head = String::from_utf8_lossy(head);
            let Some(raw) = head.trim_start_matches('\n').strip_prefix(':') else {
                continue;
            };
            let Some(path) = fields.next() else { break };
            let path = String::from_utf8_lossy(path).into_owned();
            let Some(blob) = raw.split(' ').nth(3) else {
                continue;
            };
            let is_it = path.rsplit('/').next() == Some(name);
            if is_it && blob.bytes().any(|b| b != b'0') {
                blobs.push((path, blob.to_owned()));
            }
        }
        blobs.sort();
        blobs.dedup();
        self.blobs(blobs)
    }

    fn blobs(&self, blobs: Vec<(String, String)>) -> Result<Vec<(String, Vec<u8>)>, GitError> {
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        let list: String = blobs.iter().map(|(_, blob)| format!("{blob}\n")).collect();
        let out = run(&self.top, ["cat-file", "--batch"], list.as_bytes())?;
        let mut rest = &out[..];
        let mut texts = Vec::new();
        for (path, _) in blobs {
            // `id type size\ncontent\n`
            let broken = || GitError("git gave an object in a form that is not known".to_owned());
            let end = rest.iter().position(|&b| b == b'\n').ok_or_else(broken)?;
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size = head
                .rsplit(' ')
                .next()
                .and_then(|size| size.parse::<usize>().ok());
            let size = size.ok_or_else(broken)?;
            let content = rest.get(end + 1..end + 1 + size).ok_or_else(broken)?;
            texts.push((path, content.to_vec()));
            rest = rest.get(end + 2 + size..).ok_or_else(broken)?;
        }
        Ok(texts)
    }

    /// Those of `files`, paths from the top, that Git LFS keeps.
    ///
    /// # Errors
    /// When git fails.
    pub fn in_lfs(&self, files: &[String]) -> Result<Vec<String>, GitError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let list: Vec<u8> = files
            .iter()
            .flat_map(|f| [f.as_bytes(), b"\0"].concat())
            .collect();
        let out = run(&self.top, ["check-attr", "-z", "--stdin", "filter"], &list)?;
        // `path\0attribute\0value\0`
        let fields = split(&out);
        let rows = fields.chunks_exact(3).filter(|row| row[2] == "lfs");
        Ok(rows.map(|row| row[0].clone()).collect())
    }

    /// The files in `folder`, from the top, that git would not commit since
    /// `.gitignore` names them.
    ///
    /// # Errors
    /// When git fails.
    pub fn ignored(&self, folder: &str) -> Result<Vec<String>, GitError> {
        let arguments = [
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--",
            folder,
        ];
        Ok(split(&run(&self.top, arguments, &[])?))
    }
}

/// `path`, where it is empty this folder.
fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn split(out: &[u8]) -> Vec<String> {
    out.split(|&b| b == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

fn run<S: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = S>,
    input: &[u8],
) -> Result<Vec<u8>, GitError> {
    run_with(folder, arguments, input, &[])
}

fn run_with<S: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = S>,
    input: &[u8],
    environment: &[(&str, &OsStr)],
) -> Result<Vec<u8>, GitError> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(["-c", "core.quotePath=false", "-c", "core.fsmonitor=false"])
        .args(arguments)
        // Messages that can be matched, and no lock that would disturb the
        // person's own git.
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_LITERAL_PATHSPECS", "0")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in environment {
        command.env(name, value);
    }
    let missing = |e: std::io::Error| GitError(format!("git could not be run ({e}): install it"));
    let mut child = command.spawn().map_err(missing)?;
    // Written on the side, so that neither end waits for the other.
    let writer = child.stdin.take().map(|mut stdin| {
        let input = input.to_vec();
        // git may rightly stop to read before the end.
        std::thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let output = child.wait_with_output().map_err(missing)?;
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(GitError(format!("git failed: {message}")))
}
