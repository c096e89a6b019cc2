//! One connection to one origin, from dial to close.
//!
//!   Dialing --up--> Idle --request--> Exchanging --answered--> Draining --end of message--> Idle
//!       \______________ any: closed, timeout, unfit for reuse ______________/--> gone
//!
//! Idle implies no unread bytes: a connection whose message is over goes on draining until the shell has
//! read all that had come (what else was there answers nothing, least of all the next request). Exchanging
//! owns exactly one job, and gives it up as soon as its verdict is clear: at the end of the head for a 2xx,
//! else when the excerpt is whole. Draining reads what is left of the response, and sends what is left of
//! the request, for nobody.
//!
//! Methods take facts and return a [`Turn`]; they never call up. Not here: sockets (`io/stream`), which
//! connection a job gets (`pool`), what becomes of the job (`outcome`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::base::wheel::TimerId;
use crate::engine::attempt::{Attempt, Limit};
use crate::engine::close_reason::CloseReason;
use crate::engine::dial::Dial;
use crate::engine::event::{Cause, CauseKind, SockId};
use crate::engine::exchange::{BodyFault, Exchange};
use crate::engine::outcome::{Clock, Fate, Happened, fate_after};
use crate::engine::policy::Endpoint;
use crate::wire::job::{Job, Message};

/// One connection to one origin.
#[derive(Debug)]
pub struct Connection {
    /// Its socket, once TCP is up; before that, its dial has those that race.
    pub sock: Option<SockId>,
    /// Its entry in the wheel, and when that fires: never later than [`Connection::deadline`].
    pub alarm: Option<(TimerId, Instant)>,
    /// Whom it leads to, once it is up.
    pub addr: Option<SocketAddr>,
    state: State,
    /// Why it carries no further request, whatever its clocks say.
    doomed: Option<CloseReason>,
    /// Not reused from then on.
    lifetime_ends: Instant,
    /// Requests begun on it.
    requests: u32,
    /// Further requests that the server will take (`Keep-Alive: max`).
    uses_left: Option<u32>,
    /// How long it may stay idle.
    idle_max: Duration,
    /// The shell may have bytes of it that this has not seen.
    has_unread: bool,
}

/// What the shell has read.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// They are the last.
    pub end: bool,
    /// More may have come.
    pub more: bool,
}

#[derive(Debug)]
enum State {
    Dialing(Dial),
    Idle {
        since: Instant,
        /// How long it may stay so.
        limit: Duration,
    },
    Exchanging {
        job: Box<Job>,
        exchange: Box<Exchange>,
        deadline: Instant,
    },
    Draining {
        exchange: Box<Exchange>,
        message: Message,
        deadline: Instant,
    },
    /// Its attempt has ended, and so has it.
    Closing,
}

/// What follows from something that happened on a connection.
#[derive(Debug)]
pub struct Turn {
    /// An attempt is over.
    pub ended: Option<Ended>,
    /// The connection.
    pub then: Then,
}

/// An attempt that is over.
#[derive(Debug)]
pub struct Ended {
    /// Its job.
    pub job: Box<Job>,
    /// The attempt.
    pub attempt: Attempt,
    /// How it ended.
    pub happened: Happened,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on as it is.
    Wait,
    /// It is free for the next request.
    Release,
    /// It must be closed.
    Close(CloseReason),
}

/// A connection that was idle for longer is looked at before a request is written to it (F04).
const LOOK_AFTER: Duration = Duration::from_secs(1);

impl Connection {
    /// A connection whose dial has begun.
    #[must_use]
    pub fn dialing(dial: Dial) -> Connection {
        Connection {
            sock: None,
            alarm: None,
            addr: None,
            state: State::Dialing(dial),
            doomed: None,
            lifetime_ends: Instant::FAR_FUTURE,
            requests: 0,
            uses_left: None,
            idle_max: Duration::MAX,
            has_unread: false,
        }
    }

    /// It is up: idle from now, and for `lifetime` from now fit for reuse.
    pub fn on_up(&mut self, now: Instant, lifetime: Duration, endpoint: &Endpoint) {
        self.addr = self.dial().and_then(Dial::addr);
        self.idle_max = endpoint.idle_timeout;
        self.lifetime_ends = now + lifetime;
        self.on_idle(now, self.idle_max);
    }

    /// It is free, and nobody waits for it: it may stay so for `learnt`, or less if the server says so.
    pub fn on_idle(&mut self, now: Instant, learnt: Duration) {
        self.state = State::Idle {
            since: now,
            limit: self.idle_max.min(learnt),
        };
    }

