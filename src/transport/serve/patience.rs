//! How long a caller is waited for: one look now and then at what a
//! connection has come to costs less than a clock for each request.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{clients::Seat, streams::NOTHING_TAKEN};

/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How many looks may find the same head on its way: it takes 15 seconds at
/// most, or somewhat more.
const HEAD: u32 = 3;

/// How many looks may find that nothing was taken of what is written.
const BLOCKED: u64 = NOTHING_TAKEN.as_secs() / LOOK.as_secs();

/// How many looks may find a kept connection over HTTP/1 idle: for longer than
/// the 60 seconds for which load balancers commonly keep one, since where this
/// side closes first, a request that is on its way is lost. Over HTTP/2 the
/// peer is asked whether it is there.
pub(super) const IDLE: u32 = 15;

/// Waits until the connection on `seat` has tried patience too long; says how.
pub(super) async fn lost(seat: &Seat, is_http2: bool) -> &'static str {
    let (mut head, mut looks, mut blocked) = (0, 0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        if seat.moved.swap(false, Relaxed) {
            seat.still.store(0, Relaxed);
        } else {
            seat.still.fetch_add(1, Relaxed);
        }
        let took = seat.wrote.swap(false, Relaxed) || !seat.blocked.load(Relaxed);
        blocked = if took { 0 } else { blocked + 1 };
        if blocked >= BLOCKED {
            return "nothing was taken of what is written";
        }
        let now = seat.head.load(Relaxed);
        let (is_busy, in_head) = (seat.busy.load(Relaxed), seat.in_head.load(Relaxed));
        if !is_http2 && !is_busy && !in_head && seat.still.load(Relaxed) >= IDLE {
            seat.leave.notify_one();
        }
        let is_same = !is_http2 && in_head && (looks == 0 || now == head);
        looks = if is_same { looks + 1 } else { 0 };
        head = now;
        if looks >= HEAD {
            return "a request's head did not come whole";
        }
    }
}
