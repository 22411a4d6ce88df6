//! The numbers as a scraper and a client of the protocol see them.

use std::{thread, time::SystemTime};

use super::*;

const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn metrics() -> Metrics {
    Metrics::new(BuildInfo {
        version: "0.1.0".to_owned(),
        commit: "887e1b8".to_owned(),
    })
}

/// The value of one series.
#[track_caller]
fn value(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.encode();
    let found: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .collect();
    let [value] = found[..] else {
        panic!("{} series are called {series} in:\n{text}", found.len());
    };
    value.parse().unwrap()
}

#[test]
fn kinds_stand_in_the_order_of_their_table() {
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(index(kind), place);
    }
}

#[test]
fn each_request_is_counted_once_under_its_outcome() {
    let metrics = metrics();
    let linear = metrics.model("linear", "v1.1.0", SHA, "unsigned");
    linear.start().finish(Ok(()));
    linear.start().finish(Err(Kind::Deadline));
    drop(linear.start());
    let open = linear.start();
    let series = |outcome: &str| {
        format!(
            "modelship_requests_total{{model=\"linear\",version=\"v1.1.0\",outcome=\"{outcome}\"}}"
        )
    };
    for (outcome, count) in [
        ("success", 1.0),
        ("deadline", 1.0),
        ("cancelled", 1.0),
        ("internal", 0.0),
    ] {
        assert_eq!(value(&metrics, &series(outcome)), count, "{outcome}");
    }
    let in_flight = "modelship_requests_in_flight{model=\"linear\",version=\"v1.1.0\"}";
    assert_eq!(value(&metrics, in_flight), 1.0);
    open.finish(Ok(()));
    assert_eq!(value(&metrics, in_flight), 0.0);
    let count = "modelship_request_duration_seconds_count{model=\"linear\",version=\"v1.1.0\"}";
    assert_eq!(value(&metrics, count), 4.0);
}

#[test]
fn statistics_and_exposition_say_the_same() {
    let metrics = metrics();
    let linear = metrics.model("linear", "v1.1.0", SHA, "unsigned");
    assert_eq!(linear.statistics(), Statistics::default());
    let before = SystemTime::now();
    for rows in [1, 4, 4, 500] {
        linear.observe_queue(Duration::from_micros(30));
        linear.observe_run(&Run {
            rows,
            input: Duration::from_micros(1),
            compute: Duration::from_micros(20),
            output: Duration::from_micros(2),
        });
        linear.start().finish(Ok(()));
    }
    linear.start().finish(Err(Kind::Invalid));

    let got = linear.statistics();
    assert_eq!((got.inference_count, got.execution_count), (509, 4));
    let stats = got.inference_stats;
    assert_eq!((stats.success.count, stats.fail.count), (4, 1));
    assert_eq!(
        stats.queue,
        Time {
            count: 4,
            ns: 120_000
        }
    );
    assert_eq!(
        stats.compute_input,
        Time {
            count: 4,
            ns: 4_000
        }
    );
    assert_eq!(
        stats.compute_infer,
        Time {
            count: 4,
            ns: 80_000
        }
    );
    assert_eq!(
        stats.compute_output,
        Time {
            count: 4,
            ns: 8_000
        }
    );
    let sizes: Vec<_> = got
        .batch_stats
        .iter()
        .map(|b| (b.batch_size, b.compute_infer.count, b.compute_infer.ns))
        .collect();
    assert_eq!(sizes, [(1, 1, 20_000), (4, 2, 40_000), (500, 1, 20_000)]);
    let since = before.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let last = Duration::from_millis(got.last_inference + 1);
    assert!(last >= since && last < since + Duration::from_mins(1));

    let labels = "{model=\"linear\",version=\"v1.1.0\"}";
    for (series, expected) in [
        ("modelship_batch_size_sum", 509.0),
        ("modelship_batch_size_count", 4.0),
        ("modelship_queue_duration_seconds_sum", 120e-6),
        ("modelship_compute_duration_seconds_sum", 80e-6),
        ("modelship_compute_duration_seconds_count", 4.0),
        ("modelship_request_duration_seconds_count", 5.0),
        (
            "modelship_request_duration_seconds_sum",
            #[expect(clippy::cast_precision_loss, reason = "microseconds")]
            {
                (stats.success.ns + stats.fail.ns) as f64 / 1e9
            },
        ),
    ] {
        assert_eq!(
            value(&metrics, &format!("{series}{labels}")),
            expected,
            "{series}"
        );
    }
}

