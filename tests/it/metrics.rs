//! `/metrics` as Prometheus's own tools read it.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    process::left_out,
    service::{Service, models},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The metrics of a service that has seen all kinds of requests.
fn metrics() -> String {
    let service = Service::start(&models(), &[("default-model", "linear")]);
    for (path, status) in [
        ("/predict/21", 200),
        ("/predict/abc", 400),
        ("/predict/nobody/1", 404),
        ("/nowhere", 404),
    ] {
        assert_eq!(service.get(path).status, status, "{path}");
    }
    let reply = service.get("/metrics");
    let kind = &reply.headers["content-type"];
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    reply.body
}

/// What `linter` says of `text`; it passes where that is nothing.
fn lint(mut linter: Command, text: &str) -> Result<(), String> {
    let mut process = linter
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&said).into_owned())
}

/// Lints that a good linter must find something in.
const WRONG: &str = "# HELP requests_total Requests.\n# TYPE requests_total gauge\n\
                     requests_total{a=\"b\"} 1\nrequests_total{a=\"b\"} 2\n";

fn lint_with(linter: impl Fn() -> Command) {
    assert_eq!(lint(linter(), &metrics()), Ok(()));
    assert!(lint(linter(), WRONG).is_err(), "the linter finds nothing");
}

#[test]
fn prometheus_own_linter_finds_nothing() {
    if let Err(error) = Command::new("go").arg("version").output() {
        return left_out("Prometheus's linter on /metrics", &format!("go: {error}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("promlint");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([program.as_os_str(), ".".as_ref()])
        .current_dir(root().join("tests/metrics"))
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    lint_with(|| Command::new(&program));
}

#[test]
fn the_official_python_client_reads_it() {
    let python = root().join(".venv/bin/python");
    let there = Command::new(&python)
        .args(["-c", "import prometheus_client"])
        .output();
    if !there.is_ok_and(|output| output.status.success()) {
        let why = "prometheus_client is not in .venv: run scripts/setup";
        return left_out("the official Python parser on /metrics", why);
    }
    lint_with(|| {
        let mut command = Command::new(&python);
        command.arg(root().join("tests/metrics/parse.py"));
        command
    });
}

/// The words beginning with `modelship_` in every file below `folder`.
fn names_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_in(&path, names);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let ours = words.filter(|word| word.starts_with("modelship_"));
            names.extend(ours.map(str::to_owned));
        }
    }
}

/// There is no certificate that ends where there is none.
const WITH_TLS: &str = "modelship_tls_certificate_expiry_timestamp_seconds";

#[test]
fn alerts_and_dashboards_ask_for_what_there_is() {
    let text = metrics();
    let shown: BTreeSet<_> = text
        .lines()
        .filter_map(|line| {
            line.split([' ', '{'])
                .find(|word| word.starts_with("modelship_"))
        })
        .collect();
    let mut asked = BTreeSet::new();
    names_in(&root().join("gitops"), &mut asked);
    assert!(asked.len() > 5, "{asked:?}");
    let missing: Vec<_> = asked
        .iter()
        .filter(|name| !shown.contains(name.as_str()) && name.as_str() != WITH_TLS)
        .collect();
    assert!(missing.is_empty(), "{missing:?}\n{text}");
}
