//! The spool against kill -9: whatever was acknowledged arrives, or is a dead letter, and what arrives twice was under
//! way or had just ended when the process died.
//!
//! `CONDUIT_KILL_ROUNDS=300 cargo test --release --test e2e kill_9 -- --ignored --nocapture` kills 300 times;
//! `CONDUIT_KILL_SEED` says what is drawn, though not what the machine makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use conduit::base::rng::Rng;

use crate::harness::conduit::Run;
use crate::harness::servers::Sink;
use crate::harness::spool::{Ledger, Spool, Submitter, payload};
use crate::harness::wait_for;

const FLAGS: [&str; 6] = [
    "--max-connections",
    "8",
    "--retry-schedule",
    "0.2,0.2,0.2",
    "--log-level",
    "warn",
];

/// How long before a kill a job may have been delivered whose end was not safe: a tenth of a second it waits for
/// company, then it is written and synced, on a disk that others use as well.
const UNSAFE_FOR: Duration = Duration::from_secs(2);

/// How long after a kill a sink may log what it was sent before.
const SEEN_LATE: Duration = Duration::from_millis(50);

/// How often the sink's log is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// When the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// While it starts and reads what is there.
    Starting,
    /// At some `accepted`.
    Submitting,
    /// At some result.
    Delivering,
    /// When a segment has come or gone.
    Compacting,
    /// When all has ended, and the word of it may not be safe.
    Resting,
}

const MOMENTS: [Moment; 5] = [
    Moment::Submitting,
    Moment::Starting,
    Moment::Delivering,
    Moment::Compacting,
    Moment::Resting,
];

#[test]
fn f101_kill_9_loses_nothing_that_was_acknowledged() {
    Story::new().play(rounds(5));
}

#[test]
#[ignore = "a proof: takes a while"]
fn kill_9_again_and_again() {
    Story::new().play(rounds(300));
}

fn rounds(default: u32) -> u32 {
    number_of("CONDUIT_KILL_ROUNDS").map_or(default, |rounds| rounds as u32)
}

fn number_of(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("a whole number"))
}

struct Story {
    rng: Rng,
    spool: Spool,
    /// Answers 200.
    sink: Sink,
    /// Answers 404.
    deaf: Sink,
    ledger: Ledger,
    sent: u64,
    kills: BTreeMap<Moment, u32>,
    killed: Vec<Instant>,
    files: BTreeSet<String>,
    watch: Watch,
}

/// Notes how long the sink's log is, and when.
struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Vec<(Instant, u64)>>,
}

impl Story {
    fn new() -> Story {
        let seed = number_of("CONDUIT_KILL_SEED").unwrap_or(1);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let sink = Sink::start(2, &["--delay", "0-0.01"]);
        Story {
            rng: Rng::from_seed(bytes),
            spool: Spool::new(),
            watch: Watch::start(sink.log().to_owned()),
            sink,
            deaf: Sink::start(1, &["--status", "404"]),
            ledger: Ledger::default(),
            sent: 0,
            kills: BTreeMap::new(),
            killed: Vec::new(),
            files: BTreeSet::new(),
        }
    }

    fn play(mut self, rounds: u32) {
        for (_, moment) in (0..rounds).zip(MOMENTS.iter().cycle()) {
            self.round(*moment);
        }
        let run = self.start();
        let last = self.submit(Moment::Resting);
        while self.ledger.acknowledged() < self.sent as usize {
            let line = last.next().expect("nobody kills it now");
            self.ledger.hear(&line);
        }
        drop(last);
        let run = self.spool.drain(run);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        self.compare();
    }

    /// A start, some jobs, and a kill.
    fn round(&mut self, moment: Moment) {
        let before = self.ledger.acknowledged();
        if moment == Moment::Starting {
            let run = self.spool.start(&FLAGS);
            self.let_pass(40_000);
            self.kill(run, moment);
            return;
        }
        let run = self.start();
        let submitter = self.submit(moment);
        let jobs = self.sent as usize - before;
        let wanted = match moment {
            Moment::Submitting | Moment::Delivering => self.rng.below(jobs as u64) as usize,
            Moment::Compacting | Moment::Resting | Moment::Starting => jobs,
        };
        let ended_before = self.ledger.ended();
        self.files = self.spool.files();
        loop {
            let heard = match moment {
                Moment::Submitting => self.ledger.acknowledged() - before,
                _ => self.ledger.ended() - ended_before,
            };
            let is_it = moment == Moment::Compacting && self.spool.files() != self.files;
            if heard >= wanted || is_it {
                break;
            }
            let line = submitter.next().expect("it runs");
            self.ledger.hear(&line);
        }
        self.let_pass(if moment == Moment::Resting {
            200_000
        } else {
            2_000
        });
        self.kill(run, moment);
        // What was said before the end was said.
        while let Some(line) = submitter.next() {
            self.ledger.hear(&line);
        }
    }

