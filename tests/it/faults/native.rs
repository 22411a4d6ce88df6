//! The native library: too old, or cut short.

use std::{fs, os::unix::process::ExitStatusExt as _};

use modelship::engine::find_library;

use super::{library, serve};
use crate::process::{Serving, models};

/// An older ONNX Runtime, as far as a program that loads it can tell: it has no
/// interface as new as the one asked for.
const OLD: &str = r#"
typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;
static const void *api(unsigned version) { (void)version; return 0; }
static const char *version(void) { return "1.10.0"; }
static const Base base = { api, version };
const Base *OrtGetApiBase(void) { return &base; }
"#;

#[test]
fn a_library_of_an_older_version_is_told_from_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let old = library(folder.path(), "libonnxruntime.so", OLD);
    let mut command = serve(&models(), &[]);
    command.env("ORT_DYLIB_PATH", &old);
    let (status, log) = Serving::try_start(command).err().unwrap();
    assert_eq!(status.code(), Some(1), "{log:#?}");
    let told = log.last().unwrap();
    for word in ["can't be used as ONNX Runtime", "1.10.0", "scripts/setup"] {
        assert!(told.contains(word), "\"{word}\" is not in {told}");
    }
}

#[test]
fn a_library_that_is_cut_short_never_gets_ready() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(find_library().unwrap()).unwrap();
    let cut = folder.path().join("libonnxruntime.so");
    for length in [0, 1000, whole.len() / 2, whole.len() - 4096] {
        fs::write(&cut, &whole[..length]).unwrap();
        let mut command = serve(&models(), &[]);
        command.env("ORT_DYLIB_PATH", &cut);
        // Told, or ended by the system, since what is mapped is not there. What
        // lies at its very end may not be needed at all.
        if let Err((status, log)) = Serving::try_start(command) {
            let by_itself = status.code() == Some(1);
            assert!(by_itself || status.signal().is_some(), "{status} {log:#?}");
        } else {
            assert!(length > whole.len() / 2, "{length} bytes are enough");
        }
    }
}
