//! No descriptor is left, and then there are some again.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{PATIENCE, serve, until};
use crate::{process::Serving, repository::Repository};

/// Asks on a connection that is kept, and gives the body.
fn ask(kept: &mut BufReader<TcpStream>, path: &str) -> String {
    let stream = kept.get_mut();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        kept.read_line(&mut line).unwrap();
        if let Some(text) = line.trim_end().strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        } else if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    kept.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// Leaves the process so many descriptors; gives the limit before.
fn leave(serving: &Serving, current: Option<u64>) -> Rlimit {
    let limit = Rlimit {
        current,
        ..before()
    };
    let pid = Pid::from_child(&serving.process);
    prlimit(Some(pid), Resource::Nofile, limit).unwrap()
}

/// The descriptors that it has open.
fn open(serving: &Serving) -> usize {
    let folder = format!("/proc/{}/fd", serving.process.id());
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn descriptors_that_run_out_and_come_back() {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let serving = Serving::start(serve(repository.path(), &["--watch=poll"]));
    let stream = TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut kept = BufReader::new(stream);
    assert!(ask(&mut kept, "/predict/21").contains(":42,"));
    // Standard input and output are open, so nothing more may be opened.
    let before = leave(&serving, Some(3));
    repository.put("double", "v1.0.3", 3.0, "");
    until("it is told", || {
        assert!(ask(&mut kept, "/predict/21").contains(":42,"));
        ask(&mut kept, "/healthz").contains("Too many open files")
    });
    // A caller whom nobody can let in waits, and is answered afterwards.
    let mut waiting = TcpStream::connect(serving.address).unwrap();
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        waiting,
        "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    for _ in 0..20 {
        assert!(ask(&mut kept, "/predict/21").contains(":42,"));
    }
    leave(&serving, before.current);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    until("the new version is served", || {
        ask(&mut kept, "/predict/21").contains(":63,")
    });
    assert!(open(&serving) < 100);
    serving.stop();
}

#[test]
fn descriptors_that_run_out_in_the_middle_of_a_load() {
    let repository = Repository::empty();
    let placement = "[scheduling]\nplacement = \"threads\"\n";
    repository.put("double", "v1.0.2", 2.0, placement);
    let serving = Serving::start(serve(repository.path(), &["--watch=poll"]));
    let stream = TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut kept = BufReader::new(stream);
    let mut predicts = |what: u16| {
        let body = ask(&mut kept, "/predict/21");
        assert!(body.contains("prediction"), "{body}");
        body.contains(&format!(":{what},"))
    };
    assert!(predicts(42));
    let most = before().current;
    // Enough to list a folder, to open a file in it, and so on.
    for more in 0..6 {
        // A look that is under way may hold one.
        leave(
            &serving,
            Some(u64::try_from(open(&serving) + more).unwrap()),
        );
        let scale = 3 + u16::try_from(more).unwrap();
        let version = format!("v1.1.{more}");
        repository.put("double", &version, scale.into(), placement);
        // Until it has loaded it, or had time to try in vain.
        let tried = Instant::now() + Duration::from_millis(200);
        while Instant::now() < tried && !predicts(scale * 21) {
            std::thread::sleep(Duration::from_millis(2));
        }
        leave(&serving, most);
        until("the new version is served", || predicts(scale * 21));
    }
    serving.stop();
}

/// The limit that a process starts with here.
fn before() -> Rlimit {
    let own = rustix::process::getrlimit(Resource::Nofile);
    Rlimit {
        current: own.maximum,
        maximum: own.maximum,
    }
}
