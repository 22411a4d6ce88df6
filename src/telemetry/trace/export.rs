//! The thread that sends spans.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc as ends},
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use tokio::sync::mpsc;

use super::{Counts, Protocol, Settings};

/// Spans that wait to be sent; more are dropped.
const WAITING: usize = 8192;
/// Spans of one sending.
const AT_ONCE: usize = 512;
/// How long a sending is filled.
const FILLING: Duration = Duration::from_secs(1);
/// How long the collector may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the thread is told.
pub(super) enum Message {
    /// Send this.
    Span(Box<SpanData>),
    /// Send all that came before, and tell when that is done.
    End(ends::Sender<()>),
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Sender(mpsc::Sender<Message>);

impl Sender {
    /// Whether there was room for it.
    pub(super) fn send(&self, message: Message) -> bool {
        self.0.try_send(message).is_ok()
    }

    /// Waits until all is sent, but no longer than `limit`.
    pub(super) fn end(&self, limit: Duration) {
        let (done, ended) = ends::channel();
        if self.send(Message::End(done)) {
            let _ = ended.recv_timeout(limit);
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// When the endpoint can't be one, or there is no thread to be had.
pub(super) fn start(settings: &Settings, counts: Arc<Counts>) -> Result<Sender, String> {
    let (sender, mut messages) = mpsc::channel(WAITING);
    let (made, ready) = ends::channel();
    let settings = settings.clone();
    let thread = std::thread::Builder::new().name("traces".to_owned());
    let started = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = made.send(Err(error.to_string()));
                return;
            }
        };
        runtime.block_on(async move {
            // Within the runtime: the exporter over gRPC asks for one.
            let exporter = match exporter(&settings) {
                Ok(exporter) => exporter,
                Err(error) => {
                    let _ = made.send(Err(error));
                    return;
                }
            };
            let _ = made.send(Ok(()));
            drop(made);
            let mut collector = Collector {
                exporter,
                counts,
                reached: true,
            };
            while collector.turn(&mut messages).await {}
        });
    });
    started.map_err(|e| format!("a thread for traces can't start: {e}"))?;
    match ready.recv() {
        Ok(made) => made.map(|()| Sender(sender)),
        Err(_) => Err("the thread for traces ended at its start".to_owned()),
    }
}

fn exporter(settings: &Settings) -> Result<SpanExporter, String> {
    let endpoint = settings.endpoint.trim_end_matches('/');
    let built = match settings.protocol {
        Protocol::Grpc => SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(PATIENCE)
            .build(),
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_http_client(HyperClient::with_default_connector(PATIENCE, None))
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(PATIENCE)
            .build(),
    };
    let mut exporter =
        built.map_err(|e| format!("spans can't be sent to {}: {e}", settings.endpoint))?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder()
        .with_service_name("modelship")
        .with_attribute(version);
    exporter.set_resource(&resource.build());
    Ok(exporter)
}

struct Collector {
    exporter: SpanExporter,
    counts: Arc<Counts>,
    /// Whether the last sending arrived: a collector that is away is told of
    /// once.
    reached: bool,
}

impl Collector {
    /// Sends once. `false` when nobody is left who could send spans.
    async fn turn(&mut self, messages: &mut mpsc::Receiver<Message>) -> bool {
        let mut spans = Vec::new();
        let mut ended = Vec::new();
        let mut take = |message| match message {
            Message::Span(span) => {
                spans.push(*span);
                spans.len() >= AT_ONCE
            }
            Message::End(done) => {
                ended.push(done);
                true
            }
        };
        let Some(first) = messages.recv().await else {
            return false;
        };
        if !take(first) {
            let fill = async {
                while let Some(message) = messages.recv().await {
                    if take(message) {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(FILLING, fill).await;
        }
        if !spans.is_empty() {
            self.send(spans).await;
        }
        for done in ended {
            let _ = done.send(());
        }
        true
    }

    async fn send(&mut self, spans: Vec<SpanData>) {
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let sent = tokio::time::timeout(PATIENCE, self.exporter.export(spans)).await;
        let failure = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {PATIENCE:?}")),
        };
        match failure {
            None => {
                self.counts.sent.fetch_add(count, Relaxed);
                self.reached = true;
            }
            Some(error) => {
                self.counts.dropped.fetch_add(count, Relaxed);
                if self.reached {
                    tracing::warn!(error, "spans do not arrive");
                }
                self.reached = false;
            }
        }
    }
}
