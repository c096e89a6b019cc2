//! A spool on which one run follows another, and a client that keeps books: what it sent, and what it was told.
//!
//! Not here: what becomes of the runs (`crash`, `syscalls`, `full_disk`), what receivers have seen (`servers`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::conduit::{CONDUIT, Finished, LOCAL, Run};
use super::feed::Body;
use super::socket::{Client, wait_until_it_listens};
use super::{PATIENCE, TempDir, wait_for};

/// A spool's directory, with the socket of whoever works on it.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: TempDir,
}

/// A connection that is written to and read from at once, and may break at any time.
#[derive(Debug)]
pub(crate) struct Submitter {
    stream: UnixStream,
    answers: Receiver<Value>,
}

/// What was sent, and what was said of it, over all runs.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    jobs: BTreeMap<String, Entry>,
    acknowledged: usize,
    ended: usize,
    /// Refusals since the jobs were last sent.
    refusals: usize,
    /// First answers that were a refusal.
    pub(crate) refused: usize,
    /// First answers that named a duplicate, which is as good as `accepted`.
    pub(crate) duplicates: usize,
}

/// One job.
#[derive(Debug)]
pub(crate) struct Entry {
    line: String,
    /// What its receiver must see.
    pub(crate) body: Body,
    /// Whether the sender was told that it is safe.
    pub(crate) is_acknowledged: bool,
    /// Its last outcome, where the sender was told.
    pub(crate) outcome: Option<String>,
}

impl Spool {
    /// A directory that is not there yet.
    pub(crate) fn new() -> Spool {
        Spool {
            dir: TempDir::new(),
        }
    }

    /// The spool's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// Where the socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Another path beside them.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Has `command`, which is to become `conduit`, run here with these flags.
    pub(crate) fn run_by<S: AsRef<OsStr>>(&self, command: &mut Command, flags: &[S]) -> Run {
        command.arg("run").args(LOCAL).args(flags);
        command.arg("--spool").arg(self.path());
        command.arg("--socket").arg(self.socket());
        Run::start(command)
    }

    /// Starts a run here, and does not wait for anything.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, flags: &[S]) -> Run {
        self.run_by(&mut Command::new(CONDUIT), flags)
    }

    /// Waits until the run listens; false if it has ended before.
    pub(crate) fn listens(&self, run: &mut Run) -> bool {
        wait_for("the socket, or the end", || {
            let is_there = UnixStream::connect(self.socket()).is_ok();
            (is_there || run.has_ended()).then_some(is_there)
        })
    }

    /// Waits until a run listens, has it take no more jobs and bring all it has to their end.
    pub(crate) fn drain(&self, run: Run) -> Finished {
        wait_until_it_listens(&self.socket());
        let mut operator = Client::connect(&self.socket());
        let answer = operator.ask("{\"ctl\":\"drain\"}");
        assert_eq!(answer["ok"], true, "{answer}");
        run.finish()
    }

    /// The names of its files.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.collect()
    }
}

impl Submitter {
    /// Connects, sends this, and reads until it is dropped or conduit is gone.
    pub(crate) fn start(socket: &Path, text: String) -> Submitter {
        Submitter::try_start(socket, text).expect("conduit listens")
    }

    /// The same; none where conduit is gone already.
    pub(crate) fn try_start(socket: &Path, text: String) -> Option<Submitter> {
        let stream = UnixStream::connect(socket).ok()?;
        let mut writer = stream.try_clone().expect("a descriptor");
        let reader = stream.try_clone().expect("a descriptor");
        let (sender, answers) = channel();
        // Both end when conduit does, or its owner's patience.
        thread::spawn(move || writer.write_all(text.as_bytes()));
        thread::spawn(move || {
            let mut lines = BufReader::new(reader);
            let mut line = String::new();
            // What is cut off was not said.
            while lines.read_line(&mut line).is_ok() && line.ends_with('\n') {
                let value = serde_json::from_str(&line).expect("a line is JSON");
                if sender.send(value).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Some(Submitter { stream, answers })
    }

    /// The next line, within this time; none at the end of the connection.
    pub(crate) fn next_within(&self, time: Duration) -> Result<Option<Value>, RecvTimeoutError> {
        match self.answers.recv_timeout(time) {
            Ok(value) => Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(timeout) => Err(timeout),
        }
    }

    /// The next line; none at the end of the connection.
    pub(crate) fn next(&self) -> Option<Value> {
        let next = self.next_within(PATIENCE);
        next.expect("a line, or the end of the connection")
    }
}

impl Drop for Submitter {
    /// Fails only where the other end is gone already.
    fn drop(&mut self) {
        let _gone_already = self.stream.shutdown(Shutdown::Both);
    }
}

impl Ledger {
    /// A new job.
    pub(crate) fn add(&mut self, id: &str, url: &str, payload: &str) {
        let line = format!("{{\"id\":\"{id}\",\"url\":\"{url}\",\"payload\":{payload}}}\n");
        let entry = Entry {
            line,
            body: Body::new(id, payload.as_bytes()),
            is_acknowledged: false,
            outcome: None,
        };
        let old = self.jobs.insert(id.to_owned(), entry);
        assert!(old.is_none(), "ids are new");
    }

    /// The lines of all jobs that nobody has said to be safe, to be sent again.
    pub(crate) fn unacknowledged(&mut self) -> String {
        self.refusals = 0;
        let jobs = self.jobs.values_mut().filter(|job| !job.is_acknowledged);
        jobs.map(|job| job.line.as_str()).collect()
    }

    /// Conduit said something.
    pub(crate) fn hear(&mut self, value: &Value) {
        let id = value["id"].as_str().expect("every job has an id");
        let job = self.jobs.get_mut(id).expect("a job that was sent");
        let was = (job.is_acknowledged, job.outcome.is_some());
        match value["outcome"].as_str().expect("an outcome") {
            "accepted" => job.is_acknowledged = true,
            "duplicate" => {
                assert_eq!(value["samePayload"], true, "{value}");
                self.duplicates += 1;
                job.is_acknowledged = true;
                if value["known"] == "delivered" {
                    job.outcome = Some("delivered".to_owned());
                }
            }
            "overloaded" => {
                assert!(!was.0, "first accepted, then refused: {value}");
                assert_eq!(value["error"]["kind"], "spool", "{value}");
                self.refused += 1;
                self.refusals += 1;
            }
            outcome => {
                assert!(was.0, "a result before its answer: {value}");
                job.outcome = Some(outcome.to_owned());
            }
        }
        self.acknowledged += usize::from(job.is_acknowledged && !was.0);
        self.ended += usize::from(job.outcome.is_some() && !was.1);
    }

    /// All jobs by their ids.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.jobs.iter().map(|(id, job)| (id.as_str(), job))
    }

    /// How many are known to be safe.
    pub(crate) const fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// How many have a result that the sender was told.
    pub(crate) const fn ended(&self) -> usize {
        self.ended
    }

    /// Whether all have a result, or were refused when they were last sent.
    pub(crate) fn has_all(&self) -> bool {
        self.ended + self.refusals == self.jobs.len()
    }
}

/// A JSON string of about so many bytes, another for each number.
pub(crate) fn payload(number: u64, bytes: usize) -> String {
    let mut text = format!("{number} ");
    while text.len() < bytes {
        let letter = b'a' + ((text.len() as u64 * 7 + number) % 26) as u8;
        text.push(char::from(letter));
    }
    json!(text).to_string()
}
