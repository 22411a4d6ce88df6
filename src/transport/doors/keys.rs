//! Keys that callers show: names, scopes, and the digests by which they are
//! known. The file never holds a key itself.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::renew::{Files, Mistake};
use crate::telemetry::Renewed;

/// Before the digest, in the file.
const DIGEST: &str = "sha256:";

/// What every key begins with, so that one that was left somewhere is known
/// for what it is.
const MARK: &str = "msk_";

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Models: their cards, and what they answer.
    Predict,
    /// What changes the state of the service: loading and unloading.
    Admin,
    /// The figures.
    Metrics,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 3] = [Scope::Predict, Scope::Admin, Scope::Metrics];

    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Predict => "predict",
            Scope::Admin => "admin",
            Scope::Metrics => "metrics",
        }
    }
}

/// Some scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes in `text`, with commas between them.
    ///
    /// # Errors
    /// A word that is no scope.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        text.split(',').try_fold(Scopes::default(), |all, word| {
            let scope = Scope::ALL.into_iter().find(|s| s.name() == word.trim());
            let scope = scope.ok_or_else(|| {
                Mistake::new(format!(
                    "\"{word}\" is not a scope: write predict, admin, metrics, or several of them \
                     with commas"
                ))
            })?;
            Ok(Scopes(all.0 | 1 << scope as u8))
        })
    }

    /// Whether one of `any` is among them.
    pub(super) fn has(self, any: &[Scope]) -> bool {
        any.iter().any(|scope| self.0 & (1 << *scope as u8) != 0)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Scope::ALL.into_iter().filter(|s| self.has(&[*s]));
        f.write_str(&names.map(Scope::name).collect::<Vec<_>>().join(","))
    }
}

/// Who holds a key.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) name: Arc<str>,
    pub(super) scopes: Scopes,
}

struct Entry {
    digest: [u8; 32],
    holder: Holder,
}

/// The keys in a file that may be renewed.
pub struct Keys {
    path: PathBuf,
    now: ArcSwap<Vec<Entry>>,
}

impl Keys {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn open(path: &Path) -> Result<Arc<Self>, Mistake> {
        let content = std::fs::read(path).map_err(|e| Mistake::unreadable(path, &e))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            now: ArcSwap::from_pointee(read(path, &content)?),
        }))
    }

    /// Who holds `key`. Every entry is compared, whichever is right, so that
    /// the time says nothing.
    pub(super) fn find(&self, key: &[u8]) -> Option<Holder> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let entries = self.now.load();
        let mut place = u64::MAX;
        for (number, entry) in (0u64..).zip(entries.iter()) {
            place.conditional_assign(&number, entry.digest.ct_eq(&digest));
        }
        let entry = entries.get(usize::try_from(place).ok()?)?;
        Some(entry.holder.clone())
    }
}

impl Files for Keys {
    fn what(&self) -> Renewed {
        Renewed::Keys
    }

    fn paths(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn take(&self, contents: &[Vec<u8>]) -> Result<(), Mistake> {
        let content = contents.first().map_or(&[][..], Vec::as_slice);
        self.now.store(Arc::new(read(&self.path, content)?));
        Ok(())
    }
}

fn read(path: &Path, content: &[u8]) -> Result<Vec<Entry>, Mistake> {
    let text = std::str::from_utf8(content).map_err(|_| Mistake::of(path, "it is not UTF-8"))?;
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let entry = entry(line)
            .and_then(|entry| match entries.iter().find(|e| e.same(&entry)) {
                Some(_) => Err(Mistake::new("this name or this key stands on a line above")),
                None => Ok(entry),
            })
            .map_err(|e| Mistake::of(path, format!("line {number}: {e}")))?;
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err(Mistake::of(
            path,
            "it holds no key: modelship api-key makes one",
        ));
    }
    Ok(entries)
}

impl Entry {
    fn same(&self, other: &Entry) -> bool {
        self.digest == other.digest || self.holder.name == other.holder.name
    }
}

/// `NAME SCOPES sha256:DIGEST`.
fn entry(line: &str) -> Result<Entry, Mistake> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [name, scopes, digest] = fields[..] else {
        return Err(Mistake::new(
            "write NAME SCOPES sha256:DIGEST, as modelship api-key prints it",
        ));
    };
    check_name(name)?;
    let digest = digest.strip_prefix(DIGEST).and_then(unhex).ok_or_else(|| {
        // What stands there may be a key: it is not shown.
        Mistake::new("the third word is not sha256: and 64 hexadecimal digits")
    })?;
    Ok(Entry {
        digest,
        holder: Holder {
            name: name.into(),
            scopes: Scopes::parse(scopes)?,
        },
    })
}

/// Names stand in logs.
fn check_name(name: &str) -> Result<(), Mistake> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@/".contains(&b);
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Mistake::new(format!(
        "{name:?} is not a name: write up to 64 letters, digits, and -_.@/"
    )))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |d: u8| char::from(d).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// A new key, and its line for the file.
///
/// # Errors
/// A name that can't be one, and a system that gives no random numbers.
pub fn create(name: &str, scopes: Scopes) -> Result<(String, String), Mistake> {
    check_name(name)?;
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| Mistake::new("the system gives no random numbers"))?;
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let key = format!("{MARK}{}", hex(&random));
    let digest = hex(&Sha256::digest(&key));
    Ok((key, format!("{name} {scopes} {DIGEST}{digest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Vec<Entry>, String> {
        read(Path::new("keys"), text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_key_that_was_made_is_known() {
        let scopes = Scopes::parse("predict,metrics").unwrap();
        let (key, line) = create("team-a", scopes).unwrap();
        let (other, second) = create("team-b", Scopes::parse("admin").unwrap()).unwrap();
        assert!(!line.contains(&key));
        let entries = keys(&format!("# ours\n\n{line}\n{second} # theirs\n")).unwrap();
        let keys = Keys {
            path: "keys".into(),
            now: ArcSwap::from_pointee(entries),
        };
        let holder = keys.find(key.as_bytes()).unwrap();
        assert_eq!(&*holder.name, "team-a");
        assert!(holder.scopes.has(&[Scope::Predict]) && holder.scopes.has(&[Scope::Metrics]));
        assert!(!holder.scopes.has(&[Scope::Admin]));
        assert_eq!(&*keys.find(other.as_bytes()).unwrap().name, "team-b");
        for wrong in ["", "msk_", &key[1..], &format!("{key} ")] {
            assert!(keys.find(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let (key, line) = create("a", Scopes::parse("predict").unwrap()).unwrap();
        for (text, why) in [
            (String::new(), "holds no key"),
            ("# nothing\n".to_owned(), "holds no key"),
            (format!("\n{key}\n"), "line 2: write NAME SCOPES"),
            (format!("a predict {key}"), "line 1: the third word"),
            (format!("a predict sha256:{key}"), "line 1: the third word"),
            (
                line.replace("predict", "predict,root"),
                "\"root\" is not a scope",
            ),
            (format!("{line}\n{line}"), "line 2: this name or this key"),
            (line.replacen('a', "a\u{7}", 1), "is not a name"),
        ] {
            let message = keys(&text).err().unwrap();
            assert!(message.contains(why), "{text}: {message}");
            assert!(!message.contains(&key), "{message}");
        }
    }
}
