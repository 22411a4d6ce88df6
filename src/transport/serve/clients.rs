//! How many connections there may be, and whose: where there are too many,
//! the client with most makes room for those with fewer, and health is
//! answered all the same.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{self, Relaxed},
        },
    },
};

use tokio::{net::TcpStream, sync::Notify};

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Connections that may ask for anything.
    pub connections: usize,
    /// Connections beyond these, which are soon closed: health is answered on
    /// them, and the rest refused with a sentence.
    pub reserve: usize,
}

/// Every connection, by the client's address.
pub(super) struct Clients {
    capacity: Capacity,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Connections that are not in the reserve, those about to close included.
    open: usize,
    reserve: usize,
    clients: HashMap<IpAddr, Vec<Arc<Seat>>>,
}

/// What is known of one connection. But for the registry it is written by the
/// thread that carries it.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Whether bytes went either way since the last look.
    pub(super) moved: AtomicBool,
    /// Looks since bytes went last.
    pub(super) still: AtomicU32,
    /// Whether the caller does not take what is written, and whether it took
    /// anything since the last look.
    pub(super) blocked: AtomicBool,
    pub(super) wrote: AtomicBool,
    /// Whether a head has begun to arrive, and which.
    pub(super) in_head: AtomicBool,
    pub(super) head: AtomicU64,
    /// Whether a request is being answered.
    pub(super) busy: AtomicBool,
    /// Whether it is of the reserve.
    pub(super) reserve: bool,
    is_leaving: AtomicBool,
    /// Told to close when what it has is answered.
    pub(super) leave: Notify,
    /// Whether an answer was given over a body that was not read.
    pub(super) unread: AtomicBool,
    /// The connection itself, once nothing more is read or written as HTTP.
    left: Mutex<Option<TcpStream>>,
}

/// A seat that is given back when this drops.
pub(super) struct Taken {
    clients: Arc<Clients>,
    pub(super) address: IpAddr,
    pub(super) seat: Arc<Seat>,
}

impl Clients {
    pub(super) fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            inner: Mutex::default(),
        })
    }

    /// A seat for a connection from `address`; `None` where there is not even
    /// one of the reserve.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Taken> {
        let address = client(address);
        let mut inner = self.lock();
        let fits = inner.open < self.capacity.connections
            || (inner.open < self.capacity.connections + self.capacity.reserve / 2
                && inner.make_room(address));
        if !fits && inner.reserve >= self.capacity.reserve / 2 {
            return None;
        }
        let seat = Arc::new(Seat {
            reserve: !fits,
            ..Seat::default()
        });
        if fits {
            inner.open += 1;
            let seats = inner.clients.entry(address).or_default();
            seats.push(Arc::clone(&seat));
        } else {
            inner.reserve += 1;
        }
        drop(inner);
        Some(Taken {
            clients: Arc::clone(self),
            address,
            seat,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Has one connection close for a new one of `address`, where that is
    /// fair: of the client with most, or of its own, where one is idle.
    fn make_room(&mut self, address: IpAddr) -> bool {
        let staying = |seats: &Vec<Arc<Seat>>| seats.iter().filter(|s| s.stays()).count();
        let own = self.clients.get(&address).map_or(0, staying);
        let most = self.clients.iter().max_by_key(|(_, seats)| staying(seats));
        let Some((&holder, seats)) = most else {
            return false;
        };
        let count = staying(seats);
        if holder != address && own + 1 < count {
            return leave(seats, |_| true);
        }
        // Nobody has many more: who comes may only take the place of one that
        // nobody uses, its own first.
        let idle = |seat: &Seat| !seat.busy.load(Relaxed) && seat.still.load(Relaxed) > 0;
        let of_its_own = self.clients.get(&address);
        of_its_own.is_some_and(|seats| leave(seats, idle)) || leave(seats, idle)
    }
}

/// Tells the one among `seats` that has been still for longest to leave, of
/// those that `may`.
fn leave(seats: &[Arc<Seat>], may: impl Fn(&Seat) -> bool) -> bool {
    let rank = |seat: &&Arc<Seat>| (!seat.busy.load(Relaxed), seat.still.load(Relaxed));
    let stay = seats.iter().rev().filter(|s| s.stays() && may(s));
    match stay.max_by_key(rank) {
        Some(seat) => {
            seat.is_leaving.store(true, Ordering::Release);
            seat.leave.notify_one();
            true
        }
        None => false,
    }
}

impl Seat {
    /// Where the connection is left.
    pub(super) fn left(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stays(&self) -> bool {
        !self.is_leaving.load(Ordering::Acquire)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut inner = self.clients.lock();
        if self.seat.reserve {
            inner.reserve -= 1;
            return;
        }
        inner.open -= 1;
        if let Some(seats) = inner.clients.get_mut(&self.address) {
            seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
            if seats.is_empty() {
                inner.clients.remove(&self.address);
            }
        }
    }
}

/// Whose address it is: a network of IPv6 is commonly one client's.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn clients() -> Arc<Clients> {
        Clients::new(Capacity {
            connections: 4,
            reserve: 4,
        })
    }

    #[test]
    fn the_client_with_most_makes_room_for_another() {
        let clients = clients();
        let mut greedy: Vec<_> = (0..4).filter_map(|_| clients.admit(address(1))).collect();
        assert!(greedy.iter().all(|t| !t.seat.reserve));
        greedy[2].seat.still.store(3, Relaxed);
        greedy[2].seat.busy.store(true, Relaxed);
        greedy[1].seat.still.store(1, Relaxed);

        let polite = clients.admit(address(2)).unwrap();
        assert!(!polite.seat.reserve);
        // The idle one that was still for longest.
        assert!(!greedy[1].seat.stays());
        drop(greedy.remove(1));
        // One more of the greedy one's would only take turns with itself.
        let more = clients.admit(address(1)).unwrap();
        assert!(more.seat.reserve);
        // Two and two: nobody has more to give.
        let second = clients.admit(address(2)).unwrap();
        assert!(!second.seat.reserve);
        let third = clients.admit(address(2)).unwrap();
        assert!(third.seat.reserve);
        // And the reserve ends, too.
        assert!(clients.admit(address(3)).is_none_or(|t| !t.seat.reserve));
        drop((more, third));
        drop((greedy, polite, second));
        let inner = clients.lock();
        assert_eq!((inner.open, inner.reserve, inner.clients.len()), (0, 0, 0));
    }

    #[test]
    fn one_address_for_all_replaces_what_nobody_uses() {
        let clients = clients();
        let seats: Vec<_> = (0..4).filter_map(|_| clients.admit(address(1))).collect();
        assert!(clients.admit(address(1)).unwrap().seat.reserve);
        seats[3].seat.still.store(1, Relaxed);
        assert!(!clients.admit(address(1)).unwrap().seat.reserve);
        assert!(!seats[3].seat.stays());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| client(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:127.0.0.1"), address(1));
    }
}
