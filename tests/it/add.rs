//! `modelship add`: a model comes into the repository.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    checkout::{Checkout, fixture},
    process::Ended,
};

fn add<'a>(file: &'a str, name: &'a str, version: &'a str) -> Vec<&'a str> {
    vec!["add", file, "--name", name, "--version", version]
}

#[test]
fn the_whole_way_of_a_model_into_the_repository() {
    let checkout = Checkout::new();
    let cases = checkout.put("known.csv", "x,y\n21,48\n0,6\n");
    let line = fixture("line.onnx");
    let mut arguments = add(&line, "line", "v1.0.0");
    arguments.extend([
        "--cases",
        cases.to_str().unwrap(),
        "--description",
        "A line.",
        "--license",
        "MIT",
    ]);
    let told = checkout.good(&arguments);
    assert!(
        told.contains("line v1.0.0 stands in models/line") && told.contains("2 golden cases"),
        "{told}"
    );
    assert!(
        told.contains("Next:") && told.contains("git add models/line"),
        "{told}"
    );
    assert!(
        !told.contains("still wrong") && !told.contains("description:"),
        "{told}"
    );
    let manifest = checkout.text("models/line/model.toml");
    assert!(manifest.contains("license = \"MIT\""), "{manifest}");
    assert_eq!(
        checkout.text("models/line/cases/case-1.json"),
        "{\n  \"inputs\": [\n    {\"name\": \"x\", \"shape\": [1,1], \"datatype\": \"FP32\", \"data\": [21]}\n  ],\n  \
         \"outputs\": [\n    {\"name\": \"y\", \"shape\": [1,1], \"datatype\": \"FP32\", \"data\": [48]}\n  ]\n}\n"
    );
    let checked = checkout.good(&["check"]);
    assert!(
        checked.contains("2 golden cases") && checked.contains("0 errors, 0 warnings"),
        "{checked}"
    );
    fs::remove_file(cases).unwrap();
    checkout.commit("line v1.0.0");

    checkout.put(
        "models/line/model.toml",
        format!("# Mine.\n{manifest}\n[ranges]\nx = [0, 40] # km\n"),
    );
    let steeper = fixture("line-steeper.onnx");
    let told = checkout.good(&add(&steeper, "line", "v1.1.0"));
    assert!(told.contains("in place of v1.0.0"), "{told}");
    assert!(
        told.contains("2 golden cases kept, 1 of them with a new answer"),
        "{told}"
    );
    assert!(told.contains("modelship diff HEAD models"), "{told}");
    assert!(
        told.contains("[ranges] in models/line/model.toml are still those of v1.0.0"),
        "{told}"
    );
    let edited = checkout.text("models/line/model.toml");
    assert!(
        edited.ends_with("\n[ranges]\nx = [0, 40] # km\n"),
        "{edited}"
    );
    assert!(
        checkout
            .text("models/line/model.toml")
            .starts_with("# Mine.\nname")
    );
    assert!(
        checkout
            .text("models/line/cases/case-1.json")
            .contains("\"data\": [50.1]")
    );
    let checked = checkout.good(&["check", "--against", "main"]);
    assert!(checked.contains("line v1.1.0: 2 golden cases"), "{checked}");
    let left: Vec<_> = fs::read_dir(checkout.path().join("models"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_stamp_changes_nothing_else() {
    let checkout = Checkout::new();
    for file in ["line.onnx", "zipmap.onnx", "embedding.onnx"] {
        let bytes = fs::read(fixture(file)).unwrap();
        let stamped =
            modelship::repository::stamp::write(&bytes, &"v1.0.0".parse().unwrap()).unwrap();
        assert_eq!(stamped[..bytes.len()], bytes);
    }
    let line = fixture("line.onnx");
    checkout.good(&add(&line, "line", "v1.0.0"));
    let stands = fs::read(checkout.path().join("models/line/model.onnx")).unwrap();
    let bytes = fs::read(&line).unwrap();
    assert_eq!(stands[..bytes.len()], bytes);
    // Adding what stands already, stamp and all, changes nothing.
    let own = checkout.path().join("models/line/model.onnx");
    checkout.commit("line v1.0.0");
    checkout.good(&add(own.to_str().unwrap(), "line", "v1.0.0"));
    assert_eq!(checkout.git(&["status", "--porcelain"]), "");
}

#[test]
fn what_stands_is_not_replaced_by_what_is_not_newer() {
    let checkout = Checkout::with_line();
    let steeper = fixture("line-steeper.onnx");
    checkout.refused(
        &add(&steeper, "line", "v1.0.0"),
        &[
            "line v1.0.0 stands in models/line with other bytes",
            "raise it, to v1.1.0 or more",
        ],
    );
    checkout.refused(
        &add(&steeper, "line", "v0.9.0"),
        &["v0.9.0 is not newer than v1.0.0", "raise it"],
    );
    assert_eq!(
        checkout.git(&["status", "--porcelain"]),
        "",
        "nothing was written"
    );
}

#[test]
fn a_model_is_replaced_from_within_its_own_folder() {
    let checkout = Checkout::with_line();
    checkout.put("models/line/notes/README.md", "# Mine\n");
    let steeper = fixture("line-steeper.onnx");
    let mut arguments = add(&steeper, "line", "v1.1.0");
    arguments.extend(["--models", ".."]);
    let mut command = checkout.modelship(&arguments);
    command.current_dir(checkout.path().join("models/line"));
    let ended = Ended::of(command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.contains("cd . ") && !ended.out.contains("still wrong"),
        "{ended:?}"
    );
    assert_eq!(checkout.text("models/line/notes/README.md"), "# Mine\n");
    let checked = checkout.good(&["check"]);
    assert!(checked.contains("line v1.1.0"), "{checked}");
}

#[test]
fn a_version_that_was_committed_before_keeps_its_bytes() {
    let checkout = Checkout::with_line();
    checkout.git(&["rm", "-r", "--quiet", "models"]);
    checkout.commit("Without models");
    let steeper = fixture("line-steeper.onnx");
    checkout.refused(
        &add(&steeper, "line", "v1.0.0"),
        &[
            "line v1.0.0 was committed before with other bytes",
            "raise it",
        ],
    );
    let line = fixture("line.onnx");
    checkout.good(&add(&line, "line", "v1.0.0"));
}

#[test]
fn versions_stand_side_by_side_where_that_is_asked_for() {
    let checkout = Checkout::with_line();
    let steeper = fixture("line-steeper.onnx");
    let mut beside = add(&steeper, "line", "v2.0.0");
    beside.push("--beside");
    checkout.good(&beside);
    let checked = checkout.good(&["check"]);
    assert!(
        checked.contains("line v1.0.0") && checked.contains("line v2.0.0"),
        "{checked}"
    );
    checkout.refused(
        &add(&steeper, "line", "v1.5.0")
            .into_iter()
            .chain(["--beside", "--cases", "/nowhere.csv"])
            .collect::<Vec<_>>(),
        &["/nowhere.csv"],
    );
}

#[test]
fn what_is_no_model_is_refused() {
    let checkout = Checkout::new();
    let line = fixture("line.onnx");
    let script = fixture("make.py");
    checkout.refused(
        &add(&script, "line", "v1.0.0"),
        &["make.py", "not an ONNX file"],
    );
    let unknown = fixture("unknown-operator.onnx");
    checkout.refused(
        &add(&unknown, "line", "v1.0.0"),
        &["unknown-operator.onnx can't be added", "Divine"],
    );
    checkout.refused(
        &add("nowhere.onnx", "line", "v1.0.0"),
        &["nowhere.onnx can't be read"],
    );
    let pointer = checkout.put(
        "lfs.onnx",
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    );
    checkout.refused(
        &add(pointer.to_str().unwrap(), "line", "v1.0.0"),
        &["Git LFS pointer", "git lfs pull"],
    );
    assert!(!checkout.path().join("models").exists());
    let wrong = checkout.run(&add(&line, "Line!", "1.0"));
    assert_eq!(wrong.code, Some(2));
    assert_eq!(wrong.err.len(), 2, "{wrong:?}");
    assert!(
        wrong.err[0].contains("a-z") && wrong.err[1].contains("v1.4.0"),
        "{wrong:?}"
    );
}

#[test]
fn cases_come_as_lines_of_json_as_csv_and_as_onnx_test_data() {
    let checkout = Checkout::new();
    let line = fixture("line.onnx");
    let request = r#"{"inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[1,2]}],"outputs":[{"name":"y","shape":[2,1],"datatype":"FP32","data":[8,10]}]}"#;
    let lines = checkout.put("a.jsonl", format!("21\n[0]\n{{\"x\": -3}}\n{request}\n"));
    let data = fixture("test_data_set_0");
    for (name, cases, count) in [("lines", lines.to_str().unwrap(), 4), ("data", &data, 1)] {
        let mut arguments = add(&line, name, "v1.0.0");
        arguments.extend(["--cases", cases]);
        let told = checkout.good(&arguments);
        assert!(told.contains(&format!("{count} golden cases")), "{told}");
    }
    assert!(
        checkout
            .text("models/data/cases/test_data_set_0.json")
            .contains("[48]")
    );
    assert!(
        checkout
            .text("models/lines/cases/case-4.json")
            .contains("\"shape\": [2,1]")
    );
    // Two columns for one input: their names are learned.
    let wider = fixture("line-wider.onnx");
    let csv = checkout.put("b.csv", "km,stops,y\n1,2,10\n");
    let mut arguments = add(&wider, "wider", "v1.0.0");
    arguments.extend(["--cases", csv.to_str().unwrap()]);
    checkout.good(&arguments);
    assert!(
        checkout
            .text("models/wider/model.toml")
            .contains("[features]\nx = [\"km\", \"stops\"]")
    );
    assert!(
        checkout
            .text("models/wider/cases/case-1.json")
            .contains("\"data\": [10]")
    );
    checkout.good(&["check"]);
}

#[test]
fn an_answer_that_the_model_does_not_give_is_refused() {
    let checkout = Checkout::new();
    let steeper = fixture("line-steeper.onnx");
    let data = fixture("test_data_set_0");
    let mut arguments = add(&steeper, "line", "v1.0.0");
    arguments.extend(["--cases", &data]);
    checkout.refused(
        &arguments,
        &[
            "test_data_set_0",
            "the output \"y\" at [0, 0] is 50.1, and must be 48",
        ],
    );
    let csv = checkout.put("bad.csv", "x\n1\nmany\n");
    arguments.pop();
    arguments.push(csv.to_str().unwrap());
    checkout.refused(&arguments, &["bad.csv", "row 2, x", "many"]);
    let empty = checkout.put("empty.jsonl", "\n");
    arguments.pop();
    arguments.push(empty.to_str().unwrap());
    checkout.refused(&arguments, &["empty.jsonl", "no case"]);
    assert!(!checkout.path().join("models").exists());
}

#[test]
fn without_cases_inputs_are_drawn_and_marked_so() {
    let checkout = Checkout::new();
    // Its indices must be below 4, which only small numbers are.
    let embedding = fixture("embedding.onnx");
    let told = checkout.good(&add(&embedding, "embedding", "v1.0.0"));
    assert!(
        told.contains("8 golden cases were drawn at random"),
        "{told}"
    );
    let case = checkout.text("models/embedding/cases/sampled-1.json");
    assert!(case.contains("\"sampled\": true"), "{case}");
    let again = Checkout::new();
    again.good(&add(&embedding, "embedding", "v1.0.0"));
    assert_eq!(
        again.text("models/embedding/cases/sampled-1.json"),
        case,
        "the same again"
    );
    // A person's cases take the place of drawn ones.
    let cases = checkout.put("own.jsonl", "{\"ids\": [0, 3]}\n");
    let mut arguments = add(&embedding, "embedding", "v1.0.0");
    arguments.extend(["--cases", cases.to_str().unwrap()]);
    checkout.good(&arguments);
    let left: Vec<_> = fs::read_dir(checkout.path().join("models/embedding/cases"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn external_data_comes_along_and_goes_again() {
    let checkout = Checkout::new();
    let external = fixture("external/line.onnx");
    checkout.good(&add(&external, "line", "v1.0.0"));
    assert!(
        checkout
            .text("models/line/model.toml")
            .contains("path = \"weights.bin\"")
    );
    checkout.good(&["check"]);
    let whole = fixture("line-steeper.onnx");
    checkout.good(&add(&whole, "line", "v1.1.0"));
    assert!(!checkout.path().join("models/line/weights.bin").exists());
    assert!(
        !checkout
            .text("models/line/model.toml")
            .contains("weights.bin")
    );
    checkout.good(&["check"]);
    // Without its data beside it, or with it elsewhere, it is no model.
    let alone = checkout.path().join("alone.onnx");
    fs::copy(&external, &alone).unwrap();
    checkout.refused(
        &add(alone.to_str().unwrap(), "other", "v1.0.0"),
        &["weights.bin, which can't be read"],
    );
    let bytes = fs::read(&external).unwrap();
    let at = bytes.windows(11).position(|w| w == b"weights.bin").unwrap();
    let mut outside = bytes.clone();
    outside[at..at + 11].copy_from_slice(b"../../a.bin");
    fs::write(&alone, outside).unwrap();
    checkout.refused(
        &add(alone.to_str().unwrap(), "other", "v1.0.0"),
        &["\"../../a.bin\", outside its own folder"],
    );
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let checkout = Checkout::with_line();
    // The command waits for its cases, which never end.
    let pipe = checkout.path().join("cases.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let steeper = fixture("line-steeper.onnx");
    let mut arguments = add(&steeper, "line", "v1.1.0");
    arguments.extend(["--cases", pipe.to_str().unwrap()]);
    let mut adding = checkout
        .modelship(&arguments)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Opens once the command has opened the other end.
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    writer.write_all(b"21\n").unwrap();
    kill_process(Pid::from_child(&adding), Signal::INT).unwrap();
    // Where the tests run in the background of a shell, an interrupt is ignored.
    kill_process(Pid::from_child(&adding), Signal::TERM).unwrap();
    assert!(!adding.wait().unwrap().success());
    drop(writer);
    fs::remove_file(pipe).unwrap();
    assert_eq!(checkout.git(&["status", "--porcelain", "--ignored"]), "");
}

#[test]
fn models_of_every_library_come_in_and_answer() {
    let checkout = Checkout::new();
    let zipmap = checkout.put(
        "zipmap.jsonl",
        "{\"color\": \"red\", \"size\": 3}\n[\"blue\", 1]\n",
    );
    let rows = checkout.put("rows.csv", "a,b,c,d\n5.1,3.5,1.4,0.2\n6.3,3.3,6,2.5\n");
    let three = checkout.put("three.csv", "a,b,c\n5.1,3.5,1.4\n");
    for (file, name, cases) in [
        ("zipmap.onnx", "scikit-learn", &zipmap),
        ("xgboost.onnx", "xgboost", &three),
        ("lightgbm.onnx", "lightgbm", &rows),
        ("pytorch.onnx", "pytorch", &rows),
    ] {
        let (file, cases) = (fixture(file), cases.to_str().unwrap());
        let mut arguments = add(&file, name, "v1.0.0");
        arguments.extend(["--cases", cases, "--description", "A model."]);
        checkout.good(&arguments);
    }
    let case = checkout.text("models/scikit-learn/cases/case-1.json");
    assert!(
        case.contains("[\"red\"]") && case.contains("[\"drop\"]"),
        "{case}"
    );
    assert!(
        checkout
            .path()
            .join("models/pytorch/pytorch.onnx.data")
            .exists()
    );
    let checked = checkout.good(&["check"]);
    assert!(
        checked.contains("4 models loaded") && checked.contains("0 errors, 0 warnings"),
        "{checked}"
    );
    checkout.commit("Four models");
    let told = checkout.good(&["diff", "main", "--speed", "0"]);
    assert!(told.contains("no model changes"), "{told}");
}
