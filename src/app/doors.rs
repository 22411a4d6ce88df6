//! The way in: what the settings name becomes certificates, keys and ports.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{descriptors::MANAGEMENT, trust};
use crate::{
    config,
    telemetry::Metrics,
    transport::{
        doors::{
            Rules,
            keys::Keys,
            renew::{self, Files},
        },
        limits,
        serve::{Answers, Drain, EventLoops, Ways},
        tls::{Paths, Tls},
    },
};

/// How long what asks the port of management may take at the end.
const LAST: Drain = Drain {
    pause: Duration::ZERO,
    timeout: Duration::from_secs(1),
};

/// Certificates and keys, which are followed for as long as these live.
pub(super) struct Opened {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) rules: Arc<Rules>,
}

impl Opened {
    /// Reads all that the settings name; `signers` are followed beside it.
    pub(super) fn new(
        doors: &config::Doors,
        signers: &Arc<trust::Followed>,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let tls = match (&doors.tls_cert, &doors.tls_key) {
            (Some(certificate), Some(key)) => {
                let paths = Paths {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    client_ca: doors.tls_client_ca.clone(),
                };
                Some(Tls::open(paths, metrics.clone()).context("TLS")?)
            }
            _ => None,
        };
        let keys = doors.api_keys.as_deref().map(Keys::open).transpose();
        let keys = keys.context("--api-keys")?;
        let mut files: Vec<Weak<dyn Files>> = Vec::new();
        if let Some(tls) = &tls {
            let tls: Weak<Tls> = Arc::downgrade(tls);
            files.push(tls);
        }
        if let Some(keys) = &keys {
            let keys: Weak<Keys> = Arc::downgrade(keys);
            files.push(keys);
        }
        if !signers.paths().is_empty() {
            let signers: Weak<trust::Followed> = Arc::downgrade(signers);
            files.push(signers);
        }
        renew::follow(files, metrics).context("certificates, keys and trust can't be followed")?;
        Ok(Self {
            rules: Arc::new(Rules {
                keys,
                origins: doors.origins.clone(),
                tls: tls.is_some(),
            }),
            tls,
        })
    }
}

/// Binds `address`, which the setting `name` gives.
pub(super) async fn bind(address: SocketAddr, name: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let why = match e.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("something listens there already: stop it, or choose another with --{name}")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("this user may not: choose a port above 1023 with --{name}")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: 0.0.0.0 stands for all that it has".to_owned()
            }
            _ => e.to_string(),
        };
        anyhow!("can't listen on {address}: {why}")
    })
}

/// The port of management, on a thread of its own.
pub(super) struct Management {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Management {
    /// Answers on `address` by `service` until it is ended.
    pub(super) async fn start(
        address: SocketAddr,
        service: &impl Answers,
        limits: limits::Connection,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let listener = bind(address, "management-listen").await?;
        let management = listener.local_addr().unwrap_or(address);
        let ways = Ways {
            tls: None,
            models: false,
            capacity: MANAGEMENT,
            limits,
            metrics: metrics.clone(),
        };
        let loops = EventLoops::start(1, service, ways)
            .context("the port of management can't be served")?;
        tracing::info!(%management, "health, metrics and control are answered");
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // Dropped or sent, it is the end.
            let _ = stopped.await;
        };
        let serving = tokio::spawn(async move {
            if let Err(error) = loops.serve(listener, stopped, || (), LAST).await {
                tracing::error!(%error, "the listener of management failed");
            }
        });
        Ok(Self { stop, serving })
    }

    /// Ends it, when all else has been answered.
    pub(super) async fn end(self) {
        drop(self.stop);
        let _ = self.serving.await;
    }
}
