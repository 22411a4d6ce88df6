//! Links, which may not lead out.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_file_that_is_a_link_out_of_the_folder_is_refused() {
    let repository = Repository::linear();
    let file = repository.root().join("linear/model.onnx");
    fs::rename(&file, repository.root().join("elsewhere.onnx")).unwrap();
    symlink("../elsewhere.onnx", &file).unwrap();
    repository.one(
        "linear/model.onnx",
        "link that leaves the model's folder",
        "put the file itself",
    );
}

#[test]
fn a_manifest_or_case_that_is_a_link_out_of_the_folder_is_refused() {
    for path in ["linear/model.toml", "linear/cases/one.json"] {
        let repository = Repository::linear();
        let file = repository.root().join(path);
        let other = repository.root().join("elsewhere");
        fs::rename(&file, &other).unwrap();
        symlink(&other, &file).unwrap();
        let lines = repository.lines(&repository.scan().problems);
        assert!(
            lines[0].starts_with(path) && lines[0].contains("link that leaves"),
            "{lines:?}"
        );
    }
}

#[test]
fn links_to_folders_are_refused() {
    let repository = Repository::linear();
    symlink("/etc", repository.root().join("linear/deep")).unwrap();
    repository.one(
        "linear/deep",
        "link to a folder",
        "put the folder itself there",
    );
    let repository = Repository::linear();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), repository.root().join("outside")).unwrap();
    let lines = repository.lines(&repository.scan().problems);
    assert_eq!(
        lines,
        ["outside: it is a link that leaves the model repository; put the folder itself there"]
    );
}

#[test]
fn the_root_itself_may_be_a_link() {
    let repository = Repository::linear();
    let link = repository.root().join(".current");
    symlink(repository.root(), &link).unwrap();
    let scan = scan(&link);
    assert_eq!(
        (scan.candidates.len(), scan.problems.len()),
        (1, 0),
        "{scan:?}"
    );
}

#[test]
fn a_broken_link_is_a_problem_not_an_absence() {
    let repository = Repository::linear();
    symlink("nowhere", repository.root().join("linear/model.bin")).unwrap();
    repository.one("linear/model.bin", "does not list it", "take it out");
    fs::create_dir(repository.root().join("other")).unwrap();
    symlink("nowhere", repository.root().join("other/model.toml")).unwrap();
    let lines = repository.lines(&repository.scan().problems);
    assert!(
        lines[0].starts_with("other/model.toml: it does not exist"),
        "{lines:?}"
    );
}
