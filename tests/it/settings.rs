//! Arguments and settings, as the real binary takes them.

use std::{fs, net::TcpListener, path::Path};

use modelship::config::{SETTINGS, Setting};

use crate::process::{Ended, Serving, models, modelship, run};

#[test]
fn help_tells_every_command_and_setting() {
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in [
        "serve",
        "add",
        "check",
        "diff",
        "probe",
        "completions",
        "Examples:",
        "Exit status",
    ] {
        assert!(help.out.contains(word), "{word} is missing:\n{}", help.out);
    }
    let help = run(&["serve", "--help"]);
    let words: Vec<&str> = help.out.split_whitespace().collect();
    let text = words.join(" ");
    for setting in SETTINGS {
        assert!(
            text.contains(&format!("--{}", setting.name)),
            "{}",
            setting.name
        );
        assert!(
            text.contains(setting.help),
            "{}:\n{}",
            setting.name,
            help.out
        );
        if let Some(default) = setting.default.filter(|_| !setting.is_switch()) {
            let default = format!("[default: {default}]");
            assert!(text.contains(&default), "{}: {default}", setting.name);
        }
    }
}

#[test]
fn the_status_tells_wrong_use_from_failure() {
    for (arguments, code) in [
        (&[][..], 2),
        (&["serve", "--no-such-flag"], 2),
        (&["no-such-command"], 2),
        (&["serve", "--listen", "nowhere"], 2),
        (&["completions", "tcsh"], 2),
        (
            &["serve", "--models", "/nowhere", "--listen", "127.0.0.1:0"],
            1,
        ),
        (&["probe", "http://127.0.0.1:1/readyz"], 1),
        (&["--version"], 0),
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_a_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("modelship.toml");
    fs::write(&file, "drain-pause = \"soon\"\nlisen = \"0.0.0.0:1\"\n").unwrap();
    let output = modelship(&["serve", "--instances", "none", "--access-log=perhaps"])
        .env("MODELSHIP_CONFIG", &file)
        .env("MODELSHIP_MAX_BODY_SIZE", "big")
        .output()
        .unwrap();
    let ended = Ended::of(output);
    assert_eq!(ended.code, Some(2));
    let file = file.display();
    let expected = [
        format!("error: {file}, line 1: drain-pause: \"soon\" is not a duration"),
        format!("error: {file}, line 2: there is no setting \"lisen\"; did you mean \"listen\"?"),
        "error: MODELSHIP_MAX_BODY_SIZE: \"big\" is not a size".to_owned(),
        "error: --access-log: \"perhaps\" is not one of true, false".to_owned(),
        "error: --instances: \"none\" is not a whole number".to_owned(),
    ];
    assert_eq!(ended.err.len(), expected.len(), "{ended:#?}");
    for expected in expected {
        let found = ended.err.iter().any(|line| line.starts_with(&expected));
        assert!(found, "{expected}: {ended:#?}");
    }
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let models = models();
    let ended = run(&[
        "serve",
        "--models",
        models.to_str().unwrap(),
        "--listen",
        &address,
        "--log-format",
        "text",
    ]);
    assert_eq!(ended.code, Some(1));
    let [line] = &ended.err[..] else {
        panic!("{ended:#?}");
    };
    assert!(
        line.starts_with(&format!("error: can't listen on {address}")),
        "{line}"
    );
    assert!(line.contains("--listen"), "{line}");
}

#[test]
fn a_probe_tells_a_ready_service() {
    let mut command = modelship(&["serve", "--models", models().to_str().unwrap()]);
    command.env("MODELSHIP_LISTEN", "127.0.0.1:0");
    let service = Serving::start(command);
    let address = service.address.to_string();
    let by_variable = modelship(&["probe"])
        .env("MODELSHIP_LISTEN", &address)
        .output();
    assert_eq!(Ended::of(by_variable.unwrap()).code, Some(0));
    assert_eq!(
        run(&["probe", &format!("http://{address}/livez")]).code,
        Some(0)
    );
    let ended = run(&["probe", &format!("http://{address}/nowhere")]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err[0].contains("answered 404: {\"error\":"),
        "{ended:?}"
    );
    service.stop();
    let ended = run(&["probe", &address]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err[0].contains("gave no answer"), "{ended:?}");
}

#[test]
fn the_version_names_commit_and_runtime() {
    let output = modelship(&["--version"])
        .env("MODELSHIP_COMMIT", "0123abc")
        .output();
    let ended = Ended::of(output.unwrap());
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines[0], format!("modelship {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(lines[1], "commit 0123abc");
    // Elsewhere than on Linux the library's file does not tell.
    let runtime = if cfg!(target_os = "linux") {
        "ONNX Runtime 1."
    } else {
        "ONNX Runtime "
    };
    assert!(lines[2].starts_with(runtime), "{ended:?}");

    let missing = modelship(&["--version"])
        .env("ORT_DYLIB_PATH", "/nowhere.so")
        .output();
    let ended = Ended::of(missing.unwrap());
    assert!(
        ended.out.contains("/nowhere.so, which is not a file"),
        "{ended:?}"
    );
}

#[test]
fn completions_know_every_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        for setting in SETTINGS {
            assert!(
                ended.out.contains(setting.name),
                "{shell}: {}",
                setting.name
            );
        }
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let pipe = "\"$0\" completions bash | head -n 1 >/dev/null; \
                \"$0\" serve --help | head -n 1 >/dev/null";
    let output = std::process::Command::new("bash")
        .args([
            "-c",
            &format!("set -o pipefail; {pipe}"),
            env!("CARGO_BIN_EXE_modelship"),
        ])
        .output()
        .unwrap();
    let ended = Ended::of(output);
    assert_eq!((ended.code, ended.err), (Some(0), vec![]));
}

#[test]
fn the_readme_lists_every_setting() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let table = Setting::markdown();
    assert_eq!(table.lines().count(), SETTINGS.len() + 2);
    assert!(
        readme.contains(&table),
        "README.md must have this table:\n\n{table}"
    );
}
