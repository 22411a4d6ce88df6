//! A git repository of models in a folder of its own, as a data scientist has
//! one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    folder::copy,
    process::{Ended, modelship},
};

/// A git repository with one commit. It goes with its folder.
pub struct Checkout {
    folder: tempfile::TempDir,
}

/// A committed file of `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    assert!(path.exists(), "{}", path.display());
    path.to_str().unwrap().to_owned()
}

impl Checkout {
    /// Nothing but a README.
    pub fn new() -> Self {
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        own.git(&["init", "--quiet", "--initial-branch=main"]);
        own.put("README.md", "# Models\n");
        own.commit("First");
        own
    }

    /// With the model `line` v1.0.0: y = 2 x + 6, proved for 21.
    pub fn with_line() -> Self {
        let own = Self::new();
        own.add_line("line.onnx", "v1.0.0");
        own.commit("line v1.0.0");
        own
    }

    /// The same again, in a folder of its own.
    pub fn copy(&self) -> Self {
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        copy(&self.path(), &own.path());
        own
    }

    /// Adds a fixture as `line`, with its answer for 21 as golden case.
    pub fn add_line(&self, file: &str, version: &str) {
        let cases = self.put("../cases.jsonl", "21\n");
        let cases = cases.to_str().unwrap();
        let file = fixture(file);
        let arguments = [
            "add",
            &file,
            "--name",
            "line",
            "--version",
            version,
            "--cases",
            cases,
        ];
        self.good(&[&arguments[..], &["--description", "A line."]].concat());
        fs::remove_file(cases).unwrap();
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("checkout")
    }

    /// Writes a file, from the top of the checkout.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap()
    }

    /// Replaces text in a file, which must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert!(text.contains(from), "{from} is not in {text}");
        self.put(path, text.replace(from, to));
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        fs::create_dir_all(self.path()).unwrap();
        let output = Command::new("git")
            .current_dir(self.path())
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Runs `modelship` at the top of the checkout.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.modelship(arguments).output().unwrap())
    }

    pub fn modelship(&self, arguments: &[&str]) -> Command {
        let mut command = modelship(arguments);
        command.current_dir(self.path());
        command
    }

    /// Runs `modelship`, which must succeed, and gives what it said.
    #[track_caller]
    pub fn good(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        ended.out
    }

    /// Runs `modelship`, which must refuse with one line that holds each of
    /// `parts`.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:#?}");
        assert_eq!(ended.err.len(), 1, "{ended:#?}");
        for part in parts {
            assert!(ended.err[0].contains(part), "{part}: {}", ended.err[0]);
        }
    }
}