    /// Its origin has other settings from now on: they hold for it as if it had come up under them, but for what the
    /// server has said of its idle time. `learnt` is how long it may be idle by the new ones.
    pub fn on_revised(&mut self, before: &Arc<Endpoint>, after: &Endpoint, learnt: Duration) {
        if self.dial().is_some() {
            return;
        }
        let (old, new) = (before.connection_lifetime, after.connection_lifetime);
        self.lifetime_ends = self.lifetime_ends + new.saturating_sub(old) - old.saturating_sub(new);
        self.idle_max = if self.idle_max < before.idle_timeout {
            self.idle_max.min(after.idle_timeout)
        } else {
            after.idle_timeout
        };
        match &mut self.state {
            State::Idle { limit, .. } => *limit = self.idle_max.min(learnt),
            State::Exchanging { exchange, .. } => exchange.on_revised(before),
            State::Dialing(_) | State::Draining { .. } | State::Closing => {}
        }
    }

    /// It carries no further request.
    pub fn doom(&mut self, reason: CloseReason) {
        self.doomed = Some(reason);
    }

    /// TLS begins by the newest settings, whatever an earlier address was secured by.
    pub fn on_secured_anew(&mut self) {
        self.doomed = None;
    }

    /// A request goes out on it. Says whether to look before writing.
    pub fn start(&mut self, now: Instant, job: Box<Job>, exchange: Exchange) -> bool {
        let look = match self.state {
            State::Idle { since, .. } => self.requests > 0 && now.since(since) > LOOK_AFTER,
            _ => false,
        };
        self.requests = self.requests.saturating_add(1);
        self.uses_left = self.uses_left.map(|left| left.saturating_sub(1));
        let deadline = exchange.attempt.deadline;
        self.state = State::Exchanging {
            job,
            exchange: Box::new(exchange),
            deadline,
        };
        look
    }

    /// The shell has taken so many bytes.
    pub fn on_sent(&mut self, now: Instant, bytes: usize) -> Turn {
        match &mut self.state {
            State::Exchanging { exchange, .. } => exchange.on_sent(now, bytes),
            State::Draining { exchange, .. } => {
                exchange.on_sent(now, bytes);
                return Turn::only(self.after_drained());
            }
            State::Dialing(_) | State::Idle { .. } | State::Closing => {
                panic!("bytes sent that were not shown")
            }
        }
        Turn::only(Then::Wait)
    }

    /// Writing failed. What the server sent before may still come: it may be the answer (F07). If this machine is to
    /// blame (F20), no answer is to be waited for.
    pub fn on_write_failed(&mut self, cause: Cause) -> Turn {
        match &mut self.state {
            State::Exchanging { exchange, .. }
                if cause.is_local() && exchange.answer().is_none() =>
            {
                self.end_attempt(Happened::Broken(cause), Then::Close(CloseReason::Reset))
            }
            State::Exchanging { exchange, .. } => {
                exchange.stop_sending();
                Turn::only(Then::Wait)
            }
            State::Draining { .. } => Turn::only(Then::Close(CloseReason::EarlyAnswer)),
            State::Dialing(_) | State::Closing => Turn::only(Then::Wait),
            State::Idle { .. } => Turn::only(Then::Close(CloseReason::PeerClosed)),
        }
    }

    /// Bytes came, or it is clear by now that no more had.
    pub fn on_received(&mut self, now: Instant, endpoint: &Endpoint, came: Bytes<'_>) -> Turn {
        let Bytes { bytes, end, more } = came;
        self.has_unread = more;
        match &mut self.state {
            State::Dialing(_) | State::Closing => Turn::only(Then::Wait),
            // A part of a TLS record may become bytes, when it is too late to tell them from an answer.
            State::Idle { .. } if came.is_any() => {
                Turn::only(Then::Close(closed_while_idle(bytes)))
            }
            State::Idle { .. } => Turn::only(Then::Wait),
            State::Exchanging { exchange, .. } => {
                // The look found bytes that answer nothing, or an end: the request has not begun.
                if !exchange.has_sent() && exchange.reused && !exchange.has_heard() && came.is_any()
                {
                    let then = Then::Close(closed_while_idle(bytes));
                    return self.end_attempt(Happened::Stale { sent: false }, then);
                }
                let was_answered = exchange.answer().is_some();
                if let Err(message) = exchange.on_received(now, endpoint, bytes) {
                    return self.end_attempt(
                        Happened::Malformed(message),
                        Then::Close(CloseReason::Protocol),
                    );
                }
                if end {
                    return self.on_closed(&end_of_stream());
                }
                self.after_received(now, endpoint, was_answered)
            }
            State::Draining { exchange, .. } => {
                // The head is complete, so bytes can no longer be malformed.
                let read = exchange.on_received(now, endpoint, bytes);
                assert!(read.is_ok(), "a body fault is kept, not returned");
                if end {
                    exchange.on_end();
                    return Turn::only(Then::Close(closed_in_body(exchange)));
                }
                Turn::only(self.after_drained())
            }
        }
    }

