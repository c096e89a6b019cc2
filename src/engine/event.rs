//! The engine's vocabulary: everything that can happen to it, and everything it can ask for.
//!
//! Only ids, bytes, addresses and time cross this line. [`SockId`] names a socket of the shell; an input with
//! a stale generation is counted and ignored. Outputs stay small: a job and a note travel boxed.
//!
//! Not here: what performs the outputs (`io/turn`, `tests/sim`).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::Instant;
use crate::engine::policy::{Endpoint, KeepAlive, Policy, TlsProfile};
use crate::wire::endpoint_row::Rows;
use crate::wire::job::Job;
use crate::wire::names::Names;
use crate::wire::report::{Ending, ErrorKind, Outcome};
use crate::wire::spool::{Attempt, JobKey};
use crate::wire::tally::Tally;
use crate::wire::url::Origin;

/// A socket's name: the shell indexes its streams by [`Key::index`] and packs the whole into a mio `Token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SockId(pub Key);

/// What the world tells the engine.
#[derive(Debug)]
pub enum Input<'a> {
    /// A job to deliver. Exactly one [`Output::Done`] or [`Output::Postponed`] will give it back. One that was tried
    /// before goes on where it stopped: its next attempt begins when `progress.due` says.
    Job(Box<Job>),
    /// TCP is up.
    Connected {
        /// The socket of an [`Output::Connect`].
        sock: SockId,
    },
    /// TLS is up, the certificate verified.
    Secured {
        /// The socket of an [`Output::Secure`].
        sock: SockId,
        /// The session was resumed (RFC 8446 section 2.2).
        resumed: bool,
    },
    /// TCP or TLS did not come up. The shell has closed the socket and forgotten it.
    ConnectFailed {
        /// The socket of an [`Output::Connect`].
        sock: SockId,
        /// Why.
        cause: Cause,
    },
    /// So many of the bytes that [`super::Engine::transmit`] showed have been taken.
    Sent {
        /// The socket.
        sock: SockId,
        /// How many.
        bytes: usize,
    },
    /// Writing failed; what the peer sent before may still be read, so the socket stays.
    WriteFailed {
        /// The socket.
        sock: SockId,
        /// Why.
        cause: Cause,
    },
    /// Plaintext from the peer.
    Received {
        /// The socket.
        sock: SockId,
        /// The bytes, consumed whole; may be empty at the end.
        bytes: &'a [u8],
        /// These are the last: the peer has closed its side.
        end: bool,
        /// More may have come than these: another of these inputs follows, if only to say that nothing had.
        more: bool,
    },
    /// The connection broke. The shell has closed the socket and forgotten it.
    Closed {
        /// The socket.
        sock: SockId,
        /// Why.
        cause: Cause,
    },
    /// A datagram from the name server of an [`Output::Query`].
    Answer {
        /// The socket.
        sock: SockId,
        /// The DNS message.
        message: &'a [u8],
    },
    /// `/etc/hosts` and `/etc/resolv.conf`, read anew.
    Names(Arc<Names>),
    /// New settings, checked whole.
    Policy(Arc<Policy>),
    /// Other settings of one origin, until the next [`Input::Policy`], which has them.
    Own {
        /// Whose.
        origin: Arc<Origin>,
        /// What it obeys.
        endpoint: Arc<Endpoint>,
    },
    /// How do some of the origins stand? Answered by one [`Output::Rows`].
    Ask {
        /// The slot to begin at: 0, then what the last answer said.
        from: u32,
    },
    /// Somebody wants the breaker of an origin otherwise, which may not be known yet.
    Breaker {
        /// Whose.
        origin: Arc<Origin>,
        /// What it is to do.
        order: BreakerOrder,
    },
    /// Finish what is in flight, start nothing; what waits ends `cancelled`.
    Drain,
    /// Cut what is left.
    Abort,
}

/// What somebody wants of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerOrder {
    /// It closes; attempts begun before no longer vote.
    Reset,
    /// It is open, without a probe, until it is reset.
    Isolate,
}

