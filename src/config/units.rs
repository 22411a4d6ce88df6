//! Durations and sizes as people write them.

use std::{ops::RangeInclusive, time::Duration};

const DURATIONS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A duration such as `250ms`, `5s` or `1m30s`; `0` needs no unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a duration: write a number with its unit, such as 250ms, 5s or 1m30s"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let part = leading_number(rest)
            .and_then(|(number, after)| {
                let unit_length = after
                    .find(|c: char| c.is_ascii_digit())
                    .unwrap_or(after.len());
                let (unit, after) = after.split_at(unit_length);
                let (_, scale) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
                Some((number.checked_mul(*scale)?, after))
            })
            .ok_or_else(wrong)?;
        sum = sum.checked_add(part.0).ok_or_else(wrong)?;
        rest = part.1;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_nanos(sum))
}

/// A duration above 0.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!(
            "\"{text}\" would leave no time at all: write a duration above 0, such as 15s"
        )),
        time => Ok(time),
    }
}

/// A size within `range`.
pub(super) fn size_within(text: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let size = size(text)?;
    if range.contains(&size) {
        return Ok(size);
    }
    let (least, most) = (range.start(), range.end());
    Err(format!(
        "\"{text}\" is not within what can be: write a size from {} to {}",
        written(*least),
        written(*most)
    ))
}

/// `size` as it is written in settings, with the largest unit that divides it.
fn written(size: usize) -> String {
    let binary = ["GiB", "MiB", "KiB", "B"].into_iter().zip([30, 20, 10, 0]);
    let unit = binary
        .into_iter()
        .find(|(_, bits)| size.is_multiple_of(1 << bits));
    let (name, bits) = unit.unwrap_or(("B", 0));
    format!("{}{name}", size >> bits)
}

/// A size in bytes such as `64MiB`, `10MB` or `4096`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    leading_number(text)
        .and_then(|(number, unit)| {
            let unit = unit.trim_start();
            let scale = if unit.is_empty() {
                1
            } else {
                SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1
            };
            usize::try_from(number.checked_mul(scale)?).ok().filter(|size| *size > 0)
        })
        .ok_or_else(|| {
            format!("\"{text}\" is not a size above 0: write bytes, or a number with its unit, such as 64MiB or 10MB")
        })
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let length = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("250ms", Duration::from_millis(250)),
            ("5s", Duration::from_secs(5)),
            ("1m30s", Duration::from_secs(90)),
            ("100us", Duration::from_micros(100)),
            ("100µs", Duration::from_micros(100)),
            ("2h", Duration::from_hours(2)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "5S",
            "1d",
            "99999999999h",
            "5s5",
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.contains("250ms"), "{text}: {message}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("4096", 4096),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1GiB", 1 << 30),
            ("10MB", 10_000_000),
            ("3kB", 3000),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "MiB", "-1", "1.5MiB", "64M", "99999999999GiB"] {
            let message = size(text).unwrap_err();
            assert!(message.contains("64MiB"), "{text}: {message}");
        }
    }

    #[test]
    fn what_may_not_be_nothing_or_must_lie_within() {
        assert_eq!(time("15s"), Ok(Duration::from_secs(15)));
        for text in ["0", "0s", "0h0m"] {
            assert!(time(text).unwrap_err().contains("above 0"), "{text}");
        }
        let range = 8 << 10..=16 << 20;
        for (text, size) in [("8KiB", 8 << 10), ("16MiB", 16 << 20), ("64kB", 64_000)] {
            assert_eq!(size_within(text, &range), Ok(size));
        }
        for text in ["8191", "1B", "17MiB"] {
            let message = size_within(text, &range).unwrap_err();
            assert!(message.contains("from 8KiB to 16MiB"), "{message}");
        }
        for (size, text) in [(1 << 30, "1GiB"), (1536, "1536B"), (3 << 20, "3MiB")] {
            assert_eq!(written(size), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".*") {
            let _ = (duration(&text), size(&text));
        }
    }
}
