//! One connection of a sink, from the first request to the last byte.
//!
//!   Open --request--> Delaying --answer due--> Open ...
//!     \__________ last answer given __________/--> Closing
//!
//! Without a delay a request is answered where it is read, and all requests of one read are answered in one
//! send. With one, requests are answered one at a time, and what came behind waits in `leftover`. Closing
//! reads on and drops what it reads, so that the answer is not lost to a reset (RFC 9112 section 9.6).
//! At most one timer is armed for a connection.
//!
//! Not here: bytes -> requests (`request`), the loop (`sink`).

use std::io;
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::slab::Key;
use conduit::base::time::Instant;
use conduit::base::wheel::{TimerId, Wheel};

use crate::commands::sink::request::{Persistence, Requests, Step};
use crate::commands::sink::response::{self, Answers};
use crate::commands::sink::stream::Stream;
use crate::commands::sink::tally::{Log, Tally};

/// Reads of one connection before the others have their turn.
const READS_PER_TURN: usize = 16;
/// How long the peer of a closing connection may take to close its side.
const LINGER: Duration = Duration::from_secs(2);

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    requests: Requests,
    state: State,
    leftover: Vec<u8>,
}

/// What all connections of a sink share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The status of every request that is not refused.
    pub(super) status: u16,
    /// That status, rendered.
    pub(super) answers: Answers,
    /// The shortest and the longest time between a request and its answer.
    pub(super) delay: (Duration, Duration),
    /// Draws the delays.
    pub(super) rng: Rng,
    /// Answers due, closings to be cut, listeners to be tried again.
    pub(super) wheel: Wheel<Timer>,
    /// What was seen so far.
    pub(super) tally: Tally,
    /// Where requests are told of, if anywhere.
    pub(super) log: Option<Log>,
    /// Answers being gathered for one send; empty between calls.
    pub(super) out: Vec<u8>,
}

/// Whom a timer wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A connection whose answer is due, or which closes too slowly.
    Connection(Key),
    /// The listener that could not take a connection.
    Listener(usize),
}

/// What the loop does with the connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Wait for its next event or timer.
    Waits,
    /// Go on with it in the next turn: its share of this one is used up.
    Again,
    /// Forget it; its timer, if any, is cancelled.
    Gone,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    Delaying { timer: TimerId, after: Persistence },
    Closing { timer: TimerId },
}

impl Connection {
    /// A connection just accepted.
    pub(super) fn new(stream: Stream, detailed: bool) -> Connection {
        Connection {
            stream,
            requests: Requests::new(detailed),
            state: State::Open,
            leftover: Vec::new(),
        }
    }