    /// The connection is gone, or its reading end.
    pub fn on_closed(&mut self, cause: &Cause) -> Turn {
        match &mut self.state {
            State::Dialing(_) => Turn::only(Then::Close(CloseReason::ConnectFailed)),
            State::Closing => Turn::only(Then::Wait),
            State::Idle { .. } => Turn::only(Then::Close(CloseReason::PeerClosed)),
            State::Draining { exchange, .. } => {
                exchange.on_end();
                Turn::only(Then::Close(closed_in_body(exchange)))
            }
            State::Exchanging { exchange, .. } => {
                exchange.on_end();
                if exchange.answer().is_some() {
                    let reason = closed_in_body(exchange);
                    return self.end_answered(Then::Close(reason));
                }
                if exchange.reused && !exchange.has_heard() && cause.kind == CauseKind::Reset {
                    let happened = Happened::Stale {
                        sent: exchange.has_sent(),
                    };
                    return self.end_attempt(happened, Then::Close(CloseReason::Stale));
                }
                let message = match (exchange.has_heard(), exchange.is_sent()) {
                    (true, _) => format!("{cause} in the response head"),
                    (false, true) => format!("{cause} before a response"),
                    (false, false) => format!("{cause} before the request was sent"),
                };
                let cause = Cause {
                    kind: cause.kind,
                    message: message.into_boxed_str(),
                };
                self.end_attempt(Happened::Broken(cause), Then::Close(CloseReason::Reset))
            }
        }
    }

    /// Its deadline has passed.
    pub fn on_deadline(&mut self, now: Instant) -> Turn {
        match &self.state {
            State::Dialing(_) => Turn::only(Then::Close(CloseReason::ConnectTimeout)),
            State::Closing => Turn::only(Then::Wait),
            State::Idle { .. } if now >= self.lifetime_ends => {
                Turn::only(Then::Close(CloseReason::Lifetime))
            }
            State::Idle { .. } => Turn::only(Then::Close(CloseReason::Idle)),
            State::Draining { .. } => Turn::only(Then::Close(CloseReason::Drain)),
            State::Exchanging { exchange, .. } if exchange.answer().is_some() => {
                self.end_answered(Then::Close(CloseReason::Drain))
            }
            State::Exchanging { exchange, .. } => {
                let clock = match exchange.attempt.limit {
                    Limit::Timeout(limit) => Clock::Attempt(limit),
                    Limit::Adaptive(limit) => Clock::Adaptive(limit),
                    Limit::Ttl(left) => Clock::Ttl(left),
                };
                self.end_attempt(Happened::TimedOut(clock), Then::Close(CloseReason::Timeout))
            }
        }
    }

    /// Its deadline passed while this process stood still: what waits for an answer gets until then to read one
    /// that is there already, and is no failure if there is none. Whether it waits for one.
    pub fn excuse(&mut self, until: Instant) -> bool {
        match &mut self.state {
            State::Dialing(dial) => dial.excuse(until),
            State::Exchanging {
                exchange, deadline, ..
            } if exchange.answer().is_none() && !exchange.attempt.excused => {
                exchange.attempt.excused = true;
                *deadline = until;
                true
            }
            State::Idle { .. }
            | State::Exchanging { .. }
            | State::Draining { .. }
            | State::Closing => false,
        }
    }

    /// Gives up the job, if it has one: the process ends.
    pub fn on_abort(&mut self) -> Turn {
        match &self.state {
            State::Exchanging { exchange, .. } => {
                let happened = match exchange.has_sent() {
                    true => Happened::Abandoned,
                    false => Happened::Cancelled,
                };
                self.end_attempt(happened, Then::Close(CloseReason::Shutdown))
            }
            State::Dialing(_) | State::Idle { .. } | State::Draining { .. } | State::Closing => {
                Turn::only(Then::Close(CloseReason::Shutdown))
            }
        }
    }

    /// The bytes to send.
    #[must_use]
    pub fn unsent(&self) -> [&[u8]; 2] {
        match &self.state {
            State::Exchanging { job, exchange, .. } => exchange.unsent(&job.message),
            State::Draining {
                exchange, message, ..
            } => exchange.unsent(message),
            State::Dialing(_) | State::Idle { .. } | State::Closing => [&[], &[]],
        }
    }

