//! A run that does not end by itself is ended, and nobody else pays for it.
//!
//! The model loops as often as its input says.

use std::{fs, path::Path, thread};

use serde_json::json;

use crate::{
    checkout::fixture,
    process::run,
    repository::{Repository, write_manifest},
    service::{Reply, Service, agent, send},
};
use modelship::repository::onnx::stamp;

/// More rounds than there is time for.
const FOR_EVER: &str = "/predict/rounds/1000000000000000";

/// `rounds`, and a model beside it.
fn repository(scheduling: &str) -> Repository {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    let folder = repository.model("rounds");
    fs::create_dir_all(&folder).unwrap();
    let graph = fs::read(fixture("rounds.onnx")).unwrap();
    let graph = stamp::write(&graph, &"v1.0.0".parse().unwrap()).unwrap();
    fs::write(folder.join("model.onnx"), &graph).unwrap();
    write_manifest(&folder, "rounds", "v1.0.0", &graph, scheduling);
    put_case(&folder, 3.0);
    repository
}

/// A golden case of so many rounds.
fn put_case(folder: &Path, rounds: f32) {
    let tensor = |name| json!([{"name": name, "shape": [1], "datatype": "FP32", "data": [rounds]}]);
    let case = json!({"inputs": tensor("x"), "outputs": tensor("y")});
    fs::create_dir_all(folder.join("cases")).unwrap();
    fs::write(folder.join("cases/one.json"), case.to_string()).unwrap();
}

/// Asks with a deadline.
fn ask(service: &Service, path: &str, within: &str) -> Reply {
    service.send("GET", path, &[("request-timeout", within)], b"")
}

#[test]
fn a_run_ends_at_the_request_s_own_deadline_or_at_the_limit() {
    for (scheduling, limit, within) in [
        ("[scheduling]\nplacement = \"threads\"\n", "60s", "200ms"),
        (
            "[scheduling]\nplacement = \"threads\"\nmax_run_time = \"200ms\"\n",
            "60s",
            "60s",
        ),
        ("[scheduling]\nplacement = \"inline\"\n", "60s", "200ms"),
        ("[scheduling]\nplacement = \"inline\"\n", "200ms", "60s"),
    ] {
        let repository = repository(scheduling);
        let flags = [("max-run-time", limit), ("instances", "1")];
        let service = Service::start(repository.path(), &flags);
        for _ in 0..2 {
            let reply = ask(&service, FOR_EVER, within);
            assert_eq!(reply.status, 504, "{scheduling}: {}", reply.body);
            // The one instance is usable again.
            let reply = ask(&service, "/predict/rounds/5", "60s");
            assert_eq!(reply.json()["prediction"], 5, "{}", reply.body);
        }
    }
}

#[test]
fn a_runaway_of_an_inline_model_does_not_hold_up_others() {
    let repository = repository("[scheduling]\nplacement = \"inline\"\n");
    let service = Service::start(repository.path(), &[("event-loops", "1")]);
    let url = service.url(FOR_EVER);
    for _ in 0..2 {
        let url = url.clone();
        let runaway = thread::spawn(move || {
            send(&agent(), &url, "GET", &[("request-timeout", "3s")], b"").status
        });
        let mut answered = 0;
        while !runaway.is_finished() {
            assert_eq!(service.get("/predict/double/21").json()["prediction"], 42);
            answered += 1;
        }
        assert_eq!(runaway.join().unwrap(), 504);
        // It ran for three seconds: a loop that waited for it answers one.
        assert!(answered > 5, "only {answered} answers meanwhile");
    }
}

#[test]
fn a_golden_case_that_does_not_end_fails_the_load() {
    let repository = repository("");
    put_case(&repository.model("rounds"), 1e15);
    let ended = run(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--max-run-time=200ms",
        &format!("--models={}", repository.path().display()),
    ]);
    assert_eq!(ended.code, Some(1));
    let told = ended.err.join("\n");
    assert!(
        told.contains("does not hold: the run was ended before it was done"),
        "{told}"
    );
}
