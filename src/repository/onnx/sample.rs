//! Small ONNX files for tests, written by hand.

use super::wire::{put_bytes, put_varint};

fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in parts {
        put_bytes(&mut out, *number, bytes);
    }
    out
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

fn opset(version: u64) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 2, version);
    out
}

/// A `TensorProto` of one FP32 element.
pub(crate) fn scalar(name: &str, value: f32) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, 1);
    number(&mut out, 2, 1);
    put_bytes(&mut out, 8, name.as_bytes());
    put_bytes(&mut out, 9, &value.to_le_bytes());
    out
}

/// A `TensorProto` of one FP32 element that lies in the file `location`.
pub(crate) fn external(name: &str, location: &str) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, 1);
    number(&mut out, 2, 1);
    put_bytes(&mut out, 8, name.as_bytes());
    put_bytes(
        &mut out,
        13,
        &message(&[(1, b"location"), (2, location.as_bytes())]),
    );
    number(&mut out, 14, 1);
    out
}

pub(crate) fn node(op: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for input in inputs {
        put_bytes(&mut out, 1, input.as_bytes());
    }
    put_bytes(&mut out, 2, output.as_bytes());
    put_bytes(&mut out, 4, op.as_bytes());
    for attribute in attributes {
        put_bytes(&mut out, 5, attribute);
    }
    out
}

/// An attribute that holds a tensor (field 5), a graph (6), or a list of
/// them (10, 11).
pub(crate) fn attribute(name: &str, field: u64, content: &[u8]) -> Vec<u8> {
    message(&[(1, name.as_bytes()), (field, content)])
}

/// A value of FP32; its rows vary where it has a shape.
fn value(name: &str, shape: Option<&[u64]>) -> Vec<u8> {
    let mut tensor = Vec::new();
    number(&mut tensor, 1, 1);
    if let Some(fixed) = shape {
        let mut dims = Vec::new();
        if !fixed.is_empty() {
            put_bytes(&mut dims, 1, &message(&[(2, b"N")]));
        }
        for &dim in fixed {
            let mut own = Vec::new();
            number(&mut own, 1, dim);
            put_bytes(&mut dims, 1, &own);
        }
        put_bytes(&mut tensor, 2, &dims);
    }
    message(&[(1, name.as_bytes()), (2, &message(&[(1, &tensor)]))])
}

pub(crate) fn graph(nodes: &[Vec<u8>], initializers: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        put_bytes(&mut out, 1, node);
    }
    put_bytes(&mut out, 2, b"graph");
    for initializer in initializers {
        put_bytes(&mut out, 5, initializer);
    }
    put_bytes(&mut out, 11, &value("x", Some(&[1])));
    put_bytes(&mut out, 12, &value("y", Some(&[1])));
    out
}

pub(crate) fn model(graph: &[u8], more: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 1, 8);
    put_bytes(&mut out, 2, b"sample");
    put_bytes(&mut out, 7, graph);
    put_bytes(&mut out, 8, &opset(17));
    for (number, bytes) in more {
        put_bytes(&mut out, *number, bytes);
    }
    out
}

/// `y = scale * x + offset` for x of [N,1].
pub(crate) fn linear(scale: f32, offset: f32) -> Vec<u8> {
    linear_with(&[scalar("scale", scale), scalar("offset", offset)])
}

/// The same with these tensors as `scale` and `offset`.
pub(crate) fn linear_with(initializers: &[Vec<u8>]) -> Vec<u8> {
    let nodes = [
        node("Mul", &["x", "scale"], "scaled", &[]),
        node("Add", &["scaled", "offset"], "y", &[]),
    ];
    model(&graph(&nodes, initializers), &[])
}

/// A graph whose input has no shape, and one that is a scalar.
pub(crate) fn unranked_and_scalar() -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &node("Add", &["any", "scalar"], "y", &[]));
    put_bytes(&mut out, 11, &value("any", None));
    put_bytes(&mut out, 11, &value("scalar", Some(&[])));
    put_bytes(&mut out, 12, &value("y", None));
    model(&out, &[])
}
