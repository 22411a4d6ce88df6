//! Keys on the curves of the specification, as PEM.

use std::{fs, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
        ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _,
        UnparsedPublicKey,
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio_rustls::rustls::pki_types::{
    PrivateKeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _,
};

use super::FileError;
use crate::repository::Digest;

/// The curve of a key; each is used with the hash of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256, with SHA-256.
    P256,
    /// NIST P-384, with SHA-384.
    P384,
    /// NIST P-521, with SHA-512.
    P521,
}

const OTHER_CURVE: &str = "its key is on none of the curves P-256, P-384 and P-521";

/// The bytes before the point in a public key's DER. They hold the curve and
/// the length, so nothing else needs to be parsed.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const P521: &[u8] = &[
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05,
    0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
];

impl Curve {
    /// Every curve.
    pub const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    fn prefix(self) -> &'static [u8] {
        match self {
            Curve::P256 => P256,
            Curve::P384 => P384,
            Curve::P521 => P521,
        }
    }

    fn point(self) -> usize {
        match self {
            Curve::P256 => 65,
            Curve::P384 => 97,
            Curve::P521 => 133,
        }
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1,
            Curve::P521 => &ECDSA_P521_SHA512_ASN1,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Curve::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }
}

/// A key that signatures are verified by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    point: Vec<u8>,
}

impl PublicKey {
    /// The key in the PEM file `file`.
    ///
    /// # Errors
    /// When it can't be read, and when it holds no public key on one of the
    /// curves.
    pub fn load(file: &Path) -> Result<Self, FileError> {
        let text = read(file)?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&text).map_err(|_| {
            FileError::new(file, "it holds no public key as PEM (BEGIN PUBLIC KEY)")
        })?;
        Self::from_der(&der).ok_or_else(|| FileError::new(file, OTHER_CURVE))
    }

    /// The key whose DER is `der`, a SubjectPublicKeyInfo.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let of = |curve: Curve| {
            let point = der.strip_prefix(curve.prefix())?;
            (point.len() == curve.point()).then(|| point.to_vec())
        };
        Curve::ALL
            .into_iter()
            .find_map(|curve| of(curve).map(|point| Self { curve, point }))
    }

    /// The key as PEM.
    pub fn pem(&self) -> String {
        let der = [self.curve.prefix(), &self.point].concat();
        pem("PUBLIC KEY", &der)
    }

    /// The sha256 of the key as PEM, by which a bundle names it.
    pub fn hint(&self) -> String {
        Digest::of(self.pem().as_bytes()).to_string()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.curve.verification(), &self.point)
            .verify(message, signature)
            .is_ok()
    }
}

/// A key that signs.
#[derive(Debug)]
pub struct PrivateKey {
    curve: Curve,
    pair: EcdsaKeyPair,
}

/// The cryptography gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the key can't be made or used")]
pub struct Unusable;

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(curve: Curve) -> Result<Self, Unusable> {
        let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_| Unusable)?;
        Ok(Self { curve, pair })
    }

    /// The key in the PEM file `file`, PKCS#8 or SEC 1, not encrypted.
    ///
    /// # Errors
    /// When it can't be read, and when it holds no such key.
    pub fn load(file: &Path) -> Result<Self, FileError> {
        let text = read(file)?;
        let der = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            FileError::new(file, "it holds no private key as PEM without a password")
        })?;
        for curve in Curve::ALL {
            let der = der.secret_der();
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve.signing(), der) {
                return Ok(Self { curve, pair });
            }
        }
        Err(FileError::new(file, OTHER_CURVE))
    }

    /// The key as PEM, PKCS#8.
    ///
    /// # Errors
    /// When the cryptography gives none.
    pub fn pem(&self) -> Result<String, Unusable> {
        let der = self.pair.to_pkcs8v1().map_err(|_| Unusable)?;
        Ok(pem("PRIVATE KEY", der.as_ref()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            curve: self.curve,
            point: self.pair.public_key().as_ref().to_vec(),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unusable> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| Unusable)
    }
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(file).map_err(|e| FileError::new(file, format!("it can't be read: {e}")))
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let base64 = BASE64_STANDARD.encode(der);
    let mut rest = &*base64;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
