//! The model repository: folders of `model.toml`, ONNX files and golden
//! cases, as they stand in git.
//!
//! [`scan()`] finds the versions that a folder holds, reading only manifests
//! and golden cases. [`read()`] reads one version's files, once, and proves
//! them: the bytes that were hashed are the bytes that it hands out.
//! Nothing here runs a model.

mod digest;
mod files;
mod golden;
mod identity;
mod manifest;
pub mod onnx;
mod problem;
mod read;
mod scan;
mod shell;
pub mod signature;
mod version;

pub(crate) use self::problem::quoted;
pub use self::{
    digest::{Digest, InvalidDigest},
    golden::{GoldenCase, Mismatch, Tolerance, WrongValue, compare, compare_outputs},
    identity::{InvalidName, ModelId, check_name},
    manifest::{Manifest, ModelFile, TrainedRange},
    onnx::stamp,
    problem::{Problem, plain, plain_json},
    read::{VerifiedModel, read, read_trusted},
    scan::{Candidate, MANIFEST, Scan, scan, scan_folder},
    shell::shell,
    version::{InvalidVersion, Version},
};
