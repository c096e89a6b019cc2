//! `/etc/hosts` and `/etc/resolv.conf`: read at the start and whenever they change, on a thread of their own.
//!
//! A missing file is an empty one. Files are read again when their identity, size or time of change differs, looked
//! at every few seconds while there are jobs, for which the loop is woken. A process without any sleeps on. Whatever
//! a file holds and however long its file system takes, no loop waits: the thread looks when it is told to, reads,
//! parses and hands the whole over; what held before it gives back itself, once nobody uses it.
//!
//! Not here: what the files say (`wire::names`).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::wire::names::Names;

use crate::io::log::quoted;
use crate::io::mailbox::{Bell, Mailbox};
use crate::io::rereading::{TOLD_AFTER, TOLD_EVERY};
use crate::io::sys;

/// How old what is known of the files may be.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// How long a start waits for them.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a file that are read; a hosts file with 100,000 lines has about 4 million.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The files as they were found at the start, or as they will be.
#[derive(Debug)]
pub struct Opened {
    first: Receiver<(Files, Arc<Names>)>,
    files: Option<Files>,
}

/// The files, watched from a loop.
#[derive(Debug)]
pub struct NameFiles {
    ask: SyncSender<()>,
    answers: Arc<Mailbox<Option<Arc<Names>>>>,
    checked: Instant,
    /// Since when an answer is awaited, and when it is told next that there is none.
    awaited: Option<(Instant, Instant)>,
}

/// The files, as their thread sees them.
#[derive(Debug)]
struct Files {
    hosts: Watched,
    resolv_conf: Watched,
    /// What was handed over: what nobody else uses any more is dropped here.
    known: Vec<Arc<Names>>,
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
    /// Reads both for the first time. Where that takes too long, the start goes on without them.
    #[must_use]
    pub fn open() -> (Opened, Arc<Names>) {
        Opened::at(
            "/etc/hosts".into(),
            "/etc/resolv.conf".into(),
            START_PATIENCE,
        )
    }

    /// When to look again, or to say that nothing was heard; never, while nobody needs it.
    #[must_use]
    pub fn poll_timeout(&self, is_needed: bool) -> Instant {
        match self.awaited {
            Some((_, tell_at)) => tell_at,
            None if is_needed => self.checked + CHECK_EVERY,
            None => Instant::FAR_FUTURE,
        }
    }

    /// Has the thread look, if it is time to; the files' new contents, if it has found some.
    pub fn check(&mut self, now: Instant) -> Option<Arc<Names>> {
        let mut answers = Vec::new();
        self.answers.take(&mut answers);
        if !answers.is_empty() {
            self.checked = now;
            self.awaited = None;
        }
        if let Some((since, tell_at)) = &mut self.awaited
            && now >= *tell_at
        {
            *tell_at = now + TOLD_EVERY;
            let seconds = now.since(*since).as_secs();
            log::warn!(
                "/etc/hosts and /etc/resolv.conf are being read for {seconds} s: a file system may hang; what \
                 they said holds"
            );
        }
        if self.awaited.is_none() && now.since(self.checked) >= CHECK_EVERY {
            self.awaited = Some((now, now + TOLD_AFTER));
            // A thread that is gone never answers, which is told.
            let _full_or_gone = self.ask.try_send(());
        }
        answers.into_iter().flatten().next_back()
    }

    /// Whether the thread has answered.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        !self.answers.is_empty()
    }
}

impl Opened {
    fn at(hosts: PathBuf, resolv_conf: PathBuf, patience: Duration) -> (Opened, Arc<Names>) {
        let (found, first) = mpsc::sync_channel(1);
        let mut files = Files::new(hosts, resolv_conf);
        let thread = thread::Builder::new().name("names".to_owned());
        let started = thread.spawn(move || {
            let names = files.read();
            // Whoever started may have ended by now.
            let _nobody_waits = found.send((files, names));
        });
        if let Err(error) = started {
            log::warn!("no thread to read /etc/hosts and /etc/resolv.conf: {error}");
        }
        match first.recv_timeout(patience) {
            Ok((files, names)) => {
                let files = Some(files);
                (Opened { first, files }, names)
            }
            Err(_) => {
                log::warn!(
                    "/etc/hosts and /etc/resolv.conf can't be read yet: the start goes on without them"
                );
                let files = None;
                (Opened { first, files }, Arc::default())
            }
        }
    }

    /// Has a thread watch them, which rings.
    ///
    /// # Errors
    /// The system's: no thread left.
    pub fn watch(self, now: Instant, bell: Arc<Bell>) -> io::Result<NameFiles> {
        let (ask, asked) = mpsc::sync_channel(1);
        let answers = Arc::new(Mailbox::new(bell));
        let awaited = self.files.is_none().then(|| (now, now + TOLD_EVERY));
        let post = Arc::clone(&answers);
        let thread = thread::Builder::new().name("names".to_owned());
        thread.spawn(move || self.serve(&asked, &post))?;
        Ok(NameFiles {
            ask,
            answers,
            checked: now,
            awaited,
        })
    }

    fn serve(self, asked: &Receiver<()>, answers: &Mailbox<Option<Arc<Names>>>) {
        let mut files = match self.files {
            Some(files) => files,
            None => {
                let Ok((files, names)) = self.first.recv() else {
                    return;
                };
                answers.post(Some(names));
                files
            }
        };
        while asked.recv().is_ok() {
            answers.post(files.look());
        }
    }
}

impl Files {
    fn new(hosts: PathBuf, resolv_conf: PathBuf) -> Files {
        let watched = |path| Watched { path, stamp: None };
        Files {
            hosts: watched(hosts),
            resolv_conf: watched(resolv_conf),
            known: Vec::new(),
        }
    }

