//! How many connections the limit on open files leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::transport::serve::Capacity;

/// Descriptors that are not for connections: models that are read, folders
/// that are watched, the log.
const OWN: usize = 24;

/// Those of an event loop.
const EACH_LOOP: usize = 4;

/// Where there is no limit.
const NO_LIMIT: usize = 1_000_000;

/// The port of management is for a few.
pub(super) const MANAGEMENT: Capacity = Capacity {
    connections: 16,
    reserve: 8,
};

/// Room for connections: as many as `wanted`, or as the system lets this
/// process have beside `event_loops` and what it needs itself.
pub(super) fn capacity(wanted: Option<usize>, event_loops: usize) -> Capacity {
    let limit = raised();
    // Some for health, and for who takes a place that is just being left.
    let reserve = (limit / 8).clamp(8, 128);
    let management = MANAGEMENT.connections + MANAGEMENT.reserve;
    let own = open() + OWN + EACH_LOOP * (event_loops + 2) + management;
    let left = limit.saturating_sub(own + reserve).max(1);
    if let Some(wanted) = wanted
        && wanted > left
    {
        tracing::warn!(
            wanted,
            left,
            "max-connections is more than the limit on open files leaves: raise that (ulimit -n)"
        );
    }
    Capacity {
        connections: wanted.unwrap_or(left).min(left),
        reserve,
    }
}

/// The limit on open files, raised as far as this process may: nothing here
/// waits by select, for which the lower one is kept.
fn raised() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.map_or(NO_LIMIT, |now| {
        usize::try_from(now).unwrap_or(NO_LIMIT).min(NO_LIMIT)
    })
}

/// Descriptors that are open already, some of which were inherited.
fn open() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(OWN, Iterator::count)
}
