//! The Sigstore bundle: a DSSE envelope, and what shows who signed it.
//!
//! <https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md>

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    certificate::Chain,
    key::{PrivateKey, Unusable},
};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A bundle whose parts are there; nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bundle {
    /// What was signed.
    pub(super) payload: Vec<u8>,
    /// The signature over [`Bundle::message`].
    pub(super) signature: Vec<u8>,
    /// What shows who signed.
    pub(super) material: Material,
}

/// What shows who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// The sha256 of the key as PEM, where it is said.
    Key(Option<String>),
    /// The DER of the signer's certificate, and of those that lead from it to
    /// an authority.
    Chain(Vec<Vec<u8>>),
    /// The DER of a certificate that was made for this signature alone.
    Keyless(Vec<u8>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    media_type: String,
    verification_material: WrittenMaterial,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMaterial {
    public_key: Option<Identifier>,
    certificate: Option<Certificate>,
    x509_certificate_chain: Option<Certificates>,
}

#[derive(Deserialize)]
struct Identifier {
    hint: Option<String>,
}

#[derive(Deserialize)]
struct Certificates {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

impl Bundle {
    /// The bundle in `text`.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let written: Written =
            serde_json::from_slice(text).map_err(|e| format!("it is no Sigstore bundle: {e}"))?;
        if written.media_type != MEDIA_TYPE {
            return Err(format!("it is no bundle of the type {MEDIA_TYPE}"));
        }
        let envelope = written.dsse_envelope;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(format!("what it signs is not of the type {PAYLOAD_TYPE}"));
        }
        let [signature] = &*envelope.signatures else {
            return Err("it must hold one signature".to_owned());
        };
        Ok(Self {
            payload: decoded("payload", &envelope.payload)?,
            signature: decoded("signature", &signature.sig)?,
            material: written.verification_material.read()?,
        })
    }

    /// The bytes that are signed.
    pub(super) fn message(&self) -> Vec<u8> {
        pae(&self.payload)
    }
}

impl WrittenMaterial {
    fn read(self) -> Result<Material, String> {
        match (
            self.public_key,
            self.certificate,
            self.x509_certificate_chain,
        ) {
            (Some(key), None, None) => Ok(Material::Key(key.hint)),
            (None, Some(own), None) => {
                decoded("certificate", &own.raw_bytes).map(Material::Keyless)
            }
            (None, None, Some(chain)) => {
                let each = chain.certificates.iter();
                let each = each.map(|one| decoded("certificate", &one.raw_bytes));
                each.collect::<Result<_, _>>().map(Material::Chain)
            }
            (None, None, None) => Err("nothing in it shows who signed it".to_owned()),
            _ => Err("it must show in one way who signed it".to_owned()),
        }
    }
}

fn decoded(what: &str, text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|_| format!("its {what} is not base64"))
}

fn pae(payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// `payload`, signed by `key`, which `chain` shows to be whose it is.
pub(super) fn write(
    payload: &str,
    key: &PrivateKey,
    chain: Option<&Chain>,
) -> Result<String, Unusable> {
    let signature = key.sign(&pae(payload.as_bytes()))?;
    let material: Value = match chain {
        None => json!({"publicKey": {"hint": key.public().hint()}, "tlogEntries": []}),
        Some(chain) => {
            let each = chain.each();
            let each = each.map(|der| json!({"rawBytes": BASE64_STANDARD.encode(der)}));
            let certificates: Vec<_> = each.collect();
            json!({"x509CertificateChain": {"certificates": certificates}, "tlogEntries": []})
        }
    };
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": BASE64_STANDARD.encode(signature), "keyid": ""}],
        },
    });
    Ok(format!("{bundle}\n"))
}
