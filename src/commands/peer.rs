//! The running conduit that a command talks to: where its socket is, questions and answers.
//!
//! Not here: what is asked (`ctl`, `top`), how jobs are sent (`submit`).

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
        })
    }

    /// Waits no longer than this for an answer.
    ///
    /// # Errors
    /// The system's, in one line.
    pub fn set_patience(&mut self, time: Duration) -> Result<(), String> {
        let set = self.stream.get_ref().set_read_timeout(Some(time));
        set.map_err(|error| format!("can't wait for conduit: {error}"))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub fn ask(&mut self, question: &Value) -> Result<Answer, String> {
        let lost = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => "conduit does not answer".to_owned(),
            _ => format!("the connection to conduit was lost: {error}"),
        };
        // Turned away, it may find the peer gone: the reason can still be read.
        let question = format!("{question}\n");
        let written = self.stream.get_mut().write_all(question.as_bytes());
        let mut line = String::new();
        let mut answers = (&mut self.stream).take(ANSWER_BYTES_MAX);
        match answers.read_line(&mut line).map_err(lost)? {
            0 => Err(match written {
                Err(error) => lost(error),
                Ok(()) => "conduit closed the connection without an answer".to_owned(),
            }),
            _ if !line.ends_with('\n') => {
                Err("the connection to conduit was lost in the middle of an answer".to_owned())
            }
            _ => Answer::read(line),
        }
    }
}

impl Answer {
    fn read(line: String) -> Result<Answer, String> {
        let Ok(mut answer) = serde_json::from_str::<Value>(&line) else {
            return Err("conduit's answer is no JSON".to_owned());
        };
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

fn place() -> PathBuf {
    let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    named.map_or_else(|| PathBuf::from(USUAL_PLACE), PathBuf::from)
}
