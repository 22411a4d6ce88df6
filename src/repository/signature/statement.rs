//! The in-toto statement: the files that are signed.

use serde::Deserialize;
use serde_json::json;
use sha2::Digest as _;

use super::{Digests, parts};
use crate::repository::{Digest, quoted};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// What a statement says of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The files that it names.
    pub(super) files: Digests,
    /// The digest of their digests, which stands for all of them.
    pub(super) root: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: Sha256,
}

#[derive(Deserialize)]
struct Sha256 {
    sha256: Digest,
}

#[derive(Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: Digest,
}

/// The statement on the files of the model `name`; `ignored` are left out.
pub(super) fn write(name: &str, digests: &Digests, ignored: &[&str]) -> String {
    let resources: Vec<_> = digests
        .iter()
        .map(|(path, digest)| {
            let digest = digest.to_string();
            json!({"name": path.join("/"), "algorithm": "sha256", "digest": digest})
        })
        .collect();
    let root = root(digests.values()).to_string();
    json!({
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": false,
                "ignore_paths": ignored,
            },
            "resources": resources,
        },
    })
    .to_string()
}

impl Statement {
    /// The statement in `payload`.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(payload)
            .map_err(|e| format!("what it signs is no statement on a model: {e}"))?;
        written.read()
    }

    /// Whether the files that were signed are those that are here.
    pub(super) fn compare(&self, here: &Digests) -> Result<(), String> {
        for (path, digest) in here {
            let name = path.join("/");
            match self.files.get(path) {
                Some(signed) if signed == digest => {}
                Some(_) => return Err(format!("{} is not what was signed", quoted(&name))),
                None => return Err(format!("it does not list {}", quoted(&name))),
            }
        }
        match self.files.keys().find(|path| !here.contains_key(*path)) {
            Some(path) => Err(format!(
                "it lists {}, which is not there",
                quoted(&path.join("/"))
            )),
            None => Ok(()),
        }
    }
}

impl Written {
    fn read(self) -> Result<Statement, String> {
        let statement = self;
        let serialization = &statement.predicate.serialization;
        let expected = [
            ("statement", &statement.kind, STATEMENT),
            ("predicate", &statement.predicate_type, PREDICATE),
            ("method", &serialization.method, "files"),
            ("hash type", &serialization.hash_type, "sha256"),
        ];
        for (what, got, expected) in expected {
            if got != expected {
                return Err(format!(
                    "its {what} is {}, where {expected} is known",
                    quoted(got)
                ));
            }
        }
        let [subject] = &*statement.subject else {
            return Err("it must name one subject".to_owned());
        };
        let resources = &statement.predicate.resources;
        if root(resources.iter().map(|r| &r.digest)) != subject.digest.sha256 {
            return Err("its digest is not that of the files that it lists".to_owned());
        }
        let mut digests = Digests::new();
        for resource in resources {
            if resource.algorithm != "sha256" {
                let name = quoted(&resource.name);
                return Err(format!("its digest of {name} is not a sha256"));
            }
            if digests
                .insert(parts(&resource.name), resource.digest)
                .is_some()
            {
                return Err(format!("it lists {} twice", quoted(&resource.name)));
            }
        }
        Ok(Statement {
            files: digests,
            root: subject.digest.sha256,
        })
    }
}

fn root<'a>(digests: impl Iterator<Item = &'a Digest>) -> Digest {
    let mut hash = sha2::Sha256::new();
    for digest in digests {
        hash.update(digest.as_bytes());
    }
    let root: [u8; 32] = hash.finalize().into();
    root.into()
}
