//! The words of JSON: white space, numbers and strings, one at a time.

use super::decimal::Decimal;

/// A place in JSON text.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// How many lists and objects the place stands in, of those that were said.
    depth: usize,
    /// The most of them.
    deepest: usize,
}

/// The most digits that always fit a `u64`.
const MOST_DIGITS: usize = 19;

impl<'a> Scanner<'a> {
    /// The beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self::within(text, usize::MAX)
    }

    /// The same, where lists and objects may stand `deepest` deep in each other.
    pub fn within(text: &'a str, deepest: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            deepest,
        }
    }

    /// Says that what comes next stands in one more list or object, or in one
    /// less.
    pub fn stand(&mut self, deeper: bool) {
        self.depth = if deeper {
            self.depth + 1
        } else {
            self.depth.saturating_sub(1)
        };
    }

    /// Whether `more` lists or objects within each other would be too deep
    /// here.
    pub fn is_too_deep(&self, more: usize) -> bool {
        self.depth.saturating_add(more) > self.deepest
    }

    /// How deep lists and objects may stand in each other.
    pub fn deepest(&self) -> usize {
        self.deepest
    }

    /// The next byte that is not white space, left where it is.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes over `byte` if it comes next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes over `word` if it comes next.
    pub fn take_word(&mut self, word: &str) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let found = rest.starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// The number that comes next. `None`, and nothing passed over, where
    /// there is none that JSON allows.
    #[inline]
    pub(super) fn number(&mut self) -> Option<Decimal<'a>> {
        let start = self.at;
        let mut at = start;
        let is_negative = self.bytes.get(at) == Some(&b'-');
        at += usize::from(is_negative);

        let whole = at;
        let mut digits = 0;
        at = self.digits(at, &mut digits);
        let mut count = at - whole;
        if count == 0 || (count > 1 && self.bytes[whole] == b'0') {
            return None;
        }
        let mut exponent = 0i64;
        if self.bytes.get(at) == Some(&b'.') {
            let fraction = at + 1;
            at = self.digits(fraction, &mut digits);
            let length = at - fraction;
            if length == 0 {
                return None;
            }
            count += length;
            exponent = i64::try_from(length).map_or(i64::MIN, |n| -n);
        }
        if matches!(self.bytes.get(at), Some(b'e' | b'E')) {
            let (power, end) = self.power(at + 1)?;
            exponent = exponent.saturating_add(power);
            at = end;
        }
        self.at = at;
        Some(Decimal {
            text: &self.text[start..at],
            is_negative,
            digits,
            exponent,
            is_long: count > MOST_DIGITS,
        })
    }

    /// Adds the digits from `at` on to `value`, and gives where they end.
    #[inline]
    fn digits(&self, mut at: usize, value: &mut u64) -> usize {
        while let Some(eight) = self.bytes.get(at..at + 8) {
            let word = u64::from_le_bytes(eight.try_into().unwrap_or_default());
            if !is_eight_digits(word) {
                break;
            }
            *value = value
                .wrapping_mul(100_000_000)
                .wrapping_add(eight_digits(word));
            at += 8;
        }
        while let Some(digit) = self.bytes.get(at).map(|b| b.wrapping_sub(b'0'))
            && digit < 10
        {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        at
    }

    fn power(&self, mut at: usize) -> Option<(i64, usize)> {
        let sign = self.bytes.get(at);
        let is_negative = sign == Some(&b'-');
        at += usize::from(matches!(sign, Some(b'-' | b'+')));
        let start = at;
        let mut power = 0i64;
        while let Some(digit) = self.bytes.get(at).map(|b| b.wrapping_sub(b'0'))
            && digit < 10
        {
            power = power.saturating_mul(10).saturating_add(i64::from(digit));
            at += 1;
        }
        (at > start).then_some((if is_negative { -power } else { power }, at))
    }

    /// The string that comes next, without its escapes. `None` where there is
    /// none that JSON allows.
    pub fn string(&mut self) -> Option<String> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let length = self.bytes[start..]
            .iter()
            .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))?;
        let plain = &self.text[start..start + length];
        self.at = start + length;
        if self.bytes[self.at] == b'"' {
            self.at += 1;
            return Some(plain.to_owned());
        }
        let mut string = plain.to_owned();
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(string);
                }
                b'\\' => string.push(self.escape()?),
                0..=0x1f => return None,
                _ => {
                    let rest = &self.bytes[self.at..];
                    let end = rest
                        .iter()
                        .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))?;
                    string.push_str(&self.text[self.at..self.at + end]);
                    self.at += end;
                }
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let kind = *self.bytes.get(self.at + 1)?;
        self.at += 2;
        Some(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return None,
        })
    }

    /// What follows `\u`: one unit of UTF-16, or a pair of them.
    fn code_point(&mut self) -> Option<char> {
        let first = self.unit()?;
        if (0xd800..0xdc00).contains(&first) {
            if !self.take_word("\\u") {
                return None;
            }
            let second = self.unit()?;
            if !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        }
        char::from_u32(first)
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let mut unit = 0;
        for &digit in digits {
            unit = unit << 4 | char::from(digit).to_digit(16)?;
        }
        self.at += 4;
        Some(unit)
    }

    /// Passes over the value that comes next, and gives its text. Brackets
    /// are matched and strings are whole; what stands between is not looked
    /// at. `None` where there is no whole value; and where it is too deep, which
    /// leaves the scanner at the bracket that is.
    pub fn skip(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => self.skip_string()?,
                b'[' | b'{' => {
                    depth += 1;
                    if self.is_too_deep(depth) {
                        self.depth += depth - 1;
                        return None;
                    }
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if depth > 0 => {
                    let rest = self.bytes.get(self.at..)?;
                    self.at += rest
                        .iter()
                        .position(|b| matches!(b, b'"' | b'[' | b']' | b'{' | b'}'))?;
                }
                _ if matches!(first, b',' | b':') => return None,
                // A word or a number ends where the next sign begins.
                _ => {
                    let rest = self.bytes.get(self.at..)?;
                    self.at += rest
                        .iter()
                        .position(|b| {
                            matches!(b, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}')
                                || b.is_ascii_whitespace()
                        })
                        .unwrap_or(rest.len());
                }
            }
            if depth == 0 {
                return self.text.get(start..self.at);
            }
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let next = rest.iter().position(|b| matches!(b, b'"' | b'\\'))?;
            self.at += next;
            if self.bytes.get(self.at) == Some(&b'"') {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }

    /// What has not been passed over.
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Where the scanner stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// A piece of the text from `start` on that is short enough to show: one
    /// word, or the beginning of a string.
    pub(super) fn shown(&self, start: usize) -> String {
        const MOST: usize = 40;
        let rest = self.text.get(start..).unwrap_or_default();
        let mut is_string = false;
        let end = rest
            .char_indices()
            .find(|&(i, c)| {
                is_string |= i == 0 && c == '"';
                let ends = if is_string {
                    i > 0 && c == '"'
                } else {
                    i > 0 && matches!(c, ',' | ']' | '}' | ' ' | '\n' | '\r' | '\t')
                };
                ends || i >= MOST
            })
            .map_or(rest.len(), |(i, _)| i);
        let whole = &rest[..end];
        let whole = if is_string && rest[end..].starts_with('"') {
            &rest[..=end]
        } else {
            whole
        };
        let dots = if end >= MOST { "…" } else { "" };
        format!(
            "{}{dots}",
            whole.escape_debug().to_string().replace("\\\"", "\"")
        )
    }
}

/// Whether all eight bytes are digits (Johnny Lee's test).
#[inline]
fn is_eight_digits(word: u64) -> bool {
    let high = word.wrapping_add(0x4646_4646_4646_4646);
    let low = word.wrapping_sub(0x3030_3030_3030_3030);
    (high | low) & 0x8080_8080_8080_8080 == 0
}

/// The value of eight digits, the first in the lowest byte: pairs, then
/// fours, then all eight.
#[inline]
fn eight_digits(word: u64) -> u64 {
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    let word = word - 0x3030_3030_3030_3030;
    let word = word.wrapping_mul(10).wrapping_add(word >> 8);
    let low = (word & MASK).wrapping_mul(100 + (1_000_000 << 32));
    let high = (word >> 16 & MASK).wrapping_mul(1 + (10_000 << 32));
    low.wrapping_add(high) >> 32
}
