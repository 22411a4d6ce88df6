//! The requests that wait in a queue, and how much of it each client holds.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    ops::{AddAssign, SubAssign},
    time::{Duration, Instant},
};

use super::{batch, request::Pending};
use crate::error::{Error, Result};

/// What may wait at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// What requests take of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.rows -= other.rows;
        self.bytes -= other.bytes;
    }
}

/// The requests that wait.
#[derive(Default)]
pub(super) struct Waiting {
    /// The most urgent level first.
    levels: BTreeMap<u32, VecDeque<Pending>>,
    load: Load,
    /// Of each client that has a request here.
    held: HashMap<Option<IpAddr>, Load>,
}

/// How a load is measured: by rows or by bytes.
type Measure = fn(Load) -> usize;

impl Waiting {
    pub(super) fn rows(&self) -> usize {
        self.load.rows
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Whether a request of one row by `client` would be refused, however few
    /// bytes it had.
    pub(super) fn is_full_for(&self, client: Option<IpAddr>, room: Room) -> bool {
        let by_rows = self.load.rows >= room.rows;
        let by_bytes = self.load.bytes >= room.bytes;
        if !(by_rows || by_bytes) {
            return false;
        }
        let own = self.held.get(&client).copied().unwrap_or_default();
        let refused = |measure: Measure| {
            let more = |l: &Load| measure(*l) > measure(own) + 1;
            !self.held.values().any(more)
        };
        (by_rows && refused(|l| l.rows)) || (by_bytes && refused(|l| l.bytes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// When the request that would run first was accepted.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.levels.values().next()?.front().map(|r| r.accepted)
    }

    /// Takes `request` in at `level`. Where there is no room for it, requests
    /// of the client that holds most give way, if that client holds more than
    /// the newcomer then would; they are moved to `gone`, to be refused.
    ///
    /// # Errors
    /// Why the request is refused, where nobody gives way.
    pub(super) fn push(
        &mut self,
        level: u32,
        request: Pending,
        room: Room,
        gone: &mut Vec<Pending>,
    ) -> Result<()> {
        let new = request.load();
        let measures: [(Measure, usize); 2] = [(|l| l.rows, room.rows), (|l| l.bytes, room.bytes)];
        for (measure, most) in measures {
            // A request larger than the whole queue still runs, when it is alone.
            let waiting = measure(self.load);
            let beyond = (waiting + measure(new)).saturating_sub(most);
            if waiting > 0 && beyond > 0 && !self.give_way(&request, measure, beyond, gone) {
                return Err(full(self.load, room));
            }
        }
        self.load += new;
        *self.held.entry(request.client).or_default() += new;
        self.levels.entry(level).or_default().push_back(request);
        Ok(())
    }

    /// All of them, the most urgent first.
    pub(super) fn into_requests(self) -> impl Iterator<Item = Pending> {
        self.levels.into_values().flatten()
    }

    /// Moves requests of the client that holds most out to `gone`, until it
    /// holds `beyond` less. `false` where that would be no fairer.
    fn give_way(
        &mut self,
        newcomer: &Pending,
        measure: Measure,
        beyond: usize,
        gone: &mut Vec<Pending>,
    ) -> bool {
        let own = self.held.get(&newcomer.client).copied().unwrap_or_default();
        let most = self.held.iter().max_by_key(|(_, load)| measure(**load));
        let Some((&holder, &held)) = most else {
            return false;
        };
        let held = measure(held);
        let is_fairer = held > measure(own) + measure(newcomer.load());
        if holder == newcomer.client || !is_fairer || held < beyond {
            return false;
        }
        let target = held - beyond;
        while self.held.get(&holder).is_some_and(|l| measure(*l) > target) {
            let Some(request) = self.newest_of(holder) else {
                break;
            };
            gone.push(request);
        }
        true
    }

    /// Takes out what would run last of a client's requests.
    fn newest_of(&mut self, client: Option<IpAddr>) -> Option<Pending> {
        let mut levels = self.levels.iter_mut().rev();
        let (level, request) = levels.find_map(|(level, queue)| {
            let at = queue.iter().rposition(|r| r.client == client)?;
            Some((*level, queue.remove(at)?))
        })?;
        if self.levels.get(&level).is_some_and(VecDeque::is_empty) {
            self.levels.remove(&level);
        }
        self.left(&request);
        Some(request)
    }

    /// Counts a request as no longer here.
    fn left(&mut self, request: &Pending) {
        let load = request.load();
        self.load -= load;
        if let Some(held) = self.held.get_mut(&request.client) {
            *held -= load;
            if held.rows == 0 && held.bytes == 0 {
                self.held.remove(&request.client);
            }
        }
    }

    /// Moves out the next requests that go together, up to `max` rows; one
    /// that is larger goes alone.
    pub(super) fn take(&mut self, max: usize, batch: &mut Vec<Pending>) {
        let mut rows = 0;
        while let Some(mut level) = self.levels.first_entry() {
            let queue = level.get_mut();
            let Some(next) = queue.front() else {
                level.remove();
                continue;
            };
            let is_abandoned = next.is_abandoned();
            let fits = match batch.first() {
                _ if is_abandoned => true,
                None => true,
                Some(first) => {
                    rows + next.rows <= max && batch::compatible(&first.inputs, &next.inputs)
                }
            };
            if !fits {
                return;
            }
            let Some(next) = queue.pop_front() else {
                return;
            };
            self.left(&next);
            // Where the caller has gone: out of the way.
            if !is_abandoned {
                rows += next.rows;
                batch.push(next);
            }
        }
    }
}

/// The refusal of what finds no room.
pub(super) fn full(waiting: Load, room: Room) -> Error {
    let wait = Duration::from_secs(1);
    let Load { rows, bytes } = waiting;
    if rows >= room.rows || room.bytes == usize::MAX {
        let most = room.rows;
        let text = format!("the queue is full: {rows} rows wait and it holds {most}");
        return Error::overloaded(format!("{text}; try again later"), wait);
    }
    Error::overloaded(
        format!(
            "the queue has no room for this request: {rows} rows of {bytes} bytes wait, and it \
             holds {} rows and {} bytes; try again later",
            room.rows, room.bytes
        ),
        wait,
    )
}

/// The refusal of what waited and gave way.
pub(super) fn gave_way() -> Error {
    Error::overloaded(
        "the queue is full, and this client holds most of it: the request gave way to another's; \
         try again later, or keep fewer waiting",
        Duration::from_secs(1),
    )
}
