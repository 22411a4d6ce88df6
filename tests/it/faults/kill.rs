//! The end at any moment, under load: nothing wrong is ever said, and what
//! starts again serves.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Numbers, after, serve, until};
use crate::{
    process::{Serving, models},
    service::{agent, try_send},
};

const ANSWER: &str = r#"{"input":21,"prediction":48,"model_version":"v1.1.0"}"#;

/// Asks until it is over. An answer is whole and right, or it is none.
fn asking(address: SocketAddr, over: &Arc<AtomicBool>, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (over, count) = (Arc::clone(over), Arc::clone(count));
    std::thread::spawn(move || {
        let agent = agent();
        let url = format!("http://{address}/predict/21");
        while !over.load(Relaxed) {
            if let Ok(reply) = try_send(&agent, &url, "GET", &[], b"") {
                assert_eq!((reply.status, &*reply.body), (200, ANSWER));
                count.fetch_add(1, Relaxed);
            }
        }
    })
}

#[test]
fn killed_under_load_it_says_nothing_wrong_and_starts_again() {
    let models = models();
    let mut numbers = Numbers(5);
    // From outside, and as the native library's own abort ends it.
    for signal in [Signal::KILL, Signal::ABORT, Signal::KILL, Signal::ABORT] {
        let command = serve(&models, &["--default-model=linear"]);
        // It leaves no image of its memory behind.
        let serving = Serving::start(after("ulimit -c 0", &command));
        let over = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let clients = [1, 2, 3].map(|_| asking(serving.address, &over, &count));
        until("everybody is served", || count.load(Relaxed) > 20);
        numbers.pause(Duration::from_millis(50));
        serving.signal(signal);
        let (status, _) = serving.wait();
        assert_eq!(status.signal(), Some(signal.as_raw()));
        over.store(true, Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    }
}

#[test]
fn asked_to_end_at_any_moment_of_its_start_it_does() {
    let models = models();
    let mut numbers = Numbers(3);
    for _ in 0..10 {
        let mut command = serve(&models, &["--default-model=linear"]);
        let mut process = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        numbers.pause(Duration::from_millis(400));
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        let mut ended = None;
        until("it ends", || {
            ended = process.try_wait().unwrap();
            ended.is_some()
        });
        let status = ended.unwrap();
        // By the signal itself, where it came before there was anybody to take it.
        let early = status.signal() == Some(Signal::TERM.as_raw());
        assert!(early || status.code() == Some(0), "{status}");
    }
}

#[test]
fn asked_to_end_under_load_it_answers_what_it_took() {
    let models = models();
    let mut numbers = Numbers(9);
    for _ in 0..3 {
        let flags = ["--default-model=linear", "--drain-pause=200ms"];
        let serving = Serving::start(serve(&models, &flags));
        let address = serving.address;
        let over = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let clients = [1, 2, 3].map(|_| asking(address, &over, &count));
        until("everybody is served", || count.load(Relaxed) > 20);
        numbers.pause(Duration::from_millis(50));
        serving.signal(Signal::TERM);
        let (status, log) = serving.wait();
        assert_eq!(status.code(), Some(0), "{log:#?}");
        let last = log.last().unwrap();
        assert!(last.contains("every request was answered"), "{log:#?}");
        over.store(true, Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    }
}
