//! Signatures of models, by the OpenSSF Model Signing specification v1.0: a
//! Sigstore bundle whose in-toto statement names every file of a version's
//! folder, and its sha256.
//!
//! A signature holds for these files and for no others: one that it does not
//! list, and one that it lists and is not there, make it fail.

mod bundle;
mod key;
mod statement;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub use self::key::{Curve, KeyError, PrivateKey, PublicKey, Unusable};
use super::{Candidate, Digest, MANIFEST, Problem, files::Folder};

/// The file of a version's signature, beside its manifest.
pub const SIGNATURE: &str = "model.sig";

/// What stands in a version's folder and is never signed: git's own files, as
/// for PyPI's `model-signing`, and the signature.
const UNSIGNED: [&str; 5] = [".git", ".gitattributes", ".github", ".gitignore", SIGNATURE];

/// The digest of each file, in the order of its path's parts.
type Digests = BTreeMap<Vec<String>, Digest>;

/// Whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: Vec<PublicKey>,
    require: bool,
}

/// What is known of a version's signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Signed {
    /// There is none.
    #[default]
    Unsigned,
    /// There is one, and no key to check it by.
    Unchecked,
    /// It holds, by the key of this sha256.
    By(String),
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signed::Unsigned => f.write_str("unsigned"),
            Signed::Unchecked => f.write_str("not checked"),
            Signed::By(key) => write!(f, "verified by key {key}"),
        }
    }
}

impl Trust {
    /// Trust in the public keys in `files`, each PEM. With `require`, a
    /// version without a signature is refused.
    ///
    /// # Errors
    /// The first file that holds no such key.
    pub fn load(files: &[PathBuf], require: bool) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for file in files {
            keys.push(PublicKey::load(file)?);
        }
        Ok(Self { keys, require })
    }
}

/// Signs the version in `candidate`'s folder as it stands there: the text of
/// its signature file.
///
/// # Errors
/// A file that can't be read, or is no plain file; a fault of the cryptography.
pub fn sign(candidate: &Candidate, key: &PrivateKey) -> Result<String, Problem> {
    let folder = Folder::open(&candidate.folder)?;
    let digests = all(&folder, &BTreeMap::new())?;
    let statement = statement::write(&candidate.id.name, &digests, &UNSIGNED);
    bundle::write(&statement, key).map_err(|e| {
        let file = candidate.folder.join(SIGNATURE);
        Problem::new(file, e.to_string(), "try another key")
    })
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
    let Some(bundle) = bundle else {
        if trust.require {
            return Err(Problem::new(
                at,
                "it is not signed, and --require-signature is set",
                "sign it with `modelship sign`",
            ));
        }
        return Ok(Signed::Unsigned);
    };
    if trust.keys.is_empty() {
        return Ok(Signed::Unchecked);
    }
    let refused = |reason: String| {
        let remedy = "put back the files that were signed, or sign it again";
        Problem::new(at.join(SIGNATURE), reason, remedy)
    };
    let (payload, key) = bundle::open(bundle, &trust.keys).map_err(refused)?;
    let signed = statement::read(&payload).map_err(refused)?;
    let here = all(folder, known)?;
    statement::compare(&signed, &here).map_err(refused)?;
    Ok(Signed::By(key))
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
