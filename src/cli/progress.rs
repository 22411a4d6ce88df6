//! A progress bar for what takes longer than a second, on terminals only.

use std::{
    borrow::Cow,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is over sooner needs no bar.
const LONG: Duration = Duration::from_secs(1);

/// A progress bar on standard error. Nothing is drawn before a second has
/// passed, nor where nobody looks.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Dropped when the work is done, which the waiting thread notices.
    done: Option<Sender<()>>,
    waiting: Option<JoinHandle<()>>,
}

impl Progress {
    /// A bar that starts without a length.
    pub(super) fn start() -> Self {
        Self::after(LONG, ProgressDrawTarget::stderr)
    }

    /// A bar that is drawn on `target` once `wait` has passed.
    fn after(wait: Duration, target: impl FnOnce() -> ProgressDrawTarget + Send + 'static) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {pos}/{len} [{elapsed}]");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        let (done, waiting) = channel::<()>();
        let late = bar.clone();
        let waiting = std::thread::spawn(move || {
            if waiting.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                late.set_draw_target(target());
                late.enable_steady_tick(Duration::from_millis(120));
            }
        });
        Self {
            bar,
            done: Some(done),
            waiting: Some(waiting),
        }
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
        // Before the bar is cleared, so that it is not drawn after that.
        drop(self.done.take());
        if let Some(waiting) = self.waiting.take() {
            // It has nothing in it that panics.
            let _ = waiting.join();
        }
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Instant,
    };

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what is written.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }

        fn start(&self, wait: Duration) -> Progress {
            let own = self.clone();
            Progress::after(wait, || ProgressDrawTarget::term_like(Box::new(own)))
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_over_soon_draws_nothing() {
        let paper = Paper::default();
        let progress = paper.start(Duration::from_secs(3600));
        progress.step(1, 3, "loading");
        drop(progress);
        assert_eq!(paper.text(), "");
    }

    #[test]
    fn what_takes_long_is_drawn_with_its_step() {
        let paper = Paper::default();
        let progress = paper.start(Duration::ZERO);
        progress.step(1, 3, "loading");
        let started = Instant::now();
        while !(paper.text().contains("loading") && paper.text().contains("1/3")) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{:?}",
                paper.text()
            );
            std::thread::yield_now();
        }
    }
}
