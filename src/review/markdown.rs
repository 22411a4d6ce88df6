//! The review as Markdown, for a comment under a pull request.
//!
//! Whatever a review quotes may come from a stranger's files, so all of it
//! goes through [`text`] or [`code`], which leave it text wherever GitHub's
//! Markdown would make something of it.

mod predictions;
mod sections;

use std::fmt::Write as _;

pub(super) use self::sections::{case_counts, change, memory, outcome};
use super::report::{ModelReview, Note, Review, Verdict};
use crate::repository::plain;

/// A comment on GitHub holds 65,536 characters; more than these bytes are
/// cut, with some room for what comes last.
const MOST: usize = 56_000;

/// The most characters of one text.
const LONGEST: usize = 600;

/// The review as Markdown. `plots` is where the plots lie that
/// [`super::html::plots`] gives, as a path or URL; without it they are drawn
/// with Mermaid, which GitHub shows.
pub fn markdown(review: &Review, plots: Option<&str>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "## {} {}\n",
        sign(review.verdict),
        text(&review.summary)
    );
    let _ = writeln!(
        out,
        "{} → {} · {} · {}\n",
        code(&review.base),
        code(&review.head),
        text(&review.engine),
        text(&review.machine)
    );
    notes(&mut out, &review.notes);
    let mut cut = 0;
    for (index, model) in review.models.iter().enumerate() {
        let section = section(model, index, plots);
        if out.len() + section.len() <= MOST {
            out += &section;
            continue;
        }
        cut += 1;
        let heading = heading(model);
        if out.len() + heading.len() <= MOST {
            out += &heading;
        }
    }
    if cut > 0 {
        let _ = writeln!(out, "_{cut} models are shown in full on the page only._\n");
    }
    unchanged(&mut out, &review.unchanged);
    out
}

fn heading(model: &ModelReview) -> String {
    format!("### {} {}\n\n", sign(model.verdict), text(&model.headline))
}

fn unchanged(out: &mut String, all: &[String]) {
    if all.is_empty() {
        return;
    }
    let names: Vec<String> = all.iter().take(20).map(|name| code(name)).collect();
    let more = match all.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let _ = writeln!(out, "Unchanged: {}{more}", names.join(", "));
}

fn section(model: &ModelReview, index: usize, plots: Option<&str>) -> String {
    let mut out = heading(model);
    notes(&mut out, &model.notes);
    sections::facts(&mut out, model);
    predictions::predictions(&mut out, model, index, plots);
    sections::speed(&mut out, model);
    sections::signature(&mut out, model);
    sections::cases(&mut out, model);
    sections::weights(&mut out, model);
    sections::words(&mut out, model);
    out
}

fn notes(out: &mut String, notes: &[Note]) {
    let most = out.len() + MOST / 4;
    for (n, note) in notes.iter().enumerate() {
        if out.len() > most {
            let _ = writeln!(out, "\n_and {} more_", notes.len() - n);
            break;
        }
        let remedy = if note.remedy.is_empty() {
            String::new()
        } else {
            format!(" — {}", text(&note.remedy))
        };
        let _ = writeln!(out, "- {} {}{remedy}", sign(note.verdict), text(&note.text));
    }
    if !notes.is_empty() {
        out.push('\n');
    }
}

/// The sign of a verdict.
pub(super) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "✅",
        Verdict::Look => "⚠️",
        Verdict::Wrong => "❌",
    }
}

/// `own` as plain text in Markdown: nothing in it is a heading, a link, an
/// image, HTML, a mention, or a reference. It must not start a line.
pub(super) fn text(own: &str) -> String {
    let own = cut(plain(own), LONGEST);
    let mut out = String::with_capacity(own.len() + 16);
    for (at, c) in own.char_indices() {
        let rest = &own[at..];
        match c {
            // An empty comment breaks what GitHub would link: names, numbers
            // and addresses.
            '@' => out.push_str("@<!-- -->"),
            '#' => out.push_str("#<!-- -->"),
            ':' if rest.starts_with("://") => out.push_str(":<!-- -->"),
            '-' if own[..at].to_ascii_lowercase().ends_with("gh") => out.push_str("<!-- -->-"),
            '.' if own[..at].to_ascii_lowercase().ends_with("www") => out.push_str("<!-- -->."),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '|' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// `own`, or its first `most` characters.
fn cut(own: String, most: usize) -> String {
    match own.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &own[..end]),
        None => own,
    }
}

/// `own` as a code span, in which nothing has a meaning.
pub(super) fn code(own: &str) -> String {
    let own = cut(plain(own), 200);
    if own.trim().is_empty() {
        return "–".to_owned();
    }
    // A fence longer than any run of backticks inside. In a table a bar must
    // be escaped even here.
    let longest = own.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if own.starts_with('`') || own.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{}{pad}{fence}", own.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_strangers_write_stays_text() {
        assert_eq!(text("**a** _b_"), "\\*\\*a\\*\\* \\_b\\_");
        assert_eq!(text("<img src=x onerror=y>"), "&lt;img src=x onerror=y&gt;");
        assert_eq!(text("@octocat #1"), "@<!-- -->octocat #<!-- -->1");
        assert_eq!(text("[a](http://b)"), "\\[a\\](http:<!-- -->//b)");
        assert_eq!(text("www.b.c GH-1"), "www<!-- -->.b.c GH<!-- -->-1");
        assert_eq!(
            text("a\n# b\u{1b}[31m"),
            "a\\\\u{a}#<!-- --> b\\\\u{1b}\\[31m"
        );
        assert_eq!(code("a`b``c|d"), "```a`b``c\\|d```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("<b>"), "`<b>`");
    }

    proptest! {
        #[test]
        fn text_has_one_line_and_no_tag_of_its_own(own in ".*") {
            let shown = text(&own).replace("<!-- -->", "");
            let specials = ['<', '>', '\n', '\r'];
            prop_assert!(!shown.contains(specials), "{shown}");
            let mut before = ' ';
            for c in shown.chars() {
                let bare = "*_`[]|~$".contains(c) && before != '\\';
                prop_assert!(!bare, "{c} in {shown}");
                // A backslash that is itself escaped escapes nothing.
                before = if before == '\\' && c == '\\' { ' ' } else { c };
            }
        }

        #[test]
        fn a_code_span_ends_where_it_should(own in ".*") {
            let shown = code(&own);
            prop_assert!(!shown.contains('\n'));
            if shown != "–" {
                let fence = shown.len() - shown.trim_start_matches('`').len();
                let inner = &shown[fence..shown.len() - fence];
                let runs = inner.split(|c| c != '`').map(str::len).max().unwrap_or(0);
                prop_assert!(runs < fence, "{shown}");
            }
        }
    }
}
