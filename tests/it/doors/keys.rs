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
        ("GET", "/models", &predict, [&admin, &metrics], "predict"),
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
    let both = ["predict", "admin"].map(|_| "/v2/repository/index");
    for (path, key) in both.iter().zip([&predict, &admin]) {
        assert_eq!(opens(&mut caller, "POST", path, key).status, 200);
    }
    assert_eq!(
        opens(&mut caller, "POST", "/v2/repository/index", &metrics).status,
        403
    );
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
