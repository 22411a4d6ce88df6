//! A planted fault for each thing that `modelship check` looks for, and what
//! it says of each: where, what, and what to do.

use std::{fs, os::unix::fs::symlink, path::Path};

use modelship::{
    engine::{OnnxRuntime, find_library},
    repository::{Digest, signature::Trust, stamp},
    review::{
        Side,
        check::{NO_DESCRIPTION, Request, Rule, Severity, check},
    },
};

use crate::checkout::{Checkout, fixture};

/// A fault, and the finding that must tell of it.
struct Fault {
    plant: fn(&Checkout),
    severity: Severity,
    rule: Rule,
    /// The file at fault, from the top of the checkout.
    file: &'static str,
    reason: &'static str,
    remedy: &'static str,
}

const fn error(
    rule: Rule,
    plant: fn(&Checkout),
    [file, reason, remedy]: [&'static str; 3],
) -> Fault {
    let severity = Severity::Error;
    Fault {
        plant,
        severity,
        rule,
        file,
        reason,
        remedy,
    }
}

const fn warning(rule: Rule, plant: fn(&Checkout), told: [&'static str; 3]) -> Fault {
    let severity = Severity::Warning;
    Fault {
        severity,
        ..error(rule, plant, told)
    }
}

const MANIFEST: &str = "models/line/model.toml";
const GRAPH: &str = "models/line/model.onnx";
const CASE: &str = "models/line/cases/case-1.json";

/// Puts more at the manifest's end.
fn more(checkout: &Checkout, text: &str) {
    checkout.put(MANIFEST, checkout.text(MANIFEST) + text);
}

/// Makes `graph` the model, and `files` with it, with the right hashes.
fn model(checkout: &Checkout, graph: &[u8], files: &[(&str, &[u8])]) {
    let _ = fs::remove_dir_all(checkout.path().join("models/line"));
    let mut manifest =
        "name = \"line\"\nversion = \"v1.0.0\"\ndescription = \"A line.\"\n".to_owned();
    for (path, bytes) in std::iter::once(&("model.onnx", graph)).chain(files) {
        checkout.put(&format!("models/line/{path}"), bytes);
        let sha256 = Digest::of(bytes);
        manifest += &format!("[[files]]\npath = \"{path}\"\nsha256 = \"{sha256}\"\n");
    }
    checkout.put(MANIFEST, manifest);
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

fn stamped(bytes: &[u8]) -> Vec<u8> {
    stamp::write(bytes, &"v1.0.0".parse().unwrap()).unwrap()
}

/// A fixture as the model, stamped.
fn is(checkout: &Checkout, name: &str) {
    model(checkout, &stamped(&bytes(name)), &[]);
}

/// A fixture with `from`, which stands in it once or more, as `to`.
fn changed(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(name);
    let at = bytes.windows(from.len()).rposition(|w| w == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
    bytes
}

fn case(checkout: &Checkout, inputs: &str, outputs: &str) {
    checkout.put(
        CASE,
        format!("{{\"inputs\":[{inputs}],\"outputs\":[{outputs}]}}"),
    );
}

/// `zipmap` with a golden case, which takes text and a number.
fn zipmap(checkout: &Checkout) {
    is(checkout, "zipmap.onnx");
    let color = r#"{"name":"color","shape":[1,1],"datatype":"BYTES","data":["red"]}"#;
    let size = r#"{"name":"size","shape":[1,1],"datatype":"FP32","data":[3]}"#;
    let label = r#"{"name":"output_label","shape":[1],"datatype":"BYTES","data":["drop"]}"#;
    case(checkout, &format!("{color},{size}"), label);
}

const X: &str = r#"{"name":"x","shape":[1,1],"datatype":"FP32","data":[21]}"#;
const Y: &str = r#"{"name":"y","shape":[1,1],"datatype":"FP32","data":[48]}"#;

/// The committed model with other bytes as `version`.
fn other_bytes(checkout: &Checkout, version: &str) {
    let graph = stamp::write(&bytes("line-steeper.onnx"), &version.parse().unwrap()).unwrap();
    model(checkout, &graph, &[]);
    checkout.edit(MANIFEST, "v1.0.0", version);
}

#[rustfmt::skip]
const REPOSITORY: &[Fault] = &[
    error(Rule::Repository, |c| c.edit(MANIFEST, "description = \"A line.\"\n", ""),
        [MANIFEST, "it is missing", "add description"]),
    error(Rule::Repository, |c| c.edit(MANIFEST, "[[files]]", "lisence = \"MIT\"\n[[files]]"),
        [MANIFEST, "unknown key", "did you mean \"license\"?"]),
    error(Rule::Repository, |c| c.edit(MANIFEST, "\"v1.0.0\"", "v1.0.0"),
        [MANIFEST, "it is not valid TOML", "https://toml.io"]),
    error(Rule::Repository, |c| more(c, "[labels]\na = \"1\"\na = \"2\"\n"),
        [MANIFEST, "duplicate key", "https://toml.io"]),
    error(Rule::Repository, |c| c.edit(MANIFEST, "\"v1.0.0\"", "\"1.0\""),
        [MANIFEST, "\"1.0\" does not fit", "v1.4.0"]),
    error(Rule::Repository, |c| c.edit(MANIFEST, "\"line\"", "\"a line\""),
        [MANIFEST, "\"a line\" does not fit", "a-z"]),
    error(Rule::Repository, |c| c.edit(MANIFEST, "\"model.onnx\"", "\"../model.onnx\""),
        [MANIFEST, "leaves the model's folder", "by its path from there"]),
    error(Rule::Repository, |c| { let text = c.text(MANIFEST); let files = text.find("[[files]]").unwrap(); more(c, &text[files..]); },
        [MANIFEST, "\"model.onnx\" is listed twice", "take one out"]),
    error(Rule::Repository, |c| more(c, "[golden]\nabsolute = -1\n"),
        [MANIFEST, "-1 does not fit", "0 or greater"]),
    error(Rule::Repository, |c| more(c, "[ranges]\nx = [2, 1]\n"),
        [MANIFEST, "2 is greater than 1", "the least value first"]),
    error(Rule::Repository, |c| fs::rename(c.path().join("models/line"), c.path().join("models/lines")).unwrap(),
        ["models/lines/model.toml", "its folder says \"lines\"", "rename the folder"]),
    error(Rule::Repository, |c| { c.put(GRAPH, stamped(&changed("line.onnx", b"slope", b"slape"))); },
        [GRAPH, "its sha256 is", "put the file back"]),
    error(Rule::Repository, |c| fs::remove_file(c.path().join(GRAPH)).unwrap(),
        [GRAPH, "it does not exist", "put it there"]),
    error(Rule::Repository, |c| { c.put(GRAPH, ""); },
        [GRAPH, "it is empty", "put the whole file there"]),
    error(Rule::Repository, |c| { fs::remove_file(c.path().join(GRAPH)).unwrap(); fs::create_dir(c.path().join(GRAPH)).unwrap(); },
        [GRAPH, "it is a folder", "put a file there"]),
    error(Rule::Repository, |c| { c.put(GRAPH, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"); },
        [GRAPH, "Git LFS pointer", "git lfs pull"]),
    error(Rule::Repository, |c| { fs::rename(c.path().join(GRAPH), c.path().join("out")).unwrap(); symlink("../../out", c.path().join(GRAPH)).unwrap(); },
        [GRAPH, "a link that leaves the model's folder", "put the file itself there"]),
    error(Rule::Repository, |c| symlink("cases", c.path().join("models/line/more")).unwrap(),
        ["models/line/more", "a link to a folder", "take the link out"]),
    error(Rule::Repository, |c| symlink("../..", c.path().join("models/away")).unwrap(),
        ["models/away", "a link that leaves the model repository", "put the folder itself there"]),
    error(Rule::Repository, |c| { c.put("models/line/extra.bin", "x"); },
        ["models/line/extra.bin", "the manifest does not list it", "take it out of the folder"]),
    error(Rule::Repository, |c| model(c, &stamp::write(&bytes("line.onnx"), &"v0.9.0".parse().unwrap()).unwrap(), &[]),
        [GRAPH, "it is stamped \"v0.9.0\"", "modelship add"]),
    error(Rule::Repository, |c| model(c, &bytes("line.onnx"), &[]),
        [GRAPH, "it bears no stamp", "modelship add"]),
    error(Rule::Repository, |c| model(c, b"hello", &[]),
        [GRAPH, "not an ONNX file", "export the model to ONNX again"]),
    error(Rule::Repository, |c| is(c, "external/line.onnx"),
        [GRAPH, "takes tensors from \"weights.bin\", which the manifest does not list", "add \"weights.bin\" to [[files]]"]),
    error(Rule::Repository, |c| model(c, &stamped(&changed("external/line.onnx", b"weights.bin", b"../../a.bin")), &[("weights.bin", b"x")]),
        [GRAPH, "takes tensors from \"../../a.bin\"", "with its external data beside it"]),
    error(Rule::Repository, |c| { c.put(CASE, "{"); },
        [CASE, "it is not a golden case", "record it again"]),
    error(Rule::Repository, |c| c.edit(CASE, "{\n  \"inputs\"", "{\n  \"inputs\": [],\n  \"inputs\""),
        [CASE, "duplicate field `inputs`", "record it again"]),
    error(Rule::Repository, |c| case(c, &X.replacen('{', "{\"shape\":[1],", 1), Y),
        [CASE, "duplicate field `shape`", "record it again"]),
    error(Rule::Repository, |c| case(c, &format!("{X},{X}"), Y),
        [CASE, "the input \"x\" stands there twice", "record it again"]),
    error(Rule::Repository, |c| case(c, X, &Y.replace("48", "\"many\"")),
        [CASE, "does not fit FP32", "record it again"]),
    error(Rule::Repository, |c| case(c, X, ""),
        [CASE, "proves nothing", "record it again"]),
    error(Rule::Repository, |c| { c.put("models/a/b/c/model.toml", ""); },
        ["models/a/b/c/model.toml", "nobody looks for a manifest here", "move the folder"]),
    error(Rule::Repository, |c| { c.put("models/lost/model.onnx", bytes("line.onnx")); },
        ["models/lost/model.onnx", "it has no model.toml beside it", "add it with `modelship add`"]),
    error(Rule::Repository, |c| { c.put("models/line/v1.0.0/model.toml", c.text(MANIFEST)); },
        ["models/line/v1.0.0/model.toml", "claimed by", "another version"]),
    error(Rule::Repository, |c| fs::remove_dir_all(c.path().join("models/line")).unwrap(),
        ["models", "it holds no model", "modelship add"]),
    error(Rule::Repository, |c| fs::remove_dir_all(c.path().join("models")).unwrap(),
        ["models", "it does not exist", "--models"]),
    warning(Rule::Repository, |c| c.edit(MANIFEST, "A line.", NO_DESCRIPTION),
        [MANIFEST, "nobody has written it", "say in a sentence"]),
    warning(Rule::Repository, |c| { let graph = fs::read(c.path().join(GRAPH)).unwrap(); let case = c.text(CASE); model(c, &graph, &[("extra.bin", b"x")]); c.put(CASE, case); },
        ["models/line/extra.bin", "the graph takes nothing from it", "take it out of the manifest"]),
];

#[rustfmt::skip]
const MODELS: &[Fault] = &[
    error(Rule::Structure, |c| model(c, &stamped(&changed("line.onnx", b"\x12\x01y", b"\x12\x01z")), &[]),
        [GRAPH, "nothing in the graph gives its output \"y\"", "export the model again"]),
    error(Rule::Engine, |c| is(c, "unknown-operator.onnx"),
        [GRAPH, "Divine", "export it for operators and an opset that ONNX Runtime"]),
    error(Rule::Engine, |c| model(c, &stamped(&changed("line.onnx", b"\x10\x11", b"\x10\x7f")), &[]),
        [GRAPH, "opset", "it asks for ai.onnx 127"]),
    error(Rule::GoldenCase, |c| c.edit(CASE, "48", "49"),
        [CASE, "the output \"y\" at [0, 0] is 48, and must be 49", "record it with `modelship add`"]),
    error(Rule::GoldenCase, |c| case(c, &X.replace("\"x\"", "\"z\""), Y),
        [CASE, "the model has no input \"z\": it takes x", "record it"]),
    error(Rule::GoldenCase, |c| case(c, X, &Y.replace("\"y\"", "\"z\"")),
        [CASE, "\"z\"", "record it"]),
    error(Rule::GoldenCase, |c| case(c, &X.replace("[1,1]", "[1]"), Y),
        [CASE, "the input \"x\"", "record it"]),
    error(Rule::GoldenCase, |c| case(c, X, &Y.replace("FP32", "FP64")),
        [CASE, "FP64", "record it"]),
    error(Rule::GoldenCase, |c| { is(c, "embedding.onnx"); case(c, r#"{"name":"ids","shape":[1,1],"datatype":"INT64","data":[9]}"#, r#"{"name":"mean","shape":[1,2],"datatype":"FP32","data":[0,1]}"#); },
        [CASE, "indices element out of data bounds", "record it"]),
    warning(Rule::GoldenCase, |c| fs::remove_file(c.path().join(CASE)).unwrap(),
        ["models/line/cases", "it has no golden case", "modelship add --cases"]),
    warning(Rule::GoldenCase, |c| c.edit(CASE, "{\n  \"inputs\"", "{\n  \"sampled\": true,\n  \"inputs\""),
        ["models/line/cases", "all drawn at random", "modelship add --cases"]),
    warning(Rule::Batch, |c| is(c, "zipmap.onnx"),
        [MANIFEST, "no input was taken", "modelship add --cases"]),
    warning(Rule::Batch, |c| is(c, "centred.onnx"),
        [MANIFEST, "what its rows give alone", "its requests will run one by one"]),
    error(Rule::Batch, |c| { is(c, "centred.onnx"); more(c, "[scheduling]\nmax_batch_size = 8\n"); },
        [MANIFEST, "what its rows give alone", "set max_batch_size = 1"]),
    error(Rule::Features, |c| more(c, "[features]\nx = [\"a\", \"b\"]\n"),
        [MANIFEST, "it names 2 columns, and the input takes 1", "name each column once"]),
    error(Rule::Features, |c| more(c, "[features]\nz = [\"a\"]\n"),
        [MANIFEST, "the model has no input \"z\"", "its inputs are x"]),
    error(Rule::Ranges, |c| more(c, "[ranges]\nz = [0, 1]\n"),
        [MANIFEST, "the model has no input or column \"z\"", "name one of x"]),
    error(Rule::Ranges, |c| more(c, "[ranges]\nx = [0, 1e300]\n"),
        [MANIFEST, "does not fit FP32", "give two numbers that FP32 holds"]),
    error(Rule::Ranges, |c| { zipmap(c); more(c, "[ranges]\ncolor = [0, 1]\n"); },
        [MANIFEST, "the input \"color\" is BYTES", "take it out"]),
    error(Rule::Ranges, |c| { zipmap(c); more(c, "[features]\ncolor = [\"a\"]\nsize = [\"a\"]\n[ranges]\na = [0, 1]\n"); },
        [MANIFEST, "it may be meant for color or size", "a name of its own"]),
];

#[rustfmt::skip]
const GIT: &[Fault] = &[
    error(Rule::Git, |c| { let mut graph = stamped(&bytes("line.onnx")); super::modelship_metadata(&mut graph, 1_200_000); model(c, &graph, &[]); },
        [GRAPH, "it has 1.2 MB, more than the 1.0 MB", "git lfs track '*.onnx'"]),
    error(Rule::Git, |c| { c.put(".gitignore", "*.onnx\n"); c.git(&["rm", "-r", "--quiet", "--cached", "models"]); },
        [GRAPH, ".gitignore names it", "git add --force"]),
    error(Rule::Version, |c| other_bytes(c, "v1.0.0"),
        [MANIFEST, "bytes changed, and its version is still v1.0.0", "to v1.1.0 or more"]),
    error(Rule::Version, |c| { let before = c.path().join("before"); fs::rename(c.path().join("models"), &before).unwrap(); c.commit("Without it"); fs::rename(&before, c.path().join("models")).unwrap(); other_bytes(c, "v1.0.0"); },
        [MANIFEST, "v1.0.0 was merged before with other bytes", "raise the version"]),
    error(Rule::Version, |c| other_bytes(c, "v0.9.0"),
        [MANIFEST, "v0.9.0 is older than v1.0.0", "to v1.1.0 or more"]),
    error(Rule::Version, |c| { let graph = stamp::write(&bytes("line-wider.onnx"), &"v1.1.0".parse().unwrap()).unwrap(); model(c, &graph, &[]); c.edit(MANIFEST, "v1.0.0", "v1.1.0"); },
        [MANIFEST, "is no major step", "make it v2.0.0"]),
    error(Rule::Signature, |c| { c.put("models/line/model.sig", "{}"); },
        ["models/line/model.sig", "it is no Sigstore bundle", "sign it again with `modelship sign`"]),
    warning(Rule::Version, |c| { c.put(GRAPH, "broken"); c.commit("A broken model"); other_bytes(c, "v1.1.0"); },
        [MANIFEST, "can't be loaded to compare with", "look at its signature yourself"]),
];

/// Findings that others bring with them.
fn follows(rule: Rule, reason: &str) -> bool {
    match rule {
        // A model without cases is one that a fault was planted in.
        Rule::GoldenCase => reason.starts_with("it has no golden case"),
        // What breaks a rule of ONNX is no model to the engine either.
        Rule::Engine => reason.contains("Graph output (y) does not exist"),
        // The folder is empty but for the broken one.
        Rule::Repository => reason == "it holds no model",
        _ => false,
    }
}

#[test]
fn each_fault_is_found_with_its_place_its_reason_and_its_remedy() {
    let engine = OnnxRuntime::start(&find_library().unwrap()).unwrap();
    let sound = Checkout::with_line();
    let (mut rules, mut missed) = (Vec::new(), Vec::new());
    for (n, fault) in [REPOSITORY, MODELS, GIT].into_iter().flatten().enumerate() {
        let checkout = sound.copy();
        (fault.plant)(&checkout);
        let models = checkout.path().join("models");
        let scratch = tempfile::tempdir().unwrap();
        let base = (fault.rule == Rule::Version)
            .then(|| Side::open("main", &models, scratch.path()).unwrap());
        let against = base.as_ref();
        let request = Request {
            models: &models,
            against,
            large_file: 1_000_000,
            trust: &Trust::default(),
        };
        let found = check(&engine, &request, |_, _, _| {}).findings;
        let is_it = |f: &&modelship::review::check::Finding| {
            let file = f.problem.file.strip_prefix(checkout.path()).unwrap();
            (f.severity, f.rule, file) == (fault.severity, fault.rule, Path::new(fault.file))
                && f.problem.reason.contains(fault.reason)
                && f.problem.remedy.contains(fault.remedy)
        };
        let rest = found
            .iter()
            .filter(|f| !is_it(f) && !follows(f.rule, &f.problem.reason));
        if found.iter().filter(is_it).count() != 1 || rest.count() != 0 {
            let told = format!("{n}, {}: {}", fault.file, fault.reason);
            missed.push(format!("{told}\n{found:#?}"));
        }
        rules.push(fault.rule);
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
    // Every rule has a fault; a new one does not compile without its place here.
    for rule in [
        Rule::Repository,
        Rule::Structure,
        Rule::Engine,
        Rule::GoldenCase,
        Rule::Batch,
        Rule::Features,
        Rule::Ranges,
        Rule::Git,
        Rule::Version,
        Rule::Signature,
    ] {
        match rule {
            Rule::Repository
            | Rule::Structure
            | Rule::Engine
            | Rule::GoldenCase
            | Rule::Batch
            | Rule::Features
            | Rule::Ranges
            | Rule::Git
            | Rule::Version
            | Rule::Signature => assert!(rules.contains(&rule), "{rule:?}"),
        }
    }
}
