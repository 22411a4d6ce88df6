//! Turns: callers of different addresses take turns on an event loop, so that
//! one who asks for much delays others by a few requests, not by all.
//!
//! A round goes on until the loop waits for the network, or, where somebody
//! had to wait, until all who may have been served. In a round each client
//! reads, or begins a stream, [`SHARE`] times; more waits for the next round,
//! before which the loop looks at the network again. Where only one client
//! asks, nobody waits, and a connection pays for a look at one cell.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::scheduler::event_loop;

/// How often a client reads, or begins a stream, in a round.
const SHARE: u64 = 8;

/// How long a client is remembered as one who asks.
const REMEMBERED: Duration = Duration::from_secs(2);

thread_local! {
    /// Whether more than one client has connections on this loop.
    static SEVERAL: Cell<bool> = const { Cell::new(false) };
    static ROUND: Cell<u64> = const { Cell::new(1) };
    static TURNS: RefCell<Turns> = RefCell::new(Turns::default());
}

#[derive(Default)]
struct Turns {
    clients: HashMap<IpAddr, (Arc<Client>, usize)>,
    /// Who asked last, and when somebody else last did.
    last: Option<IpAddr>,
    other: Option<Instant>,
    /// Those who wait.
    waiting: Vec<Arc<Client>>,
    /// Whether a task ends the rounds.
    is_counting: bool,
}

/// One address, on one loop; all is written by the loop's thread alone.
#[derive(Debug)]
struct Client {
    address: IpAddr,
    round: AtomicU64,
    taken: AtomicU64,
    /// Places given and taken back, since the start.
    given: AtomicU64,
    called: AtomicU64,
    waiting: Mutex<VecDeque<Waker>>,
}

/// A connection's, or a stream's, way to a turn.
#[derive(Debug)]
pub(super) struct Gate {
    client: Arc<Client>,
    /// Its place among those who wait, from 1.
    place: u64,
}

/// Held for as long as a connection is carried.
#[derive(Debug)]
pub(super) struct Member(Arc<Client>);

/// A connection of `address` is carried by this loop from now on.
pub(super) fn join(address: IpAddr) -> Member {
    TURNS.with_borrow_mut(|turns| {
        let entry = turns.clients.entry(address).or_insert_with(|| {
            let client = Client {
                address,
                round: AtomicU64::new(0),
                taken: AtomicU64::new(0),
                given: AtomicU64::new(0),
                called: AtomicU64::new(0),
                waiting: Mutex::default(),
            };
            (Arc::new(client), 0)
        });
        entry.1 += 1;
        let member = Member(entry.0.clone());
        SEVERAL.set(turns.clients.len() > 1);
        member
    })
}

impl Drop for Member {
    fn drop(&mut self) {
        // Not where the thread is ending, and this with it.
        let _ = TURNS.try_with(|turns| {
            let Ok(mut turns) = turns.try_borrow_mut() else {
                return;
            };
            if let Some((_, count)) = turns.clients.get_mut(&self.0.address) {
                *count -= 1;
                if *count == 0 {
                    turns.clients.remove(&self.0.address);
                }
            }
            SEVERAL.set(turns.clients.len() > 1);
        });
    }
}

impl Member {
    /// A way to this client's turns.
    pub(super) fn gate(&self) -> Gate {
        Gate {
            client: self.0.clone(),
            place: 0,
        }
    }
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            place: 0,
        }
    }
}

impl Gate {
    /// Whether it is this client's turn.
    pub(super) fn is_open(&self) -> bool {
        !SEVERAL.get() || self.client.taken() < SHARE || !is_contended()
    }

    /// Whether it is this client's turn; where not, `cx` is woken when it is.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.is_open() {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    /// A turn was taken.
    pub(super) fn took(&self) {
        if SEVERAL.get() {
            let taken = self.client.taken();
            self.client.taken.store(taken + 1, Relaxed);
            self.client.asks();
        }
    }

    #[cold]
    fn wait(&mut self, cx: &Context<'_>) {
        if self.place > self.client.called.load(Relaxed) {
            return;
        }
        self.place = self.client.given.fetch_add(1, Relaxed) + 1;
        let mut waiting = lock(&self.client.waiting);
        waiting.push_back(cx.waker().clone());
        let is_first = waiting.len() == 1;
        drop(waiting);
        TURNS.with_borrow_mut(|turns| {
            if is_first {
                turns.waiting.push(self.client.clone());
            }
            if !turns.is_counting {
                turns.is_counting = true;
                tokio::spawn(count_rounds());
            }
        });
    }
}

impl Client {
    /// How many turns it has had in this round.
    fn taken(&self) -> u64 {
        let round = ROUND.get();
        if self.round.load(Relaxed) != round {
            self.round.store(round, Relaxed);
            self.taken.store(0, Relaxed);
        }
        self.taken.load(Relaxed)
    }

    /// Remembers it as one who asks.
    fn asks(&self) {
        TURNS.with_borrow_mut(|turns| {
            if turns.last != Some(self.address) {
                turns.other = turns.last.is_some().then(Instant::now);
                turns.last = Some(self.address);
            }
        });
    }

    /// Calls those who waited longest, as many as may go in a round. Whether
    /// some are left.
    fn call(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        let many = waiting.len().min(usize::try_from(SHARE).unwrap_or(1));
        let called: Vec<_> = waiting.drain(..many).collect();
        let left = !waiting.is_empty();
        drop(waiting);
        self.called.fetch_add(called.len() as u64, Relaxed);
        called.into_iter().for_each(Waker::wake);
        left
    }
}

/// Whether somebody else asked of late.
fn is_contended() -> bool {
    TURNS.with_borrow(|turns| turns.other.is_some_and(|then| then.elapsed() < REMEMBERED))
}

/// The loop is about to wait: who is ready has been served.
pub(super) fn next_round() {
    ROUND.set(ROUND.get() + 1);
}

/// Ends rounds for as long as somebody waits.
async fn count_rounds() {
    loop {
        // Until all that is ready has been polled, and the network looked at.
        tokio::task::yield_now().await;
        event_loop::round();
        next_round();
        let waiting = TURNS.with_borrow_mut(|turns| std::mem::take(&mut turns.waiting));
        let left: Vec<_> = waiting.into_iter().filter(|client| client.call()).collect();
        let is_over = TURNS.with_borrow_mut(|turns| {
            turns.waiting.extend(left);
            turns.is_counting = !turns.waiting.is_empty();
            !turns.is_counting
        });
        if is_over {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
