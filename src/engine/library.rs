//! Where ONNX Runtime's shared library is found.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

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

/// The version of the library at `path`, as the name of its symbols' version
/// says it on Linux: `VERS_1.32.0`. The library's own call for it is out of
/// reach of safe code, and its build information leaves it out.
pub(super) fn version(path: &Path) -> Option<String> {
    const MARK: &[u8] = b"VERS_";
    // The names stand near the head of the file.
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(1 << 20)
        .read_to_end(&mut head)
        .ok()?;
    let names = head.split(|&byte| byte == 0);
    let name = names.filter_map(|name| name.strip_prefix(MARK)).next()?;
    let plain = name.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    String::from_utf8(name.to_vec()).ok().filter(|_| plain)
}
