//! Files of a model that change under its reader.

use std::{
    fs::{self, File},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{Numbers, serve, until};
use crate::{
    process::Serving,
    repository::{Repository, onnx_graph, write_manifest},
    service::{Service, agent, send},
};

const FAST: &[(&str, &str)] = &[("watch-interval", "5ms"), ("watch", "poll")];

/// Of version v1.0.N.
fn scale(version: &str) -> f32 {
    version.strip_prefix("v1.0.").unwrap().parse().unwrap()
}

/// Asks without end; each answer must be right for the version that it names.
fn asking(service: &Service, over: &Arc<AtomicBool>, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (url, over, count) = (
        service.url("/predict/double/21"),
        Arc::clone(over),
        Arc::clone(count),
    );
    std::thread::spawn(move || {
        let agent = agent();
        while !over.load(Relaxed) {
            let reply = send(&agent, &url, "GET", &[], b"");
            assert_eq!(reply.status, 200, "{}", reply.body);
            let json = reply.json();
            let expected = 21.0 * scale(json["model_version"].as_str().unwrap());
            assert_eq!(json["prediction"], f64::from(expected), "{}", reply.body);
            count.fetch_add(1, Relaxed);
        }
    })
}

#[test]
fn what_is_spoilt_at_any_moment_of_a_load_is_never_served() {
    const ROUNDS: usize = 30;
    let repository = Repository::empty();
    repository.put("double", "v1.0.1", 1.0, "");
    let service = Service::start(repository.path(), FAST);
    let over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let clients = [
        asking(&service, &over, &count),
        asking(&service, &over, &count),
    ];
    let file = repository.model("double").join("model.onnx");
    let mut numbers = Numbers(7);
    for round in 2..ROUNDS + 2 {
        let version = format!("v1.0.{round}");
        let good = onnx_graph(&version, scale(&version));
        repository.put("double", &version, scale(&version), "");
        // Before it is looked at, while it is read or loaded, or after.
        numbers.pause(Duration::from_millis(25));
        match round % 3 {
            0 => fs::write(&file, &good[..numbers.below(good.len())]).unwrap(),
            1 => {
                let mut flipped = good.clone();
                flipped[numbers.below(good.len())] ^= 1 << numbers.below(8);
                fs::write(&file, flipped).unwrap();
            }
            // Another model, sound in itself, under this version's name.
            _ => fs::write(&file, onnx_graph(&version, 1000.0)).unwrap(),
        }
        numbers.pause(Duration::from_millis(25));
        repository.put("double", &version, scale(&version), "");
        let before = count.load(Relaxed);
        until("the good file is served", || {
            service.get("/models/double").json()["version"] == *version
                && count.load(Relaxed) > before
        });
    }
    over.store(true, Relaxed);
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_start_amid_changing_files_serves_what_is_proved_or_nothing() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let file = repository.model("double").join("model.onnx");
    let good = onnx_graph("v1.0.2", 2.0);
    let mut flipped = good.clone();
    flipped[40] ^= 4;
    let states = [
        good.clone(),
        good[..50].to_vec(),
        flipped,
        onnx_graph("v1.0.2", 9.0),
    ];
    let over = Arc::new(AtomicBool::new(false));
    let spoiling = {
        let (file, over) = (file.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut numbers = Numbers(11);
            while !over.load(Relaxed) {
                fs::write(&file, &states[numbers.below(4)]).unwrap();
                numbers.pause(Duration::from_millis(3));
            }
        })
    };
    for _ in 0..8 {
        match Serving::try_start(serve(repository.path(), &["--watch=off"])) {
            Ok(serving) => {
                let (status, _, body) = serving.get("/predict/21", "");
                assert_eq!(status, 200);
                assert!(body.contains("\"prediction\":42,"), "{body}");
                serving.stop();
            }
            Err((status, log)) => {
                assert_eq!(status.code(), Some(1), "{log:#?}");
                let told = log.last().unwrap();
                assert!(told.contains("double/model.onnx: it"), "{told}");
            }
        }
    }
    over.store(true, Relaxed);
    spoiling.join().unwrap();
    fs::write(&file, good).unwrap();
    Serving::start(serve(repository.path(), &[])).stop();
}

#[test]
fn a_file_larger_than_memory_is_refused_and_ends_nothing() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let serving = Serving::start(serve(repository.path(), &[]));
    let (folder, next) = (repository.model("double"), repository.path().join(".next"));
    fs::create_dir(&next).unwrap();
    let graph = onnx_graph("v1.0.3", 3.0);
    write_manifest(&next, "double", "v1.0.3", &graph, "");
    // Four terabytes on paper, none on the disk.
    let file = File::create(next.join("model.onnx")).unwrap();
    file.set_len(1 << 42).unwrap();
    fs::rename(&folder, repository.path().join(".old")).unwrap();
    fs::rename(&next, &folder).unwrap();
    until("it is refused", || {
        let health = serving.get("/healthz", "").2;
        health.contains("there is not so much memory")
    });
    assert!(serving.get("/predict/21", "").2.contains(":42,"));
    fs::write(folder.join("model.onnx"), &graph).unwrap();
    until("the whole file is served", || {
        serving.get("/predict/21", "").2.contains(":63,")
    });
    serving.stop();
}
