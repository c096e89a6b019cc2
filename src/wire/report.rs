//! How a job ended, and the line that says so.
//!
//! The names in this file are the contract: the same in results, metrics and logs, and never changed.
//!
//! A result line is appended to a buffer by hand: no value is built, nothing is allocated.
//!
//! Not here: which ending follows from what happened (`engine/outcome`), whose line it is (`intake`), the
//! masks of a `response` (`masks`) and the escapes of strings (`text`).

use std::borrow::Cow;
use std::time::Duration;

use crate::wire::job::{Job, Progress};
use crate::wire::spool::Known;
use crate::wire::text::{push_json_bytes, push_json_string, push_number};

/// The final word on a job (`outcome` in a result line).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx.
    Delivered,
    /// Another final answer, which is not retried.
    Rejected,
    /// The last retry failed too, or the breaker is open and the endpoint wants no waiting.
    Exhausted,
    /// Its time to live passed first.
    Expired,
    /// Policy forbids the destination.
    Blocked,
    /// Not taken in: limits, or the spool is full.
    Overloaded,
    /// The job itself is wrong.
    Invalid,
    /// A job with this id is known already.
    Duplicate,
    /// Shut down before it was done; the spool keeps it.
    Kept,
    /// Shut down before it was done, and there is no spool.
    Cancelled,
}

impl Outcome {
    /// Every outcome, in the order of the contract; [`Outcome::index`] is the place here.
    pub const ALL: [Outcome; 10] = [
        Outcome::Delivered,
        Outcome::Rejected,
        Outcome::Exhausted,
        Outcome::Expired,
        Outcome::Blocked,
        Outcome::Overloaded,
        Outcome::Invalid,
        Outcome::Duplicate,
        Outcome::Kept,
        Outcome::Cancelled,
    ];

    /// Its place in [`Outcome::ALL`], for tables of counts.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Delivered => "delivered",
            Outcome::Rejected => "rejected",
            Outcome::Exhausted => "exhausted",
            Outcome::Expired => "expired",
            Outcome::Blocked => "blocked",
            Outcome::Overloaded => "overloaded",
            Outcome::Invalid => "invalid",
            Outcome::Duplicate => "duplicate",
            Outcome::Kept => "kept",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// What went wrong (`error.kind` in a result line).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A clock ran out; the message says which.
    Timeout,
    /// The name does not exist or has no address.
    Dns,
    /// No TCP connection.
    Connect,
    /// No TLS session, or it broke.
    Tls,
    /// The connection died before the answer.
    Reset,
    /// The answer was not HTTP/1.1.
    Protocol,
    /// An answer that is not 2xx.
    Http,
    /// 410: the receiver wants no more.
    Gone,
    /// The breaker is open.
    CircuitOpen,
    /// The destination is forbidden.
    Policy,
    /// This machine's own trouble.
    Local,
    /// The spool cannot take it.
    Spool,
    /// A limit is reached.
    Limit,
    /// The time to live passed.
    Ttl,
    /// The job line is wrong.
    Invalid,
    /// The id is known.
    Duplicate,
    /// Shut down first.
    Cancelled,
}

impl ErrorKind {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::Timeout => "timeout",
            ErrorKind::Dns => "dns",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Reset => "reset",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Http => "http",
            ErrorKind::Gone => "gone",
            ErrorKind::CircuitOpen => "circuitOpen",
            ErrorKind::Policy => "policy",
            ErrorKind::Local => "local",
            ErrorKind::Spool => "spool",
            ErrorKind::Limit => "limit",
            ErrorKind::Ttl => "ttl",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Duplicate => "duplicate",
            ErrorKind::Cancelled => "cancelled",
        }
    }
}

/// Why a job was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its stable name.
    pub kind: ErrorKind,
    /// What was found, where, and what was expected; lower case, no full stop.
    pub message: Cow<'static, str>,
    /// The first bytes of the body of a non-2xx answer, what went out with the request masked; none where there was
    /// no such answer, or nothing of it is to be shown.
    pub excerpt: Option<Box<[u8]>>,
}

impl Failure {
    /// What the excerpt takes, in bytes.
    #[must_use]
    pub fn excerpt_bytes(&self) -> usize {
        self.excerpt.as_deref().map_or(0, <[u8]>::len)
    }
}

/// A job's ending: its outcome, and for all but `delivered` the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The final word.
    pub outcome: Outcome,
    /// The reason; present in every ending but `delivered`.
    pub failure: Option<Box<Failure>>,
}

/// All that a result line says. What it borrows stays with the job.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The job's name; none where it could not be read.
    pub id: Option<&'a str>,
    /// The line's number on its client's stream, from 1; 0 if that was another process's.
    pub line: u64,
    /// The final word.
    pub outcome: Outcome,
    /// The reason, in every ending but `delivered`.
    pub failure: Option<&'a Failure>,
    /// From acceptance to outcome.
    pub duration: Duration,
    /// Scheme, host and non-default port, where the line named them.
    pub origin: Option<&'a str>,
    /// Attempts, status and timings; none where no job was made.
    pub progress: Option<&'a Progress>,
    /// Whether `timings` and `reused` are told.
    pub timings: bool,
    /// Of a duplicate: as what its id is known, and whether method, URL and body are the same.
    pub duplicate: Option<(Known, bool)>,
}

