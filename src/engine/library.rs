//! Where ONNX Runtime's shared library is found.

use std::path::PathBuf;

use super::EngineError;

#[cfg(target_os = "macos")]
const FILE: &str = "libonnxruntime.dylib";
#[cfg(not(target_os = "macos"))]
const FILE: &str = "libonnxruntime.so";

/// The library's path: `ORT_DYLIB_PATH`, beside the executable, or where
/// `scripts/setup` puts it: `.tools/onnxruntime/lib` in a folder above the
/// executable or the working folder.
///
/// # Errors
/// `Start`, with the places looked at and the command to run.
pub fn find() -> Result<PathBuf, EngineError> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        return Err(EngineError::Start(format!(
            "ORT_DYLIB_PATH names {}, which is not a file: correct it, or unset it and run \
             scripts/setup",
            path.display()
        )));
    }
    let mut places = Vec::new();
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(|e| e.parent());
    places.extend(beside.map(|folder| folder.join(FILE)));
    let starts = [beside.map(PathBuf::from), std::env::current_dir().ok()];
    for start in starts.into_iter().flatten() {
        for folder in start.ancestors() {
            places.push(folder.join(".tools/onnxruntime/lib").join(FILE));
        }
    }
    places.into_iter().find(|p| p.is_file()).ok_or_else(|| {
        EngineError::Start(format!(
            "ONNX Runtime's library ({FILE}) was not found in ORT_DYLIB_PATH, beside the \
             executable, or in .tools/onnxruntime/lib: run scripts/setup"
        ))
    })
}
