//! A byte that was changed anywhere in any file of a model is found.
//!
//! What a file means is compared, not how it is written: a comment or a blank
//! in `model.toml` and a blank in JSON may change. Even they change the
//! digest of the version's content, which the model card shows and a review
//! goes by.

use std::{fs, path::Path};

use modelship::{
    engine::{OnnxRuntime, find_library},
    repository::{
        Candidate, Digest, GoldenCase, Manifest, Problem, VerifiedModel, read, scan, stamp,
    },
    review::exercise::Loaded,
};

use crate::{checkout::fixture, process::models};

/// A repository of one model.
struct Own {
    folder: tempfile::TempDir,
    name: &'static str,
    before: VerifiedModel,
    loaded: Loaded,
}

/// Whether a change was found, and by what.
enum Found {
    /// The version is refused.
    Refused(Vec<Problem>),
    /// The manifest says something else, which the review shows.
    Words,
    /// A golden case says something else, and the model does not answer so.
    Wrong,
    /// A golden case says something else, and it is true: the model answers
    /// so, within the tolerance.
    True,
    /// Everything means what it did.
    Same,
}

impl Own {
    fn new(name: &'static str, files: &[(String, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let file = folder.path().join(name).join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        let before = verified(folder.path()).unwrap();
        let engine = OnnxRuntime::start(&find_library().unwrap()).unwrap();
        let loaded = Loaded::of(&engine, &before).unwrap();
        Self {
            folder,
            name,
            before,
            loaded,
        }
    }

    fn shipped(name: &'static str) -> Self {
        let folder = models().join(name);
        let mut files = Vec::new();
        for path in ["model.toml", "model.onnx"] {
            files.push((path.to_owned(), fs::read(folder.join(path)).unwrap()));
        }
        for case in fs::read_dir(folder.join("cases")).unwrap() {
            let case = case.unwrap();
            let path = format!("cases/{}", case.file_name().to_str().unwrap());
            files.push((path, fs::read(case.path()).unwrap()));
        }
        Self::new(name, &files)
    }

    /// A model whose weights lie beside its file.
    fn external() -> Self {
        let graph = fs::read(fixture("external/line.onnx")).unwrap();
        let graph = stamp::write(&graph, &"v1.0.0".parse().unwrap()).unwrap();
        let weights = fs::read(fixture("external/weights.bin")).unwrap();
        let manifest = format!(
            "# Not to be lost.\nname = \"line\"\nversion = \"v1.0.0\"   # the first\n\
             description = \"A line.\"\nlicense = \"MIT\"\n\n\
             [[files]]\npath = \"model.onnx\"\nsha256 = \"{}\"\n\n\
             [[files]]\npath = \"weights.bin\"\nsha256 = \"{}\"\n\n\
             [golden]\nrelative = 1e-4\n\n[scheduling]\nmax_batch_size = 8\n\n\
             [features]\nx = [\"km\"]\n\n[ranges]\nkm = [0.5, 40]\n",
            Digest::of(&graph),
            Digest::of(&weights)
        );
        let case = r#"{"description": "Known.", "inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [21]}],
            "outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP32", "data": [48]}]}"#;
        let files = [
            ("model.toml", manifest.into_bytes()),
            ("model.onnx", graph),
            ("weights.bin", weights),
            ("cases/known.json", case.as_bytes().to_vec()),
        ];
        Self::new("line", &files.map(|(path, bytes)| (path.to_owned(), bytes)))
    }

    /// The paths of its files.
    fn paths(&self) -> Vec<String> {
        let listed = self.before.manifest.files.iter().map(|f| f.path.clone());
        let cases = self.before.cases.iter();
        let cases = cases.map(|case| format!("cases/{}.json", case.name));
        let manifest = std::iter::once("model.toml".to_owned());
        manifest.chain(listed).chain(cases).collect()
    }

    /// What is found when `path` holds `bytes`.
    fn found(&mut self, path: &str, bytes: &[u8]) -> Found {
        let file = self.folder.path().join(self.name).join(path);
        let good = fs::read(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        let after = verified(self.folder.path());
        fs::write(&file, good).unwrap();
        let after = match after {
            Ok(after) => after,
            Err(problems) => return Found::Refused(problems),
        };
        assert_ne!(after.id.content, self.before.id.content, "{path}");
        if after.manifest != self.before.manifest {
            assert!(only_words(&self.before.manifest, &after.manifest), "{path}");
            return Found::Words;
        }
        let changed = |case: &&GoldenCase| !self.before.cases.contains(case);
        let changed: Vec<GoldenCase> = after.cases.iter().filter(changed).cloned().collect();
        let tolerance = after.manifest.tolerance;
        let mut holds = |case: &GoldenCase| self.loaded.verify(case, tolerance).is_ok();
        match &changed[..] {
            [] => Found::Same,
            cases if cases.iter().all(&mut holds) => Found::True,
            _ => Found::Wrong,
        }
    }
}

fn verified(root: &Path) -> Result<VerifiedModel, Vec<Problem>> {
    let found = scan(root);
    let own: Option<&Candidate> = found.candidates.first();
    own.map_or(Err(found.problems.clone()), read)
}

/// Whether two manifests differ in nothing that says which bytes are served.
fn only_words(before: &Manifest, after: &Manifest) -> bool {
    (&before.name, &before.version, &before.files) == (&after.name, &after.version, &after.files)
}

/// `byte` as somebody changes it who wants it to go unnoticed: a digit is
/// another digit, a letter another letter.
fn slightly(byte: u8) -> u8 {
    match byte {
        b'9' => b'0',
        b'z' => b'a',
        b'Z' => b'A',
        b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' => byte + 1,
        b' ' => b'\t',
        other => other ^ 1,
    }
}

/// Changes one byte after the other, at every `step`th place of every file.
#[track_caller]
fn every_byte_counts(mut own: Own, step: usize) {
    let mut tried = 0;
    for path in own.paths() {
        let good = fs::read(own.folder.path().join(own.name).join(&path)).unwrap();
        for at in (0..good.len()).step_by(step) {
            // Some other byte, and one that looks like it.
            let any = good[at].wrapping_add(u8::try_from(1 + at % 255).unwrap());
            for byte in [any, slightly(good[at])] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let place = format!("{path}, byte {at}: {} as {byte}", good[at]);
                match own.found(&path, &bytes) {
                    Found::Refused(problems) => {
                        assert!(!problems.is_empty(), "{place}");
                        let told = problems.iter().any(|p| p.file.ends_with(&path));
                        let is_listed = own.before.manifest.file(&path).is_some();
                        assert!(told || path == "model.toml", "{place}: {problems:?}");
                        let hash = |p: &Problem| p.reason.starts_with("its sha256 is");
                        assert!(!is_listed || problems.iter().any(hash), "{place}");
                    }
                    Found::Words => assert_eq!(path, "model.toml", "{place}"),
                    Found::Wrong | Found::True => {
                        assert!(path.starts_with("cases/"), "{place}");
                    }
                    // A comment, a blank, or another way to write the same.
                    Found::Same => {
                        let is_text = path == "model.toml" || path.starts_with("cases/");
                        assert!(is_text, "{place}");
                    }
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 2 * 200, "{tried}");
}

#[test]
fn in_the_regression() {
    every_byte_counts(Own::shipped("linear"), 3);
}

#[test]
fn in_the_classifier() {
    every_byte_counts(Own::shipped("iris"), 11);
}

#[test]
fn in_a_model_with_external_data() {
    every_byte_counts(Own::external(), 1);
}
