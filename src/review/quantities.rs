//! Numbers and sizes as people read them.

/// A number as people read it: three significant digits.
pub(super) fn number(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let size = number.abs();
    if !(1e-3..1e6).contains(&size) {
        return format!("{number:.2e}");
    }
    let text = match size {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        1.0.. => format!("{number:.2}"),
        0.1.. => format!("{number:.3}"),
        0.01.. => format!("{number:.4}"),
        _ => format!("{number:.5}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `number`, and nothing where it is lost beside `other`.
pub(super) fn beside(number: f64, other: f64) -> f64 {
    if number.abs() < other.abs() * 1e-5 {
        0.0
    } else {
        number
    }
}

/// A size as people read it.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (own, expected) in [
            (0.0, "0"),
            (48.0, "48"),
            (0.05123, "0.0512"),
            (-1.5, "-1.5"),
            (1234.5, "1234"),
            (1e-7, "1.00e-7"),
            (2.5e9, "2.50e9"),
        ] {
            assert_eq!(number(own), expected);
        }
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(275), "275 bytes");
        assert_eq!(size(1_234_567), "1.2 MB");
    }
}
