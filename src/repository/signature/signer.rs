//! Who signed a version, and whether that is proved.

use std::fmt;

/// Who signed a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The holder of the key of this sha256.
    Key(String),
    /// The holder of a certificate.
    Certificate {
        /// Whom it is for, as RFC 4514 writes names.
        subject: String,
        /// The authority that made it, in the same form.
        issuer: String,
        /// The sha256 of its DER.
        sha256: String,
    },
    /// Who proved that they are somebody, and has no key of their own.
    Identity {
        /// An address or a URI.
        identity: String,
        /// Whom they proved it to: a URL.
        issuer: String,
    },
}

impl Signer {
    /// Whether this is the signer `before` with another certificate: of the
    /// same name, by an authority of the same name. As long as nobody has
    /// verified either, this is what the files say, and no proof.
    fn renews(&self, before: &Signer) -> bool {
        let names = |signer: &Signer| match signer {
            Signer::Certificate {
                subject, issuer, ..
            } => Some((subject.clone(), issuer.clone())),
            Signer::Key(_) | Signer::Identity { .. } => None,
        };
        self != before && names(self).is_some() && names(self) == names(before)
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signer::Key(sha256) => write!(f, "key {sha256}"),
            Signer::Certificate {
                subject, sha256, ..
            } => write!(f, "certificate {sha256} of {subject}"),
            Signer::Identity { identity, issuer } => write!(f, "{identity} of {issuer}"),
        }
    }
}

/// What a signature says that nobody has verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// Whom it names.
    pub signer: Option<Signer>,
    /// Why nobody could verify it: it can't be read, or is on other files.
    pub fault: Option<String>,
}

/// What is known of a version's signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Signed {
    /// There is none.
    #[default]
    Unsigned,
    /// There is one, and nobody's signature counts.
    Unchecked(Claim),
    /// It holds.
    By(Signer),
}

impl Signed {
    /// The state in a word, for the metrics.
    pub fn state(&self) -> &'static str {
        match self {
            Signed::Unsigned => "unsigned",
            Signed::Unchecked(_) => "unchecked",
            Signed::By(_) => "verified",
        }
    }

    /// Whom it names, as far as that can be read.
    fn signer(&self) -> Option<&Signer> {
        match self {
            Signed::Unsigned => None,
            Signed::Unchecked(claim) => claim.signer.as_ref(),
            Signed::By(signer) => Some(signer),
        }
    }

    /// Whether it is by the signer of `before`, whose certificate was renewed:
    /// subject and authority are the same.
    pub fn renews(&self, before: &Signed) -> bool {
        let both = self.signer().zip(before.signer());
        both.is_some_and(|(own, before)| own.renews(before))
    }

    /// What the files themselves say of who signed, for a comparison; empty
    /// where nobody did.
    pub fn claim(&self) -> String {
        match self {
            Signed::Unsigned => String::new(),
            Signed::Unchecked(claim) => {
                let signer = claim.signer.as_ref().map(ToString::to_string);
                let signer = signer.unwrap_or_else(|| "somebody".to_owned());
                match &claim.fault {
                    Some(fault) => format!("{signer}, and can't hold: {fault}"),
                    None => signer,
                }
            }
            Signed::By(signer) => signer.to_string(),
        }
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signed::Unsigned => f.write_str("unsigned"),
            Signed::Unchecked(_) => f.write_str("not checked"),
            Signed::By(signer) => write!(f, "verified by {signer}"),
        }
    }
}
