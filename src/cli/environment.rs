//! Variables that must stand before the process starts; where one is missing,
//! modelship starts itself again with it.
//!
//! Microsoft's builds of ONNX Runtime phone home unless one forbids it. And
//! where memory is measured, the allocator must give back what is freed, or
//! what one model leaves is taken by the next and told of neither.

use std::{env, ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;

use crate::engine::NO_TELEMETRY;

/// The commands that tell how much memory a load takes.
const MEASURING: [&str; 2] = ["check", "diff"];

/// What the C library is tuned by.
/// <https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html>
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Blocks of four megabytes or more are the system's, each by itself. Set, it
/// stays so: else the first large block that is freed raises the threshold.
const GIVE_BACK: &str = "glibc.malloc.mmap_threshold=4194304";

/// Returns if the variables stand; else replaces this process by itself with
/// them set. The process keeps its id, its arguments and its files. Setting
/// them here and now would not do: they are read as libraries are loaded, and
/// changing a running process's environment is not sound when other threads
/// read it, and is `unsafe` for that.
pub(super) fn ensure() -> anyhow::Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(env::current_exe().context(REMEDY)?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Gives back only what went wrong.
    let error = again.args(arguments).envs(missing).exec();
    Err(error).context(REMEDY)
}

fn missing() -> Vec<(&'static str, OsString)> {
    let mut missing = Vec::new();
    if env::var_os(NO_TELEMETRY).is_none_or(|value| value != "1") {
        missing.push((NO_TELEMETRY, "1".into()));
    }
    let measures = env::args_os()
        .nth(1)
        .is_some_and(|command| MEASURING.iter().any(|own| command == *own));
    // What a person has set is left alone.
    if measures && env::var_os(TUNABLES).is_none() {
        missing.push((TUNABLES, GIVE_BACK.into()));
    }
    missing
}

const REMEDY: &str = "modelship can't start itself again with ORT_DISABLE_TELEMETRY=1, which \
                      keeps ONNX Runtime from phoning home: set it in the environment";
