//! Repositories on disk, whole and broken: each wrong one names file, reason
//! and remedy.

mod fixture;
#[cfg(unix)]
mod links;

use std::{fs, path::Path};

use self::fixture::{CASE, Repository};
use super::*;
use crate::repository::{
    Version,
    onnx::{sample, stamp},
    scan,
};
use proptest::prelude::*;

#[test]
fn a_good_model_is_read_and_its_bytes_are_the_ones_hashed() {
    let repository = Repository::linear();
    for path in [
        "README.md",
        "LICENSE",
        "train.py",
        "training.csv",
        "model.sig.json",
        ".gitattributes",
    ] {
        repository.put(&format!("linear/{path}"), "text");
    }
    let scan = repository.scan();
    assert_eq!(scan.problems, []);
    let own = read(&scan.candidates[0]).unwrap();
    assert_eq!(own.id.to_string(), "linear v1.1.0");
    assert_eq!(Digest::of(&own.bytes.graph), own.manifest.graph().sha256);
    assert_eq!(own.cases.len(), 1);
    assert_eq!(own.outline.inputs[0].name, "x");
}

#[test]
fn versions_stand_side_by_side_in_the_order_of_semver() {
    let repository = Repository::new();
    for version in ["v1.10.0", "v1.9.0", "v2.0.0-rc.1"] {
        repository.add(&format!("linear/{version}"), "linear", version);
    }
    repository.add("iris", "iris", "v0.1.0");
    repository.put(".git/model.toml", "not a manifest");
    repository.put("README.md", "text");
    let scan = repository.scan();
    assert_eq!(scan.problems, []);
    let ids: Vec<_> = scan.candidates.iter().map(|c| c.id.to_string()).collect();
    assert_eq!(
        ids,
        [
            "iris v0.1.0",
            "linear v1.9.0",
            "linear v1.10.0",
            "linear v2.0.0-rc.1"
        ]
    );
}

#[test]
fn a_version_may_stand_inside_the_folder_of_another() {
    let repository = Repository::linear();
    repository.add("linear/v1.2.0", "linear", "v1.2.0");
    let scan = repository.scan();
    assert_eq!((scan.candidates.len(), scan.problems.len()), (2, 0));
    assert!(scan.candidates.iter().all(|c| read(c).is_ok()));
}

#[test]
fn folders_must_agree_with_their_manifests() {
    let repository = Repository::new();
    repository.add("linear", "other", "v1.0.0");
    repository.add("iris/v1.0.0", "iris", "v1.1.0");
    let scan = repository.scan();
    assert_eq!(scan.candidates, []);
    assert_eq!(
        repository.lines(&scan.problems),
        [
            "iris/v1.0.0/model.toml: key \"version\": it says \"v1.1.0\", and its folder says \"v1.0.0\"; \
             rename the folder to \"v1.1.0\", or correct the version",
            "linear/model.toml: key \"name\": it says \"other\", and its folder says \"linear\"; \
             rename the folder to \"other\", or correct the name",
        ]
    );
}

#[test]
fn two_folders_can_not_claim_the_same_version() {
    let repository = Repository::linear();
    repository.add("linear/v1.1.0", "linear", "v1.1.0");
    let scan = repository.scan();
    assert_eq!(scan.candidates, []);
    let lines = repository.lines(&scan.problems);
    assert!(
        lines[0].contains("linear v1.1.0 is claimed by"),
        "{lines:?}"
    );
}

#[test]
fn a_missing_root_is_told() {
    let scan = scan(Path::new("no/such/folder"));
    assert_eq!(
        scan.problems[0].to_string(),
        "no/such/folder: it does not exist; name the folder of the models with --models"
    );
}

