//! One thing that is wrong in a model repository.

use std::{
    fmt::{self, Write as _},
    path::{Path, PathBuf},
};

/// Something wrong in a model repository: where, what, and what to do.
///
/// Written as one line: `models/linear/model.toml:3: key "verson": unknown
/// key; …`. What it quotes comes from files that anybody may have written, so
/// control characters are shown as escapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error, serde::Serialize)]
#[error("{}", self.one_line())]
pub struct Problem {
    /// The file or folder at fault.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The key at fault, as it stands in the file.
    pub key: Option<String>,
    /// What is wrong, as a sentence without its full stop.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether it may be gone the next time without a change of the files,
    /// since the machine lacked something.
    #[serde(skip)]
    pub may_pass: bool,
}

impl Problem {
    /// A problem of `file` as a whole.
    pub fn new(
        file: impl Into<PathBuf>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: None,
            reason: reason.into(),
            remedy: remedy.into(),
            may_pass: false,
        }
    }

    /// The same problem, which may pass by itself.
    #[must_use]
    pub(crate) fn passing(mut self) -> Self {
        self.may_pass = true;
        self
    }

    /// The same problem, at `key` in `line`.
    #[must_use]
    pub fn at(mut self, line: Option<usize>, key: impl Into<String>) -> Self {
        self.line = line;
        self.key = Some(key.into());
        self
    }

    /// A failure of the file system at `file`.
    pub(crate) fn io(file: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let (reason, remedy) = match error.kind() {
            ErrorKind::NotFound => (
                "it does not exist".to_owned(),
                "put it there, or take it out of the manifest",
            ),
            ErrorKind::PermissionDenied => (
                "it may not be read".to_owned(),
                "give this user the right to read it",
            ),
            // Such as too many open files, or a disk that fails.
            _ => {
                let reason = format!("it can't be read: {error}");
                return Self::new(file, reason, "make it readable").passing();
            }
        };
        Self::new(file, reason, remedy)
    }

    fn one_line(&self) -> String {
        let mut line = plain(&self.file.to_string_lossy());
        if let Some(number) = self.line {
            let _ = write!(line, ":{number}");
        }
        line.push_str(": ");
        if let Some(key) = &self.key {
            let _ = write!(line, "key \"{}\": ", plain(key));
        }
        line.push_str(&plain(&self.reason));
        if !self.remedy.is_empty() {
            let _ = write!(line, "; {}", plain(&self.remedy));
        }
        line
    }
}

/// `text` with every character that a terminal would obey rather than show,
/// or that nobody would see, as an escape.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// `json` with those characters as JSON's own escapes, line breaks between
/// values left alone: the same values, and nothing that a terminal obeys.
pub fn plain_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && is_obeyed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Controls, line breaks, changes of writing direction, and what has neither
/// width nor look.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` as it is quoted in a problem: not longer than a line can bear.
pub(crate) fn quoted(text: &str) -> impl fmt::Display + '_ {
    struct Quoted<'a>(&'a str);
    impl fmt::Display for Quoted<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let end = self.0.char_indices().nth(80).map(|(at, _)| at);
            match end {
                None => write!(f, "\"{}\"", self.0),
                Some(end) => write!(f, "\"{}…\"", &self.0[..end]),
            }
        }
    }
    Quoted(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_with_file_line_key_and_remedy() {
        let problem = Problem::new(
            "models/linear/model.toml",
            "unknown key",
            "did you mean \"version\"?",
        )
        .at(Some(3), "verson");
        assert_eq!(
            problem.to_string(),
            "models/linear/model.toml:3: key \"verson\": unknown key; did you mean \"version\"?"
        );
    }

    #[test]
    fn a_terminal_has_nothing_to_obey() {
        let problem = Problem::new("a\u{1b}[31m", "b\r\nc", "d\u{202e}e").at(None, "k\u{7}");
        let text = problem.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(
            text.contains("\\u{1b}[31m") && text.contains("\\u{202e}"),
            "{text}"
        );
    }

    #[test]
    fn json_has_nothing_to_obey_and_the_same_values() {
        let text = "a\u{9b}31m\u{202e}b\u{e0041}\n\u{7f}\"é";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let plain = plain_json(&json);
        assert!(plain.chars().all(|c| c == '\n' || !is_obeyed(c)), "{plain}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&plain).unwrap(), [text]);
    }

    #[test]
    fn long_values_are_cut() {
        assert!(quoted(&"é".repeat(1000)).to_string().chars().count() < 90);
    }
}
