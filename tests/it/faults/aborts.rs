//! A model that ends the process from inside the native library. The real thing:
//! ONNX Runtime divides integers by the processor's own instruction, and an x86
//! processor has no answer where the lowest integer is divided by -1.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use rustix::process::Signal;

use super::{after, serve, until};
use crate::{
    checkout::{Checkout, fixture},
    process::Serving,
    repository::Repository,
    service::{agent, try_send},
};

/// What the processor ends a process with.
const ENDED: i32 = Signal::FPE.as_raw();

/// A model that any caller ends the process by, and one beside it.
fn repository(scheduling: &str) -> Repository {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    put_quotient(&repository, scheduling);
    repository
}

fn put_quotient(repository: &Repository, scheduling: &str) {
    let graph = fs::read(fixture("quotient.onnx")).unwrap();
    repository.put_graph("quotient", &graph);
    let manifest = repository.model("quotient").join("model.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(manifest, text + scheduling).unwrap();
}

/// `command`, which leaves no image of its memory behind.
fn quietly(command: &Command) -> Command {
    after("ulimit -c 0", command)
}

/// Gives `quotient` a golden case of this number.
fn put_case(repository: &Repository, x: i32) {
    let tensor = |name: &str, value: i32| serde_json::json!([{"name": name, "shape": [1, 1], "datatype": "INT32", "data": [value]}]);
    let case = serde_json::json!({"inputs": tensor("x", x), "outputs": tensor("y", i32::MIN / 2)});
    let cases = repository.model("quotient").join("cases");
    fs::create_dir_all(&cases).unwrap();
    fs::write(cases.join("one.json"), case.to_string()).unwrap();
}

#[test]
fn a_run_that_ends_the_process_is_no_wrong_answer_and_it_starts_again() {
    for scheduling in ["inline", "threads"] {
        let scheduling = format!("[scheduling]\nplacement = \"{scheduling}\"\n");
        let repository = repository(&scheduling);
        put_case(&repository, 2);
        for _ in 0..2 {
            let serving = Serving::start(quietly(&serve(repository.path(), &[])));
            let url = format!("http://{}/predict", serving.address);
            let over = Arc::new(AtomicBool::new(false));
            let count = Arc::new(AtomicUsize::new(0));
            let clients = [1, 2].map(|_| {
                let (over, count) = (Arc::clone(&over), Arc::clone(&count));
                let url = format!("{url}/double/21");
                std::thread::spawn(move || {
                    let agent = agent();
                    while !over.load(Relaxed) {
                        // Whole and right, or none.
                        if let Ok(reply) = try_send(&agent, &url, "GET", &[], b"") {
                            let right = reply.body.contains("\"prediction\":42,");
                            assert!(reply.status == 200 && right, "{}", reply.body);
                            count.fetch_add(1, Relaxed);
                        }
                    }
                })
            });
            until("everybody is served", || count.load(Relaxed) > 20);
            let reply = try_send(&agent(), &format!("{url}/quotient/-1"), "GET", &[], b"");
            assert!(reply.is_err(), "{:?}", reply.map(|reply| reply.body));
            let (status, log) = serving.wait();
            assert_eq!(status.signal(), Some(ENDED), "{status} {log:#?}");
            over.store(true, Relaxed);
            for client in clients {
                client.join().unwrap();
            }
        }
    }
}

#[test]
fn a_golden_case_that_ends_the_process_keeps_it_from_getting_ready() {
    let repository = repository("");
    put_case(&repository, -1);
    let (status, log) = Serving::try_start(quietly(&serve(repository.path(), &[])))
        .err()
        .unwrap();
    assert_eq!(status.signal(), Some(ENDED), "{status} {log:#?}");
}

#[test]
fn a_version_that_is_proved_apart_ends_nothing_but_that_process() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let flags = ["--prove-apart", "--watch=poll", "--default-model=double"];
    let serving = Serving::start(quietly(&serve(repository.path(), &flags)));
    // Whole, before anybody looks.
    let made = self::repository("");
    put_case(&made, -1);
    fs::rename(made.model("quotient"), repository.model("quotient")).unwrap();
    until("it is refused", || {
        serving.get("/healthz", "").2.contains("ended by signal 8")
    });
    assert!(serving.get("/predict/21", "").2.contains(":42,"));
    // Mended, and another model beside it.
    put_case(&repository, 2);
    repository.put("double", "v1.0.3", 3.0, "");
    until("it is served", || {
        serving.get("/predict/quotient/2", "").0 == 200
    });
    until("the other is served", || {
        serving.get("/predict/21", "").2.contains(":63,")
    });
    serving.stop();
}

#[test]
fn the_commands_fail_by_such_a_case_and_change_nothing() {
    let checkout = Checkout::with_line();
    let stands = |of: &str| fs::read(checkout.path().join("models/line").join(of)).unwrap();
    let before = ["model.onnx", "model.toml"].map(stands);
    let cases = checkout.put("cases.jsonl", "-1\n");
    let model = fixture("quotient.onnx");
    let add = [
        "add",
        &model,
        "--name",
        "line",
        "--version",
        "v1.1.0",
        "--cases",
    ];
    let add = checkout.modelship(&[&add[..], &[cases.to_str().unwrap()]].concat());
    let ended = quietly(&add).output().unwrap();
    assert_eq!(ended.status.signal(), Some(ENDED), "{ended:?}");
    assert_eq!(["model.onnx", "model.toml"].map(stands), before);
    checkout.good(&["check"]);
    let repository = repository("");
    put_case(&repository, -1);
    let folder = repository.path().to_str().unwrap();
    let check = checkout.modelship(&["check", "--models", folder]);
    let ended = quietly(&check).output().unwrap();
    assert_eq!(ended.status.signal(), Some(ENDED), "{ended:?}");
}