    /// When something must have happened on it.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Dialing(dial) => dial.wakes_at(),
            State::Idle { since, limit } => (*since + *limit).min(self.lifetime_ends),
            State::Exchanging { deadline, .. } | State::Draining { deadline, .. } => *deadline,
            State::Closing => Instant::FAR_FUTURE,
        }
    }

    /// Why an idle connection may not carry another request after all.
    #[must_use]
    pub fn unfit(&self, now: Instant) -> Option<CloseReason> {
        if self.doomed.is_some() {
            return self.doomed;
        }
        match self.state {
            State::Idle { since, limit } if now >= since + limit => Some(CloseReason::Idle),
            _ if now >= self.lifetime_ends => Some(CloseReason::Lifetime),
            _ => None,
        }
    }

    /// Why it carries no further request, whatever its clocks say.
    #[must_use]
    pub const fn doomed(&self) -> Option<CloseReason> {
        self.doomed
    }

    /// Its dial, while it is on its way up.
    #[must_use]
    pub fn dial(&self) -> Option<&Dial> {
        match &self.state {
            State::Dialing(dial) => Some(dial),
            State::Idle { .. }
            | State::Exchanging { .. }
            | State::Draining { .. }
            | State::Closing => None,
        }
    }

    /// Its dial, while it is on its way up.
    pub fn dial_mut(&mut self) -> Option<&mut Dial> {
        match &mut self.state {
            State::Dialing(dial) => Some(dial),
            State::Idle { .. }
            | State::Exchanging { .. }
            | State::Draining { .. }
            | State::Closing => None,
        }
    }

    /// All of its sockets.
    pub fn socks(&self) -> impl Iterator<Item = SockId> {
        let racers = self.dial().into_iter().flat_map(Dial::racers);
        self.sock.into_iter().chain(racers)
    }

    /// Since when it is idle, if it is.
    #[must_use]
    pub const fn idle_since(&self) -> Option<Instant> {
        match &self.state {
            State::Idle { since, .. } => Some(*since),
            State::Dialing(_)
            | State::Exchanging { .. }
            | State::Draining { .. }
            | State::Closing => None,
        }
    }

    /// Whether a job is on it.
    #[must_use]
    pub const fn is_exchanging(&self) -> bool {
        matches!(self.state, State::Exchanging { .. })
    }

    /// The job that is on it.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        match &self.state {
            State::Exchanging { job, .. } => Some(job),
            State::Dialing(_) | State::Idle { .. } | State::Draining { .. } | State::Closing => {
                None
            }
        }
    }

    /// Panics if it could carry a request while bytes are unread: for tests.
    pub fn check_invariants(&self) {
        let is_idle = self.idle_since().is_some() && self.is_used();
        assert!(!is_idle || !self.has_unread, "unread bytes while idle");
    }

    /// Whether it has carried a request.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.requests > 0
    }

    /// The response has grown: is the verdict clear, is the message over? `was_answered`: the head was there before.
    fn after_received(&mut self, now: Instant, endpoint: &Endpoint, was_answered: bool) -> Turn {
        let State::Exchanging {
            exchange, deadline, ..
        } = &mut self.state
        else {
            unreachable!("called while exchanging")
        };
        let Some(answer) = exchange.answer().copied() else {
            return Turn::only(Then::Wait);
        };
        let success = (200..300).contains(&answer.status);
        if !success {
            exchange.stop_sending();
        }
        // An early 2xx: the rest of the request still has its attempt's time (RFC 9110 section 7.5). Any other response
        // has this much from its head on, however its body drips (F45).
        if !was_answered && (!success || exchange.is_sent()) {
            *deadline = now + endpoint.drain_timeout;
        }
        if success || exchange.has_excerpt() {
            let mut turn = self.end_answered(Then::Wait);
            turn.then = self.after_drained();
            return turn;
        }
        Turn::only(Then::Wait)
    }

    /// Draining: is the connection free, or unfit for more?
    fn after_drained(&mut self) -> Then {
        let State::Draining { exchange, .. } = &self.state else {
            unreachable!("called while draining")
        };
        let answer = *exchange
            .answer()
            .expect("a job leaves for draining with its answer");
        if let Some(fault) = exchange.fault() {
            return Then::Close(match fault {
                BodyFault::Framing => CloseReason::Body,
                BodyFault::Surplus => CloseReason::Desync,
                BodyFault::TooLong => CloseReason::Drain,
            });
        }
        if fate_after(answer.status) == Fate::Close {
            return Then::Close(CloseReason::Status);
        }
        if exchange.is_cut() {
            return Then::Close(CloseReason::EarlyAnswer);
        }
        if !exchange.is_over() {
            return Then::Wait;
        }
        if let Some(unfit) = answer.unfit {
            return Then::Close(CloseReason::Unfit(unfit));
        }
        if !exchange.is_sent() {
            return Then::Wait;
        }
        if exchange.answered_early() {
            return Then::Close(CloseReason::EarlyAnswer);
        }
        if self.has_unread {
            return Then::Wait;
        }
        self.heed_hints(answer.idle_hint, answer.uses_left)
    }

    /// Keep-alive hints shorten what is ours, never lengthen it (F15).
    fn heed_hints(&mut self, idle_hint: Option<Duration>, uses_left: Option<u32>) -> Then {
        if let Some(hint) = idle_hint {
            // The server's clock started before ours: one second less than it says.
            let fit = hint.saturating_sub(Duration::from_secs(1));
            if fit.is_zero() {
                return Then::Close(CloseReason::Idle);
            }
            self.idle_max = self.idle_max.min(fit);
        }
        if let Some(uses) = uses_left {
            self.uses_left = Some(self.uses_left.map_or(uses, |left| left.min(uses)));
        }
        if self.uses_left == Some(0) {
            return Then::Close(CloseReason::MaxRequests);
        }
        Then::Release
    }

    /// The job leaves with its answer; what is left of request and response stays, and the time for it.
    fn end_answered(&mut self, then: Then) -> Turn {
        let State::Exchanging {
            mut job,
            mut exchange,
            deadline,
        } = self.take_state()
        else {
            unreachable!("only an exchange has an answer")
        };
        let answer = exchange.answer().copied();
        let answer = answer.expect("only an exchange with an answer is answered");
        let happened = Happened::Answered {
            status: answer.status,
            excerpt: exchange.take_excerpt(),
            sent_with: exchange.sent_with(),
            retry_after: answer.retry_after,
        };
        job.progress.timings.first_byte = exchange.first_byte();
        let attempt = exchange.attempt;
        // The rest of an early 2xx's request; any other job may need its message again, also where its answer and the
        // connection's end came in one read.
        let delivered = (200..300).contains(&answer.status);
        let message = if delivered && exchange.is_sending() {
            job.message.give_away()
        } else {
            Message::default()
        };
        self.state = State::Draining {
            exchange,
            message,
            deadline,
        };
        Turn {
            ended: Some(Ended {
                job,
                attempt,
                happened,
            }),
            then,
        }
    }

    /// The attempt is over without an answer.
    fn end_attempt(&mut self, happened: Happened, then: Then) -> Turn {
        let State::Exchanging {
            mut job, exchange, ..
        } = self.take_state()
        else {
            unreachable!("only an exchange has an attempt")
        };
        job.progress.timings.first_byte = exchange.first_byte();
        Turn {
            ended: Some(Ended {
                job,
                attempt: exchange.attempt,
                happened,
            }),
            then,
        }
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closing)
    }
}

