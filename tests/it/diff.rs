//! `modelship diff`: the review of a change.

use std::fs;

use serde_json::Value;

use crate::checkout::{Checkout, fixture};

/// The review of what changed since `main`, without measuring speed.
fn review(checkout: &Checkout) -> Value {
    let ended = checkout.run(&["diff", "main", "--format", "json", "--speed", "0"]);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let review: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        ended.code == Some(1),
        review["verdict"] == "wrong",
        "{ended:?}"
    );
    review
}

fn texts(review: &Value) -> Vec<&str> {
    let notes = review["models"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|m| m["notes"].as_array().unwrap());
    notes.map(|n| n["text"].as_str().unwrap()).collect()
}

#[test]
fn a_retrained_model_is_reviewed() {
    let checkout = Checkout::with_line();
    checkout.put("models/line/training.csv", "x,y\n1,8\n2,10\n3,12\n4,14\n");
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    let review = review(&checkout);
    assert_eq!(review["verdict"], "look", "{review:#}");
    let model = &review["models"][0];
    assert_eq!(
        model["headline"],
        "line v1.0.0 → v1.1.0 (a minor step): predictions move by 0.62 on average and 2.1 at most"
    );
    assert_eq!(
        (&model["change"], &model["step"]),
        (&"bytes".into(), &"minor".into())
    );
    assert_eq!(
        model["predictions"]["basis"],
        "4 rows of training.csv and 1 golden cases"
    );
    let numbers = &model["predictions"]["outputs"][0]["numbers"];
    let mean = numbers["mean"].as_f64().unwrap();
    // (0.1 + 0.2 + 0.3 + 0.4 + 2.1) / 5
    assert!((mean - 0.62).abs() < 1e-5, "{mean}");
    assert!((numbers["bias"].as_f64().unwrap() - 0.62).abs() < 1e-5);
    assert_eq!(numbers["worst"][0], 5);
    assert_eq!(model["weights"]["changed"], 1);
    assert_eq!(model["weights"]["changes"][0]["name"], "slope");
    assert!((model["weights"]["changes"][0]["relative"].as_f64().unwrap() - 0.05).abs() < 1e-5);
    let case = &model["cases"][0];
    assert_eq!(
        (&case["outcome"], &case["base"], &case["head"]),
        (&"broken".into(), &"y = 48".into(), &"y = 50.1".into())
    );
    assert_eq!(model["signature"], Value::Array(vec![]));
    assert!(review["base"].as_str().unwrap().starts_with("main ("));
}

#[test]
fn nothing_changed_is_said_so() {
    let checkout = Checkout::with_line();
    let own = review(&checkout);
    assert_eq!(own["summary"], "Nothing is in the way: no model changes");
    assert_eq!(own["unchanged"], Value::Array(vec!["line v1.0.0".into()]));
    checkout.edit("models/line/model.toml", "A line.", "A straight line.");
    let own = review(&checkout);
    assert_eq!(own["models"][0]["change"], "words");
    assert_eq!(own["models"][0]["words"][0]["head"], "A straight line.");
    assert_eq!(own["verdict"], "fits");
    let manifest = checkout.text("models/line/model.toml");
    checkout.put(
        "models/line/model.toml",
        manifest + "\n[ranges]\nx = [0.0, 40.5]\n",
    );
    let own = review(&checkout);
    let change = &own["models"][0]["words"][1];
    assert_eq!(
        (&change["key"], &change["base"], &change["head"]),
        (&"ranges.x".into(), &"".into(), &"[0, 40.5]".into())
    );
    checkout.edit(
        "models/line/model.toml",
        "\n[[files]]",
        "license = \"MIT\"\n\n[[files]]",
    );
    let own = review(&checkout);
    assert_eq!(own["verdict"], "look");
    assert!(
        texts(&own)[0].contains("the licence was none, and is MIT"),
        "{own:#}"
    );
}

