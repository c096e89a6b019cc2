//! The program under test: `conduit run` with a feed, its results read as the contract promises them.
//!
//! Every result line that any story reads is checked for its shape here.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::{PATIENCE, Process, wait_for};

/// The binary that Cargo built beside this test.
pub(crate) const CONDUIT: &str = env!("CARGO_BIN_EXE_conduit");

/// What lets a run talk to servers of these tests: plain HTTP, on loopback. No admin listener: many run at once. One attempt a job: stories about
/// retries bring a schedule of their own.
pub(crate) const LOCAL: [&str; 7] = [
    "--listen",
    "none",
    "--allow-http",
    "--allow-net",
    "127.0.0.0/8",
    "--retry-schedule",
    "",
];

const OUTCOMES: [&str; 10] = [
    "delivered",
    "rejected",
    "exhausted",
    "expired",
    "blocked",
    "overloaded",
    "invalid",
    "duplicate",
    "kept",
    "cancelled",
];

const KINDS: [&str; 17] = [
    "timeout",
    "dns",
    "connect",
    "tls",
    "reset",
    "protocol",
    "http",
    "gone",
    "circuitOpen",
    "policy",
    "local",
    "spool",
    "limit",
    "ttl",
    "invalid",
    "duplicate",
    "cancelled",
];

const KEYS: [&str; 13] = [
    "id",
    "line",
    "outcome",
    "known",
    "samePayload",
    "status",
    "attempts",
    "durationMs",
    "origin",
    "error",
    "response",
    "timings",
    "reused",
];

/// One result line.
#[derive(Clone, Debug)]
pub(crate) struct JobResult {
    value: Value,
}

/// A run that goes on.
#[derive(Debug)]
pub(crate) struct Run {
    process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Log,
    results: Vec<JobResult>,
}

/// What has been logged so far, and who reads on.
#[derive(Debug)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// In the order in which they came.
    pub(crate) results: Vec<JobResult>,
    /// All that was logged.
    pub(crate) stderr: String,
    /// The exit status; none if a signal ended it.
    pub(crate) status: Option<i32>,
}

/// Delivers `feed` with [`LOCAL`] and these flags.
pub(crate) fn deliver<S: AsRef<OsStr>>(flags: &[S], feed: impl Into<Vec<u8>>) -> Finished {
    let mut command = Command::new(CONDUIT);
    command.arg("run").args(LOCAL).args(flags);
    Run::start(&mut command).feed(feed.into())
}

