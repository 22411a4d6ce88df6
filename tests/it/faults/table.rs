//! The table of faults and the tests are the same list.

use std::{collections::BTreeSet, fs, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tests that the table names: the last column, in backquotes.
fn named() -> BTreeSet<String> {
    let table = fs::read_to_string(root().join("src/FAULTS.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with('|'));
    let mut named = BTreeSet::new();
    // After the head and the line below it.
    for row in rows.skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "{row}");
        let tests: Vec<String> = cells[2]
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert!(!tests.is_empty(), "no test shows: {row}");
        named.extend(tests);
    }
    assert!(named.len() > 20, "{named:?}");
    named
}

/// The tests in a file of this crate or of the library.
fn tests_of(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if is_test && let Some(rest) = line.strip_prefix("fn ") {
            tests.extend(rest.split('(').next().map(str::to_owned));
            is_test = false;
        }
    }
    tests
}

#[test]
fn every_row_names_tests_that_there_are() {
    for path in named() {
        let (module, name) = path.rsplit_once("::").unwrap();
        let module = module.replace("::", "/");
        let places = [format!("tests/it/{module}.rs"), format!("src/{module}.rs")];
        let file = places
            .iter()
            .map(|place| root().join(place))
            .find(|file| file.is_file());
        let file = file.unwrap_or_else(|| panic!("{path}: there is no such file"));
        assert!(tests_of(&file).contains(name), "{path}: no such test");
    }
}

#[test]
fn every_test_of_a_fault_stands_in_a_row() {
    let named = named();
    for entry in fs::read_dir(root().join("tests/it/faults")).unwrap() {
        let file = entry.unwrap().path();
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if module == "table" {
            continue;
        }
        for test in tests_of(&file) {
            let path = format!("faults::{module}::{test}");
            assert!(named.contains(&path), "{path} is in no row");
        }
    }
}