    /// The files' new contents, if one has changed.
    fn look(&mut self) -> Option<Arc<Names>> {
        self.known.retain(|names| Arc::strong_count(names) > 1);
        let has_changed = self.hosts.has_changed() || self.resolv_conf.has_changed();
        has_changed.then(|| self.read())
    }

    fn read(&mut self) -> Arc<Names> {
        let (hosts, resolv_conf) = (self.hosts.read(), self.resolv_conf.read());
        let names = Names::parse_zoned(&hosts, &resolv_conf, &sys::interface_index);
        for complaint in &names.complaints {
            log::warn!("{complaint}");
        }
        let names = Arc::new(names);
        self.known.push(Arc::clone(&names));
        names
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

    /// A loop's end of the watch.
    struct World {
        files: NameFiles,
        poll: mio::Poll,
        bell: Arc<Bell>,
        now: Instant,
    }

    impl World {
        fn new(hosts: PathBuf, resolv_conf: PathBuf, patience: Duration) -> (World, Arc<Names>) {
            let poll = mio::Poll::new().unwrap();
            let bell = Arc::new(Bell::new(poll.registry(), mio::Token(0)).unwrap());
            let now = Instant::from_nanos(1_000_000_000);
            let (opened, names) = Opened::at(hosts, resolv_conf, patience);
            let files = opened.watch(now, Arc::clone(&bell)).unwrap();
            let world = World {
                files,
                poll,
                bell,
                now,
            };
            (world, names)
        }

        /// Waits until the thread has answered, as a loop does.
        fn answer(&mut self) -> Option<Arc<Names>> {
            let mut events = mio::Events::with_capacity(1);
            self.bell.will_sleep();
            while !self.files.has_mail() {
                let patience = Some(Duration::from_secs(60));
                self.poll.poll(&mut events, patience).unwrap();
                self.bell.will_sleep();
            }
            self.files.check(self.now)
        }

        /// The answer to the next look, five seconds later.
        fn next(&mut self) -> Option<Arc<Names>> {
            self.now = self.now + CHECK_EVERY;
            assert!(self.files.check(self.now).is_none(), "it only asks");
            self.answer()
        }
    }

    #[test]
    fn f83_f84_files_are_read_again_when_they_change_and_not_before_it_is_time() {
        let dir = scratch("names");
        let (hosts, resolv_conf) = (dir.join("hosts"), dir.join("resolv.conf"));
        let (mut world, _) = World::new(hosts.clone(), resolv_conf, START_PATIENCE);
        assert!(world.next().is_none(), "still missing");
        fs::write(&hosts, "127.0.0.1 one\n").unwrap();
        assert!(
            world.files.check(world.now).is_none() && world.files.awaited.is_none(),
            "looked just now"
        );
        assert!(world.next().is_some(), "appeared");
        assert!(world.next().is_none(), "unchanged");
        fs::write(dir.join("new"), "127.0.0.2 one\n").unwrap();
        fs::rename(dir.join("new"), &hosts).unwrap();
        assert!(world.next().is_some(), "replaced");
        fs::remove_file(&hosts).unwrap();
        assert!(world.next().is_some(), "gone");
        assert!(world.next().is_none(), "still gone");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn f83_f84_a_loop_with_jobs_is_woken_to_look_and_one_without_sleeps() {
        let missing = PathBuf::from("/nonexistent");
        let (mut world, _) = World::new(missing.clone(), missing, START_PATIENCE);
        for _ in 0..3 {
            assert_eq!(world.files.poll_timeout(false), Instant::FAR_FUTURE);
            let due = world.files.poll_timeout(true);
            assert_eq!(due, world.now + Duration::from_secs(5));
            assert!(world.next().is_none());
            assert!(world.files.poll_timeout(true) > world.now, "no busy loop");
        }
    }

    #[test]
    fn f83_missing_files_mean_name_servers_on_this_machine() {
        let missing = PathBuf::from("/nonexistent");
        let (_, names) = World::new(missing.clone(), missing, START_PATIENCE);
        let servers: Vec<String> = names
            .resolv_conf
            .servers
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(servers, ["127.0.0.1:53", "[::1]:53"]);
        assert!(names.hosts.is_empty() && names.complaints.is_empty());
    }

    #[test]
    fn f144_a_file_that_hangs_holds_neither_the_start_nor_a_loop() {
        let dir = scratch("hanging-names");
        let hosts = dir.join("hosts");
        // Opening it waits for somebody who writes.
        let made = std::process::Command::new("mkfifo").arg(&hosts).status();
        assert!(made.unwrap().success());
        let missing = PathBuf::from("/nonexistent");
        let (mut world, names) = World::new(hosts.clone(), missing, Duration::ZERO);
        assert!(names.hosts.is_empty());
        for _ in 0..3 {
            let told = world.files.poll_timeout(true);
            assert!(told > world.now);
            world.now = told;
            assert!(world.files.check(told).is_none());
            assert_eq!(
                world.files.poll_timeout(true),
                told + TOLD_EVERY,
                "once a minute"
            );
        }
        fs::write(&hosts, "127.0.0.1 late\n").unwrap();
        let names = world.answer().expect("now it is read");
        assert_eq!(names.hosts.addresses("late").count(), 1);
        // What held before is given back by the thread, not by whoever lets go of it last.
        fs::remove_file(&hosts).unwrap();
        let former = Arc::downgrade(&names);
        assert!(world.next().is_some());
        drop(names);
        assert!(former.upgrade().is_some(), "the thread has it");
        assert!(world.next().is_none());
        assert!(former.upgrade().is_none());
        fs::remove_dir_all(dir).unwrap();
    }
}
