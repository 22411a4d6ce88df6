//! The short run of the fuzz targets: each file of their corpora, and what is
//! near to it.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{fs, path::Path};

/// What is near to the files of a corpus, in all; at least a few for each, and
/// at most [`MOST`].
const NEAR: usize = 4_000;
const MOST: usize = 300;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let files = fs::read_dir(folder.join(name)).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 2, "the corpus of {name} is missing");
    for file in &files {
        let bytes = fs::read(file).unwrap();
        target(&bytes);
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64;
        for _ in 0..(NEAR / files.len()).clamp(3, MOST) {
            target(&near(&bytes, &mut state));
        }
    }
}

/// `bytes` with a few of them changed, taken out, put in or doubled.
fn near(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut next = |below: usize| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state % below.max(1) as u64).unwrap()
    };
    let mut bytes = bytes.to_vec();
    for _ in 0..=next(4) {
        let at = next(bytes.len());
        match next(4) {
            0 if at < bytes.len() => bytes[at] ^= 1 << next(8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, b"[]{},:\"\\0-e.\xff\x00"[next(14)]),
            _ => {
                let end = at + next(bytes.len() - at);
                let piece = bytes[at..end].to_vec();
                bytes.extend(piece);
            }
        }
    }
    bytes
}

#[test]
fn json_data() {
    replay("json_data", targets::json_data);
}

#[test]
fn infer_request() {
    replay("infer_request", targets::infer_request);
}

#[test]
fn raw_tensor() {
    replay("raw_tensor", targets::raw_tensor);
}

#[test]
fn grpc_message() {
    replay("grpc_message", targets::grpc_message);
}

#[test]
fn compressed_body() {
    replay("compressed_body", targets::compressed_body);
}

#[test]
fn http_path() {
    replay("http_path", targets::http_path);
}

#[test]
fn predict_rows() {
    replay("predict_rows", targets::predict_rows);
}

#[test]
fn manifest() {
    replay("manifest", targets::manifest);
}

#[test]
fn onnx_file() {
    replay("onnx_file", targets::onnx_file);
}

#[test]
fn golden_case() {
    replay("golden_case", targets::golden_case);
}

#[test]
fn signature_bundle() {
    replay("signature_bundle", targets::signature_bundle);
}
