//! Inputs drawn at random that a model takes.

use std::collections::BTreeMap;

use half::{bf16, f16};

use crate::{
    engine::Session,
    scheduler::Inputs,
    tensor::{DType, Dim, Shape, Signature, Tensor, TensorSpec},
};

/// Draws inputs within a signature's shapes and types. The same seed draws
/// the same inputs.
#[derive(Debug, Clone)]
pub struct Sampler {
    state: u64,
    known: BTreeMap<String, Known>,
}

/// What is known of an input from values that people gave.
#[derive(Debug, Clone)]
enum Known {
    /// The least and the greatest number.
    Range(f64, f64),
    /// The texts that occur.
    Texts(Vec<String>),
}

/// How a signature's open ends are filled in one try.
#[derive(Debug, Clone, Copy)]
struct Try {
    /// Elements along a dimension that may vary, other than rows.
    open: usize,
    /// The greatest integer: small ones are indices into anything.
    greatest: u32,
    /// The rank, where the model leaves it open.
    rank: usize,
}

/// From the likeliest to the last.
const TRIES: [Try; 7] = [
    Try {
        open: 4,
        greatest: 9,
        rank: 2,
    },
    Try {
        open: 1,
        greatest: 1,
        rank: 2,
    },
    Try {
        open: 1,
        greatest: 1,
        rank: 1,
    },
    Try {
        open: 16,
        greatest: 1,
        rank: 2,
    },
    Try {
        open: 32,
        greatest: 1,
        rank: 3,
    },
    Try {
        open: 64,
        greatest: 1,
        rank: 4,
    },
    Try {
        open: 224,
        greatest: 0,
        rank: 4,
    },
];

impl Sampler {
    /// A sampler that draws by `seed`.
    pub fn new(seed: &str) -> Self {
        // FNV-1a: any spread will do.
        let state = seed.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self {
            state,
            known: BTreeMap::new(),
        }
    }

    /// Learns from inputs that a person chose which values make sense.
    pub fn learn(&mut self, signature: &Signature, inputs: &Inputs) {
        for (spec, tensor) in signature.inputs.iter().zip(inputs) {
            let Some(tensor) = tensor else { continue };
            let known = self.known.entry(spec.name.to_string());
            if let Some(texts) = tensor.strings() {
                if let Known::Texts(all) = known.or_insert(Known::Texts(Vec::new())) {
                    all.extend(texts.iter().cloned());
                    all.sort();
                    all.dedup();
                    all.truncate(1000);
                }
            } else {
                let numbers = tensor.to_f64().unwrap_or_default();
                let numbers = numbers.into_iter().filter(|n| n.is_finite());
                let range = known.or_insert(Known::Range(f64::INFINITY, f64::NEG_INFINITY));
                if let Known::Range(least, greatest) = range {
                    for number in numbers {
                        *least = least.min(number);
                        *greatest = greatest.max(number);
                    }
                }
            }
        }
    }

    /// `count` inputs of one row each that `session` runs; fewer where it
    /// refuses some, and none where it refuses all that was tried.
    pub fn accepted(
        &mut self,
        session: &mut dyn Session,
        signature: &Signature,
        count: usize,
    ) -> Vec<Inputs> {
        for attempt in TRIES {
            let mut accepted = Vec::new();
            for n in 0..count {
                let Some(inputs) = self.draw(signature, attempt) else {
                    break;
                };
                match session.run(&inputs) {
                    Ok(_) => accepted.push(inputs),
                    Err(_) if n == 0 => break,
                    Err(_) => {}
                }
            }
            if !accepted.is_empty() {
                return accepted;
            }
        }
        Vec::new()
    }

    fn draw(&mut self, signature: &Signature, attempt: Try) -> Option<Inputs> {
        let inputs = signature.inputs.iter().map(|spec| {
            if spec.has_default {
                return Some(None);
            }
            let shape: Shape = match &spec.dims {
                Some(dims) => dims
                    .iter()
                    .enumerate()
                    .map(|(i, dim)| match dim {
                        Dim::Fixed(n) => *n,
                        _ if i == 0 => 1,
                        _ => attempt.open,
                    })
                    .collect(),
                None => std::iter::once(1)
                    .chain(std::iter::repeat_n(
                        attempt.open,
                        attempt.rank.saturating_sub(1),
                    ))
                    .collect(),
            };
            self.tensor(spec, shape, attempt.greatest).map(Some)
        });
        inputs.collect()
    }

    fn tensor(&mut self, spec: &TensorSpec, shape: Shape, greatest: u32) -> Option<Tensor> {
        // A drawn input is a test, not a load: keep it within reason.
        let count = shape.elements().filter(|&n| n <= 1 << 24)?;
        let known = self.known.get(&*spec.name).cloned();
        macro_rules! integers {
            ($type:ty) => {{
                let mut draw = || self.integer(known.as_ref(), greatest) as $type;
                let elements: Vec<$type> = (0..count).map(|_| draw()).collect();
                Tensor::new(shape, elements)
            }};
        }
        macro_rules! floats {
            ($narrow:expr) => {{
                let elements = (0..count).map(|_| $narrow(self.float(known.as_ref())));
                let elements: Vec<_> = elements.collect();
                Tensor::new(shape, elements)
            }};
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "casts of floats saturate, and any value of the type will do"
        )]
        let tensor = match spec.dtype {
            DType::Bool => {
                let elements = (0..count).map(|_| self.below(2) == 1).collect();
                Tensor::bools(shape, elements)
            }
            DType::U8 => integers!(u8),
            DType::U16 => integers!(u16),
            DType::U32 => integers!(u32),
            DType::U64 => integers!(u64),
            DType::I8 => integers!(i8),
            DType::I16 => integers!(i16),
            DType::I32 => integers!(i32),
            DType::I64 => integers!(i64),
            DType::F16 => floats!(f16::from_f64),
            DType::BF16 => floats!(bf16::from_f64),
            DType::F32 => floats!(|n: f64| n as f32),
            DType::F64 => floats!(|n: f64| n),
            DType::Bytes => {
                let elements = (0..count).map(|_| self.text(known.as_ref())).collect();
                Tensor::text(shape, elements)
            }
        };
        tensor.ok()
    }

    fn integer(&mut self, known: Option<&Known>, greatest: u32) -> f64 {
        match known {
            Some(Known::Range(least, most)) if least <= most => (least
                + self.unit() * (most - least + 1.0))
                .floor()
                .min(*most),
            _ => self.below(u64::from(greatest) + 1) as f64,
        }
    }

    /// Within the known range, else about standard normal. Three decimals
    /// are enough for a test, and a person can read them.
    fn float(&mut self, known: Option<&Known>) -> f64 {
        let number = match known {
            Some(Known::Range(least, most)) if least < most => {
                return significant(least + self.unit() * (most - least));
            }
            Some(Known::Range(least, most)) if least == most => {
                least * (0.5 + self.unit()) + if *least == 0.0 { self.unit() } else { 0.0 }
            }
            // Irwin and Hall: twelve uniform numbers, less six.
            _ => (0..12).map(|_| self.unit()).sum::<f64>() - 6.0,
        };
        significant(number)
    }

    fn text(&mut self, known: Option<&Known>) -> String {
        const WORDS: [&str; 8] = [
            "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
        ];
        match known {
            Some(Known::Texts(texts)) if !texts.is_empty() => {
                texts[self.index(texts.len())].clone()
            }
            _ => WORDS[self.index(WORDS.len())].to_owned(),
        }
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        // The remainder's bias is of no account for bounds this small.
        self.next() % bound.max(1)
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits fill a double")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// `number` with four significant digits.
fn significant(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
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
}
