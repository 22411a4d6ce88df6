//! Whose turn it is, seen by the order in which an event loop takes what lies
//! ready. Nothing here is timed.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream as Caller},
    sync::{Mutex, mpsc},
};

use axum::body::Body;
use tokio::sync::oneshot;

use super::*;
use crate::telemetry::BuildInfo;

/// The requests that lie ready at once of the client that asks for much.
const MANY: usize = 100;

/// The order in which requests were taken.
type Order = Arc<Mutex<Vec<String>>>;

/// One event loop that writes down what it takes, and stands still at
/// `/hold`, having said so, until it is let go.
struct Held {
    address: SocketAddr,
    order: Order,
    holding: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<std::thread::JoinHandle<()>>,
}

impl Held {
    fn start() -> Self {
        let order = Order::default();
        let (held, holding) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let taken = order.clone();
        let service = tower::service_fn(move |request: Request<Arriving>| {
            let path = request.uri().path().to_owned();
            let (held, released, taken) = (held.clone(), released.clone(), taken.clone());
            async move {
                if path == "/hold" {
                    held.send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                } else {
                    taken.lock().unwrap().push(path);
                }
                Ok::<_, Infallible>(Response::new(Body::from("ok")))
            }
        });
        let ways = Ways {
            tls: None,
            models: false,
            capacity: Capacity {
                connections: 1000,
                reserve: 0,
            },
            limits: limits::Connection::default(),
            metrics: Metrics::new(BuildInfo {
                version: String::new(),
                commit: String::new(),
            }),
        };
        let loops = EventLoops::start(1, &service, ways).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let stopped = async { drop(stopped.await) };
                let drain = Drain {
                    pause: Duration::ZERO,
                    timeout: Duration::from_secs(10),
                };
                loops.serve(listener, stopped, || (), drain).await.unwrap();
            });
        });
        Self {
            address: told.recv().unwrap(),
            order,
            holding,
            release,
            stop: Some(stop),
            serving: Some(serving),
        }
    }

    /// A connection from 127.0.0.`last`.
    fn connect(&self, last: u8) -> Caller {
        let from = SocketAddr::from((IpAddr::from([127, 0, 0, last]), 0));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&from.into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let stream = Caller::from(socket);
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    /// How many requests of 127.0.0.1, of those that lay ready, were taken
    /// before the one of 127.0.0.2, which came last. `asks` has the loop stand
    /// still, and them lie ready.
    fn taken_before(&self, asks: impl FnOnce()) -> usize {
        let mut polite = self.connect(2);
        ask(&mut polite, "/polite");
        answer(&mut polite);
        self.order.lock().unwrap().clear();
        asks();
        ask(&mut polite, "/polite");
        self.release.send(()).unwrap();
        answer(&mut polite);
        let order = self.order.lock().unwrap();
        order.iter().position(|path| path == "/polite").unwrap()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.serving.take().map(|serving| serving.join());
        assert!(std::thread::panicking() || ended.is_some_and(|e| e.is_ok()));
    }
}

fn ask(stream: &mut Caller, path: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
}

fn answer(stream: &mut Caller) {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\nok") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

/// One who has not asked for two seconds is not waited for: on a machine that
/// stands still for that long, a try says nothing.
fn at_best(mut taken_before: impl FnMut() -> usize) {
    let tries: Vec<_> = (0..5).map(|_| taken_before()).collect();
    println!("of {MANY} came first: {tries:?}");
    let least = tries.iter().min().unwrap();
    assert!(*least <= MANY / 3, "of {MANY} came first: {tries:?}");
}

#[test]
fn many_connections_of_one_client_take_turns_with_another() {
    let held = Held::start();
    let mut greedy: Vec<_> = (0..MANY).map(|_| held.connect(1)).collect();
    at_best(|| {
        for stream in &mut greedy {
            ask(stream, "/greedy");
            answer(stream);
        }
        let mut holder = held.connect(3);
        let before = held.taken_before(|| {
            ask(&mut holder, "/hold");
            held.holding.recv().unwrap();
            greedy.iter_mut().for_each(|s| ask(s, "/greedy"));
        });
        // Nobody is forgotten.
        greedy.iter_mut().for_each(answer);
        before
    });
}

#[test]
fn many_streams_of_one_client_take_turns_with_another() {
    let held = Held::start();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
    let request = |path: &str| {
        Request::get(format!("http://x/{path}"))
            .version(http::Version::HTTP_2)
            .body(())
            .unwrap()
    };
    at_best(|| {
        let stream = held.connect(1);
        stream.set_nonblocking(true).unwrap();
        let (mut sender, connection) = runtime.block_on(async {
            let stream = TcpStream::from_std(stream).unwrap();
            let (mut sender, mut connection) = h2::client::handshake(stream).await.unwrap();
            // The first answer says how many streams there may be.
            let (answer, _) = sender.send_request(request("greedy"), true).unwrap();
            tokio::select! {
                _ = &mut connection => unreachable!("the connection ended"),
                answer = answer => assert_eq!(answer.unwrap().status(), 200),
            }
            (sender, connection)
        });
        let mut answers = Vec::new();
        let before = held.taken_before(|| {
            // Nothing is sent while nobody drives the connection; then all is,
            // in one piece.
            for number in 0..=MANY {
                let path = if number == 0 { "hold" } else { "greedy" };
                answers.push(sender.send_request(request(path), true).unwrap().0);
            }
            runtime.spawn(connection);
            held.holding.recv().unwrap();
        });
        runtime.block_on(async {
            for answer in answers.drain(..) {
                assert_eq!(answer.await.unwrap().status(), 200);
            }
        });
        before
    });
}
