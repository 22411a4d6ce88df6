//! Keyless signatures: by a certificate that was made for one signature,
//! after its holder proved who they are, and written down in a public log.
//!
//! Nothing is fetched: the authorities, the logs and their keys stand in a
//! file, Sigstore's trusted root.

use std::{fmt, path::Path, sync::Arc};

use sigstore_verify::{
    VerificationPolicy, Verifier,
    crypto::{SubjectAltName, parse_certificate_info},
    trust_root::TrustedRoot,
    types::{Bundle, DerCertificate, Sha256Hash, SignatureContent},
};

use super::{FileError, Signer};
use crate::repository::Digest;

/// Whose keyless signatures count.
#[derive(Clone)]
pub(super) struct Keyless {
    verifier: Arc<Verifier>,
    policy: VerificationPolicy,
    signer: Signer,
}

impl fmt::Debug for Keyless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyless").field(&self.signer).finish()
    }
}

impl Keyless {
    /// Trust in who proved to `issuer` to be `identity`, by the trusted root
    /// in the file `root`.
    pub(super) fn load(root: &Path, identity: &str, issuer: &str) -> Result<Self, FileError> {
        let text = super::key::read(root)?;
        Self::new(&text, identity, issuer)
            .map_err(|e| FileError::new(root, format!("it is no trusted root of Sigstore: {e}")))
    }

    /// The same, by the trusted root that is `text`.
    pub(super) fn new(text: &[u8], identity: &str, issuer: &str) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
        let root = TrustedRoot::from_json(text).map_err(|e| e.to_string())?;
        let verifier = Verifier::new(&root).map_err(|e| e.to_string())?;
        Ok(Self {
            verifier: Arc::new(verifier),
            policy: VerificationPolicy::new(identity, issuer),
            signer: Signer::Identity {
                identity: identity.to_owned(),
                issuer: issuer.to_owned(),
            },
        })
    }

    /// The signer of the bundle `text`, whose payload is `payload`, and is on
    /// what has the digest `subject`.
    pub(super) fn verify(
        &self,
        text: &[u8],
        payload: &[u8],
        subject: &Digest,
    ) -> Result<Signer, String> {
        let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
        let bundle =
            Bundle::from_json(text).map_err(|e| format!("it is no Sigstore bundle: {e}"))?;
        // Read twice, by two readers: what is verified is what is compared.
        match &bundle.content {
            SignatureContent::DsseEnvelope(envelope) if envelope.payload.as_bytes() == payload => {}
            _ => return Err("its payload can be read in two ways".to_owned()),
        }
        let subject = Sha256Hash::new(*subject.as_bytes());
        self.verifier
            .verify(subject, &bundle, &self.policy)
            .map_err(|e| e.to_string())?;
        Ok(self.signer.clone())
    }
}

/// Whom a certificate names, before anything of it is verified.
pub(super) fn claimed(certificate: &[u8]) -> Option<Signer> {
    let about = parse_certificate_info(&DerCertificate::from_bytes(certificate)).ok()?;
    Some(Signer::Identity {
        identity: about
            .identity
            .as_ref()
            .map(SubjectAltName::as_str)?
            .to_owned(),
        issuer: about.issuer?,
    })
}
