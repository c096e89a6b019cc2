//! SIGTERM, SIGINT and SIGHUP as something to read, beside the sockets of a loop.
//!
//! They are blocked and read from a descriptor (signalfd(2)), so no code runs in a signal handler, and it
//! works as process 1, whose unhandled signals the kernel drops. SIGPIPE is ignored by Rust's own start; SIGXFSZ is
//! blocked and never read, for the write that meets a limit of file sizes tells it as well (EFBIG).
//!
//! Not here: what a signal does (`front`).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::Duration;

use conduit::base::time::Instant;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::io::sys;

/// The signals that ask the process to end. SIGHUP does too where there is no file to read again, unless the process
/// was started to outlive its terminal (nohup(1)).
const SIGNALS: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// SIGHUP's number.
pub const HANGUP: i32 = libc::SIGHUP;

/// `struct signalfd_siginfo`: 128 bytes, the number of the signal in the first four.
const RECORD_BYTES: usize = 128;

/// The signals that ask the process to end, once they have been blocked.
#[derive(Debug)]
pub struct Signals {
    file: File,
}

impl Signals {
    /// Blocks them in this thread and in those it starts from now on: call it before any thread starts. SIGHUP is left
    /// out if it is ignored, unless it only says that something is to be read again (`rereads`).
    ///
    /// # Errors
    /// The system's.
    pub fn block(rereads: bool) -> io::Result<Signals> {
        let mut signals = SIGNALS.to_vec();
        // A blocked signal arrives even if it is ignored.
        if !rereads && sys::is_ignored(libc::SIGHUP)? {
            signals.retain(|signal| *signal != libc::SIGHUP);
        }
        sys::block_signals(&signals)?;
        sys::block_signals(&[libc::SIGXFSZ])?;
        Ok(Signals {
            file: File::from(sys::signal_fd(&signals)?),
        })
    }

    /// Has `registry` report their arrival under `token`.
    ///
    /// # Errors
    /// The system's.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut SourceFd(&self.file.as_raw_fd()),
            token,
            Interest::READABLE,
        )
    }

    /// The number of the next signal that has arrived; `None` when there is no more. Read it to the end after
    /// each event.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&mut self) -> io::Result<Option<i32>> {
        let mut record = [0; RECORD_BYTES];
        loop {
            match self.file.read(&mut record) {
                Ok(RECORD_BYTES) => {
                    let [a, b, c, d, ..] = record;
                    return Ok(Some(i32::from_ne_bytes([a, b, c, d])));
                }
                Ok(n) => {
                    return Err(io::Error::other(format!(
                        "signalfd gave {n} bytes, expected {RECORD_BYTES}"
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A signal so soon after the first is its echo: wrappers such as timeout(1) signal the process, and then its group.
const ECHO: Duration = Duration::from_secs(1);

/// The signals that have asked for the end so far.
#[derive(Debug, Default)]
pub struct Asked {
    first: Option<Instant>,
}

/// What another one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The end, in order.
    First,
    /// Nothing more than the first has said.
    Echo,
    /// The end at once.
    Second,
}

impl Asked {
    /// One has come.
    pub fn judge(&mut self, now: Instant) -> Meaning {
        match self.first {
            None => {
                self.first = Some(now);
                Meaning::First
            }
            Some(first) if now.since(first) < ECHO => Meaning::Echo,
            Some(_) => Meaning::Second,
        }
    }
}

/// The signal's usual name.
#[must_use]
pub const fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        libc::SIGHUP => "SIGHUP",
        _ => "signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f88_signals_are_read_and_do_not_kill() {
        let mut signals = Signals::block(false).unwrap();
        assert_eq!(signals.next().unwrap(), None);
        sys::Thread::this().signal(libc::SIGTERM);
        sys::Thread::this().signal(libc::SIGINT);
        let mut got = [
            signals.next().unwrap().unwrap(),
            signals.next().unwrap().unwrap(),
        ];
        got.sort_unstable();
        assert_eq!(got, [libc::SIGINT, libc::SIGTERM]);
        assert_eq!(signals.next().unwrap(), None);
    }

    #[test]
    fn f97_a_limit_of_file_sizes_does_not_kill() {
        let mut signals = Signals::block(false).unwrap();
        sys::Thread::this().signal(libc::SIGXFSZ);
        assert_eq!(signals.next().unwrap(), None);
    }

    #[test]
    fn f119_the_second_signal_counts_from_one_second_after_the_first() {
        let after = |millis| Instant::default() + Duration::from_millis(millis);
        let mut asked = Asked::default();
        assert_eq!(asked.judge(after(5_000)), Meaning::First);
        for millis in [5_000, 5_001, 5_999] {
            assert_eq!(asked.judge(after(millis)), Meaning::Echo, "{millis}");
        }
        for millis in [6_000, 9_000] {
            assert_eq!(asked.judge(after(millis)), Meaning::Second, "{millis}");
        }
    }

    #[test]
    fn names_are_the_usual_ones() {
        assert_eq!(name(libc::SIGTERM), "SIGTERM");
        assert_eq!(name(libc::SIGINT), "SIGINT");
        assert_eq!(name(libc::SIGHUP), "SIGHUP");
    }
}
