//! What the scheduler needs to know of the event loops: which one this
//! thread is, and when a turn of it is over.
//!
//! An event loop that runs models inline calls [`attach`] once, and [`idle`]
//! whenever it has nothing left to do and is about to wait. In between,
//! requests gather; when the loop is idle, they run as one batch. So a batch
//! is exactly what was ready in one turn, and nothing waits for a timer.

use std::{
    cell::RefCell,
    sync::Weak,
    time::{Duration, Instant},
};

use super::{
    lane::Lane,
    pace::Pace,
    share::{self, Share},
};

/// The longest that a gathered request waits for the turn to end, where the
/// loop is never idle because other work keeps coming.
const LONGEST_TURN: Duration = Duration::from_micros(200);

thread_local! {
    static TURN: RefCell<Turn> = const { RefCell::new(Turn { index: None, gathered: Vec::new(), since: None, share: Share::new(), pace: Pace::new() }) };
}

struct Turn {
    /// This thread's place among the event loops, once it has one.
    index: Option<usize>,
    /// Lanes with requests that wait for the turn to end.
    gathered: Vec<Weak<Lane>>,
    /// Since when the first of them waits.
    since: Option<Instant>,
    share: Share,
    pace: Pace,
}

/// Makes this thread the event loop number `index`. From now on it promises
/// to call [`idle`] before it waits.
pub fn attach(index: usize) {
    TURN.with_borrow_mut(|turn| turn.index = Some(index));
}

/// The turn is over: runs all that has gathered on this thread. Then the loop
/// waits.
pub fn idle() {
    let has_run = flush();
    leave_share();
    // Where something has run, there are answers to be written first.
    if !has_run && let Some(rest) = TURN.with_borrow_mut(|turn| turn.pace.due(Instant::now)) {
        std::thread::sleep(rest);
    }
    TURN.with_borrow_mut(|turn| {
        if share::is_wanted() {
            turn.share.wait(Instant::now());
        }
    });
}

/// The loop has waited, and goes on.
pub fn awake() {
    TURN.with_borrow_mut(|turn| {
        turn.share.waited(Instant::now);
        turn.pace.awake(Instant::now);
    });
}

/// Rests, where there is work that would otherwise get nothing.
fn leave_share() {
    let rest = TURN.with_borrow_mut(|turn| {
        if share::is_wanted() {
            turn.share.due(Instant::now())
        } else {
            turn.share.forget();
            None
        }
    });
    if let Some(rest) = rest {
        std::thread::sleep(rest);
    }
}

/// Whether there was anything to run.
fn flush() -> bool {
    // Running a batch wakes tasks but polls none, so nothing gathers meanwhile.
    let lanes = TURN.with_borrow_mut(|turn| {
        turn.since = None;
        std::mem::take(&mut turn.gathered)
    });
    let has_run = !lanes.is_empty();
    for lane in lanes {
        if let Some(lane) = lane.upgrade() {
            lane.flush();
        }
    }
    has_run
}

/// A request was refused for want of room: while that is so, the loop rests now
/// and then.
pub(super) fn refused() {
    TURN.with_borrow_mut(|turn| turn.pace.refused());
}

/// Runs what has gathered, where the loop goes on but callers have had their
/// turns.
pub fn round() {
    flush();
}

/// Called at the start of each request, whatever it is for: where the loop
/// has been busy for long, what has gathered runs now; where it has refused many
/// without a wait, it rests.
pub fn turn() {
    let (overdue, rests) = TURN.with_borrow_mut(|turn| {
        let overdue = turn.since.is_some_and(|t| t.elapsed() > LONGEST_TURN);
        (overdue, turn.pace.asked())
    });
    if rests {
        flush();
        let rest = TURN.with_borrow_mut(|turn| turn.pace.owed(Instant::now()));
        std::thread::sleep(rest);
    }
    if overdue {
        flush();
        // A loop that is never idle rests here.
        leave_share();
    }
}

/// This thread's place among the event loops; `None` on any other thread.
pub(super) fn index() -> Option<usize> {
    TURN.with_borrow(|turn| turn.index)
}

/// Has `lane` flushed at the end of this turn.
pub(super) fn gather(lane: Weak<Lane>, since: Instant) {
    TURN.with_borrow_mut(|turn| {
        turn.gathered.push(lane);
        turn.since.get_or_insert(since);
    });
}
