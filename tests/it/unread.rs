//! A request that is refused before its body was read: the answer arrives all
//! the same, and the connection is kept, or closed with notice.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use crate::service::{Service, models};

/// One connection, as a simple client keeps it.
struct Kept {
    reader: BufReader<TcpStream>,
}

struct Answer {
    status: u16,
    closes: bool,
    body: String,
}

impl Kept {
    fn open(service: &Service) -> Self {
        Self {
            reader: BufReader::new(service.connect()),
        }
    }

    /// Sends head and body whole before anything is read.
    fn send(&mut self, head: &str, body: &[u8]) {
        let stream = self.reader.get_mut();
        // At once, so that what is little lies there with its head.
        let head = format!("{head}\r\nhost: test\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    fn post(&mut self, path: &str, body: &[u8]) {
        let length = body.len();
        self.send(
            &format!("POST {path} HTTP/1.1\r\ncontent-length: {length}"),
            body,
        );
    }

    fn answer(&mut self) -> Answer {
        let mut line = || {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            line.trim_end().to_lowercase()
        };
        let status = line();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let head: Vec<_> = std::iter::from_fn(|| Some(line()).filter(|l| !l.is_empty())).collect();
        let named = |name: &str| head.iter().find_map(|l| l.strip_prefix(name));
        let length = named("content-length: ").unwrap().parse().unwrap();
        let closes = named("connection: ") == Some("close");
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        Answer {
            status,
            closes,
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// The other side has closed, and not by a reset.
    fn ends(mut self) {
        assert_eq!(self.reader.read(&mut [0]).unwrap(), 0);
    }
}

fn service(flags: &[(&str, &str)]) -> Service {
    let all = [&[("default-model", "linear")], flags].concat();
    Service::start(&models(), &all)
}

#[test]
fn after_a_little_that_nobody_read_the_connection_is_kept() {
    let service = service(&[]);
    let mut kept = Kept::open(&service);
    for (path, status) in [
        ("/v2/models/none/infer", 404),
        ("/nowhere", 404),
        ("/predict/21/22/23", 404),
        ("/livez", 405),
    ] {
        for size in [1, 3000, 200_000] {
            kept.post(path, &vec![b'{'; size]);
            let answer = kept.answer();
            assert_eq!(answer.status, status, "{path}");
            // What is larger than a packet may not come in time.
            assert!(!answer.closes || size > 3000, "{path}");
            if answer.closes {
                kept = Kept::open(&service);
            }
        }
        kept.send("GET /predict/21 HTTP/1.1", b"");
        let answer = kept.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("\"prediction\":48"), "{}", answer.body);
    }
    // In chunks, whose length nobody says.
    let head = "POST /nowhere HTTP/1.1\r\ntransfer-encoding: chunked";
    kept.send(head, b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n");
    assert_eq!(kept.answer().status, 404);
    kept.send("GET /livez HTTP/1.1", b"");
    assert_eq!(kept.answer().status, 200);
}

#[test]
fn after_much_that_nobody_read_the_answer_arrives_and_says_that_it_is_the_last() {
    let service = service(&[("max-body-size", "1MiB"), ("request-memory", "2MiB")]);
    let large = vec![b'['; 20 << 20];
    for (path, size, status) in [
        ("/predict", large.len(), 413),
        ("/v2/models/linear/infer", large.len(), 413),
        // As JSON it could take more than there is for all.
        ("/v2/models/linear/infer", 1 << 20, 413),
        ("/nowhere", large.len(), 404),
    ] {
        let mut kept = Kept::open(&service);
        kept.post(path, &large[..size]);
        let answer = kept.answer();
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.closes, "{path}");
        kept.ends();
    }
    assert_eq!(service.get("/predict/21").status, 200);
}

#[test]
fn who_asks_before_sending_need_not_send() {
    let service = service(&[]);
    let mut kept = Kept::open(&service);
    let head = "POST /nowhere HTTP/1.1\r\ncontent-length: 100000\r\nexpect: 100-continue";
    kept.send(head, b"");
    let answer = kept.answer();
    assert_eq!((answer.status, answer.closes), (404, true));
    // Some send it all the same.
    kept.reader.get_mut().write_all(&vec![0; 100_000]).unwrap();
    kept.reader
        .get_mut()
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
    kept.ends();
}

#[test]
fn what_is_no_http_is_told_so_however_much_follows() {
    let service = service(&[]);
    let mut kept = Kept::open(&service);
    let stream = kept.reader.get_mut();
    stream.write_all(b"NOT HTTP\r\n\r\n").unwrap();
    stream.write_all(&vec![b'x'; 8 << 20]).unwrap();
    let mut answer = String::new();
    kept.reader.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
