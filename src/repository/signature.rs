//! Signatures of models, by the OpenSSF Model Signing specification v1.0: a
//! Sigstore bundle whose in-toto statement names every file of a version's
//! folder, and its sha256.
//!
//! A signature holds for these files and for no others: one that it does not
//! list, and one that it lists and is not there, make it fail.

mod bundle;
mod certificate;
mod key;
mod keyless;
mod signer;
mod statement;
mod trust;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use self::{
    bundle::{Bundle, Material},
    statement::Statement,
};
pub use self::{
    certificate::Chain,
    key::{Curve, PrivateKey, PublicKey, Unusable},
    signer::{Claim, Signed, Signer},
    trust::{Signers, Trust, TrustError, Trusted},
};
use super::{Candidate, Digest, MANIFEST, Problem, files::Folder};

/// Why a file is no key, certificate or trust root.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", .file.display())]
pub struct FileError {
    file: PathBuf,
    reason: String,
}

impl FileError {
    fn new(file: &Path, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

/// The file of a version's signature, beside its manifest.
pub const SIGNATURE: &str = "model.sig";

/// What stands in a version's folder and is never signed: git's own files, as
/// for PyPI's `model-signing`, and the signature.
const UNSIGNED: [&str; 5] = [".git", ".gitattributes", ".github", ".gitignore", SIGNATURE];

/// The digest of each file, in the order of its path's parts.
type Digests = BTreeMap<Vec<String>, Digest>;

/// Signs the version in `candidate`'s folder as it stands there: the text of
/// its signature file. With `chain`, it is signed by the certificate in it
/// that is for `key`.
///
/// # Errors
/// A file that can't be read, or is no plain file; a fault of the cryptography.
pub fn sign(
    candidate: &Candidate,
    key: &PrivateKey,
    chain: Option<&Chain>,
) -> Result<String, Problem> {
    let folder = Folder::open(&candidate.folder)?;
    let digests = all(&folder, &BTreeMap::new())?;
    let statement = statement::write(&candidate.id.name, &digests, &UNSIGNED);
    bundle::write(&statement, key, chain).map_err(|e| {
        let file = candidate.folder.join(SIGNATURE);
        Problem::new(file, e.to_string(), "try another key")
    })
}

/// What is known of the signature in `candidate`'s folder, as its files stand
/// there now.
///
/// # Errors
/// Why it does not hold by `trust`.
pub fn verify(candidate: &Candidate, trust: &Trust) -> Result<Signed, Problem> {
    let folder = Folder::open(&candidate.folder)?;
    let bundle = folder.signature()?;
    let at = &candidate.folder;
    check(&folder, at, bundle.as_deref(), &BTreeMap::new(), trust)
}

/// Reads `bytes` as a bundle, as what it signs, and as a certificate, by all
/// that reads them from a stranger. For the tests.
#[doc(hidden)]
pub fn check_bytes(bytes: &[u8]) {
    const NOBODY: &[u8] =
        br#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
    let authorities = certificate::Authorities::default();
    if let Ok(bundle) = Bundle::parse(bytes) {
        let _ = claimed(&bundle);
        if let Material::Chain(chain) = &bundle.material {
            assert!(authorities.verify(chain).is_err(), "nobody is trusted");
        }
        let root = Digest::of(&bundle.payload);
        let keyless = keyless::Keyless::new(NOBODY, "a@example.com", "https://example.com");
        let verified = keyless.and_then(|own| own.verify(bytes, &bundle.payload, &root));
        assert!(verified.is_err(), "nobody is trusted");
    }
    let _ = Statement::parse(bytes);
    let _ = keyless::claimed(bytes);
    assert!(authorities.verify(&[bytes.to_vec()]).is_err());
}

/// Whether the signature in `bundle` holds for the files of `folder`. `known`
/// are the digests of the bytes that were read already and will be used.
pub(super) fn check(
    folder: &Folder,
    at: &Path,
    bundle: Option<&[u8]>,
    known: &BTreeMap<String, Digest>,
    trust: &Trust,
) -> Result<Signed, Problem> {
    let Some(text) = bundle else {
        if trust.requires() {
            return Err(Problem::new(
                at,
                "it is not signed, and --require-signature is set",
                "sign it with `modelship sign`",
            ));
        }
        return Ok(Signed::Unsigned);
    };
    let bundle = Bundle::parse(text);
    if trust.is_empty() {
        let here = || all(folder, known).map_err(|problem| problem.reason);
        return Ok(Signed::Unchecked(Claim {
            signer: bundle.as_ref().ok().and_then(claimed),
            fault: bundle
                .and_then(|bundle| Statement::parse(&bundle.payload)?.compare(&here()?))
                .err(),
        }));
    }
    let refused = |reason: String| {
        let remedy = "put back the files that were signed, or sign it again";
        Problem::new(at.join(SIGNATURE), reason, remedy)
    };
    let (signer, statement) = bundle
        .and_then(|bundle| trust.verify(text, &bundle))
        .map_err(refused)?;
    statement.compare(&all(folder, known)?).map_err(refused)?;
    Ok(Signed::By(signer))
}

/// Whom a bundle names, before anything of it is verified.
fn claimed(bundle: &Bundle) -> Option<Signer> {
    match &bundle.material {
        Material::Key(hint) => hint.clone().map(Signer::Key),
        Material::Chain(chain) => certificate::claimed(chain),
        Material::Keyless(own) => keyless::claimed(own),
    }
}

/// The digest of every file that a signature must list.
fn all(folder: &Folder, known: &BTreeMap<String, Digest>) -> Result<Digests, Problem> {
    let mut digests = Digests::new();
    for path in folder.every(&UNSIGNED)? {
        let digest = match known.get(&path) {
            Some(digest) => *digest,
            None => folder.digest(&path)?,
        };
        digests.insert(parts(&path), digest);
    }
    debug_assert!(known.is_empty() || known.contains_key(MANIFEST));
    Ok(digests)
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}
