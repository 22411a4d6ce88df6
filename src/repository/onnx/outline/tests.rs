//! Outlines of small files, and of damaged ones.

use super::*;
use crate::repository::onnx::sample;
use proptest::prelude::*;

#[test]
fn the_outline_of_a_small_model() {
    let own = outline(&sample::linear(2.0, 6.0)).unwrap();
    assert_eq!(own.ir_version, 8);
    assert_eq!(own.producer, "sample");
    assert_eq!(own.opsets, BTreeMap::from([("ai.onnx".to_owned(), 17)]));
    let operators = [("Add".to_owned(), 1), ("Mul".to_owned(), 1)];
    assert_eq!(own.operators, BTreeMap::from(operators));
    assert_eq!(own.initializers().collect::<Vec<_>>(), ["scale", "offset"]);
    assert_eq!(own.parameters(), 2);
    let x = &own.inputs[0];
    assert_eq!((&*x.name, x.kind, x.element), ("x", ValueType::Tensor, 1));
    assert_eq!(
        x.dims,
        Some(vec![Dim::Symbol("N".to_owned()), Dim::Fixed(1)])
    );
    assert_eq!(own.stamp, None);
}

#[test]
fn no_shape_is_told_from_a_scalar() {
    let own = outline(&sample::unranked_and_scalar()).unwrap();
    assert_eq!(own.inputs[0].dims, None);
    assert_eq!(own.inputs[1].dims, Some(vec![]));
}

#[test]
fn external_tensors_are_found_wherever_they_hide() {
    let external = |n: &str| sample::external("w", &format!("{n}.bin"));
    let sparse = |n: &str| {
        let mut out = Vec::new();
        crate::repository::onnx::wire::put_bytes(&mut out, 1, &external(n));
        crate::repository::onnx::wire::put_bytes(&mut out, 2, &external(&format!("{n}-index")));
        out
    };
    let mut inner = sample::graph(&[], &[external("inner")]);
    crate::repository::onnx::wire::put_bytes(&mut inner, 15, &sparse("sparse"));
    let nodes = [
        sample::node(
            "Constant",
            &[],
            "c",
            &[sample::attribute("value", 5, &external("constant"))],
        ),
        sample::node(
            "Op",
            &[],
            "d",
            &[sample::attribute("many", 10, &external("list"))],
        ),
        sample::node("If", &[], "e", &[sample::attribute("then", 6, &inner)]),
        sample::node(
            "Op",
            &[],
            "f",
            &[sample::attribute("sparse", 22, &sparse("attribute"))],
        ),
    ];
    let graph = sample::graph(&nodes, &[external("main")]);
    let mut function = Vec::new();
    crate::repository::onnx::wire::put_bytes(&mut function, 1, b"F");
    let hidden = sample::node(
        "Constant",
        &[],
        "c",
        &[sample::attribute("value", 5, &external("function"))],
    );
    crate::repository::onnx::wire::put_bytes(&mut function, 7, &hidden);
    let mut training = Vec::new();
    crate::repository::onnx::wire::put_bytes(
        &mut training,
        2,
        &sample::graph(&[], &[external("training")]),
    );
    let own = outline(&sample::model(&graph, &[(25, &function), (20, &training)])).unwrap();
    let found: Vec<_> = own
        .external
        .iter()
        .map(|s| s.trim_end_matches(".bin"))
        .collect();
    let expected = [
        "attribute-index",
        "attribute",
        "constant",
        "function",
        "inner",
        "list",
        "main",
        "sparse-index",
        "sparse",
        "training",
    ];
    assert_eq!(found, expected);
    assert_eq!(
        own.initializers().collect::<Vec<_>>(),
        ["w"],
        "of the main graph alone"
    );
    assert!(own.functions.contains("F"));
}

#[test]
fn a_tensor_outside_without_a_place_is_refused() {
    let mut tensor = sample::scalar("w", 1.0);
    crate::repository::onnx::wire::put_varint(&mut tensor, 14 << 3);
    crate::repository::onnx::wire::put_varint(&mut tensor, 1);
    let file = sample::linear_with(&[tensor]);
    assert!(
        outline(&file)
            .unwrap_err()
            .to_string()
            .contains("does not name")
    );
}

#[test]
fn endless_nesting_is_refused() {
    let mut graph = sample::graph(&[], &[]);
    for _ in 0..150 {
        let node = sample::node("If", &[], "y", &[sample::attribute("then", 6, &graph)]);
        graph = sample::graph(&[node], &[]);
    }
    assert_eq!(
        outline(&sample::model(&graph, &[])),
        Err(OnnxError::TooDeep)
    );
}

#[test]
fn what_is_no_model_is_refused() {
    for bytes in [
        &b""[..],
        b"hello, this is no model",
        b"\x08\x08",
        b"PK\x03\x04",
    ] {
        let text = outline(bytes).unwrap_err().to_string();
        assert!(text.contains("not an ONNX file"), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = outline(&bytes);
    }

    /// Damage to a real file reaches deeper than noise does.
    #[test]
    fn a_damaged_file_is_read_without_a_panic(at in 0usize..200, byte: u8, cut in 0usize..220) {
        let mut file = sample::linear(2.0, 6.0);
        let length = file.len();
        file[at % length] = byte;
        let _ = outline(&file);
        file.truncate(cut);
        let _ = outline(&file);
    }
}
