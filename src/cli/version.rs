//! `modelship --version`.

use std::env;

use crate::{
    config::PREFIX,
    engine::{self, Engine as _, OnnxRuntime},
};

/// What `--version` prints. ONNX Runtime is loaded to be asked; where it can't
/// be, the reason stands in its place.
pub(super) fn text() -> String {
    let runtime = engine::find_library().and_then(|path| {
        let version = OnnxRuntime::start(&path)?.version();
        Ok(format!("{version} ({})", path.display()))
    });
    let runtime = runtime.unwrap_or_else(|error| error.to_string());
    // Not built in: a commit that changes only a model must give the same
    // binary, so that the image's layer with it stays the same.
    let variable = format!("{PREFIX}COMMIT");
    let commit = match env::var(&variable) {
        Ok(commit) if !commit.is_empty() => commit,
        _ => format!("unknown ({variable} is not set)"),
    };
    format!(
        "modelship {}\ncommit {commit}\n{runtime}\n",
        env!("CARGO_PKG_VERSION")
    )
}