/// What the engine asks of the world. Performed in order, all of them, before the next input.
#[derive(Debug)]
pub enum Output {
    /// Open a TCP connection to exactly this address: a receiver's, or a name server's for a query over TCP.
    Connect {
        /// The new socket.
        sock: SockId,
        /// Where to.
        addr: SocketAddr,
        /// How it is noticed that whoever is there is gone.
        keep_alive: KeepAlive,
    },
    /// Start TLS on a connected socket.
    Secure {
        /// The socket.
        sock: SockId,
        /// The origin: its host is the name to verify.
        origin: Arc<Origin>,
        /// With which client certificate, if any.
        profile: TlsProfile,
    },
    /// There are bytes to send: pull them with [`super::Engine::transmit`].
    Transmit {
        /// The socket.
        sock: SockId,
        /// Read once before writing: the connection was idle for long (F04). If that yields bytes or an end,
        /// hand them in and write only what `transmit` then still shows.
        look: bool,
    },
    /// Close the socket, with close_notify under TLS, and forget it.
    Close {
        /// The socket.
        sock: SockId,
    },
    /// Open a UDP socket to this name server, from a port of the kernel's choice, and send what
    /// [`super::Engine::transmit`] shows as one datagram.
    Query {
        /// The new socket.
        sock: SockId,
        /// The name server.
        server: SocketAddr,
    },
    /// The job is over: the value comes back with its ending.
    Done {
        /// The very job that came in.
        job: Box<Job>,
        /// How it ended.
        ending: Ending,
    },
    /// A job that is in the spool waits for another attempt: what a later start must know of it.
    Attempted {
        /// Which.
        key: JobKey,
        /// How far it is.
        attempt: Box<Attempt>,
    },
    /// A job that is in the spool leaves until its next attempt is due (`progress.due`), for that is long: it is to be
    /// handed in again then, with its `progress`. It has not ended.
    Postponed {
        /// The very job that came in.
        job: Box<Job>,
    },
    /// An origin has nothing left and was forgotten.
    OriginRetired {
        /// Which.
        origin: Arc<Origin>,
        /// The slot that it had: who asks for rows knows by it whether it was told of already.
        slot: u32,
        /// What was counted there.
        tally: Box<Tally>,
    },
    /// An origin's breaker has opened, or closed again.
    Origin {
        /// Whose.
        origin: Arc<Origin>,
        /// It is open: jobs are held back, but for a probe now and then.
        held: bool,
    },
    /// The engine's hunger has changed (at most one a call of `handle_input`, the newest counts).
    Appetite(Appetite),
    /// How some of the origins stand, as [`Input::Ask`] asks.
    Rows(Box<Rows>),
    /// Something worth a log line.
    Note(Box<Note>),
    /// A connection was closed: so many are, that this is no [`Note`] of its own on the heap.
    ConnectionClosed {
        /// Of which origin.
        origin: Arc<Origin>,
        /// Why: the stable name that metrics use.
        reason: &'static str,
    },
}

/// How much work an engine could do, and has: what decides how far the feed is read ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appetite {
    /// Jobs that could run now and wait for a connection.
    pub waiting: u32,
    /// Connections with a request on them, or on their way up.
    pub busy: u32,
    /// Jobs that wait for a breaker to close, a hold to end, load to come back, or `rateLimit`.
    pub held: u32,
    /// Jobs that wait for the time of their next attempt.
    pub later: u32,
    /// When the first of those two may go on.
    pub next: Option<Instant>,
}

/// Why something failed, sorted by whose trouble it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Whose trouble.
    pub kind: CauseKind,
    /// In words, lower case: the system's or the TLS library's own message.
    pub message: Box<str>,
}

