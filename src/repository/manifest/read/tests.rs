//! Manifests, right and wrong.

use super::*;
use crate::repository::{Digest, Version};
use proptest::prelude::*;

const FILE: &str = "models/linear/model.toml";

fn sha() -> Digest {
    Digest::of(b"model")
}

fn head() -> String {
    format!(
        "name = \"linear\"\nversion = \"v1.1.0\"\ndescription = \"Doubles and adds six.\"\n\
         [[files]]\npath = \"model.onnx\"\nsha256 = \"{}\"\n",
        sha()
    )
}

fn parse(text: &str) -> Result<Manifest, Vec<String>> {
    manifest(Path::new(FILE), text).map_err(|e| e.iter().map(Problem::to_string).collect())
}

/// The problems of `text`, each of which names the file.
fn problems(text: &str) -> Vec<String> {
    let problems = parse(text).expect_err("a problem");
    assert!(problems.iter().all(|p| p.starts_with(FILE)), "{problems:?}");
    problems
}

/// The only problem of the good manifest with `more` at its end.
fn one(more: &str) -> String {
    let mut problems = problems(&(head() + more));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn the_least_manifest() {
    let own = parse(&head()).unwrap();
    assert_eq!(
        (&*own.name, &own.version),
        ("linear", &Version::new(1, 1, 0))
    );
    assert_eq!(own.graph().path, "model.onnx");
    assert_eq!(own.graph().sha256, sha());
    assert_eq!(own.license, None);
    assert_eq!(own.tolerance, Tolerance::default());
    assert_eq!(own.scheduling, Settings::default());
}

#[test]
fn the_whole_manifest() {
    let more = "[[files]]\npath = \"weights/a.bin\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
        [labels]\nteam = \"pricing\"\n[golden]\nabsolute = 1\nrelative = 1e-3\n\
        [scheduling]\nmax_batch_size = 0x40\nmax_queue_size = 1_024\nmax_queue_delay = \"2ms\"\n\
        instances = 2\nintra_threads = 1\nplacement = \"threads\"\n\
        priority_levels = 3\ndefault_priority = 1\ndefault_timeout = \"1s\"\nmax_run_time = \"5s\"\n\
        [features]\nx = [\"a\", \"b\"]\n[ranges]\na = [-0.5, 40]\nx = [1_0, 1e1]\n";
    let own = parse(&format!("license = \"MIT\"\n{}{more}", head())).unwrap();
    assert_eq!(own.license.as_deref(), Some("MIT"));
    assert_eq!(own.files.len(), 2);
    assert!(own.file("weights/a.bin").is_some());
    assert_eq!(own.labels["team"], "pricing");
    assert_eq!(
        (own.tolerance.absolute, own.tolerance.relative),
        (1.0, 1e-3)
    );
    let expected = Settings {
        max_batch_size: Some(64),
        max_queue_size: Some(1024),
        max_queue_bytes: None,
        max_queue_delay: Some(Duration::from_millis(2)),
        instances: Some(2),
        intra_threads: Some(1),
        placement: Placement::Threads,
        priority_levels: Some(3),
        default_priority: Some(1),
        default_timeout: Some(Duration::from_secs(1)),
        max_run_time: Some(Duration::from_secs(5)),
    };
    assert_eq!(own.scheduling, expected);
    assert_eq!(own.features["x"], ["a", "b"]);
    let ranges: Vec<_> = own.ranges.iter().map(|(k, r)| format!("{k} {r}")).collect();
    assert_eq!(ranges, ["a [-0.5, 40]", "x [10, 10]"]);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_a_guess() {
    let text = head().replace("version", "verson");
    let problems = problems(&text);
    assert_eq!(
        problems,
        [
            "models/linear/model.toml: key \"version\": it is missing; add version = \"v1.0.0\"",
            "models/linear/model.toml:2: key \"verson\": unknown key; did you mean \"version\"?",
        ]
    );
    assert_eq!(
        one("[scheduling]\nmax_batch = 4\n"),
        "models/linear/model.toml:8: key \"scheduling.max_batch\": unknown key; take it out; the keys \
         here are max_batch_size, max_queue_size, instances, intra_threads, priority_levels, \
         default_priority, max_queue_delay, default_timeout, max_run_time, placement"
    );
    let nested = one("mode = 1\n");
    assert!(
        nested.contains(":7: key \"files.mode\": unknown key"),
        "{nested}"
    );
}

#[test]
fn all_mistakes_are_reported_together() {
    let text = "name = \"No Name\"\nversion = \"1.0\"\ndescription = \" \"\nextra = 1\n\
        [[files]]\npath = \"../model.onnx\"\nsha256 = \"abc\"\n[golden]\nabsolute = -1\n\
        [scheduling]\nplacement = \"gpu\"\nmax_queue_delay = \"soon\"\n[labels]\nteam = 1\n";
    let problems = problems(text);
    let expected = [
        (":1: key \"name\": \"No Name\"", "a-z"),
        (":2: key \"version\": \"1.0\"", "v1.4.0"),
        (":3: key \"description\"", "sentence"),
        (":4: key \"extra\": unknown key", "take it out"),
        (
            ":6: key \"files.path\": \"../model.onnx\": the path leaves the model's folder",
            "by its path",
        ),
        (":7: key \"files.sha256\": \"abc\"", "sha256sum"),
        (":9: key \"golden.absolute\": -1", "0 or greater"),
        (":11: key \"scheduling.placement\": \"gpu\"", "inline"),
        (":12: key \"scheduling.max_queue_delay\": \"soon\"", "2ms"),
        (":14: key \"labels.team\": 1", "quotes"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (place, remedy) in expected {
        assert!(
            problems
                .iter()
                .any(|p| p.contains(place) && p.contains(remedy)),
            "{place} {remedy}: {problems:#?}"
        );
    }
}

#[test]
fn broken_toml_is_told_by_line() {
    let problems = problems("name = \"linear\"\nversion = v1\n");
    assert!(
        problems[0].starts_with("models/linear/model.toml:2: it is not valid TOML"),
        "{problems:?}"
    );
    let twice = one("[labels]\na = \"1\"\na = \"2\"\n");
    assert!(
        twice.contains("model.toml:9") && twice.contains("duplicate key"),
        "{twice}"
    );
}

#[test]
fn an_empty_manifest_says_what_it_needs() {
    let problems = problems("");
    for key in ["name", "version", "description", "files"] {
        assert!(
            problems
                .iter()
                .any(|p| p.contains(&format!("key \"{key}\": it is missing; add"))),
            "{key}"
        );
    }
}

#[test]
fn files_must_be_of_the_folder_and_told_once() {
    for (path, reason) in [
        ("/etc/passwd", "absolute"),
        ("a/../../b", "leaves"),
        ("", "empty"),
        ("./a", "\"./\""),
        ("a//b", "empty part"),
        ("a\\\\b", "backslash"),
        ("model.toml", "list itself"),
        ("model.onnx", "twice"),
    ] {
        let text = one(&format!(
            "[[files]]\npath = \"{path}\"\nsha256 = \"{}\"\n",
            sha()
        ));
        assert!(
            text.contains(":8: key \"files.path\"") && text.contains(reason),
            "{path}: {text}"
        );
    }
    let none = problems(&head().replace("model.onnx", "model.pkl"));
    assert!(none[0].contains("ends in .onnx"), "{none:?}");
    let no_array = problems(
        "name = \"a\"\nversion = \"v1.0.0\"\ndescription = \"d\"\nfiles = \"model.onnx\"\n",
    );
    assert!(no_array[0].contains("[[files]]"), "{no_array:?}");
}

#[test]
fn numbers_are_checked() {
    for (line, expected) in [
        ("max_batch_size = 0", "from 1"),
        ("max_batch_size = -1", "from 1"),
        ("instances = 100000", "to 1024"),
        ("instances = 1.5", "whole number"),
        ("max_queue_delay = 2", "2ms"),
        ("max_queue_delay = \"11s\"", "10s"),
    ] {
        let text = one(&format!("[scheduling]\n{line}\n"));
        assert!(
            text.contains(":8: key \"scheduling.") && text.contains(expected),
            "{line}: {text}"
        );
    }
    assert!(one("[golden]\nabsolute = nan\n").contains("finite"));
    assert!(one("[features]\nx = [\"a\", \"a\"]\n").contains("\"a\" stands there twice"));
    assert!(one("[features]\nx = \"a\"\n").contains("features.x"));
}

#[test]
fn ranges_are_two_numbers_the_least_first() {
    for (value, expected) in [
        ("1", "1 does not fit"),
        ("[1]", "an array does not fit"),
        ("[1, 2, 3]", "an array does not fit"),
        ("[\"1\", 2]", "two finite numbers"),
        ("[0, inf]", "two finite numbers"),
        ("[nan, 1]", "two finite numbers"),
        (
            "[2, 1.5]",
            "2 is greater than 1.5; give the least value first",
        ),
    ] {
        let text = one(&format!("[ranges]\nx = {value}\n"));
        assert!(
            text.contains(":8: key \"ranges.x\": ") && text.contains(expected),
            "{value}: {text}"
        );
    }
}

#[test]
fn an_input_has_the_ranges_of_its_columns() {
    let text = "[features]\nx = [\"a\", \"b\"]\n[ranges]\na = [0, 1.5]\nx = [2, 3]\nz = [-1, 1]\n";
    let own = parse(&(head() + text)).unwrap();
    let json = |input| serde_json::to_string(&own.ranges_of(input)).unwrap();
    assert_eq!(json("x"), "[[0,1.5],[2,3]]");
    assert_eq!(json("z"), "[[-1,1]]");
    assert_eq!(json("y"), "[]");
    let own = parse(&(head() + &text.replace("x = [2, 3]\n", ""))).unwrap();
    let json = serde_json::to_string(&own.ranges_of("x")).unwrap();
    assert_eq!(json, "[[0,1.5],null]");
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn a_damaged_manifest_is_read_without_a_panic(at in 0usize..200, with in "[\\[\\]=\"'.{}#\n a1]{0,3}") {
        let mut text = head();
        let at = at % text.len();
        text.replace_range(at..at + 1, &with);
        let _ = parse(&text);
    }
}
