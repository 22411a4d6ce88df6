//! Whose signatures count.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    FileError, Signer,
    bundle::{Bundle, Material},
    certificate::Authorities,
    key::PublicKey,
    keyless::Keyless,
    statement::Statement,
};

/// Whose signatures count, as settings name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signers {
    /// Files of public keys, each PEM.
    pub keys: Vec<PathBuf>,
    /// Files of certificates of authorities, PEM.
    pub authorities: Vec<PathBuf>,
    /// Who signs without a key of their own: an address or a URI.
    pub identity: Option<String>,
    /// Whom they proved that to: a URL.
    pub issuer: Option<String>,
    /// Sigstore's trusted root, a file of JSON.
    pub trust_root: Option<PathBuf>,
    /// Whether a version without a signature is refused.
    pub require: bool,
}

impl Signers {
    /// Whether anybody is named.
    pub fn is_empty(&self) -> bool {
        let keyless = self.identity.is_some() || self.issuer.is_some();
        self.keys.is_empty() && self.authorities.is_empty() && !keyless && self.trust_root.is_none()
    }
}

/// Whose signatures count, ready to verify.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: Vec<PublicKey>,
    authorities: Authorities,
    keyless: Option<Keyless>,
    require: bool,
}

/// Why there is no trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file is not what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// Of three that need each other, one is missing.
    #[error("an identity, its issuer and a trust root need each other")]
    Incomplete,
}

/// Whose signatures count now: files may be renewed while the service runs.
/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trusted(Arc<Now>);

#[derive(Debug, Default)]
struct Now {
    trust: ArcSwap<Trust>,
    renewals: AtomicU64,
}

impl Trusted {
    /// `trust`, until it is renewed.
    pub fn new(trust: Trust) -> Self {
        let trusted = Self::default();
        trusted.0.trust.store(Arc::new(trust));
        trusted
    }

    /// Trust as it is now.
    pub fn now(&self) -> Arc<Trust> {
        self.0.trust.load_full()
    }

    /// From now on `trust` holds.
    pub fn renew(&self, trust: Trust) {
        self.0.trust.store(Arc::new(trust));
        // After it: who sees the count sees what is counted.
        self.0.renewals.fetch_add(1, Ordering::Release);
    }

    /// How often it was renewed.
    pub fn renewals(&self) -> u64 {
        self.0.renewals.load(Ordering::Acquire)
    }
}

impl Signers {
    /// The files that are named.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.keys.iter().chain(&self.authorities);
        files.chain(&self.trust_root).map(PathBuf::as_path)
    }
}

impl Trust {
    /// Trust in `signers`.
    ///
    /// # Errors
    /// The first file that can't be used.
    pub fn load(signers: &Signers) -> Result<Self, TrustError> {
        let keys = signers.keys.iter().map(|file| PublicKey::load(file));
        let keys = keys.collect::<Result<_, _>>()?;
        let mut authorities = Authorities::default();
        for file in &signers.authorities {
            authorities.add(file)?;
        }
        let keyless = match (&signers.trust_root, &signers.identity, &signers.issuer) {
            (None, None, None) => None,
            (Some(root), Some(identity), Some(issuer)) => {
                Some(Keyless::load(Path::new(root), identity, issuer)?)
            }
            _ => return Err(TrustError::Incomplete),
        };
        Ok(Self {
            keys,
            authorities,
            keyless,
            require: signers.require,
        })
    }

    /// Whether a version without a signature is refused.
    pub fn requires(&self) -> bool {
        self.require
    }

    /// Whether there is nobody whose signature counts.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.authorities.is_empty() && self.keyless.is_none()
    }

    /// Who signed `bundle`, which stands in `text`, and what.
    pub(super) fn verify(
        &self,
        text: &[u8],
        bundle: &Bundle,
    ) -> Result<(Signer, Statement), String> {
        let signer = match &bundle.material {
            Material::Key(hint) => self.by_key(bundle, hint.as_deref())?,
            Material::Chain(chain) => {
                if self.authorities.is_empty() {
                    return Err(
                        "it is signed by a certificate, and no authority is trusted: see \
                                --certificate-authority"
                            .to_owned(),
                    );
                }
                let (key, signer) = self.authorities.verify(chain)?;
                if !key.verifies(&bundle.message(), &bundle.signature) {
                    return Err("the signature does not verify".to_owned());
                }
                signer
            }
            Material::Keyless(_) => {
                let Some(keyless) = &self.keyless else {
                    return Err(
                        "it is signed without a key, and no identity is trusted: see \
                                --signer-identity"
                            .to_owned(),
                    );
                };
                let statement = Statement::parse(&bundle.payload)?;
                let signer = keyless.verify(text, &bundle.payload, &statement.root)?;
                return Ok((signer, statement));
            }
        };
        Ok((signer, Statement::parse(&bundle.payload)?))
    }

    fn by_key(&self, bundle: &Bundle, named: Option<&str>) -> Result<Signer, String> {
        let message = bundle.message();
        let mut known = false;
        for key in &self.keys {
            let hint = key.hint();
            if named.is_some_and(|named| named != hint) {
                continue;
            }
            known = true;
            if key.verifies(&message, &bundle.signature) {
                return Ok(Signer::Key(hint));
            }
        }
        Err(match known {
            true => "the signature does not verify".to_owned(),
            false => "it is signed by a key that is not trusted".to_owned(),
        })
    }
}
