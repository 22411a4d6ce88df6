//! Too few threads: a start that says so, or a service that lives with it.
//!
//! The limit counts the processes and threads of a user, and root is above it,
//! so this runs as a user that nobody else is.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use super::serve;
use crate::{
    process::{Serving, modelship},
    repository::Repository,
};

/// `command` as a user of its own who may have so many threads.
fn limited(command: &Command, user: u32, threads: usize) -> Command {
    let user = user.to_string();
    let mut limited = Command::new("setpriv");
    limited
        .env_clear()
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .args(["prlimit", &format!("--nproc={threads}:{threads}"), "--"])
        .arg(command.get_program())
        .args(command.get_args());
    limited
}

#[test]
fn with_too_few_threads_it_says_so_or_serves() {
    const PLENTY: usize = 40;
    // As good as any: it is in no list of users.
    let user = 70_000 + std::process::id() % 100_000;
    let works = limited(&modelship(&["--version"]), user, PLENTY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        // Not root, or the program is not for others to run. There is no
        // other way to a limit here.
        return;
    }
    let repository = Repository::empty();
    repository.put("double", "v1.0.2", 2.0, "");
    let open = |path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(repository.path());
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
                // Large enough to be read away from the event loop.
                let rows = vec!["[21]"; 100_000].join(",");
                let reply = crate::service::send(
                    &crate::service::agent(),
                    &format!("http://{}/predict", serving.address),
                    "POST",
                    &[],
                    format!("{{\"rows\":[{rows}]}}").as_bytes(),
                );
                // Where no thread can be had for it, its caller may try again.
                let is_told = reply.status == 429 && reply.body.contains("no thread");
                assert!(reply.status == 200 || is_told, "{threads}: {}", reply.body);
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
