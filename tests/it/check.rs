//! `modelship check`: whatever is wrong is found, in one pass.

mod faults;
mod memory;

use std::fs;

use proptest::prelude::*;
use serde_json::Value;

use crate::checkout::{Checkout, fixture};

/// The findings of a check that must fail, as text.
#[track_caller]
fn wrong(checkout: &Checkout, more: &[&str]) -> Vec<String> {
    let ended = checkout.run(&[&["check"], more].concat());
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let errors = ended
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("error "));
    errors.map(str::to_owned).collect()
}

/// The only error, which holds each of `parts`.
#[track_caller]
fn only(checkout: &Checkout, more: &[&str], parts: &[&str]) {
    let errors = wrong(checkout, more);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for part in parts {
        assert!(errors[0].contains(part), "{part}: {}", errors[0]);
    }
}

#[test]
fn a_golden_case_that_breaks_is_found() {
    let checkout = Checkout::with_line();
    checkout.edit("models/line/cases/case-1.json", "48", "49");
    only(
        &checkout,
        &[],
        &[
            "models/line/cases/case-1.json: the output \"y\" at [0, 0] is 48, and must be 49",
            "record it",
        ],
    );
}

#[test]
fn everything_wrong_is_found_in_one_pass() {
    let checkout = Checkout::with_line();
    checkout.edit("models/line/cases/case-1.json", "48", "49");
    checkout.put("models/bad/model.toml", "nmae = \"bad\"\n");
    checkout.put(
        "models/lost/model.onnx",
        fs::read(fixture("line.onnx")).unwrap(),
    );
    checkout.put("models/a/b/c/model.toml", "");
    let errors = wrong(&checkout, &[]);
    for (file, part) in [
        ("models/line/cases/case-1.json", "must be 49"),
        ("models/bad/model.toml:1", "did you mean \"name\"?"),
        ("models/lost/model.onnx", "no model.toml beside it"),
        ("models/a/b/c/model.toml", "nobody looks"),
    ] {
        assert!(
            errors
                .iter()
                .any(|e| e.starts_with(file) && e.contains(part)),
            "{file} {part}: {errors:#?}"
        );
    }
}

#[test]
fn an_empty_repository_is_not_right() {
    let checkout = Checkout::new();
    fs::create_dir(checkout.path().join("models")).unwrap();
    only(
        &checkout,
        &[],
        &["models: it holds no model; add a model with `modelship add`"],
    );
    only(
        &checkout,
        &["--models", "nowhere"],
        &["nowhere: it does not exist", "--models"],
    );
}

#[test]
fn rows_that_depend_on_each_other_are_found() {
    let checkout = Checkout::new();
    let centred = fixture("centred.onnx");
    checkout.good(&["add", &centred, "--name", "centred", "--version", "v1.0.0"]);
    let told = checkout.good(&["check"]);
    assert!(
        told.contains("warning models/centred/model.toml")
            && told.contains("what its rows give alone"),
        "{told}"
    );
    checkout.put(
        "models/centred/model.toml",
        checkout.text("models/centred/model.toml") + "\n[scheduling]\nmax_batch_size = 8\n",
    );
    only(
        &checkout,
        &[],
        &[
            "scheduling.max_batch_size",
            "what its rows give alone",
            "set max_batch_size = 1",
        ],
    );
    checkout.edit(
        "models/centred/model.toml",
        "max_batch_size = 8",
        "max_batch_size = 1",
    );
    checkout.good(&["check"]);
}

#[test]
fn columns_must_fit_their_input() {
    let checkout = Checkout::with_line();
    let manifest = checkout.text("models/line/model.toml");
    checkout.put(
        "models/line/model.toml",
        format!("{manifest}\n[features]\nx = [\"a\", \"b\"]\n"),
    );
    only(
        &checkout,
        &[],
        &["features.x", "it names 2 columns, and the input takes 1"],
    );
    checkout.put(
        "models/line/model.toml",
        format!("{manifest}\n[features]\nz = [\"a\"]\n"),
    );
    only(
        &checkout,
        &[],
        &["features.z", "no input \"z\"", "its inputs are x"],
    );
}

