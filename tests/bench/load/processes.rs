//! CPU time and memory of processes, from Linux's `/proc`.

use std::time::Duration;

/// What the kernel counts in a second of CPU time, on every processor that
/// Linux runs servers on.
const TICKS: u64 = 100;

/// The CPU time that the processes have used, in user mode and in the
/// kernel, all their threads taken together. Those that have ended count 0.
pub(crate) fn cpu_time(pids: &[u32]) -> Duration {
    pids.iter()
        .filter_map(|pid| {
            stat_cpu_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
        })
        .sum()
}

fn stat_cpu_time(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may hold anything: fields count from its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + kernel) * 1000 / TICKS))
}

/// The resident memory of the processes, in KiB.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    pids.iter()
        .filter_map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 12 0 0 20 0 4 0 55 1 2";
        assert_eq!(stat_cpu_time(stat), Some(Duration::from_millis(430)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        assert!(resident_kib(&[std::process::id()]) > 100);
    }
}
