//! Microsoft's builds of ONNX Runtime phone home unless the process was
//! started with a variable that forbids it, so modelship starts itself again
//! with that variable where it is missing.

use std::{env, os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;

use crate::engine::NO_TELEMETRY;

/// Returns if the variable stands; else replaces this process by itself with
/// the variable set. The process keeps its id, its arguments and its files.
/// Setting the variable here and now would not do: changing a running
/// process's environment is not sound when other threads read it, and is
/// `unsafe` for that.
pub(super) fn ensure() -> anyhow::Result<()> {
    if env::var_os(NO_TELEMETRY).is_some_and(|value| value == "1") {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(env::current_exe().context(REMEDY)?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // Gives back only what went wrong.
    let error = again.args(arguments).env(NO_TELEMETRY, "1").exec();
    Err(error).context(REMEDY)
}

const REMEDY: &str = "modelship can't start itself again with ORT_DISABLE_TELEMETRY=1, which \
                      keeps ONNX Runtime from phoning home: set it in the environment";
