//! How numbers are written: integral values without a fraction, others with
//! the fewest digits that read back as the same value of their own type.

use half::{bf16, f16};

use super::{DType, Data, Tensor};

/// A number that [`write_number`] can write.
pub trait Number: Copy {
    /// Appends the number in JSON's form. `false` when it is NaN or an
    /// infinity, for which JSON has no form; nothing is written then.
    fn write(self, out: &mut Vec<u8>) -> bool;
}

macro_rules! integers {
    ($($type:ty),+) => {
        $(impl Number for $type {
            fn write(self, out: &mut Vec<u8>) -> bool {
                out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
                true
            }
        })+
    };
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($type:ty),+) => {
        $(impl Number for $type {
            fn write(self, out: &mut Vec<u8>) -> bool {
                if !self.is_finite() {
                    return false;
                }
                if self == 0.0 {
                    out.push(b'0');
                    return true;
                }
                let mut buffer = zmij::Buffer::new();
                let text = buffer.format_finite(self);
                out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
                true
            }
        })+
    };
}
floats!(f32, f64);

macro_rules! halves {
    ($($type:ty),+) => {
        $(impl Number for $type {
            /// Tries ever more digits until the text reads back as the same
            /// value: halves have at most five, so this is short.
            fn write(self, out: &mut Vec<u8>) -> bool {
                let wide = f32::from(self);
                if !wide.is_finite() {
                    return false;
                }
                for digits in 0..9 {
                    let text = format!("{wide:.digits$e}");
                    let Ok(back) = text.parse::<f32>() else { continue };
                    if <$type>::from_f32(back).to_bits() == self.to_bits() {
                        return back.write(out);
                    }
                }
                wide.write(out)
            }
        })+
    };
}
halves!(f16, bf16);

/// Appends `number` in JSON's form, with the fewest digits that read back as
/// the same value; `false` for NaN and the infinities, which JSON has not.
pub fn write_number<T: Number>(number: T, out: &mut Vec<u8>) -> bool {
    number.write(out)
}

impl Tensor {
    /// Appends the element at `index` in JSON's form. `false` for NaN, an
    /// infinity, or an index that is out of range; nothing is written then.
    pub fn write_element(&self, index: usize, out: &mut Vec<u8>) -> bool {
        let (dtype, bytes) = match &self.data {
            Data::Fixed(dtype, bytes) => (*dtype, bytes),
            Data::Text(text) => {
                return text
                    .get(index)
                    .is_some_and(|s| serde_json::to_writer(out, s).is_ok());
            }
        };
        fn at<const N: usize>(bytes: &[u8], index: usize) -> Option<[u8; N]> {
            bytes.get(index * N..(index + 1) * N)?.try_into().ok()
        }
        macro_rules! write_as {
            ($type:ty) => {
                at(bytes, index).is_some_and(|b| <$type>::from_le_bytes(b).write(out))
            };
        }
        match dtype {
            DType::Bool => match bytes.get(index) {
                Some(&b) => {
                    out.extend_from_slice(if b == 0 { b"false" } else { b"true" });
                    true
                }
                None => false,
            },
            DType::U8 => write_as!(u8),
            DType::U16 => write_as!(u16),
            DType::U32 => write_as!(u32),
            DType::U64 => write_as!(u64),
            DType::I8 => write_as!(i8),
            DType::I16 => write_as!(i16),
            DType::I32 => write_as!(i32),
            DType::I64 => write_as!(i64),
            DType::F16 => write_as!(f16),
            DType::BF16 => write_as!(bf16),
            DType::F32 => write_as!(f32),
            DType::F64 => write_as!(f64),
            DType::Bytes => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text<T: Number>(number: T) -> String {
        let mut out = Vec::new();
        assert!(number.write(&mut out), "finite");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integral_values_have_no_fraction() {
        assert_eq!(text(48.0f32), "48");
        assert_eq!(text(-0.0f64), "0");
        assert_eq!(text(f16::from_f32(1024.0)), "1024");
    }

    #[test]
    fn the_fewest_digits_of_the_own_type() {
        assert_eq!(text(48.1f32), "48.1");
        assert_eq!(text(48.1f64), "48.1");
        assert_eq!(text(f16::from_f32(0.1)), "0.1");
        assert_eq!(text(bf16::from_f32(0.1)), "0.1");
    }

    #[test]
    fn what_json_can_not_say_is_not_written() {
        let mut out = Vec::new();
        assert!(!f32::NAN.write(&mut out));
        assert!(!f64::INFINITY.write(&mut out));
        assert!(!f16::NEG_INFINITY.write(&mut out));
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn every_single_reads_back(bits: u32) {
            let number = f32::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(text(number).parse::<f32>().unwrap(), number);
        }

        #[test]
        fn every_half_reads_back(bits: u16) {
            let number = f16::from_bits(bits);
            prop_assume!(number.is_finite());
            let back = f16::from_f32(text(number).parse::<f32>().unwrap());
            prop_assert_eq!(back, number);
        }
    }
}
