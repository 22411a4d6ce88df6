//! Which of a model's versions should be served.

use std::{fmt, str::FromStr};

use crate::repository::{Candidate, Version};

/// Which versions are aspired, as in Triton's version policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VersionPolicy {
    /// Every version in the repository.
    #[default]
    All,
    /// The newest so many of each model.
    Latest(usize),
    /// These.
    Specific(Vec<Version>),
}

impl VersionPolicy {
    /// The candidates to serve, of all that the source offers.
    pub fn aspired(&self, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        match self {
            VersionPolicy::All => candidates,
            VersionPolicy::Specific(versions) => {
                candidates.retain(|c| versions.contains(&c.id.version));
                candidates
            }
            VersionPolicy::Latest(count) => {
                candidates
                    .sort_by(|a, b| (&a.id.name, &b.id.version).cmp(&(&b.id.name, &a.id.version)));
                let mut kept: Vec<Candidate> = Vec::with_capacity(candidates.len());
                for candidate in candidates {
                    let before = kept
                        .iter()
                        .rev()
                        .take_while(|k| k.id.name == candidate.id.name)
                        .count();
                    if before < *count {
                        kept.push(candidate);
                    }
                }
                kept
            }
        }
    }
}

impl fmt::Display for VersionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionPolicy::All => f.write_str("all"),
            VersionPolicy::Latest(n) => write!(f, "latest:{n}"),
            VersionPolicy::Specific(versions) => {
                let versions: Vec<String> = versions.iter().map(Version::to_string).collect();
                write!(f, "specific:{}", versions.join(","))
            }
        }
    }
}

impl FromStr for VersionPolicy {
    type Err = String;

    /// `all`, `latest`, `latest:2`, or `specific:v1.0.0,v1.1.0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not a version policy: write all, latest:N, or \
                 specific:v1.0.0,v1.1.0"
            )
        };
        match text.split_once(':') {
            None if text == "all" => Ok(VersionPolicy::All),
            None if text == "latest" => Ok(VersionPolicy::Latest(1)),
            Some(("latest", n)) => match n.parse() {
                Ok(n) if n > 0 => Ok(VersionPolicy::Latest(n)),
                _ => Err(wrong()),
            },
            Some(("specific", list)) => list
                .split(',')
                .map(|v| v.trim().parse().map_err(|_| wrong()))
                .collect::<Result<_, _>>()
                .map(VersionPolicy::Specific),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_back() {
        for text in ["all", "latest:2", "specific:v1.0.0,v2.0.0-rc.1"] {
            assert_eq!(text.parse::<VersionPolicy>().unwrap().to_string(), text);
        }
        for wrong in ["", "latest:0", "latest:x", "specific:1", "some"] {
            assert!(wrong.parse::<VersionPolicy>().is_err(), "{wrong}");
        }
    }
}
