//! A disk that is full.
//!
//! `RLIMIT_FSIZE` makes writes fail from a size on; where this user may mount
//! one, a disk of a few pages runs full for real.

use std::{
    fs,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{after, serve, until};
use crate::{
    checkout::{Checkout, fixture},
    folder::files,
    process::{Ended, left_out, models, modelship},
};

/// Runs `arguments` in a copy of `checkout` in which no file may be written
/// beyond so many KiB, more from one try to the next, until it succeeds. Before
/// that it must refuse with one line, and leave everything as it was.
fn fails_cleanly(checkout: &Checkout, arguments: &[&str], failures: usize) {
    // A shell passes the choice to be told by an error on; else it is a signal.
    let limit = |kib| format!("trap '' XFSZ; ulimit -f {kib}");
    for kib in 0..64 {
        let copy = checkout.copy();
        let before = files(&copy.path().join("models"));
        let command = after(&limit(kib), &copy.modelship(arguments));
        let ended = Ended::of({ command }.output().unwrap());
        if ended.code == Some(0) {
            assert!(kib >= failures, "only {kib} failures");
            copy.good(&["check"]);
            return;
        }
        assert_eq!(ended.code, Some(1), "{kib} KiB: {ended:#?}");
        assert_eq!(ended.err.len(), 1, "{kib} KiB: {ended:#?}");
        assert!(ended.err[0].contains("too large"), "{}", ended.err[0]);
        let now = files(&copy.path().join("models"));
        assert!(now == before, "{kib} KiB: something changed");
    }
    panic!("it never succeeds");
}

#[test]
fn an_addition_that_finds_no_room_changes_nothing() {
    let checkout = Checkout::with_line();
    // Three KiB of model.
    let model = fixture("lightgbm.onnx");
    let add = ["add", &model, "--name", "trees", "--version", "v1.0.0"];
    fails_cleanly(&checkout, &add, 3);
    let replace = ["add", &model, "--name", "line", "--version", "v1.1.0"];
    fails_cleanly(&checkout, &replace, 3);
}

#[test]
fn a_signature_that_finds_no_room_changes_nothing() {
    let checkout = Checkout::with_line();
    checkout.good(&["key", "own.pem"]);
    fails_cleanly(&checkout, &["sign", "models/line", "--key", "own.pem"], 1);
    checkout.good(&["sign", "models/line", "--key", "own.pem"]);
    // A signature that stood there stands whole.
    checkout.edit("models/line/model.toml", "A line.", "One line.");
    fails_cleanly(&checkout, &["sign", "models/line", "--key", "own.pem"], 1);
}

/// On a file system of so many KiB, which goes with its namespace. The status
/// tells what came of it.
const SMALL_DISK: &str = r#"
    mount -t tmpfs -o size="$1"k none "$2" 2>/dev/null || exit 90
    cp -r "$3" "$2" 2>/dev/null || exit 91
    cd "$2" || exit 92
    before=$(find . -type f -exec sha256sum {} + | sort)
    said=$("$4" add "$5" --name line --version v1.1.0 2>&1)
    status=$?
    [ $status != 0 ] || exit 0
    [ "$(find . -type f -exec sha256sum {} + | sort)" = "$before" ] || exit 93
    case $said in *"No space left"*) exit $status;; *) echo "$said"; exit 94;; esac
"#;

/// A way to a namespace in which a disk may be mounted: as the user that this
/// is, as root in a namespace of its own, or by sudo where it does not ask.
fn namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 3] = [
        &["unshare", "--mount"],
        &["unshare", "--user", "--map-root-user", "--mount"],
        &["sudo", "-n", "unshare", "--mount"],
    ];
    let folder = tempfile::tempdir().unwrap();
    ways.into_iter().find(|way| {
        let mut command = Command::new(way[0]);
        command
            .args(&way[1..])
            .args(["mount", "-t", "tmpfs", "none"]);
        let tried = command.arg(folder.path()).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn a_disk_that_runs_full_during_an_addition() {
    let Some(namespace) = namespace() else {
        left_out("a disk that runs full", "no disk may be mounted here");
        return;
    };
    let checkout = Checkout::with_line();
    let disk = tempfile::tempdir().unwrap();
    let program = modelship(&[]);
    let (mut failed, mut done) = (0, 0);
    for kib in (16..256).step_by(4) {
        let mut command = Command::new(namespace[0]);
        command
            .args(&namespace[1..])
            // sudo takes the environment away.
            .args(["env", "-i"])
            .args(program.get_envs().filter_map(|(name, value)| {
                let mut variable = name.to_owned();
                variable.push("=");
                variable.push(value?);
                Some(variable)
            }))
            .args(["bash", "-c", SMALL_DISK, "bash", &kib.to_string()])
            .args([disk.path(), &checkout.path().join("models")])
            .arg(program.get_program())
            .arg(fixture("lightgbm.onnx"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(0) => done += 1,
            Some(1) => failed += 1,
            // Too small for what is there already.
            Some(91) => {}
            status => panic!("{kib} KiB: {status:?} {said}"),
        }
        if done > 1 {
            break;
        }
    }
    assert!(failed > 0 && done > 0, "{failed} failed, {done} done");
}

#[test]
fn a_log_that_finds_no_room_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let models = models();
    let serve = serve(&models, &["--access-log", "--default-model=linear"]);
    let limited = format!("trap '' XFSZ; ulimit -f 8; exec 2>>'{}'", log.display());
    let mut process = after(&limited, &serve)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut address = None;
    until("it is ready", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        assert!(process.try_wait().unwrap().is_none(), "{text}");
        address = text.lines().find_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(record.get("address")?.as_str()?.to_owned())
        });
        address.is_some()
    });
    let url = format!("http://{}/predict/21", address.unwrap());
    let agent = crate::service::agent();
    let ask = || {
        let reply = crate::service::send(&agent, &url, "GET", &[], b"");
        assert_eq!(reply.status, 200, "{}", reply.body);
    };
    let size = || fs::metadata(&log).unwrap().len();
    until("the log is full", || {
        ask();
        size() == 8 << 10
    });
    for _ in 0..100 {
        ask();
    }
    assert_eq!(size(), 8 << 10);
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let mut status = None;
    until("it ends", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn output_that_finds_no_room_is_a_failure() {
    let checkout = Checkout::with_line();
    for command in [
        &["check"][..],
        &["diff", "models", "models"],
        &["--version"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = checkout.modelship(command);
        let ended = Ended::of(command.stdout(full).output().unwrap());
        // Nobody read what it said, and nothing says that all was well.
        assert!(ended.code.is_some_and(|code| code != 0), "{ended:#?}");
    }
}
