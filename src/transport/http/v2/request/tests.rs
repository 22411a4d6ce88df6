//! What the JSON of a request may be, and what it may not.

use super::*;
use proptest::prelude::*;

fn error(json: &str) -> String {
    Request::read(json).unwrap_err().message().to_owned()
}

#[test]
fn keys_come_in_any_order() {
    let request = Request::read(
        r#" {"outputs":[{"name":"y","parameters":{"binary_data":true}}],"id":"a\"b",
            "extra":[{"x":null}],"inputs":[
            {"data":[[1,2]],"datatype":"INT8","shape":[1,2],"name":"x"},
            {"name":"z","shape":[],"datatype":"FP32","parameters":{"p":1.5},"data":[3]},
            {"name":"b","shape":[4],"datatype":"BOOL","parameters":{"binary_data_size":4}}
            ],"parameters":{"mine":"kept"}} "#,
    )
    .unwrap();
    assert_eq!(request.id.as_deref(), Some("a\"b"));
    assert_eq!(request.parameters["mine"], "kept");
    assert_eq!(request.outputs[0].parameters["binary_data"], true);
    let [x, z, b] = request.inputs.as_slice() else {
        panic!("three inputs")
    };
    assert_eq!(x.tensor, Some(Tensor::new([1, 2], vec![1i8, 2]).unwrap()));
    assert_eq!(z.tensor, Some(Tensor::new([], vec![3f32]).unwrap()));
    assert!(b.tensor.is_none());
}

#[test]
fn what_is_wrong_is_said() {
    for (json, part) in [
        ("", "must be an object"),
        ("[]", "must be an object"),
        ("{}", "no \"inputs\""),
        (r#"{"inputs":{}}"#, "must be a list"),
        (r#"{"inputs":[]} x"#, "goes on"),
        (r#"{"inputs":[],"inputs":[]}"#, "twice"),
        (r#"{"inputs":[{}]}"#, "no \"name\""),
        (r#"{"inputs":[{"name":"x"}]}"#, "\"x\" has no \"datatype\""),
        (
            r#"{"inputs":[{"name":"x","datatype":"FLOAT"}]}"#,
            "unknown datatype",
        ),
        (
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[-1]}]}"#,
            "dimension -1",
        ),
        (
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1.5]}]}"#,
            "list of integers",
        ),
        (
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1"#,
            "lacks a comma",
        ),
        (r#"{"inputs":[{"name":1}]}"#, "text in quotes"),
        (r#"{"inputs":[],"parameters":[1]}"#, "must be an object"),
        (
            r#"{"inputs":[],"parameters":{"p":{}}}"#,
            "parameter \"p\" must be",
        ),
        (r#"{"inputs":[],"x":01}"#, "not JSON"),
        (r#"{"inputs":[] "id":"x"}"#, "comma"),
        (r#"{inputs:[]}"#, "quotes"),
        (r#"{"id":7,"inputs":[]}"#, "text in quotes"),
    ] {
        let text = error(json);
        assert!(text.contains(part), "{json}: {text}");
    }
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let of_inputs = |fields: &str| {
        let first = r#"{"name":"a","shape":[1],"datatype":"INT8","data":[1]}"#;
        format!(r#"{{"inputs":[{first},{{{fields}}}]}}"#)
    };
    for (json, parts) in [
        (
            r#"{"id":"a","inputs":[],"id":"b"}"#.to_owned(),
            ["\"id\"", "an inference request"],
        ),
        (
            r#"{"inputs":[],"inputs":[]}"#.to_owned(),
            ["\"inputs\"", "an inference request"],
        ),
        (
            r#"{"parameters":{},"parameters":{},"inputs":[]}"#.to_owned(),
            ["\"parameters\"", "an inference request"],
        ),
        (
            r#"{"inputs":[],"outputs":[],"\u006futputs":[]}"#.to_owned(),
            ["\"outputs\"", "an inference request"],
        ),
        (
            r#"{"inputs":[],"parameters":{"p":1,"q":2,"p":1}}"#.to_owned(),
            ["\"p\"", "parameters"],
        ),
        (
            of_inputs(r#""name":"x","shape":[1],"name":"x""#),
            ["\"name\"", "an input"],
        ),
        (
            of_inputs(r#""shape":[1],"shape":[1]"#),
            ["\"shape\"", "an input"],
        ),
        (
            of_inputs(r#""datatype":"INT8","datatype":"INT8""#),
            ["\"datatype\"", "an input"],
        ),
        (
            of_inputs(r#""data":[1],"data":[1]"#),
            ["\"data\"", "an input"],
        ),
        (
            of_inputs(r#""parameters":null,"parameters":null"#),
            ["\"parameters\"", "an input"],
        ),
        (
            of_inputs(r#""parameters":{"binary_data_size":4,"binary_data_size":8}"#),
            ["\"binary_data_size\"", "parameters"],
        ),
        (
            r#"{"inputs":[],"outputs":[{"name":"y","name":"z"}]}"#.to_owned(),
            ["\"name\"", "an output"],
        ),
    ] {
        let text = error(&json);
        for part in parts.iter().chain(&["twice"]) {
            assert!(text.contains(part), "{json}: {text}");
        }
    }
    // What means nothing may stand there as often as it likes.
    Request::read(r#"{"inputs":[],"x":1,"x":2}"#).unwrap();
}

proptest! {
    #[test]
    fn nothing_panics(json in r#"(\{|\}|\[|\]|,|:|"inputs"|"name"|"x"|"shape"|"datatype"|"FP32"|"data"|"parameters"|1|\\|"|null|\PC)*"#) {
        let _ = Request::read(&json);
    }
}