impl<'a> Report<'a> {
    /// What is to say of a job that has come back.
    #[must_use]
    pub fn of_job(job: &'a Job, ending: &'a Ending, timings: bool) -> Report<'a> {
        Report {
            id: Some(&job.id),
            line: job.source.line,
            outcome: ending.outcome,
            failure: ending.failure.as_deref(),
            duration: job.age + job.progress.ended.since(job.accepted.mono),
            origin: Some(&job.origin.text),
            progress: Some(&job.progress),
            timings,
            duplicate: None,
        }
    }

    /// What is to say of a line that never became a job.
    #[must_use]
    pub const fn of_line(
        id: Option<&'a str>,
        line: u64,
        outcome: Outcome,
        failure: &'a Failure,
    ) -> Report<'a> {
        Report {
            id,
            line,
            outcome,
            failure: Some(failure),
            duration: Duration::ZERO,
            origin: None,
            progress: None,
            timings: false,
            duplicate: None,
        }
    }

    /// Appends the line, its `\n` included.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(id) = self.id {
            out.extend_from_slice(b"\"id\":");
            push_json_string(out, id);
            out.push(b',');
        }
        if self.line > 0 {
            out.extend_from_slice(b"\"line\":");
            push_number(out, self.line);
            out.push(b',');
        }
        out.extend_from_slice(b"\"outcome\":\"");
        out.extend_from_slice(self.outcome.name().as_bytes());
        out.push(b'"');
        if let Some((known, is_same)) = self.duplicate {
            let known = match known {
                Known::Pending(_) => "pending",
                Known::Delivered => "delivered",
            };
            let words = format!(",\"known\":\"{known}\",\"samePayload\":{is_same}");
            out.extend_from_slice(words.as_bytes());
        }
        let (status, attempts) = self
            .progress
            .map_or((0, 0), |progress| (progress.status, progress.attempts));
        if status != 0 {
            out.extend_from_slice(b",\"status\":");
            push_number(out, u64::from(status));
        }
        out.extend_from_slice(b",\"attempts\":");
        push_number(out, u64::from(attempts));
        push_millis(out, b",\"durationMs\":", self.duration);
        if let Some(origin) = self.origin {
            out.extend_from_slice(b",\"origin\":");
            push_json_string(out, origin);
        }
        if let Some(failure) = self.failure {
            self.write_failure(out, failure);
        }
        if let (Some(progress), true) = (self.progress, self.timings) {
            write_timings(out, progress);
        }
        out.extend_from_slice(b"}\n");
    }

    fn write_failure(&self, out: &mut Vec<u8>, failure: &Failure) {
        out.extend_from_slice(b",\"error\":{\"kind\":\"");
        out.extend_from_slice(failure.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        push_json_string(out, &failure.message);
        out.push(b'}');
        if let Some(excerpt) = &failure.excerpt {
            out.extend_from_slice(b",\"response\":");
            push_json_bytes(out, excerpt);
        }
    }
}

/// Appends the line that says that a job was taken in: the first answer, before any result.
pub fn write_accepted(out: &mut Vec<u8>, id: &str, line: u64) {
    out.extend_from_slice(b"{\"id\":");
    push_json_string(out, id);
    out.extend_from_slice(b",\"line\":");
    push_number(out, line);
    out.extend_from_slice(b",\"outcome\":\"accepted\"}\n");
}

/// Whether a line to a client is the result of a job; else it says that one was accepted, or what `ctl` has answered.
#[must_use]
pub fn is_result(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    !line.ends_with(b",\"outcome\":\"accepted\"}") && !line.starts_with(b"{\"ctl\":")
}

