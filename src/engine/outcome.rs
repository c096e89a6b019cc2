//! From what happened to an attempt to what follows from it, in one table.
//!
//! An attempt has four separate results, and most faults of webhook senders come from merging them: the job's
//! [`Verdict`], the breaker's [`Vote`], the connection's [`Fate`] and the [`Accounting`] of the attempt.
//! [`judge`] gives all four; nothing else in the engine decides them. Beside them, what an attempt says of its
//! receiver's load is its [`Strain`].
//!
//! Not here: whether a connection that may be kept can be (`exchange`), when a retry is due (`backoff`).

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Instant, Wall};
use crate::engine::attempt::Attempt;
use crate::engine::event::{Cause, CauseKind};
use crate::engine::policy::{Endpoint, Statuses};
use crate::wire::job_error::JobError;
use crate::wire::report::{ErrorKind, Failure};
use crate::wire::response::RetryAfter;
use crate::wire::tally::AttemptEnd;

/// What happened to an attempt.
#[derive(Debug)]
pub enum Happened {
    /// A final response head came, and of a non-2xx answer the first bytes of its body, if they are to be shown.
    Answered {
        /// 100–999.
        status: u16,
        /// None for a 2xx.
        excerpt: Option<Vec<u8>>,
        /// The settings that the request was written by, where they hold no more.
        sent_with: Option<Arc<Endpoint>>,
        /// When it asks to be tried again.
        retry_after: Option<RetryAfter>,
    },
    /// A clock ran out.
    TimedOut(Clock),
    /// A clock ran out while this process stood still.
    Paused,
    /// The breaker is open, and jobs are not to wait.
    CircuitOpen,
    /// The job's time to live ended while it waited, before any attempt.
    Expired {
        /// The time to live.
        ttl: Duration,
        /// What it waited for.
        waited_for: Option<Box<str>>,
    },
    /// The name does not exist or has no address.
    NoAddress {
        /// In words.
        message: Box<str>,
        /// When the name servers said so; none if nobody was asked.
        told: Option<Instant>,
    },
    /// The same by an answer that has ended other attempts before, and has had its vote.
    SameAbsence(Box<str>),
    /// No name server could say.
    Unresolved(Box<str>),
    /// It would have to be signed, and has a dot in its id.
    Dotted,
    /// The guard refused every address, the port or the scheme.
    Forbidden,
    /// No TCP connection, or no TLS session.
    ConnectFailed(Cause),
    /// The connection died before a final response head.
    Broken(Cause),
    /// A reused connection died before the first response byte.
    Stale {
        /// Some of the request had been sent.
        sent: bool,
    },
    /// What came back is not HTTP/1.1.
    Malformed(Box<str>),
    /// Shut down.
    Cancelled,
    /// Shut down when some of the request had been sent, and no answer had come.
    Abandoned,
}

/// The clocks that can end an attempt, and what they were waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// `connectTimeout`, while the name was looked up.
    Lookup(Duration),
    /// `connectTimeout`, while TCP to this address came up.
    Connect(Duration, SocketAddr),
    /// `connectTimeout`, in the TLS handshake with this address.
    Handshake(Duration, SocketAddr),
    /// `timeout`, while the name was looked up.
    AttemptLookup(Duration),
    /// `timeout`, before the attempt had a connection.
    AttemptConnecting(Duration),
    /// `timeout`, before the end of the response head.
    Attempt(Duration),
    /// What `adaptiveTimeout` makes of it, before the end of the response head.
    Adaptive(Duration),
    /// The same, where an attempt that begins now would have more time: it says nothing of the receiver's health.
    Outgrown(Duration),
    /// What was left of `ttl`, before the end of the response head.
    Ttl(Duration),
    /// The same, where waiting had left so little that it says nothing of the receiver.
    ScantTtl(Duration),
}

/// What becomes of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Delivered,
    /// It will never be.
    Rejected,
    /// Again later, if the schedule has a later.
    Retry,
    /// Again now, on a fresh connection.
    Resend,
    /// Again when this machine's trouble is over.
    Deferred,
    /// Not again, whatever the schedule says.
    GivenUp,
    /// Policy forbids it.
    Blocked,
    /// Its time is over.
    Expired,
    /// The process ends first.
    Cancelled,
}

/// What the attempt says of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// It is in trouble.
    Failure,
    /// It answers.
    Success,
    /// Nothing.
    Neutral,
}

/// Whether the connection may carry another request, as far as the answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// If its framing allows it.
    Keep,
    /// In no case.
    Close,
}

