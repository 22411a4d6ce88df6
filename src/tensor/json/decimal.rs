//! Decimal text → binary floats, each rounded once, to the nearest and ties to
//! even.

use std::cmp::Ordering;

use half::{bf16, f16};

/// A JSON number, taken apart: ±`digits` × 10^`exponent`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal<'a> {
    /// The number as it stands.
    pub(super) text: &'a str,
    pub(super) is_negative: bool,
    /// All digits as one integer; of no use where `is_long`.
    pub(super) digits: u64,
    pub(super) exponent: i64,
    /// More digits than `digits` can hold.
    pub(super) is_long: bool,
}

/// Powers of ten that an `f64` holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Integers up to here are exact as an `f64`.
const EXACT: u64 = 1 << 53;

impl Decimal<'_> {
    /// The nearest `f64`, perhaps an infinity.
    #[inline]
    pub(super) fn to_f64(self) -> f64 {
        // Two exact operands: the one rounding of the operation is the result
        // (Clinger's fast path).
        match self.scaled() {
            Some(value) if self.digits <= EXACT => value,
            _ => self.text.parse().unwrap_or(f64::NAN),
        }
    }

    /// The nearest `f32`, perhaps an infinity.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    pub(super) fn to_f32(self) -> f32 {
        // `value` is off by at most two units in its last place. Rounding it
        // again gives the nearest `f32` unless the truth may lie on the other
        // side of a tie, or where an `f32` has fewer bits than usual.
        const TIE: u64 = 1 << 28;
        if let Some(value) = self.scaled() {
            let off = (value.to_bits() & (2 * TIE - 1)).abs_diff(TIE);
            let magnitude = value.abs();
            let is_normal = magnitude >= f64::from(f32::MIN_POSITIVE) && magnitude < 3.4e38;
            if value == 0.0 || (off > 4 && is_normal) {
                return value as f32;
            }
        }
        self.text.parse().unwrap_or(f32::NAN)
    }

    /// The nearest half, perhaps an infinity.
    #[inline]
    pub(super) fn to_f16(self) -> f16 {
        f16::from_bits(self.narrow::<10, 5>())
    }

    /// The nearest bfloat16, perhaps an infinity.
    #[inline]
    pub(super) fn to_bf16(self) -> bf16 {
        bf16::from_bits(self.narrow::<7, 8>())
    }

    /// `digits` × 10^`exponent` in one operation of `f64`, where both fit.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "the callers account for it")]
    fn scaled(self) -> Option<f64> {
        if self.is_long {
            return None;
        }
        let digits = if self.is_negative {
            -(self.digits as f64)
        } else {
            self.digits as f64
        };
        let ten = TENS.get(usize::try_from(self.exponent.unsigned_abs()).ok()?)?;
        Some(if self.exponent < 0 {
            digits / ten
        } else {
            digits * ten
        })
    }

    /// The bits of the nearest 16-bit float of so many fraction and exponent
    /// bits.
    fn narrow<const FRACTION: u32, const EXPONENT: u32>(self) -> u16 {
        // The nearest `f64` lies on the same side of every tie as the truth,
        // or on the tie itself: only then does the text decide.
        narrow::<FRACTION, EXPONENT>(self.to_f64(), |tie| self.compare(tie))
    }

    /// The number's magnitude against that of `value`, which has at most 12
    /// bits that count.
    #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
    fn compare(self, value: f64) -> Ordering {
        let value = value.abs();
        if !self.is_long && self.digits <= EXACT {
            let power = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(usize::MAX);
            let ten = TENS.get(power).copied().unwrap_or(f64::NAN);
            let digits = self.digits as f64;
            if self.exponent >= 0 && digits * ten <= EXACT as f64 {
                return (digits * ten)
                    .partial_cmp(&value)
                    .unwrap_or(Ordering::Equal);
            }
            // 12 bits and the 40 of 5^17 fit the 53 of an `f64`.
            if self.exponent < 0 && power <= 17 {
                return digits
                    .partial_cmp(&(value * ten))
                    .unwrap_or(Ordering::Equal);
            }
        }
        let exact = format!("{value:.180e}");
        significand(self.text).cmp(&significand(&exact))
    }
}

/// The bits of the 16-bit float nearest to `value`; where that lies midway
/// between two, `side` says on which side of it the truth lies.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "each is in range by the bounds checked before"
)]
pub(super) fn narrow<const FRACTION: u32, const EXPONENT: u32>(
    value: f64,
    side: impl FnOnce(f64) -> Ordering,
) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 63) as u16) << 15;
    let infinity = ((1u16 << EXPONENT) - 1) << FRACTION;
    if value.is_nan() {
        return infinity | 1 << (FRACTION - 1);
    }
    if value == 0.0 {
        return sign;
    }
    let bias = (1i32 << (EXPONENT - 1)) - 1;
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
    if exponent > bias {
        return sign | infinity;
    }
    // Subnormals share the exponent of the smallest normal.
    let shared = exponent.max(1 - bias);
    let drop = (52 - FRACTION as i32) + (shared - exponent);
    if drop > 53 {
        return sign;
    }
    let whole = bits & ((1 << 52) - 1) | 1 << 52;
    let kept = whole >> drop;
    let rest = whole & ((1 << drop) - 1);
    let up = match rest.cmp(&(1 << (drop - 1))) {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => match side(value) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => kept & 1 == 1,
        },
    };
    // The implicit bit of a normal adds the 1 that its exponent field lacks,
    // and a carry out of the fraction moves into it: infinity included.
    let field = (shared + bias - 1) as u64;
    sign | ((field << FRACTION) + kept + u64::from(up)) as u16
}

/// The place of the first digit that counts, and the digits from there to the
/// last that counts: numbers above zero compare as these do.
fn significand(text: &str) -> (i64, Vec<u8>) {
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.parse::<i64>().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let leading = digits().take_while(|d| *d == b'0').count();
    let mut kept: Vec<u8> = digits().skip(leading).collect();
    while kept.last() == Some(&b'0') {
        kept.pop();
    }
    let place = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let first = exponent
        .saturating_add(place(whole.len()))
        .saturating_sub(place(leading));
    (first, kept)
}