#[test]
fn ranges_must_be_of_what_the_model_takes() {
    let checkout = Checkout::with_line();
    let manifest = checkout.text("models/line/model.toml");
    let with = |more: &str| checkout.put("models/line/model.toml", format!("{manifest}\n{more}"));
    with("[features]\nx = [\"km\"]\n[ranges]\nkm = [0.5, 40]\nx = [0, 1]\n");
    checkout.good(&["check"]);
    with("[ranges]\nkm = [0, 1]\n");
    only(
        &checkout,
        &[],
        &["ranges.km", "no input or column \"km\"", "name one of x"],
    );
    with("[ranges]\nx = [0, 1e300]\n");
    only(
        &checkout,
        &[],
        &[
            "ranges.x",
            "does not fit FP32",
            "give two numbers that FP32 holds",
        ],
    );
}

#[test]
fn what_git_would_not_carry_well_is_found() {
    let checkout = Checkout::new();
    let external = fixture("external/line.onnx");
    checkout.good(&["add", &external, "--name", "line", "--version", "v1.0.0"]);
    checkout.put(".gitignore", "*.bin\n");
    only(
        &checkout,
        &[],
        &["models/line/weights.bin", ".gitignore names it"],
    );
    checkout.put(".gitignore", "");
    checkout.good(&["check"]);
    // A large file must be in Git LFS; a pointer to it must be fetched.
    let mut large = fs::read(fixture("line.onnx")).unwrap();
    modelship_metadata(&mut large, 1_200_000);
    let file = checkout.put("../large.onnx", large);
    checkout.good(&[
        "add",
        file.to_str().unwrap(),
        "--name",
        "line",
        "--version",
        "v1.1.0",
    ]);
    only(
        &checkout,
        &["--large-file", "1"],
        &[
            "models/line/model.onnx: it has 1.2 MB, more than the 1.0 MB",
            "git lfs track '*.onnx'",
        ],
    );
    checkout.put(
        ".gitattributes",
        "*.onnx filter=lfs diff=lfs merge=lfs -text\n",
    );
    checkout.good(&["check", "--large-file", "1"]);
    checkout.put(
        "models/line/model.onnx",
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    );
    only(
        &checkout,
        &[],
        &[
            "models/line/model.onnx: it is a Git LFS pointer",
            "run `git lfs pull`",
        ],
    );
}

/// Pads an ONNX file with a metadata entry of `size` bytes.
fn modelship_metadata(file: &mut Vec<u8>, size: usize) {
    let varint = |mut n: usize| {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    };
    let mut entry = vec![0x0a, 1, b'k', 0x12];
    entry.extend(varint(size));
    entry.extend(std::iter::repeat_n(b'a', size));
    file.push(14 << 3 | 2);
    file.extend(varint(entry.len()));
    file.extend(entry);
}

#[test]
fn bytes_that_change_need_another_version() {
    let checkout = Checkout::with_line();
    checkout.git(&["switch", "--quiet", "--create", "change"]);
    fs::remove_dir_all(checkout.path().join("models")).unwrap();
    // As somebody would who knows how to take the rules by surprise.
    let other = Checkout::new();
    other.add_line("line-steeper.onnx", "v1.0.0");
    copy(&other, "models/line", &checkout);
    checkout.commit("Other bytes");
    checkout.good(&["check"]);
    only(
        &checkout,
        &["--against", "main"],
        &[
            "models/line/model.toml",
            "bytes changed, and its version is still v1.0.0",
            "to v1.1.0 or more",
        ],
    );
}

fn copy(from: &Checkout, folder: &str, to: &Checkout) {
    for name in ["model.toml", "model.onnx", "cases/case-1.json"] {
        let bytes = fs::read(from.path().join(folder).join(name)).unwrap();
        to.put(&format!("{folder}/{name}"), bytes);
    }
}

#[test]
fn a_version_once_merged_never_gets_other_bytes() {
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    checkout.commit("line v1.1.0");
    let other = Checkout::new();
    other.add_line("line-steeper.onnx", "v1.0.0");
    checkout.git(&["switch", "--quiet", "--create", "change"]);
    copy(&other, "models/line", &checkout);
    only(
        &checkout,
        &["--against", "main"],
        &[
            "v1.0.0 was merged before with other bytes",
            "to v1.2.0 or more",
        ],
    );
    // The way back, with the bytes that it had, stands open.
    checkout.git(&["checkout", "--quiet", "main~1", "--", "models"]);
    checkout.good(&["check", "--against", "main"]);
}