/// Whether the attempt uses up one of the job's attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounting {
    /// It does.
    Counted,
    /// It does not, and happens at most once an attempt.
    Free,
    /// There was no attempt.
    None,
}

/// The four results of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// For the job.
    pub verdict: Verdict,
    /// For the breaker.
    pub vote: Vote,
    /// For the connection.
    pub fate: Fate,
    /// For the count of attempts.
    pub accounting: Accounting,
}

/// What the attempt says of how much its receiver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strain {
    /// It has given a final answer, and not for want of time or room.
    Fine,
    /// It has refused what it has no room for, or did not get to a connection in time.
    Refused,
    /// It has not answered in the attempt's time.
    TimedOut,
    /// Nothing.
    Unknown,
}

impl Judgement {
    /// Of an attempt that has not begun after all.
    pub const UNBEGUN: Judgement = Judgement {
        verdict: Verdict::Deferred,
        vote: Vote::Neutral,
        fate: Fate::Close,
        accounting: Accounting::None,
    };
}

/// The table; `again`: the answers that are retried. The numbers are those of the fault list.
#[must_use]
pub fn judge(happened: &Happened, again: &Statuses) -> Judgement {
    use Accounting::{Counted, Free, None};
    use Fate::Close;
    use Verdict::{Blocked, Cancelled, Deferred, Expired, GivenUp, Rejected, Resend, Retry};
    use Vote::{Failure, Neutral};
    let (verdict, vote, fate, accounting) = match happened {
        Happened::Answered { status, .. } => return judge_status(*status, again),
        // F69, F77: the name servers keep silent, which says nothing of the receiver.
        Happened::TimedOut(Clock::Lookup(_) | Clock::AttemptLookup(_)) => {
            (Deferred, Neutral, Close, None)
        }
        // F10, F66: no connection in time; F12, F13, F23, F45: no head in time.
        Happened::TimedOut(Clock::Ttl(_)) => (Expired, Failure, Close, Counted),
        Happened::TimedOut(Clock::ScantTtl(_)) => (Expired, Neutral, Close, Counted),
        Happened::TimedOut(Clock::Outgrown(_)) => (Retry, Neutral, Close, Counted),
        Happened::TimedOut(_) => (Retry, Failure, Close, Counted),
        // F87: we stood still ourselves.
        Happened::Paused => (Deferred, Neutral, Close, None),
        // F69.
        Happened::Unresolved(_) => (Deferred, Neutral, Close, None),
        // F68, F70, F74, F85.
        Happened::NoAddress { .. } => (Retry, Failure, Close, Counted),
        // F121.
        Happened::SameAbsence(_) => (Retry, Neutral, Close, Counted),
        // F11: a way to none of the addresses, F21.
        Happened::ConnectFailed(cause) if cause.kind == CauseKind::NoNetwork => {
            (Deferred, Neutral, Close, None)
        }
        // F19, F20.
        Happened::ConnectFailed(cause) | Happened::Broken(cause) if cause.is_local() => {
            (Deferred, Neutral, Close, None)
        }
        // F11, F59, F60, F63.
        Happened::ConnectFailed(_) => (Retry, Failure, Close, Counted),
        // F02, F03, F07, F26.
        Happened::Broken(_) => (Retry, Failure, Close, Counted),
        // F01.
        Happened::Stale { .. } => (Resend, Neutral, Close, Free),
        // F25, F27, F29, F30, F33, F34, F42, F43, F44.
        Happened::Malformed(_) => (Retry, Failure, Close, Counted),
        // F18, F82 and the guard's rules.
        Happened::Forbidden => (Blocked, Neutral, Close, None),
        Happened::Dotted => (Rejected, Neutral, Close, None),
        Happened::CircuitOpen => (GivenUp, Neutral, Close, None),
        Happened::Expired { .. } => (Expired, Neutral, Close, None),
        Happened::Cancelled => (Cancelled, Neutral, Close, None),
        // F156.
        Happened::Abandoned => (Cancelled, Neutral, Close, Counted),
    };
    Judgement {
        verdict,
        vote,
        fate,
        accounting,
    }
}

/// The rows for answers: 2xx delivers, `again` says which others are tried again, the rest is final (F50). A 429
/// says nothing of the receiver's health (F52).
fn judge_status(status: u16, again: &Statuses) -> Judgement {
    let (verdict, vote) = match status {
        200..=299 => (Verdict::Delivered, Vote::Success),
        429 if again.contains(429) => (Verdict::Retry, Vote::Neutral),
        429 => (Verdict::Rejected, Vote::Neutral),
        _ if again.contains(status) => (Verdict::Retry, Vote::Failure),
        _ => (Verdict::Rejected, Vote::Success),
    };
    Judgement {
        verdict,
        vote,
        fate: fate_after(status),
        accounting: Accounting::Counted,
    }
}

