//! The memory that this process may have, and how it stays within it.

use std::{fs, path::Path, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What requests may take of it, unless that is set: a third. The models, the
/// program and what a run needs for itself have the rest.
pub(super) fn for_requests() -> usize {
    limit().map_or(usize::MAX, |limit| {
        usize::try_from(limit / 3).unwrap_or(usize::MAX)
    })
}

/// The bytes that this process may have: of its control group, else of the
/// machine. `None` where nothing says so.
fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = number(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")? * 1024;
    Some(group_limit(&groups, Path::new("/sys/fs/cgroup")).map_or(machine, |l| l.min(machine)))
}

/// The least limit of the groups that `/proc/self/cgroup` names, and of those
/// above them. In a container of its own namespace the group is the root.
fn group_limit(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            v1 if v1.split(',').any(|c| c == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        Path::new(group.trim_start_matches('/'))
            .ancestors()
            .filter_map(|group| fs::read_to_string(root.join(group).join(file)).ok())
            // "max" is no number.
            .filter_map(|text| text.trim().parse::<u64>().ok())
            .collect()
    });
    limits.min()
}

/// How often the limit moves.
const EVERY: Duration = Duration::from_millis(50);

/// What is left free below the limit: page tables, stacks, the kernel's own.
const FREE: u64 = 16 << 20;

/// The least that may always be taken at once, so that the program itself,
/// which can't go on without memory, does not run short before a model does.
const LEAST: u64 = 8 << 20;

/// From now on, whoever asks for more memory than the process may have is
/// refused it, instead of the kernel ending the process: ONNX Runtime then
/// fails the run, which is an answer.
///
/// The kernel counts what is mapped (`RLIMIT_DATA`), not what is used, so the
/// limit moves: what is mapped now, and what is free.
pub(crate) fn stay_within() {
    let Some(limit) = limit() else { return };
    let hard = getrlimit(Resource::Data).maximum;
    let thread = std::thread::Builder::new().name("memory".to_owned());
    let started = thread.spawn(move || {
        while let Some(most) = data_limit(limit) {
            let most = hard.map_or(most, |hard| most.min(hard));
            let limits = Rlimit {
                current: Some(most),
                maximum: hard,
            };
            if setrlimit(Resource::Data, limits).is_err() {
                return;
            }
            std::thread::sleep(EVERY);
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "a model that takes too much memory may end the process");
    }
}

/// What may be mapped, where the process may have `limit` bytes; `None` where
/// the kernel hides it.
fn data_limit(limit: u64) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mapped = number(&status, "VmData:")? * 1024;
    let used = (number(&status, "RssAnon:")? + number(&status, "RssShmem:")?) * 1024;
    let free = limit.saturating_sub(used).saturating_sub(FREE);
    Some(mapped + free.max(LEAST))
}

/// The number in the line of `text` that begins with `key`.
fn number(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_the_groups_holds() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let limit = |groups: &str| group_limit(groups, root.path());
        assert_eq!(limit("0::/\n"), None);
        put("memory.max", "max\n");
        assert_eq!(limit("0::/\n"), None);
        put("pod/memory.max", "1000\n");
        put("pod/container/memory.max", "max\n");
        assert_eq!(limit("0::/pod/container\n"), Some(1000));
        put("memory/old/memory.limit_in_bytes", "500\n");
        assert_eq!(limit("3:cpu:/old\n2:memory:/old\n0::/pod\n"), Some(500));
        assert_eq!(limit("nonsense"), None);
    }

    #[test]
    fn a_limit_leaves_room_for_what_is_mapped() {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let mapped = number(&status, "VmData:").unwrap() * 1024;
        assert!(data_limit(0).unwrap() >= LEAST);
        assert!(data_limit(1 << 40).unwrap() > mapped);
    }
}
