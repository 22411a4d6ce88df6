//! The log: JSON for machines, text for people, and each failure once.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::Value;

use crate::process::{Serving, models, modelship, run, serve};

#[test]
fn elsewhere_than_on_a_terminal_every_line_is_a_record() {
    let service = Serving::start(serve(&[]));
    let address = service.address.to_string();
    let log = service.stop();
    let records: Vec<Value> = log
        .iter()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    for record in &records {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(record[field].is_string(), "{field} is missing: {record}");
        }
    }
    let ready: Vec<_> = records
        .iter()
        .filter(|r| r["address"] == *address)
        .collect();
    assert_eq!(ready.len(), 1, "{records:#?}");
    assert_eq!(
        (&ready[0]["level"], &ready[0]["message"]),
        (&"INFO".into(), &"ready".into())
    );
    assert!(
        records.iter().any(|r| r["signal"] == "SIGTERM"),
        "{records:#?}"
    );
}

/// What `command` writes to a terminal until a line contains `until`; then it
/// is asked to end.
fn on_a_terminal(mut command: std::process::Command, until: &str) -> Vec<String> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut process = command.stderr(Stdio::from(theirs)).spawn().unwrap();
    // The command would keep the terminal open here too.
    drop(command);
    let mut lines = Vec::new();
    // Reading fails at the end, when nobody holds the other side.
    for line in BufReader::new(File::from(ours))
        .lines()
        .map_while(Result::ok)
    {
        if line.contains(until) {
            let pid = Pid::from_child(&process);
            kill_process(pid, Signal::TERM).unwrap();
        }
        lines.push(line);
    }
    assert!(process.wait().unwrap().success(), "{lines:#?}");
    lines
}

#[test]
fn on_a_terminal_the_log_is_text() {
    let lines = on_a_terminal(serve(&[]), "address");
    let ready = lines
        .iter()
        .find(|l| l.contains("ready") && l.contains("127.0.0.1:"));
    let ready = ready.unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(ready.contains("\u{1b}["), "no colour: {ready:?}");
    assert!(!ready.contains('{'), "{ready}");

    let mut command = serve(&[]);
    command.env("NO_COLOR", "1");
    let lines = on_a_terminal(command, "address");
    assert!(
        lines.iter().all(|line| !line.contains('\u{1b}')),
        "{lines:#?}"
    );

    let lines = on_a_terminal(serve(&["--log-format", "json"]), "address");
    for line in lines {
        serde_json::from_str::<Value>(&line).expect(&line);
    }
}

#[test]
fn a_failure_is_told_once_in_the_form_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--models", empty];

    let ended = run(&arguments);
    assert_eq!(ended.code, Some(1));
    let errors: Vec<Value> = ended
        .err
        .iter()
        .map(|line| serde_json::from_str(line).expect(line))
        .filter(|record: &Value| record["level"] == "ERROR")
        .collect();
    let [error] = &errors[..] else {
        panic!("{ended:#?}");
    };
    assert!(
        error["message"].as_str().unwrap().contains(empty),
        "{error}"
    );

    for more in [&["--log-format", "text"][..], &["--log-level", "off"]] {
        let ended = run(&[&arguments[..], more].concat());
        assert_eq!(ended.code, Some(1));
        let errors: Vec<_> = ended.err.iter().filter(|l| l.contains(empty)).collect();
        let [error] = &errors[..] else {
            panic!("{ended:#?}");
        };
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[test]
fn a_version_that_fails_later_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("linear");
    fs::create_dir_all(model.join("cases")).unwrap();
    for file in ["model.toml", "model.onnx", "cases/whole.json"] {
        fs::copy(models().join("linear").join(file), model.join(file)).unwrap();
    }
    let mut command = modelship(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--watch-interval",
        "20ms",
    ]);
    command.arg("--models").arg(folder.path());
    let mut service = Serving::start(command);
    let manifest = fs::read_to_string(model.join("model.toml")).unwrap();
    fs::write(model.join("model.toml"), manifest + "\n[nonsense]\n").unwrap();
    service.log_until("nonsense");
    let (status, _, body) = service.get("/predict/21", "");
    assert_eq!(status, 200, "{body}");
    let log = service.stop();
    let told: Vec<_> = log
        .iter()
        .filter(|line| line.contains("nonsense"))
        .collect();
    assert_eq!(told.len(), 1, "{log:#?}");
}

#[test]
fn the_level_decides_what_is_written() {
    let service = Serving::start(serve(&["--log-level", "off,modelship::app=info"]));
    for line in service.stop() {
        assert!(line.contains("\"target\":\"modelship::app\""), "{line}");
    }
}

#[test]
fn the_access_log_has_a_record_for_each_request() {
    let id = "x-request-id: from-the-caller\r\n";
    let requests = |flags: &[&str]| {
        let service = Serving::start(serve(flags));
        let (status, head, _) = service.get("/predict/linear/21", id);
        assert_eq!(status, 200);
        assert!(head.contains("x-request-id: from-the-caller"), "{head}");
        assert_eq!(service.get("/nowhere/%22%0a", "").0, 404);
        let log = service.stop();
        let records = log
            .iter()
            .map(|line| serde_json::from_str(line).expect(line));
        records
            .filter(|record: &Value| record["message"] == "request")
            .collect::<Vec<_>>()
    };
    let records = requests(&["--access-log"]);
    let [predict, nowhere] = &records[..] else {
        panic!("{records:#?}");
    };
    assert_eq!(predict["request_id"], "from-the-caller");
    assert_eq!(predict["method"], "GET");
    assert_eq!(predict["path"], "/predict/linear/21");
    assert_eq!(predict["status"], 200);
    assert!(predict["duration_ms"].as_f64().unwrap() > 0.0, "{predict}");
    assert_eq!(
        (&nowhere["status"], &nowhere["path"]),
        (&404.into(), &"/nowhere/%22%0a".into())
    );
    let made = nowhere["request_id"].as_str().unwrap();
    assert!(made.len() >= 16, "{nowhere}");

    assert_eq!(requests(&["--log-level", "debug"]), Vec::<Value>::new());
}
