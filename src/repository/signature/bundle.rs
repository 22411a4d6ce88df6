//! The Sigstore bundle: a DSSE envelope, and by whose key it is signed.
//!
//! <https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md>

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::key::{PrivateKey, PublicKey, Unusable};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    hint: Option<String>,
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

/// The bytes that are signed.
fn pae(payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

/// `payload`, signed by `key`.
pub(super) fn write(payload: &str, key: &PrivateKey) -> Result<String, Unusable> {
    let signature = key.sign(&pae(payload.as_bytes()))?;
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": key.public().hint()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": BASE64_STANDARD.encode(signature), "keyid": ""}],
        },
    });
    Ok(format!("{bundle}\n"))
}

/// What one of `keys` has signed, and the sha256 of that key.
pub(super) fn open(text: &[u8], keys: &[PublicKey]) -> Result<(Vec<u8>, String), String> {
    let bundle: Bundle =
        serde_json::from_slice(text).map_err(|e| format!("it is no Sigstore bundle: {e}"))?;
    if bundle.media_type != MEDIA_TYPE {
        return Err(format!("it is no bundle of the type {MEDIA_TYPE}"));
    }
    let Some(named) = bundle.verification_material.public_key else {
        return Err("it is not signed by a key".to_owned());
    };
    let envelope = bundle.dsse_envelope;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(format!("what it signs is not of the type {PAYLOAD_TYPE}"));
    }
    let [signature] = &*envelope.signatures else {
        return Err("it must hold one signature".to_owned());
    };
    let decode = |text: &str| BASE64_STANDARD.decode(text);
    let (Ok(payload), Ok(signature)) = (decode(&envelope.payload), decode(&signature.sig)) else {
        return Err("its payload or signature is not base64".to_owned());
    };
    let message = pae(&payload);
    let mut known = false;
    for key in keys {
        let hint = key.hint();
        if named.hint.as_ref().is_some_and(|named| *named != hint) {
            continue;
        }
        known = true;
        if key.verifies(&message, &signature) {
            return Ok((payload, hint));
        }
    }
    Err(match known {
        true => "the signature does not verify".to_owned(),
        false => "it is signed by a key that is not trusted".to_owned(),
    })
}
