//! The threads that carry connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use super::{Answers, arrival::Arrival, connection::carry, turns};
use crate::scheduler::event_loop;

/// Every event loop. They end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Loops(Arc<[EventLoop]>);

struct EventLoop {
    connections: mpsc::UnboundedSender<(Arrival, Open)>,
    /// Connections given to this loop and not yet closed.
    open: Arc<AtomicUsize>,
}

/// Counts one connection of a loop for as long as it lives.
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    /// Counts in `open` until it drops.
    pub(super) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Loops {
    /// Starts `count` loops that answer by `service`.
    pub(super) fn start(
        count: usize,
        service: &impl Answers,
        models: bool,
    ) -> std::io::Result<Self> {
        (0..count)
            .map(|index| EventLoop::start(models.then_some(index), service.clone()))
            .collect::<std::io::Result<_>>()
            .map(Self)
    }

    /// Asks how many connections are open, for as long as somebody does.
    pub(super) fn connections(&self) -> impl Fn() -> usize + Send + use<> {
        let open: Vec<_> = self.0.iter().map(|l| Arc::clone(&l.open)).collect();
        move || open.iter().map(|open| open.load(Ordering::Relaxed)).sum()
    }

    /// Gives a connection to the loop that has fewest.
    pub(super) fn give(&self, arrival: Arrival) {
        let open = |l: &&EventLoop| l.open.load(Ordering::Relaxed);
        let Some(least) = self.0.iter().min_by_key(open) else {
            return;
        };
        let open = Open::new(&least.open);
        if least.connections.send((arrival, open)).is_err() {
            tracing::error!("an event loop has ended: a connection was dropped");
        }
    }
}

impl EventLoop {
    /// `index` where models may run on it.
    fn start(index: Option<usize>, service: impl Answers) -> std::io::Result<Self> {
        let (connections, mut arriving) = mpsc::unbounded_channel::<(Arrival, Open)>();
        let open = Arc::new(AtomicUsize::new(0));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all();
        if index.is_some() {
            runtime.on_thread_unpark(event_loop::awake);
        }
        runtime.on_thread_park(move || {
            turns::next_round();
            if index.is_some() {
                event_loop::idle();
            }
        });
        // Made by its own thread: where that can't be had, a runtime left here
        // could not be dropped, since this is one itself.
        let (made, ready) = std::sync::mpsc::sync_channel(1);
        let name = index.map_or("management".to_owned(), |i| format!("event-loop-{i}"));
        std::thread::Builder::new().name(name).spawn(move || {
            if let Some(index) = index {
                event_loop::attach(index);
            }
            let runtime = match runtime.build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(made.send(Err(error))),
            };
            let _ = made.send(Ok(()));
            // Until all who give connections have gone: when all is drained,
            // or cut.
            runtime.block_on(async move {
                while let Some((arrival, open)) = arriving.recv().await {
                    tokio::spawn(carry(arrival, service.clone(), open));
                }
            });
        })?;
        let ended = |_| Err(std::io::Error::other("an event loop ended at its start"));
        ready.recv().unwrap_or_else(ended)?;
        Ok(Self { connections, open })
    }
}
