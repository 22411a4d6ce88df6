//! Certificates of signers, and the authorities that made them.
//!
//! A chain is held against the moment at which the signer's certificate
//! begins, as PyPI's `model-signing` does: a bundle does not say when it was
//! signed, and a model is served long after.

use std::{path::Path, time::Duration};

use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject as _};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, anchor_from_trusted_cert};
use x509_cert::{
    der::Decode as _,
    ext::pkix::{ExtendedKeyUsage, KeyUsage},
};

use super::{FileError, Signer, key::PublicKey};
use crate::repository::Digest;

/// The DER of id-kp-codeSigning.
///
/// <https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.12>
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

const NOT_FOR_SIGNING: &str = "its certificate is not made for signing";

/// Authorities whose certificates count.
#[derive(Debug, Clone, Default)]
pub(super) struct Authorities(Vec<TrustAnchor<'static>>);

/// The signer's certificate, and those that lead from it to an authority.
#[derive(Debug, Clone)]
pub struct Chain(Vec<CertificateDer<'static>>);

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = super::key::read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(FileError::new(
            file,
            "it holds no certificate as PEM (BEGIN CERTIFICATE)",
        )),
    }
}

impl Authorities {
    /// Adds every certificate in the PEM file `file`.
    pub(super) fn add(&mut self, file: &Path) -> Result<(), FileError> {
        for certificate in certificates(file)? {
            let anchor = anchor_from_trusted_cert(&certificate).map_err(|e| {
                FileError::new(file, format!("a certificate in it can't be used: {e}"))
            })?;
            self.0.push(anchor.to_owned());
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The signer whom `chain` leads to from one of these, and the key that
    /// it must have signed with.
    pub(super) fn verify(&self, chain: &[Vec<u8>]) -> Result<(PublicKey, Signer), String> {
        let [own, others @ ..] = chain else {
            return Err("it holds no certificate".to_owned());
        };
        let about = About::of(own)?;
        let der = CertificateDer::from(&**own);
        let others: Vec<_> = others.iter().map(|der| (&**der).into()).collect();
        let own = EndEntityCert::try_from(&der)
            .map_err(|e| format!("its certificate can't be used: {e}"))?;
        let usage = webpki::KeyUsage::required_if_present(CODE_SIGNING);
        let begins = UnixTime::since_unix_epoch(about.begins);
        let algorithms = ALL_VERIFICATION_ALGS;
        own.verify_for_usage(algorithms, &self.0, &others, begins, usage, None, None)
            .map_err(|e| match e {
                webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                    "its certificate is of no authority that is trusted".to_owned()
                }
                webpki::Error::RequiredEkuNotFoundContext(_) => NOT_FOR_SIGNING.to_owned(),
                e => format!("its certificate does not hold: {e}"),
            })?;
        if !about.may_sign {
            return Err(NOT_FOR_SIGNING.to_owned());
        }
        let key = PublicKey::from_der(&own.subject_public_key_info())
            .ok_or("the key of its certificate is on none of the curves P-256, P-384 and P-521")?;
        Ok((key, about.signer))
    }
}

/// What a certificate says of itself.
struct About {
    signer: Signer,
    begins: Duration,
    /// For code, or for anything that is signed.
    may_sign: bool,
}

impl About {
    fn of(der: &[u8]) -> Result<Self, String> {
        let malformed = |e| format!("its certificate can't be read: {e}");
        let certificate = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let own = certificate.tbs_certificate;
        let for_code = own.get::<ExtendedKeyUsage>().map_err(malformed)?.is_some();
        let usage = own.get::<KeyUsage>().map_err(malformed)?;
        Ok(Self {
            signer: Signer::Certificate {
                subject: own.subject.to_string(),
                issuer: own.issuer.to_string(),
                sha256: Digest::of(der).to_string(),
            },
            begins: own.validity.not_before.to_unix_duration(),
            // That an extended usage is that of code was held before.
            may_sign: for_code || usage.is_some_and(|(_, usage)| usage.digital_signature()),
        })
    }
}

/// Whom a chain names, before anything of it is verified.
pub(super) fn claimed(chain: &[Vec<u8>]) -> Option<Signer> {
    About::of(chain.first()?).ok().map(|about| about.signer)
}

impl Chain {
    /// The certificates in the PEM file `file`, the signer's own first.
    ///
    /// # Errors
    /// When it can't be read, or holds none.
    pub fn load(file: &Path) -> Result<Self, FileError> {
        certificates(file).map(Self)
    }

    /// Whether its first certificate is for `key`.
    pub fn is_for(&self, key: &PublicKey) -> bool {
        let own = self.0.first().map(EndEntityCert::try_from);
        own.and_then(Result::ok)
            .and_then(|own| PublicKey::from_der(&own.subject_public_key_info()))
            .is_some_and(|own| own == *key)
    }

    /// Whom it names.
    pub fn signer(&self) -> Option<Signer> {
        About::of(self.0.first()?).ok().map(|about| about.signer)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|der| &**der)
    }
}
