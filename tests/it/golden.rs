//! Golden cases of what is more than a tensor.

use crate::checkout::{Checkout, fixture};

/// `zipmap`, whose second output is a sequence of maps.
fn with_zipmap() -> Checkout {
    let checkout = Checkout::new();
    let cases = checkout.put("cases.jsonl", "{\"color\":\"red\",\"size\":3}\n");
    let file = fixture("zipmap.onnx");
    let add = ["add", &file, "--name", "zipmap", "--version", "v1.0.0"];
    let cases = ["--cases", cases.to_str().unwrap()];
    checkout.good(&[&add[..], &cases[..]].concat());
    checkout
}

const CASE: &str = "models/zipmap/cases/case-1.json";
const KEYS: &str = r#""parameters": {"keys": "[\"drop\",\"keep\"]"}"#;

#[test]
fn a_case_keeps_the_keys_of_maps_and_holds_the_model_to_them() {
    let checkout = with_zipmap();
    assert!(
        checkout.text(CASE).contains(KEYS),
        "{}",
        checkout.text(CASE)
    );
    checkout.good(&["check"]);

    // The numbers are right, and belong to other classes.
    checkout.edit(CASE, r#"[\"drop\",\"keep\"]"#, r#"[\"keep\",\"drop\"]"#);
    let ended = checkout.run(&["check"]);
    let said = format!("{}{}", ended.out, ended.err.join("\n"));
    assert_eq!(ended.code, Some(1), "{said}");
    let part = r#"has the keys ["drop","keep"], and must have ["keep","drop"]"#;
    assert!(said.contains(part), "{said}");
}

#[test]
fn a_case_that_names_no_keys_stays_one() {
    let checkout = with_zipmap();
    checkout.edit(CASE, &format!("{KEYS}, "), "");
    checkout.good(&["check"]);
}
