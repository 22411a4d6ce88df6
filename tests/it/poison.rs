//! Whatever strangers put into a model's files, names and branches stays
//! text: on a terminal, in Markdown, HTML and JSON, and in a workflow's log.

mod github;
mod markup;
mod onnx;

use std::fs;

use proptest::prelude::*;
use serde_json::Value;

use self::{markup::harmless_markdown, onnx::Names};
use crate::{checkout::Checkout, process::Ended};

/// What somebody would try, one at a time and put together.
const TRIED: &[&str] = &[
    "</td></table></details><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "<!--",
    "-->",
    "&lt;b&gt;",
    "![a](http://evil.example/x.png)",
    "[b](javascript:alert(1))",
    "https://evil.example/",
    "www.evil.example",
    "<mail@evil.example>",
    "@octocat",
    "#1",
    "GH-1",
    "`code`",
    "```mermaid\n",
    "| a | b |",
    "**bold** _slanted_ ~~struck~~",
    "$`x`$ $$y$$",
    "- [ ] done",
    "[^1]: note",
    "\\",
    "$(touch owned)",
    "`touch owned`",
    "'; touch owned; '",
    "\" && touch owned #",
    "${{ github.token }}",
    "\n::error file=x::owned",
    "%0A::error file=x::owned",
    "\r\n  ::stop-commands::owned",
    "::add-mask::modelship",
    "##[error]owned",
    "##[add-mask]modelship",
    ",line=7,title=owned",
    "\n# heading\n\n---\n",
    "\n    indented\n> quoted\n1. one\n",
    "\u{1b}[31mred\u{1b}]0;owned\u{7}\u{8}",
    "\u{9b}31m\u{7f}",
    "\u{202e}txt\u{2066}",
    "\u{61c}\u{200b}\u{ad}\u{feff}",
    "\u{e0041}",
    "é漢🙂",
];

/// Where a terminal shows `out`, it shows all of it, and does nothing else.
fn shows(out: &str) {
    for c in out.chars().filter(|&c| c != '\n') {
        let obeyed = c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        assert!(!obeyed, "{c:?} in {out:?}");
    }
}

