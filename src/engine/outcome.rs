//! From what happened to an attempt to what follows from it, in one table.
//!
//! An attempt has four separate results, and most faults of webhook senders come from merging them: the job's
//! [`Verdict`], the breaker's [`Vote`], the connection's [`Fate`] and the [`Accounting`] of the attempt.
//! [`judge`] gives all four; nothing else in the engine decides them.
//!
//! Not here: whether a connection that may be kept can be (`exchange`), when a retry is due (`backoff`).

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::event::{Cause, CauseKind};
use crate::wire::report::{ErrorKind, Failure};

/// What happened to an attempt.
#[derive(Debug)]
pub enum Happened {
    /// A final response head came, and of a non-2xx answer the first bytes of its body.
    Answered {
        /// 100–999.
        status: u16,
        /// Empty for a 2xx.
        excerpt: Vec<u8>,
    },
    /// A clock ran out.
    TimedOut(Clock),
    /// The job's time to live ended while it waited, before any attempt.
    Expired {
        /// The time to live.
        ttl: Duration,
    },
    /// The name does not exist or has no address.
    NoAddress(Box<str>),
    /// No name server could say.
    Unresolved(Box<str>),
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
    /// `timeout`, before the attempt had a connection.
    AttemptConnecting(Duration),
    /// `timeout`, before the end of the response head.
    Attempt(Duration),
    /// What was left of `ttl`, before the end of the response head.
    Ttl(Duration),
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

/// The table.
#[must_use]
pub fn judge(happened: &Happened) -> Judgement {
    let (verdict, vote, fate, accounting) = match happened {
        Happened::Answered { status, .. } => return judge_status(*status),
        Happened::TimedOut(Clock::Ttl(_)) => (
            Verdict::Expired,
            Vote::Failure,
            Fate::Close,
            Accounting::Counted,
        ),
        Happened::TimedOut(Clock::Lookup(_)) | Happened::Unresolved(_) => (
            Verdict::Deferred,
            Vote::Neutral,
            Fate::Close,
            Accounting::None,
        ),
        Happened::ConnectFailed(cause) | Happened::Broken(cause)
            if cause.kind == CauseKind::Local =>
        {
            (
                Verdict::Deferred,
                Vote::Neutral,
                Fate::Close,
                Accounting::None,
            )
        }
        Happened::TimedOut(_)
        | Happened::NoAddress(_)
        | Happened::ConnectFailed(_)
        | Happened::Broken(_)
        | Happened::Malformed(_) => (
            Verdict::Retry,
            Vote::Failure,
            Fate::Close,
            Accounting::Counted,
        ),
        Happened::Stale { .. } => (
            Verdict::Resend,
            Vote::Neutral,
            Fate::Close,
            Accounting::Free,
        ),
        Happened::Forbidden => (
            Verdict::Blocked,
            Vote::Neutral,
            Fate::Close,
            Accounting::None,
        ),
        Happened::Expired { .. } => (
            Verdict::Expired,
            Vote::Neutral,
            Fate::Close,
            Accounting::None,
        ),
        Happened::Cancelled => (
            Verdict::Cancelled,
            Vote::Neutral,
            Fate::Close,
            Accounting::None,
        ),
    };
    Judgement {
        verdict,
        vote,
        fate,
        accounting,
    }
}

/// The rows for answers. 408, 425 and 429 are the 4xx that say "again"; a 421 was meant for another
/// connection; 600–999 are read as 5xx (RFC 9110 section 15).
#[must_use]
pub fn judge_status(status: u16) -> Judgement {
    let (verdict, vote, fate) = match status {
        200..=299 => (Verdict::Delivered, Vote::Success, Fate::Keep),
        408 | 425 => (Verdict::Retry, Vote::Failure, Fate::Close),
        421 => (Verdict::Rejected, Vote::Success, Fate::Close),
        429 => (Verdict::Retry, Vote::Neutral, Fate::Keep),
        500..=999 => (Verdict::Retry, Vote::Failure, Fate::Keep),
        _ => (Verdict::Rejected, Vote::Success, Fate::Keep),
    };
    Judgement {
        verdict,
        vote,
        fate,
        accounting: Accounting::Counted,
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

    /// The failure that a result reports.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let (kind, message): (ErrorKind, Cow<'static, str>) = match self {
            Happened::Answered { status, excerpt } => {
                let kind = if status == 410 {
                    ErrorKind::Gone
                } else {
                    ErrorKind::Http
                };
                let message = format!("the receiver answered {status}").into();
                return Failure {
                    kind,
                    message,
                    excerpt: Some(excerpt.into_boxed_slice()),
                };
            }
            Happened::TimedOut(clock @ Clock::Lookup(_)) => {
                (ErrorKind::Local, clock.to_string().into())
            }
            Happened::TimedOut(clock) => (ErrorKind::Timeout, clock.to_string().into()),
            Happened::Expired { ttl } => (
                ErrorKind::Ttl,
                format!("waited longer than its ttl of {}", Seconds(ttl)).into(),
            ),
            Happened::NoAddress(message) => (ErrorKind::Dns, String::from(message).into()),
            Happened::Unresolved(message) => (ErrorKind::Local, String::from(message).into()),
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
        };
        Failure {
            kind,
            message,
            excerpt: None,
        }
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
        CauseKind::Local => ErrorKind::Local,
    }
}

