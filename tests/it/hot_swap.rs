//! Hot swap: the repository changes under a running service.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    repository::Repository,
    service::{Service, agent, send},
};

/// Waits until `path` answers something that `wanted` likes.
fn until(service: &Service, path: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    while !wanted(&service.get(path).json()) {
        std::thread::yield_now();
    }
}

fn state<'a>(health: &'a serde_json::Value, version: &str) -> Option<&'a serde_json::Value> {
    health["versions"]
        .as_array()?
        .iter()
        .find(|v| v["version"] == version)
}

const FAST: &[(&str, &str)] = &[("watch-interval", "5ms"), ("watch", "poll")];

#[test]
fn a_new_version_takes_over_and_the_old_one_leaves() {
    for watch in ["poll", "auto"] {
        let repository = Repository::empty();
        repository.put("double", "v1.0.0", 2.0, "");
        let service = Service::start(
            repository.path(),
            &[("watch-interval", "5ms"), ("watch", watch)],
        );
        assert_eq!(service.get("/predict/21").json()["prediction"], 42);
        repository.put("double", "v1.1.0", 3.0, "");
        until(&service, "/models/double", |card| {
            card["version"] == "v1.1.0"
        });
        assert_eq!(
            service.get("/predict/21").body,
            r#"{"input":21,"prediction":63,"model_version":"v1.1.0"}"#
        );
        until(&service, "/healthz", |h| state(h, "v1.0.0").is_none());
    }
}

#[test]
fn a_manifest_that_cant_be_read_is_counted_once_and_names_no_folder_of_the_machine() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    let service = Service::start(repository.path(), FAST);
    let failures = || {
        let metrics = service.get("/metrics").body;
        let name = "modelship_model_load_failures_total{model=\"double\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(failures(), 0);
    let manifest = repository.path().join("double/model.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    // In one step: half a manifest would be another failure.
    let write = |text: &str| {
        let file = repository.path().join("next");
        fs::write(&file, text).unwrap();
        fs::rename(&file, &manifest).unwrap();
    };
    write(&format!("{text}\n[nonsense]\n"));
    let unread = |h: &serde_json::Value| state(h, "").is_some_and(|s| !s["reason"].is_null());
    until(&service, "/healthz", unread);
    let health = service.get("/healthz");
    let reason = state(&health.json(), "").unwrap()["reason"].to_string();
    assert!(reason.contains("model.toml"), "{reason}");
    let folder = repository.path().to_str().unwrap();
    assert!(!health.body.contains(folder), "{reason}");
    while failures() == 0 {
        std::thread::yield_now();
    }
    write(&text);
    until(&service, "/healthz", |h| state(h, "").is_none());
    assert_eq!(failures(), 1);
    assert_eq!(service.get("/predict/21").json()["prediction"], 42);
}

#[test]
fn a_version_that_fails_its_proof_changes_nothing_but_its_state() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    repository.put_case("double", 1.0, 2.0);
    let service = Service::start(repository.path(), FAST);
    // Its golden case now asks for the old answer.
    repository.put("double", "v2.0.0", 3.0, "");
    until(&service, "/healthz", |h| {
        state(h, "v2.0.0").is_some_and(|v| v["state"] == "UNAVAILABLE")
    });
    let health = service.get("/healthz");
    assert_eq!(health.status, 200);
    let reason = state(&health.json(), "v2.0.0").unwrap()["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.contains("golden case \"one\""), "{reason}");
    assert_eq!(service.get("/predict/21").json()["prediction"], 42);
    // Mended, without another version.
    repository.put_case("double", 1.0, 3.0);
    until(&service, "/models/double", |card| {
        card["version"] == "v2.0.0"
    });
    assert_eq!(service.get("/predict/21").json()["prediction"], 63);
}

#[test]
fn a_folder_that_is_not_whole_yet_is_loaded_when_it_is() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    let service = Service::start(repository.path(), FAST);
    // The manifest arrives before the file that it names.
    let graph = crate::repository::onnx_graph("v1.0.0", 5.0);
    let folder = repository.model("other");
    fs::create_dir_all(&folder).unwrap();
    crate::repository::write_manifest(&folder, "other", "v1.0.0", &graph, "");
    until(&service, "/healthz", |h| {
        h["versions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|v| v["name"] == "other" && v["state"] == "UNAVAILABLE")
    });
    fs::write(folder.join("model.onnx"), &graph[..graph.len() / 2]).unwrap();
    fs::write(folder.join("model.onnx"), &graph).unwrap();
    while service.get("/predict/other/2").status != 200 {
        std::thread::yield_now();
    }
    assert_eq!(service.get("/predict/other/2").json()["prediction"], 10);
}

