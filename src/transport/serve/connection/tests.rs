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
use hyper::{Request, body::Incoming};
use tokio::time::{Instant, timeout};

use super::{super::wire::Moving, *};
use crate::telemetry::{BuildInfo, Metrics};

/// Carries a connection on which `bytes` have come, and then nothing. Gives
/// how long it was kept, and what was answered.
async fn kept(bytes: &[u8]) -> (Duration, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut caller = Caller::connect(listener.local_addr().unwrap()).unwrap();
    caller.write_all(bytes).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let service = tower::service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new("answer".into()))
    });
    let (announcer, _) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let metrics = Metrics::new(BuildInfo {
        version: String::new(),
        commit: String::new(),
    });
    let arrival = Arrival::new(Moving::Plain(stream), &announcer, &metrics);
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
        assert!(kept >= FIRST_BYTES && kept < FIRST_BYTES * 2, "{kept:?}");
        assert_eq!(answer, "");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_waited_for_only_so_long() {
    for bytes in [&b"G"[..], b"PUT / HTTP/1.1\r\nhost: x\r\n"] {
        let (kept, _) = kept(bytes).await;
        assert!(kept >= IDLE && kept < IDLE * 2, "{kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_one_is_kept_for_longer_than_load_balancers_keep_theirs() {
    let (kept, answer) = kept(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        kept > Duration::from_secs(60) && kept < IDLE * 2,
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
