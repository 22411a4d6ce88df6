//! How long a caller is waited for: one look now and then at what a
//! connection has come to costs less than a clock for each request.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{clients::Seat, streams::NOTHING_TAKEN};
use crate::transport::limits::Connection;

/// The longest between two looks, and the shortest.
pub(super) const LOOK: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(10);

/// How many looks may find the same, and the time between two. What is waited
/// for gets its time whole, and up to one look more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patience {
    look: Duration,
    /// The same head on its way.
    head: u32,
    /// Nothing taken of what is written.
    blocked: u32,
    /// A kept connection over HTTP/1 idle. Over HTTP/2 the peer is asked
    /// whether it is there.
    idle: u32,
}

impl Patience {
    fn new(limits: &Connection) -> Self {
        let shortest = limits.head_timeout.min(limits.idle_timeout);
        let look = (shortest / 3).clamp(SHORTEST, LOOK);
        let looks = |time: Duration| {
            let looks = time.as_nanos().div_ceil(look.as_nanos());
            u32::try_from(looks).unwrap_or(u32::MAX)
        };
        // What began just before a look has been seen once, and not waited for.
        let after_the_first = |time| looks(time).saturating_add(1);
        Self {
            look,
            head: after_the_first(limits.head_timeout),
            blocked: after_the_first(NOTHING_TAKEN),
            idle: looks(limits.idle_timeout),
        }
    }
}

/// Waits until the connection on `seat` has tried patience too long; says how.
pub(super) async fn lost(seat: &Seat, is_http2: bool, limits: &Connection) -> &'static str {
    let patience = Patience::new(limits);
    let (mut head, mut looks, mut blocked) = (0, 0, 0);
    loop {
        tokio::time::sleep(patience.look).await;
        if seat.moved.swap(false, Relaxed) {
            seat.still.store(0, Relaxed);
        } else {
            seat.still.fetch_add(1, Relaxed);
        }
        let took = seat.wrote.swap(false, Relaxed) || !seat.blocked.load(Relaxed);
        blocked = if took { 0 } else { blocked + 1 };
        if blocked >= patience.blocked {
            return "nothing was taken of what is written";
        }
        let now = seat.head.load(Relaxed);
        let (is_busy, in_head) = (seat.busy.load(Relaxed), seat.in_head.load(Relaxed));
        if !is_http2 && !is_busy && !in_head && seat.still.load(Relaxed) >= patience.idle {
            seat.leave.notify_one();
        }
        let is_same = !is_http2 && in_head && (looks == 0 || now == head);
        looks = if is_same { looks + 1 } else { 0 };
        head = now;
        if looks >= patience.head {
            return "a request's head did not come whole";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_as_many_as_the_times_need() {
        let usual = Patience::new(&Connection::default());
        let of = |look, head, blocked, idle| Patience {
            look,
            head,
            blocked,
            idle,
        };
        assert_eq!(usual, of(LOOK, 4, 13, 15));
        let short = Connection {
            head_timeout: Duration::from_millis(300),
            idle_timeout: Duration::from_secs(2),
            ..Connection::default()
        };
        let found = Patience::new(&short);
        assert_eq!(found, of(Duration::from_millis(100), 4, 601, 20));
        let none = Connection {
            head_timeout: Duration::from_nanos(1),
            idle_timeout: Duration::MAX,
            ..Connection::default()
        };
        assert_eq!(Patience::new(&none), of(SHORTEST, 2, 6001, u32::MAX));
    }
}
