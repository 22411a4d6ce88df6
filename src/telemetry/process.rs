//! The process as the kernel sees it, from `/proc`. On systems without it
//! there is nothing to show.

use std::fs;

/// The kernel's ticks in a second as programs see them: fixed by Linux's
/// interface, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

/// Numbers of this process; `None` where the kernel hides one.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) start_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) threads: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the name in parentheses, which may hold
        // anything: fields are counted from behind it, the first being the 3rd
        // of the manual.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kilobytes = |key| Some(number(&status, key)? * 1024);
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = line(&boot, "btime ").and_then(|text| text.parse::<f64>().ok());
        Some(Self {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(u, s)| (u + s) / TICKS),
            start_seconds: boot.zip(ticks(22)).map(|(boot, t)| boot + t / TICKS),
            resident_bytes: kilobytes("VmRSS:"),
            virtual_bytes: kilobytes("VmSize:"),
            // The folder that is being read is itself open meanwhile.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .and_then(|all| u64::try_from(all.count().saturating_sub(1)).ok()),
            max_fds: number(&limits, "Max open files"),
            threads: number(&status, "Threads:"),
        })
    }
}

fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start))
}

fn number(text: &str, start: &str) -> Option<u64> {
    line(text, start)?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}
