//! Signatures: made, verified at the start and on a reload, and refused
//! whatever is changed.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    checkout::{Checkout, fixture},
    process::{Ended, Serving},
};

const FOLDER: &str = "models/line";
const SIGNATURE: &str = "models/line/model.sig";

/// A checkout with a key pair, and its model signed by it.
fn signed(curve: &str) -> Checkout {
    let checkout = Checkout::with_line();
    checkout.good(&["key", "own.pem", "--curve", curve]);
    checkout.good(&["key", "other.pem"]);
    checkout.good(&["sign", FOLDER, "--key", "own.pem"]);
    checkout
}

fn verify(checkout: &Checkout, parts: &[&str]) {
    checkout.refused(&["verify", "--key", "own.pem.pub"], parts);
}

#[test]
fn what_is_signed_on_each_curve_is_verified() {
    for curve in ["p256", "p384", "p521"] {
        let checkout = signed(curve);
        let told = checkout.good(&["verify", "--key", "other.pem.pub", "--key", "own.pem.pub"]);
        assert!(told.contains("line v1.0.0"), "{told}");
        assert!(told.contains("verified by key "), "{told}");
        checkout.good(&["check"]);
    }
}

#[test]
fn forgeries_are_refused() {
    let good = signed("p256");
    let with = |change: &dyn Fn(&Checkout)| {
        let checkout = good.copy();
        change(&checkout);
        checkout
    };
    let manifest = "models/line/model.toml";
    let case = "models/line/cases/case-1.json";
    let added = with(&|c| drop(c.put("models/line/NOTES.md", "Good.\n")));
    verify(&added, &["does not list", "NOTES.md"]);
    let hidden = with(&|c| drop(c.put("models/line/.hidden", "")));
    verify(&hidden, &["does not list", ".hidden"]);
    let removed = with(&|c| fs::remove_file(c.path().join(case)).unwrap());
    verify(&removed, &["case-1.json", "is not there"]);
    let changed = with(&|c| drop(c.put(case, format!("{} ", c.text(case)))));
    verify(&changed, &["case-1.json", "is not what was signed"]);
    let comment = with(&|c| drop(c.put(manifest, format!("{}# \n", c.text(manifest)))));
    verify(&comment, &["model.toml", "is not what was signed"]);
    let other = with(&|c| drop(c.good(&["sign", FOLDER, "--key", "other.pem"])));
    verify(&other, &["a key that is not trusted"]);
    let cut = with(&|c| drop(c.put(SIGNATURE, &c.text(SIGNATURE)[..200])));
    verify(&cut, &["no Sigstore bundle"]);
    let unsigned = with(&|c| fs::remove_file(c.path().join(SIGNATURE)).unwrap());
    verify(&unsigned, &["it is not signed"]);

    let edit = |change: &dyn Fn(&mut Value)| {
        with(&|c| {
            let mut bundle: Value = serde_json::from_str(&c.text(SIGNATURE)).unwrap();
            change(&mut bundle);
            c.put(SIGNATURE, bundle.to_string());
        })
    };
    let swapped = edit(&|b| b["dsseEnvelope"]["payloadType"] = "text/plain".into());
    verify(&swapped, &["is not of the type"]);
    let none = edit(&|b| b["dsseEnvelope"]["signatures"] = Value::Array(vec![]));
    verify(&none, &["one signature"]);
    // Named as the trusted key's, and signed by another.
    let named = with(&|c| {
        let mut bundle: Value = serde_json::from_str(&c.text(SIGNATURE)).unwrap();
        let hint = bundle["verificationMaterial"].clone();
        c.good(&["sign", FOLDER, "--key", "other.pem"]);
        bundle = serde_json::from_str(&c.text(SIGNATURE)).unwrap();
        bundle["verificationMaterial"] = hint;
        c.put(SIGNATURE, bundle.to_string());
    });
    verify(&named, &["does not verify"]);
    let payload = edit(&|b| {
        let text = b["dsseEnvelope"]["payload"].as_str().unwrap();
        let payload = String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap();
        let payload = payload.replace("\"line\"", "\"lime\"");
        b["dsseEnvelope"]["payload"] = BASE64_STANDARD.encode(payload).into();
    });
    verify(&payload, &["does not verify"]);
}

fn serve(checkout: &Checkout, more: &[&str]) -> std::process::Command {
    let mut arguments = vec![
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--public-key",
        "own.pem.pub",
    ];
    arguments.extend(more);
    let mut command = checkout.modelship(&arguments);
    command.env("MODELSHIP_LOG_FORMAT", "json");
    command
}

