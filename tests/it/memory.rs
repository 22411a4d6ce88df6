//! Memory: requests have a budget, and a model that takes all there is ends
//! nothing but its own run.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    checkout::fixture,
    process::{Serving, modelship},
    repository::{Repository, write_manifest},
    service::Service,
};
use modelship::repository::onnx::stamp;

fn rows(count: usize) -> String {
    json!({"rows": vec![[1.5]; count]}).to_string()
}

fn service() -> (Repository, Service) {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    let service = Service::start(repository.path(), &[("request-memory", "1MiB")]);
    (repository, service)
}

/// Asks until the answer has this status.
fn until(service: &Service, path: &str, body: &str, status: u16) {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = service.post(path, body);
        if reply.status == status {
            return;
        }
        assert!(
            Instant::now() < patience,
            "{}: {}",
            reply.status,
            reply.body
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_that_can_never_fit_is_told_so() {
    let (_repository, service) = service();
    let infer = "/v2/models/double/infer";
    let tensor = |count: usize| {
        let data = vec![1.5; count];
        let x = json!({"name": "x", "shape": [count, 1], "datatype": "FP32", "data": data});
        json!({"inputs": [x]}).to_string()
    };
    for _ in 0..3 {
        for (path, body) in [("/predict/double", rows(100_000)), (infer, tensor(100_000))] {
            let reply = service.post(path, &body);
            assert_eq!(reply.status, 413, "{}", reply.body);
            assert!(reply.body.contains("request-memory"), "{}", reply.body);
        }
        // What was taken has been given back.
        for (path, body) in [("/predict/double", rows(10_000)), (infer, tensor(10_000))] {
            let reply = service.post(path, &body);
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
    }
}

#[test]
fn what_others_have_is_waited_for() {
    let (_repository, service) = service();
    // Announces a body for which nearly all memory is kept, and sends none.
    let mut slow = TcpStream::connect(service.address).unwrap();
    let head = "POST /v2/models/double/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\
                expect: 100-continue\r\n\r\n";
    slow.write_all(head.as_bytes()).unwrap();
    // It is asked for its body once it has the memory for it.
    let mut told = [0; 12];
    slow.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    let reply = service.post("/predict/double", &rows(10_000));
    assert_eq!(reply.status, 429, "{}", reply.body);
    // Small ones do not need it.
    assert_eq!(service.post("/predict/double", &rows(3)).status, 200);
    drop(slow);
    until(&service, "/predict/double", &rows(10_000), 200);
}

#[test]
fn a_model_that_takes_more_than_there_is_fails_its_run_alone() {
    let repository = Repository::empty();
    let folder = repository.model("room");
    fs::create_dir_all(&folder).unwrap();
    let graph = fs::read(fixture("room.onnx")).unwrap();
    let graph = stamp::write(&graph, &"v1.0.0".parse().unwrap()).unwrap();
    fs::write(folder.join("model.onnx"), &graph).unwrap();
    write_manifest(&folder, "room", "v1.0.0", &graph, "");
    let models = format!("--models={}", repository.path().display());
    let inner = modelship(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        &models,
    ]);
    // As a container's limit would, but for this process alone.
    let mut command = Command::new("bash");
    command
        .env_clear()
        .envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .args(["-c", "ulimit -d 2000000; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    let serving = Serving::start(command);
    for _ in 0..3 {
        // Four gigabytes.
        let (status, _, body) = serving.get("/predict/room/1000000000", "");
        assert_eq!(status, 500, "{body}");
        let (status, _, body) = serving.get("/predict/room/5", "");
        assert_eq!(
            (status, body.contains("\"prediction\":5,")),
            (200, true),
            "{body}"
        );
    }
    serving.stop();
}

#[test]
fn an_answer_that_memory_is_kept_for_has_its_length() {
    let (_repository, service) = service();
    let count = 20_000;
    let tensor =
        json!({"name": "x", "shape": [count, 1], "datatype": "FP32", "data": vec![1; count]});
    let body = json!({"inputs": [tensor]}).to_string();
    let path = "/v2/models/double/infer";
    let response = crate::service::agent()
        .post(service.url(path))
        .send(body)
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        response.headers().get("content-length").is_some(),
        "{response:?}"
    );
}
