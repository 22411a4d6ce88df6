//! What `modelship add` says to do next can be pasted into a shell as it is.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::Command,
};

use crate::{
    checkout::{Checkout, fixture},
    process::Ended,
};

/// Adds a model to the repository `models`, named from `from`, and gives what
/// was said.
fn add(checkout: &Checkout, from: &Path, models: &OsStr) -> String {
    let line = fixture("line.onnx");
    let mut command = checkout.modelship(&["add", &line, "--name", "line", "--version", "v1.0.0"]);
    let mut option = OsString::from("--models=");
    option.push(models);
    let ended = Ended::of(command.arg(option).current_dir(from).output().unwrap());
    assert_eq!(ended.code, Some(0), "{models:?}: {ended:#?}");
    ended.out
}

/// Pastes what stands after "Next:" into bash, in the folder `from`.
fn paste(checkout: &Checkout, from: &Path, told: &str) {
    let (_, commands) = told.split_once("Next:\n").unwrap();
    // How fast the model is takes time and is not asked here.
    let commands = commands.replace("modelship diff ", "modelship diff --speed 0 ");
    let mut bash = Command::new("bash");
    let modelship = Path::new(env!("CARGO_BIN_EXE_modelship")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(modelship.to_owned()).chain(std::env::split_paths(&path));
    bash.args(["-e", "-u", "-o", "pipefail", "-c", &commands])
        .current_dir(from)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("HOME", checkout.path())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        bash.env(format!("GIT_{who}_NAME"), "Test")
            .env(format!("GIT_{who}_EMAIL"), "test@example.com");
    }
    let ended = Ended::of(bash.output().unwrap());
    assert_eq!(ended.code, Some(0), "{commands}\n{ended:#?}");
}

/// A checkout whose `origin` is a bare repository beside it.
fn with_origin() -> Checkout {
    let checkout = Checkout::new();
    checkout.git(&["init", "--quiet", "--bare", "../origin.git"]);
    checkout.git(&["remote", "add", "origin", "../origin.git"]);
    checkout
}

/// What the branch at `origin` holds below `models`.
fn pushed(checkout: &Checkout) -> Vec<u8> {
    let of = "line-v1.0.0";
    let tree = Command::new("git")
        .current_dir(checkout.path().join("../origin.git"))
        .args(["ls-tree", "-r", "-z", "--name-only", of])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{tree:?}");
    tree.stdout
}

#[test]
fn what_to_do_next_can_be_pasted_whatever_the_folder_is_called() {
    let origin = with_origin();
    for name in [
        &b"models"[..],
        b"my models",
        b"it's \"ours\"",
        b"$HOME",
        b"`id`; $(id) & #",
        b"-models",
        b"--help",
        b":models",
        b"~",
        b"*[m]?{a,b}!",
        b"back\\slash",
        b"line\nbreak\x1b[31m'",
        "mod\u{e8}les \u{202e}\u{200b}".as_bytes(),
    ] {
        let checkout = origin.copy();
        checkout.git(&["init", "--quiet", "--bare", "../origin.git"]);
        let models = OsStr::from_bytes(name);
        let told = add(&checkout, &checkout.path(), models);
        let shown = told.replace('\n', "");
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        paste(&checkout, &checkout.path(), &told);
        let expected = [name, b"/line/model.toml\0"].concat();
        let tree = pushed(&checkout);
        let has = tree.windows(expected.len()).any(|part| part == expected);
        assert!(has, "{models:?}: {told}");
        assert_eq!(checkout.git(&["status", "--porcelain"]), "", "{told}");
    }
}

#[test]
fn git_works_where_the_models_are() {
    let checkout = with_origin();
    let elsewhere = tempfile::tempdir().unwrap();
    let models = checkout.path().join("the models");
    let told = add(&checkout, elsewhere.path(), models.as_os_str());
    paste(&checkout, elsewhere.path(), &told);
    assert!(
        String::from_utf8(pushed(&checkout))
            .unwrap()
            .contains("the models/line/model.toml")
    );
}

#[test]
fn where_there_is_no_git_repository_no_pull_request_is_spoken_of() {
    let checkout = Checkout::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let told = add(&checkout, elsewhere.path(), OsStr::new("models"));
    assert!(told.contains("modelship check\n"), "{told}");
    assert!(
        told.contains("Keep the models in a git repository"),
        "{told}"
    );
    assert!(!told.contains("git push"), "{told}");
}
