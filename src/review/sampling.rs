//! Inputs drawn at random that a model takes.

use std::collections::BTreeMap;

use half::{bf16, f16};

use crate::{
    engine::Session,
    repository::Manifest,
    scheduler::Inputs,
    tensor::{DType, Dim, Shape, Signature, Tensor, TensorSpec},
};

/// Draws inputs within a signature's shapes and types. The same seed draws
/// the same inputs.
#[derive(Debug, Clone)]
pub struct Sampler {
    state: u64,
    known: BTreeMap<String, Known>,
    /// What the model's owner says that it was trained on, by input: a range
    /// for each column, or one for all.
    trained: BTreeMap<String, Vec<Option<Range>>>,
}

/// The least and the greatest number.
type Range = (f64, f64);

/// What is known of an input from values that people gave.
#[derive(Debug, Clone)]
enum Known {
    /// For each column, where an input has columns, else for all of it.
    Ranges(Vec<Range>),
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
            trained: BTreeMap::new(),
        }
    }

    /// Keeps to the `[ranges]` of `manifest`, whatever is learned besides.
    pub fn keep_to(&mut self, manifest: &Manifest, signature: &Signature) {
        for spec in &signature.inputs {
            let ranges = manifest.ranges_of(&spec.name).into_iter();
            let ranges = ranges.map(|range| range.map(|range| (range.low, range.high)));
            self.trained.insert(spec.name.to_string(), ranges.collect());
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
                let columns = match spec.dims.as_deref() {
                    // One column has nothing to do with another.
                    Some([_, Dim::Fixed(columns)]) => (*columns).max(1),
                    _ => 1,
                };
                let none = (f64::INFINITY, f64::NEG_INFINITY);
                let ranges = known.or_insert_with(|| Known::Ranges(vec![none; columns]));
                if let Known::Ranges(ranges) = ranges {
                    for (n, number) in numbers.into_iter().enumerate() {
                        let column = n % ranges.len();
                        if let Some(range) = ranges.get_mut(column)
                            && number.is_finite()
                        {
                            *range = (range.0.min(number), range.1.max(number));
                        }
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
        let trained = self.trained.get(&*spec.name).cloned();
        let range = |n: usize| -> Option<Range> {
            let of = |length: usize| n.checked_rem(length);
            let own = trained.as_ref().and_then(|t| t[of(t.len())?]);
            own.or_else(|| match &known {
                Some(Known::Ranges(ranges)) => Some(ranges[of(ranges.len())?]),
                _ => None,
            })
        };
        macro_rules! integers {
            ($type:ty) => {{
                let mut draw = |n| self.integer(range(n), greatest) as $type;
                let elements: Vec<$type> = (0..count).map(|n| draw(n)).collect();
                Tensor::new(shape, elements)
            }};
        }
        macro_rules! floats {
            ($narrow:expr) => {{
                let elements = (0..count).map(|n| $narrow(self.float(range(n))));
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

    fn integer(&mut self, range: Option<Range>, greatest: u32) -> f64 {
        match range {
            Some((least, most)) if least <= most => (least + self.unit() * (most - least + 1.0))
                .floor()
                .min(most),
            _ => self.below(u64::from(greatest) + 1) as f64,
        }
    }

    /// Within the known range, else about standard normal. Three decimals
    /// are enough for a test, and a person can read them.
    fn float(&mut self, range: Option<Range>) -> f64 {
        let number = match range {
            Some((least, most)) if least < most => {
                return significant(least + self.unit() * (most - least)).clamp(least, most);
            }
            Some((least, most)) if least.total_cmp(&most).is_eq() => {
                least * (0.5 + self.unit()) + if least == 0.0 { self.unit() } else { 0.0 }
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
mod tests;
