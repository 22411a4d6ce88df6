//! `/figures`: what the page and `modelship top` read.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::service::{Service, models};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands under `key`, summed over the points.
fn sum(points: &Value, key: &str) -> u64 {
    let points = points.as_array().unwrap();
    points.iter().filter_map(|p| p[key].as_u64()).sum()
}

/// The counts of the buckets under `key`, summed over the points.
fn fell(points: &Value, key: &str) -> u64 {
    let points = points.as_array().unwrap();
    let buckets = points.iter().filter_map(|p| p[key].as_array()).flatten();
    buckets.map(|bucket| bucket[1].as_u64().unwrap()).sum()
}

/// Asks again until `holds`.
fn figures(service: &Service, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let reply = service.get(path);
        assert_eq!(reply.status, 200, "{reply:?}");
        let figures = reply.json();
        if holds(&figures) {
            return figures;
        }
        assert!(since.elapsed() < PATIENCE, "{figures:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn model<'a>(figures: &'a Value, name: &str) -> &'a Value {
    let models = figures["models"].as_array().unwrap();
    models.iter().find(|m| m["name"] == name).unwrap()
}

#[test]
fn every_request_is_in_one_step() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    for _ in 0..5 {
        assert_eq!(service.get("/predict/21").status, 200);
    }
    assert_eq!(service.post("/predict/iris", "[[1]]").status, 400);
    assert_eq!(service.get("/nowhere").status, 404);

    let figures = figures(&service, "/figures", |figures| {
        let served = figures["models"].as_array().unwrap();
        let requests: u64 = served.iter().map(|m| sum(&m["points"], "requests")).sum();
        requests == 6 && !figures["service"]["points"].as_array().unwrap().is_empty()
    });
    let linear = model(&figures, "linear");
    assert_eq!(linear["version"], "v1.1.0");
    assert_eq!(linear["served"], true);
    assert_eq!(linear["total"]["requests"], 5);
    assert_eq!(linear["total"]["failed"], 0);
    let points = &linear["points"];
    for key in ["latency", "queue"] {
        assert_eq!(fell(points, key), 5, "{key}: {points:#}");
    }
    assert_eq!(fell(points, "compute"), fell(points, "batches"));
    assert_eq!(sum(points, "rows"), 5);
    assert!(sum(points, "latency_us") > 0);
    let iris = model(&figures, "iris");
    assert_eq!(iris["total"]["failed"], 1);
    assert_eq!(iris["points"][0]["failures"]["invalid"], 1);
    let rejected = |p: &Value| p["rejected"]["not_found"].as_u64();
    let points = figures["service"]["points"].as_array().unwrap();
    assert_eq!(points.iter().filter_map(rejected).sum::<u64>(), 1);
    assert!(figures["process"].is_object());
    let bounds = figures["latency_bounds_us"].as_array().unwrap();
    assert_eq!(bounds[0], 10);
}

#[test]
fn a_reader_asks_only_for_what_is_new() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    assert_eq!(service.get("/predict/21").status, 200);
    let first = figures(&service, "/figures", |figures| {
        sum(&model(figures, "linear")["points"], "requests") == 1
    });
    let (start, next) = (first["start"].as_str().unwrap(), &first["next"]);
    let path = format!("/figures?start={start}&since={next}");
    assert_eq!(service.get("/predict/22").status, 200);
    let then = figures(&service, &path, |figures| {
        sum(&model(figures, "linear")["points"], "requests") == 1
    });
    assert_eq!(then["from"], *next);
    assert_eq!(model(&then, "linear")["total"]["requests"], 2);

    // As after a restart: all that there is.
    let other = figures(
        &service,
        &format!("/figures?start=other&since={next}"),
        |_| true,
    );
    assert_eq!(other["start"], first["start"]);
    assert_eq!(sum(&model(&other, "linear")["points"], "requests"), 2);

    let refused = service.get("/figures?since=yesterday");
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("whole number"), "{refused:?}");
    let kept = service.get("/figures").headers["cache-control"].clone();
    assert_eq!(kept, "no-store");
}

#[test]
fn open_connections_are_shown() {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    let held: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect(service.address).unwrap())
        .collect();
    figures(&service, "/figures", |figures| {
        figures["service"]["connections"].as_u64().unwrap() >= 3
    });
    drop(held);
    // The agent's own connection may stay.
    figures(&service, "/figures", |figures| {
        figures["service"]["connections"].as_u64().unwrap() <= 1
    });
}
