//! What is drawn is within shapes, types and what is known.

use super::*;
use crate::tensor::ValueKind;

fn spec(name: &str, dtype: DType, dims: Vec<Dim>) -> TensorSpec {
    TensorSpec {
        name: name.into(),
        dtype,
        dims: Some(dims),
        optional: false,
        has_default: false,
        kind: ValueKind::Tensor,
    }
}

#[test]
fn every_type_is_drawn_within_its_shape_and_again_the_same() {
    let inputs = DType::ALL
        .into_iter()
        .map(|dtype| spec(dtype.name(), dtype, vec![Dim::Any, Dim::Fixed(3)]));
    let signature = Signature {
        inputs: inputs.collect(),
        outputs: vec![],
    };
    let own = Sampler::new("seed").draw(&signature, TRIES[0]).unwrap();
    signature.check(&own).unwrap();
    assert!(own.iter().flatten().all(|t| **t.shape() == [1, 3]));
    assert_eq!(
        own,
        Sampler::new("seed").draw(&signature, TRIES[0]).unwrap()
    );
    assert_ne!(
        own,
        Sampler::new("other").draw(&signature, TRIES[0]).unwrap()
    );
}

#[test]
fn what_people_gave_bounds_what_is_drawn() {
    let signature = Signature {
        inputs: vec![
            spec("n", DType::F32, vec![Dim::Any]),
            spec("i", DType::I64, vec![Dim::Any]),
            spec("s", DType::Bytes, vec![Dim::Any]),
        ],
        outputs: vec![],
    };
    let given = vec![
        Some(Tensor::new([2], vec![10f32, 20.0]).unwrap()),
        Some(Tensor::new([2], vec![5i64, 7]).unwrap()),
        Some(Tensor::text([1], vec!["only".to_owned()]).unwrap()),
    ];
    let mut sampler = Sampler::new("seed");
    sampler.learn(&signature, &given);
    let mut integers = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let own = sampler.draw(&signature, TRIES[0]).unwrap();
        let number = |i: usize| own[i].as_ref().unwrap().to_f64().unwrap()[0];
        assert!((10.0..=20.0).contains(&number(0)));
        assert!((5.0..=7.0).contains(&number(1)));
        integers.insert(number(1).to_string());
        assert_eq!(own[2].as_ref().unwrap().strings().unwrap(), ["only"]);
    }
    assert_eq!(integers.len(), 3);
}
#[test]
fn each_column_keeps_to_its_own_range() {
    let signature = Signature {
        inputs: vec![spec("x", DType::F32, vec![Dim::Any, Dim::Fixed(3)])],
        outputs: vec![],
    };
    let rows = Tensor::new([2, 3], vec![1f32, 100.0, -5.0, 2.0, 200.0, -4.0]).unwrap();
    let mut sampler = Sampler::new("seed");
    sampler.learn(&signature, &vec![Some(rows)]);
    let text = "name = \"m\"\nversion = \"v1.0.0\"\ndescription = \"A.\"\n\
                [[files]]\npath = \"model.onnx\"\nsha256 = \"SHA\"\n\
                [features]\nx = [\"a\", \"b\", \"c\"]\n[ranges]\nb = [150, 160]\n";
    let text = text.replace("SHA", &"0".repeat(64));
    let manifest = Manifest::parse("model.toml".as_ref(), &text).unwrap();
    sampler.keep_to(&manifest, &signature);
    for _ in 0..200 {
        let own = sampler.draw(&signature, TRIES[0]).unwrap();
        let own = own[0].as_ref().unwrap().to_f64().unwrap();
        let ranges = [1.0..=2.0, 150.0..=160.0, -5.0..=-4.0];
        for (number, range) in own.iter().zip(ranges) {
            assert!(range.contains(number), "{own:?}");
        }
    }
}
