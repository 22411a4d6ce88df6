//! Files that break the rules, one at a time.

use super::*;
use crate::repository::onnx::{sample, wire::put_bytes};
use proptest::prelude::*;

fn only(file: &[u8]) -> String {
    let mut faults = faults(file).unwrap();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn with_nodes(nodes: &[Vec<u8>]) -> Vec<u8> {
    sample::model(&sample::graph(nodes, &[sample::scalar("scale", 2.0)]), &[])
}

#[test]
fn a_sound_model_has_no_faults() {
    assert_eq!(faults(&sample::linear(2.0, 6.0)), Ok(vec![]));
}

#[test]
fn names_must_be_given_before_they_are_taken_and_once() {
    let late = with_nodes(&[
        sample::node("Identity", &["z"], "y", &[]),
        sample::node("Identity", &["x"], "z", &[]),
    ]);
    assert_eq!(
        only(&late),
        "the node Identity that gives \"y\" takes \"z\", which nothing before it gives"
    );
    let twice = with_nodes(&[
        sample::node("Identity", &["x"], "y", &[]),
        sample::node("Neg", &["x"], "y", &[]),
    ]);
    assert!(only(&twice).contains("gives \"y\", which is given already"));
    let never = with_nodes(&[sample::node("Identity", &["x"], "z", &[])]);
    assert_eq!(only(&never), "nothing in the graph gives its output \"y\"");
}

#[test]
fn nested_graphs_see_the_names_around_them_and_not_the_other_way() {
    let mut inner = Vec::new();
    put_bytes(
        &mut inner,
        1,
        &sample::node("Add", &["x", "scale"], "inside", &[]),
    );
    put_bytes(&mut inner, 2, b"inner");
    let then = sample::attribute("then_branch", 6, &inner);
    let sound = with_nodes(&[sample::node("If", &["x"], "y", std::slice::from_ref(&then))]);
    assert_eq!(faults(&sound), Ok(vec![]));
    let leak = with_nodes(&[
        sample::node("If", &["x"], "z", &[then]),
        sample::node("Identity", &["inside"], "y", &[]),
    ]);
    assert!(only(&leak).contains("takes \"inside\""));
}

#[test]
fn operator_sets_must_be_imported() {
    let mut node = sample::node("Scaler", &["x"], "y", &[]);
    put_bytes(&mut node, 7, b"ai.onnx.ml");
    assert!(only(&with_nodes(&[node])).contains("ai.onnx.ml, which the model does not import"));
}

#[test]
fn a_tensor_must_fill_its_shape() {
    let mut short = sample::scalar("scale", 2.0);
    // The last bytes are the raw data: take two of them away.
    let length = short.len();
    short[length - 5] = 2;
    short.truncate(length - 2);
    let file = sample::linear_with(&[short, sample::scalar("offset", 6.0)]);
    assert_eq!(
        only(&file),
        "the tensor \"scale\" holds 2 bytes, and its shape [1] takes 4"
    );
}

#[test]
fn names_of_initializers_are_unique() {
    let file = sample::linear_with(&[
        sample::scalar("scale", 2.0),
        sample::scalar("scale", 3.0),
        sample::scalar("offset", 6.0),
    ]);
    assert_eq!(only(&file), "the initializer \"scale\" stands there twice");
}

proptest! {
    #[test]
    fn any_bytes_are_checked_without_a_panic(bytes: Vec<u8>, at in 0usize..200, byte: u8) {
        let _ = faults(&bytes);
        let mut file = sample::linear(2.0, 6.0);
        let length = file.len();
        file[at % length] = byte;
        let _ = faults(&file);
    }
}
