//! Limits on what one caller may take, each as it was set.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};

use crate::{
    process::run,
    service::{Service, models},
};

fn service(flags: &[(&str, &str)]) -> Service {
    Service::start(&models(), &[&[("default-model", "linear")], flags].concat())
}

/// Sends `bytes`, and reads until the other side closes: what it said, and
/// after how long.
fn ended(service: &Service, bytes: &[u8]) -> (String, Duration) {
    let mut stream = service.connect();
    let begun = Instant::now();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            // What was sent and not read makes the end a reset.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it was not closed: {error}"),
        }
    }
    (
        String::from_utf8_lossy(&answer).into_owned(),
        begun.elapsed(),
    )
}

#[test]
fn a_head_may_be_as_large_as_was_set() {
    let head = |size: usize| {
        let padding = "x".repeat(size - 100);
        format!(
            "GET /predict/21 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-padding: {padding}\r\n\r\n"
        )
    };
    for (flag, fits, beyond) in [
        // What comes in one read with the last of it is let in.
        ("8KiB", 7 << 10, 20 << 10),
        ("64KiB", 60 << 10, 150 << 10),
        ("1MiB", 1000 << 10, 2500 << 10),
    ] {
        let service = service(&[("max-head-size", flag)]);
        let (answer, _) = ended(&service, head(fits).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{flag}: {answer}");
        // Or cut off, where it went on writing.
        let mut stream = service.connect();
        let _ = stream.write_all(head(beyond).as_bytes());
        let mut answer = [0; 13];
        if stream.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 431 ", "{flag}");
        }
    }
}

#[test]
fn a_limit_that_can_not_be_is_refused_at_the_start() {
    for (flag, value, sentence) in [
        ("--max-head-size", "4KiB", "from 8KiB to 16MiB"),
        ("--max-head-size", "1GiB", "from 8KiB to 16MiB"),
        ("--head-timeout", "0", "above 0"),
        ("--body-timeout", "0s", "above 0"),
        ("--idle-timeout", "soon", "is not a duration"),
        ("--max-streams", "0", "from 1 to 1000000"),
        ("--max-compression-ratio", "0", "from 1 to 1000000"),
    ] {
        let ended = run(&["serve", flag, value]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let [line] = &ended.err[..] else {
            panic!("{ended:?}");
        };
        assert!(
            line.starts_with(&format!("error: {flag}: ")) && line.contains(sentence),
            "{line}"
        );
    }
}

#[test]
fn half_a_head_and_an_unused_connection_are_cut_in_the_time_that_was_set() {
    let service = service(&[("head-timeout", "300ms")]);
    for bytes in [&b""[..], b"GET /predict/21 HTTP/1.1\r\nhost: x\r\n"] {
        let (answer, after) = ended(&service, bytes);
        assert_eq!(answer, "");
        assert!(after >= Duration::from_millis(300), "{after:?}");
    }
    let cut = service.get("/metrics").body;
    assert!(cut.contains("modelship_connections_cut_total 1\n"), "{cut}");
}

#[test]
fn half_a_body_is_waited_for_in_the_time_that_was_set() {
    let service = service(&[("body-timeout", "300ms")]);
    for path in ["/predict", "/v2/models/linear/infer"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nconnection: close\r\n\r\n[[21]"
        );
        let (answer, after) = ended(&service, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 504 "), "{path}: {answer}");
        assert!(answer.contains("within 300ms"), "{answer}");
        assert!(answer.contains("body-timeout"), "{answer}");
        assert!(after >= Duration::from_millis(300), "{after:?}");
    }
}

#[test]
fn a_connection_that_nobody_uses_is_closed_after_the_time_that_was_set() {
    let service = service(&[("idle-timeout", "300ms")]);
    let (answer, after) = ended(&service, b"GET /predict/21 HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(after >= Duration::from_millis(300), "{after:?}");
}

#[test]
fn streams_are_as_many_as_was_set() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const SETTINGS: u8 = 4;
    const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
    let service = service(&[("max-streams", "7")]);
    let mut stream = service.connect();
    stream.write_all(PREFACE).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], SETTINGS);
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    let mut all = settings.chunks_exact(6);
    let streams = all.find(|s| s[..2] == MAX_CONCURRENT_STREAMS).unwrap();
    assert_eq!(streams[2..], [0, 0, 0, 7]);
}

/// An inference whose body is `size` bytes, most of them spaces, by gzip.
fn padded(size: usize) -> Vec<u8> {
    let body = r#"{"inputs":[{"name":"distance_km","shape":[1,1],"datatype":"FP32","data":[21]}]}"#;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(body.as_bytes()).unwrap();
    gzip.write_all(&vec![b' '; size - body.len()]).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn a_compressed_body_may_become_as_many_times_its_size_as_was_set() {
    let ask = |service: &Service, body: &[u8]| {
        let headers = [("content-encoding", "gzip")];
        service.send("POST", "/v2/models/linear/infer", &headers, body)
    };
    // A thousandth of it.
    let (little, much) = (padded(8 << 20), padded(9 << 20));
    let usual = service(&[]);
    assert_eq!(ask(&usual, &little).status, 200);
    let refused = ask(&usual, &much);
    assert_eq!(refused.status, 413);
    let sentence = refused.error();
    assert!(sentence.contains("more than 200 times"), "{sentence}");
    assert!(sentence.contains("max-compression-ratio"), "{sentence}");
    let generous = service(&[("max-compression-ratio", "1032")]);
    let answer = ask(&generous, &much);
    assert_eq!(answer.status, 200, "{}", answer.body);
}
