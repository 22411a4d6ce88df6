//! HTTP as it comes over a connection.

use std::io::{Read as _, Write as _};

use crate::service::{Service, models};

fn service(flags: &[(&str, &str)]) -> Service {
    let mut all = vec![("default-model", "linear")];
    all.extend(flags);
    Service::start(&models(), &all)
}

/// Writes `request`, and reads until the other side closes.
fn exchange(service: &Service, request: &[u8]) -> String {
    let mut stream = service.connect();
    // The other side may have read enough before all is written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: test\r\n{more}\r\n")
}

const CLOSE: &str = "connection: close\r\n";
const ANSWER: &str = r#"{"input":21,"prediction":48,"model_version":"v1.1.0"}"#;

#[test]
fn head_is_get_without_the_body() {
    let service = service(&[]);
    for path in [
        "/",
        "/models",
        "/models/linear",
        "/livez",
        "/readyz",
        "/healthz",
        "/metrics",
        "/predict/21",
        "/predict/linear/21",
        "/predict/abc",
        "/nowhere",
    ] {
        let get = service.get(path);
        let head = service.send("HEAD", path, &[], b"");
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.body, "", "{path}");
        for reply in [&get, &head] {
            assert!(reply.headers.contains_key("date"), "{path}");
        }
        assert_eq!(get.headers["content-length"], get.body.len().to_string());
        assert_eq!(head.headers["content-type"], get.headers["content-type"]);
        // The figures differ from one moment to the next.
        if path != "/metrics" {
            assert_eq!(
                head.headers["content-length"],
                get.headers["content-length"]
            );
        }
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let service = service(&[]);
    for (method, path, allow) in [
        ("DELETE", "/models", "GET,HEAD"),
        ("POST", "/livez", "GET,HEAD"),
        ("GET", "/predict", "POST"),
        ("PUT", "/predict/21", "GET,HEAD,POST"),
        ("POST", "/predict/linear/21", "GET,HEAD"),
    ] {
        let reply = service.send(method, path, &[], b"");
        assert_eq!(reply.status, 405, "{method} {path}");
        assert_eq!(reply.headers["allow"], allow, "{method} {path}");
        assert!(reply.error().contains(path), "{}", reply.body);
        let reply = service.send("OPTIONS", path, &[], b"");
        assert_eq!((reply.status, &*reply.body), (204, ""), "{path}");
        assert_eq!(reply.headers["allow"], allow, "{path}");
    }
    assert_eq!(service.send("POST", "/predict/", &[], b"[[1]]").status, 405);
    assert_eq!(service.get("/predict/").status, 404);
    assert_eq!(service.send("OPTIONS", "/nowhere", &[], b"").status, 404);
}

#[test]
fn the_index_names_what_there_is() {
    let service = service(&[]);
    let index = service.get("/");
    assert_eq!(index.status, 200);
    let index = index.json();
    assert_eq!(index["name"], "modelship");
    let links = index["links"].as_object().unwrap();
    assert!(!links.is_empty());
    for link in links.values() {
        let path = link.as_str().unwrap();
        let path = path.replace("{model}", "linear").replace("{n}", "21");
        assert_eq!(service.get(&path).status, 200, "{path}");
    }
}

#[test]
fn an_unknown_query_parameter_is_named() {
    let service = service(&[]);
    for (method, path, body) in [
        ("GET", "/predict/21?version=v1.0.0", ""),
        ("GET", "/predict/linear/21?&version", ""),
        ("POST", "/predict?version=v1.0.0&x=1", "[[21]]"),
        ("POST", "/predict/linear?version=", "[[21]]"),
    ] {
        let reply = service.send(method, path, &[], body.as_bytes());
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.error().contains("\"version\""), "{}", reply.body);
    }
    assert_eq!(service.get("/predict/21?").body, ANSWER);
    // Probes bring what they like.
    assert_eq!(service.get("/livez?verbose").status, 200);
}

#[test]
fn what_the_caller_accepts_changes_nothing() {
    let service = service(&[]);
    for accept in ["text/html", "*/*", "", "image/png;q=0"] {
        let reply = service.send("GET", "/predict/21", &[("accept", accept)], b"");
        assert_eq!((reply.status, &*reply.body), (200, ANSWER), "{accept}");
    }
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let service = service(&[]);
    let answer = exchange(&service, b"GET /predict/21 HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(ANSWER), "{answer}");
}

#[test]
fn an_absolute_target_is_its_path() {
    let service = service(&[]);
    let answer = exchange(
        &service,
        get("http://example.com/predict/21", CLOSE).as_bytes(),
    );
    assert!(answer.ends_with(ANSWER), "{answer}");
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let service = service(&[]);
    let all = (0..50).map(|n| get(&format!("/predict/{n}"), ""));
    let all = all.collect::<String>() + &get("/predict/abc", CLOSE);
    let answers = exchange(&service, all.as_bytes());
    let mut rest = &*answers;
    for n in 0..50 {
        let start = format!("{{\"input\":{n},");
        let at = rest.find(&start);
        let at = at.unwrap_or_else(|| panic!("{n} is missing or late: {answers}"));
        assert!(!rest[..at].contains("400 Bad Request"), "{answers}");
        rest = &rest[at + start.len()..];
    }
    assert!(rest.contains("HTTP/1.1 400 Bad Request"), "{rest}");
}

#[test]
fn a_body_is_asked_for_only_where_it_is_taken() {
    let service = service(&[]);
    let head = |length: u64| {
        format!(
            "POST /predict HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n{CLOSE}\r\n"
        )
    };
    let mut stream = service.connect();
    stream.write_all(head(6).as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"[[21]]").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("{\"predictions\":[48]"), "{answer}");

    let answer = exchange(&service, head(1 << 40).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("max-body-size"), "{answer}");
}

