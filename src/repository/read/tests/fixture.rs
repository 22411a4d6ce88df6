//! A model repository in a folder of its own.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::repository::{
    Digest, Problem, Scan, Version,
    onnx::{sample, stamp},
    read, scan, scan_folder,
};

pub(super) const CASE: &str = r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[21]}],
    "outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[48]}]}"#;

/// A model repository in a folder of its own.
pub(super) struct Repository {
    folder: TempDir,
}

impl Repository {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// One model, `linear` v1.1.0.
    pub(super) fn linear() -> Self {
        let own = Self::new();
        own.add("linear", "linear", "v1.1.0");
        own
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn add(&self, folder: &str, name: &str, version: &str) {
        self.add_file(folder, name, version, &sample::linear(2.0, 6.0), &[]);
    }

    /// A model of these bytes, stamped, with `external` files beside it.
    pub(super) fn add_file(
        &self,
        folder: &str,
        name: &str,
        version: &str,
        bytes: &[u8],
        external: &[&str],
    ) {
        let stamped = match version.parse::<Version>() {
            Ok(version) => stamp::write(bytes, &version).unwrap(),
            Err(_) => bytes.to_vec(),
        };
        let mut manifest = format!(
            "name = \"{name}\"\nversion = \"{version}\"\ndescription = \"A line.\"\n\
             [[files]]\npath = \"model.onnx\"\nsha256 = \"{}\"\n",
            Digest::of(&stamped)
        );
        for path in external {
            let weights = 2f32.to_le_bytes();
            self.put(&format!("{folder}/{path}"), weights);
            manifest += &format!(
                "[[files]]\npath = \"{path}\"\nsha256 = \"{}\"\n",
                Digest::of(&weights)
            );
        }
        self.put(&format!("{folder}/model.toml"), manifest);
        self.put(&format!("{folder}/model.onnx"), &stamped);
        self.put(&format!("{folder}/cases/one.json"), CASE);
    }

    pub(super) fn scan(&self) -> Scan {
        scan(self.root())
    }

    /// What is wrong with the folder `linear`, paths relative to the root.
    pub(super) fn problems(&self) -> Vec<String> {
        let found = scan_folder(&self.root().join("linear")).and_then(|c| read(&c));
        self.lines(&found.expect_err("a problem"))
    }

    pub(super) fn lines(&self, problems: &[Problem]) -> Vec<String> {
        let root = format!("{}/", self.root().display());
        problems
            .iter()
            .map(|p| p.to_string().replace(&root, ""))
            .collect()
    }

    /// The only problem, which names `file`, a `reason` and a `remedy`.
    #[track_caller]
    pub(super) fn one(&self, file: &str, reason: &str, remedy: &str) {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(
            problems[0].starts_with(&format!("{file}: ")),
            "{}",
            problems[0]
        );
        assert!(
            problems[0].contains(reason) && problems[0].contains(remedy),
            "{}",
            problems[0]
        );
    }
}