/// Runs `conduit` with these arguments and nothing on stdin: exit status, stdout, stderr.
pub(crate) fn ask<S: AsRef<OsStr>>(arguments: &[S]) -> (Option<i32>, String, String) {
    let output = Command::new(CONDUIT)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("conduit starts");
    let text = |bytes| String::from_utf8(bytes).expect("conduit writes UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

impl Run {
    /// Starts `command`, which is to become a `conduit run`, with all three streams at our hands.
    pub(crate) fn start(command: &mut Command) -> Run {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::spawn(command);
        let stdin = process.child().stdin.take();
        let stdout = process.child().stdout.take().expect("it is piped");
        let stderr = process.child().stderr.take().expect("it is piped");
        Run {
            process,
            stdin,
            lines: lines_of(stdout),
            log: Log::of(stderr),
            results: Vec::new(),
        }
    }

    /// Starts `conduit run` with [`LOCAL`] and these flags.
    pub(crate) fn local<S: AsRef<OsStr>>(flags: &[S]) -> Run {
        Run::start(Command::new(CONDUIT).arg("run").args(LOCAL).args(flags))
    }

    /// Writes some of the feed; it must fit into a pipe while conduit does not read.
    pub(crate) fn write(&mut self, feed: &str) {
        let stdin = self.stdin.as_mut().expect("the feed has not ended");
        stdin
            .write_all(feed.as_bytes())
            .and_then(|()| stdin.flush())
            .expect("conduit reads");
    }

    /// Writes the rest of the feed and waits for the end.
    pub(crate) fn feed(mut self, feed: Vec<u8>) -> Finished {
        let mut stdin = self.stdin.take().expect("the feed has not ended");
        // A thread of its own: conduit holds the feed back while nobody reads its results. It may also leave
        // early; what it has read shows in its results.
        let writer = thread::spawn(move || stdin.write_all(&feed));
        let finished = self.finish();
        let _written = writer.join().expect("the writer does not panic");
        finished
    }

    /// Waits for the next result.
    pub(crate) fn next_result(&mut self) -> JobResult {
        let result = self.pass_result();
        self.results.push(result.clone());
        result
    }

    /// The same where there are so many that the end of the run is not to give them all again.
    pub(crate) fn pass_result(&mut self) -> JobResult {
        let line = self.lines.recv_timeout(PATIENCE).expect("a result");
        JobResult::parse(&line)
    }

    /// Waits until the log has all these words in one line.
    pub(crate) fn wait_for_log(&self, words: &[&str]) {
        wait_for("a line of the log", || {
            let text = self.log.text();
            let found = |line: &str| words.iter().all(|word| line.contains(word));
            text.lines().any(found).then_some(())
        });
    }

    /// Reads no more results: standard output closes after the next one.
    pub(crate) fn stop_reading(&mut self) {
        (_, self.lines) = channel();
    }

    /// Ends the feed.
    pub(crate) fn end_feed(&mut self) {
        drop(self.stdin.take());
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.process.child();
        child.try_wait().expect("it is ours to wait for").is_some()
    }

    /// Ends the feed and waits for the end; results that were read already are among the others.
    pub(crate) fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.results.push(JobResult::parse(&line)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.give_up(),
            }
        }
        let status = self.process.wait();
        Finished {
            results: self.results,
            stderr: self.log.finish(),
            status: status.code(),
        }
    }

    /// Ends what does not end, and fails with all that is known of it.
    fn give_up(mut self) -> ! {
        self.process.signal("KILL");
        self.process.wait();
        let results = self.results.len();
        let stderr = self.log.finish();
        panic!("no result after {results} within {PATIENCE:?}: {stderr}");
    }
}

impl Log {
    fn of(stderr: ChildStderr) -> Log {
        let text = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&text);
        let mut stderr = BufReader::new(stderr);
        let reader = thread::spawn(move || {
            let mut line = Vec::new();
            while stderr
                .read_until(b'\n', &mut line)
                .expect("a pipe can be read")
                > 0
            {
                let mut text = written.lock().unwrap_or_else(PoisonError::into_inner);
                text.append(&mut line);
            }
        });
        Log { text, reader }
    }

    fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn finish(self) -> String {
        self.reader.join().expect("the reader does not panic");
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Finished {
    /// Asserts that there are so many results, all of them `delivered` at the first attempt, and exit status 0.
    pub(crate) fn assert_all_delivered(&self, count: usize) {
        self.assert_delivered_in_the_end(count);
        assert!(self.results.iter().all(|result| result.attempts() == 1));
    }

    /// Asserts that there are so many results, all of them `delivered`, and exit status 0.
    pub(crate) fn assert_delivered_in_the_end(&self, count: usize) {
        if let Some(other) = self.results.iter().find(|result| !result.is_delivered()) {
            panic!("not delivered: {other:?}\n{}", self.stderr);
        }
        assert_eq!(self.results.len(), count, "{}", self.stderr);
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        self.assert_each_line_once();
    }

    /// Asserts that no line has two results.
    pub(crate) fn assert_each_line_once(&self) {
        let mut lines: Vec<u64> = self.results.iter().map(JobResult::line).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), self.results.len(), "two results for a line");
    }

    /// How many results have this outcome.
    pub(crate) fn count(&self, outcome: &str) -> usize {
        let same = |result: &&JobResult| result.outcome() == outcome;
        self.results.iter().filter(same).count()
    }

    /// The result of the job with this id.
    pub(crate) fn of(&self, id: &str) -> &JobResult {
        let found = self.results.iter().find(|result| result.id() == Some(id));
        found.unwrap_or_else(|| panic!("no result for {id}: {self:#?}"))
    }

    /// The result of this line.
    pub(crate) fn of_line(&self, line: u64) -> &JobResult {
        let found = self.results.iter().find(|result| result.line() == line);
        found.unwrap_or_else(|| panic!("no result for line {line}: {self:#?}"))
    }
}

