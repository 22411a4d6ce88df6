//! Too few threads: a start that says so, or a service that lives with it; and
//! a service that has them no more, for a while.
//!
//! The limit counts the processes and threads of a user, and root is above it,
//! so this runs as a user that nobody else is.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use rustix::process::getuid;

use super::{serve, until};
use crate::{
    process::{Serving, left_out, modelship},
    repository::Repository,
    service::{Reply, agent, send},
};

/// More than the service ever has here.
const PLENTY: usize = 40;

/// `command` as a user who may have so many threads: as one of that number for
/// root, and else as this one in a namespace of its own, where what it has
/// outside does not count.
fn limited(command: &Command, user: u32, threads: usize) -> Command {
    let user = user.to_string();
    let as_user = ["--reuid", &user, "--regid", &user, "--clear-groups", "--"];
    let (program, arguments) = if getuid().is_root() {
        ("setpriv", &as_user[..])
    } else {
        ("unshare", &["--user", "--"][..])
    };
    let mut limited = Command::new(program);
    limited
        .env_clear()
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .args(arguments)
        .args(["prlimit", &format!("--nproc={threads}:{threads}"), "--"])
        .arg(command.get_program())
        .args(command.get_args());
    limited
}

/// A user that is in no list of users, where the limit can be had: unlike for
/// each test of this process.
fn user(number: u32, check: &str) -> Option<u32> {
    let user = 70_000 + (2 * std::process::id() + number) % 100_000;
    let works = limited(&modelship(&["--version"]), user, PLENTY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if works.is_ok_and(|status| status.success()) {
        return Some(user);
    }
    left_out(
        check,
        "no other user may run the program here, by setpriv or unshare",
    );
    None
}

/// A repository that any user may read.
fn repository(more: &str) -> Repository {
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, more);
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(repository.path(), open).unwrap();
    repository
}

/// Large enough to be read away from the event loop.
fn ask_much(serving: &Serving) -> Reply {
    let rows = vec!["[21]"; 100_000].join(",");
    send(
        &agent(),
        &format!("http://{}/predict", serving.address),
        "POST",
        &[],
        format!("{{\"rows\":[{rows}]}}").as_bytes(),
    )
}

/// Where no thread can be had for it, its caller may try again.
fn is_answered_or_told(reply: &Reply) -> bool {
    reply.status == 200 || reply.status == 429 && reply.body.contains("no thread")
}

#[test]
fn with_too_few_threads_it_says_so_or_serves() {
    let Some(user) = user(0, "a start with too few threads") else {
        return;
    };
    let repository = repository("");
    let flags = ["--event-loops=2", "--watch=auto"];
    let command = serve(repository.path(), &flags);
    let mut served = 0;
    for threads in 1..PLENTY {
        match Serving::try_start(limited(&command, user, threads)) {
            Err((status, log)) => {
                // It ends by itself, and says why.
                assert_eq!(
                    status.code(),
                    Some(1),
                    "{threads} threads: {status} {log:#?}"
                );
                let last = log.last().unwrap();
                assert!(last.contains("\"ERROR\""), "{threads} threads: {log:#?}");
                let is_panic = log.iter().any(|line| line.contains("a fault in modelship"));
                assert!(!is_panic, "{threads} threads: {log:#?}");
            }
            Ok(serving) => {
                served += 1;
                for _ in 0..20 {
                    let body = serving.get("/predict/21", "").2;
                    assert!(body.contains("\"prediction\":"), "{threads}: {body}");
                }
                let reply = ask_much(&serving);
                assert!(is_answered_or_told(&reply), "{threads}: {}", reply.body);
                let log = serving.stop();
                let is_crash = log.iter().any(|line| line.contains("at its start"));
                assert!(!is_crash, "{threads} threads: {log:#?}");
                // Some that lack a thread or two, and one that has them all.
                if served == 6 {
                    break;
                }
            }
        }
    }
    assert_eq!(served, 6, "it never serves");
}

/// Takes all threads away from the service of `user` that it does not have yet,
/// but for `more`.
fn leave(serving: &Serving, user: u32, more: usize) {
    let pid = serving.process.id();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    let limit = PLENTY.min(threads + more);
    // A limit may be set by the same user.
    let user = user.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
    let (pid, limit) = (format!("--pid={pid}"), format!("--nproc={limit}:{PLENTY}"));
    let mut command = if getuid().is_root() {
        command.arg("prlimit");
        command
    } else {
        Command::new("prlimit")
    };
    let output = command.args([pid, limit]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn predicts(serving: &Serving, what: u16) -> bool {
    let (status, _, body) = serving.get("/predict/21", "");
    assert_eq!(status, 200, "{body}");
    body.contains(&format!("\"prediction\":{what},"))
}

#[test]
fn threads_that_run_out_and_come_back() {
    let Some(user) = user(1, "threads that run out") else {
        return;
    };
    // A model on threads of its own needs some for each version.
    let placement = "[scheduling]\nplacement = \"threads\"\n";
    let repository = repository(placement);
    let flags = ["--event-loops=2", "--instances=2", "--watch=poll"];
    let command = serve(repository.path(), &flags);
    let mut serving = Serving::start(limited(&command, user, PLENTY));
    assert!(predicts(&serving, 42));
    // None to look at the repository with, none to load with, and fewer than
    // the instances need.
    for more in 0..4 {
        leave(&serving, user, more);
        let scale = 3 + u16::try_from(more).unwrap();
        let (before, after) = ((scale - 1) * 21, scale * 21);
        let version = format!("v1.1.{more}");
        repository.put("double", &version, scale.into(), placement);
        if more == 0 {
            serving.log_until("ERROR");
        }
        for _ in 0..20 {
            assert!(predicts(&serving, before) || predicts(&serving, after));
        }
        let reply = ask_much(&serving);
        assert!(is_answered_or_told(&reply), "{more}: {}", reply.body);
        leave(&serving, user, PLENTY);
        until("the new version is served", || predicts(&serving, after));
        assert_eq!(ask_much(&serving).status, 200);
    }
    let log = serving.stop();
    // The runtime's own, which is caught where it happens.
    let is_known = |line: &str| line.contains("can't spawn worker thread");
    let is_panic = |line: &String| line.contains("a fault in modelship") && !is_known(line);
    assert!(!log.iter().any(is_panic), "{log:#?}");
}