/// Whose trouble a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// Nobody listens: ECONNREFUSED.
    Refused,
    /// No way there: EHOSTUNREACH.
    Unreachable,
    /// No way there from this machine: ENETUNREACH, EAFNOSUPPORT, EADDRNOTAVAIL. Without IPv6, each IPv6 address
    /// fails so; if all of a receiver's do, it is this machine's trouble.
    NoNetwork,
    /// The peer ended or reset the connection: EOF, ECONNRESET, EPIPE.
    Reset,
    /// The TLS handshake failed, or a record was bad.
    Tls,
    /// Descriptors or memory of this machine: EMFILE, ENFILE, ENOBUFS, ENOMEM.
    Local,
    /// It would have led to this process's own listener: a rule of the guard that only the shell can judge
    /// (`guard::Rule::OwnListener`, whose words the message has).
    Own,
    /// Any other error of the system.
    Other,
}

/// Something worth a log line. The shell renders it, in one place.
#[derive(Debug)]
pub enum Note {
    /// An attempt failed.
    AttemptFailed {
        /// The job's id.
        id: Box<str>,
        /// Where it went.
        origin: Arc<Origin>,
        /// Which attempt, from 1.
        attempt: u32,
        /// The failure's stable name.
        kind: ErrorKind,
        /// The failure in words.
        message: Box<str>,
        /// The status, 0 if there was none.
        status: u16,
        /// From the attempt's start.
        elapsed: Duration,
        /// What happens next.
        next: Next,
        /// It becomes a dead letter, which is told of as such.
        is_dead: bool,
    },
    /// This machine's own trouble puts jobs off: told at once, then once a minute.
    LocalTrouble {
        /// Where the last of them would have gone.
        origin: Arc<Origin>,
        /// What the trouble is, in words.
        message: Box<str>,
        /// How many times a job was put off since this was last told.
        put_off: u64,
    },
    /// This process stood still for so long: deadlines that fell due meanwhile are put off.
    StoodStill {
        /// Past the asked wake-up.
        late: Duration,
    },
    /// An origin's breaker has opened, or closed again.
    Breaker {
        /// Whose.
        origin: Arc<Origin>,
        /// How long it stays open; none: it has closed.
        open_for: Option<Duration>,
    },
    /// Somebody has an origin's breaker open until it is reset.
    Isolated {
        /// Whose.
        origin: Arc<Origin>,
    },
    /// A receiver has asked to be left alone (`Retry-After`).
    Held {
        /// Which.
        origin: Arc<Origin>,
        /// No attempt begins there for so long.
        delay: Duration,
    },
    /// The guard refused a destination.
    Refused {
        /// The job's id.
        id: Box<str>,
        /// Where it would have gone.
        origin: Arc<Origin>,
        /// The forbidden address, where it came to that.
        addr: Option<IpAddr>,
        /// Which rule, and the flag that would allow it.
        rule: Box<str>,
    },
}

/// What happens next to a job whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is due again after so long.
    Retry(Duration),
    /// It has ended.
    Ended(Outcome),
}

impl Input<'_> {
    /// The socket that it is about, if it is about one.
    #[must_use]
    pub const fn sock(&self) -> Option<SockId> {
        match self {
            Input::Connected { sock }
            | Input::Secured { sock, .. }
            | Input::ConnectFailed { sock, .. }
            | Input::Sent { sock, .. }
            | Input::WriteFailed { sock, .. }
            | Input::Received { sock, .. }
            | Input::Closed { sock, .. }
            | Input::Answer { sock, .. } => Some(*sock),
            Input::Job(_)
            | Input::Names(_)
            | Input::Policy(_)
            | Input::Own { .. }
            | Input::Ask { .. }
            | Input::Breaker { .. }
            | Input::Drain
            | Input::Abort => None,
        }
    }
}

impl SockId {
    /// One number for the pair, never `u64::MAX`.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// The inverse of [`SockId::to_bits`].
    #[must_use]
    pub fn from_bits(bits: u64) -> SockId {
        SockId(Key::from_bits(bits))
    }
}

impl Cause {
    /// Whether this machine has not what a socket takes.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.kind == CauseKind::Local
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_stay_small() {
        assert!(
            size_of::<Output>() <= 64,
            "an output is {} bytes",
            size_of::<Output>()
        );
    }
}