#[test]
fn an_empty_or_vanished_repository_changes_nothing() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    let service = Service::start(repository.path(), FAST);
    fs::rename(repository.model("double"), repository.path().join(".away")).unwrap();
    // Something that shows that the change was seen: a broken neighbour.
    fs::create_dir(repository.model("broken")).unwrap();
    fs::write(repository.model("broken").join("model.toml"), "nonsense").unwrap();
    until(&service, "/healthz", |h| {
        h["versions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|v| v["name"] == "broken")
    });
    assert_eq!(service.get("/predict/21").json()["prediction"], 42);
}

#[test]
fn a_model_that_is_taken_out_leaves_while_others_stand() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 2.0, "");
    repository.put("triple", "v1.0.0", 3.0, "");
    let service = Service::start(repository.path(), FAST);
    fs::remove_dir_all(repository.model("triple")).unwrap();
    while service.get("/predict/triple/1").status != 404 {
        std::thread::yield_now();
    }
    assert_eq!(service.get("/predict/double/21").json()["prediction"], 42);
}

#[test]
fn the_version_policy_chooses_what_is_served() {
    let repository = Repository::empty();
    for (version, scale) in [("v1.9.0", 1.0), ("v1.10.0", 2.0), ("v2.0.0-rc.1", 3.0)] {
        repository.put_version("double", version, scale);
    }
    for (policy, versions) in [
        ("all", vec!["v2.0.0-rc.1", "v1.10.0", "v1.9.0"]),
        ("latest:2", vec!["v2.0.0-rc.1", "v1.10.0"]),
        ("specific:v1.9.0,v1.10.0", vec!["v1.10.0", "v1.9.0"]),
    ] {
        let service = Service::start(repository.path(), &[("version-policy", policy)]);
        let card = service.get("/models/double").json();
        assert_eq!(card["versions"], serde_json::json!(versions), "{policy}");
        assert_eq!(card["version"], versions[0]);
    }
}

#[test]
fn a_hundred_swaps_under_load_lose_nothing() {
    const SWAPS: usize = 100;
    const CLIENTS: usize = 3;
    let repository = Repository::empty();
    repository.put("double", "v1.0.0", 1.0, "");
    let service = Service::start(repository.path(), FAST);
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let url = service.url("/predict/double/21");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (done, answered, url) = (Arc::clone(&done), Arc::clone(&answered), url.clone());
            std::thread::spawn(move || {
                let agent = agent();
                while !done.load(Ordering::Relaxed) {
                    let reply = send(&agent, &url, "GET", &[], b"");
                    assert_eq!(reply.status, 200, "{}", reply.body);
                    // Version v1.0.N multiplies by N + 1.
                    let json = reply.json();
                    let version = json["model_version"].as_str().unwrap();
                    let n: u64 = version.strip_prefix("v1.0.").unwrap().parse().unwrap();
                    assert_eq!(json["prediction"], 21 * (n + 1), "{}", reply.body);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 1..=SWAPS {
        let version = format!("v1.0.{n}");
        let before = answered.load(Ordering::Relaxed);
        if n % 5 == 0 {
            // A version that does not load: its hash is another file's.
            let folder = repository.model("double");
            crate::repository::write_manifest(&folder, "double", &version, b"other", "");
            until(&service, "/healthz", |h| {
                state(h, &version).is_some_and(|v| v["state"] == "UNAVAILABLE")
            });
        } else {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            repository.put("double", &version, (n + 1) as f32, "");
            until(&service, "/models/double", |card| {
                card["version"] == *version
            });
        }
        // Every version answers somebody.
        while answered.load(Ordering::Relaxed) == before {
            std::thread::yield_now();
        }
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let health = service.get("/healthz").json();
    assert!(
        health["versions"].as_array().unwrap().len() <= 2,
        "{health}"
    );
    // Metrics are of what is loaded, however much was loaded before.
    let label = |line: &str| {
        Some(
            line.split_once(",version=\"")?
                .1
                .split_once('"')?
                .0
                .to_owned(),
        )
    };
    let shown = || -> BTreeSet<String> {
        let metrics = service.get("/metrics").body;
        metrics.lines().filter_map(label).collect()
    };
    // The last that loaded.
    let last = BTreeSet::from([format!("v1.0.{}", SWAPS - 1)]);
    let limit = Instant::now() + Duration::from_secs(60);
    while shown() != last {
        assert!(Instant::now() < limit, "{:?}", shown());
        std::thread::yield_now();
    }
}
