//! Folders that go away, and reads that fail, while they are watched.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use super::until;
use crate::{
    folder::copy,
    repository::{Repository, onnx_graph, write_manifest},
    service::Service,
};

/// Puts something else where a file or folder was.
type Spoil = fn(&Path);

/// The version that answers, which must be right for what it says.
fn served(service: &Service) -> String {
    let reply = service.get("/predict/double/21");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let json = reply.json();
    let version = json["model_version"].as_str().unwrap().to_owned();
    let scale: u64 = version.rsplit('.').next().unwrap().parse().unwrap();
    assert_eq!(json["prediction"], 21 * scale);
    version
}

/// Waits until the index says why something is not served.
fn until_told(service: &Service, reason: &str) {
    until(reason, || {
        served(service);
        service.get("/healthz").body.contains(reason)
    });
}

#[test]
fn a_repository_that_goes_away_and_comes_back() {
    for watch in ["auto", "poll"] {
        let top = tempfile::tempdir().unwrap();
        let (root, away) = (top.path().join("models"), top.path().join("away"));
        let repository = Repository::empty();
        repository.put("double", "v1.0.2", 2.0, "");
        copy(repository.path(), &root);
        let flags = [("watch", watch), ("watch-interval", "20ms")];
        let service = Service::start(&root, &flags);
        let states: [(&str, Spoil); 4] = [
            ("it does not exist", |_| ()),
            ("it is not a folder", |root| fs::write(root, "").unwrap()),
            ("it does not exist", |root| {
                symlink("nowhere", root).unwrap()
            }),
            ("it can't be read", |root| symlink("models", root).unwrap()),
        ];
        for (number, (told, put)) in states.into_iter().enumerate() {
            fs::rename(&root, &away).unwrap();
            put(&root);
            until_told(&service, told);
            assert_eq!(service.get("/readyz").status, 200);
            let _ = fs::remove_file(&root);
            fs::rename(&away, &root).unwrap();
            // What has changed meanwhile is seen.
            let next = number + 3;
            let version = format!("v1.0.{next}");
            #[expect(clippy::cast_precision_loss, reason = "small")]
            repository.put("double", &version, next as f32, "");
            fs::remove_dir_all(root.join("double")).unwrap();
            copy(repository.path(), &root);
            until("the new version is served", || served(&service) == version);
            let index = service.get("/healthz").body;
            assert!(!index.contains("UNAVAILABLE"), "{index}");
        }
        // Nothing at all is no order to serve nothing.
        fs::remove_dir_all(&root).unwrap();
        until_told(&service, "it does not exist");
        fs::create_dir(&root).unwrap();
        until("it is seen", || {
            served(&service);
            !service.get("/healthz").body.contains("it does not exist")
        });
        assert_eq!(served(&service), "v1.0.6");
    }
}

#[test]
fn what_can_not_be_read_is_told_and_changes_nothing() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let flags = [("watch", "poll"), ("watch-interval", "5ms")];
    let service = Service::start(repository.path(), &flags);
    let folder = repository.model("double");
    let spoils: [(&str, &str, Spoil); 5] = [
        ("model.toml", "it is a folder, not a file", |file| {
            fs::create_dir(file).unwrap();
        }),
        ("model.onnx", "it is a folder, not a file", |file| {
            fs::create_dir(file).unwrap();
        }),
        // Opening it would wait for ever.
        ("model.onnx", "it is not a plain file", |file| {
            assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
        }),
        (
            "model.onnx",
            "it is a link that leaves the model's folder",
            |file| {
                symlink("/proc/self/mem", file).unwrap();
            },
        ),
        ("cases", "it can't be read", |file| {
            fs::write(file, "").unwrap();
        }),
    ];
    for (number, (name, told, spoil)) in spoils.into_iter().enumerate() {
        let version = format!("v1.0.{}", number + 3);
        // Whole at once, with the fault in it.
        let next = repository.path().join(".next");
        fs::create_dir(&next).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let graph = onnx_graph(&version, (number + 3) as f32);
        fs::write(next.join("model.onnx"), &graph).unwrap();
        write_manifest(&next, "double", &version, &graph, "");
        let file = next.join(name);
        let good = fs::read(&file).ok();
        let _ = fs::remove_file(&file);
        spoil(&file);
        fs::rename(&folder, repository.path().join(".old")).unwrap();
        fs::rename(&next, &folder).unwrap();
        let before = served(&service);
        until_told(&service, told);
        assert_eq!(served(&service), before);
        // Mended, it is served.
        let file = folder.join(name);
        let removed = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        removed.unwrap();
        if let Some(good) = good {
            fs::write(&file, good).unwrap();
        }
        until("the mended version is served", || {
            served(&service) == version
        });
        fs::remove_dir_all(repository.path().join(".old")).unwrap();
    }
}
