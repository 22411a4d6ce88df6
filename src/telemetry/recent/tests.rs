//! Steps without a clock: each test says how many have passed.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    error::Kind,
    telemetry::{BuildInfo, Run},
};

fn recent() -> Recent {
    Recent::new(Metrics::new(BuildInfo {
        version: "0.1.0".to_owned(),
        commit: String::new(),
    }))
}

fn quiet(_: &str, _: &str) -> usize {
    0
}

fn pass(recent: &Recent, steps: u64) {
    recent.sample_at(
        steps,
        &Gauges {
            connections: 0,
            waiting: &quiet,
        },
    );
}

fn points(recent: &Recent, span: &Span) -> Vec<Value> {
    let figures = recent.read(span);
    let [model] = &figures.models[..] else {
        panic!("{figures:?}");
    };
    model
        .points
        .iter()
        .map(|point| serde_json::to_value(&**point).unwrap())
        .collect()
}

#[test]
fn a_step_holds_what_ended_in_it() {
    let recent = recent();
    let linear = recent.metrics.model("linear", "v1.1.0", "0000", "unsigned");
    linear.start().finish(Ok(()));
    linear.start().finish(Err(Kind::Overloaded));
    let open = linear.start();
    linear.observe_queue(Duration::from_micros(30));
    linear.observe_run(&Run {
        rows: 5,
        compute: Duration::from_micros(20),
        ..Run::default()
    });
    recent.metrics.rejected(Kind::NotFound);
    recent.sample_at(
        1,
        &Gauges {
            connections: 2,
            waiting: &|name, version| {
                assert_eq!((name, version), ("linear", "v1.1.0"));
                7
            },
        },
    );
    open.finish(Ok(()));
    pass(&recent, 2);
    pass(&recent, 3);

    let points = points(&recent, &Span::default());
    assert_eq!(points.len(), 2, "{points:#?}");
    let first = &points[0];
    for (key, expected) in [
        ("step", json!(0)),
        ("requests", json!(2)),
        ("failures", json!({"overloaded": 1})),
        ("queue", json!([[2, 1]])),
        ("compute", json!([[1, 1]])),
        ("batches", json!([[3, 1]])),
        ("rows", json!(5)),
        ("in_flight", json!(1)),
        ("waiting", json!(7)),
    ] {
        assert_eq!(first[key], expected, "{key}");
    }
    assert_eq!(points[1]["step"], 1);
    assert_eq!(points[1]["requests"], 1);
    assert!(points[1].get("failures").is_none(), "{points:#?}");

    let figures = recent.read(&Span::default());
    assert_eq!((figures.from, figures.next), (0, 3));
    let expected = Total {
        requests: 3,
        failed: 1,
    };
    assert_eq!(figures.models[0].total, expected);
    let service = serde_json::to_value(&figures.service).unwrap();
    let expected = json!({"connections": 0, "points": [
        {"step": 0, "connections": 2, "rejected": {"not_found": 1}}
    ]});
    assert_eq!(service, expected);
}

#[test]
fn only_what_is_new_is_given() {
    let recent = recent();
    let linear = recent.metrics.model("linear", "v1.1.0", "0000", "unsigned");
    for step in 1..=10 {
        linear.start().finish(Ok(()));
        pass(&recent, step);
    }
    let start = Some(recent.read(&Span::default()).start.to_string());
    let steps = |span: Span| {
        let all = points(&recent, &span);
        all.iter()
            .map(|p| p["step"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let since = |since| Span {
        start: start.clone(),
        since: Some(since),
        steps: None,
    };
    assert_eq!(steps(since(7)), [7, 8, 9]);
    assert_eq!(steps(since(10)), [0; 0]);
    assert_eq!(steps(since(u64::MAX)), [0; 0]);
    assert_eq!(recent.read(&since(u64::MAX)).from, 10);
    let newest = |steps| Span {
        steps: Some(steps),
        ..Span::default()
    };
    assert_eq!(steps(newest(2)), [8, 9]);
    assert_eq!(steps(newest(u64::MAX)).len(), 10);
    // Counted in the life of a server before this one.
    let foreign = Span {
        start: Some("another".to_owned()),
        ..since(7)
    };
    assert_eq!(steps(foreign).len(), 10);
}

#[test]
fn what_is_kept_has_a_bound() {
    let recent = recent();
    let linear = recent.metrics.model("linear", "v1.1.0", "0000", "unsigned");
    for step in 1..=1000 {
        linear.start().finish(Ok(()));
        recent.metrics.rejected(Kind::NotFound);
        pass(&recent, step);
    }
    let figures = recent.read(&Span::default());
    assert_eq!((figures.from, figures.next), (700, 1000));
    assert_eq!(figures.models[0].points.len(), 300);
    assert_eq!(figures.service.points.len(), 300);

    // A version that has gone is kept as long as its steps are.
    drop(linear);
    pass(&recent, 1001);
    assert_eq!(recent.read(&Span::default()).models.len(), 1);
    pass(&recent, 1300);
    assert_eq!(recent.read(&Span::default()).models.len(), 0);
}

#[test]
fn the_last_requests_of_a_version_are_not_missed() {
    let recent = recent();
    let linear = recent.metrics.model("linear", "v1.1.0", "0000", "unsigned");
    pass(&recent, 1);
    linear.start().finish(Ok(()));
    drop(linear);
    // The same version, loaded again: both count.
    let again = recent.metrics.model("linear", "v1.1.0", "0000", "unsigned");
    again.start().finish(Ok(()));
    pass(&recent, 2);
    again.start().finish(Ok(()));
    pass(&recent, 3);
    let all = points(&recent, &Span::default());
    let requests: Vec<_> = all
        .iter()
        .map(|p| (p["step"].as_u64(), p["requests"].as_u64()))
        .collect();
    let expected = [(Some(1), Some(1)), (Some(1), Some(1)), (Some(2), Some(1))];
    assert_eq!(requests, expected);
}

#[test]
fn steps_that_were_missed_lose_nothing() {
    let recent = recent();
    let linear = recent.metrics.model("linear", "v1.1.0", "0000", "unsigned");
    pass(&recent, 1);
    linear.start().finish(Ok(()));
    pass(&recent, 5);
    pass(&recent, 5);
    pass(&recent, 4);
    let all = points(&recent, &Span::default());
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["step"], 4);
    assert_eq!(recent.read(&Span::default()).next, 5);
}
