//! What the system says of this process: what it uses, and the walls around it.
//!
//! Not here: how it is written (`wire/metrics`, `wire/health`).

use std::fs;
use std::time::Duration;

use conduit::wire::health::{Check, Status, Value};
use conduit::wire::metrics::Process;

use crate::io::sys::{self, Clock};

/// What it uses now; `started`: when it began, since 1970.
#[must_use]
pub fn measure(started: Duration) -> Process {
    let memory = fs::read_to_string("/proc/self/statm").ok();
    let pages = |field: usize| {
        let pages = memory.as_deref()?.split(' ').nth(field)?;
        Some(pages.parse::<u64>().ok()? * sys::page_bytes())
    };
    Process {
        cpu: Some(sys::clock_time(Clock::Process)),
        resident_bytes: pages(1),
        virtual_bytes: pages(0),
        open_files: open_files(),
        open_files_max: sys::open_file_limit().ok(),
        started: Some(started),
    }
}

/// Since Linux 6.2 the directory's size is their number; before that it is 0, and they are counted.
fn open_files() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.len() {
        // The directory that is read is open itself, and no more afterwards.
        0 => Some((fs::read_dir(DIRECTORY).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
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
        let before = measure(Duration::ZERO);
        let file = fs::File::open("/proc/self/statm").unwrap();
        let after = measure(Duration::ZERO);
        drop(file);
        assert!(after.cpu >= before.cpu && after.cpu > Some(Duration::ZERO));
        let resident = before.resident_bytes.unwrap();
        assert!(resident > 100_000 && before.virtual_bytes.unwrap() >= resident);
        let (open, max) = (before.open_files.unwrap(), before.open_files_max.unwrap());
        assert!(open >= 3 && open < max, "{open} of {max}");
    }

    #[test]
    fn the_walls_are_told_and_not_complained_of() {
        let check = hardening();
        assert_eq!((check.name, check.status), ("hardening", Status::Healthy));
        assert_eq!(check.data.len(), 3);
    }
}