#[test]
fn what_must_not_be_merged_is_wrong() {
    let checkout = Checkout::with_line();
    let wider = fixture("line-wider.onnx");
    checkout.good(&["add", &wider, "--name", "line", "--version", "v1.1.0"]);
    let own = review(&checkout);
    assert!(
        texts(&own)[0].contains("the step is no major one"),
        "{own:#}"
    );
    let changes = own["models"][0]["signature"].as_array().unwrap();
    assert!(
        changes
            .iter()
            .any(|c| c["breaking"] == true && c["text"].as_str().unwrap().contains("[batch,2]"))
    );
    checkout.git(&["checkout", "--quiet", "main", "--", "models"]);
    checkout.git(&["clean", "--quiet", "-fd"]);
    // A golden case that the new version fails, and bytes that are not named.
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    checkout.edit("models/line/cases/case-1.json", "50.1", "48");
    let own = review(&checkout);
    assert!(
        texts(&own)[0].contains("\"case-1\" fails") && texts(&own)[0].contains("must be 48"),
        "{own:#}"
    );
    fs::copy(
        fixture("line.onnx"),
        checkout.path().join("models/line/model.onnx"),
    )
    .unwrap();
    let own = review(&checkout);
    assert!(
        texts(&own).iter().any(|t| t.contains("its sha256 is")),
        "{own:#}"
    );
    checkout.put("models/line/model.toml", "nmae = 1\n");
    let own = review(&checkout);
    let notes = own["notes"].to_string();
    assert!(notes.contains("did you mean"), "{notes}");
    assert_eq!(
        own["models"],
        Value::Array(vec![]),
        "what is broken is not removed"
    );
}

#[test]
fn models_come_and_go() {
    let checkout = Checkout::with_line();
    fs::remove_dir_all(checkout.path().join("models/line")).unwrap();
    let embedding = fixture("embedding.onnx");
    checkout.good(&[
        "add",
        &embedding,
        "--name",
        "embedding",
        "--version",
        "v1.0.0",
    ]);
    let own = review(&checkout);
    let headlines: Vec<_> = own["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["headline"].as_str().unwrap())
        .collect();
    assert!(
        headlines.contains(&"embedding v1.0.0 is new"),
        "{headlines:?}"
    );
    assert!(headlines.contains(&"line v1.0.0 goes"), "{headlines:?}");
    assert_eq!(own["verdict"], "look");
}

#[test]
fn a_way_back_is_no_fault() {
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    checkout.commit("line v1.1.0");
    checkout.git(&["revert", "--no-edit", "--no-commit", "HEAD"]);
    let own = review(&checkout);
    assert_eq!(own["verdict"], "look", "{own:#}");
    assert!(
        texts(&own)
            .iter()
            .any(|t| t.contains("it goes back from v1.1.0 to v1.0.0")),
        "{own:#}"
    );
}

#[test]
fn sides_are_folders_and_refs() {
    let checkout = Checkout::with_line();
    checkout.git(&["tag", "before"]);
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    checkout.commit("line v1.1.0");
    let other = Checkout::with_line();
    let folder = other.path();
    let (models, whole, one) = (
        folder.join("models"),
        folder.clone(),
        folder.join("models/line"),
    );
    for base in [
        "before",
        "HEAD~1",
        models.to_str().unwrap(),
        whole.to_str().unwrap(),
        one.to_str().unwrap(),
    ] {
        let out = checkout
            .run(&["diff", base, "HEAD", "--speed", "0", "--format", "json"])
            .out;
        let own: Value = serde_json::from_str(&out).unwrap();
        let headline = own["models"][0]["headline"].as_str().unwrap();
        assert!(
            headline.starts_with("line v1.0.0 → v1.1.0"),
            "{base}: {headline}"
        );
    }
    let wrong = checkout.run(&["diff", "nowhere"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.err[0].contains("BASE: \"nowhere\" is no folder"),
        "{wrong:?}"
    );
    assert_eq!(checkout.run(&["diff"]).code, Some(2));
    assert_eq!(checkout.git(&["status", "--porcelain", "--ignored"]), "");
}

#[test]
fn classes_that_flip_are_counted() {
    let checkout = Checkout::new();
    let iris = crate::process::models().join("iris");
    let bytes = fs::read(iris.join("model.onnx")).unwrap();
    for name in [
        "model.toml",
        "model.onnx",
        "cases/setosa.json",
        "cases/virginica.json",
    ] {
        checkout.put(
            &format!("models/iris/{name}"),
            fs::read(iris.join(name)).unwrap(),
        );
    }
    checkout.commit("iris");
    // Other names for the same classes.
    let other: Vec<u8> = replace(&bytes, b"setosa", b"SETOSA");
    let file = checkout.put("../iris.onnx", other);
    checkout.good(&[
        "add",
        file.to_str().unwrap(),
        "--name",
        "iris",
        "--version",
        "v1.1.0",
    ]);
    let own = review(&checkout);
    let classes = &own["models"][0]["predictions"]["outputs"][0]["classes"];
    assert_eq!(
        (&classes["pairs"][0]["base"], &classes["pairs"][0]["head"]),
        (&"setosa".into(), &"SETOSA".into())
    );
    assert!(classes["flips"].as_u64().unwrap() > 1);
    assert!(
        own["models"][0]["headline"]
            .as_str()
            .unwrap()
            .contains("rows change their class"),
        "{own:#}"
    );
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let found: Vec<_> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, w)| *w == from)
        .map(|(i, _)| i)
        .collect();
    assert!(!found.is_empty());
    for at in found {
        out[at..at + from.len()].copy_from_slice(to);
    }
    out
}

