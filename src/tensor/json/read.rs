//! JSON → tensor elements, straight into the tensor's own vector.

use half::{bf16, f16};

use super::{decimal::Decimal, scan::Scanner};
use crate::{
    error::{Error, Result},
    tensor::{DType, MOST_DIMENSIONS, Shape, Tensor},
};

/// Reads the JSON array `json` as the elements of a tensor: flat, or nested as
/// `shape` says. `name` is the tensor's, for errors.
///
/// # Errors
/// `Invalid`, with the tensor's name, the index and the value that does not
/// fit its type, or the nesting or the number of elements that does not fit
/// the shape.
pub fn read_data(name: &str, dtype: DType, shape: Shape, json: &str) -> Result<Tensor> {
    let mut scanner = Scanner::new(json);
    let tensor = read_next(name, dtype, shape, &mut scanner)?;
    match scanner.peek() {
        None => Ok(tensor),
        Some(byte) => Err(Error::invalid(format!(
            "the tensor \"{name}\": its data goes on after its end, with \"{}\"",
            char::from(byte).escape_debug()
        ))),
    }
}

/// [`read_data`], of the data that comes next in a longer text.
///
/// # Errors
/// As [`read_data`].
pub fn read_next(
    name: &str,
    dtype: DType,
    shape: Shape,
    scanner: &mut Scanner<'_>,
) -> Result<Tensor> {
    macro_rules! read {
        ($type:ty, $new:expr) => {
            collect::<$type>(dtype, &shape, scanner).and_then(|e| $new(shape, e))
        };
    }
    by_type!(dtype, read).map_err(|e| e.within(format_args!("the tensor \"{name}\"")))
}

fn collect<T: Element>(dtype: DType, shape: &Shape, scanner: &mut Scanner<'_>) -> Result<Vec<T>> {
    let expected = shape
        .elements()
        .ok_or_else(|| Error::invalid(format!("the shape {shape} is larger than memory")))?;
    if shape.len() > MOST_DIMENSIONS {
        return Err(Error::invalid(format!(
            "it has {} dimensions, and {MOST_DIMENSIONS} are the most",
            shape.len()
        )));
    }
    // A claimed shape must not allocate more than the text could fill: each
    // element takes at least two characters.
    let most = scanner.rest().len() / 2 + 1;
    let mut reader = Reader {
        scanner,
        dtype,
        shape,
        expected,
        out: Vec::with_capacity(expected.min(most)),
    };
    reader.whole()?;
    Ok(reader.out)
}

/// Reads the elements of one tensor.
struct Reader<'s, 'a, T> {
    scanner: &'s mut Scanner<'a>,
    dtype: DType,
    shape: &'s Shape,
    expected: usize,
    out: Vec<T>,
}

impl<T: Element> Reader<'_, '_, T> {
    fn whole(&mut self) -> Result<()> {
        match self.scanner.peek() {
            Some(b'[') => {}
            // The nested form of a scalar is no list at all.
            Some(_) if self.shape.is_empty() => return self.element(),
            _ => return Err(self.malformed("is not a list of elements")),
        }
        let mut ahead = Scanner::new(self.scanner.rest());
        if ahead.take(b'[') && ahead.peek() == Some(b'[') {
            if self.shape.len() < 2 {
                return Err(Error::invalid(format!(
                    "its data is nested, and the shape {} is not: give one flat list",
                    self.shape
                )));
            }
            if self.scanner.is_too_deep(self.shape.len()) {
                return Err(Error::invalid(format!(
                    "its data is nested {} deep, and with what it stands in that is more than {}, \
                     which the setting max-json-depth raises; give one flat list",
                    self.shape.len(),
                    self.scanner.deepest()
                )));
            }
            return self.level(0);
        }
        self.list(self.expected)?;
        if self.out.len() < self.expected {
            return Err(Error::invalid(format!(
                "{} elements do not fill the shape {}, which takes {}",
                self.out.len(),
                self.shape,
                self.expected
            )));
        }
        Ok(())
    }

    /// Reads the lists of dimension `depth` and all within.
    fn level(&mut self, depth: usize) -> Result<()> {
        let size = self.shape[depth];
        let is_innermost = depth + 1 == self.shape.len();
        if self.scanner.peek() != Some(b'[') {
            return Err(self.ragged(depth, "a single element stands where a list is due"));
        }
        if is_innermost {
            let before = self.out.len();
            self.list(before + size)?;
            if self.out.len() - before != size {
                return Err(self.ragged(depth, "a list has too few elements"));
            }
            return Ok(());
        }
        self.scanner.take(b'[');
        let mut count = 0;
        if !self.scanner.take(b']') {
            loop {
                if count == size {
                    return Err(self.ragged(depth, "a list has too many parts"));
                }
                self.level(depth + 1)?;
                count += 1;
                if self.scanner.take(b',') {
                    continue;
                }
                if self.scanner.take(b']') {
                    break;
                }
                return Err(self.malformed("lacks a comma or a bracket"));
            }
        }
        if count == size {
            Ok(())
        } else {
            Err(self.ragged(depth, "a list has too few parts"))
        }
    }

