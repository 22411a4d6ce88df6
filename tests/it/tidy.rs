//! The shape of the code: rows that import downward only, crates that only one
//! row knows, small files named after what they hold.
//!
//! Each rule is a function of the source text, so that the tests at the end
//! can plant a violation and see that it is found.

mod source;

use std::{collections::BTreeMap, fs, path::Path};

use source::Source;

/// The rows of the design, top to bottom. A module may name its own row and
/// those below.
const ROWS: &[&[&str]] = &[
    &["main", "cli"],
    &["app"],
    &["config"],
    &["transport"],
    &["review"],
    &["catalog"],
    &["repository"],
    &["scheduler"],
    &["engine"],
    &["error", "telemetry", "tensor"],
];

/// Crates that only some modules may name.
const CRATES: &[(&str, &[&str])] = &[
    ("ort", &["engine"]),
    ("axum", &["transport"]),
    ("http", &["transport"]),
    ("http_body", &["transport"]),
    ("http_body_util", &["transport"]),
    ("hyper", &["transport"]),
    ("hyper_util", &["transport"]),
    ("tonic", &["transport"]),
    ("tower", &["transport"]),
    ("prometheus_client", &["telemetry"]),
    ("anyhow", &["main", "cli", "app"]),
    ("clap", &["cli"]),
];

const LONGEST: usize = 400;
/// Tests are lists, of which one reads a part.
const LONGEST_TESTS: usize = 600;
const VAGUE: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "misc", "mod",
];

type Rule = fn(&[Source]) -> Vec<String>;
const RULES: &[Rule] = &[
    rows, crates, transports, cycles, lines, heads, names, markers,
];

#[test]
fn the_code_keeps_its_shape() {
    let sources = read(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(sources.len() > 20, "the source was not found");
    let found: Vec<_> = RULES.iter().flat_map(|rule| rule(&sources)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn read(root: &Path) -> Vec<Source> {
    let mut folders = vec![root.join("src"), root.join("tests/it")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                sources.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// Nothing names a row above its own, and every module has a row.
fn rows(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.is_module()) {
        let Some(mine) = row(source.top()) else {
            found.push(format!(
                "{}: the module is in no row of the design",
                source.path
            ));
            continue;
        };
        for (line, path) in &source.internal {
            // What is not a module is a name that lib.rs itself gives.
            if row(&path[0]).is_some_and(|theirs| theirs < mine) {
                found.push(format!(
                    "{}:{line}: {} names {}, which is a row above it",
                    source.path,
                    source.top(),
                    path.join("::")
                ));
            }
        }
    }
    found
}

/// Some crates are known to one row alone.
fn crates(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| s.is_module()) {
        for (line, name) in &source.external {
            let allowed = CRATES.iter().find(|(of, _)| of == name);
            if allowed.is_some_and(|(_, modules)| !modules.contains(&source.top())) {
                found.push(format!(
                    "{}:{line}: {} names the crate {name}",
                    source.path,
                    source.top()
                ));
            }
        }
    }
    found
}

/// The two transports never see each other.
fn transports(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (mine, other) in [("http", "grpc"), ("grpc", "http")] {
            let within = source
                .module
                .starts_with(&["transport".into(), mine.into()]);
            for (line, path) in &source.internal {
                if within && path.starts_with(&["transport".into(), other.into()]) {
                    found.push(format!("{}:{line}: {mine} names {other}", source.path));
                }
            }
        }
    }
    found
}

/// No two modules need each other, by whatever way round.
fn cycles(sources: &[Source]) -> Vec<String> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.is_module()) {
        let names = source.internal.iter().map(|(_, path)| path[0].as_str());
        let others = names.filter(|name| row(name).is_some() && *name != source.top());
        needs.entry(source.top()).or_default().extend(others);
    }
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut next) = (Vec::new(), vec![from]);
        while let Some(module) = next.pop() {
            for &needed in needs.get(module).into_iter().flatten() {
                if needed == to {
                    return true;
                }
                if !seen.contains(&needed) {
                    seen.push(needed);
                    next.push(needed);
                }
            }
        }
        false
    };
    let round = needs.keys().filter(|module| reaches(module, module));
    round
        .map(|module| format!("src/{module}: the module needs itself by way of others"))
        .collect()
}

fn lines(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for Source { path, lines, .. } in sources {
        let is_test = path.starts_with("tests/") || path.ends_with("tests.rs");
        let longest = if is_test { LONGEST_TESTS } else { LONGEST };
        if *lines > longest {
            found.push(format!("{path}: {lines} lines, more than {longest}"));
        }
    }
    found
}

/// The first lines say what the file is.
fn heads(sources: &[Source]) -> Vec<String> {
    let without = sources.iter().filter(|source| !source.has_head);
    without
        .map(|s| format!("{}: the file does not begin with //!", s.path))
        .collect()
}

