//! What arrives at this side of a socket: in pieces, together with its end or before it, and what the receiver
//! does when its answer has arrived.

use std::time::Duration;

use conduit::base::time::Instant;
use conduit::engine::event::{CauseKind, Input};

use super::network::{End, Event, Peer, State};
use super::servers::Mode;
use super::servers::answer::What;
use super::wires::cause;
use super::world::World;

/// What is read at once.
struct Read {
    bytes: Vec<u8>,
    end: bool,
    reset: bool,
}

impl World {
    /// One read of what has arrived.
    pub(super) fn deliver(&mut self, end: End) {
        let now = self.mono;
        let Some(read) = self.read(end) else {
            return;
        };
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        if let Some((next, _)) = sock.inbound.front() {
            let next = (*next).max(now);
            self.events.push(next, Event::Delivered(end));
        } else if sock.far.is_answering && !read.end && !read.reset {
            self.on_answered(end);
        }
        if read.reset {
            return self.on_reset(end);
        }
        self.trace.note(
            now,
            end.engine(),
            "received",
            [end.bits, read.bytes.len() as u64],
        );
        let success = self.heard_success(end, read.bytes.len());
        if read.end
            && let Some(sock) = self.sockets[end.engine()].get(end.sock())
        {
            sock.state = State::Ended;
        }
        let input = Input::Received {
            sock: end.sock(),
            bytes: &read.bytes,
            end: read.end,
            more: false,
        };
        self.input(end.engine(), input);
        if let Some((job, status)) = success {
            self.settle();
            self.model.check_delivered(job, status);
        }
    }

    /// Before a request is written to a connection that was idle for long: what has arrived is read first.
    pub(super) fn look(&mut self, end: End) {
        let now = self.mono;
        let sock = self.sockets[end.engine()].get(end.sock());
        if sock.is_some_and(|sock| sock.inbound.front().is_some_and(|(at, _)| *at <= now)) {
            self.deliver(end);
        }
    }

    fn read(&mut self, end: End) -> Option<Read> {
        let now = self.mono;
        let cut = self.dice.chance(self.plan.net.cuts);
        let sock = self.sockets[end.engine()].get(end.sock())?;
        let (at, _) = sock.inbound.front()?;
        if *at > now {
            return None;
        }
        let (_, what) = sock.inbound.pop_front()?;
        let mut read = Read {
            bytes: Vec::new(),
            end: false,
            reset: false,
        };
        match what {
            What::Bytes(mut bytes) => {
                if cut && bytes.len() > 1 {
                    let rest =
                        bytes.split_off(1 + self.dice.below(bytes.len() as u64 - 1) as usize);
                    let later = now + Duration::from_micros(self.dice.below(5_000));
                    sock.inbound.push_front((later, What::Bytes(rest)));
                }
                read.bytes = bytes;
            }
            What::Together(bytes) => read.bytes = bytes,
            What::Unasked(_) if sock.far.is_in_flight => read.bytes = b"\0what?".to_vec(),
            What::Unasked(bytes) => read.bytes = bytes,
            What::Drip(mut bytes, each) => {
                let rest = bytes.split_off(1.min(bytes.len()));
                if !rest.is_empty() {
                    sock.inbound
                        .push_front((now + each, What::Drip(rest, each)));
                }
                read.bytes = bytes;
            }
            What::Fin => read.end = true,
            What::Reset => read.reset = true,
        }
        // The end comes together with the last bytes if it is there.
        if !cut && matches!(sock.inbound.front(), Some((at, What::Fin)) if *at <= now) {
            sock.inbound.pop_front();
            read.end = true;
        }
        Some(read)
    }

    /// So many bytes of an answer arrive: if they complete a 2xx head, whose and which.
    fn heard_success(&mut self, end: End, bytes: usize) -> Option<(u32, u16)> {
        let sock = self.sockets[end.engine()].get(end.sock())?;
        let job = sock.far.request?;
        let (left, status) = sock.far.head.as_mut()?;
        if bytes < *left {
            *left -= bytes;
            return None;
        }
        let status = *status;
        sock.far.head = None;
        if !sock.far.is_answering {
            sock.far.request = None;
        }
        // From here on the attempt may be over: what is left of the answer is drained.
        if std::mem::take(&mut sock.far.is_in_flight)
            && let Peer::Origin(origin) = sock.peer
        {
            self.receivers[origin].in_flight -= 1;
        }
        self.model.on_head_heard(job, status);
        (200..300).contains(&status).then_some((job, status))
    }

    /// The answer has arrived whole: the connection is idle, as far as the receiver knows.
    fn on_answered(&mut self, end: End) {
        let now = self.mono;
        let at = now.since(Instant::from_nanos(0));
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        let Peer::Origin(origin) = sock.peer else {
            return;
        };
        let far = &mut sock.far;
        far.is_answering = false;
        far.is_whole = false;
        if far.head.is_none() {
            far.request = None;
        }
        far.served += 1;
        far.idle_since = Some(now);
        let served = far.served;
        if std::mem::take(&mut far.is_in_flight) {
            self.receivers[origin].in_flight -= 1;
        }
        match self.receivers[origin].mode(at) {
            Mode::StaleClose(millis) => {
                let at = now + Duration::from_millis(millis.into());
                self.events.push(at, Event::Bored { end, served });
            }
            Mode::Hint { seconds, max } => {
                let left = if served >= max { 0 } else { u64::from(seconds) };
                self.events.push(
                    now + Duration::from_secs(left),
                    Event::Bored { end, served },
                );
            }
            Mode::Unsolicited => {
                let after = Duration::from_millis(self.dice.below(200));
                self.events
                    .push(now + after, Event::Unasked { end, served });
            }
            _ => {}
        }
    }

    /// A reset arrives: perhaps a write finds it first, and reading then finds the end.
    fn on_reset(&mut self, end: End) {
        let sock = end.sock();
        let unsent = self.engines[end.engine()].transmit(sock);
        let is_writing = !unsent[0].is_empty() || !unsent[1].is_empty();
        self.trace.note(
            self.mono,
            end.engine(),
            "reset",
            [end.bits, u64::from(is_writing)],
        );
        let untold = self.sockets[end.engine()]
            .get(sock)
            .is_some_and(|sock| sock.is_untold);
        if is_writing && !untold && self.dice.chance(50) {
            self.input(
                end.engine(),
                Input::WriteFailed {
                    sock,
                    cause: cause(CauseKind::Reset),
                },
            );
            self.send(end, Duration::ZERO, What::Reset);
            return;
        }
        if let Some(gone) = self.sockets[end.engine()].remove(sock) {
            self.on_gone(&gone);
        }
        self.input(
            end.engine(),
            Input::Closed {
                sock,
                cause: cause(CauseKind::Reset),
            },
        );
    }
}
