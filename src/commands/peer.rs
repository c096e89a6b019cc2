//! The running conduit that a command talks to: where its socket is, questions and answers.
//!
//! Not here: what is asked (`ctl`, `top`), how jobs are sent (`submit`).

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::io::log::quoted;

/// Where conduit listens if nobody says otherwise.
const USUAL_PLACE: &str = "/run/conduit/conduit.sock";

/// Names the place for the commands that talk to it; the one that listens has a setting.
const VARIABLE: &str = "CONDUIT_SOCKET";

/// An answer is not longer than this.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A conduit that answers questions.
#[derive(Debug)]
pub struct Peer {
    stream: BufReader<UnixStream>,
    /// What has come of an answer.
    part: Vec<u8>,
    /// Why the last question could not be sent.
    unsent: Option<io::Error>,
}

/// What it said.
#[derive(Debug)]
pub struct Answer {
    /// The line as it came, its end included.
    pub line: String,
    /// What it means: `data`, or why it was refused.
    pub data: Result<Value, String>,
}

/// Connects to the conduit that the command line, else the environment names.
///
/// # Errors
/// Why not, in one line.
pub fn connect(given: Option<&Path>) -> Result<UnixStream, String> {
    let path = given.map_or_else(place, Path::to_owned);
    UnixStream::connect(&path).map_err(|error| {
        let path = quoted(&path.to_string_lossy());
        format!("can't connect to conduit at {path}: {error} (--socket, {VARIABLE})")
    })
}

impl Peer {
    /// As [`connect`].
    ///
    /// # Errors
    /// Why not, in one line.
    pub fn connect(given: Option<&Path>) -> Result<Peer, String> {
        Ok(Peer {
            stream: BufReader::new(connect(given)?),
            part: Vec::new(),
            unsent: None,
        })
    }

    /// Has [`Peer::receive`] give back at once what has come, whole or not: for who waits for other things too.
    ///
    /// # Errors
    /// The system's, in one line.
    pub fn set_nonblocking(&self) -> Result<(), String> {
        let set = self.stream.get_ref().set_nonblocking(true);
        set.map_err(|error| format!("can't wait for conduit: {error}"))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub fn ask(&mut self, question: &Value) -> Result<Answer, String> {
        self.send(question);
        let answer = self.receive()?;
        answer.ok_or_else(|| "conduit does not answer".to_owned())
    }

    /// Asks.
    pub fn send(&mut self, question: &Value) {
        let question = format!("{question}\n");
        // Turned away, it may find the peer gone: the reason can still be read.
        self.unsent = self.stream.get_mut().write_all(question.as_bytes()).err();
    }

    /// The answer; nothing if the whole of it is still to come.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub fn receive(&mut self) -> Result<Option<Answer>, String> {
        let left = ANSWER_BYTES_MAX.saturating_sub(self.part.len() as u64);
        let mut answers = (&mut self.stream).take(left);
        match answers.read_until(b'\n', &mut self.part) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            read => read.map_err(|error| lost(&error))?,
        };
        let line = std::mem::take(&mut self.part);
        match (line.last(), self.unsent.take()) {
            (Some(b'\n'), _) => Answer::read(line).map(Some),
            (Some(_), _) => {
                Err("the connection to conduit was lost in the middle of an answer".to_owned())
            }
            (None, Some(error)) => Err(lost(&error)),
            (None, None) => Err("conduit closed the connection".to_owned()),
        }
    }
}

impl AsRawFd for Peer {
    /// Readable when something of an answer has come.
    fn as_raw_fd(&self) -> RawFd {
        self.stream.get_ref().as_raw_fd()
    }
}

impl Answer {
    fn read(line: Vec<u8>) -> Result<Answer, String> {
        let no_json = || "conduit's answer is no JSON".to_owned();
        let line = String::from_utf8(line).map_err(|_| no_json())?;
        let mut answer: Value = serde_json::from_str(&line).map_err(|_| no_json())?;
        let data = match answer["ok"] == true {
            true => Ok(answer["data"].take()),
            false => {
                let message = answer["error"]["message"].as_str();
                Err(message.unwrap_or("no reason").to_owned())
            }
        };
        Ok(Answer { line, data })
    }
}

fn lost(error: &io::Error) -> String {
    format!("the connection to conduit was lost: {error}")
}

fn place() -> PathBuf {
    let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from(USUAL_PLACE), PathBuf::from)
}