    /// The stream, to be registered.
    pub(super) const fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Goes on as far as bytes and answers allow. `Err`: the log cannot be written, so the sink must end;
    /// what goes wrong on the connection itself only ends that.
    pub(super) fn advance(
        &mut self,
        now: Instant,
        key: Key,
        scratch: &mut [u8],
        shared: &mut Shared,
    ) -> io::Result<Fate> {
        for _ in 0..READS_PER_TURN {
            if self.stream.flush().is_err() {
                return Ok(self.give_up(shared));
            }
            if self.stream.is_blocked() {
                return Ok(Fate::Waits);
            }
            match self.state {
                State::Open => {
                    if !self.leftover.is_empty() {
                        let input = std::mem::take(&mut self.leftover);
                        self.take(now, key, &input, shared)?;
                        continue;
                    }
                }
                State::Delaying { .. } => return Ok(Fate::Waits),
                State::Closing { .. } => {}
            }
            match self.stream.read(scratch) {
                Ok(0) => return Ok(self.give_up(shared)),
                Ok(bytes) => self.take(now, key, &scratch[..bytes], shared)?,
                // What a handshake wants to say was queued by the read.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(match self.stream.flush() {
                        Ok(()) => Fate::Waits,
                        Err(_) => self.give_up(shared),
                    });
                }
                Err(_) => return Ok(self.give_up(shared)),
            }
        }
        Ok(Fate::Again)
    }

    /// Its timer has fired: the answer is due, or the peer has taken too long to close.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        key: Key,
        scratch: &mut [u8],
        shared: &mut Shared,
    ) -> io::Result<Fate> {
        match self.state {
            State::Delaying { after, .. } => {
                self.state = State::Open;
                self.answer(after, shared)?;
                self.send(now, key, after, shared);
                self.advance(now, key, scratch, shared)
            }
            State::Closing { .. } => Ok(Fate::Gone),
            State::Open => unreachable!("an open connection has no timer"),
        }
    }

    /// The peer is gone for good, or broke the rules of its layer.
    pub(super) fn give_up(&mut self, shared: &mut Shared) -> Fate {
        match self.state {
            State::Open => shared.tally.cut_short += u64::from(self.requests.is_inside()),
            State::Delaying { timer, .. } => {
                shared.wheel.cancel(timer);
                shared.tally.cut_short += 1;
            }
            State::Closing { timer } => {
                shared.wheel.cancel(timer);
            }
        }
        Fate::Gone
    }

    /// Takes in what was read.
    fn take(
        &mut self,
        now: Instant,
        key: Key,
        mut input: &[u8],
        shared: &mut Shared,
    ) -> io::Result<()> {
        if let State::Closing { .. } = self.state {
            return Ok(());
        }
        let mut after = Persistence::Keep;
        while after != Persistence::Close {
            match self.requests.next(&mut input) {
                Step::More => break,
                Step::Continue => shared.out.extend_from_slice(response::CONTINUE),
                Step::Request(persistence) if shared.has_delay() => {
                    self.leftover = input.to_vec();
                    let due = now + shared.draw_delay();
                    let timer = shared.wheel.arm(due, Timer::Connection(key));
                    self.state = State::Delaying {
                        timer,
                        after: persistence,
                    };
                    break;
                }
                Step::Request(persistence) => {
                    after = persistence;
                    self.answer(after, shared)?;
                }
                Step::Refused { status } => {
                    after = Persistence::Close;
                    let refusal = response::render(status, after);
                    shared.out.extend_from_slice(&refusal);
                    shared.record(&self.requests, status)?;
                }
            }
        }
        self.send(now, key, after, shared);
        Ok(())
    }

    /// Gathers the answer to the request just read.
    fn answer(&mut self, after: Persistence, shared: &mut Shared) -> io::Result<()> {
        shared.out.extend_from_slice(shared.answers.get(after));
        shared.record(&self.requests, shared.status)
    }

    /// Sends what was gathered, and says the end if that was the last answer. An error shows itself again
    /// at the next flush or read.
    fn send(&mut self, now: Instant, key: Key, after: Persistence, shared: &mut Shared) {
        if shared.out.is_empty() {
            return;
        }
        let mut broken = self.stream.send(&shared.out).is_err();
        shared.out.clear();
        if after == Persistence::Close {
            broken |= self.stream.end().is_err();
            let patience = if broken { Duration::ZERO } else { LINGER };
            let timer = shared.wheel.arm(now + patience, Timer::Connection(key));
            self.state = State::Closing { timer };
        }
    }
}

impl Shared {
    const fn has_delay(&self) -> bool {
        !self.delay.1.is_zero()
    }

    /// Any time between the shortest and the longest, all equally likely.
    fn draw_delay(&mut self) -> Duration {
        let (shortest, longest) = self.delay;
        let spread = u64::try_from((longest - shortest).as_nanos()).unwrap_or(u64::MAX - 1);
        shortest + Duration::from_nanos(self.rng.below(spread + 1))
    }

    fn record(&mut self, requests: &Requests, status: u16) -> io::Result<()> {
        self.tally.count(status, requests.body_bytes());
        match &mut self.log {
            Some(log) => log.write(
                requests.id(),
                status,
                requests.body_bytes(),
                requests.crc32(),
            ),
            None => Ok(()),
        }
    }
}
