//! The way out: nothing that was accepted is lost.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use modelship::engine::fake::FakeEngine;

use crate::{
    repository::Repository,
    service::{Service, models},
};

#[test]
fn while_draining_it_lives_and_is_not_ready() {
    let mut service = Service::start(
        &models(),
        &[("default-model", "linear"), ("drain-pause", "60s")],
    );
    service.stop();
    loop {
        if service.get("/readyz").status == 503 {
            break;
        }
        std::thread::yield_now();
    }
    let ready = service.get("/readyz");
    assert_eq!(ready.json()["status"], "draining");
    assert_eq!(service.get("/livez").status, 200);
    // Still answered, and told to go elsewhere for the next.
    let reply = service.get("/predict/21");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["connection"], "close");
    // The pause is a minute: the test does not wait for it.
    std::mem::forget(service);
}

#[test]
fn a_request_in_flight_is_answered() {
    let engine = FakeEngine::default();
    let repository = Repository::fake(&[("double", "v1.0.0", 2.0)]);
    let mut service = Service::on(
        Arc::new(engine.clone()),
        repository.path(),
        &[("placement", "threads")],
    );
    engine.hold();
    let address = service.address;
    let asking = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /predict/21 HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        let mut lines = BufReader::new(stream).lines();
        lines.next().unwrap().unwrap()
    });
    engine.wait_for_waiting(1);
    service.stop();
    // The listener closes at once, with no pause set.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    engine.open();
    assert_eq!(asking.join().unwrap(), "HTTP/1.1 200 OK");
    service.wait().unwrap();
}

#[test]
fn the_drain_is_bounded() {
    let engine = FakeEngine::default();
    let repository = Repository::fake(&[("double", "v1.0.0", 2.0)]);
    let mut service = Service::on(
        Arc::new(engine.clone()),
        repository.path(),
        &[("placement", "threads"), ("drain-timeout", "50ms")],
    );
    engine.hold();
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream
        .write_all(b"GET /predict/21 HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    engine.wait_for_waiting(1);
    service.stop();
    service.wait().unwrap();
    engine.open();
}

#[test]
fn a_stop_under_constant_load_costs_no_request() {
    let mut service = Service::start(
        &models(),
        &[("default-model", "linear"), ("drain-pause", "300ms")],
    );
    let address = service.address;
    let closed = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let closed = Arc::clone(&closed);
            std::thread::spawn(move || client(address, &closed))
        })
        .collect();
    // Let every client get going.
    while service.get("/metrics").body.lines().all(|l| {
        !l.starts_with("modelship_request_duration_seconds_count{model=\"linear\"")
            || l.rsplit(' ').next().unwrap().parse::<f64>().unwrap() < 200.0
    }) {}
    service.stop();
    let done: Vec<usize> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    assert!(done.iter().all(|&n| n > 0), "{done:?}");
    service.wait().unwrap();
}

/// Asks again and again over kept connections, as a well-behaved client does:
/// it goes on until it is refused a connection, and must be answered on every
/// connection that it got.
fn client(address: std::net::SocketAddr, closed: &AtomicBool) -> usize {
    let mut answered = 0;
    while !closed.load(Ordering::Relaxed) {
        let Ok(stream) = TcpStream::connect(address) else {
            closed.store(true, Ordering::Relaxed);
            return answered;
        };
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            stream
                .write_all(b"GET /predict/21 HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            let (status, close) = read_reply(&mut reader);
            assert_eq!(status, "HTTP/1.1 200 OK");
            answered += 1;
            if close {
                break;
            }
        }
    }
    answered
}

fn read_reply(reader: &mut BufReader<TcpStream>) -> (String, bool) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.trim_end().to_owned();
    let (mut close, mut length) = (false, 0);
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some(("connection", "close")) => close = true,
            Some(("content-length", n)) => length = n.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(reader, &mut body).unwrap();
    (status, close)
}