/// Whether a connection may be kept after this status: 408, 421 and 425 ask for another one (F51, F54).
#[must_use]
pub const fn fate_after(status: u16) -> Fate {
    match status {
        408 | 421 | 425 => Fate::Close,
        _ => Fate::Keep,
    }
}

impl Happened {
    /// The answer's status; 0 if there was none.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Happened::Answered { status, .. } => *status,
            _ => 0,
        }
    }

    /// What it says of how much the receiver has to do, if the job's verdict is this.
    #[must_use]
    pub const fn strain(&self, verdict: Verdict) -> Strain {
        match (self, verdict) {
            (
                Happened::Answered {
                    status: 429 | 503, ..
                },
                _,
            ) => Strain::Refused,
            (Happened::Answered { .. }, Verdict::Delivered | Verdict::Rejected) => Strain::Fine,
            (Happened::TimedOut(Clock::Connect(..) | Clock::Handshake(..)), _) => Strain::Refused,
            (
                Happened::TimedOut(
                    Clock::AttemptConnecting(_)
                    | Clock::Attempt(_)
                    | Clock::Adaptive(_)
                    | Clock::Outgrown(_),
                ),
                _,
            ) => Strain::TimedOut,
            _ => Strain::Unknown,
        }
    }

    /// How an attempt that counts is counted, if it ended so.
    #[must_use]
    pub fn attempt_end(&self, attempt: &Attempt) -> AttemptEnd {
        match self {
            Happened::Answered { status, .. } => {
                let answered = attempt.answered.expect("an answer has a head");
                AttemptEnd::Status(*status, answered.since(attempt.started))
            }
            Happened::TimedOut(_) => AttemptEnd::Timeout,
            _ => AttemptEnd::Error,
        }
    }

    /// What this machine's own trouble is, in words.
    #[must_use]
    pub fn put_off_by(&self) -> String {
        match self {
            Happened::TimedOut(clock) => clock.to_string(),
            Happened::Unresolved(message) => message.to_string(),
            Happened::ConnectFailed(cause) | Happened::Broken(cause) => cause.to_string(),
            _ => "this machine's own trouble".to_owned(),
        }
    }

    /// Whether what the answer asks for is asked of all jobs of its origin: these two say that there is no room for
    /// any (RFC 6585 section 4, RFC 9110 section 15.6.4), while others may speak of one request.
    #[must_use]
    pub const fn holds_others(&self) -> bool {
        matches!(self.status(), 429 | 503)
    }

    /// How long the receiver wants to be left alone.
    #[must_use]
    pub fn retry_after(&self, now: Wall) -> Option<Duration> {
        match self {
            Happened::Answered { retry_after, .. } => retry_after.map(|asked| asked.delay(now)),
            _ => None,
        }
    }

    /// The failure that a result reports.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let (kind, message): (ErrorKind, Cow<'static, str>) = match self {
            Happened::Answered {
                status, excerpt, ..
            } => {
                let kind = if status == 410 {
                    ErrorKind::Gone
                } else {
                    ErrorKind::Http
                };
                let message = format!("the receiver answered {status}").into();
                return Failure {
                    kind,
                    message,
                    excerpt: excerpt.map(Vec::into_boxed_slice),
                };
            }
            Happened::TimedOut(clock @ (Clock::Lookup(_) | Clock::AttemptLookup(_))) => {
                (ErrorKind::Local, clock.to_string().into())
            }
            Happened::TimedOut(clock) => (ErrorKind::Timeout, clock.to_string().into()),
            Happened::Paused => (
                ErrorKind::Local,
                "this process stood still while the time ran out".into(),
            ),
            Happened::CircuitOpen => (
                ErrorKind::CircuitOpen,
                "the circuit breaker of the origin is open".into(),
            ),
            Happened::Expired { ttl, waited_for } => {
                let mut message = format!("waited longer than its ttl of {}", Seconds(ttl));
                if let Some(what) = waited_for {
                    message.push_str(" for ");
                    message.push_str(&what);
                }
                (ErrorKind::Ttl, message.into())
            }
            Happened::NoAddress { message, .. } | Happened::SameAbsence(message) => {
                (ErrorKind::Dns, String::from(message).into())
            }
            Happened::Unresolved(message) => (ErrorKind::Local, String::from(message).into()),
            Happened::Dotted => (ErrorKind::Invalid, JobError::DottedId.to_string().into()),
            Happened::Forbidden => (ErrorKind::Policy, FORBIDDEN.into()),
            Happened::ConnectFailed(cause) => {
                (connect_kind(cause.kind), String::from(cause.message).into())
            }
            Happened::Broken(cause) => {
                (broken_kind(cause.kind), String::from(cause.message).into())
            }
            Happened::Stale { .. } => (
                ErrorKind::Reset,
                "the kept-alive connection was closed".into(),
            ),
            Happened::Malformed(message) => (ErrorKind::Protocol, String::from(message).into()),
            Happened::Cancelled => (ErrorKind::Cancelled, "shut down before it was done".into()),
            Happened::Abandoned => (
                ErrorKind::Cancelled,
                "shut down when it was sent, without waiting for the answer".into(),
            ),
        };
        Failure {
            kind,
            message,
            excerpt: None,
        }
    }
}