    /// A run that listens.
    fn start(&self) -> Run {
        let mut run = self.spool.start(&FLAGS);
        if self.spool.listens(&mut run) {
            return run;
        }
        let run = run.finish();
        panic!("it ended at its start: {:?}: {}", run.status, run.stderr);
    }

    /// Sends what nobody has acknowledged, and some new jobs.
    fn submit(&mut self, moment: Moment) -> Submitter {
        let large = moment == Moment::Compacting;
        let jobs = 50 + self.rng.below(if large { 800 } else { 400 });
        for _ in 0..jobs {
            let bytes = match self.rng.below(20) {
                _ if large => 20_000 + self.rng.below(40_000),
                0 => self.rng.below(60_000),
                _ => self.rng.below(1_000),
            };
            let url = match self.rng.below(10) {
                0 => &self.deaf.urls[0],
                number => &self.sink.urls[number as usize % 2],
            };
            let id = format!("job-{:06}", self.sent);
            let payload = payload(self.sent, bytes as usize);
            self.ledger.add(&id, url, &payload);
            self.sent += 1;
        }
        Submitter::start(&self.spool.socket(), self.ledger.unacknowledged())
    }

    /// Up to so many microseconds.
    fn let_pass(&mut self, micros: u64) {
        let until = Instant::now() + Duration::from_micros(self.rng.below(micros));
        wait_for("the moment", || (Instant::now() >= until).then_some(()));
    }

    fn kill(&mut self, run: Run, moment: Moment) {
        self.killed.push(Instant::now());
        run.process().signal("KILL");
        let run = run.finish();
        assert_eq!(run.status, None, "it had ended before: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        *self.kills.entry(moment).or_default() += 1;
    }

    fn compare(self) {
        let Story {
            sink,
            deaf,
            ledger,
            killed,
            kills,
            ..
        } = self;
        let times = self.watch.finish();
        let mut arrived: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        let mut bodies = BTreeMap::new();
        for (body, status, end) in sink.so_far() {
            assert_eq!(status, 200, "{body:?}");
            let at = times.partition_point(|(_, bytes)| *bytes < end);
            let at = times.get(at).map_or_else(Instant::now, |(at, _)| *at);
            arrived.entry(body.id.clone()).or_default().push(at);
            bodies.insert(body.id.clone(), body);
        }
        let refused = deaf.so_far().into_iter().map(|(body, ..)| body.id);
        let refused: BTreeSet<String> = refused.collect();
        let mut lost = Vec::new();
        for (id, job) in ledger.jobs() {
            assert!(job.is_acknowledged, "the last run took {id} in");
            let outcome = job.outcome.as_deref();
            let is_dead = refused.contains(id);
            let expected = if is_dead { "rejected" } else { "delivered" };
            assert!(outcome.is_none_or(|outcome| outcome == expected), "{id}");
            match bodies.get(id) {
                Some(body) => assert_eq!(*body, job.body),
                None if is_dead => {}
                None => lost.push(id),
            }
        }
        let again = |times: &Vec<Instant>| times.len() - 1;
        let twice: usize = arrived.values().map(again).sum();
        let earlier = arrived.values().flat_map(|times| &times[..again(times)]);
        let ages = earlier.map(|at| age_at_kill(&killed, *at));
        let oldest = ages.max().unwrap_or_default();
        println!(
            "{} kills {kills:?}: {} acknowledged, {} lost; {} delivered, {twice} of them once more, the oldest \
             {oldest:.1?} before a kill; {} dead; {} said to be duplicates",
            killed.len(),
            ledger.acknowledged(),
            lost.len(),
            arrived.len(),
            refused.len(),
            ledger.duplicates,
        );
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert!(oldest <= UNSAFE_FOR, "its end was long known");
    }
}

/// How long before a kill that was; zero for what its receiver only saw afterwards.
fn age_at_kill(killed: &[Instant], at: Instant) -> Duration {
    let next = killed.iter().find(|kill| **kill + SEEN_LATE >= at);
    let next = next.expect("what is delivered twice was there at a kill");
    next.saturating_duration_since(at)
}

impl Watch {
    fn start(log: PathBuf) -> Watch {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut times = Vec::new();
            while stopped.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
                let bytes = fs::metadata(&log).expect("the sink keeps a log").len();
                times.push((Instant::now(), bytes));
            }
            times
        });
        Watch { stop, thread }
    }

    fn finish(self) -> Vec<(Instant, u64)> {
        drop(self.stop);
        self.thread.join().expect("the watch does not panic")
    }
}
