//! The log of slow requests.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::{
    process::{Serving, modelship},
    repository::Repository,
};

/// The lines of slow requests, after what `ask` asks.
fn slow(limit: &str, more: &str, ask: impl Fn(&Serving)) -> Vec<serde_json::Value> {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, more);
    let serving = Serving::start(modelship(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        &format!("--models={}", repository.path().display()),
        &format!("--slow-log={limit}"),
    ]));
    ask(&serving);
    let log = serving.stop();
    let lines = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &serde_json::Value| line["message"] == "a slow request")
        .collect()
}

fn gets(count: usize) -> impl Fn(&Serving) {
    move |serving| {
        for _ in 0..count {
            assert_eq!(serving.get("/predict/21", "").0, 200);
        }
    }
}

#[test]
fn a_slow_request_says_what_it_waited_for() {
    // Requests wait for a batch that never fills.
    let waits =
        "[scheduling]\nplacement = \"threads\"\nmax_queue_delay = \"200ms\"\nmax_batch_size = 8\n";
    let lines = slow("100ms", waits, gets(1));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["reason"], "queue");
    assert_eq!(lines[0]["model"], "double");
    assert!(lines[0]["queue_ms"].as_f64().unwrap() >= 100.0, "{lines:?}");
}

#[test]
fn off_nothing_is_slow_and_a_flood_is_no_flood_of_lines() {
    assert!(slow("off", "", gets(20)).is_empty());
    let lines = slow("1us", "", gets(400));
    assert!(!lines.is_empty() && lines.len() < 400, "{}", lines.len());
}

#[test]
fn a_body_that_comes_slowly_is_a_reason_of_its_own() {
    let lines = slow("100ms", "", |serving| {
        let mut stream = TcpStream::connect(serving.address).unwrap();
        let body = "{\"rows\": [[21]]}";
        let (first, rest) = body.split_at(5);
        write!(
            stream,
            "POST /predict HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
            body.len()
        )
        .unwrap();
        // That the body is slow is what is tried here.
        thread::sleep(Duration::from_millis(500));
        stream.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["reason"], "body", "{lines:?}");
    assert!(lines[0]["body_ms"].as_f64().unwrap() >= 100.0, "{lines:?}");
}