fn names(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let parts = source.path.trim_end_matches(".rs").split('/');
        if let Some(vague) = parts.skip(1).find(|part| VAGUE.contains(part)) {
            found.push(format!("{}: \"{vague}\" says nothing", source.path));
        }
    }
    found
}

/// What is left to do is not left in the source; a lint is expected, with a
/// reason, rather than allowed.
fn markers(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (line, marker) in &source.markers {
            found.push(format!("{}:{line}: {marker}", source.path));
        }
    }
    found
}

/// What `rule` finds in files of these paths and texts.
fn planted(rule: Rule, files: &[(&str, &str)]) -> String {
    let sources: Vec<_> = files
        .iter()
        .map(|(path, text)| Source::new((*path).to_owned(), text))
        .collect();
    rule(&sources).join("; ")
}

#[test]
fn an_import_of_a_row_above_is_found() {
    for (text, name) in [
        ("use crate::catalog::Lease;", "catalog::Lease"),
        (
            "use crate::{error::Error, catalog::{self, Lease}};",
            "catalog",
        ),
        ("use super::super::catalog;", "catalog"),
        (
            "fn f() -> crate::transport::http::X { todo() }",
            "transport::http::X",
        ),
        ("mod tests { use super::super::super::app; }", "app"),
        ("pub(crate) use crate::cli as c;", "cli"),
        ("use {crate::app::run};", "app::run"),
    ] {
        let found = planted(rows, &[("src/engine/onnx.rs", text)]);
        assert!(found.contains(&format!("names {name}")), "{text}: {found}");
    }
    for text in [
        "use crate::{tensor::Tensor, error::Error};",
        "use super::Engine;",
        "mod tests { use super::super::Engine; }",
        "// use crate::catalog::Lease;\n/* use crate::app; */",
        "const T: &str = \"use crate::app;\"; const U: &str = r#\"crate::app\"#;",
        "fn f<'a>(x: &'a str, c: char) -> bool { c == '\"' } // crate::app",
    ] {
        assert_eq!(planted(rows, &[("src/engine/onnx.rs", text)]), "", "{text}");
    }
    let found = planted(rows, &[("src/banana.rs", "")]);
    assert!(found.contains("no row"), "{found}");
}

#[test]
fn a_crate_in_the_wrong_row_is_found() {
    for text in [
        "use ort::session::Session;",
        "fn f(x: ort::Error) {}",
        "use ::ort as o;",
    ] {
        let found = planted(crates, &[("src/scheduler/queue.rs", text)]);
        assert!(found.contains("names the crate ort"), "{text}: {found}");
        assert_eq!(planted(crates, &[("src/engine/onnx.rs", text)]), "");
    }
    let own = "use self::http::x; use crate::transport::http; mod http;";
    assert_eq!(planted(crates, &[("src/app.rs", own)]), "");
}

#[test]
fn transports_that_see_each_other_are_found() {
    let http = (
        "src/transport/http/infer.rs",
        "use super::super::grpc::infer;",
    );
    assert!(planted(transports, &[http]).contains("http names grpc"));
    let both = ("src/transport.rs", "use self::{grpc::A, http::B};");
    let status = ("src/transport/grpc.rs", "use super::status::Status;");
    assert_eq!(planted(transports, &[both, status]), "");
}

#[test]
fn a_cycle_is_found() {
    let tensor = ("src/tensor/rows.rs", "use crate::error::Error;");
    let error = ("src/error.rs", "use crate::telemetry::Metrics;");
    let telemetry = ("src/telemetry.rs", "use crate::tensor::Tensor;");
    assert_eq!(planted(cycles, &[tensor, error]), "");
    assert!(planted(cycles, &[tensor, error, telemetry]).contains("src/error"));
}

#[test]
fn a_long_nameless_or_unfinished_file_is_found() {
    let long = "//! Long.\n".repeat(LONGEST + 1);
    assert!(planted(lines, &[("src/app.rs", &long)]).contains("401 lines"));
    assert_eq!(planted(lines, &[("src/app/tests.rs", &long)]), "");
    assert!(planted(lines, &[("src/app/tests.rs", &long.repeat(2))]).contains("802"));
    assert!(planted(heads, &[("src/app.rs", "use std::fs;")]).contains("does not begin"));
    assert_eq!(planted(heads, &[("src/app.rs", "//! What it is.\n")]), "");
    assert!(planted(names, &[("src/engine/utils.rs", "")]).contains("utils"));
    assert!(planted(names, &[("tests/it/common/server.rs", "")]).contains("common"));
    let unfinished = ["TO", "DO: later"].concat();
    for text in [
        format!("// {unfinished}"),
        ["#[all", "ow(dead_code)] fn f() {}"].concat(),
    ] {
        assert!(
            !planted(markers, &[("src/app.rs", &text)]).is_empty(),
            "{text}"
        );
    }
}
