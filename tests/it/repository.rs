//! Model repositories for tests.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use modelship::repository::{Digest, stamp};

/// A repository in a folder of its own, which goes with it.
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Models of the fake engine: name, version and scale.
    pub fn fake(models: &[(&str, &str, f32)]) -> Self {
        let repository = Self::empty();
        for (name, version, scale) in models {
            repository.put_fake(name, version, *scale);
        }
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn model(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Adds a model of the fake engine, or replaces it.
    pub fn put_fake(&self, name: &str, version: &str, scale: f32) {
        let folder = self.model(name);
        fs::create_dir_all(&folder).unwrap();
        let graph = fake_graph(version, scale);
        fs::write(folder.join("model.onnx"), &graph).unwrap();
        write_manifest(&folder, name, version, &graph, "");
    }
}

/// A stamped ONNX file of which the fake engine reads the producer.
pub fn fake_graph(version: &str, scale: f32) -> Vec<u8> {
    const PRODUCER_NAME: u8 = 0x12;
    let producer = format!("fake {scale};");
    // IR version 10.
    let mut file = vec![
        0x08,
        10,
        PRODUCER_NAME,
        u8::try_from(producer.len()).unwrap(),
    ];
    file.extend_from_slice(producer.as_bytes());
    // A graph of no nodes, called g.
    file.extend_from_slice(&[0x3a, 3, 0x12, 1, b'g']);
    stamp::write(&file, &version.parse().unwrap()).unwrap()
}

/// Writes a manifest for one file.
pub fn write_manifest(folder: &Path, name: &str, version: &str, graph: &[u8], more: &str) {
    let mut text = String::new();
    writeln!(text, "name = \"{name}\"").unwrap();
    writeln!(text, "version = \"{version}\"").unwrap();
    writeln!(text, "description = \"a model for tests\"").unwrap();
    writeln!(text, "[[files]]\npath = \"model.onnx\"").unwrap();
    writeln!(text, "sha256 = \"{}\"", Digest::of(graph)).unwrap();
    text.push_str(more);
    fs::write(folder.join("model.toml"), text).unwrap();
}