#[test]
fn problems_of_manifests_and_a_good_model_are_found_together() {
    let repository = Repository::linear();
    repository.put("bad/model.toml", "nmae = \"bad\"\n");
    let scan = repository.scan();
    assert_eq!(scan.candidates.len(), 1);
    assert_eq!(scan.problems.len(), 5);
    repository.put("latin/model.toml", b"name = \"l\"\n# caf\xe9\n");
    let lines = repository.lines(&repository.scan().problems);
    assert!(
        lines.contains(&"latin/model.toml:2: it is not UTF-8; save it as UTF-8".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn other_bytes_are_refused() {
    let repository = Repository::linear();
    let other = stamp::write(&sample::linear(2.0, 7.0), &Version::new(1, 1, 0)).unwrap();
    repository.put("linear/model.onnx", other);
    repository.one("linear/model.onnx", "its sha256 is ", "modelship add");
}

#[test]
fn a_wrong_or_missing_stamp_is_refused() {
    let repository = Repository::new();
    let stamped = stamp::write(&sample::linear(2.0, 6.0), &Version::new(1, 0, 0)).unwrap();
    for (bytes, reason) in [
        (
            stamped,
            "it is stamped \"v1.0.0\", and model.toml says v1.1.0",
        ),
        (
            sample::linear(2.0, 6.0),
            "it bears no stamp, and model.toml says v1.1.0",
        ),
    ] {
        repository.add("linear", "linear", "v1.1.0");
        let manifest = fs::read_to_string(repository.root().join("linear/model.toml")).unwrap();
        let before = fs::read(repository.root().join("linear/model.onnx")).unwrap();
        let manifest = manifest.replace(
            &Digest::of(&before).to_string(),
            &Digest::of(&bytes).to_string(),
        );
        repository.put("linear/model.toml", manifest);
        repository.put("linear/model.onnx", bytes);
        repository.one("linear/model.onnx", reason, "modelship add");
    }
}

#[test]
fn unlisted_files_are_refused() {
    let repository = Repository::linear();
    repository.put("linear/weights.bin", "more");
    repository.one("linear/weights.bin", "does not list it", "[[files]]");
    fs::remove_file(repository.root().join("linear/weights.bin")).unwrap();
    repository.put("linear/deep/er/other.onnx", "more");
    repository.one("linear/deep/er/other.onnx", "does not list it", "[[files]]");
}

#[test]
fn missing_empty_and_wrong_kinds_of_file_are_refused() {
    let repository = Repository::linear();
    let file = repository.root().join("linear/model.onnx");
    fs::write(&file, "").unwrap();
    repository.one("linear/model.onnx", "it is empty", "whole file");
    fs::remove_file(&file).unwrap();
    repository.one(
        "linear/model.onnx",
        "it does not exist",
        "take it out of the manifest",
    );
    fs::create_dir(&file).unwrap();
    repository.one(
        "linear/model.onnx",
        "a folder, not a file",
        "put a file there",
    );
}

#[test]
fn lfs_pointers_are_told_as_such() {
    let repository = Repository::linear();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    repository.put("linear/model.onnx", pointer);
    repository.one("linear/model.onnx", "Git LFS pointer", "git lfs pull");
    let repository = Repository::linear();
    repository.put("linear/cases/one.json", pointer);
    repository.one("linear/cases/one.json", "Git LFS pointer", "git lfs pull");
}

#[test]
fn what_is_no_onnx_file_is_refused() {
    let repository = Repository::new();
    repository.add_file("linear", "linear", "v1.1.0", b"", &[]);
    // Only a stamp: protobuf, but no model.
    repository.one(
        "linear/model.onnx",
        "not an ONNX file: it holds no graph",
        "export",
    );
}

#[test]
fn external_data_is_read_by_the_name_that_the_graph_has_for_it() {
    let graph = sample::linear_with(&[
        sample::external("scale", "./w.bin"),
        sample::scalar("offset", 6.0),
    ]);
    let repository = Repository::new();
    repository.add_file("linear", "linear", "v1.1.0", &graph, &["w.bin"]);
    let own = read(&repository.scan().candidates[0]).unwrap();
    assert_eq!(own.bytes.external.len(), 1);
    assert_eq!(own.bytes.external[0].0, "./w.bin");
    assert_eq!(&*own.bytes.external[0].1, 2f32.to_le_bytes());
}

#[test]
fn external_data_outside_or_unlisted_is_refused() {
    for (location, reason) in [
        ("../w.bin", "leaves the model's folder"),
        ("/etc/passwd", "absolute"),
        ("a/../../w.bin", "leaves"),
        ("w.bin", "which the manifest does not list"),
        ("*/_ORT_MEM_ADDR_/*", "does not list"),
    ] {
        let graph = sample::linear_with(&[
            sample::external("scale", location),
            sample::scalar("offset", 6.0),
        ]);
        let repository = Repository::new();
        repository.add_file("linear", "linear", "v1.1.0", &graph, &[]);
        let problems = repository.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("linear/model.onnx: it takes tensors from")
                && problems[0].contains(reason),
            "{location}: {problems:?}"
        );
    }
}

#[test]
fn a_broken_golden_case_is_told_with_its_line() {
    let repository = Repository::linear();
    repository.put("linear/cases/one.json", CASE.replace("[48]", "[\"x\"]"));
    repository.one(
        "linear/cases/one.json",
        "does not fit FP32",
        "record it again",
    );
}

#[test]
fn everything_wrong_is_told_together() {
    let repository = Repository::linear();
    repository.put("linear/extra.bin", "x");
    repository.put("linear/model.onnx", sample::linear(1.0, 1.0));
    repository.put("linear/cases/two.json", "{}");
    let problems = repository.problems();
    // That the other bytes bear no stamp follows from what they are.
    assert_eq!(problems.len(), 3, "{problems:#?}");
}

#[test]
fn cases_that_change_after_the_scan_are_noticed() {
    let repository = Repository::linear();
    let scan = repository.scan();
    repository.put("linear/cases/one.json", CASE.replace("48", "49"));
    let problems = read(&scan.candidates[0]).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .contains("changed after it was scanned"),
        "{problems:?}"
    );
}

#[test]
fn content_tells_apart_what_differs() {
    let repository = Repository::linear();
    let first = repository.scan().candidates[0].id.clone();
    assert_eq!(first, repository.scan().candidates[0].id);
    repository.put("linear/cases/one.json", CASE.replace("48", "49"));
    let cases = repository.scan().candidates[0].id.clone();
    let manifest = fs::read_to_string(repository.root().join("linear/model.toml")).unwrap();
    repository.put(
        "linear/model.toml",
        manifest.replace("A line.", "A straight line."),
    );
    let text = repository.scan().candidates[0].id.clone();
    assert!(first != cases && cases != text && text != first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One changed byte anywhere in any file of the model is found.
    #[test]
    fn a_tampered_byte_is_found(which in 0usize..2, at: prop::sample::Index, by in 1u8..) {
        let graph = sample::linear_with(&[sample::external("scale", "w.bin"), sample::scalar("offset", 6.0)]);
        let repository = Repository::new();
        repository.add_file("linear", "linear", "v1.1.0", &graph, &["w.bin"]);
        let path = repository.root().join("linear").join(["model.onnx", "w.bin"][which]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = bytes[at].wrapping_add(by);
        fs::write(&path, bytes).unwrap();
        let problems = repository.problems();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        prop_assert!(problems.iter().any(|p| p.contains(&name) && p.contains("its sha256 is")), "{:?}", problems);
    }
}
