//! A service in this process, on a port of its own.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use modelship::{
    app,
    config::Config,
    engine::{Engine, OnnxRuntime, find_library},
};

/// The repository's own models.
pub fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// ONNX Runtime, once for all tests.
pub fn onnx_runtime() -> Arc<dyn Engine> {
    let library = find_library().expect("scripts/setup has put ONNX Runtime in place");
    Arc::new(OnnxRuntime::start(&library).expect("ONNX Runtime starts"))
}

/// Settings for a test: a free port, and nothing from the environment.
pub fn config(models: &Path, flags: &[(&str, &str)]) -> Config {
    let models = models.to_str().expect("UTF-8");
    let mut all = vec![
        ("models".to_owned(), models.into()),
        ("listen".to_owned(), "127.0.0.1:0".into()),
        ("watch-interval".to_owned(), "20ms".into()),
    ];
    for (name, value) in flags {
        all.retain(|(n, _)| n != name);
        all.push(((*name).to_owned(), (*value).into()));
    }
    Config::load(all, []).expect("settings are right")
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// The sentence of a refusal.
    pub fn error(&self) -> String {
        let json = self.json();
        json["error"].as_str().expect("an error").to_owned()
    }
}

/// A running service. Dropping it drains it, and asserts that it ended well.
pub struct Service {
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
    agent: ureq::Agent,
}

impl Service {
    /// Serves `models` with ONNX Runtime, and waits until it is ready.
    pub fn start(models: &Path, flags: &[(&str, &str)]) -> Self {
        Self::on(onnx_runtime(), models, flags)
    }

    /// Serves `models` with `engine`, and waits until it is ready.
    pub fn on(engine: Arc<dyn Engine>, models: &Path, flags: &[(&str, &str)]) -> Self {
        let service = Self::starting(engine, models, flags);
        loop {
            if try_send(&service.agent, &service.url("/readyz"), "GET", &[], b"")
                .is_ok_and(|reply| reply.status == 200)
            {
                return service;
            }
            if service.thread.as_ref().is_some_and(|t| t.is_finished()) {
                panic!("the service ended: {:?}", service.wait());
            }
            std::thread::yield_now();
        }
    }

    /// A service that may still be loading, or about to fail.
    pub fn starting(engine: Arc<dyn Engine>, models: &Path, flags: &[(&str, &str)]) -> Self {
        let config = config(models, flags);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = app::bind(&config).await?;
                tell.send(listener.local_addr().expect("bound"))
                    .expect("told");
                app::run_on(engine, config, listener, async {
                    let _ = stopped.await;
                })
                .await
            })
        });
        Self {
            address: told.recv().expect("the service binds"),
            stop: Some(stop),
            thread: Some(thread),
            agent: agent(),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A connection that does not wait for ever.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        stream.set_write_timeout(patience).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.send("POST", path, &[], body.as_bytes())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        send(&self.agent, &self.url(path), method, headers, body)
    }

    /// Begins the drain.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the end, and gives what came of it.
    pub fn wait(mut self) -> anyhow::Result<()> {
        self.join()
    }

    fn join(&mut self) -> anyhow::Result<()> {
        match self.thread.take() {
            Some(thread) => thread.join().expect("the service does not panic"),
            None => Ok(()),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
        let ended = self.join();
        if !std::thread::panicking() {
            ended.expect("the service ends well");
        }
    }
}

/// A client that takes every status as an answer and never waits for good.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

pub fn send(
    agent: &ureq::Agent,
    url: &str,
    method: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    try_send(agent, url, method, headers, body).expect("an answer")
}

pub fn try_send(
    agent: &ureq::Agent,
    url: &str,
    method: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, ureq::Error> {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = if body.is_empty() && method != "POST" {
        agent.run(request.body(()).expect("a request"))
    } else {
        agent.run(request.body(body).expect("a request"))
    }?;
    Ok(Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().read_to_string()?,
    })
}
