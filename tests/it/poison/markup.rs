//! What a browser, or GitHub, makes of a review.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};
use serde_json::Value;

/// Whatever GitHub makes of `markdown`: there is no link, no picture, nothing
/// that is not ours, and no HTML but that of folded parts.
#[track_caller]
pub fn harmless_markdown(markdown: &str, review: &Value) {
    let github = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    let models = review["models"].as_array().unwrap();
    let moving = |model: &Value| {
        let outputs = model["predictions"]["outputs"].as_array();
        let moves = |output: &&Value| output["numbers"]["largest"].as_f64() > Some(0.0);
        outputs.map_or(0, |outputs| outputs.iter().filter(moves).count().min(3))
    };
    let plots: usize = models.iter().map(moving).sum();
    let (mut headings, mut fences, mut slanted) = (0, 0, false);
    for event in Parser::new_ext(markdown, github) {
        match event {
            Event::Start(Tag::Heading { .. }) => headings += 1,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                assert_eq!(&*language, "mermaid", "{markdown}");
                fences += 1;
            }
            Event::Start(
                Tag::Paragraph
                | Tag::List(None)
                | Tag::Item
                | Tag::Strong
                | Tag::Table(_)
                | Tag::TableHead
                | Tag::TableRow
                | Tag::TableCell
                | Tag::HtmlBlock,
            )
            | Event::End(_)
            | Event::Code(_)
            | Event::SoftBreak => {}
            Event::Start(Tag::Emphasis) => slanted = true,
            Event::Html(html) | Event::InlineHtml(html) => {
                let ours = ["details", "summary", "code"]
                    .map(|tag| [format!("<{tag}>"), format!("</{tag}>")]);
                let mut left = html.replace("<!-- -->", "");
                for tag in ours.iter().flatten() {
                    left = left.replace(tag, "");
                }
                assert!(!left.contains('<'), "{html}");
            }
            // How many are left out.
            Event::Text(text) if std::mem::take(&mut slanted) => {
                let words = text.trim_matches(|c: char| c.is_ascii_digit());
                let ours = ["and ", " models are shown in full on the page only."];
                assert!(ours.contains(&words) || text.ends_with(" more"), "{text}");
            }
            Event::Text(text) => {
                // GitHub links these wherever they stand in text.
                for part in ["@o", "@e", "#1", "GH-1", "://", "www."] {
                    assert!(!text.contains(part), "{part}: {text}");
                }
            }
            other => panic!("{other:?} in {markdown}"),
        }
    }
    assert!(headings > 0 && headings <= 1 + models.len(), "{markdown}");
    assert!(
        fences == 2 * plots || markdown.contains("on the page only"),
        "{markdown}"
    );
}

/// Every tag of `page` is one that modelship writes, and so is each attribute:
/// whatever a reader brings along, there is nothing in it that runs or loads.
#[track_caller]
pub fn harmless_page(page: &str) {
    const TAGS: &str = " !DOCTYPE html head meta title style body main header section footer div h1 h2 h3 \
        p span code b i ul li table tr th td details summary svg text line circle rect ";
    const ATTRIBUTES: &str = " html lang charset name content http-equiv class style open xmlns viewBox role \
        aria-label tabindex x y x1 x2 y1 y2 cx cy r width height text-anchor transform scope ";
    let (_, body) = page.split_once("</style></head>").unwrap();
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').unwrap();
        let (tag, after) = rest.split_at(end);
        let tag = tag.trim_end_matches('/');
        let name = tag.trim_start_matches('/').split(' ').next().unwrap();
        assert!(TAGS.contains(&format!(" {name} ")), "<{tag}>");
        // Values have neither quotes nor angle brackets in them.
        for part in tag
            .split('"')
            .step_by(2)
            .flat_map(|outside| outside.split(' ').skip(1))
        {
            let attribute = part.trim_end_matches('=');
            let ours = attribute.is_empty() || ATTRIBUTES.contains(&format!(" {attribute} "));
            assert!(ours, "{attribute} in <{tag}>");
        }
        rest = after;
    }
}
