//! What each fuzz target does with bytes from anywhere. None may panic, and
//! what is read must be written and read again as the same.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::path::Path;

use bytes::Bytes;
use modelship::{
    repository::{GoldenCase, Manifest, Version, onnx, signature, stamp},
    tensor::{
        DType, Shape, Tensor,
        json::{read_data, write_data},
        read_raw, write_raw,
    },
    transport::{grpc, http},
};

/// A datatype and a shape of the first bytes, and the rest.
fn tensor(bytes: &[u8]) -> Option<(DType, Shape, &[u8])> {
    let (&[kind, rank], rest) = bytes.split_first_chunk::<2>()?;
    let dtype = DType::ALL[usize::from(kind) % DType::ALL.len()];
    let (dims, rest) = rest.split_at_checked(usize::from(rank % 5))?;
    let dims: Vec<usize> = dims.iter().map(|&d| usize::from(d % 16)).collect();
    Some((dtype, Shape::new(&dims), rest))
}

fn json(tensor: &Tensor) -> String {
    let mut out = Vec::new();
    write_data(tensor, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// The data of a tensor in JSON.
pub fn json_data(bytes: &[u8]) {
    let Some((dtype, shape, rest)) = tensor(bytes) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    if let Ok(tensor) = read_data("x", dtype, shape.clone(), text) {
        let written = json(&tensor);
        let back = read_data("x", dtype, shape, &written).expect(&written);
        assert_eq!(json(&back), written);
    }
}

/// The raw bytes of a tensor.
pub fn raw_tensor(bytes: &[u8]) {
    let Some((dtype, shape, rest)) = tensor(bytes) else {
        return;
    };
    let raw = Bytes::copy_from_slice(rest);
    if let Ok(tensor) = read_raw("x", dtype, shape, raw.clone()) {
        assert_eq!(write_raw(&tensor).expect("short"), raw);
    }
}

/// An inference request in JSON.
pub fn infer_request(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = http::check_request(text);
    }
}

/// The message of an inference call.
pub fn grpc_message(bytes: &[u8]) {
    let Some((&cut, message)) = bytes.split_first() else {
        return;
    };
    let _ = grpc::check_message(message, usize::from(cut));
}

/// A compressed body.
pub fn compressed_body(bytes: &[u8]) {
    for encoding in ["gzip", "deflate"] {
        if let Ok(body) = http::check_compressed(encoding, bytes, 1 << 16) {
            assert!(body <= 1 << 16);
        }
    }
}

/// The target of a request.
pub fn http_path(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = http::check_path(text);
    }
}

/// Rows of features in JSON, for a model of two numbers.
pub fn predict_rows(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(rows) = http::check_rows(text)
    {
        assert!(rows > 0 && rows <= bytes.len());
    }
}

/// A `model.toml`.
pub fn manifest(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Manifest::parse(Path::new("model.toml"), text);
    }
}

/// An ONNX file: its outline, what is wrong with it, and its stamp. A stamped
/// file says so, and stamping it again changes nothing.
pub fn onnx_file(bytes: &[u8]) {
    let _ = (
        onnx::outline(bytes),
        onnx::faults(bytes),
        onnx::tensor(bytes),
    );
    let version: Version = "v1.2.3".parse().expect("a version");
    if let (Ok(_), Ok(stamped)) = (stamp::read(bytes), stamp::write(bytes, &version)) {
        assert_eq!(
            stamp::read(&stamped).as_ref().ok(),
            Some(&Some(version.to_string()))
        );
        assert_eq!(stamp::write(&stamped, &version).as_ref(), Ok(&stamped));
    }
}

/// A golden case.
pub fn golden_case(bytes: &[u8]) {
    let file = Path::new("case.json");
    if let Ok(case) = GoldenCase::parse(file, bytes) {
        let written = case.to_json();
        let back = GoldenCase::parse(file, written.as_bytes()).expect(&written);
        assert_eq!(back.to_json(), written);
    }
}

/// A signature: a bundle, the statement in it, or a certificate.
pub fn signature_bundle(bytes: &[u8]) {
    signature::check_bytes(bytes);
}
