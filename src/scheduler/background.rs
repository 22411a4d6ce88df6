//! Work that gives way to the event loops: runs of models of milliseconds, and
//! loads.

use super::share::AtWork;

/// How such work gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Background {
    /// Its threads run when no other thread of this control group wants the
    /// processor (Linux's `SCHED_IDLE`), and an event loop with something to do
    /// takes the processor at once. Right where the group has a weight of its
    /// own, as a container has. Beside other programs in the same group it
    /// would starve, and a thread can't leave that policy again.
    Idle,
    /// Its threads have a lower priority. An event loop may still have to wait
    /// for the end of their time slice, some milliseconds.
    #[default]
    Nice,
}

/// Enough that an event loop gets nearly all of the processor.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

impl Background {
    /// `Idle` where this process's own control group has a weight, `Nice`
    /// elsewhere.
    #[must_use]
    pub fn of_this_process() -> Self {
        let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        match own_weight(&group) {
            Some(file) if std::path::Path::new(&file).is_file() => Self::Idle,
            _ => Self::Nice,
        }
    }

    /// Lets this thread, and all that it starts, give way to others of the
    /// process. It costs nothing where a processor is free.
    #[cfg(target_os = "linux")]
    pub fn give_way(self) {
        let gave = match self {
            Self::Idle => idle(),
            // On Linux this is about the calling thread alone.
            Self::Nice => {
                rustix::process::setpriority_process(None, NICE).map_err(|e| e.to_string())
            }
        };
        if let Err(error) = gave {
            tracing::debug!(error, "a thread keeps its priority");
        }
    }

    /// Elsewhere a thread has no priority of its own.
    #[cfg(not(target_os = "linux"))]
    pub fn give_way(self) {}

    /// Held while a thread that gave way has something to do: meanwhile the
    /// event loops leave it a share.
    #[must_use]
    pub fn at_work(self) -> Option<AtWork> {
        (self == Self::Idle).then(AtWork::start)
    }
}

#[cfg(target_os = "linux")]
fn idle() -> Result<(), String> {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
    )
    .map_err(|e| e.to_string())
}

/// The file that would hold the weight of the control group that
/// `/proc/self/cgroup` names, where groups are of version 2.
fn own_weight(group: &str) -> Option<String> {
    let path = group.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(format!("/sys/fs/cgroup/{path}/cpu.weight"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_is_looked_for_in_the_process_s_own_group() {
        assert_eq!(
            own_weight("0::/\n").as_deref(),
            Some("/sys/fs/cgroup//cpu.weight")
        );
        assert_eq!(
            own_weight("1:cpu:/x\n0::/system.slice/a.service\n").as_deref(),
            Some("/sys/fs/cgroup/system.slice/a.service/cpu.weight")
        );
        assert_eq!(own_weight("4:cpu,cpuacct:/docker/1\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_gave_way_is_of_the_idle_policy() {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy,
        };
        let policy = std::thread::spawn(|| {
            Background::Idle.give_way();
            thread_schedule_policy().unwrap()
        })
        .join()
        .unwrap();
        assert_eq!(
            policy,
            ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle)
        );
    }
}
