//! Versions of models.

use std::{fmt, str::FromStr};

/// The version of a model: semver with a leading `v`, ordered as semver, so
/// that v1.10.0 is newer than v1.9.0 and v2.0.0-rc.1 older than v2.0.0.
/// Versions that differ only in build metadata (`+…`) are ordered by it, so
/// that the order is total.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(semver::Version);

impl Version {
    /// A version of three numbers.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// The number that a change of the signature raises.
    pub fn major(&self) -> u64 {
        self.0.major
    }

    /// The middle number.
    pub fn minor(&self) -> u64 {
        self.0.minor
    }

    /// The last number.
    pub fn patch(&self) -> u64 {
        self.0.patch
    }

    /// Whether it is a pre-release, such as v1.0.0-rc.1.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version is \"v\" and three numbers, such as v1.4.0, with an optional pre-release, such as v1.4.0-rc.1"
)]
pub struct InvalidVersion;

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        // A version is also a folder's name and a label: keep it short.
        text.strip_prefix('v')
            .filter(|_| text.len() <= 63)
            .and_then(|semver| semver::Version::parse(semver).ok())
            .map(Self)
            .ok_or(InvalidVersion)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn ordered_as_semver() {
        let order = [
            "v0.9.0",
            "v1.0.0-alpha",
            "v1.0.0-alpha.2",
            "v1.0.0-alpha.10",
            "v1.0.0-rc.1",
            "v1.0.0",
            "v1.9.0",
            "v1.10.0",
            "v2.0.0",
        ];
        for pair in order.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = format!("v1.0.0-{}", "a".repeat(60));
        for text in [
            "1.0.0", "v1", "v1.0", "v1.0.0.0", "v01.0.0", "V1.0.0", "v1.0.0 ", "", "v", &long,
        ] {
            let error = text.parse::<Version>().unwrap_err();
            assert!(error.to_string().contains("such as v1.4.0"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(a: u64, b: u64, c: u64) {
            let own = Version::new(a, b, c);
            if let Ok(back) = own.to_string().parse::<Version>() {
                prop_assert_eq!(back, own);
            }
        }

        #[test]
        fn numbers_order_it(a: (u32, u32, u32), b: (u32, u32, u32)) {
            let of = |(x, y, z): (u32, u32, u32)| Version::new(x.into(), y.into(), z.into());
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
        }
    }
}
