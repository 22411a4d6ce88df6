//! TLS: what it carries, how it is renewed, and whom it takes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{Caller, certificates::Authority, serve, text};

/// Asks until `wanted` is there.
fn until(mut wanted: impl FnMut() -> bool) {
    let started = Instant::now();
    while !wanted() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never was");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn expiry(answer: &str) -> Option<&str> {
    answer
        .lines()
        .find_map(|line| line.strip_prefix("modelship_tls_certificate_expiry_timestamp_seconds "))
}

#[test]
fn it_speaks_tls_and_says_which_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let [cert, key] = authority.sign(2090).write(folder.path());
    let serving = serve(&["--tls-cert", &cert, "--tls-key", &key]);

    let mut caller = Caller::tls(serving.address, &authority.own, None).unwrap();
    for _ in 0..3 {
        let answer = caller.get("/predict/21", &[]);
        assert!(answer.body.contains("\"prediction\":48"), "{answer:?}");
        let strict = answer.header("strict-transport-security").unwrap();
        assert!(strict.starts_with("max-age="), "{strict}");
    }
    let shown = caller.get("/metrics", &[]).body;
    assert_eq!(expiry(&shown), Some("3786912000"));
    assert!(shown.contains("modelship_tls_handshakes_total{outcome=\"success\"} 1"));

    for (offered, agreed) in [
        (&[&b"h2"[..], b"http/1.1"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = Caller::shake(serving.address, &authority.own, None, offered).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed);
    }
    // Whom the caller does not know is not spoken to.
    let other = Authority::new("other");
    assert!(Caller::tls(serving.address, &other.own, None).is_err());

    // Who speaks no TLS is told so.
    let mut stream = TcpStream::connect(serving.address).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("https://"),
        "{answer}"
    );
    serving.stop();
}

#[test]
fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let [cert, key] = authority.sign(2090).write(folder.path());
    let mut serving = serve(&["--tls-cert", &cert, "--tls-key", &key]);
    let mut kept = Caller::tls(serving.address, &authority.own, None).unwrap();
    assert_eq!(kept.get("/predict/21", &[]).status, 200);

    let renewed = Authority::new("renewed");
    renewed.sign(2091).write(folder.path());
    serving.log_until("files that have changed were taken");
    let mut new = Caller::tls(serving.address, &renewed.own, None).unwrap();
    assert_eq!(expiry(&new.get("/metrics", &[]).body), Some("3818448000"));
    assert!(Caller::tls(serving.address, &authority.own, None).is_err());
    // Who was there already has noticed nothing.
    assert_eq!(kept.get("/predict/21", &[]).status, 200);

    // Half a pair, as after a crash of the tool that renews.
    fs::write(&key, authority.sign(2092).key).unwrap();
    serving.log_until("are not a pair");
    fs::remove_file(&key).unwrap();
    serving.log_until("can't be read");
    let mut again = Caller::tls(serving.address, &renewed.own, None).unwrap();
    let shown = again.get("/metrics", &[]).body;
    let count = |outcome: &str| {
        let start =
            format!("modelship_renewals_total{{what=\"certificate\",outcome=\"{outcome}\"}} ");
        let count = shown.lines().find_map(|line| line.strip_prefix(&start));
        count.unwrap().parse::<u64>().unwrap()
    };
    assert!(count("success") >= 1 && count("failure") >= 2, "{shown}");
    serving.stop();
}

#[test]
fn callers_show_certificates_where_they_must() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, callers) = (Authority::new("ca"), Authority::new("callers"));
    let [cert, key] = authority.sign(2090).write(folder.path());
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, &callers.own.certificate).unwrap();
    let serving = serve(&[
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        text(&ca),
    ]);
    let own = callers.sign(2090);
    let mut caller = Caller::tls(serving.address, &authority.own, Some(&own)).unwrap();
    assert_eq!(caller.get("/predict/21", &[]).status, 200);
    // In TLS 1.3 a caller learns of it with the first answer.
    for stranger in [None, Some(&authority.sign(2090))] {
        let caller = Caller::tls(serving.address, &authority.own, stranger);
        let answer = caller.and_then(|mut caller| caller.ask("GET", "/predict/21", &[]));
        assert!(answer.is_err(), "{answer:?}");
    }
    serving.stop();
}

#[test]
fn one_that_stands_still_in_the_handshake_is_dropped_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let [cert, key] = authority.sign(2090).write(folder.path());
    let serving = serve(&["--tls-cert", &cert, "--tls-key", &key]);
    let mut still = TcpStream::connect(serving.address).unwrap();
    still
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // The start of a handshake's record.
    still.write_all(&[22, 3, 1]).unwrap();
    let mut caller = Caller::tls(serving.address, &authority.own, None).unwrap();
    assert_eq!(caller.get("/predict/21", &[]).status, 200);
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = still.read_to_end(&mut rest);
    until(|| {
        let shown = caller.get("/metrics", &[]).body;
        shown.contains("modelship_tls_handshakes_total{outcome=\"failure\"} 1")
    });
    serving.stop();
}

#[test]
fn what_is_wrong_at_the_start_is_said_and_nothing_served() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = Authority::new("a").sign(2090).write(folder.path());
    let models = crate::process::models();
    for (flags, code, why) in [
        (
            vec!["--tls-cert", &cert],
            2,
            "--tls-cert: this needs the setting tls-key",
        ),
        (
            vec!["--tls-cert", &key, "--tls-key", &key],
            1,
            "holds no certificate in PEM",
        ),
        (
            vec!["--tls-cert", &cert, "--tls-key", "/nowhere/key"],
            1,
            "/nowhere/key: it can't be read",
        ),
        (vec!["--api-keys", &cert], 1, "--api-keys: "),
        (vec!["--cors-origin", "example.com"], 2, "is not an origin"),
    ] {
        let mut all = vec![
            "serve",
            "--models",
            text(&models),
            "--listen",
            "127.0.0.1:0",
        ];
        all.extend(flags);
        let ended = crate::process::run(&all);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.err.join("\n").contains(why), "{ended:?}");
    }
}
