//! The spool where the nth call of each kind fails: nothing hangs, nothing panics, and what was acknowledged is there
//! after a restart.
//!
//! Which calls conduit makes is counted in a run without failures; each is then made to fail by strace.
//! `cargo test --release --test e2e every_nth_call -- --ignored --nocapture` sweeps widely; `CONDUIT_SWEEP_NTH` says up to
//! which call (8), `CONDUIT_SWEEP_CALL` of which name only.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::process::Command;

use crate::harness::conduit::{CONDUIT, Finished, Run};
use crate::harness::servers::Sink;
use crate::harness::spool::{Ledger, Spool, Submitter, payload};
use crate::harness::{is_installed, unavailable, wait_for};

const FLAGS: [&str; 6] = [
    "--retry-schedule",
    "0.1,0.1,0.1",
    "--shutdown-timeout",
    "2",
    "--log-level",
    "info",
];

const JOBS: u64 = 12;

/// The errors that everything may fail with, the likeliest first.
const ERRORS: [&str; 5] = ["EIO", "ENOSPC", "EINTR", "ENOMEM", "EMFILE"];

/// Calls that work on the spool, and how conduit may not make them.
const ON_DISK: [&str; 17] = [
    "openat",
    "pwrite64",
    "fdatasync",
    "fsync",
    "fallocate",
    "unlinkat",
    "pread64",
    "mkdir",
    "flock",
    "getdents64",
    "statx",
    "fchmod",
    "ftruncate",
    "rename",
    "renameat2",
    "pwritev",
    "sync_file_range",
];

/// Calls that work on sockets, and on what wakes the loops.
const ON_SOCKETS: [&str; 13] = [
    "accept4",
    "connect",
    "socket",
    "bind",
    "listen",
    "setsockopt",
    "getsockopt",
    "sendto",
    "recvfrom",
    "read",
    "write",
    "epoll_wait",
    "epoll_ctl",
];

/// Calls without which there would be no spool.
const EXPECTED: [&str; 8] = [
    "openat",
    "pwrite64",
    "fdatasync",
    "fsync",
    "fallocate",
    "accept4",
    "connect",
    "socket",
];

#[test]
fn each_call_fails_once_and_nothing_acknowledged_is_lost() {
    let Some(mut sweep) = Sweep::new() else {
        return;
    };
    for (number, call) in sweep.calls().into_iter().enumerate() {
        let sink = Sink::start(1, &[]);
        // The first three of each kind, with another error each.
        for nth in 1..=2 {
            let errno = ERRORS[(number + nth) % ERRORS.len()];
            sweep.play(&sink, Failure::once(call, errno, nth));
        }
    }
    sweep.finish();
}

#[test]
#[ignore = "a proof: takes a while"]
fn every_nth_call_fails_in_every_way() {
    let Some(mut sweep) = Sweep::new() else {
        return;
    };
    let most = env::var("CONDUIT_SWEEP_NTH").map_or(8, |text| text.parse().expect("a number"));
    for call in sweep.calls() {
        let sink = Sink::start(1, &[]);
        for errno in ERRORS {
            for nth in 1..=most {
                if !sweep.play(&sink, Failure::once(call, errno, nth)) {
                    break;
                }
                if ON_DISK.contains(&call) && errno != "EINTR" {
                    sweep.play(&sink, Failure::for_ever(call, errno, nth));
                }
            }
        }
    }
    sweep.finish();
}

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug)]
struct Failure {
    call: &'static str,
    errno: &'static str,
    nth: usize,
    /// All calls after that one fail as well.
    is_for_ever: bool,
}

/// The spool, and what came of all runs on it.
struct Sweep {
    spool: Spool,
    /// How often a run without failures makes each call.
    made: BTreeMap<String, u64>,
    hits: BTreeMap<&'static str, u32>,
    ends: BTreeMap<&'static str, u32>,
    runs: u64,
    acknowledged: usize,
    refused: usize,
}

impl Failure {
    const fn once(call: &'static str, errno: &'static str, nth: usize) -> Failure {
        Failure {
            call,
            errno,
            nth,
            is_for_ever: false,
        }
    }

    const fn for_ever(call: &'static str, errno: &'static str, nth: usize) -> Failure {
        Failure {
            is_for_ever: true,
            ..Failure::once(call, errno, nth)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            call, errno, nth, ..
        } = self;
        let plus = if self.is_for_ever { "+" } else { "" };
        write!(f, "{call}:error={errno}:when={nth}{plus}")
    }
}

