//! The composition root: a [`Config`] becomes a running service.

mod apart;
mod descriptors;
mod doors;
mod memory;
mod trust;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;

use crate::{
    catalog::{Catalog, Control, Loader, Manager, Origin, Pass, watch},
    config::Config,
    engine::{Engine, OnnxRuntime, find_library},
    repository::signature::Trusted,
    scheduler::{Host, aside::elsewhere},
    telemetry::{
        BuildInfo, Metrics,
        recent::{Gauges, Recent},
        trace::Traces,
    },
    transport::{
        doors::{Doors, Port},
        grpc,
        http::{Context, Direct, Front, Http, router},
        limits::Limits,
        memory::Budget,
        readiness::{Readiness, Stage},
        serve::{Drain, Drained, EventLoops, Ways},
    },
};

/// How long the last spans may take to be sent.
const LAST_SPANS: std::time::Duration = std::time::Duration::from_secs(2);

pub(crate) use self::{
    apart::{prove, proves},
    memory::stay_within,
};

/// Binds the address that `config` names.
///
/// # Errors
/// When the address can't be had, with the remedy.
pub async fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    doors::bind(config.listen, "listen").await
}

/// Which build this is.
fn build(config: &Config) -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: config.commit.clone().unwrap_or_default(),
    }
}

/// What loads models as `config` says.
fn loader(engine: Arc<dyn Engine>, config: &Config, trust: Trusted, metrics: &Metrics) -> Loader {
    Loader {
        engine,
        trust,
        host: Host {
            event_loops: config.event_loops,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            background: config.background,
        },
        defaults: config.scheduling.clone(),
        origin: Origin {
            commit: config.commit.clone(),
            image: config.image.clone(),
        },
        metrics: metrics.clone(),
    }
}

/// Serves until `shutdown` is done, then drains.
///
/// # Errors
/// When a model does not prove itself, when there is none, and when the
/// machine gives no threads or connections.
pub async fn run(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let library = find_library()?;
    let engine = Arc::new(OnnxRuntime::start(&library)?);
    run_on(engine, config, listener, shutdown).await
}

