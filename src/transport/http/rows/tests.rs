//! The quick way to read rows, against the way that reads anything.

use proptest::prelude::*;

use super::*;

fn spec(dtype: DType) -> TensorSpec {
    TensorSpec {
        name: "x".into(),
        dtype,
        dims: Some(vec![Dim::Any, Dim::Fixed(2)]),
        optional: false,
        has_default: false,
        kind: ValueKind::Tensor,
    }
}

fn columns(spec: &TensorSpec) -> Columns<'_> {
    Columns {
        inputs: vec![Input {
            spec,
            place: 0,
            is_table: true,
            width: 2,
            features: None,
            names: OnceCell::new(),
        }],
    }
}

/// What the way that takes anything makes of `json`.
fn read_anything(columns: &Columns<'_>, json: &str) -> Result<Tensor> {
    let mut table = Table::new(columns);
    table.read(json)?;
    let rows = table.rows();
    let cells = table.into_cells().next().unwrap();
    columns.inputs[0].tensor(rows, &cells)
}

#[test]
fn rows_of_numbers_are_read_in_one_pass() {
    let spec = spec(DType::F32);
    let columns = columns(&spec);
    for json in [
        "[[1,2]]",
        "{\"rows\":[[1,2],[3,4]]}",
        " { \"rows\" : [ [ 1.5 , -2e3 ] ] } \n",
    ] {
        let plain = columns.inputs[0].plain_rows(json);
        assert_eq!(
            plain,
            Some(read_anything(&columns, json).unwrap()),
            "{json}"
        );
    }
}

#[test]
fn what_is_not_rows_of_numbers_is_left_to_who_can_say_why() {
    let spec = spec(DType::F32);
    let columns = columns(&spec);
    for json in [
        "",
        "[]",
        "[[1]]",
        "[[1,2,3]]",
        "[[1,2],]",
        "[[1,2]] 3",
        "[[1,\"NaN\"]]",
        "[[1,null]]",
        "[[1,01]]",
        "[[1,1e99]]",
        "[{\"x_0\":1,\"x_1\":2}]",
        "{\"rows\":[[1,2]]",
        "{\"rows\":[[1,2]],\"rows\":[[1,2]]}",
        "{\"r\":[[1,2]]}",
    ] {
        assert_eq!(columns.inputs[0].plain_rows(json), None, "{json}");
    }
}

proptest! {
    #[test]
    fn both_ways_read_alike(
        json in r#"[ ]?(\{"rows":)?\[(\[(-?[0-9]{1,3}(\.[0-9]{1,9})?(e-?[0-9])?|true|"NaN"|null),[ ]?-?[0-9]{1,25}\],?){1,3}\]\}?"#,
        dtype in prop::sample::select(vec![
            DType::Bool, DType::U8, DType::I64, DType::F16, DType::F32, DType::F64,
        ]),
    ) {
        let spec = spec(dtype);
        let columns = columns(&spec);
        let plain = columns.inputs[0].plain_rows(&json);
        let other = read_anything(&columns, &json);
        match (plain, other) {
            (Some(plain), other) => prop_assert_eq!(Some(plain), other.ok()),
            (None, Ok(_)) => prop_assert!(false, "the quick way refuses {}", json),
            (None, Err(_)) => {}
        }
    }
}
