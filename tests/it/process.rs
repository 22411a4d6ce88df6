//! The real binary as a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The repository's own models.
pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// `modelship` with nothing from this process's environment but the way to
/// programs and to ONNX Runtime.
pub(crate) fn modelship(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelship"));
    command.args(arguments).env_clear();
    for name in ["PATH", "ORT_DYLIB_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// `modelship serve` with this repository's models, on a free port.
pub(crate) fn serve(more: &[&str]) -> Command {
    let models = models();
    let fixed = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--models",
        models.to_str().unwrap(),
    ];
    modelship(&[&fixed[..], more].concat())
}

/// Runs `modelship` to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    Ended::of(modelship(arguments).output().unwrap())
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: Vec<String>,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: err.lines().map(str::to_owned).collect(),
        }
    }
}

/// A serving process. Dropped, it is killed.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) process: Child,
    /// What it wrote to standard error until it was ready.
    pub(crate) log: Vec<String>,
    lines: mpsc::Receiver<String>,
}

impl Serving {
    /// Starts `command`, which serves on port 0 and logs as JSON, and waits
    /// until it is ready.
    pub(crate) fn start(command: Command) -> Self {
        let started = Self::try_start(command);
        started.unwrap_or_else(|(status, log)| {
            panic!("it did not become ready ({status}):\n{}", log.join("\n"))
        })
    }

    /// [`start`](Self::start), or how it ended and what it logged.
    pub(crate) fn try_start(mut command: Command) -> Result<Self, (ExitStatus, Vec<String>)> {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let pipe = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in pipe.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut log = Vec::new();
        let address = loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => log.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err((process.wait().unwrap(), log));
                }
                Err(error) => panic!("it did not become ready ({error}):\n{}", log.join("\n")),
            }
            if let Some(address) = log.last().and_then(|line| address(line)) {
                break address;
            }
        };
        Ok(Self {
            address,
            process,
            log,
            lines,
        })
    }

    /// Reads on until a line contains `text`.
    pub(crate) fn log_until(&mut self, text: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log.push(line),
                Err(error) => panic!("no line says {text} ({error}):\n{}", self.log.join("\n")),
            }
            if self.log.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the end; gives the status and all that was logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let mut log = std::mem::take(&mut self.log);
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => log.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {log:#?}"),
            }
        }
        (self.process.wait().unwrap(), log)
    }

    /// Asks for the end, waits for it, and gives all that was logged.
    pub(crate) fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        let (status, log) = self.wait();
        assert!(status.success(), "{status}: {log:#?}");
        log
    }

    /// Status, head and body of a GET.
    pub(crate) fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the record that says that the service is ready.
fn address(line: &str) -> Option<SocketAddr> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    record.get("address")?.as_str()?.parse().ok()
}

/// Says that a check can't run here. With `CI` set that is a failure.
pub(crate) fn left_out(check: &str, why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "{check} must not be left out here: {why}"
    );
    // Past the capture of the test's output, which is shown only on failure.
    let _ = writeln!(std::io::stderr(), "left out: {check}: {why}");
}
