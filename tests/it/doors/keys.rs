//! Keys: who is let in by which, and what those are told who are not.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{Caller, sentence, serve, text};
use crate::process::run;

/// A new key, and its line.
fn key(name: &str, scopes: &str) -> (String, String) {
    let made = run(&["api-key", name, "--scopes", scopes]);
    assert_eq!(made.code, Some(0), "{made:?}");
    (made.err[0].clone(), made.out)
}

#[test]
fn each_scope_opens_its_own_paths() {
    let (predict, a) = key("team-a", "predict");
    let (admin, b) = key("ops", "admin");
    let (metrics, c) = key("prometheus", "metrics");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, format!("# ours\n{a}{b}{c}")).unwrap();
    let serving = serve(&["--api-keys", text(&file), "--access-log"]);
    let mut caller = Caller::plain(serving.address);

    for path in [
        "/",
        "/livez",
        "/readyz",
        "/healthz",
        "/v2/health/ready",
        "/docs",
        "/openapi.json",
    ] {
        assert_eq!(caller.get(path, &[]).status, 200, "{path}");
    }
    for path in [
        "/predict/21",
        "/models",
        "/metrics",
        "/v2",
        "/v2/models/linear",
        "/nowhere",
    ] {
        let answer = caller.get(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"modelship\"")
        );
        assert!(
            sentence(&answer).contains("Authorization: Bearer"),
            "{answer:?}"
        );
    }
    let answer = caller.get("/predict/21", &[("x-api-key", "msk_wrong")]);
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");

    let opens = |caller: &mut Caller, method: &str, path: &str, key: &str| {
        let bearer = format!("Bearer {key}");
        let one = caller
            .ask(method, path, &[("authorization", &bearer)])
            .unwrap();
        let two = caller.ask(method, path, &[("x-api-key", key)]).unwrap();
        assert_eq!(one.status, two.status);
        one
    };
    let load = "/v2/repository/models/linear/load";
    for (method, path, right, wrong, scope) in [
        (
            "GET",
            "/predict/21",
            &predict,
            [&admin, &metrics],
            "predict",
        ),
        ("GET", "/metrics", &metrics, [&admin, &predict], "metrics"),
        // Not offered, unless it is set; but that is not said to everybody.
        ("POST", load, &admin, [&predict, &metrics], "admin"),
    ] {
        let answer = opens(&mut caller, method, path, right);
        let status = if path == load { 501 } else { 200 };
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        for wrong in wrong {
            let answer = opens(&mut caller, method, path, wrong);
            assert_eq!(answer.status, 403, "{path}: {answer:?}");
            assert!(sentence(&answer).contains(scope), "{answer:?}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("insufficient_scope"), "{challenge}");
        }
    }
    for (method, path) in [("POST", "/v2/repository/index"), ("GET", "/models")] {
        for (key, status) in [(&predict, 200), (&admin, 200), (&metrics, 403)] {
            assert_eq!(
                opens(&mut caller, method, path, key).status,
                status,
                "{path}"
            );
        }
    }
    // Another spelling of a path opens nothing more.
    for path in [
        "/v2/%72epository/models/linear/load",
        "//v2/repository/models/linear/load",
    ] {
        assert_eq!(
            opens(&mut caller, "POST", path, &predict).status,
            404,
            "{path}"
        );
    }

    let log = serving.stop().join("\n");
    assert!(log.contains("\"key\":\"team-a\""), "{log}");
    for key in [&predict, &admin, &metrics] {
        assert!(!log.contains(&**key), "a key stands in the log");
    }
}

#[test]
fn a_changed_file_is_taken_and_a_broken_one_is_not() {
    let (old, a) = key("old", "predict");
    let (new, b) = key("new", "predict");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    fs::write(&file, &a).unwrap();
    let mut serving = serve(&["--api-keys", text(&file)]);
    let mut caller = Caller::plain(serving.address);
    let mut status = |key: &str| caller.get("/predict/21", &[("x-api-key", key)]).status;
    assert_eq!((status(&old), status(&new)), (200, 401));

    fs::write(&file, &b).unwrap();
    let started = Instant::now();
    while (status(&old), status(&new)) != (401, 200) {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(&file, "nonsense").unwrap();
    serving.log_until("are not right");
    assert_eq!(status(&new), 200);
    serving.stop();
}

#[test]
fn api_key_says_what_is_wrong() {
    for (arguments, why) in [
        (&["api-key", "a b"][..], "is not a name"),
        (&["api-key", "a", "--scopes", "root"], "is not a scope"),
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err[0].contains(why), "{ended:?}");
    }
}

/// As the job after each roll-out asks it: by the port of management, with a
/// key of its own.
#[test]
fn a_probe_shows_its_key_to_the_port_of_management() {
    let (admin, line) = key("verify", "admin");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("keys"), line).unwrap();
    fs::write(at("key"), format!("{admin}\n")).unwrap();
    fs::write(at("two-lines"), format!("{admin}\n{admin}\n")).unwrap();
    let serving = serve(&[
        "--api-keys",
        text(&at("keys")),
        "--management-listen",
        "127.0.0.1:0",
    ]);
    let management = serving.log.iter().find_map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(record.get("management")?.as_str()?.to_owned())
    });
    let url = format!("http://{}", management.unwrap());
    let bearer = format!("Bearer {admin}");
    let cards = Caller::plain(serving.address).get("/models", &[("authorization", &bearer)]);
    fs::write(at("release.json"), &cards.body).unwrap();

    let release = at("release.json");
    let probe = |more: &[&str]| {
        let mut arguments = vec!["probe", "--expect", text(&release)];
        arguments.extend(more);
        arguments.push(&url);
        run(&arguments)
    };
    let key = at("key");
    let ended = probe(&["--key-file", text(&key)]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = probe(&[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.join(" ").contains("401"), "{ended:?}");
    let wrong = at("two-lines");
    let ended = probe(&["--key-file", text(&wrong)]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.err.join(" ");
    assert!(said.contains("does not hold a key"), "{said}");
    assert!(!said.contains(&admin), "{said}");
}