/// `own` as TOML's basic string.
fn toml(own: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == ' ';
    let escaped = own.chars().map(|c| match c {
        c if plain(c) => c.to_string(),
        c => format!("\\U{:08x}", u32::from(c)),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// `own` as a file's name, where it may be one.
fn file_name(own: &str) -> String {
    own.chars().filter(|&c| c != '/').take(50).collect()
}

/// `own` as a branch's name, as git lets it be.
fn branch_name(own: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !" ~^:?*[\\/{".contains(*c);
    let own: String = own.chars().filter(allowed).take(50).collect();
    format!("b{}b", own.replace("..", "."))
}

/// Runs `modelship`, which may find what it likes and must end by itself.
fn ran(checkout: &Checkout, arguments: &[&str]) -> Ended {
    let ended = checkout.run(arguments);
    assert!(
        matches!(ended.code, Some(0 | 1)),
        "{arguments:?}: {ended:#?}"
    );
    shows(&ended.out);
    ended.err.iter().for_each(|line| shows(line));
    ended
}

/// Puts a model full of `poison` into `checkout`: first as `main` has it, then
/// as a pull request does.
fn plant(checkout: &Checkout, poison: &str) {
    let names = Names::of(poison);
    let add = |classes: &str, slope: f32, version: &str| {
        let file = checkout.put("../given.onnx", onnx::model(poison, classes, slope));
        let file = file.to_str().unwrap();
        let description = format!("--description={poison}.");
        let license = format!("--license={poison}.");
        let named = ["add", file, "--name", "own", "--version", version];
        let ended = ran(checkout, &[&named[..], &[&description, &license]].concat());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    };
    add("a", 1.5, "v1.0.0");
    let manifest = checkout.text("models/own/model.toml");
    let words = |change: &str| {
        let own = [poison, change].concat();
        format!(
            "{manifest}\n[features]\n{input} = [{column}]\n\n[labels]\n{key} = {label}\n\n[ranges]\n{column} = [0, 9]\n",
            input = toml(&names.input),
            column = toml(&format!("{poison}column")),
            key = toml(&format!("{poison}key")),
            label = toml(&own),
        )
    };
    checkout.put("models/own/model.toml", words("a"));
    checkout.commit("own v1.0.0");
    add("b", 1.75, "v1.1.0");
    let text = checkout.text("models/own/model.toml");
    checkout.put(
        "models/own/model.toml",
        text.replace(
            &toml(&[poison, "a"].concat()),
            &toml(&[poison, "b"].concat()),
        ),
    );
    let cases = fs::read_dir(checkout.path().join("models/own/cases")).unwrap();
    let case = fs::read(cases.flatten().next().unwrap().path()).unwrap();
    let mut case: Value = serde_json::from_slice(&case).unwrap();
    case["description"] = poison.into();
    let name = file_name(poison);
    checkout.put(&format!("models/own/cases/{name}.json"), case.to_string());
    // What is wrong is quoted too.
    case["outputs"][0]["data"][0] = poison.into();
    checkout.put(
        &format!("models/own/cases/wrong-{name}.json"),
        case.to_string(),
    );
    checkout.put(&format!("models/own/{name}.bin"), "x");
    checkout.put(
        &format!("models/{name}/model.toml"),
        format!(
            "name = {own}\nversion = {own}\n{own} = {own}\n",
            own = toml(poison)
        ),
    );
}

fn put_together() -> impl Strategy<Value = String> {
    let one = prop::sample::select(TRIED);
    prop::collection::vec(one, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 20, ..Default::default() })]

    #[test]
    fn what_a_stranger_writes_stays_text(poison in put_together()) {
        everything(&poison, "0");
    }
}

/// Each that is tried, at once: what is not drawn above is seen here.
#[test]
fn all_of_it_at_once_stays_text() {
    everything(&TRIED.concat(), "1");
}

fn everything(poison: &str, speed: &str) {
    let checkout = Checkout::new();
    let branch = branch_name(poison);
    plant(&checkout, poison);
    checkout.git(&["branch", &branch]);

    // `own` can be loaded once what stands beside it is gone.
    for whole in [false, true] {
        if whole {
            let name = file_name(poison);
            fs::remove_file(checkout.path().join(format!("models/own/{name}.bin"))).unwrap();
            fs::remove_dir_all(checkout.path().join(format!("models/{name}"))).unwrap();
        }
        checks(&checkout, &branch, whole);
        reviews(
            &checkout,
            &[&branch, "--speed", speed],
            whole.then_some(poison),
        );
    }
    assert!(!checkout.path().join("owned").exists());
}

fn checks(checkout: &Checkout, branch: &str, whole: bool) {
    let text = ran(checkout, &["check", "--against", branch]);
    assert_eq!(text.out.contains("own v1.1.0: "), whole, "{text:#?}");
    let json = ran(
        checkout,
        &["check", "--format", "json", "--against", branch],
    );
    let report: Value = serde_json::from_str(&json.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let log = ran(
        checkout,
        &["check", "--format", "github", "--against", branch],
    );
    let commands = github::commands(&log.out);
    assert_eq!(commands.len(), findings.len(), "{}", log.out);
    for (command, finding) in commands.iter().zip(findings) {
        github::is_finding(command, finding, &log.out);
    }
}

fn reviews(checkout: &Checkout, of: &[&str], whole: Option<&str>) {
    let json = ran(checkout, &[&["diff", "--format", "json"], of].concat());
    let review: Value = serde_json::from_str(&json.out).unwrap();
    if let Some(poison) = whole {
        let model = &review["models"][0];
        let classes = &model["predictions"]["outputs"][0]["classes"];
        assert!(classes["flips"].as_u64() > Some(0), "{model:#}");
        assert!(
            model["weights"]["changes"][0]["name"]
                .as_str()
                .unwrap()
                .starts_with(poison)
        );
    }
    checkout.put("../review.json", &json.out);
    let from = |format| {
        ran(
            checkout,
            &["diff", "--from", "../review.json", "--format", format],
        )
        .out
    };
    harmless_markdown(&from("md"), &review);
    markup::harmless_page(&from("html"));
    fs::remove_file(checkout.path().join("../review.json")).unwrap();
}

/// A review that no modelship wrote: a stranger's run gives it to the job that
/// writes the comment.
#[test]
fn a_forged_review_stays_text() {
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    let out = checkout.good(&["diff", "main", "--format", "json", "--speed", "1"]);
    let mut review: Value = serde_json::from_str(&out).unwrap();
    forge(&mut review, &TRIED.concat());
    checkout.put("forged.json", review.to_string());
    let from = |format| {
        ran(
            &checkout,
            &["diff", "--from", "forged.json", "--format", format],
        )
        .out
    };
    let markdown = from("md");
    assert!(
        markdown.matches("script").count() > 10,
        "the poison is there: {markdown}"
    );
    harmless_markdown(&markdown, &review);
    markup::harmless_page(&from("html"));
    let again: Value = serde_json::from_str(&from("json")).unwrap();
    assert_eq!(again["summary"], review["summary"]);
    assert!(!checkout.path().join("owned").exists());
}

/// Puts `with` into every text of `value` that is not one of a fixed set.
fn forge(value: &mut Value, with: &str) {
    match value {
        Value::Object(object) => {
            let fixed = ["form", "verdict", "change", "step", "outcome"];
            for (key, value) in object.iter_mut() {
                if !fixed.contains(&key.as_str()) {
                    forge(value, with);
                }
            }
            if let Some(count) = object.remove("Mul") {
                object.insert(with.to_owned(), count);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forge(item, with)),
        Value::String(text) => text.push_str(with),
        _ => {}
    }
}

/// Where a comment would be too long for GitHub, it is cut, not refused.
#[test]
fn a_review_of_endless_text_is_a_comment_all_the_same() {
    let checkout = Checkout::with_line();
    checkout.add_line("line-steeper.onnx", "v1.1.0");
    let out = checkout.good(&["diff", "main", "--format", "json", "--speed", "0"]);
    let mut review: Value = serde_json::from_str(&out).unwrap();
    forge(&mut review, &"`#<x>`".repeat(2_000));
    let notes = &mut review["notes"];
    *notes =
        vec![serde_json::json!({"verdict": "look", "text": "x".repeat(500), "remedy": ""}); 5_000]
            .into();
    checkout.put("long.json", review.to_string());
    let markdown = ran(&checkout, &["diff", "--from", "long.json"]).out;
    let length = markdown.chars().count();
    assert!(length < 65_000, "{length}");
    harmless_markdown(&markdown, &review);
}