#[test]
fn speed_is_measured_side_by_side() {
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    let out = checkout.good(&["diff", "main", "--format", "json", "--speed", "1"]);
    let own: Value = serde_json::from_str(&out).unwrap();
    let speed = &own["models"][0]["speed"];
    for side in ["base", "head"] {
        let facts = &speed[side];
        let number = |key: &str| facts[key].as_f64().unwrap();
        assert!(
            number("p50_microseconds") > 0.0
                && number("p99_microseconds") >= number("p50_microseconds"),
            "{facts}"
        );
        assert!(
            number("rows_per_second") > 100.0 && number("load_milliseconds") > 0.0,
            "{facts}"
        );
    }
}

#[test]
fn the_review_comes_in_three_forms_and_from_its_json() {
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    for file in ["out/review.json", "out/review.html", "out/review.md"] {
        fs::create_dir_all(checkout.path().join("out")).unwrap();
        checkout.good(&["diff", "main", "--speed", "0", "--output", file]);
    }
    let markdown = checkout.text("out/review.md");
    assert!(
        markdown.starts_with("## ⚠️ A person must look at 1 thing: line v1.0.0 → v1.1.0"),
        "{markdown}"
    );
    assert!(
        markdown.contains("```mermaid")
            && markdown.contains("<details><summary>Golden cases: 1 with a new answer"),
        "{markdown}"
    );
    let page = checkout.text("out/review.html");
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("<svg") && !page.contains("<script"),
        "{page}"
    );
    let again = checkout.good(&["diff", "--from", "out/review.json"]);
    assert_eq!(again, markdown);
    assert_eq!(
        checkout.good(&["diff", "--from", "out/review.json", "--format", "html"]),
        page
    );
    let linked = checkout.good(&[
        "diff",
        "--from",
        "out/review.json",
        "--plots",
        "out/plots",
        "--plots-url",
        "https://example.com/p",
    ]);
    assert!(
        linked.contains("![change](<https://example.com/p/model-1-output-1-change.svg>)"),
        "{linked}"
    );
    assert!(
        checkout
            .text("out/plots/model-1-output-1-old-new.svg")
            .contains("<circle")
    );
    let left: Vec<_> = fs::read_dir(checkout.path().join("out"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left.len(), 4, "{left:?}");
    checkout.put("out/other.json", "{}");
    checkout.refused(
        &["diff", "--from", "out/other.json"],
        &["other.json is not a review in JSON"],
    );
}