/// `body` as chunks of `size`.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let head = "POST /predict HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n";
    let mut request = format!("{head}{CLOSE}\r\n").into_bytes();
    for piece in body.chunks(size) {
        request.extend(format!("{:x}\r\n", piece.len()).bytes());
        request.extend(piece);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

#[test]
fn a_body_in_chunks_is_measured_too() {
    let service = service(&[("max-body-size", "4KiB")]);
    let answer = exchange(&service, &chunked(b"[[21]]", 1));
    assert!(answer.contains("{\"predictions\":[48]"), "{answer}");
    let large = vec![b' '; 4 * 1024 + 1];
    let answer = exchange(&service, &chunked(&large, 700));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_caller_that_goes_on_writing_still_reads_the_refusal() {
    let service = service(&[("max-body-size", "4KiB")]);
    let large = vec![b' '; 4 << 20];
    let head = format!(
        "POST /predict HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n",
        large.len()
    );
    let whole = [format!("{head}{CLOSE}\r\n").as_bytes(), &large].concat();
    for request in [whole, chunked(&large, 10_000)] {
        let answer = exchange(&service, &request);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
        assert!(answer.contains("max-body-size"), "{answer}");
    }
}

#[test]
fn a_head_of_a_mebibyte_is_refused() {
    let service = service(&[]);
    let long = "x".repeat(1 << 20);
    let many: String = (0..5000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    for request in [
        get("/predict/21", &format!("x-long: {long}\r\n")),
        get(&format!("/{long}"), ""),
        get("/predict/21", &many),
    ] {
        let answer = exchange(&service, request.as_bytes());
        let refused = ["HTTP/1.1 431 ", "HTTP/1.1 414 "];
        // Or cut off, where it went on writing.
        assert!(
            answer.is_empty() || refused.iter().any(|status| answer.starts_with(status)),
            "{answer}"
        );
    }
    assert_eq!(service.get("/predict/21").body, ANSWER);
}

#[test]
fn what_is_not_http_is_refused_and_the_next_is_served() {
    let service = service(&[]);
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GARBAGE\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /predict/21\r\n\r\n",
        b"GET /predict/21 HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: 6\r\ncontent-length: 7\r\n\r\n[[21]]",
        b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, and long enough",
    ] {
        let answer = exchange_and_close(&service, request);
        let shown = String::from_utf8_lossy(&answer);
        // HTTP/2 says it in a frame.
        let refused = shown.starts_with("HTTP/1.1 400 ") || request.starts_with(b"PRI ");
        assert!(answer.is_empty() || refused, "{request:?}: {shown}");
        assert_eq!(service.get("/predict/21").body, ANSWER);
    }
}

/// Writes `request` and nothing after it.
fn exchange_and_close(service: &Service, request: &[u8]) -> Vec<u8> {
    let mut stream = service.connect();
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    answer
}

#[test]
fn a_second_request_can_not_hide_in_the_first() {
    let service = service(&[]);
    let hidden = get("/predict/1", CLOSE);
    let request = format!(
        "POST /predict HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        hidden.len() + 5
    );
    let answer = exchange(&service, request.as_bytes());
    // One of the two lengths is wrong, and whoever stands before this server
    // may have gone by the other: the connection must not be used again.
    assert!(!answer.contains("\"input\":1,"), "{answer}");
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_body_of_many_small_rows_takes_a_few_times_its_size() {
    use crate::process::{Serving, models, modelship};

    let mut command = modelship(&["serve", "--listen", "127.0.0.1:0", "--models"]);
    command.arg(models()).args(["--default-model", "linear"]);
    let service = Serving::start(command);
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.process.id()));
        let status = status.unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    };
    let before = peak();
    let rows = 2 << 20;
    let body = format!("[{}[0]]", "[0],".repeat(rows - 1));
    let url = format!("http://{}/predict", service.address);
    let reply = crate::service::send(&crate::service::agent(), &url, "POST", &[], body.as_bytes());
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body.matches('6').count(), rows);
    let grown = peak() - before;
    assert!(grown < 8 * body.len(), "{grown} bytes for {}", body.len());
}