/// What a result says where the time to live ends before the next attempt would be due, after so long; `asked`: for so
/// long the receiver wants to be left alone, and that is why.
#[must_use]
pub fn too_late(message: &str, wait: Duration, asked: Option<Duration>) -> String {
    match asked {
        Some(asked) => format!(
            "{message} and asks to wait {}, ttl ends before",
            Seconds(asked)
        ),
        None => format!(
            "{message}; the next attempt would be due in {}, ttl ends before",
            Seconds(wait)
        ),
    }
}

/// What a result says of a forbidden destination, whatever the rule: a tenant who reads it must not learn
/// what listens where.
const FORBIDDEN: &str = "the destination is not allowed";

const fn connect_kind(kind: CauseKind) -> ErrorKind {
    match kind {
        CauseKind::Refused | CauseKind::Unreachable | CauseKind::Reset | CauseKind::Other => {
            ErrorKind::Connect
        }
        CauseKind::Tls => ErrorKind::Tls,
        CauseKind::NoNetwork | CauseKind::Local => ErrorKind::Local,
        // It is told as `Happened::Forbidden`.
        CauseKind::Own => ErrorKind::Policy,
    }
}

const fn broken_kind(kind: CauseKind) -> ErrorKind {
    match kind {
        CauseKind::Refused
        | CauseKind::Unreachable
        | CauseKind::NoNetwork
        | CauseKind::Reset
        | CauseKind::Other => ErrorKind::Reset,
        CauseKind::Tls => ErrorKind::Tls,
        CauseKind::Local => ErrorKind::Local,
        CauseKind::Own => ErrorKind::Policy,
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Clock::Lookup(limit) => {
                write!(
                    f,
                    "no answer from the name servers within connectTimeout ({})",
                    Seconds(limit)
                )
            }
            Clock::Connect(limit, addr) => {
                write!(
                    f,
                    "no TCP connection to {addr} within connectTimeout ({})",
                    Seconds(limit)
                )
            }
            Clock::Handshake(limit, addr) => {
                write!(
                    f,
                    "TLS handshake with {addr} not done within connectTimeout ({})",
                    Seconds(limit)
                )
            }
            Clock::AttemptLookup(limit) => {
                write!(
                    f,
                    "no answer from the name servers within timeout ({})",
                    Seconds(limit)
                )
            }
            Clock::AttemptConnecting(limit) => {
                write!(f, "no connection within timeout ({})", Seconds(limit))
            }
            Clock::Attempt(limit) => {
                write!(
                    f,
                    "no complete response head within timeout ({})",
                    Seconds(limit)
                )
            }
            Clock::Adaptive(limit) => {
                write!(
                    f,
                    "no complete response head within adaptiveTimeout ({})",
                    Seconds(limit)
                )
            }
            Clock::Outgrown(limit) => {
                write!(
                    f,
                    "no complete response head within adaptiveTimeout ({}, which is longer by now)",
                    Seconds(limit)
                )
            }
            Clock::Ttl(left) | Clock::ScantTtl(left) => {
                write!(
                    f,
                    "no complete response head within what was left of ttl ({})",
                    Seconds(left)
                )
            }
        }
    }
}

/// A duration as a setting shows it: `10 s`, `0.25 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) {
            return write!(f, "{} s", millis / 1000);
        }
        let text = format!("{}.{:03}", millis / 1000, millis % 1000);
        write!(f, "{} s", text.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests;