const fn broken_kind(kind: CauseKind) -> ErrorKind {
    match kind {
        CauseKind::Refused | CauseKind::Unreachable | CauseKind::Reset | CauseKind::Other => {
            ErrorKind::Reset
        }
        CauseKind::Tls => ErrorKind::Tls,
        CauseKind::Local => ErrorKind::Local,
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
            Clock::Ttl(left) => {
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
mod tests {
    use super::*;
    use Accounting::{Counted, Free};
    use Fate::{Close, Keep};
    use Vote::{Failure as F, Neutral, Success as S};

    fn answered(status: u16) -> Happened {
        Happened::Answered {
            status,
            excerpt: Vec::new(),
        }
    }

    fn cause(kind: CauseKind) -> Cause {
        Cause {
            kind,
            message: "x".into(),
        }
    }

    #[test]
    fn answers() {
        let table = [
            (200, Verdict::Delivered, S, Keep),
            (204, Verdict::Delivered, S, Keep),
            (299, Verdict::Delivered, S, Keep),
            (300, Verdict::Rejected, S, Keep), // F50: redirects are not followed
            (307, Verdict::Rejected, S, Keep),
            (400, Verdict::Rejected, S, Keep),
            (408, Verdict::Retry, F, Close), // F51
            (410, Verdict::Rejected, S, Keep),
            (421, Verdict::Rejected, S, Close),   // F54
            (425, Verdict::Retry, F, Close),      // F54
            (429, Verdict::Retry, Neutral, Keep), // F52
            (500, Verdict::Retry, F, Keep),
            (501, Verdict::Retry, F, Keep), // F55
            (511, Verdict::Retry, F, Keep),
            (600, Verdict::Retry, F, Keep), // F30
            (999, Verdict::Retry, F, Keep),
        ];
        for (status, verdict, vote, fate) in table {
            let expected = Judgement {
                verdict,
                vote,
                fate,
                accounting: Counted,
            };
            assert_eq!(judge(&answered(status)), expected, "{status}");
        }
    }

    #[test]
    fn failures() {
        let table = [
            (
                Happened::TimedOut(Clock::Attempt(Duration::ZERO)),
                Verdict::Retry,
                F,
                Counted,
            ),
            (
                Happened::TimedOut(Clock::Ttl(Duration::ZERO)),
                Verdict::Expired,
                F,
                Counted,
            ),
            (
                Happened::TimedOut(Clock::Lookup(Duration::ZERO)),
                Verdict::Deferred,
                Neutral,
                Accounting::None,
            ),
            (Happened::NoAddress("x".into()), Verdict::Retry, F, Counted),
            (
                Happened::Unresolved("x".into()),
                Verdict::Deferred,
                Neutral,
                Accounting::None,
            ),
            (
                Happened::ConnectFailed(cause(CauseKind::Refused)),
                Verdict::Retry,
                F,
                Counted,
            ),
            (
                Happened::ConnectFailed(cause(CauseKind::Tls)),
                Verdict::Retry,
                F,
                Counted,
            ),
            (
                Happened::ConnectFailed(cause(CauseKind::Local)),
                Verdict::Deferred,
                Neutral,
                Accounting::None,
            ),
            (
                Happened::Broken(cause(CauseKind::Reset)),
                Verdict::Retry,
                F,
                Counted,
            ),
            (
                Happened::Broken(cause(CauseKind::Local)),
                Verdict::Deferred,
                Neutral,
                Accounting::None,
            ),
            (
                Happened::Stale { sent: true },
                Verdict::Resend,
                Neutral,
                Free,
            ),
            (Happened::Malformed("x".into()), Verdict::Retry, F, Counted),
            (
                Happened::Forbidden,
                Verdict::Blocked,
                Neutral,
                Accounting::None,
            ),
            (
                Happened::Expired {
                    ttl: Duration::ZERO,
                },
                Verdict::Expired,
                Neutral,
                Accounting::None,
            ),
            (
                Happened::Cancelled,
                Verdict::Cancelled,
                Neutral,
                Accounting::None,
            ),
        ];
        for (happened, verdict, vote, accounting) in table {
            let expected = Judgement {
                verdict,
                vote,
                fate: Close,
                accounting,
            };
            assert_eq!(judge(&happened), expected, "{happened:?}");
        }
    }

    #[test]
    fn a_timeout_names_its_clock() {
        let addr: SocketAddr = "127.0.0.1:81".parse().unwrap();
        let table = [
            (
                Clock::Attempt(Duration::from_secs(10)),
                "no complete response head within timeout (10 s)",
            ),
            (
                Clock::Connect(Duration::from_millis(2_500), addr),
                "no TCP connection to 127.0.0.1:81 within connectTimeout (2.5 s)",
            ),
        ];
        for (clock, text) in table {
            let failure = Happened::TimedOut(clock).into_failure();
            assert_eq!(
                (failure.kind, &*failure.message),
                (ErrorKind::Timeout, text)
            );
        }
    }

    #[test]
    fn every_forbidden_destination_reads_the_same() {
        let failure = Happened::Forbidden.into_failure();
        assert_eq!(
            (failure.kind, &*failure.message),
            (ErrorKind::Policy, FORBIDDEN)
        );
        assert_eq!(failure.excerpt, None);
    }
}
