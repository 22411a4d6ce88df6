//! Paths as a person can paste them into a shell.

use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path};

use super::problem::plain;

/// `path` as one word of a command line for bash and its kin, and for git: in
/// quotes where it needs them, and never read as an option or as a pattern.
/// What a terminal would obey stands as an escape.
pub fn shell(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    // To git, a leading colon is the mark of a pattern.
    let start = if matches!(bytes.first(), Some(b'-' | b':')) {
        "./"
    } else {
        ""
    };
    let is_safe = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(b);
    if !bytes.is_empty() && bytes.iter().all(is_safe) {
        return format!("{start}{}", path.display());
    }
    match path.to_str() {
        Some(text) if plain(text) == text => {
            format!("'{start}{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut word = format!("$'{start}");
            for chunk in bytes.utf8_chunks() {
                for c in chunk.valid().chars() {
                    match c {
                        '\'' | '\\' => word.extend(['\\', c]),
                        c if plain(c.encode_utf8(&mut [0; 4])).starts_with('\\') => {
                            escape(&mut word, c.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        c => word.push(c),
                    }
                }
                escape(&mut word, chunk.invalid());
            }
            word.push('\'');
            word
        }
    }
}

/// Each byte in octal, always of three digits, so that what follows is not
/// taken for a fourth.
fn escape(word: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(word, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, process::Command};

    use super::*;

    #[test]
    fn what_is_plain_stays_so() {
        for path in ["models/line", "/a/b-c_d.e", "v1.0.0+build"] {
            assert_eq!(shell(Path::new(path)), path);
        }
        assert_eq!(shell(Path::new("my models/line")), "'my models/line'");
        assert_eq!(shell(Path::new("-models")), "./-models");
        assert_eq!(shell(Path::new("it's")), r"'it'\''s'");
        assert_eq!(shell(Path::new("a\u{1b}7")), r"$'a\0337'");
    }

    #[test]
    fn bash_reads_what_was_meant() {
        let every: Vec<u8> = (1..=255).collect();
        let controls: Vec<u8> = (1..32).flat_map(|b| [b, b'7']).collect();
        let texts = [
            &b"a b"[..],
            b"it's",
            b"\"quoted\"",
            b"$HOME ${HOME} $(id) `id`",
            b"back\\slash\\",
            b"a\nb",
            b"a\nit's\\",
            b"!bang",
            b"#hash",
            b"~",
            b"*?[x]{a,b}",
            b"a;b|c&d>e<f(g)",
            b"\xff\xfe'",
            "é ü 模型 \u{202e}abc\u{200b}".as_bytes(),
            b"",
            &every,
            &controls,
        ];
        for text in texts {
            let word = shell(Path::new(OsStr::from_bytes(text)));
            assert!(!word.chars().any(char::is_control), "{word:?}");
            let script = format!("printf %s {word}");
            let ended = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert!(ended.status.success(), "{script}");
            let expected = if text.starts_with(b"-") || text.starts_with(b":") {
                [b"./", text].concat()
            } else {
                text.to_vec()
            };
            assert_eq!(ended.stdout, expected, "{script}");
        }
    }
}
