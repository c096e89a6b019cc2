//! Admission: a line comes in, and is a job, a mistake, a question to conduit itself, or nothing.
//!
//! Not here: whether to read a line at all (`mod`), whether a limit is reached (`ledger`), what lines may say
//! (`wire/job_line`, `wire/ctl`).

use crate::base::lines::Line;
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::intake::event::Kind;
use crate::intake::ids::IdSource;
use crate::intake::ledger::Ledger;
use crate::intake::limits::Limit;
use crate::wire::ctl::CtlLine;
use crate::wire::job::{Job, Source};
use crate::wire::job_error::JobError;
use crate::wire::job_line::JobLine;
use crate::wire::report::{ErrorKind, Failure, Outcome, Report};
use crate::wire::shape::Mistaken;
use crate::wire::spool::Refusal;

/// What a line was.
#[derive(Debug)]
pub(super) enum Admitted {
    /// White space.
    Blank,
    /// A job that may come in.
    Job(Candidate),
    /// None that may: its result has been written.
    Refused(Outcome),
    /// A question to conduit itself.
    Control(CtlLine),
}

/// A job that is not accepted yet.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) job: Box<Job>,
    /// What the spool keeps, where there is one: its line, and that its id is not in it.
    pub(super) line: Box<[u8]>,
    pub(super) is_generated: bool,
    /// It finds no room in memory whatever ends, so there is no use in waiting for some: the spool has some.
    pub(super) is_for_disk: bool,
}

/// Whether there is a spool, and how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    None,
    Open,
    Refuses(Refusal),
}

/// Where a line comes from, and in what situation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// Bytes that count in `maxPendingBytes` beside those of jobs.
    pub(super) bytes_beside: usize,
    pub(super) is_draining: bool,
    pub(super) storage: Storage,
    /// The lines before say that it is no line by itself.
    pub(super) is_part: bool,
}

/// The gate.
#[derive(Debug)]
pub(super) struct Admission {
    /// Bytes of a line.
    pub(super) max_job_bytes: usize,
    ids: IdSource,
}

impl Admission {
    pub(super) const fn new(max_job_bytes: usize, rng: Rng) -> Admission {
        Admission {
            max_job_bytes,
            ids: IdSource::new(rng),
        }
    }

    /// Reads one line. The result of a line that is refused goes to `results`.
    pub(super) fn admit(
        &mut self,
        now: Now,
        situation: Situation,
        line: Line<'_>,
        ledger: &mut Ledger,
        results: &mut Vec<u8>,
    ) -> Admitted {
        let source = situation.source;
        let line = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {
                return Admitted::Blank;
            }
            Line::Whole(line) => line,
            Line::TooLong { bytes } => {
                let max = self.max_job_bytes;
                let message =
                    format!("line: expected at most {max} bytes (maxJobBytes), found {bytes}");
                return invalid(None, source, message, results);
            }
        };
        let mut parsed = match JobLine::parse(line) {
            Ok(parsed) if situation.is_part => {
                let message = "line: expected a line by itself, found a part of what the lines before began: \
                               conduit takes one object a line (jq -c . or jq -c '.[]' makes it)";
                let id = parsed.id.as_deref();
                return invalid(id, source, message.to_owned(), results);
            }
            Ok(parsed) => parsed,
            Err(bad) => {
                // No job line has a `ctl`, so only what is no job has to be looked at again.
                if let Kind::Socket(_) = situation.kind
                    && let Some(ctl) = CtlLine::parse(line)
                {
                    return Admitted::Control(ctl);
                }
                let mut message = bad.error.to_string();
                if let Some(mistaken) = Mistaken::of(line) {
                    message = format!("{message}: {mistaken}");
                }
                return invalid(bad.id.as_deref(), source, message, results);
            }
        };
        let bytes_beside = situation.bytes_beside;
        let mut is_for_disk = false;
        let limit = match (situation.kind, situation.storage) {
            (Kind::Socket(_), _) if situation.is_draining => Some(Limit::Draining),
            (Kind::Socket(_), Storage::None) => {
                ledger.limit(&parsed.url, parsed.priority, bytes_beside)
            }
            (Kind::Socket(_), Storage::Open) => {
                ledger.limit_of_spool(parsed.priority, bytes_beside)
            }
            (Kind::Socket(_), Storage::Refuses(refusal)) => Some(Limit::Spool(refusal)),
            (Kind::Feed, Storage::None) => ledger.limit_of_feed(&parsed.url),
            (Kind::Feed, Storage::Open | Storage::Refuses(_)) => {
                is_for_disk = ledger.limit_of_feed(&parsed.url).is_some();
                None
            }
        };
        let is_generated = parsed.id.is_none();
        let id: Box<str> = match &parsed.id {
            Some(id) => id.as_ref().into(),
            None => self.ids.next_id(now.wall),
        };
        let (origin, at_origin) = ledger.origin_and_limits(&parsed.url);
        if at_origin.signs && id.contains('.') {
            return invalid(Some(&id), source, JobError::DottedId.to_string(), results);
        }
        parsed.ttl.get_or_insert(at_origin.ttl);
        parsed.endpoint_head_bytes = at_origin.head_bytes;
        if let Some(limit) = limit {
            let failure = limit.to_failure();
            let outcome = Outcome::Overloaded;
            let report = Report::of_line(Some(&id), source.line, outcome, &failure);
            let origin = Some(&*origin.text);
            Report { origin, ..report }.write(results);
            return Admitted::Refused(outcome);
        }
        let kept: Box<[u8]> = match situation.storage {
            Storage::None => Box::default(),
            Storage::Open | Storage::Refuses(_) => line.into(),
        };
        Admitted::Job(Candidate {
            job: parsed.into_job(id, source, origin, now),
            line: kept,
            is_generated,
            is_for_disk,
        })
    }

    /// An id for a job that was found without one.
    pub(super) fn next_id(&mut self, now: Now) -> Box<str> {
        self.ids.next_id(now.wall)
    }
}

fn invalid(id: Option<&str>, source: Source, message: String, results: &mut Vec<u8>) -> Admitted {
    let failure = Failure {
        kind: ErrorKind::Invalid,
        message: message.into(),
        excerpt: None,
    };
    Report::of_line(id, source.line, Outcome::Invalid, &failure).write(results);
    Admitted::Refused(Outcome::Invalid)
}
