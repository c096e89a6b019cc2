//! The small files of the system that are read now and then: `/etc/hosts`, `/etc/resolv.conf`, the memory
//! limit.
//!
//! A missing file is an empty one. Files are read again when their identity, size or time of change differs,
//! looked at every few seconds while there are jobs, for which the loop is woken. A process without any sleeps
//! on, and looks before it does the next thing.
//!
//! Not here: what the files say (`wire::names`).

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::wire::names::Names;

use crate::io::log::quoted;
use crate::io::sys;

/// How old what is known of the files may be.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Bytes of a file that are read; a hosts file with 100,000 lines has about 4 million.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The two files that names are resolved by, watched.
#[derive(Debug)]
pub struct NameFiles {
    hosts: Watched,
    resolv_conf: Watched,
    checked: Instant,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    stamp: Option<Stamp>,
}

/// What tells a file from its next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl NameFiles {
    /// Reads both for the first time.
    #[must_use]
    pub fn open(now: Instant) -> (NameFiles, Arc<Names>) {
        NameFiles::open_at(now, "/etc/hosts".into(), "/etc/resolv.conf".into())
    }

    fn open_at(now: Instant, hosts: PathBuf, resolv_conf: PathBuf) -> (NameFiles, Arc<Names>) {
        let mut files = NameFiles {
            hosts: Watched {
                path: hosts,
                stamp: None,
            },
            resolv_conf: Watched {
                path: resolv_conf,
                stamp: None,
            },
            checked: now,
        };
        let names = files.read();
        (files, names)
    }

    /// When to look again; never, while nobody needs it.
    #[must_use]
    pub fn poll_timeout(&self, is_needed: bool) -> Instant {
        if is_needed {
            self.checked + CHECK_EVERY
        } else {
            Instant::FAR_FUTURE
        }
    }

    /// The files' new contents, if it is time to look and one has changed.
    pub fn check(&mut self, now: Instant) -> Option<Arc<Names>> {
        if now.since(self.checked) < CHECK_EVERY {
            return None;
        }
        self.checked = now;
        let has_changed = self.hosts.has_changed() || self.resolv_conf.has_changed();
        has_changed.then(|| self.read())
    }

    fn read(&mut self) -> Arc<Names> {
        let (hosts, resolv_conf) = (self.hosts.read(), self.resolv_conf.read());
        let names = Names::parse_zoned(&hosts, &resolv_conf, &sys::interface_index);
        for complaint in &names.complaints {
            log::warn!("{complaint}");
        }
        Arc::new(names)
    }
}

impl Watched {
    fn has_changed(&self) -> bool {
        let stamp = fs::metadata(&self.path).ok().map(|data| Stamp::of(&data));
        stamp != self.stamp
    }

    /// The contents, and from now on the stamp of what was read: taken first, so that a change meanwhile is
    /// seen at the next look.
    fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let result = File::open(&self.path).and_then(|file| {
            self.stamp = Some(Stamp::of(&file.metadata()?));
            file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)
        });
        match result {
            Ok(_) => {}
            Err(error) => {
                self.stamp = fs::metadata(&self.path).ok().map(|data| Stamp::of(&data));
                if error.kind() != ErrorKind::NotFound {
                    let shown = quoted(&self.path.to_string_lossy());
                    log::warn!("can't read {shown}: {error}");
                }
            }
        }
        bytes
    }
}

impl Stamp {
    fn of(data: &fs::Metadata) -> Stamp {
        Stamp {
            device: data.dev(),
            inode: data.ino(),
            bytes: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("conduit-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn f83_f84_files_are_read_again_when_they_change_and_not_before_it_is_time() {
        let dir = scratch("names");
        let (hosts, resolv_conf) = (dir.join("hosts"), dir.join("resolv.conf"));
        let start = Instant::from_nanos(1_000_000_000);
        let (mut files, _) = NameFiles::open_at(start, hosts.clone(), resolv_conf);
        assert!(files.check(start + CHECK_EVERY).is_none(), "still missing");
        fs::write(&hosts, "127.0.0.1 one\n").unwrap();
        assert!(
            files.check(start + CHECK_EVERY).is_none(),
            "looked just now"
        );
        assert!(files.check(start + CHECK_EVERY * 2).is_some(), "appeared");
        assert!(files.check(start + CHECK_EVERY * 3).is_none(), "unchanged");
        fs::write(dir.join("new"), "127.0.0.2 one\n").unwrap();
        fs::rename(dir.join("new"), &hosts).unwrap();
        assert!(files.check(start + CHECK_EVERY * 4).is_some(), "replaced");
        fs::remove_file(&hosts).unwrap();
        assert!(files.check(start + CHECK_EVERY * 5).is_some(), "gone");
        assert!(files.check(start + CHECK_EVERY * 6).is_none(), "still gone");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn f83_f84_a_loop_with_jobs_is_woken_to_look_and_one_without_sleeps() {
        let missing = PathBuf::from("/nonexistent");
        let start = Instant::from_nanos(1_000_000_000);
        let (mut files, _) = NameFiles::open_at(start, missing.clone(), missing);
        let mut now = start;
        for _ in 0..3 {
            assert_eq!(files.poll_timeout(false), Instant::FAR_FUTURE);
            let due = files.poll_timeout(true);
            assert_eq!(due, now + Duration::from_secs(5));
            now = due;
            assert!(files.check(now).is_none());
            assert!(files.poll_timeout(true) > now, "no busy loop");
        }
    }

    #[test]
    fn f83_missing_files_mean_name_servers_on_this_machine() {
        let missing = PathBuf::from("/nonexistent");
        let (_, names) = NameFiles::open_at(Instant::from_nanos(0), missing.clone(), missing);
        let servers: Vec<String> = names
            .resolv_conf
            .servers
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(servers, ["127.0.0.1:53", "[::1]:53"]);
        assert!(names.hosts.is_empty() && names.complaints.is_empty());
    }
}
