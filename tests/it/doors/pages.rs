//! What browsers are told, and what the port of management answers.

use std::net::SocketAddr;

use super::{Caller, sentence, serve};

#[test]
fn every_answer_is_guarded_and_no_other_origin_may_read() {
    let serving = serve(&[]);
    let mut caller = Caller::plain(serving.address);
    let origin = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
    ];
    for (method, path) in [
        ("GET", "/predict/21"),
        ("GET", "/nowhere"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("OPTIONS", "/predict"),
    ] {
        let answer = caller.ask(method, path, &origin).unwrap();
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        // That would hold for other services of this host, too.
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
    let page = caller.get("/docs", &[]);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    serving.stop();
}

#[test]
fn origins_that_are_named_may_read() {
    let serving = serve(&["--cors-origin", "https://app.example,http://localhost:3000"]);
    let mut caller = Caller::plain(serving.address);
    for (origin, allowed) in [
        ("https://app.example", true),
        ("http://localhost:3000", true),
        ("https://app.example.evil", false),
        ("null", false),
    ] {
        let answer = caller.get("/predict/21", &[("origin", origin)]);
        assert_eq!(answer.status, 200);
        let shown = answer.header("access-control-allow-origin");
        assert_eq!(shown, allowed.then_some(origin));
        assert_eq!(answer.header("vary"), Some("origin"));
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ];
        let answer = caller.ask("OPTIONS", "/predict", &asked).unwrap();
        assert_eq!(answer.status, 204);
        let shown = answer.header("access-control-allow-origin");
        assert_eq!(shown, allowed.then_some(origin));
        let headers = answer.header("access-control-allow-headers").unwrap();
        assert!(headers.contains("authorization") && headers.contains("x-api-key"));
    }
    serving.stop();

    let serving = serve(&["--cors-origin", "*"]);
    let mut caller = Caller::plain(serving.address);
    let answer = caller.get("/predict/21", &[("origin", "null")]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    serving.stop();
}

#[test]
fn the_port_of_management_answers_for_management_alone() {
    let serving = serve(&[
        "--management-listen",
        "127.0.0.1:0",
        "--allow-repository-control",
    ]);
    let management: SocketAddr = serving
        .log
        .iter()
        .find_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).ok()?;
            record.get("management")?.as_str()?.parse().ok()
        })
        .unwrap();
    let (mut main, mut other) = (Caller::plain(serving.address), Caller::plain(management));
    for (method, path, on_main, on_other) in [
        ("GET", "/livez", 200, 200),
        ("GET", "/readyz", 200, 200),
        ("GET", "/v2/health/ready", 200, 200),
        ("GET", "/metrics", 404, 200),
        ("POST", "/v2/repository/index", 200, 200),
        ("POST", "/v2/repository/models/linear/load", 404, 200),
        ("GET", "/predict/21", 200, 404),
        ("GET", "/models", 200, 200),
        ("GET", "/models/linear", 200, 200),
        ("GET", "/", 200, 404),
    ] {
        let answers = [&mut main, &mut other].map(|c| c.ask(method, path, &[]).unwrap());
        let statuses = [answers[0].status, answers[1].status];
        assert_eq!(statuses, [on_main, on_other], "{path}: {answers:?}");
        for answer in answers.iter().filter(|answer| answer.status == 404) {
            assert!(sentence(answer).contains("port"), "{answer:?}");
        }
    }
    // It goes on answering until the end of the drain.
    serving.stop();
}
