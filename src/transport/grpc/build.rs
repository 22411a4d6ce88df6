//! The messages and the service of `inference.proto`, as Rust.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    const FOLDER: &str = "src/transport/grpc";
    println!("cargo:rerun-if-changed={FOLDER}/inference.proto");
    let descriptors = protox::compile(["inference.proto"], [FOLDER])?;
    // What reflection answers from.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("inference.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        // Inference is answered beside it.
        .generate_default_stubs(true)
        // Raw tensors share the message's buffer.
        .bytes(".inference")
        .compile_fds(descriptors)?;
    Ok(())
}