#[test]
fn an_older_version_does_not_replace_a_newer() {
    let checkout = Checkout::with_line();
    checkout.git(&["switch", "--quiet", "--create", "change"]);
    let other = Checkout::new();
    other.add_line("line-steeper.onnx", "v0.9.0");
    copy(&other, "models/line", &checkout);
    only(
        &checkout,
        &["--against", "main"],
        &["v0.9.0 is older than v1.0.0, which stands there"],
    );
}

#[test]
fn a_change_of_what_it_takes_is_a_major_step() {
    let checkout = Checkout::with_line();
    let wider = fixture("line-wider.onnx");
    checkout.good(&["add", &wider, "--name", "line", "--version", "v1.1.0"]);
    only(
        &checkout,
        &["--against", "main"],
        &[
            "key \"version\": v1.0.0 → v1.1.0 is no major step",
            "the input \"x\" had the shape [batch,1], and has [batch,2]",
            "make it v2.0.0",
        ],
    );
    checkout.good(&["add", &wider, "--name", "line", "--version", "v2.0.0"]);
    checkout.good(&["check", "--against", "main"]);
}

#[test]
fn words_may_change_without_another_version() {
    let checkout = Checkout::with_line();
    checkout.edit("models/line/model.toml", "A line.", "A straight line.");
    checkout.good(&["check", "--against", "main"]);
}

#[test]
fn a_ref_that_is_none_is_wrong_use() {
    let checkout = Checkout::with_line();
    for name in ["nowhere", "--upload-pack=touch x", "-x"] {
        let argument = format!("--against={name}");
        let ended = checkout.run(&["check", &argument]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.err[0].contains("no commit, branch or tag"),
            "{ended:?}"
        );
    }
}

#[test]
fn findings_come_as_json_and_as_annotations() {
    let checkout = Checkout::with_line();
    checkout.edit("models/line/cases/case-1.json", "48", "49");
    checkout.put("models/bad/model.toml", "# a\nnmae = \"bad\"\n");
    let ended = checkout.run(&["check", "--format", "json"]);
    assert_eq!(ended.code, Some(1));
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let golden = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["rule"] == "golden-case")
        .unwrap();
    assert_eq!(golden["severity"], "error");
    assert_eq!(golden["file"], "models/line/cases/case-1.json");
    assert_eq!(report["models"][0]["name"], "line");

    let command = &mut checkout.modelship(&["check"]);
    let output = command.env("GITHUB_ACTIONS", "true").output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("::error file=models/bad/model.toml,line=2,title=repository::models/bad/model.toml:2: key"), "{out}");
    assert!(
        out.contains("::error file=models/line/cases/case-1.json,title=golden-case::"),
        "{out}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A byte tampered with in any file of a model is found.
    #[test]
    fn a_tampered_byte_is_found(which in 0usize..2, at: prop::sample::Index, by in 1u8..) {
        let checkout = Checkout::new();
        let external = fixture("external/line.onnx");
        checkout.good(&["add", &external, "--name", "line", "--version", "v1.0.0"]);
        let path = checkout.path().join("models/line").join(["model.onnx", "weights.bin"][which]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = bytes[at].wrapping_add(by);
        fs::write(&path, bytes).unwrap();
        let errors = wrong(&checkout, &[]);
        prop_assert!(errors.iter().any(|e| e.contains("its sha256 is")), "{errors:?}");
    }
}

#[test]
fn an_output_of_one_row_is_named_where_it_keeps_requests_apart() {
    let checkout = Checkout::new();
    let file = fixture("one-row.onnx");
    checkout.good(&["add", &file, "--name", "one", "--version", "v1.0.0"]);
    let told = checkout.good(&["check"]);
    let reason =
        "batching off: the first dimension of its output \"y\" is always 1 (its shape is [1,3])";
    assert!(told.contains(reason), "{told}");
}
