//! The journal on a real disk: its directory, its threads, and what it costs.
//!
//! The figures (`cargo test --release --bin conduit -- --ignored --nocapture spool_figures`) are measured in
//! `CONDUIT_FIGURES_DIR`, else in the system's directory for temporary files.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::Now;
use conduit::journal::event::{
    How, Input, JobKey, Output, Performed, SourceKind, Submission, Verdict,
};
use conduit::journal::{Journal, Settings};
use conduit::wire::job::User;

use crate::io::clock;
use crate::io::disk::{Directory, Disk, OpenError, Report};
use crate::io::mailbox::{Bell, Mailbox};

/// How long anything may take before its test fails; far more than it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one wait lasts at most.
const GLANCE: Duration = Duration::from_millis(20);

/// A journal with its disk, driven as a loop would.
struct Spool {
    journal: Journal,
    disk: Disk,
    poll: mio::Poll,
    bell: Arc<Bell>,
    mailbox: Arc<Mailbox<Report>>,
    mail: Vec<Report>,
    durable: JobKey,
    fetched: VecDeque<Vec<u8>>,
}

impl Spool {
    fn open(dir: &Path, settings: Settings) -> Result<Spool, OpenError> {
        let directory = Arc::new(Directory::open(dir)?);
        let mut rng = Rng::from_seed([5; 32]);
        let (journal, summary) = directory.recover(settings, &mut rng, clock::now())?;
        assert_eq!(summary.corruptions, []);
        let poll = mio::Poll::new().unwrap();
        let bell = Arc::new(Bell::new(poll.registry(), mio::Token(1)).unwrap());
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&bell)));
        let disk = Disk::start(directory, Arc::clone(&mailbox)).unwrap();
        let mut spool = Spool {
            journal,
            disk,
            poll,
            bell,
            mailbox,
            mail: Vec::new(),
            durable: JobKey(0),
            fetched: VecDeque::new(),
        };
        spool.until(|spool| spool.journal.refusal(100).is_none());
        Ok(spool)
    }

    /// One turn: waits for the disk, at most so long.
    fn turn(&mut self, wait: Duration) {
        let mut events = mio::Events::with_capacity(1);
        self.bell.will_sleep();
        if self.mailbox.is_empty() {
            self.poll.poll(&mut events, Some(wait)).unwrap();
        }
        self.bell.is_awake();
        self.mailbox.take(&mut self.mail);
        let now = clock::now();
        for Report { op, result } in self.mail.drain(..) {
            let input = Input::Performed { op, result };
            self.journal.handle_input(now, input);
        }
        if self
            .journal
            .poll_timeout()
            .is_some_and(|due| due <= now.mono)
        {
            self.journal.handle_timeout(now);
        }
        self.pull();
    }

    fn pull(&mut self) {
        while let Some(output) = self.journal.poll_output() {
            match output {
                Output::Disk { op, action } => self.disk.perform(op, action),
                Output::Durable { up_to } => self.durable = up_to,
                Output::Fetched { fetched, .. } => {
                    let fetched = fetched.expect("it is there");
                    self.fetched.push_back(fetched.line.into_vec());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn until(&mut self, is_so: impl Fn(&Spool) -> bool) {
        let start = clock::now().mono;
        self.pull();
        while !is_so(self) {
            assert!(clock::now().mono.since(start) < PATIENCE);
            self.turn(GLANCE);
        }
    }

    fn submit(&mut self, now: Now, id: &str, line: &[u8]) -> Verdict {
        let submission = Submission {
            id,
            user: User::Own,
            is_generated: false,
            payload: [1, 2],
            source: SourceKind::Stdin,
            line,
        };
        self.journal.submit(now, &submission)
    }

    fn flush(&mut self) {
        self.journal.flush(clock::now());
        self.until(|spool| spool.journal.is_flushed());
    }
}

fn scratch(name: &str) -> PathBuf {
    let base = std::env::var_os("CONDUIT_FIGURES_DIR").map(PathBuf::from);
    let base = base.unwrap_or_else(std::env::temp_dir);
    let dir = base.join(format!("conduit-spool-{name}-{}", std::process::id()));
    let _there_may_be_none = fs::remove_dir_all(&dir);
    dir
}

fn small() -> Settings {
    Settings {
        segment_bytes: 256 * 1024,
        ..Settings::default()
    }
}

#[test]
fn jobs_are_there_after_a_restart_byte_for_byte() {
    let dir = scratch("restart");
    let mut spool = Spool::open(&dir, small()).unwrap();
    let lines: Vec<Vec<u8>> = (0..200_u32).map(|n| vec![n as u8; 3_000]).collect();
    let mut keys = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        spool.until(|spool| spool.journal.refusal(3_000).is_none());
        match spool.submit(clock::now(), &format!("job-{n}"), line) {
            Verdict::New(key) => keys.push(key),
            other => panic!("{other:?}"),
        }
    }
    let last = *keys.last().unwrap();
    spool.until(|spool| spool.durable == last);
    for key in &keys[..100] {
        let how = How::Delivered;
        let key = *key;
        spool
            .journal
            .handle_input(clock::now(), Input::Done { key, how });
    }
    spool.flush();
    drop(spool);

    // Nothing but the directory's lock keeps the next one waiting.
    let mut spool = reopen(&dir);
    assert_eq!(spool.journal.status().pending, 100);
    let now = clock::now();
    for (key, line) in keys[100..].iter().zip(&lines[100..]) {
        let found = spool.journal.next_pending(now).unwrap();
        assert_eq!((found.key, found.line_bytes), (*key, 3_000));
        spool.journal.handle_input(now, Input::Fetch { key: *key });
        spool.until(|spool| !spool.fetched.is_empty());
        assert_eq!(spool.fetched.pop_front().as_ref(), Some(line));
    }
    drop(spool);
    fs::remove_dir_all(dir).unwrap();
}

/// The threads of the last one may still hold the lock for a moment.
fn reopen(dir: &Path) -> Spool {
    let start = clock::now().mono;
    while clock::now().mono.since(start) < PATIENCE {
        match Spool::open(dir, small()) {
            Ok(spool) => return spool,
            Err(OpenError::InUse { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the lock was never free")
}

#[test]
fn f95_a_second_process_is_told_that_there_is_one() {
    let dir = scratch("lock");
    let first = Directory::open(&dir).unwrap();
    let error = Directory::open(&dir).unwrap_err();
    let expected = format!("spool {}: another process has it", dir.display());
    assert_eq!(error.to_string(), expected);
    drop(first);
    Directory::open(&dir).unwrap();
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_directory_is_its_owners_alone_and_no_link_in_it_is_followed() {
    let dir = scratch("mode");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let mut spool = Spool::open(&dir, small()).unwrap();
    let verdict = spool.submit(clock::now(), "a", b"{}");
    let Verdict::New(key) = verdict else {
        panic!("{verdict:?}")
    };
    spool.until(|spool| spool.durable == key);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        let data = entry.unwrap().metadata().unwrap();
        assert_eq!(data.mode() & 0o7777, 0o600);
    }
    drop(spool);
    fs::remove_dir_all(&dir).unwrap();

    fs::create_dir(&dir).unwrap();
    symlink("/etc/hostname", dir.join("lock")).unwrap();
    assert!(matches!(Directory::open(&dir), Err(OpenError::Io { .. })));
    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, "no directory").unwrap();
    assert!(matches!(Directory::open(&dir), Err(OpenError::Io { .. })));
    fs::remove_file(dir).unwrap();
}

#[test]
fn f137_what_is_no_spool_or_anothers_is_not_taken_and_not_changed() {
    let refuses = |dir: &Path, why: &str| {
        let before = fs::metadata(dir).unwrap();
        let names = || fs::read_dir(dir).unwrap().count();
        let files = names();
        let error = Directory::open(dir).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        let after = fs::metadata(dir).unwrap();
        assert_eq!((after.mode(), names()), (before.mode(), files), "{why}");
    };
    let dir = scratch("strangers");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).unwrap();
    refuses(&dir, "everybody's files (sticky bit)");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.join("thesis.txt"), "mine").unwrap();
    refuses(&dir, "holds \"thesis.txt\", which is no file of a spool");
    fs::remove_file(dir.join("thesis.txt")).unwrap();
    let link = scratch("link");
    let _there_may_be_none = fs::remove_file(&link);
    symlink(&dir, &link).unwrap();
    refuses(&link, "it is a symbolic link");
    refuses(&link.join(""), "it is a symbolic link");
    fs::remove_file(&link).unwrap();
    // Only root may give a directory away.
    if std::os::unix::fs::chown(&dir, Some(65_534), None).is_ok() {
        refuses(&dir, "it belongs to user 65534");
        std::os::unix::fs::chown(&dir, Some(0), None).unwrap();
    }
    fs::write(dir.join("jobs-0000000003.log.corrupt"), "ours").unwrap();
    fs::create_dir(dir.join("lost+found")).unwrap();
    Directory::open(&dir).unwrap();
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn f157_nothing_is_safe_in_a_directory_that_is_not_where_it_was() {
    use conduit::journal::event::{Action, DiskErrorKind, FileId, OpId, Stream};
    let (dir, elsewhere) = (scratch("moved"), scratch("moved-away"));
    let directory = Arc::new(Directory::open(&dir).unwrap());
    let poll = mio::Poll::new().unwrap();
    let bell = Arc::new(Bell::new(poll.registry(), mio::Token(1)).unwrap());
    let mailbox = Arc::new(Mailbox::new(bell));
    let disk = Disk::start(directory, Arc::clone(&mailbox)).unwrap();
    let start = clock::now().mono;
    let perform = |action: Action| {
        disk.perform(OpId(1), action);
        let mut mail = Vec::new();
        while mail.is_empty() {
            assert!(clock::now().mono.since(start) < Duration::from_secs(30));
            mailbox.take(&mut mail);
            std::thread::yield_now();
        }
        mail.remove(0).result.map_err(|error| error.kind)
    };
    let [one, two] = [1, 2].map(|number| FileId {
        stream: Stream::Jobs,
        number,
    });
    let (done, missing) = (Ok(Performed::Done), Err(DiskErrorKind::Missing));
    assert_eq!(perform(Action::Create { file: one }), done);
    assert_eq!(perform(Action::Sync { file: one }), done);
    fs::rename(&dir, &elsewhere).unwrap();
    assert_eq!(perform(Action::Sync { file: one }), missing, "moved away");
    assert_eq!(perform(Action::SyncDir), missing);
    fs::create_dir(&dir).unwrap();
    assert_eq!(perform(Action::Sync { file: one }), missing, "replaced");
    fs::remove_dir(&dir).unwrap();
    fs::rename(&elsewhere, &dir).unwrap();
    assert_eq!(perform(Action::Create { file: two }), done, "back again");
    assert_eq!(perform(Action::Sync { file: two }), done);
    assert_eq!(perform(Action::SyncDir), done);
    fs::remove_file(dir.join(two.name())).unwrap();
    assert_eq!(
        perform(Action::Sync { file: two }),
        missing,
        "its file is gone"
    );
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(perform(Action::Sync { file: one }), missing, "removed");
}

#[test]
#[ignore = "a figure: takes a while"]
fn spool_figures_a_million_pending_jobs_are_read_back() {
    let dir = scratch("million");
    let mut spool = Spool::open(&dir, Settings::default()).unwrap();
    let line = vec![b'x'; 500];
    for n in 0..1_000_000 {
        while spool.journal.refusal(line.len()).is_some() {
            spool.turn(Duration::from_millis(10));
        }
        let verdict = spool.submit(clock::now(), &format!("job-{n}"), &line);
        assert!(matches!(verdict, Verdict::New(_)), "{verdict:?}");
        if n % 256 == 0 {
            spool.turn(Duration::ZERO);
        }
    }
    spool.flush();
    drop(spool);
    // In a process of its own, so that its memory is its own.
    let program = std::env::current_exe().unwrap();
    let status = std::process::Command::new(program)
        .args([
            "--ignored",
            "--nocapture",
            "--exact",
            "io::disk_tests::spool_reads_back",
        ])
        .env("CONDUIT_FIGURES_SPOOL", &dir)
        .status()
        .unwrap();
    assert!(status.success());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
#[ignore = "the process that a figure starts"]
fn spool_reads_back() {
    let Some(dir) = std::env::var_os("CONDUIT_FIGURES_SPOOL") else {
        return;
    };
    let before = memory("VmRSS");
    let start = clock::now();
    let directory = Arc::new(Directory::open(Path::new(&dir)).unwrap());
    let mut rng = Rng::from_seed([5; 32]);
    let (mut journal, summary) = directory
        .recover(Settings::default(), &mut rng, start)
        .unwrap();
    let read = clock::now();
    let mut found = 0;
    while journal.next_pending(read).is_some() {
        found += 1;
    }
    println!(
        "{} pending of {} files: read in {:.2} s, handed out in {:.2} s; memory {before} kB before, {} kB after, \
         {} kB at most",
        found,
        summary.files,
        read.mono.since(start.mono).as_secs_f64(),
        clock::now().mono.since(read.mono).as_secs_f64(),
        memory("VmRSS"),
        memory("VmHWM"),
    );
    assert_eq!((found, summary.pending), (1_000_000, 1_000_000));
}

#[test]
#[ignore = "a figure: takes a while"]
fn spool_figures_paced() {
    const A_SECOND: u64 = 20_000;
    const SECONDS: u64 = 20;
    let dir = scratch("paced");
    let mut spool = Spool::open(&dir, Settings::default()).unwrap();
    let mut rng = Rng::from_seed([8; 32]);
    let line = vec![b'x'; 1_100];
    let start = clock::now().mono;
    let written = spool.journal.status().written_bytes;
    let cpu = thread_cpu("disk");
    let own_cpu = own_cpu();
    let (mut sent, mut refused) = (0, 0);
    let mut waiting = VecDeque::new();
    let mut flying: Vec<JobKey> = Vec::new();
    let mut latencies = Vec::new();
    while sent < A_SECOND * SECONDS {
        let now = clock::now();
        let due = now.mono.since(start).as_micros() as u64 * A_SECOND / 1_000_000;
        while sent < due {
            match spool.submit(now, &format!("job-{sent}"), &line) {
                Verdict::New(key) => waiting.push_back((key, now.mono)),
                _ => refused += 1,
            }
            sent += 1;
        }
        spool.turn(Duration::from_millis(1));
        let now = clock::now();
        while waiting
            .front()
            .is_some_and(|(key, _)| *key <= spool.durable)
        {
            let (key, since) = waiting.pop_front().unwrap();
            latencies.push(now.mono.since(since));
            flying.push(key);
        }
        // In any order, some after seconds: about as many are open as come in a second.
        while flying.len() as u64 > A_SECOND {
            let key = flying.swap_remove(rng.below(flying.len() as u64) as usize);
            let how = How::Delivered;
            spool.journal.handle_input(now, Input::Done { key, how });
        }
    }
    let wall = clock::now().mono.since(start).as_secs_f64();
    let status = spool.journal.status();
    latencies.sort_unstable();
    let at = |part: f64| latencies[(latencies.len() as f64 * part) as usize];
    let job_bytes = (latencies.len() * line.len()) as f64;
    println!(
        "{A_SECOND} a second for {wall:.1} s, {refused} refused: disk thread {:.1} % of a core, this thread {:.1} %; \
         written {:.3} bytes a byte of job; submit to safe p50 {:?} p99 {:?} max {:?}; {} syncs, {} copied, \
         {} MB on disk",
        (thread_cpu("disk") - cpu) / wall * 100.0,
        (self::own_cpu() - own_cpu) / wall * 100.0,
        (status.written_bytes - written) as f64 / job_bytes,
        at(0.5),
        at(0.99),
        latencies.last().unwrap(),
        status.syncs,
        status.copied,
        status.file_bytes >> 20,
    );
    drop(spool);
    fs::remove_dir_all(dir).unwrap();
}

/// A line of /proc/self/status, in kB.
fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Seconds of CPU time of the thread of this name.
fn thread_cpu(name: &str) -> f64 {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if fs::read_to_string(task.join("comm")).unwrap().trim_end() == name {
            return schedstat(&task);
        }
    }
    panic!("no thread {name}")
}

fn own_cpu() -> f64 {
    schedstat(Path::new("/proc/thread-self"))
}

fn schedstat(task: &Path) -> f64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap();
    let nanos: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e9
}

#[test]
fn what_the_system_says_is_told_by_kind() {
    let dir = scratch("kinds");
    let directory = Arc::new(Directory::open(&dir).unwrap());
    let mut poll = mio::Poll::new().unwrap();
    let bell = Arc::new(Bell::new(poll.registry(), mio::Token(1)).unwrap());
    let mailbox = Arc::new(Mailbox::new(Arc::clone(&bell)));
    let disk = Disk::start(directory, Arc::clone(&mailbox)).unwrap();
    use conduit::journal::event::{Action, DiskErrorKind, FileId, OpId, Stream};
    let file = FileId {
        stream: Stream::Jobs,
        number: 1,
    };
    let actions = [
        Action::Sync { file },
        Action::Create { file },
        Action::Create { file },
        Action::Delete { file },
        Action::Delete { file },
    ];
    for (n, action) in actions.into_iter().enumerate() {
        disk.perform(OpId(n as u64), action);
    }
    let (mut mail, mut reports) = (Vec::new(), Vec::new());
    let mut events = mio::Events::with_capacity(1);
    let start = clock::now().mono;
    while reports.len() < 5 {
        assert!(clock::now().mono.since(start) < PATIENCE, "{reports:?}");
        bell.will_sleep();
        if mailbox.is_empty() {
            poll.poll(&mut events, Some(GLANCE)).unwrap();
        }
        mailbox.take(&mut mail);
        reports.append(&mut mail);
    }
    let results: Vec<_> = reports
        .into_iter()
        .map(|report| report.result.map_err(|error| (error.kind, error.code)))
        .collect();
    let done = || Ok(Performed::Done);
    assert_eq!(
        results,
        [
            Err((DiskErrorKind::Missing, 2)),
            done(),
            Err((DiskErrorKind::Io, 17)),
            done(),
            done()
        ]
    );
    fs::remove_dir_all(dir).unwrap();
}
