//! Tensor elements → JSON.

use half::{bf16, f16};

use super::decimal::narrow;
use crate::tensor::{DType, Element, Tensor};

/// Appends the elements of `tensor` as one flat JSON array. NaN and the
/// infinities become strings. What is written reads back as the same bits,
/// but for the payload of a NaN.
pub fn write_data(tensor: &Tensor, out: &mut Vec<u8>) {
    out.push(b'[');
    match tensor.dtype() {
        DType::Bool => list::<u8, ()>(
            tensor,
            out,
            6,
            |flag, ()| {
                if flag == 0 { b"false" } else { b"true" }
            },
        ),
        DType::U8 => integers::<u8>(tensor, out),
        DType::U16 => integers::<u16>(tensor, out),
        DType::U32 => integers::<u32>(tensor, out),
        DType::U64 => integers::<u64>(tensor, out),
        DType::I8 => integers::<i8>(tensor, out),
        DType::I16 => integers::<i16>(tensor, out),
        DType::I32 => integers::<i32>(tensor, out),
        DType::I64 => integers::<i64>(tensor, out),
        DType::F16 => list::<f16, _>(tensor, out, 9, |half, buffer| {
            let is_same = |value| narrow_f16(value) == half.to_bits();
            double(shortest(half.to_f64(), is_same), buffer)
        }),
        DType::BF16 => list::<bf16, _>(tensor, out, 9, |half, buffer| {
            let is_same = |value| narrow_bf16(value) == half.to_bits();
            double(shortest(half.to_f64(), is_same), buffer)
        }),
        DType::F32 => list::<f32, _>(tensor, out, 13, single),
        DType::F64 => list::<f64, _>(tensor, out, 21, double),
        DType::Bytes => {
            for (index, text) in tensor.strings().unwrap_or_default().iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                // Writing text to a vector can't fail.
                let _ = serde_json::to_writer(&mut *out, text);
            }
        }
    }
    out.push(b']');
}

/// How many elements are put into words before the first of them is copied: a
/// processor that reads again what it has just written, in pieces of another
/// size, waits until all of it has reached the cache.
const AT_ONCE: usize = 16;

/// The most characters of an element, with the comma after it.
const LONGEST: usize = 25;

/// Appends every element of `tensor`, each of about `width` characters, with
/// commas between them. `text` puts one into words, in a buffer of its own.
fn list<T: Element, B: Default>(
    tensor: &Tensor,
    out: &mut Vec<u8>,
    width: usize,
    text: impl for<'b> Fn(T, &'b mut B) -> &'b [u8],
) {
    let elements = tensor.elements::<T>().unwrap_or_default();
    out.reserve(elements.len() * width);
    let mut gathered = Gathered {
        block: [0; BLOCK],
        size: 0,
        out,
    };
    let mut buffers: [B; AT_ONCE] = std::array::from_fn(|_| B::default());
    for few in elements.chunks(AT_ONCE) {
        let mut texts = [&b""[..]; AT_ONCE];
        for ((text_of, buffer), &element) in texts.iter_mut().zip(&mut buffers).zip(few) {
            *text_of = text(element, buffer);
        }
        gathered.make_room();
        for text in &texts[..few.len()] {
            // Many readers take "-0" for an integer, which has no sign to keep.
            let short = text.strip_suffix(b".0").filter(|short| *short != b"-0");
            gathered.put(short.unwrap_or(text));
        }
    }
    gathered.flush();
    if !elements.is_empty() {
        // The comma after the last.
        out.pop();
    }
}

/// The size of a block.
const BLOCK: usize = 1024;

/// Text on its way to `out`, block by block: to extend a vector by a few bytes
/// costs more than the bytes.
struct Gathered<'o> {
    block: [u8; BLOCK],
    size: usize,
    out: &'o mut Vec<u8>,
}

impl Gathered<'_> {
    /// Makes room for [`AT_ONCE`] elements.
    #[inline]
    fn make_room(&mut self) {
        if self.size + AT_ONCE * LONGEST > BLOCK {
            self.flush();
        }
    }

    /// Adds `text` and a comma.
    #[inline]
    fn put(&mut self, text: &[u8]) {
        let end = self.size + text.len();
        let to = &mut self.block[self.size..end];
        match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            // Most floats: two words that overlap, and no call.
            (Some(first), Some(last)) if text.len() <= 16 => {
                to[..8].copy_from_slice(first);
                to[text.len() - 8..].copy_from_slice(last);
            }
            _ => to.copy_from_slice(text),
        }
        self.block[end] = b',';
        self.size = end + 1;
    }

    fn flush(&mut self) {
        self.out.extend_from_slice(&self.block[..self.size]);
        self.size = 0;
    }
}

fn integers<T: Element + itoa::Integer>(tensor: &Tensor, out: &mut Vec<u8>) {
    list::<T, itoa::Buffer>(tensor, out, 2 + 2 * size_of::<T>(), |value, buffer| {
        buffer.format(value).as_bytes()
    });
}

macro_rules! floats {
    ($($name:ident, $type:ty;)+) => {
        $(#[inline]
        fn $name(value: $type, buffer: &mut zmij::Buffer) -> &[u8] {
            if !value.is_finite() {
                return special(f64::from(value));
            }
            buffer.format_finite(value).as_bytes()
        })+
    };
}
floats! { single, f32; double, f64; }

/// Appends the string for the element at `index` of `tensor`, for which JSON
/// has no number.
pub fn write_special(tensor: &Tensor, index: usize, out: &mut Vec<u8>) {
    fn at<T: Element + Into<f64>>(tensor: &Tensor, index: usize) -> f64 {
        let elements = tensor.elements::<T>().unwrap_or_default();
        elements.get(index).map_or(f64::NAN, |&e| e.into())
    }
    let value = match tensor.dtype() {
        DType::F16 => at::<f16>(tensor, index),
        DType::BF16 => at::<bf16>(tensor, index),
        DType::F32 => at::<f32>(tensor, index),
        _ => at::<f64>(tensor, index),
    };
    out.extend_from_slice(special(value));
}

#[cold]
fn special(value: f64) -> &'static [u8] {
    if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    }
}

fn narrow_f16(value: f64) -> u16 {
    narrow::<10, 5>(value, |_| std::cmp::Ordering::Equal)
}

fn narrow_bf16(value: f64) -> u16 {
    narrow::<7, 8>(value, |_| std::cmp::Ordering::Equal)
}

/// The number of the fewest digits for which `is_same` holds, near `half`:
/// five digits tell any two halves apart.
fn shortest(half: f64, is_same: impl Fn(f64) -> bool) -> f64 {
    if half == 0.0 || !half.is_finite() {
        return half;
    }
    let first = decimal_place(half);
    for last in (first - 4..=first).rev() {
        let candidate = scaled((half / 10f64.powi(last)).round(), last);
        if is_same(candidate) {
            return candidate;
        }
    }
    half
}

/// The `f64` nearest to `digits` × 10^`power`: that is what its text reads
/// back as.
fn scaled(digits: f64, power: i32) -> f64 {
    match power {
        0..=22 => digits * 10f64.powi(power),
        -22..0 => digits / 10f64.powi(-power),
        _ => format!("{digits}e{power}").parse().unwrap_or(f64::NAN),
    }
}

/// The power of ten of the first digit of `value`.
#[expect(clippy::cast_possible_truncation, reason = "between -45 and 39")]
fn decimal_place(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}
