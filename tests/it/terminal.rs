//! What a person at a terminal sees of work that takes its time.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::{
    checkout::Checkout,
    process::{Ended, left_out},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// A terminal of which one end is ours.
struct Terminal {
    ours: File,
    theirs: File,
}

impl Terminal {
    /// `None` where the system gives none.
    fn open() -> Option<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).ok()?;
        grantpt(&ours).ok()?;
        unlockpt(&ours).ok()?;
        let name = ptsname(&ours, Vec::new()).ok()?;
        let theirs = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().ok()?)
            .ok()?;
        // A read must not outlast its process.
        fcntl_setfl(&ours, fcntl_getfl(&ours).ok()? | OFlags::NONBLOCK).ok()?;
        Some(Self {
            ours: File::from(ours),
            theirs,
        })
    }

    /// Runs `command` with its standard error here, and gives what was
    /// written there and to standard output.
    fn run(mut self, mut command: Command) -> (String, String) {
        let mut process = command
            .env("TERM", "xterm")
            .stdout(Stdio::piped())
            .stderr(self.theirs.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut out = process.stdout.take().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let mut written = Vec::new();
        let started = Instant::now();
        loop {
            // Looked at first, so that nothing is written after the last read.
            let ended = process.try_wait().unwrap();
            self.read(&mut written);
            if let Some(status) = ended {
                assert!(status.success(), "{status}");
                break;
            }
            if started.elapsed() > PATIENCE {
                end(process);
                panic!("it does not end");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let output = output.recv_timeout(PATIENCE).unwrap();
        (String::from_utf8_lossy(&written).into_owned(), output)
    }

    /// Reads what is there.
    fn read(&mut self, into: &mut Vec<u8>) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.ours.read(&mut buffer) {
            into.extend_from_slice(&buffer[..count]);
        }
    }
}

fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

#[test]
fn a_progress_bar_is_for_terminals_and_for_what_takes_long() {
    let Some(terminal) = Terminal::open() else {
        left_out("the progress bar", "there is no pseudo-terminal");
        return;
    };
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    // Its speed is measured for two seconds, so it takes longer than one.
    let diff = ["diff", "main", "--speed", "2"];
    let (seen, review) = terminal.run(checkout.modelship(&diff));
    assert!(
        seen.contains("line v1.1.0: measuring") && seen.contains("0/1"),
        "{seen:?}"
    );
    // It is cleared in the end, and nothing of it is in the review.
    assert!(seen.ends_with("\u{1b}[2K"), "{seen:?}");
    assert!(
        review.starts_with("## ") && !review.contains("measuring"),
        "{review}"
    );
    let ended = Ended::of(checkout.modelship(&diff).output().unwrap());
    assert_eq!((ended.code, ended.err), (Some(0), vec![]));
}
