//! Away from the event loops: long work of requests, and the end of what is no
//! longer served.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use super::{background::Background, event_loop};

/// Does `work` on a thread where nobody waits for it, or here where no thread
/// can be had. `None` where it panicked.
pub async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let place = Arc::new(Mutex::new(Some(work)));
    let there = {
        let place = Arc::clone(&place);
        move || take(&place).map(|work| work())
    };
    // The runtime panics where it has no thread and the system gives none.
    match catch_unwind(AssertUnwindSafe(|| tokio::task::spawn_blocking(there))) {
        Ok(done) => done.await.ok().flatten(),
        Err(_) => take(&place).map(|work| work()),
    }
}

/// What stands in `place`: for whoever comes first.
fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Drops `what` here, or on a thread of its own where this one is an event
/// loop: to end a model's sessions takes milliseconds, in which the loop would
/// answer nobody. Where no thread can be had it is dropped here after all.
pub(super) fn let_go<T: Send + 'static>(what: T, background: Background) {
    if event_loop::index().is_none() {
        return;
    }
    let apart = std::thread::Builder::new()
        .name("retirement".to_owned())
        .spawn(move || {
            background.give_way();
            let _at_work = background.at_work();
            drop(what);
        });
    if let Err(error) = apart {
        tracing::debug!(%error, "a model ends on an event loop");
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// Tells which thread dropped it.
    struct Told(mpsc::Sender<thread::ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    /// The thread that drops what a new thread lets go, and that thread.
    fn dropped(on_loop: bool) -> (thread::ThreadId, thread::ThreadId) {
        let (sender, receiver) = mpsc::channel();
        let letting = thread::spawn(move || {
            if on_loop {
                event_loop::attach(0);
            }
            let_go(Told(sender), Background::Nice);
            thread::current().id()
        });
        let letting = letting.join().unwrap();
        (receiver.recv().unwrap(), letting)
    }

    #[test]
    fn an_event_loop_lets_go_elsewhere() {
        let (dropping, letting) = dropped(true);
        assert_ne!(dropping, letting);
    }

    #[test]
    fn any_other_thread_lets_go_itself() {
        let (dropping, letting) = dropped(false);
        assert_eq!(dropping, letting);
    }
}
