//! Nothing phones home, however it is started: the official builds of ONNX
//! Runtime do unless they are told not to before they are loaded.

use std::{fs, path::Path, process::Command};

use crate::process::{Serving, left_out, models, modelship};

const SERVE: [&str; 4] = ["--listen", "127.0.0.1:0", "--default-model", "linear"];

/// How the variable may stand at the start.
const STARTS: [Option<&str>; 4] = [None, Some("0"), Some(""), Some("1")];

/// `modelship serve` with fresh folders in place of the user's.
fn serve(home: &Path, variable: Option<&str>) -> Command {
    let mut command = modelship(&["serve", "--models", models().to_str().unwrap()]);
    command.args(SERVE).current_dir("/");
    for folder in [
        "HOME",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
    ] {
        let path = home.join(folder);
        fs::create_dir_all(&path).unwrap();
        command.env(folder, path);
    }
    if let Some(value) = variable {
        command.env("ORT_DISABLE_TELEMETRY", value);
    }
    command
}

fn predict(service: &Serving) {
    let (status, _, body) = service.get("/predict/21", "");
    assert_eq!((status, body.contains("48")), (200, true), "{body}");
}

/// Every file and folder in the folders that stand in place of the user's.
fn written(home: &Path) -> Vec<String> {
    let folders = fs::read_dir(home).unwrap().map(|e| e.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .map(|e| e.unwrap().path().display().to_string())
        .collect()
}

#[test]
fn no_file_is_written_for_the_user() {
    for variable in STARTS {
        let home = tempfile::tempdir().unwrap();
        let service = Serving::start(serve(home.path(), variable));
        predict(&service);
        #[cfg(target_os = "linux")]
        {
            let path = format!("/proc/{}/environ", service.process.id());
            let environment = fs::read_to_string(path).unwrap();
            let set: Vec<_> = environment
                .split('\0')
                .filter(|entry| entry.starts_with("ORT_DISABLE_TELEMETRY="))
                .collect();
            assert_eq!(set, ["ORT_DISABLE_TELEMETRY=1"], "{variable:?}");
        }
        service.stop();
        assert_eq!(written(home.path()), Vec::<String>::new(), "{variable:?}");
    }
}

#[test]
fn other_commands_write_no_file_either() {
    for arguments in [&["--version"][..], &["serve", "--models", "/nowhere"]] {
        let home = tempfile::tempdir().unwrap();
        let output = modelship(arguments)
            .env("HOME", home.path())
            .output()
            .unwrap();
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            0,
            "{arguments:?}: {output:?}"
        );
    }
}

/// The system calls that reach out or write a file, of a trace by `strace`.
fn reaching_out(trace: &str) -> Vec<&str> {
    let is_loopback = |call: &str| {
        ["inet_addr(\"127.0.0.1\")", "inet_pton(AF_INET6, \"::1\""]
            .iter()
            .any(|address| call.contains(address))
    };
    let reaches_out = |call: &str| {
        let call = call.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let connects = call.starts_with("connect(") || call.contains("sin_port=htons(53)");
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"]
            .iter()
            .any(|flag| call.contains(flag))
            && !call.contains("\"/dev/")
            || ["mkdir", "rename", "link", "symlink"]
                .iter()
                .any(|name| call.starts_with(name));
        connects && !is_loopback(call) || writes
    };
    trace.lines().filter(|call| reaches_out(call)).collect()
}

#[test]
fn the_reading_of_a_trace_finds_what_it_must() {
    let harmless = r#"
101 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_IP) = 9
101 bind(9, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
101 openat(AT_FDCWD, "/models/linear/model.onnx", O_RDONLY|O_CLOEXEC) = 9
101 openat(AT_FDCWD, "/dev/null", O_RDWR) = 9
101 connect(9, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
"#;
    assert_eq!(reaching_out(harmless), Vec::<&str>::new());
    // What ONNX Runtime 1.32 does without the variable, and what would follow.
    for call in [
        r#"102 mkdir("/root/.cache/Microsoft", 0700) = 0"#,
        r#"102 openat(AT_FDCWD, "/root/.cache/x.db", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3"#,
        r#"102 connect(9, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = -1"#,
        r#"102 connect(9, {sa_family=AF_UNIX, sun_path="/run/nscd/socket"}, 110) = -1"#,
        r#"102 sendto(9, "", 0, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 1"#,
    ] {
        assert_eq!(reaching_out(call), [call]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_system_call_reaches_out() {
    const CHECK: &str = "system calls of a fresh start under strace";
    let probe = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .output();
    match probe {
        Err(error) => return left_out(CHECK, &format!("strace can't be run ({error})")),
        Ok(output) if !output.status.success() => {
            return left_out(CHECK, &format!("strace may not trace here ({output:?})"));
        }
        Ok(_) => {}
    }
    for variable in [None, Some("0")] {
        let home = tempfile::tempdir().unwrap();
        let trace = home.path().join("trace");
        let traced = serve(home.path(), variable);
        let mut command = Command::new("strace");
        // As a grandchild, so that the process that is started is the traced.
        command.args(["-D", "-f", "-qq", "-e", "trace=%network,%file", "-o"]);
        command
            .arg(&trace)
            .arg(traced.get_program())
            .args(traced.get_args());
        command.env_clear().current_dir("/");
        let set = traced
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let service = Serving::start({
            command.envs(set);
            command
        });
        predict(&service);
        service.stop();
        let trace = fs::read_to_string(&trace).unwrap();
        assert!(
            trace.contains("libonnxruntime"),
            "the library was not loaded:\n{trace}"
        );
        assert!(
            trace.contains("bind("),
            "the network was not traced:\n{trace}"
        );
        assert_eq!(reaching_out(&trace), Vec::<&str>::new(), "{variable:?}");
    }
}