    /// Reads a list without lists in it, until there are `most` elements in
    /// all.
    #[inline]
    fn list(&mut self, most: usize) -> Result<()> {
        self.scanner.take(b'[');
        if self.scanner.take(b']') {
            return Ok(());
        }
        loop {
            if self.out.len() == most {
                if most < self.expected {
                    return Err(self.ragged(self.shape.len() - 1, "a list has too many elements"));
                }
                return Err(Error::invalid(format!(
                    "it has more elements than the {} of its shape {}",
                    self.expected, self.shape
                )));
            }
            self.element()?;
            if self.scanner.take(b',') {
                continue;
            }
            if self.scanner.take(b']') {
                return Ok(());
            }
            return Err(self.malformed("lacks a comma or a bracket"));
        }
    }

    #[inline]
    fn element(&mut self) -> Result<()> {
        let first = self.scanner.peek();
        let start = self.scanner.at();
        if let Some(first) = first
            && let Some(element) = T::read(first, self.scanner)
        {
            self.out.push(element);
            return Ok(());
        }
        Err(self.unfit(first, start))
    }

    #[cold]
    fn unfit(&self, first: Option<u8>, start: usize) -> Error {
        match first {
            None => self.malformed("ends before its last bracket"),
            Some(b'[') => self.ragged(
                self.shape.len().saturating_sub(1),
                "a list stands where an element is due",
            ),
            Some(_) => Error::invalid(format!(
                "the value {} at index {} does not fit {}",
                self.scanner.shown(start),
                self.out.len(),
                self.dtype
            )),
        }
    }

    #[cold]
    fn malformed(&self, what: &str) -> Error {
        Error::invalid(format!(
            "its data {what} (after {} elements): it must be a JSON list",
            self.out.len()
        ))
    }

    #[cold]
    fn ragged(&self, depth: usize, what: &str) -> Error {
        Error::invalid(format!(
            "its data is not nested as the shape {} says: {what}, in dimension {depth}, after {} \
             elements; nest it so, or give one flat list",
            self.shape,
            self.out.len()
        ))
    }
}

/// An element as it may stand in JSON.
pub(super) trait Element: Sized {
    /// Reads the element that begins with `first`. `None` for what does not
    /// fit the type.
    fn read(first: u8, scanner: &mut Scanner<'_>) -> Option<Self>;
}

impl Element for bool {
    fn read(first: u8, scanner: &mut Scanner<'_>) -> Option<Self> {
        match first {
            b't' => scanner.take_word("true").then_some(true),
            b'f' => scanner.take_word("false").then_some(false),
            _ => match u8::read(first, scanner)? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }
    }
}

impl Element for String {
    fn read(_first: u8, scanner: &mut Scanner<'_>) -> Option<Self> {
        scanner.string()
    }
}

macro_rules! integers {
    ($($type:ty),+) => {
        $(impl Element for $type {
            #[inline]
            fn read(_first: u8, scanner: &mut Scanner<'_>) -> Option<Self> {
                let number = scanner.number()?;
                let magnitude = if number.exponent == 0 && !number.is_long {
                    i128::from(number.digits)
                } else {
                    integral(number)?
                };
                Self::try_from(if number.is_negative { -magnitude } else { magnitude }).ok()
            }
        })+
    };
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

/// The magnitude of a number written otherwise than as a short integer, where
/// it is integral: `3.0` and `1e3` are integers to many writers of JSON.
#[cold]
fn integral(number: Decimal<'_>) -> Option<i128> {
    if number.is_long {
        let digits = number.text.trim_start_matches('-');
        return digits.parse::<u64>().ok().map(i128::from);
    }
    if number.digits == 0 {
        return Some(0);
    }
    let power = u32::try_from(number.exponent.unsigned_abs()).ok()?;
    let scale = 10i128.checked_pow(power)?;
    let digits = i128::from(number.digits);
    if number.exponent >= 0 {
        digits.checked_mul(scale)
    } else {
        (digits % scale == 0).then_some(digits / scale)
    }
}

macro_rules! floats {
    ($($type:ty, $nearest:ident;)+) => {
        $(impl Element for $type {
            #[inline]
            fn read(first: u8, scanner: &mut Scanner<'_>) -> Option<Self> {
                if first == b'"' {
                    return special(scanner).map(|(n, i)| match (n, i) {
                        (_, false) => <$type>::NAN,
                        (false, true) => <$type>::INFINITY,
                        (true, true) => <$type>::NEG_INFINITY,
                    });
                }
                Some(scanner.number()?.$nearest()).filter(|value| value.is_finite())
            }
        })+
    };
}
floats! { f16, to_f16; bf16, to_bf16; f32, to_f32; f64, to_f64; }

/// The strings for what JSON has no number for: whether it is negative, and
/// whether it is infinite.
#[cold]
fn special(scanner: &mut Scanner<'_>) -> Option<(bool, bool)> {
    [
        ("\"NaN\"", (false, false)),
        ("\"Infinity\"", (false, true)),
        ("\"-Infinity\"", (true, true)),
    ]
    .into_iter()
    .find(|(word, _)| scanner.take_word(word))
    .map(|(_, value)| value)
}
