//! Standard error that nobody reads, whatever it is: nothing waits for it. What it gets to see.
//!
//! Not here: how lines are buffered and counted (`src/io/log`).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::conduit::{CONDUIT, LOCAL, Run, ask, deliver};
use crate::harness::feed::plain;
use crate::harness::monitor::{get, metrics};
use crate::harness::servers::Sink;
use crate::harness::socket::wait_until_it_listens;
use crate::harness::{PATIENCE, Process, TempDir, free_port, is_installed, wait_for};

const O_NONBLOCK: i32 = 0o4000;

const BAD: usize = 3_000;
const GOOD: usize = 100;

/// A run whose jobs nearly all fail.
struct Story {
    dir: TempDir,
    port: u16,
    manager: UnixDatagram,
    sinks: [Sink; 2],
}

impl Story {
    fn new() -> Story {
        let dir = TempDir::new();
        let manager = UnixDatagram::bind(dir.join("notify")).expect("a new name");
        manager.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let (bad, good) = (Sink::start(1, &["--status", "400"]), Sink::start(1, &[]));
        let mut feed = File::create(dir.join("feed")).expect("a new name");
        for number in 0..BAD {
            let id = format!("{number}-{}", "x".repeat(200));
            feed.write_all(plain(&id, &bad.urls[0]).as_bytes())
                .expect("a file");
            if number % (BAD / GOOD) == 0 {
                let line = plain(&format!("good-{number}"), &good.urls[0]);
                feed.write_all(line.as_bytes()).expect("a file");
            }
        }
        Story {
            dir,
            port: free_port(),
            manager,
            sinks: [bad, good],
        }
    }

    /// What `program`, which may come before conduit, is told.
    fn arguments(&self) -> Vec<String> {
        let mut words = vec!["run".to_owned()];
        words.extend(LOCAL.map(str::to_owned));
        words.push("--listen".to_owned());
        words.push(format!("127.0.0.1:{}", self.port));
        words.push("--socket".to_owned());
        words.push(self.socket());
        words
    }

    fn socket(&self) -> String {
        let path = self.dir.join("socket");
        path.to_str().expect("a plain name").to_owned()
    }

    fn prepare(&self, command: &mut Command) {
        command
            .env("NOTIFY_SOCKET", self.dir.join("notify"))
            .env("WATCHDOG_USEC", "200000");
    }

    fn start(&self, stderr: Stdio) -> Process {
        let open = |name| File::open(self.dir.join(name)).expect("it was written");
        let results = File::create(self.dir.join("results")).expect("a new name");
        let mut command = Command::new(CONDUIT);
        command.args(self.arguments());
        self.prepare(&mut command);
        command.stdin(open("feed")).stdout(results).stderr(stderr);
        Process::spawn(&mut command)
    }

    /// All that is promised while nobody reads.
    fn watch(&self) {
        wait_until_it_listens(Path::new(&self.socket()));
        wait_for("all results", || {
            let results = std::fs::read_to_string(self.dir.join("results")).ok()?;
            (results.lines().count() == BAD + GOOD).then_some(())
        });
        assert_eq!(get(self.port, "/health/live").status, 200);
        let (status, stdout, stderr) = ask(&["ctl", "status", "--socket", &self.socket()]);
        assert_eq!(status, Some(0), "{stderr}");
        assert!(stdout.contains("delivered"), "{stdout}");
        let mut fed = 0;
        while fed < 3 {
            let mut word = [0; 64];
            let count = self.manager.recv(&mut word).expect("a word");
            fed += usize::from(word[..count].starts_with(b"WATCHDOG=1"));
        }
        assert_eq!(
            metrics(self.port).count("conduit_log_lines_dropped_total", &[]),
            0,
            "so few are kept"
        );
    }

    fn end(self) {
        let [bad, good] = self.sinks;
        bad.stop();
        good.stop();
    }
}

/// Nobody reads `stderr`, and it is full before anything is said.
fn nobody_reads(stderr: OwnedFd) {
    let story = Story::new();
    let mut process = story.start(Stdio::from(stderr));
    story.watch();
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
    story.end();
}

/// Writes until there is no more room.
fn fill(mut stream: impl std::io::Write) {
    loop {
        match stream.write(&[b'.'; 1024]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("it can't be filled: {error}"),
        }
    }
}

