//! Each fault of `src/FAULTS.md`, injected, and what must happen.

#[cfg(target_arch = "x86_64")]
mod aborts;
mod clock;
mod descriptors;
mod disk;
mod files;
mod folders;
mod kill;
mod native;
mod outputs;
mod table;
mod threads;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::process::modelship;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `modelship serve` on a free port, with a log of records.
fn serve(models: &Path, more: &[&str]) -> Command {
    let models = models.to_str().unwrap();
    let fixed = [
        "serve",
        "--listen=127.0.0.1:0",
        "--log-format=json",
        "--watch-interval=20ms",
        "--models",
        models,
    ];
    modelship(&[&fixed[..], more].concat())
}

/// `command`, run by a shell after `before`. What the shell sets holds for the
/// command, too.
fn after(before: &str, command: &Command) -> Command {
    let mut shell = Command::new("bash");
    shell
        .env_clear()
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Waits until `is_so`.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A shared library made of this C source, in `folder`: every machine that
/// links Rust programs has a C compiler.
fn library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (text, built) = (folder.join("source.c"), folder.join(name));
    std::fs::write(&text, source).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&built, &text])
        .arg("-ldl")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{error}");
    built
}

/// Numbers that differ from one to the next, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn pause(&mut self, longest: Duration) {
        let micros = usize::try_from(longest.as_micros()).unwrap();
        let micros = u64::try_from(self.below(micros)).unwrap();
        std::thread::sleep(Duration::from_micros(micros));
    }
}
