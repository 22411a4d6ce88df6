//! What tells one version of one model from every other.

use std::{fmt, sync::Arc};

use super::{Digest, Version};

/// The identity of a version: the same name, version and content are the
/// same servable, wherever they lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId {
    /// The model's name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Version,
    /// The digest of all that makes it up: the manifest, the path and sha256
    /// of each listed file, and the golden cases.
    pub content: Digest,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// A text that is no model's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a model's name is 1 to 63 of the characters a-z, 0-9, \".\", \"_\" and \"-\", and starts and ends with a letter or digit"
)]
pub struct InvalidName;

/// Checks a model's name: it is a folder's name, a part of a URL, and a label
/// of metrics and containers, so it is kept to what is plain in all of them.
///
/// # Errors
/// When it is not.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    let all = bytes.iter().all(|b| plain(b) || b"._-".contains(b));
    if ends && all && bytes.len() <= 63 {
        Ok(())
    } else {
        Err(InvalidName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "linear", "iris-2", "a.b_c", "0", &"a".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let bad = [
            "",
            "-a",
            "a-",
            ".",
            "..",
            "A",
            "a b",
            "a/b",
            "é",
            "a\n",
            "<b>",
            &"a".repeat(64),
        ];
        for name in bad {
            assert_eq!(check_name(name), Err(InvalidName), "{name:?}");
        }
    }
}
