//! A file of Rust, as far as the rules need to understand it: its words
//! without comments and text, and the paths that they spell.

/// One file.
pub(super) struct Source {
    /// From the repository's root.
    pub(super) path: String,
    /// `src/engine/onnx.rs` is `engine`, `onnx`; the crate's root is empty.
    pub(super) module: Vec<String>,
    pub(super) lines: usize,
    pub(super) has_head: bool,
    /// Paths from the crate's root that the file names, with their lines.
    pub(super) internal: Vec<(usize, Vec<String>)>,
    /// First words of other paths: crates, or names in scope.
    pub(super) external: Vec<(usize, String)>,
    /// Marks of unfinished work.
    pub(super) markers: Vec<(usize, String)>,
}

type Token<'a> = (usize, &'a str);

impl Source {
    pub(super) fn new(path: String, text: &str) -> Self {
        let module = path
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .split('/')
            .filter(|part| *part != "lib")
            .map(str::to_owned)
            .collect();
        let mut source = Self {
            lines: text.lines().count(),
            has_head: text.starts_with("//!") || text.starts_with("#![doc = include_str!("),
            path,
            module,
            internal: Vec::new(),
            external: Vec::new(),
            markers: Vec::new(),
        };
        for (line, text) in (1..).zip(text.lines()) {
            let marks = [
                ["TO", "DO"],
                ["FIX", "ME"],
                ["XX", "X:"],
                ["#[allow", "("],
                ["#![allow", "("],
            ];
            for mark in marks.map(|halves| halves.concat()) {
                if text.contains(&mark) {
                    source.markers.push((line, mark));
                }
            }
        }
        source.find_paths(&tokens(text));
        source
    }

    /// Whether it is part of the crate rather than of its tests, below the
    /// crate's root.
    pub(super) fn is_module(&self) -> bool {
        self.path.starts_with("src/") && !self.module.is_empty()
    }

    /// The module below the crate's root.
    pub(super) fn top(&self) -> &str {
        &self.module[0]
    }

    fn find_paths(&mut self, tokens: &[Token<'_>]) {
        let word = |i: usize| tokens.get(i).map_or("", |(_, word)| word);
        // Modules written within the file, by the depth of their braces.
        let mut inner: Vec<(usize, &str)> = Vec::new();
        let mut depth = 0;
        let mut i = 0;
        while i < tokens.len() {
            match word(i) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inner.retain(|(at, _)| *at <= depth);
                }
                "mod" if word(i + 2) == "{" => inner.push((depth + 1, word(i + 1))),
                "use" => {
                    i = self.tree(tokens, i + 1, &[], &inner);
                    continue;
                }
                first if is_name(first) && word(i + 1) == "::" && !follows_path(word, i) => {
                    i = self.tree(tokens, i, &[], &inner);
                    continue;
                }
                _ => {}
            }
            i += 1;
        }
    }

    /// Reads the tree of paths at `i`, below `above`; gives where it ends.
    fn tree(
        &mut self,
        tokens: &[Token<'_>],
        mut i: usize,
        above: &[String],
        inner: &[(usize, &str)],
    ) -> usize {
        let word = |i: usize| tokens.get(i).map_or("", |(_, word)| word);
        let mut path = above.to_vec();
        if word(i) == "::" {
            i += 1;
        }
        loop {
            if word(i) == "{" {
                i += 1;
                while !matches!(word(i), "}" | "") {
                    let before = i;
                    i = self.tree(tokens, i, &path, inner);
                    if word(i) == "as" {
                        i += 2;
                    }
                    if word(i) == "," || i == before {
                        i += 1;
                    }
                }
                return i + 1;
            }
            if !is_name(word(i)) {
                // A glob, or the end of a generic path such as `Vec::<u8>`.
                self.note(tokens, i.saturating_sub(1), &path, inner);
                return if word(i) == "*" { i + 1 } else { i };
            }
            path.push(word(i).to_owned());
            if word(i + 1) != "::" {
                self.note(tokens, i, &path, inner);
                return i + 1;
            }
            i += 2;
        }
    }

    fn note(&mut self, tokens: &[Token<'_>], i: usize, path: &[String], inner: &[(usize, &str)]) {
        let line = tokens.get(i).map_or(0, |(line, _)| *line);
        let Some(first) = path.first() else {
            return;
        };
        let mut here = self.module.clone();
        here.extend(inner.iter().map(|(_, name)| (*name).to_owned()));
        match first.as_str() {
            "crate" => here.clear(),
            "self" | "super" => {}
            _ => return self.external.push((line, first.clone())),
        }
        for part in path {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => drop(here.pop()),
                name => here.push(name.to_owned()),
            }
        }
        if !here.is_empty() {
            self.internal.push((line, here));
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn follows_path<'a>(word: impl Fn(usize) -> &'a str, i: usize) -> bool {
    i > 1 && word(i - 1) == "::" && is_name(word(i - 2))
}

/// The words of `text` and their lines, without comments, texts, characters
/// and lifetimes.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_text(rest).or_else(|| quoted(rest)) {
            length
        } else {
            let length = if is_name(rest) {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                next.len_utf8()
            };
            if !next.is_whitespace() {
                found.push((line, &rest[..length]));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of the raw text that begins here.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let inside = after.trim_start_matches('#');
    let hashes = &after[..after.len() - inside.len()];
    let end = format!("\"{hashes}");
    let inside = inside.strip_prefix('"')?;
    let close = inside.find(&end)?;
    Some(rest.len() - inside.len() + close + end.len())
}

/// The length of the text, character or lifetime that begins here.
fn quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut characters = rest.char_indices().skip(1).peekable();
    if quote == '\'' {
        let (_, first) = characters.next()?;
        let &(end, second) = characters.peek()?;
        if first != '\\' && second != '\'' {
            // A lifetime: its quote alone is left out.
            return Some(1);
        }
        if first != '\\' {
            return Some(end + 1);
        }
        characters.next();
    }
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
