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

/// An ONNX file of `y = scale * x`, FP32 of shape `[N,1]`, for ONNX Runtime.
pub fn onnx_graph(version: &str, scale: f32) -> Vec<u8> {
    onnx_graph_with(version, &bytes(9, &scale.to_le_bytes()))
}

/// The same, with the scale in the file `location`.
pub fn onnx_graph_with_external(version: &str, location: &str) -> Vec<u8> {
    let entry = [bytes(1, b"location"), bytes(2, location.as_bytes())].concat();
    const EXTERNAL: u8 = 1;
    onnx_graph_with(version, &[bytes(13, &entry), number(14, EXTERNAL)].concat())
}

/// `values` are the fields of the scale's `TensorProto` that hold its value.
fn onnx_graph_with(version: &str, values: &[u8]) -> Vec<u8> {
    let name = |field, text: &str| bytes(field, text.as_bytes());
    let dims = [bytes(1, &name(2, "N")), bytes(1, &number(1, 1))].concat();
    let tensor_type = [number(1, 1), bytes(2, &dims)].concat();
    let value = |text| [name(1, text), bytes(2, &bytes(1, &tensor_type))].concat();
    let scale = [&number(2, 1)[..], &name(8, "scale"), values].concat();
    let node = [name(1, "x"), name(1, "scale"), name(2, "y"), name(4, "Mul")].concat();
    let graph = [
        bytes(1, &node),
        name(2, "double"),
        bytes(5, &scale),
        bytes(11, &value("x")),
        bytes(12, &value("y")),
    ]
    .concat();
    let opset = [name(1, ""), number(2, 17)].concat();
    let file = [number(1, 8), bytes(7, &graph), bytes(8, &opset)].concat();
    stamp::write(&file, &version.parse().unwrap()).unwrap()
}

/// A protobuf field of bytes, shorter than 256.
fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let mut out = vec![field << 3 | 2];
    // Two bytes are enough for what is written here.
    if length < 128 {
        out.push(length);
    } else {
        out.extend([length | 128, length >> 7]);
    }
    out.extend_from_slice(content);
    out
}

/// A protobuf field of a small number.
fn number(field: u8, value: u8) -> Vec<u8> {
    assert!(value < 128);
    vec![field << 3, value]
}

impl Repository {
    /// Adds `y = scale * x` for ONNX Runtime, or replaces it, in place: for a
    /// moment the folder is half of each.
    pub fn put(&self, name: &str, version: &str, scale: f32, more: &str) {
        let folder = self.model(name);
        fs::create_dir_all(&folder).unwrap();
        let graph = onnx_graph(version, scale);
        fs::write(folder.join("model.onnx"), &graph).unwrap();
        write_manifest(&folder, name, version, &graph, more);
    }

    /// Gives `name` a golden case: `x` must give `y`.
    pub fn put_case(&self, name: &str, x: f32, y: f32) {
        let cases = self.model(name).join("cases");
        fs::create_dir_all(&cases).unwrap();
        let tensor = |name: &str, value: f32| serde_json::json!([{"name": name, "shape": [1, 1], "datatype": "FP32", "data": [value]}]);
        let case = serde_json::json!({"inputs": tensor("x", x), "outputs": tensor("y", y)});
        fs::write(cases.join("one.json"), case.to_string()).unwrap();
    }
}

impl Repository {
    /// Adds a model of this graph, which need not be stamped.
    pub fn put_graph(&self, name: &str, graph: &[u8]) {
        let folder = self.model(name);
        fs::create_dir_all(&folder).unwrap();
        let graph = stamp::write(graph, &"v1.0.0".parse().unwrap()).unwrap();
        fs::write(folder.join("model.onnx"), &graph).unwrap();
        write_manifest(&folder, name, "v1.0.0", &graph, "");
    }
}

impl Repository {
    /// Adds a version in a folder of its own, for several side by side.
    pub fn put_version(&self, name: &str, version: &str, scale: f32) {
        let folder = self.model(name).join(version);
        fs::create_dir_all(&folder).unwrap();
        let graph = onnx_graph(version, scale);
        fs::write(folder.join("model.onnx"), &graph).unwrap();
        write_manifest(&folder, name, version, &graph, "");
    }
}