impl Sweep {
    /// Counts the calls of a run without failures; none where that can't be done.
    fn new() -> Option<Sweep> {
        if !is_installed("strace", "strace") {
            return None;
        }
        let mut sweep = Sweep {
            spool: Spool::new(),
            made: BTreeMap::new(),
            hits: BTreeMap::new(),
            ends: BTreeMap::new(),
            runs: 0,
            acknowledged: 0,
            refused: 0,
        };
        let counts = sweep.spool.beside("counts");
        let sink = Sink::start(1, &[]);
        // So that there is something to be read.
        let run = sweep.spool.start(&FLAGS);
        sweep.work(run, &sink, &mut Ledger::default());
        sweep.runs += 1;
        let mut strace = strace();
        strace.arg("-c").arg("-o").arg(&counts).arg(CONDUIT);
        let run = sweep.spool.run_by(&mut strace, &FLAGS);
        let mut ledger = Ledger::default();
        let run = sweep.work(run, &sink, &mut ledger);
        if run.stderr.contains("ptrace") {
            unavailable("no process may be traced here");
            return None;
        }
        assert_eq!(ledger.acknowledged() as u64, JOBS, "{}", run.stderr);
        sweep.made = wait_for("the counts", || {
            let text = fs::read_to_string(&counts).ok()?;
            text.ends_with("total\n").then(|| counts_of(&text))
        });
        for call in EXPECTED {
            assert!(sweep.made.contains_key(call), "{call}: {:?}", sweep.made);
        }
        Some(sweep)
    }

    /// The calls to sweep.
    fn calls(&self) -> Vec<&'static str> {
        let all = ON_DISK.iter().chain(&ON_SOCKETS);
        let (made, never): (Vec<&str>, Vec<&str>) =
            all.partition(|call| self.made.contains_key(**call));
        println!("never made: {}", never.join(", "));
        let only = env::var("CONDUIT_SWEEP_CALL").ok();
        let wanted = |call: &&str| only.as_ref().is_none_or(|only| only == call);
        made.into_iter().filter(wanted).collect()
    }

    /// A run with this failure and one without. Whether the call was made so often.
    fn play(&mut self, sink: &Sink, failure: Failure) -> bool {
        // Shown if anything fails.
        println!("{failure}");
        self.runs += 1;
        let log = self.spool.beside("strace.log");
        let mut strace = strace();
        strace.arg("--seccomp-bpf").arg("-o").arg(&log);
        strace.args(["-e", &format!("trace={}", failure.call)]);
        strace.args(["-e", &format!("inject={failure}")]);
        let run = self.spool.run_by(strace.arg(CONDUIT), &FLAGS);
        let mut ledger = Ledger::default();
        let run = self.work(run, sink, &mut ledger);
        assert!(
            !run.stderr.contains("panicked"),
            "{failure}: {}",
            run.stderr
        );
        let end = match run.status {
            Some(0) => "exit 0",
            Some(3) => "exit 3",
            other => panic!("{failure}: {other:?}: {}", run.stderr),
        };
        *self.ends.entry(end).or_default() += 1;
        let again = self.spool.start(&FLAGS);
        let again = self.spool.drain(again);
        assert_eq!(again.status, Some(0), "{failure}: {}", again.stderr);
        assert!(
            !again.stderr.contains("can't be read"),
            "{failure}: {}",
            again.stderr
        );
        wait_for("what was acknowledged to arrive", || {
            let seen = sink.so_far();
            let has_come = |id: &str| seen.iter().any(|(body, ..)| body.id == id);
            let mut safe = ledger.jobs().filter(|(_, job)| job.is_acknowledged);
            safe.all(|(id, _)| has_come(id)).then_some(())
        });
        self.acknowledged += ledger.acknowledged();
        self.refused += ledger.refused;
        let text = fs::read_to_string(&log).unwrap_or_default();
        let is_hit = text.contains("(INJECTED)");
        *self.hits.entry(failure.call).or_default() += u32::from(is_hit);
        is_hit
    }

    /// Submits jobs until all have their end, and ends the run.
    fn work(&self, mut run: Run, sink: &Sink, ledger: &mut Ledger) -> Finished {
        if self.spool.listens(&mut run) {
            for number in 0..JOBS {
                let bytes = if number == 0 { 20_000 } else { 100 };
                let id = format!("{}-{number}", self.runs);
                ledger.add(&id, &sink.urls[0], &payload(number, bytes));
            }
            // It may have failed after it began to listen.
            let jobs = ledger.unacknowledged();
            let Some(submitter) = Submitter::try_start(&self.spool.socket(), jobs) else {
                return run.finish();
            };
            while !ledger.has_all() {
                let Some(line) = submitter.next() else {
                    break;
                };
                ledger.hear(&line);
            }
            // It may be gone by now.
            if !run.has_ended() {
                run.process().signal("TERM");
            }
        }
        run.finish()
    }

    fn finish(self) {
        println!(
            "{} runs in which a call failed: {:?}, {} jobs acknowledged and none lost, {} refused; calls hit: {:?}",
            self.runs, self.ends, self.acknowledged, self.refused, self.hits
        );
        let missed: Vec<_> = self.hits.iter().filter(|(_, hits)| **hits == 0).collect();
        assert!(missed.is_empty(), "never hit: {missed:?}");
    }
}

/// A strace that leaves the process to us: it is our child, and its end is its own.
fn strace() -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq"]);
    strace
}

/// What `strace -c` has counted.
fn counts_of(text: &str) -> BTreeMap<String, u64> {
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let calls = words.get(3)?.parse().ok()?;
        Some(((*words.last()?).to_owned(), calls))
    });
    rows.collect()
}
