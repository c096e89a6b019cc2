//! The memory limit that this process's control group sets, so that a container's limit is known before the
//! kernel enforces it.
//!
//! A limit may stand at any ancestor of the group: the least counts. What can't be read sets no limit: not
//! every system has control groups, nor shows them.
//!
//! Not here: what follows from it (`config`).

use std::path::{Path, PathBuf};

/// cgroup v1 writes "no limit" as the largest number of whole pages; no machine has so much.
const UNLIMITED_FROM: u64 = 1 << 60;

/// The memory limit in bytes; `None` if there is none.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    limit_by(|path| std::fs::read_to_string(path).ok())
}

fn limit_by(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let limits = groups.lines().filter_map(|line| {
        let (root, file, group) = memory_group(line)?;
        let own = PathBuf::from(format!("{root}{}", group.trim_end_matches('/')));
        let ancestors = own.ancestors().take_while(|dir| dir.starts_with(root));
        ancestors
            .filter_map(|dir| number(&read(&dir.join(file))?))
            .min()
    });
    limits.min()
}

/// Where the group of a line of `/proc/self/cgroup` (cgroups(7)) keeps its memory limit: the hierarchy's root,
/// the file's name, the group's path. `None` for hierarchies that don't govern memory.
fn memory_group(line: &str) -> Option<(&'static str, &'static str, &str)> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    if id == "0" && controllers.is_empty() {
        return Some(("/sys/fs/cgroup", "memory.max", group));
    }
    let governs = controllers.split(',').any(|name| name == "memory");
    governs.then_some(("/sys/fs/cgroup/memory", "memory.limit_in_bytes", group))
}

/// A limit's number; `max` and what stands for it is none.
fn number(text: &str) -> Option<u64> {
    let limit = text.trim().parse().ok()?;
    (limit < UNLIMITED_FROM).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        limit_by(|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    const SELF: &str = "/proc/self/cgroup";

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        for (files, expected) in [
            (&[][..], None),
            (&[(SELF, "")], None),
            (
                &[(SELF, "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")],
                None,
            ),
            (
                &[(SELF, "0::/\n"), ("/sys/fs/cgroup/memory.max", "1048576\n")],
                Some(1 << 20),
            ),
            (
                &[
                    (SELF, "0::/a/b\n"),
                    ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("/sys/fs/cgroup/a/memory.max", "4096\n"),
                ],
                Some(4096),
            ),
            (
                &[
                    (SELF, "0::/a/b\n"),
                    ("/sys/fs/cgroup/a/b/memory.max", "4096\n"),
                    ("/sys/fs/cgroup/a/memory.max", "1024\n"),
                    // Outside the hierarchy.
                    ("/sys/fs/memory.max", "1\n"),
                ],
                Some(1024),
            ),
            (
                &[
                    (SELF, "5:cpu,memory:/a\n1:name=systemd:/a\n0::/\n"),
                    ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192\n"),
                    (
                        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                        "9223372036854771712\n",
                    ),
                ],
                Some(8192),
            ),
            (
                &[(SELF, "0::/\n"), ("/sys/fs/cgroup/memory.max", "a lot")],
                None,
            ),
            (
                &[
                    (SELF, "no colons\n1:memory\n"),
                    ("/sys/fs/cgroup/memory.max", "1"),
                ],
                None,
            ),
        ] {
            assert_eq!(limit(files), expected, "{files:?}");
        }
    }
}