fn card(serving: &Serving) -> Value {
    let (status, _, body) = serving.get("/models/line", "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Replaces a file in one step, as git does.
fn replace(file: &Path, bytes: &[u8]) {
    let hidden = file.with_file_name(".new");
    fs::write(&hidden, bytes).unwrap();
    fs::rename(hidden, file).unwrap();
}

#[test]
fn a_service_serves_only_what_is_signed() {
    let checkout = signed("p256");
    let mut serving = Serving::start(serve(&checkout, &["--require-signature"]));
    let before = card(&serving);
    let signature = before["signature"].as_str().unwrap();
    assert!(signature.starts_with("verified by key "), "{signature}");

    // A forgery that comes later changes nothing.
    checkout.good(&["sign", FOLDER, "--key", "other.pem"]);
    serving.log_until("a key that is not trusted");
    assert_eq!(card(&serving)["content"], before["content"]);
    serving.stop();

    let refused = |checkout: &Checkout, more: &[&str], part: &str| {
        let ended = Ended::of(serve(checkout, more).output().unwrap());
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        assert!(
            ended.err.iter().any(|line| line.contains(part)),
            "{ended:#?}"
        );
    };
    refused(&checkout, &[], "a key that is not trusted");
    let file = checkout.path().join(SIGNATURE);
    replace(&file, b"{}");
    refused(&checkout, &[], "no Sigstore bundle");
    fs::remove_file(file).unwrap();
    refused(&checkout, &["--require-signature"], "it is not signed");

    let serving = Serving::start(serve(&checkout, &[]));
    assert_eq!(card(&serving)["signature"], "unsigned");
    serving.stop();
}

#[test]
fn a_rotated_key_is_taken_and_a_broken_file_is_not() {
    let checkout = signed("p256");
    let file = checkout.path().join("own.pem.pub");
    let other = fs::read(checkout.path().join("other.pem.pub")).unwrap();
    let flags = [
        "--require-signature",
        "--watch=poll",
        "--watch-interval=50ms",
    ];
    let mut serving = Serving::start(serve(&checkout, &flags));
    let before = card(&serving);

    // By a key that is not trusted yet: refused, and then taken as it stands.
    let steeper = fixture("line-steeper.onnx");
    checkout.good(&["add", &steeper, "--name", "line", "--version", "v1.0.1"]);
    checkout.good(&["sign", FOLDER, "--key", "other.pem"]);
    serving.log_until("a key that is not trusted");
    assert_eq!(card(&serving)["version"], before["version"]);
    replace(&file, b"no key");
    serving.log_until("are not right");
    replace(&file, &other);
    serving.log_until("files that have changed were taken");
    let begun = Instant::now();
    while card(&serving)["version"] != "v1.0.1" {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let signature = card(&serving)["signature"].clone();
    let by_another = signature != before["signature"];
    let verified = signature.as_str().unwrap().starts_with("verified by key ");
    assert!(by_another && verified, "{signature}");
    let (_, _, metrics) = serving.get("/metrics", "");
    for outcome in ["success", "failure"] {
        let counted = format!("modelship_renewals_total{{what=\"trust\",outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find(|line| line.starts_with(&counted));
        assert_ne!(line.unwrap(), format!("{counted}0"));
    }
    serving.stop();
}

#[test]
fn adding_a_version_takes_its_old_signature_away() {
    let checkout = signed("p256");
    let steeper = fixture("line-steeper.onnx");
    let arguments = ["add", &steeper, "--name", "line", "--version", "v1.0.1"];
    let told = checkout.good(&arguments);
    assert!(!checkout.path().join(SIGNATURE).exists());
    assert!(told.contains("modelship sign models/line"), "{told}");
    assert!(!told.contains("still wrong"), "{told}");
    let told = checkout.good(&["add", &steeper, "--name", "line", "--version", "v1.0.2"]);
    assert!(!told.contains("modelship sign"), "{told}");
}

#[test]
fn check_tells_of_signatures() {
    let checkout = signed("p256");
    let findings = |arguments: &[&str]| {
        let ended = checkout.run(&[&["check", "--format", "json"], arguments].concat());
        let report: Value = serde_json::from_str(&ended.out).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        let own = findings.filter(|f| f["rule"] == "signature");
        let own: Vec<_> = own.map(|f| f["reason"].to_string()).collect();
        assert_eq!(ended.code, Some(i32::from(!own.is_empty())), "{ended:#?}");
        own.join("; ")
    };
    let own = ["--public-key", "own.pem.pub"];
    let other = ["--public-key", "other.pem.pub"];
    assert_eq!(findings(&[]), "");
    assert_eq!(findings(&own), "");
    assert!(findings(&other).contains("a key that is not trusted"));

    // Nobody's key is needed to see that it is stale.
    checkout.put("models/line/NOTES.md", "Good.\n");
    assert!(findings(&[]).contains("does not list"));
    assert!(findings(&own).contains("does not list"));
    fs::remove_file(checkout.path().join("models/line/NOTES.md")).unwrap();
    checkout.put(SIGNATURE, "{}");
    assert!(findings(&[]).contains("no Sigstore bundle"));

    fs::remove_file(checkout.path().join(SIGNATURE)).unwrap();
    assert_eq!(findings(&own), "");
    let required = [&own[..], &["--require-signature"]].concat();
    assert!(findings(&required).contains("it is not signed"));
}

#[test]
fn a_review_tells_who_signed() {
    let checkout = signed("p256");
    checkout.commit("signed");
    let notes = || {
        let ended = checkout.run(&["diff", "HEAD", "models", "--format", "json", "--speed", "0"]);
        let review: Value = serde_json::from_str(&ended.out).unwrap();
        let models = review["models"].as_array().unwrap().iter();
        let notes = models.flat_map(|m| m["notes"].as_array().unwrap());
        let texts: Vec<_> = notes.map(|n| n["text"].to_string()).collect();
        (texts.join("; "), review["verdict"].to_string())
    };
    assert_eq!(notes().0, "");
    checkout.good(&["sign", FOLDER, "--key", "other.pem"]);
    let (told, verdict) = notes();
    assert!(
        told.contains("signed by key") && told.contains("now by key"),
        "{told}"
    );
    assert_eq!(verdict, "\"look\"");
    checkout.put("models/line/NOTES.md", "Good.\n");
    let (told, verdict) = notes();
    assert!(told.contains("model.sig can't hold"), "{told}");
    assert_eq!(verdict, "\"wrong\"");
    fs::remove_file(checkout.path().join(SIGNATURE)).unwrap();
    let (told, _) = notes();
    assert!(told.contains("and now it is not"), "{told}");
}