#[test]
fn a_version_that_has_gone_leaves_nothing_behind() {
    let metrics = metrics();
    // That its loads have not failed is told for good.
    drop(metrics.model("linear", "v0.0.0", SHA, "unsigned"));
    let empty = metrics.encode().lines().count();
    for patch in 0..1000 {
        let model = metrics.model("linear", &format!("v1.0.{patch}"), SHA, "unsigned");
        model.start().finish(Ok(()));
    }
    assert_eq!(lock(&metrics.shared.models).len(), 1);
    assert_eq!(metrics.encode().lines().count(), empty);
    assert_eq!(value(&metrics, "modelship_models_loaded"), 0.0);
}

#[test]
fn a_request_keeps_its_versions_series() {
    let metrics = metrics();
    let request = metrics.model("linear", "v1.1.0", SHA, "unsigned").start();
    let info = format!(
        "modelship_model_info{{model=\"linear\",version=\"v1.1.0\",sha256=\"{SHA}\",signature=\"unsigned\"}}"
    );
    assert_eq!(value(&metrics, &info), 1.0);
    request.finish(Ok(()));
    assert!(!metrics.encode().contains(&info));
}

#[test]
fn a_version_loaded_again_shares_its_series() {
    let metrics = metrics();
    let old = metrics.model("linear", "v1.1.0", SHA, "unsigned");
    old.start().finish(Ok(()));
    let same = metrics.model("linear", "v1.1.0", SHA, "unsigned");
    assert!(Arc::ptr_eq(&old, &same));
    let other = metrics.model("linear", "v1.1.0", "0000", "unsigned");
    other.start().finish(Ok(()));
    let success =
        "modelship_requests_total{model=\"linear\",version=\"v1.1.0\",outcome=\"success\"}";
    assert_eq!(value(&metrics, success), 2.0);
    assert_eq!(value(&metrics, "modelship_models_loaded"), 2.0);
    assert_eq!(metrics.encode().matches("modelship_model_info{").count(), 2);
}

#[test]
fn what_reaches_no_model_is_counted_too() {
    let metrics = metrics();
    metrics.rejected(Kind::NotFound);
    metrics.load_failed("iris");
    metrics.load_failed("iris");
    metrics.set_ready(true);
    assert_eq!(
        value(
            &metrics,
            "modelship_requests_rejected_total{outcome=\"not_found\"}"
        ),
        1.0
    );
    assert_eq!(
        value(
            &metrics,
            "modelship_model_load_failures_total{model=\"iris\"}"
        ),
        2.0
    );
    assert_eq!(value(&metrics, "modelship_ready"), 1.0);
    let build = "modelship_build_info{version=\"0.1.0\",commit=\"887e1b8\"}";
    assert_eq!(value(&metrics, build), 1.0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_shown_as_the_kernel_sees_it() {
    let metrics = metrics();
    let resident = value(&metrics, "process_resident_memory_bytes");
    assert!(resident > 1e5 && resident < 1e11, "{resident}");
    assert!(value(&metrics, "process_open_fds") >= 3.0);
    assert!(value(&metrics, "process_threads") >= 1.0);
    assert!(value(&metrics, "process_cpu_seconds_total") >= 0.0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let age = now - value(&metrics, "process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&age), "{age}");
}

#[test]
fn counting_from_many_threads_loses_nothing() {
    let metrics = metrics();
    let linear = metrics.model("linear", "v1.1.0", SHA, "unsigned");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    linear.start().finish(Ok(()));
                }
            });
        }
        for _ in 0..20 {
            let in_flight = "modelship_requests_in_flight{model=\"linear\",version=\"v1.1.0\"}";
            assert!((0.0..=40_000.0).contains(&value(&metrics, in_flight)));
        }
    });
    assert_eq!(linear.statistics().inference_stats.success.count, 40_000);
}
