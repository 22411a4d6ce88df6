//! Health, cards, figures, and what is not there.

use std::sync::Arc;

use modelship::engine::fake::FakeEngine;

use crate::{
    repository::Repository,
    service::{Service, models, onnx_runtime},
};

#[test]
fn a_ready_service_says_so() {
    let service = Service::start(&models(), &[]);
    for path in ["/livez", "/readyz", "/healthz"] {
        let reply = service.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.json()["status"].is_string(), "{}", reply.body);
    }
    let versions = service.get("/healthz").json()["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 2);
    assert!(
        versions
            .as_array()
            .unwrap()
            .iter()
            .all(|v| v["state"] == "READY"),
        "{versions}"
    );
}

#[test]
fn while_models_load_it_lives_and_is_not_ready() {
    let engine = FakeEngine::default();
    // The warm-up waits here.
    engine.hold();
    let repository = Repository::fake(&[("double", "v1.0.0", 2.0)]);
    let service = Service::starting(Arc::new(engine.clone()), repository.path(), &[]);
    engine.wait_for_waiting(1);
    assert_eq!(service.get("/livez").status, 200);
    for path in ["/readyz", "/healthz"] {
        let reply = service.get(path);
        assert_eq!(reply.status, 503, "{path}");
        assert_eq!(reply.json()["status"], "starting", "{path}");
        assert!(reply.json()["reason"].is_string(), "{path}");
    }
    let versions = service.get("/healthz").json()["versions"].clone();
    assert_eq!(versions[0]["state"], "LOADING", "{versions}");
    for path in ["/predict/21", "/predict/double/21", "/models/double"] {
        let reply = service.get(path);
        assert_eq!(reply.status, 503, "{path}");
        reply.error();
    }
    engine.open();
    while service.get("/readyz").status != 200 {
        std::thread::yield_now();
    }
    assert_eq!(service.get("/predict/21").status, 200);
}

#[test]
fn an_answer_that_leaves_the_range_of_its_type_is_a_word() {
    let service = Service::on(onnx_runtime(), &models(), &[("default-model", "linear")]);
    let reply = service.get("/predict/3e38");
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["prediction"], "Infinity");
    let reply = service.send("POST", "/predict/linear", &[], b"[[-3e38]]");
    assert_eq!(reply.json()["predictions"][0], "-Infinity");
}

#[test]
fn a_card_shows_what_is_served_and_how_it_was_proved() {
    let commit = ("commit", "0123456789abcdef0123456789abcdef01234567");
    let service = Service::start(
        &models(),
        &[commit, ("image", "ghcr.io/OWNER/modelship@sha256:0")],
    );
    let card = service.get("/models/linear").json();
    let manifest = std::fs::read_to_string(models().join("linear/model.toml")).unwrap();
    assert!(
        manifest.contains(card["sha256"].as_str().unwrap()),
        "{card}"
    );
    assert_eq!(card["version"], "v1.1.0");
    assert_eq!(card["commit"], commit.1);
    assert_eq!(card["signature"], "unsigned");
    assert!(card["golden_cases"]["passed"].as_u64().unwrap() > 0);
    assert_eq!(card["scheduling"]["placement"], "inline", "{card}");
    assert_eq!(card["scheduling"]["batching"]["state"], "on", "{card}");
    assert_eq!(card["inputs"][0]["datatype"], "FP32");
    let all = service.get("/models").json();
    assert_eq!(all["models"].as_array().unwrap().len(), 2);
    let ranges = serde_json::json!([[1.2, 31.7]]);
    assert_eq!(card["inputs"][0]["ranges"], ranges);
    assert_eq!(card["outputs"][0].get("ranges"), None);
    assert_eq!(service.get("/models/none").status, 404);
}

#[test]
fn what_is_not_there_is_a_sentence_in_json() {
    let service = Service::start(&models(), &[]);
    let reply = service.get("/nothing/here");
    assert_eq!(reply.status, 404);
    assert!(reply.error().contains("/nothing/here"));
    let reply = service.send("DELETE", "/models", &[], b"");
    assert_eq!(reply.status, 405);
    assert!(reply.error().contains("DELETE"));
    assert!(reply.headers.contains_key("allow"));
}

#[test]
fn a_request_id_is_taken_or_given() {
    let service = Service::start(&models(), &[]);
    let own = service.send("GET", "/livez", &[("x-request-id", "abc-1")], b"");
    assert_eq!(own.headers["x-request-id"], "abc-1");
    let ids: Vec<_> = (0..2)
        .map(|_| service.get("/livez").headers["x-request-id"].clone())
        .collect();
    assert_eq!(ids[0].len(), 16);
    assert_ne!(ids[0], ids[1]);
    let long = "x".repeat(129);
    let reply = service.send("GET", "/livez", &[("x-request-id", &long)], b"");
    assert_eq!(reply.headers["x-request-id"].len(), 16);
}

#[test]
fn the_figures_count_each_request_once() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    for path in ["/predict/21", "/predict/22", "/predict/abc", "/nowhere"] {
        service.get(path);
    }
    let text = service.get("/metrics").body;
    let value = |line: &str| -> f64 {
        let found = text.lines().find(|l| l.starts_with(line));
        let found = found.unwrap_or_else(|| panic!("{line} in {text}"));
        found.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let linear = r#"{model="linear",version="v1.1.0""#;
    assert_eq!(
        value(&format!(
            r#"modelship_requests_total{linear},outcome="success"}}"#
        )),
        2.0
    );
    assert_eq!(
        value(&format!(
            r#"modelship_requests_total{linear},outcome="invalid"}}"#
        )),
        1.0
    );
    assert_eq!(
        value(&format!(
            "modelship_request_duration_seconds_count{linear}}}"
        )),
        3.0
    );
    assert_eq!(
        value(&format!("modelship_queue_duration_seconds_count{linear}}}")),
        2.0
    );
    assert_eq!(
        value(&format!("modelship_requests_in_flight{linear}}}")),
        0.0
    );
    assert_eq!(value("modelship_models_loaded "), 2.0);
    assert_eq!(value("modelship_ready "), 1.0);
    assert!(text.contains(r#"outcome="not_found""#), "{text}");
}