/// [`run`], on an engine of the caller's choice.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    engine: Arc<dyn Engine>,
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let metrics = Metrics::new(build(&config));
    metrics.log_slow(config.slow_log);
    let readiness = Readiness::new(metrics.clone());
    let signers = trust::Followed::new(config.signers.clone()).context("whose signatures count")?;
    let opened = doors::Opened::new(&config.doors, &signers, &metrics)?;
    let loader = loader(engine, &config, signers.trusted(), &metrics);
    // The port that was taken, where port 0 was asked for.
    let address = listener.local_addr().unwrap_or(config.listen);
    let default_model = config.default_model.as_deref().map(Arc::from);
    let (manager, catalog) = Manager::new(
        &config.models,
        loader,
        config.version_policy.clone(),
        default_model,
    );
    let busy = manager.busy();
    let manager = Arc::new(Mutex::new(manager));
    let control = config
        .allow_repository_control
        .then(|| Control::new(Arc::clone(&manager)));
    let memory = Budget::shown(
        config.request_memory.unwrap_or_else(memory::for_requests),
        Arc::clone(metrics.memory()),
    );
    let limits = Limits {
        body: config.max_body_size,
        body_timeout: config.body_timeout,
        ratio: config.max_compression_ratio,
        elements: config.max_tensor_elements,
        json_depth: config.max_json_depth,
    };
    let grpc = grpc::router(grpc::Context {
        catalog: catalog.clone(),
        readiness: readiness.clone(),
        limits,
        memory: memory.clone(),
        control: control.clone(),
    })
    .context("the gRPC service can't be described")?;
    let recent = Recent::new(metrics.clone());
    let traces = match config.trace.settings() {
        Some(settings) => Some(Traces::start(&settings, &metrics).map_err(anyhow::Error::msg)?),
        None => None,
    };
    let http = Http::new(Context {
        catalog: catalog.clone(),
        readiness: readiness.clone(),
        metrics: metrics.clone(),
        recent: recent.clone(),
        traces: traces.clone(),
        limits,
        memory: memory.clone(),
        control,
        access_log: config.access_log,
        access_log_share: config.access_log_share,
    });
    let routes = Direct::new(http.clone(), router(http.clone()).merge(grpc));
    let front = |port| {
        let doors = Doors::new(Arc::clone(&opened.rules), port, routes.clone());
        Front::new(http.clone(), doors)
    };
    let (management, port) = match config.doors.management {
        Some(address) => {
            let service = front(Port::Management);
            let limits = config.connection;
            let management = doors::Management::start(address, &service, limits, &metrics).await?;
            (Some(management), Port::Main)
        }
        None => (None, Port::Only),
    };
    let ways = Ways {
        tls: opened.tls.clone(),
        models: true,
        capacity: descriptors::capacity(config.doors.max_connections, config.event_loops),
        limits: config.connection,
        metrics,
    };
    let loops = EventLoops::start(config.event_loops, &front(port), ways)
        .context("the event loops can't be started")?;

    // Ends when it is dropped, with this function.
    let mut sampling = tokio::task::JoinSet::new();
    sampling.spawn(sample(recent, catalog.clone(), loops.connections()));

    // Health is answered while models load; nothing else is ready yet.
    let (tell, prove) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("manager".to_owned())
        .spawn(move || {
            let pass = manager
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pass();
            let _ = tell.send((manager, pass));
        })
        .context("the machine gives no thread to load the models with")?;
    let proved = async {
        let (manager, pass) = prove.await.context("loading the models panicked")?;
        settled(&pass, &catalog, &config)?;
        if config.prove_apart {
            let prover = apart::prover().context("this program can't be started again")?;
            let mut manager = manager.lock().unwrap_or_else(PoisonError::into_inner);
            manager.prove_apart(prover);
        }
        readiness.enter(Stage::Ready);
        // Not where the end was asked for meanwhile.
        if readiness.is_ready() {
            tracing::info!(%address, "ready");
        }
        tokio::spawn(watch::follow(manager, config.watch, config.watch_interval));
        std::future::pending::<anyhow::Result<()>>().await
    };
    let drain = Drain {
        pause: config.drain_pause,
        timeout: config.drain_timeout,
    };
    let draining = || {
        readiness.enter(Stage::Draining);
        tracing::info!(pause = ?drain.pause, "draining");
    };
    let drained = tokio::select! {
        failed = proved => return failed,
        drained = loops.serve(listener, shutdown, draining, drain) => {
            drained.context("the listener failed")?
        }
    };
    if let Some(management) = management {
        management.end().await;
    }
    // A load that is under way is waited for, and none begins.
    let idle = tokio::time::timeout(drain.timeout, busy.lock_owned()).await;
    match idle {
        // Kept to the end of the process.
        Ok(guard) => std::mem::forget(guard),
        Err(_) => tracing::warn!("ending while a model is being loaded"),
    }
    if let Some(traces) = traces {
        let _ = elsewhere(move || traces.end(LAST_SPANS)).await;
    }
    match drained {
        Drained::Whole => tracing::info!("every request was answered; ending"),
        Drained::Cut(open) => tracing::warn!(
            open,
            limit = ?drain.timeout,
            "ending with connections still open"
        ),
    }
    Ok(())
}

/// Takes a sample of the figures for each step.
async fn sample(recent: Recent, catalog: Catalog, connections: impl Fn() -> usize) {
    loop {
        tokio::time::sleep_until(recent.due().into()).await;
        let snapshot = catalog.snapshot();
        recent.sample(&Gauges {
            connections: connections(),
            waiting: &|name, version| {
                let versions = snapshot.models().get(name);
                let mut versions = versions.into_iter().flat_map(|v| v.values());
                versions
                    .find(|servable| **servable.version_text() == *version)
                    .map_or(0, |servable| servable.waiting())
            },
        });
    }
}

/// Whether the first pass leaves a service that may become ready.
fn settled(pass: &Pass, catalog: &Catalog, config: &Config) -> anyhow::Result<()> {
    if !pass.failures.is_empty() {
        let reasons: Vec<String> = pass.failures.iter().map(ToString::to_string).collect();
        return Err(anyhow!("{}", reasons.join("; ")));
    }
    if pass.loaded.is_empty() && pass.found > 0 {
        return Err(anyhow!(
            "--version-policy {} leaves none of the versions in {}",
            config.version_policy,
            config.models.display()
        ));
    }
    if pass.loaded.is_empty() {
        return Err(anyhow!(
            "there is no model in {}: a model is a folder with a model.toml; add one with \
             modelship add, or name another folder with --models",
            config.models.display()
        ));
    }
    if let Some(name) = &config.default_model {
        catalog
            .lease(name, None)
            .map_err(|e| anyhow!("--default-model: {e}"))?;
    }
    Ok(())
}
