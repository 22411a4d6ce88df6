//! What signals do to the real binary at any moment of its life.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Ended, Serving, models, modelship, serve};

#[test]
fn either_signal_ends_it_well_whatever_is_logged() {
    for signal in [Signal::TERM, Signal::INT] {
        // A level that leaves out the record of the signal, but not of "ready".
        for level in ["info", "off,modelship::app=info"] {
            let service = Serving::start(serve(&["--log-level", level]));
            assert_eq!(service.get("/readyz", "").0, 200);
            service.signal(signal);
            let (status, log) = service.wait();
            assert_eq!(status.code(), Some(0), "{status}: {log:#?}");
        }
    }
}

#[test]
fn asking_again_ends_it_at_once() {
    let mut service = Serving::start(serve(&["--drain-pause", "10m"]));
    service.signal(Signal::INT);
    // It has taken notice when it says that it drains; and it still lives.
    while service.get("/readyz", "").0 != 503 {}
    assert_eq!(service.get("/livez", "").0, 200);
    // A second one at once may be the first, sent twice: it takes impatience.
    while service.process.try_wait().unwrap().is_none() {
        service.signal(Signal::INT);
        thread::yield_now();
    }
    let (status, log) = service.wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.last().unwrap().contains("ending at once"), "{log:#?}");
}

/// So many models that loading them takes a while.
fn many_models(folder: &Path) {
    for number in 0..40 {
        let model = folder.join(format!("iris-{number}"));
        fs::create_dir_all(model.join("cases")).unwrap();
        for file in ["model.onnx", "cases/setosa.json"] {
            fs::copy(models().join("iris").join(file), model.join(file)).unwrap();
        }
        let manifest = fs::read_to_string(models().join("iris/model.toml")).unwrap();
        let renamed = manifest.replace("name = \"iris\"", &format!("name = \"iris-{number}\""));
        assert_ne!(manifest, renamed);
        fs::write(model.join("model.toml"), renamed).unwrap();
    }
}

#[test]
fn a_signal_while_models_load_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    many_models(folder.path());
    for _ in 0..5 {
        // Free for the moment; nobody else here asks for ports by number.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = modelship(&["serve", "--listen", &address.to_string(), "--models"]);
        let mut process = command
            .arg(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It listens from the start, and its models are then still loading.
        while TcpStream::connect(address).is_err() {
            assert_eq!(process.try_wait().unwrap(), None, "it did not start");
            thread::yield_now();
        }
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let ended = Ended::of(process.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let ready = ended.err.iter().any(|line| line.contains("\"address\""));
        assert!(
            !ready,
            "all models were loaded before the signal came: {ended:#?}"
        );
    }
}
