//! Too many connections, and too many frames: others are answered.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use super::{Caller, sentence, serve, text};
use crate::process::{Serving, models, modelship};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection from 127.0.0.`last`.
fn connect(address: SocketAddr, last: u8) -> std::io::Result<TcpStream> {
    let from = SocketAddr::from((IpAddr::from([127, 0, 0, last]), 0));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect(&address.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// A request on a connection of its own, and the status of its answer. A
/// connection that is closed without one is tried again: there may be no
/// place at that moment.
fn status(address: SocketAddr, last: u8, path: &str) -> u16 {
    let once = || {
        let stream = connect(address, last).ok()?;
        let mut caller = Caller::over(stream);
        caller.ask("GET", path, &[("connection", "close")]).ok()
    };
    for _ in 0..200 {
        if let Some(answer) = once() {
            return answer.status;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{path} was never answered to 127.0.0.{last}");
}

#[test]
fn with_few_descriptors_health_and_other_clients_are_answered() {
    let models = models();
    let serve = format!(
        "ulimit -n 256; exec {} serve --models {} --listen 127.0.0.1:0 --log-format json \
         --default-model linear",
        modelship(&[]).get_program().to_str().unwrap(),
        text(&models),
    );
    let mut command = Command::new("sh");
    command.args(["-c", &serve]).env_clear();
    for (name, value) in modelship(&[]).get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let serving = Serving::start(command);
    // More than there are descriptors, and each asks once and stays.
    let held: Vec<_> = (0..300)
        .filter_map(|_| {
            let mut stream = connect(serving.address, 1).ok()?;
            write!(stream, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
            Some(stream)
        })
        .collect();
    assert!(held.len() > 200, "{}", held.len());
    for last in [1, 2] {
        assert_eq!(status(serving.address, last, "/livez"), 200);
    }
    // The one who holds most makes room for somebody else.
    assert_eq!(status(serving.address, 2, "/predict/21"), 200);
    drop(held);
    assert_eq!(status(serving.address, 1, "/predict/21"), 200);
    serving.stop();
}

#[test]
fn one_connection_too_many_is_told_so() {
    let serving = serve(&["--max-connections", "2", "--event-loops", "1"]);
    let mut kept: Vec<_> = (0..2).map(|_| Caller::plain(serving.address)).collect();
    for caller in &mut kept {
        assert_eq!(caller.get("/predict/21", &[]).status, 200);
    }
    let mut more = Caller::plain(serving.address);
    let answer = more.get("/predict/21", &[]);
    // Where five seconds have passed, one of those two is idle, and gives way.
    if answer.status != 200 {
        assert_eq!(answer.status, 503);
        assert!(sentence(&answer).contains("max-connections"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let mut health = Caller::plain(serving.address);
    assert_eq!(health.get("/readyz", &[]).status, 200);
    assert_eq!(status(serving.address, 2, "/predict/21"), 200);
    serving.stop();
}

#[test]
fn floods_of_small_frames_hold_up_nobody() {
    let serving = serve(&["--event-loops", "1"]);
    let mut other = Caller::plain(serving.address);
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // GET / over http, from the static table.
    let head = [0x82, 0x86, 0x84];
    let ping = frame(6, 0, 0, &[7; 8]);
    let settings = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    for flood in ["ping", "settings", "reset"] {
        let mut stream = connect(serving.address, 2).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
        for number in 0..5000u32 {
            match flood {
                "ping" => bytes.extend(&ping),
                "settings" => bytes.extend(&settings),
                _ => {
                    bytes.extend(frame(1, 5, 2 * number + 1, &head));
                    bytes.extend(frame(3, 0, 2 * number + 1, &[0, 0, 0, 8]));
                }
            }
        }
        // It may be told to go, or not be read any more.
        let _ = stream.write_all(&bytes);
        for _ in 0..3 {
            assert_eq!(other.get("/predict/21", &[]).status, 200, "{flood}");
        }
        stream
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        let _ = stream.read(&mut [0; 1024]);
    }
    serving.stop();
}