/// Appends a line about no job: why a connection to the socket is closed.
pub fn write_error(out: &mut Vec<u8>, kind: ErrorKind, message: &str) {
    out.extend_from_slice(b"{\"error\":{\"kind\":\"");
    out.extend_from_slice(kind.name().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    push_json_string(out, message);
    out.extend_from_slice(b"}}\n");
}

fn write_timings(out: &mut Vec<u8>, progress: &Progress) {
    let timings = &progress.timings;
    push_millis(out, b",\"timings\":{\"queued\":", timings.queued);
    push_millis(out, b",\"dns\":", timings.dns);
    push_millis(out, b",\"connect\":", timings.connect);
    push_millis(out, b",\"tls\":", timings.tls);
    push_millis(out, b",\"firstByte\":", timings.first_byte);
    out.extend_from_slice(b"},\"reused\":");
    out.extend_from_slice(if progress.reused { b"true" } else { b"false" });
}

/// `key` and the duration in milliseconds, rounded to microseconds, without trailing zeros.
fn push_millis(out: &mut Vec<u8>, key: &[u8], duration: Duration) {
    out.extend_from_slice(key);
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let micros = nanos.saturating_add(500) / 1_000;
    push_number(out, micros / 1_000);
    let fraction = (micros % 1_000) as u16;
    if fraction == 0 {
        return;
    }
    let digits =
        [fraction / 100, fraction / 10 % 10, fraction % 10].map(|digit| b'0' + digit as u8);
    let kept = if digits[2] != b'0' {
        3
    } else if digits[1] != b'0' {
        2
    } else {
        1
    };
    out.push(b'.');
    out.extend_from_slice(&digits[..kept]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{Instant, Now};
    use crate::wire::job::Timings;
    use crate::wire::job_line::JobLine;
    use std::sync::Arc;

    fn line(report: &Report<'_>) -> String {
        let mut out = b"before\n".to_vec();
        report.write(&mut out);
        let text = String::from_utf8(out).expect("a result is UTF-8");
        let line = text.strip_prefix("before\n").expect("it is appended");
        serde_json::from_str::<serde_json::Value>(line).expect("a result is JSON");
        line.strip_suffix('\n')
            .expect("a result ends its line")
            .to_owned()
    }

    fn job() -> Box<Job> {
        let line =
            br#"{"url":"https://a.example:8443/x","headers":{"Authorization":"Bearer s3cret"}}"#;
        let parsed = JobLine::parse(line).expect("a job");
        let origin = Arc::new(parsed.url.to_origin());
        let accepted = Now {
            mono: Instant::from_nanos(5_000_000),
            ..Now::default()
        };
        let mut job = parsed.into_job("a\"1".into(), Default::default(), origin, accepted);
        job.source.line = 7;
        job.progress.ended = Instant::from_nanos(8_200_499);
        job.progress.attempts = 1;
        job
    }

    #[test]
    fn a_delivered_job() {
        let mut job = job();
        job.progress.status = 204;
        let ending = Ending {
            outcome: Outcome::Delivered,
            failure: None,
        };
        assert_eq!(
            line(&Report::of_job(&job, &ending, false)),
            concat!(
                r#"{"id":"a\"1","line":7,"outcome":"delivered","status":204,"attempts":1,"#,
                r#""durationMs":3.2,"origin":"https://a.example:8443"}"#
            )
        );
        job.age = Duration::from_secs(60);
        let report = line(&Report::of_job(&job, &ending, false));
        assert!(report.contains(r#""durationMs":60003.2,"#), "{report}");
        job.progress.reused = true;
        job.progress.timings = Timings {
            queued: Duration::from_micros(12),
            first_byte: Duration::from_millis(2),
            ..Timings::default()
        };
        assert!(line(&Report::of_job(&job, &ending, true)).ends_with(
            r#"8443","timings":{"queued":0.012,"dns":0,"connect":0,"tls":0,"firstByte":2},"reused":true}"#
        ));
    }

    #[test]
    fn a_failed_job_shows_what_was_answered() {
        let mut job = job();
        job.progress.status = 403;
        let ending = Ending {
            outcome: Outcome::Rejected,
            failure: Some(Box::new(Failure {
                kind: ErrorKind::Http,
                message: "the answer was 403".into(),
                excerpt: Some(b"no \"entry\"\xff".as_slice().into()),
            })),
        };
        assert_eq!(
            line(&Report::of_job(&job, &ending, false)),
            "{\"id\":\"a\\\"1\",\"line\":7,\"outcome\":\"rejected\",\"status\":403,\"attempts\":1,\"durationMs\":3.2,\
             \"origin\":\"https://a.example:8443\",\"error\":{\"kind\":\"http\",\"message\":\"the answer was 403\"},\
             \"response\":\"no \\\"entry\\\"\u{fffd}\"}"
        );
    }

    #[test]
    fn a_line_that_is_no_job() {
        let failure = Failure {
            kind: ErrorKind::Invalid,
            message: "url: \u{7f}".into(),
            excerpt: None,
        };
        let expected = concat!(
            r#""line":2,"outcome":"invalid","attempts":0,"durationMs":0,"#,
            r#""error":{"kind":"invalid","message":"url: \u007f"}}"#
        );
        for (id, start) in [(None, "{"), (Some("j"), r#"{"id":"j","#)] {
            let report = Report::of_line(id, 2, Outcome::Invalid, &failure);
            assert_eq!(line(&report), format!("{start}{expected}"));
        }
    }

    #[test]
    fn milliseconds_have_up_to_three_decimals() {
        for (nanos, expected) in [
            (0, "0"),
            (499, "0"),
            (500, "0.001"),
            (999_500, "1"),
            (1_010_000, "1.01"),
            (1_100_000, "1.1"),
            (12_034_567, "12.035"),
            (3_600_000_000_000, "3600000"),
            (u64::MAX, "18446744073709.551"),
        ] {
            let mut out = Vec::new();
            push_millis(&mut out, b"", Duration::from_nanos(nanos));
            assert_eq!(String::from_utf8_lossy(&out), expected, "{nanos}");
        }
    }

    #[test]
    fn outcomes_know_their_place() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), place, "{}", outcome.name());
        }
    }
}
