//! One connection of the admin listener: what it has sent, what it is sent, and how long it may take for that.
//!
//! Not here: what it is answered, and when it is its turn (`admin`).

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::wire::admin::{self, HEAD_BYTES_MAX, Parsed};
use mio::net::TcpStream;

/// What a client has to send a request, and to take some more of an answer.
pub(super) const STALL_MAX: Duration = Duration::from_secs(5);

/// What it has to take an answer, however it goes on.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long a connection may be without a request.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// How long a client that is sent away may take to notice.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of one call.
const READ_BYTES: usize = 4 * 1024;

/// A connection of the listener.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: u64,
    pub(super) stream: TcpStream,
    pub(super) input: Vec<u8>,
    pub(super) stage: Stage,
    /// When it came to this stage.
    pub(super) since: Instant,
    /// When it last got on there.
    pub(super) moved: Instant,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    pub(super) is_queued: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    Reading,
    Waiting,
    Writing {
        head: Vec<u8>,
        body: Rc<Vec<u8>>,
        written: usize,
        closes: bool,
    },
    /// All is said; what it still sends is read, so that it gets to read the answer.
    Lingering,
}

/// What a peer is to be after a call.
pub(super) enum Next {
    /// As it is; and whether it may have more to do at once.
    Stay(bool),
    Close,
}

impl Peer {
    /// Bytes of its answer that are not sent yet.
    pub(super) fn unsent(&self) -> usize {
        match &self.stage {
            Stage::Writing {
                head,
                body,
                written,
                ..
            } => head.len() + body.len() - written,
            Stage::Reading | Stage::Waiting | Stage::Lingering => 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Reading) && self.input.is_empty()
    }

    pub(super) fn reads(&self, page: &Weak<Vec<u8>>) -> bool {
        matches!(&self.stage, Stage::Writing { body, .. } if Rc::as_ptr(body) == page.as_ptr())
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Reading if self.input.is_empty() => self.since + IDLE_MAX,
            Stage::Reading => self.since + STALL_MAX,
            Stage::Waiting => Instant::FAR_FUTURE,
            Stage::Writing { .. } => (self.moved + STALL_MAX).min(self.since + ANSWER_MAX),
            Stage::Lingering => self.since + LINGER,
        }
    }

    pub(super) fn enter(&mut self, now: Instant, stage: Stage) {
        self.stage = stage;
        (self.since, self.moved) = (now, now);
    }

    /// The request at the front of what was read, which is then gone; none if there is no whole one.
    pub(super) fn parse(&mut self, on_loopback: bool) -> Option<Parsed> {
        let parsed = admin::parse(&self.input, on_loopback);
        match parsed {
            Parsed::Partial => return None,
            Parsed::Request { bytes, .. } => _ = self.input.drain(..bytes),
            Parsed::Refused { .. } => self.input.clear(),
        }
        Some(parsed)
    }

    pub(super) fn read(&mut self, now: Instant) -> Next {
        if !self.is_readable {
            return Next::Stay(false);
        }
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => Next::Close,
            Ok(bytes) => {
                if self.input.is_empty() {
                    self.since = now;
                }
                self.input.extend_from_slice(&buffer[..bytes]);
                debug_assert!(self.input.len() <= HEAD_BYTES_MAX + READ_BYTES);
                Next::Stay(true)
            }
            Err(error) => after_error(&error, &mut self.is_readable),
        }
    }

    pub(super) fn write(&mut self, now: Instant, room: &mut usize) -> Next {
        let Stage::Writing {
            head,
            body,
            written,
            closes,
        } = &mut self.stage
        else {
            unreachable!("only a writer writes")
        };
        if !self.is_writable {
            return Next::Stay(false);
        }
        let rest = match head.get(*written..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => &body[*written - head.len()..],
        };
        let some = &rest[..rest.len().min(*room)];
        match self.stream.write(some) {
            Ok(bytes) => {
                *room -= bytes;
                *written += bytes;
                self.moved = now;
                if *written < head.len() + body.len() {
                    return Next::Stay(true);
                }
                if !*closes {
                    self.enter(now, Stage::Reading);
                    return Next::Stay(true);
                }
                // It may be gone already.
                if self.stream.shutdown(Shutdown::Write).is_err() {
                    return Next::Close;
                }
                self.enter(now, Stage::Lingering);
                Next::Stay(true)
            }
            Err(error) => after_error(&error, &mut self.is_writable),
        }
    }

    pub(super) fn linger(&mut self) -> Next {
        if !self.is_readable {
            return Next::Stay(false);
        }
        match self.stream.read(&mut [0; READ_BYTES]) {
            Ok(0) => Next::Close,
            Ok(_) => Next::Stay(true),
            Err(error) => after_error(&error, &mut self.is_readable),
        }
    }
}

fn after_error(error: &io::Error, is_possible: &mut bool) -> Next {
    match error.kind() {
        ErrorKind::WouldBlock => {
            *is_possible = false;
            Next::Stay(false)
        }
        ErrorKind::Interrupted => Next::Stay(true),
        _ => Next::Close,
    }
}
