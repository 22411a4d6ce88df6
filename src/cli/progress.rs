//! A progress bar for what takes longer than a second, on terminals only.

use std::{
    borrow::Cow,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on standard error. Nothing is drawn before a second has
/// passed, nor where nobody looks.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Dropped when the work is done, which the waiting thread notices.
    _done: Sender<()>,
}

impl Progress {
    /// A bar that starts without a length.
    pub(super) fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {pos}/{len} [{elapsed}]");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        let (done, waiting) = channel::<()>();
        let late = bar.clone();
        // Detached: it ends with the work, or after a second.
        std::thread::spawn(move || {
            let waited = waiting.recv_timeout(Duration::from_secs(1));
            if waited == Err(RecvTimeoutError::Timeout) && !late.is_finished() {
                late.set_draw_target(ProgressDrawTarget::stderr());
                late.enable_steady_tick(Duration::from_millis(120));
            }
        });
        Self { bar, _done: done }
    }

    /// Says that step `n` of `of` has begun, and what it is.
    pub(super) fn step(&self, n: usize, of: usize, what: impl Into<Cow<'static, str>>) {
        self.bar.set_length(of as u64);
        self.bar.set_position(n as u64);
        self.bar.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
