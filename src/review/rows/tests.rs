//! Rows as people keep them, and rows that do not fit.

use super::*;
use crate::tensor::ValueKind;

fn signature(inputs: &[(&str, DType, &[Option<usize>])]) -> Signature {
    let spec = |(name, dtype, dims): &(&str, DType, &[Option<usize>])| TensorSpec {
        name: (*name).into(),
        dtype: *dtype,
        dims: Some(
            dims.iter()
                .map(|d| d.map_or(Dim::Any, Dim::Fixed))
                .collect(),
        ),
        optional: false,
        has_default: false,
        kind: ValueKind::Tensor,
    };
    Signature {
        inputs: inputs.iter().map(spec).collect(),
        outputs: vec![spec(&("y", DType::F32, &[None, Some(1)]))],
    }
}

fn table(text: &str) -> Table {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, text).unwrap();
    Table::read(&file, 100).unwrap()
}

const WIDE: &[(&str, DType, &[Option<usize>])] = &[("x", DType::F32, &[None, Some(2)])];
const NAMED: &[(&str, DType, &[Option<usize>])] = &[
    ("color", DType::Bytes, &[None, Some(1)]),
    ("count", DType::I64, &[None, Some(1)]),
];

fn inputs(table: &Table, signature: &Signature, features: &Features, row: usize) -> Result<Inputs> {
    table.inputs(&table.layout(signature, features)?, signature, row)
}

#[test]
fn columns_are_found_by_name_by_feature_and_by_position() {
    let own = table("count,ignored,color\n3,x,red\n");
    let row = inputs(&own, &signature(NAMED), &Features::new(), 0).unwrap();
    assert_eq!(row[0].as_ref().unwrap().strings().unwrap(), ["red"]);
    assert_eq!(row[1].as_ref().unwrap().to_f64().unwrap(), [3.0]);
    let wide = table("b,a,y\n1,2,3\n.5,,3\n");
    let row = |features: &Features, row| {
        let own = inputs(&wide, &signature(WIDE), features, row).unwrap();
        own[0].as_ref().unwrap().to_f64().unwrap()
    };
    assert_eq!(
        row(&Features::new(), 0),
        [1.0, 2.0],
        "the output is no feature"
    );
    let features = Features::from([("x".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    assert_eq!(row(&features, 0), [2.0, 1.0]);
    let missing = row(&features, 1);
    assert!(missing[0].is_nan() && missing[1] == 0.5);
}

#[test]
fn what_can_not_be_told_is_named() {
    let own = table("a\n1\n");
    let error = inputs(&own, &signature(NAMED), &Features::new(), 0).unwrap_err();
    assert!(error.message().contains("\"color\"") && error.message().contains("[features]"));
    let own = table("count,color\nmany,red\n");
    let error = inputs(&own, &signature(NAMED), &Features::new(), 0).unwrap_err();
    assert!(
        error.message().contains("row 1, count") && error.message().contains("many"),
        "{error}"
    );
}

#[test]
fn json_comes_by_name_by_position_and_alone() {
    let read = |text: &str, own: &[(&str, DType, &[Option<usize>])], features: &Features| {
        from_json(
            &serde_json::from_str(text).unwrap(),
            &signature(own),
            features,
        )
    };
    let none = Features::new();
    for text in ["{\"x\": [1, 2]}", "{\"x\": [[1, 2]]}", "[1, 2]", "[[1, 2]]"] {
        let own = read(text, WIDE, &none).unwrap();
        assert_eq!(
            own[0].as_ref().unwrap().to_f64().unwrap(),
            [1.0, 2.0],
            "{text}"
        );
        assert_eq!(**own[0].as_ref().unwrap().shape(), [1, 2]);
    }
    let two = read("[[1, 2], [3, 4]]", WIDE, &none).unwrap();
    assert_eq!(**two[0].as_ref().unwrap().shape(), [2, 2]);
    let features = Features::from([("x".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    let own = read("{\"b\": 2, \"a\": 1}", WIDE, &features).unwrap();
    assert_eq!(own[0].as_ref().unwrap().to_f64().unwrap(), [1.0, 2.0]);
    let own = read("{\"color\": \"red\", \"count\": 3}", NAMED, &none).unwrap();
    assert_eq!(own[1].as_ref().unwrap().elements::<i64>().unwrap()[0], 3);
    assert!(read("[\"red\", 3]", NAMED, &none).is_ok());
    for (text, expected) in [
        ("{\"color\": \"red\"}", "\"count\" is missing"),
        (
            "{\"color\": \"red\", \"count\": 3, \"extra\": 1}",
            "no input \"extra\"",
        ),
        ("[1]", "takes 2"),
        ("7", "takes 2"),
    ] {
        let error = read(text, NAMED, &none).unwrap_err();
        assert!(error.message().contains(expected), "{text}: {error}");
    }
}