/// A FIFO that is full: its end to write to, and one that only keeps it open.
fn full_fifo(dir: &TempDir, flags: i32) -> (File, File) {
    let path = dir.join("fifo");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("every system has it").success());
    let open = |flags| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags);
        options.open(&path).expect("it was made")
    };
    let keeper = open(O_NONBLOCK);
    fill(&keeper);
    (open(flags), keeper)
}

#[test]
fn f110_a_full_pipe_holds_up_nothing() {
    let dir = TempDir::new();
    let (stderr, _keeper) = full_fifo(&dir, 0);
    nobody_reads(stderr.into());
}

#[test]
fn f110_nor_does_a_pipe_that_somebody_has_made_non_blocking() {
    let dir = TempDir::new();
    let (stderr, _keeper) = full_fifo(&dir, O_NONBLOCK);
    nobody_reads(stderr.into());
}

#[test]
fn f110_nor_does_a_stream_socket() {
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    fill(&ours);
    ours.set_nonblocking(false).expect("a socket");
    nobody_reads(ours.into());
}

#[test]
fn f110_nor_does_a_terminal() {
    if !is_installed("script", "bsdutils") {
        return;
    }
    let story = Story::new();
    let words: Vec<String> = story.arguments().iter().map(|w| format!("'{w}'")).collect();
    let place = story.dir.path().display();
    // Nobody reads what script writes, so it reads no more of the terminal, which yes fills.
    let line = format!(
        "yes & yes=$!; {CONDUIT} {} <{place}/feed >{place}/results 2>/dev/tty & \
         echo $! >{place}/pid; wait $!; echo $? >{place}/status; kill $yes",
        words.join(" ")
    );
    let mut script = Command::new("script");
    script.args(["-qfec", &line, "/dev/null"]);
    story.prepare(&mut script);
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let _script = Process::spawn(&mut script);
    story.watch();
    let read = |name| {
        wait_for("a number", || {
            let text = std::fs::read_to_string(story.dir.join(name)).ok()?;
            text.strip_suffix('\n').map(str::to_owned)
        })
    };
    let kill = Command::new("kill").args(["-TERM", &read("pid")]).status();
    assert!(kill.expect("every system has it").success());
    assert_eq!(read("status"), "0");
    story.end();
}

#[test]
fn f110_lines_that_repeat_are_summed_up_each_origin_for_itself() {
    let (bad, other) = (
        Sink::start(1, &["--status", "400"]),
        Sink::start(1, &["--status", "400"]),
    );
    let mut feed: String = (0..2_000)
        .map(|n| plain(&n.to_string(), &bad.urls[0]))
        .collect();
    feed += &plain("other", &other.urls[0]);
    let run = deliver::<&str>(&[], feed);
    assert_eq!(run.count("rejected"), 2_001);
    let lines = |words: &[&str]| {
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        run.stderr.lines().filter(has_all).count()
    };
    assert_eq!(lines(&["attempt failed", "id=other"]), 1, "{}", run.stderr);
    let origin = bad.urls[0].trim_end_matches('/');
    let written = lines(&["attempt failed", "id="]) - 1;
    let more = |line: &str| -> Option<usize> {
        if !line.contains("more like this in the last second") || !line.contains(origin) {
            return None;
        }
        line.rsplit_once("count=")?.1.parse().ok()
    };
    let summed: usize = run.stderr.lines().filter_map(more).sum();
    assert_eq!(written + summed, 2_000, "{}", run.stderr);
    assert!(summed >= 1_000, "{}", run.stderr);
    bad.stop();
    other.stop();
}

#[test]
fn the_first_line_says_which_conduit_this_is() {
    let dir = TempDir::new();
    // What is odd in a file is said after that.
    let config = dir.write("conduit.json", "{\"workers\": 1}");
    let mut command = Command::new(CONDUIT);
    command.arg("run").args(LOCAL).arg("--config").arg(&config);
    command.env("CONDUITLLM__WEBHOOKS__NONSENSE", "1");
    let run = Run::start(&mut command).finish();
    let mut lines = run.stderr.lines();
    let first = lines.next().expect("a line");
    for word in [
        "INFO conduit starts version=",
        "pid=",
        "workers=1",
        &format!("configuration={}", config.display()),
    ] {
        assert!(first.contains(word), "{word}: {}", run.stderr);
    }
    assert!(run.stderr.contains("NONSENSE"), "{}", run.stderr);
    let run = deliver::<&str>(&[], "");
    assert!(run.stderr.contains("configuration=none"), "{}", run.stderr);
}
