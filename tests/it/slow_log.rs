//! The log of slow requests.

use crate::{
    process::{Serving, modelship},
    repository::Repository,
};

/// The lines of slow requests, after `requests`.
fn slow(limit: &str, more: &str, requests: usize) -> Vec<serde_json::Value> {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, more);
    let serving = Serving::start(modelship(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        &format!("--models={}", repository.path().display()),
        &format!("--slow-log={limit}"),
    ]));
    for _ in 0..requests {
        assert_eq!(serving.get("/predict/21", "").0, 200);
    }
    let log = serving.stop();
    let lines = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &serde_json::Value| line["message"] == "a slow request")
        .collect()
}

#[test]
fn a_slow_request_says_what_it_waited_for() {
    // Requests wait for a batch that never fills.
    let waits =
        "[scheduling]\nplacement = \"threads\"\nmax_queue_delay = \"200ms\"\nmax_batch_size = 8\n";
    let lines = slow("100ms", waits, 1);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["reason"], "queue");
    assert_eq!(lines[0]["model"], "double");
    assert!(lines[0]["queue_ms"].as_f64().unwrap() >= 100.0, "{lines:?}");
}

#[test]
fn off_nothing_is_slow_and_a_flood_is_no_flood_of_lines() {
    assert!(slow("off", "", 20).is_empty());
    let lines = slow("1us", "", 400);
    assert!(!lines.is_empty() && lines.len() < 400, "{}", lines.len());
}
