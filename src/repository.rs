//! The model repository: folders of `model.toml`, ONNX files and golden
//! cases, as they stand in git.