impl JobResult {
    /// Reads a line, which must have the shape that the contract promises.
    fn parse(line: &str) -> JobResult {
        let value: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("a result is one JSON object: {error}: {line}"));
        let result = JobResult { value };
        let object = result.value.as_object().expect("a result is an object");
        for key in object.keys() {
            assert!(KEYS.contains(&key.as_str()), "unknown key {key}: {line}");
        }
        assert!(OUTCOMES.contains(&result.outcome()), "{line}");
        // Only a job that an earlier run has read has none.
        assert!(result.value.get("line").is_none() || result.line() > 0);
        assert_eq!(
            result.outcome() == "duplicate",
            result.value.get("samePayload").is_some() && result.value.get("known").is_some(),
            "{line}"
        );
        let duration = result.value["durationMs"].as_f64().expect("a duration");
        assert!(duration >= 0.0, "{line}");
        assert_eq!(
            result.value.get("error").is_none(),
            result.is_delivered(),
            "an error stands in every result but delivered: {line}"
        );
        if !result.is_delivered() {
            assert!(KINDS.contains(&result.kind()), "{line}");
            assert!(!result.message().is_empty(), "{line}");
        }
        if let Some(status) = result.status() {
            assert!((100..=999).contains(&status), "{line}");
        }
        if result.outcome() != "invalid" {
            assert!(result.id().is_some(), "{line}");
            assert!(result.origin().starts_with("http"), "{line}");
        }
        assert_eq!(
            result.value.get("timings").is_some(),
            result.value.get("reused").is_some(),
            "{line}"
        );
        result
    }

    /// The job's id.
    pub(crate) fn id(&self) -> Option<&str> {
        self.value.get("id")?.as_str()
    }

    /// The line's number.
    pub(crate) fn line(&self) -> u64 {
        self.value["line"].as_u64().expect("a line number")
    }

    /// Whether an earlier run has read its line.
    pub(crate) fn is_recovered(&self) -> bool {
        self.value.get("line").is_none()
    }

    /// As what a duplicate is known, and whether it says the same.
    pub(crate) fn known(&self) -> (&str, bool) {
        let known = self.value["known"].as_str().expect("a duplicate");
        let same = self.value["samePayload"].as_bool().expect("a duplicate");
        (known, same)
    }

    /// The outcome's name.
    pub(crate) fn outcome(&self) -> &str {
        self.value["outcome"].as_str().expect("an outcome")
    }

    /// Whether it is `delivered`.
    pub(crate) fn is_delivered(&self) -> bool {
        self.outcome() == "delivered"
    }

    /// The last attempt's status, if there was an answer.
    pub(crate) fn status(&self) -> Option<u64> {
        self.value.get("status")?.as_u64()
    }

    /// How many attempts there were.
    pub(crate) fn attempts(&self) -> u64 {
        self.value["attempts"].as_u64().expect("a count")
    }

    /// From acceptance to outcome, in milliseconds.
    pub(crate) fn duration_ms(&self) -> f64 {
        self.value["durationMs"].as_f64().expect("a duration")
    }

    /// Scheme, host, non-default port.
    pub(crate) fn origin(&self) -> &str {
        self.value["origin"].as_str().expect("an origin")
    }

    /// The failure's stable name.
    pub(crate) fn kind(&self) -> &str {
        self.value["error"]["kind"].as_str().expect("a kind")
    }

    /// The failure in words.
    pub(crate) fn message(&self) -> &str {
        self.value["error"]["message"].as_str().expect("a message")
    }

    /// The start of a non-2xx answer's body.
    pub(crate) fn response(&self) -> Option<&str> {
        self.value.get("response")?.as_str()
    }

    /// With `--timings`: one of them, in milliseconds.
    pub(crate) fn timing(&self, name: &str) -> Option<f64> {
        self.value.get("timings")?.get(name)?.as_f64()
    }

    /// With `--timings`: whether the connection had been used before.
    pub(crate) fn is_reused(&self) -> Option<bool> {
        self.value.get("reused")?.as_bool()
    }

    /// Asserts outcome, kind, and that the message has these words in it.
    pub(crate) fn assert_failed(&self, outcome: &str, kind: &str, words: &[&str]) {
        assert_eq!((self.outcome(), self.kind()), (outcome, kind), "{self:?}");
        for word in words {
            assert!(self.message().contains(word), "no {word:?} in {self:?}");
        }
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("results are lines of UTF-8");
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
