//! Golden cases: what is read, written and refused.

use super::*;
use crate::tensor::Shape;

const FILE: &str = "models/linear/cases/one.json";
const GOOD: &str = r#"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[[21]]}],
    "outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[48]}]}"#;

fn parse(text: &str) -> Result<GoldenCase, String> {
    GoldenCase::parse(Path::new(FILE), text.as_bytes()).map_err(|p| p.to_string())
}

#[test]
fn a_case_is_read_and_written() {
    let own = parse(GOOD).unwrap();
    assert_eq!(own.name, "one");
    assert!(!own.sampled);
    assert_eq!(own.inputs[0].1, Tensor::new([1, 1], vec![21f32]).unwrap());
    let sampled = GoldenCase {
        sampled: true,
        description: Some("a \"quoted\" one".to_owned()),
        ..own
    };
    assert_eq!(parse(&sampled.to_json()).unwrap(), sampled);
    assert_eq!(sampled.to_json().lines().count(), 10);
}

const MAP: &str = r#"{"inputs":[{"name":"x","shape":[3],"datatype":"FP32",
    "parameters":{"shapes":"[[2],[1]]"},"data":[1,2,3]}],
    "outputs":[{"name":"p","shape":[1,2],"datatype":"FP32",
    "parameters":{"keys":"[\"cat\",\"dog\"]"},"data":[0.25,0.75]}]}"#;

#[test]
fn keys_and_shapes_are_read_and_written() {
    let own = parse(MAP).unwrap();
    let parts = own.inputs[0].1.part_shapes().unwrap();
    assert_eq!(parts, [Shape::from([2]), Shape::from([1])]);
    let keys = own.outputs[0].1.keys.as_deref().unwrap();
    assert_eq!(keys, ["cat", "dog"].map(|key| MapKey::Text(key.to_owned())));
    assert_eq!(parse(&own.to_json()).unwrap(), own);
    let numbers = parse(&MAP.replace(r#"[\"cat\",\"dog\"]"#, "[-1,7]")).unwrap();
    let keys = numbers.outputs[0].1.keys.as_deref().unwrap();
    assert_eq!(keys, [MapKey::Int(-1), MapKey::Int(7)]);
    assert_eq!(parse(&numbers.to_json()).unwrap(), numbers);
}

#[test]
fn a_map_is_held_to_its_keys_where_the_case_names_them() {
    let [named, other, plain] = [
        MAP.to_owned(),
        MAP.replace("dog", "cow"),
        MAP.replace(r#""parameters":{"keys":"[\"cat\",\"dog\"]"},"#, ""),
    ]
    .map(|text| parse(&text).unwrap().outputs.remove(0).1);
    let differ = |expected, got| {
        let compared = compare_outputs("p", expected, got, Tolerance::default());
        compared.err().map(|mismatch| mismatch.to_string())
    };
    assert_eq!(differ(&named, &named), None);
    assert_eq!(differ(&plain, &named), None);
    assert_eq!(
        differ(&named, &other).unwrap(),
        r#"the output "p" has the keys ["cat","cow"], and must have ["cat","dog"]"#
    );
    assert!(differ(&named, &plain).unwrap().contains("has the keys []"));
}

#[test]
fn what_is_no_case_names_file_reason_and_remedy() {
    for (text, reason) in [
        ("", "EOF"),
        ("[]", "golden case"),
        (r#"{"inputs":[],"outputs":[]}"#, "proves nothing"),
        (&GOOD.replace("inputs", "imputs"), "imputs"),
        (&GOOD.replace("48", "\"a\""), "does not fit FP32"),
        (&GOOD.replace("[48]", "[48,49]"), "more elements"),
        (&GOOD.replace("FP32", "FLOAT"), "FLOAT"),
        (&MAP.replace("shapes", "shape"), "unknown field `shape`"),
        (&MAP.replace("[[2],[1]]", "[[2],[2]]"), "hold 4 elements"),
        (&MAP.replace("[[2],[1]]", "2"), "not a list of shapes"),
        (
            &MAP.replace(r#",\"dog\""#, ""),
            "names 1, and its shape [1,2]",
        ),
        (&MAP.replace(r#"\"cat\""#, "1.5"), "text or integers"),
        (
            &MAP.replace(r#"{"shapes":"[[2],[1]]"}"#, r#"{"keys":"[1,2,3]"}"#),
            "only an output has",
        ),
        (
            &GOOD.replace(
                "\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[48]",
                "\"shape\":[1,1]",
            ),
            "datatype",
        ),
    ] {
        let problem = parse(text).unwrap_err();
        assert!(
            problem.starts_with(FILE) && problem.contains(reason),
            "{problem}"
        );
        assert!(problem.contains("record it again"), "{problem}");
    }
    let broken = parse(&GOOD.replace("\"outputs\"", "\n\n\"putouts\"")).unwrap_err();
    assert!(
        broken.starts_with("models/linear/cases/one.json:4: "),
        "{broken}"
    );
}
