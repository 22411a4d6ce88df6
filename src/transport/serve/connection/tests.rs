//! How long a connection is kept, on a clock that runs ahead while nothing
//! else happens.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{TcpListener, TcpStream as Caller},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::response::Response;
use hyper::Request;
use tokio::time::{Instant, timeout};

use super::{
    super::{
        clients::{Capacity, Clients, Taken},
        unread::Arriving,
        wire::Moving,
    },
    *,
};
use crate::telemetry::{BuildInfo, Metrics};

/// A seat where there is no lack of any.
fn seat() -> Taken {
    let capacity = Capacity {
        connections: 8,
        reserve: 0,
    };
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    Clients::new(capacity).admit(address).unwrap()
}

fn arrival(
    stream: std::net::TcpStream,
    announcer: &watch::Sender<bool>,
    metrics: &Metrics,
) -> Arrival {
    let limits = Limits::default();
    Arrival::new(Moving::Plain(stream), seat(), limits, announcer, metrics)
}

/// Carries a connection on which `bytes` have come, and then nothing. Gives
/// how long it was kept, and what was answered.
async fn kept(bytes: &[u8]) -> (Duration, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut caller = Caller::connect(listener.local_addr().unwrap()).unwrap();
    caller.write_all(bytes).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let service = tower::service_fn(|_: Request<Arriving>| async {
        Ok::<_, Infallible>(Response::new("answer".into()))
    });
    let (announcer, _) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let metrics = Metrics::new(BuildInfo {
        version: String::new(),
        commit: String::new(),
    });
    let arrival = arrival(stream, &announcer, &metrics);
    let started = Instant::now();
    let carried = carry(arrival, service, Open::new(&open));
    let ended = timeout(Duration::from_secs(3600), carried).await;
    assert!(ended.is_ok(), "it was kept for an hour");
    assert_eq!(open.load(Ordering::Relaxed), 0);
    let mut answer = Vec::new();
    // A reset, where bytes were left unread, is an end as well.
    let _ = caller.read_to_end(&mut answer);
    (
        started.elapsed(),
        String::from_utf8_lossy(&answer).into_owned(),
    )
}

#[tokio::test(start_paused = true)]
async fn one_that_sends_nothing_or_half_a_preface_is_soon_dropped() {
    for bytes in [&b""[..], b"P", &PREFACE[..PREFACE.len() - 1]] {
        let (kept, answer) = kept(bytes).await;
        let limit = Limits::default().head_timeout;
        assert!(kept >= limit && kept < limit * 2, "{kept:?}");
        assert_eq!(answer, "");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_waited_for_only_so_long() {
    for bytes in [&b"G"[..], b"PUT / HTTP/1.1\r\nhost: x\r\n"] {
        let (kept, _) = kept(bytes).await;
        let limit = Limits::default().head_timeout;
        assert!(kept >= limit && kept < limit * 2, "{kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_one_is_kept_for_longer_than_load_balancers_keep_theirs() {
    let (kept, answer) = kept(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let limit = Limits::default().idle_timeout;
    assert!(
        kept > Duration::from_secs(60) && kept < limit * 2,
        "{kept:?}"
    );
    assert!(answer.ends_with("answer"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_http_2_that_has_gone_is_noticed() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let (kept, _) = kept(&[PREFACE, SETTINGS].concat()).await;
    assert!(kept >= PONG && kept < (PING + PONG) * 2, "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_is_never_opened_is_ended_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let caller = Caller::connect(listener.local_addr().unwrap()).unwrap();
    caller.set_nonblocking(true).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let service = tower::service_fn(|request: Request<Arriving>| async move {
        let body = match request.uri().path() {
            "/nothing" => axum::body::Body::empty(),
            _ => "answer".into(),
        };
        Ok::<_, Infallible>(Response::new(body))
    });
    let (announcer, _) = watch::channel(false);
    let metrics = Metrics::new(BuildInfo {
        version: String::new(),
        commit: String::new(),
    });
    let arrival = arrival(stream, &announcer, &metrics);
    let open = Open::new(&Arc::default());
    tokio::spawn(carry(arrival, service, open));

    let caller = TcpStream::from_std(caller).unwrap();
    let (mut sender, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, bytes::Bytes>(caller)
        .await
        .unwrap();
    tokio::spawn(connection);
    let get = |path: &str| Request::get(format!("http://x{path}")).body(()).unwrap();
    let started = Instant::now();
    let (stuck, _) = sender.send_request(get("/stuck"), true).unwrap();
    let mut body = stuck.await.unwrap().into_body();
    let error = body.data().await.unwrap().unwrap_err();
    assert!(error.is_reset(), "{error}");
    let waited = started.elapsed();
    let limit = super::super::streams::NOTHING_TAKEN;
    assert!(waited >= limit && waited < limit * 2, "{waited:?}");

    let (other, _) = sender.send_request(get("/nothing"), true).unwrap();
    assert_eq!(other.await.unwrap().status(), 200);
    assert!(
        metrics
            .encode()
            .contains("modelship_connections_cut_total 1")
    );
}
