//! A run with a Unix socket, and clients of it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::conduit::{Finished, Run};
use super::{PATIENCE, TempDir, wait_for};

/// A run whose feed is a socket.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// The run itself; its standard input is open.
    pub(crate) run: Run,
    dir: TempDir,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    lines: BufReader<UnixStream>,
}

impl Daemon {
    /// Starts one that takes connections.
    pub(crate) fn start<S: AsRef<OsStr>>(flags: &[S]) -> Daemon {
        let dir = TempDir::new();
        let path = dir.join("socket");
        let mut all = vec![OsStr::new("--socket"), path.as_os_str()];
        all.extend(flags.iter().map(AsRef::as_ref));
        let run = Run::local(&all);
        wait_until_it_listens(&path);
        Daemon { run, dir }
    }

    /// Where its socket is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// A new client.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.path())
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(self) -> Finished {
        self.run.process().signal("TERM");
        self.run.finish()
    }
}

/// Waits until connections are taken there.
pub(crate) fn wait_until_it_listens(path: &Path) {
    wait_for("the socket", || UnixStream::connect(path).ok());
}

impl Client {
    /// Connects.
    pub(crate) fn connect(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("conduit listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Client {
            lines: BufReader::new(stream),
        }
    }

    /// Sends this, which must fit or be read.
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        let mut stream = self.lines.get_ref();
        stream.write_all(text.as_ref()).expect("conduit reads");
    }

    /// Another handle for writing, for a thread of its own.
    pub(crate) fn writer(&self) -> UnixStream {
        self.lines.get_ref().try_clone().expect("a descriptor")
    }

    /// Sends no more.
    pub(crate) fn end(&mut self) {
        let stream = self.lines.get_ref();
        stream.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Leaves without reading the rest, whoever else holds a handle.
    pub(crate) fn leave(self) {
        let stream = self.lines.get_ref();
        stream.shutdown(Shutdown::Both).expect("it is connected");
    }

    /// The next line; none at the end.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            // Conduit had not read all that was sent.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line: {error}"),
            Ok(_) => Some(serde_json::from_str(&line).expect("a line is JSON")),
        }
    }

    /// The next line as `ID LINE OUTCOME`.
    pub(crate) fn next(&mut self) -> String {
        summary(&self.line().expect("a line"))
    }

    /// So many next lines.
    pub(crate) fn take(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()).collect()
    }

    /// All lines until the end.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line().map(|line| summary(&line))).collect()
    }

    /// Whether the connection has ended without another byte.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.lines.read(&mut [0; 1]), Ok(0))
    }

    /// Sends a question and reads its answer.
    pub(crate) fn ask(&mut self, question: &str) -> Value {
        self.send(format!("{question}\n"));
        self.line().expect("an answer")
    }
}

/// `ID LINE OUTCOME`.
pub(crate) fn summary(value: &Value) -> String {
    let text = |key: &str| value[key].as_str().unwrap_or("-").to_owned();
    format!("{} {} {}", text("id"), value["line"], text("outcome"))
}
