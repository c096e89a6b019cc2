//! What the system says of this process: what it uses, and the walls around it.
//!
//! Not here: how it is written (`wire/metrics`, `wire/health`).

use std::fs;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::wire::health::{Check, Status, Value};
use conduit::wire::metrics::Process;

use crate::io::sys::{self, Clock};

/// Where descriptors have to be counted one by one (10 to 100 ms for 50,000), that is done no more often: this is the
/// loop that also delivers.
const COUNT_EVERY: Duration = Duration::from_secs(60);

const DESCRIPTORS: &str = "/proc/self/fd";

/// How many descriptors are open, as it was last counted.
#[derive(Debug, Default)]
pub struct OpenFiles {
    counted: Option<(Instant, u64)>,
}

/// What it uses now; `started`: when it began, since 1970.
#[must_use]
pub fn measure(now: Instant, started: Duration, open_files: &mut OpenFiles) -> Process {
    let memory = fs::read_to_string("/proc/self/statm").ok();
    let pages = |field: usize| {
        let pages = memory.as_deref()?.split(' ').nth(field)?;
        Some(pages.parse::<u64>().ok()? * sys::page_bytes())
    };
    Process {
        cpu: Some(sys::clock_time(Clock::Process)),
        resident_bytes: pages(1),
        virtual_bytes: pages(0),
        open_files: open_files.get(now, told(), count),
        open_files_max: sys::open_file_limit().ok(),
        started: Some(started),
    }
}

impl OpenFiles {
    /// Their number as the system tells it; where it tells 0, as it was counted within the last minute.
    fn get(
        &mut self,
        now: Instant,
        told: Option<u64>,
        count: impl FnOnce() -> Option<u64>,
    ) -> Option<u64> {
        match (told?, self.counted) {
            (0, Some((at, count))) if now.since(at) < COUNT_EVERY => Some(count),
            (0, _) => {
                let count = count()?;
                self.counted = Some((now, count));
                Some(count)
            }
            (told, _) => Some(told),
        }
    }
}

/// Since Linux 6.2 the directory's size is their number; before that it is 0.
fn told() -> Option<u64> {
    Some(fs::metadata(DESCRIPTORS).ok()?.len())
}

fn count() -> Option<u64> {
    // The directory that is read is open itself, and no more afterwards.
    let count = fs::read_dir(DESCRIPTORS).ok()?.count() as u64;
    Some(count.saturating_sub(1))
}

/// The walls around it, as they are since it began. That one is missing is nothing that a restart would mend: so it
/// is told, and not complained of.
#[must_use]
pub fn hardening() -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim().to_owned())
    };
    let is_set = |name| field(name).is_some_and(|value| value != "0");
    let privileges = is_set("NoNewPrivs");
    let seccomp = is_set("Seccomp");
    let capabilities = field("CapEff").unwrap_or_else(|| "unknown".to_owned());
    let has_none = !capabilities.is_empty() && capabilities.bytes().all(|digit| digit == b'0');
    let walls = [
        (privileges, "no new privileges"),
        (seccomp, "system calls filtered"),
        (has_none, "no capabilities"),
    ];
    let up: Vec<&str> = walls
        .iter()
        .filter(|(is_up, _)| *is_up)
        .map(|(_, what)| *what)
        .collect();
    Check {
        name: "hardening",
        status: Status::Healthy,
        description: if up.is_empty() {
            "no walls beside those of the user's rights".to_owned()
        } else {
            up.join(", ")
        },
        data: vec![
            ("noNewPrivileges", Value::Bool(privileges)),
            ("seccomp", Value::Bool(seccomp)),
            ("capabilities", Value::Text(capabilities.into())),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something_of_everything() {
        let now = Instant::default();
        let mut open_files = OpenFiles::default();
        let before = measure(now, Duration::ZERO, &mut open_files);
        let file = fs::File::open("/proc/self/statm").unwrap();
        let after = measure(now, Duration::ZERO, &mut open_files);
        drop(file);
        assert!(after.cpu >= before.cpu && after.cpu > Some(Duration::ZERO));
        let resident = before.resident_bytes.unwrap();
        assert!(resident > 100_000 && before.virtual_bytes.unwrap() >= resident);
        let (open, max) = (before.open_files.unwrap(), before.open_files_max.unwrap());
        assert!(open >= 3 && open < max, "{open} of {max}");
    }

    #[test]
    fn descriptors_are_counted_once_a_minute_and_only_where_the_system_does_not_tell() {
        let start = Instant::default();
        let after = |seconds| start + Duration::from_secs(seconds);
        let never = || -> Option<u64> { panic!("counted") };
        let mut files = OpenFiles::default();
        assert_eq!(files.get(start, Some(7), never), Some(7));
        assert_eq!(files.get(start, None, never), None);
        assert_eq!(files.get(start, Some(0), || None), None);
        assert_eq!(files.get(start, Some(0), || Some(50_000)), Some(50_000));
        assert_eq!(files.get(after(59), Some(0), never), Some(50_000));
        assert_eq!(files.get(after(60), Some(0), || Some(9)), Some(9));
        assert_eq!(files.get(after(119), Some(0), never), Some(9));
        // This process has three at least.
        assert!(count().unwrap() >= 3);
    }

    #[test]
    fn the_walls_are_told_and_not_complained_of() {
        let check = hardening();
        assert_eq!((check.name, check.status), ("hardening", Status::Healthy));
        assert_eq!(check.data.len(), 3);
    }
}
