//! What the JSON of a request may be, and what it may not.

use super::*;
use proptest::prelude::*;

fn read(json: &str) -> Result<Request> {
    Request::read(json, Limits::UNLIMITED)
}

fn error(json: &str) -> String {
    read(json).unwrap_err().message().to_owned()
}

#[test]
fn keys_come_in_any_order() {
    let request = read(
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
    read(r#"{"inputs":[],"x":1,"x":2}"#).unwrap();
}

/// A request whose data, of this shape, comes before or after what says so.
fn one_input(shape: &str, data: &str, first: bool) -> String {
    let says = format!(r#""name":"x","datatype":"INT8","shape":{shape}"#);
    if first {
        format!(r#"{{"inputs":[{{"data":{data},{says}}}]}}"#)
    } else {
        format!(r#"{{"inputs":[{{{says},"data":{data}}}]}}"#)
    }
}

#[test]
fn too_deep_is_refused_and_just_deep_enough_is_not() {
    let limits = Limits {
        json_depth: 6,
        ..Limits::UNLIMITED
    };
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let shape = |rank| format!("[{}]", vec!["1"; rank].join(","));
    for first in [false, true] {
        for (rank, refused) in [(1, false), (3, false), (4, true), (40, true)] {
            let json = one_input(&shape(rank), &nested(rank), first);
            let read = Request::read(&json, limits);
            assert_eq!(read.is_err(), refused, "{json}");
            if let Err(error) = read {
                assert_eq!(error.kind(), crate::error::Kind::Invalid);
                let text = error.message();
                assert!(
                    text.contains("more than 6") && text.contains("max-json-depth"),
                    "{text}"
                );
                assert!(first || text.contains("\"x\""), "{text}");
            }
            // Flat, it nests no deeper than any other.
            Request::read(&one_input(&shape(rank), "[1]", first), limits).unwrap();
        }
    }
    for (place, most) in [("", 5), (r#""parameters":{"p":1},"#, 5)] {
        for (depth, refused) in [(most, false), (most + 1, true), (100_000, true)] {
            let json = format!(r#"{{{place}"inputs":[],"ignored":{}}}"#, nested(depth));
            let read = Request::read(&json, limits);
            assert_eq!(read.is_err(), refused, "{depth}");
            if let Err(error) = read {
                assert!(error.message().contains("max-json-depth"), "{error}");
            }
        }
    }
    let shallow = Limits {
        json_depth: 3,
        ..limits
    };
    let error = Request::read(&one_input("[1]", "[1]", false), shallow).unwrap_err();
    assert!(error.message().contains("max-json-depth"), "{error}");
}

#[test]
fn too_many_elements_are_refused_before_they_are_read() {
    let limits = Limits {
        elements: 6,
        ..Limits::UNLIMITED
    };
    for first in [false, true] {
        Request::read(&one_input("[2,3]", "[1,2,3,4,5,6]", first), limits).unwrap();
        for shape in ["[7]", "[4,2]", "[4611686018427387904,4]"] {
            let error = Request::read(&one_input(shape, "[1]", first), limits).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::TooLarge);
            for part in ["\"x\"", shape, "6 elements", "max-tensor-elements"] {
                assert!(error.message().contains(part), "{error}");
            }
        }
    }
    let many = format!("[{}]", vec!["1"; 65].join(","));
    let error = error(&one_input(&many, "[1]", false));
    assert!(
        error.contains("65 dimensions") && error.len() < 200,
        "{error}"
    );
}

proptest! {
    #[test]
    fn nothing_panics(json in r#"(\{|\}|\[|\]|,|:|"inputs"|"name"|"x"|"shape"|"datatype"|"FP32"|"data"|"parameters"|1|\\|"|null|\PC)*"#) {
        let _ = read(&json);
    }
}