impl Bytes<'_> {
    /// Something came, or may have.
    const fn is_any(&self) -> bool {
        !self.bytes.is_empty() || self.end || self.more
    }
}

impl Turn {
    const fn only(then: Then) -> Turn {
        Turn { ended: None, then }
    }
}

fn end_of_stream() -> Cause {
    Cause {
        kind: CauseKind::Reset,
        message: "the server closed the connection".into(),
    }
}

/// Why an idle connection on which bytes or an end have come is closed. With a 408 some servers say aloud that they do
/// so themselves (F48); anything else answers nothing.
fn closed_while_idle(bytes: &[u8]) -> CloseReason {
    if bytes.is_empty()
        || bytes.starts_with(b"HTTP/1.1 408 ")
        || bytes.starts_with(b"HTTP/1.0 408 ")
    {
        CloseReason::PeerClosed
    } else {
        CloseReason::Unsolicited
    }
}

/// Why a connection whose peer has closed its side ends, once the head was read.
fn closed_in_body(exchange: &Exchange) -> CloseReason {
    match (
        exchange.fault(),
        exchange.answer().and_then(|answer| answer.unfit),
    ) {
        (Some(BodyFault::Surplus), _) => CloseReason::Desync,
        (Some(BodyFault::TooLong), _) => CloseReason::Drain,
        (Some(BodyFault::Framing), _) => CloseReason::Body,
        (None, Some(unfit)) => CloseReason::Unfit(unfit),
        (None, None) => CloseReason::PeerClosed,
    }
}
