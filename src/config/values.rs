//! Values of settings: what may be written, and the sentence where it may not.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use tracing_subscriber::EnvFilter;

use crate::{
    catalog::Watch,
    scheduler::{Background, Placement},
};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// As text on a terminal, as JSON elsewhere.
    #[default]
    Auto,
    /// As text.
    Text,
    /// As JSON, one object a line.
    Json,
}

/// One of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("\"{text}\" is not one of {}", words.join(", "))
    })
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    word(text, &[("true", true), ("false", false)])
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    let words = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
    ];
    word(text, &words)
}

pub(super) fn placement(text: &str) -> Result<Placement, String> {
    let words = [
        ("auto", Placement::Auto),
        ("inline", Placement::Inline),
        ("threads", Placement::Threads),
    ];
    word(text, &words)
}

pub(super) fn background(text: &str) -> Result<Background, String> {
    let words = [
        ("auto", None),
        ("idle", Some(Background::Idle)),
        ("nice", Some(Background::Nice)),
    ];
    Ok(word(text, &words)?.unwrap_or_else(Background::of_this_process))
}

pub(super) fn watch(text: &str) -> Result<Watch, String> {
    let words = [
        ("auto", Watch::Auto),
        ("poll", Watch::Poll),
        ("off", Watch::Off),
    ];
    word(text, &words)
}

pub(super) fn count(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| range.contains(n));
    number.ok_or_else(|| not_within(text, &range))
}

/// The same, where the range is of smaller numbers.
pub(super) fn number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.parse().ok().filter(|n| range.contains(n));
    number.ok_or_else(|| not_within(text, &range))
}

fn not_within<T: std::fmt::Display>(text: &str, range: &RangeInclusive<T>) -> String {
    let (least, most) = (range.start(), range.end());
    format!("\"{text}\" is not a whole number from {least} to {most}")
}

/// A duration, or `off`.
pub(super) fn limit(text: &str) -> Result<Option<std::time::Duration>, String> {
    match text {
        "off" => Ok(None),
        text => super::units::duration(text).map(Some),
    }
}

pub(super) fn not_empty(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        return Err("the value is empty: write one, or leave the setting out".to_owned());
    }
    Ok(text)
}

/// Paths with commas between them.
pub(super) fn files(text: &str) -> Result<Vec<PathBuf>, String> {
    let files = text.split(',').map(str::trim);
    files
        .map(|file| not_empty(file).map(PathBuf::from))
        .collect()
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        let remedy = match text.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!(
                "write 0.0.0.0:{port} for every network, or 127.0.0.1:{port} for this machine alone"
            ),
            Err(_) => {
                "write an IP address and a port, such as 0.0.0.0:8080 or [::]:8080".to_owned()
            }
        };
        format!("\"{text}\" is not an address: {remedy}")
    })
}

/// A filter as `tracing` writes it: `info`, or `warn,modelship=debug`.
pub(super) fn filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let wrong = |part: &str, why: &str| {
        Err(format!(
            "\"{part}\" is not a level{why}: write one of {}, or levels by module, such as \
             warn,modelship=debug",
            LEVELS.join(", ")
        ))
    };
    for part in text.split(',').map(str::trim) {
        // `tracing` would read a misspelt level as a module's name, and log
        // nothing but that module.
        let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
        if !is_level && !part.contains(['=', '[']) {
            return wrong(part, "");
        }
        if let Err(error) = EnvFilter::builder().parse(part) {
            return wrong(part, &format!(" by module ({error})"));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("[::]:80", "[::]:80"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), expected);
        }
        for (text, remedy) in [
            ("8080", "0.0.0.0:8080"),
            (":9000", "0.0.0.0:9000"),
            ("localhost", "such as 0.0.0.0:8080"),
            ("0.0.0.0:99999", "such as 0.0.0.0:8080"),
            ("", "such as"),
        ] {
            let message = address(text).unwrap_err();
            assert!(message.contains(remedy), "{text}: {message}");
        }
    }

    #[test]
    fn filters() {
        for text in [
            "info",
            "WARN",
            "warn,modelship=debug",
            "off,modelship::catalog=trace",
        ] {
            assert_eq!(filter(text).as_deref(), Ok(text));
        }
        for text in ["", "inof", "info,", "modelship=loud", "verbose"] {
            let message = filter(text).unwrap_err();
            assert!(
                message.contains("warn,modelship=debug"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn counts_have_bounds() {
        assert_eq!(count("3", 1..=8), Ok(3));
        for text in ["0", "9", "-1", "1.0", "", "three"] {
            assert_eq!(
                count(text, 1..=8),
                Err(format!("\"{text}\" is not a whole number from 1 to 8"))
            );
        }
    }
}
