//! Admission: a line comes in, and is a job, a mistake, or nothing.
//!
//! Not here: whether to read a line at all (`ledger`), what lines may say (`wire/job_line`).

use crate::base::lines::Line;
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::intake::event::EngineId;
use crate::intake::ids::IdSource;
use crate::intake::ledger::Ledger;
use crate::wire::job::{Job, Source};
use crate::wire::job_line::JobLine;
use crate::wire::report::{ErrorKind, Failure, Outcome, Report};

/// What a line was.
#[derive(Debug)]
pub(super) enum Admitted {
    /// White space.
    Blank,
    /// A job, for this engine.
    Job(EngineId, Box<Job>),
    /// No job: its result has been written.
    Invalid,
}

/// The gate.
#[derive(Debug)]
pub(super) struct Admission {
    max_job_bytes: usize,
    ids: IdSource,
}

impl Admission {
    pub(super) const fn new(max_job_bytes: usize, rng: Rng) -> Admission {
        Admission {
            max_job_bytes,
            ids: IdSource::new(rng),
        }
    }

    /// Reads one line of `source`. A mistake's result goes to `results`; a job is entered in the `ledger`.
    pub(super) fn admit(
        &mut self,
        now: Now,
        source: Source,
        line: Line<'_>,
        ledger: &mut Ledger,
        results: &mut Vec<u8>,
    ) -> Admitted {
        let line = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {
                return Admitted::Blank;
            }
            Line::Whole(line) => line,
            Line::TooLong { bytes } => {
                let max = self.max_job_bytes;
                let message =
                    format!("line: expected at most {max} bytes (maxJobBytes), found {bytes}");
                return refuse(None, source, message, results);
            }
        };
        let parsed = match JobLine::parse(line) {
            Ok(parsed) => parsed,
            Err(bad) => return refuse(bad.id.as_deref(), source, bad.error.to_string(), results),
        };
        let id = match &parsed.id {
            Some(id) => id.as_ref().into(),
            None => self.ids.next_id(now.wall),
        };
        let (engine, origin) = ledger.assign(&parsed.url);
        let job = parsed.into_job(id, source, origin, now);
        ledger.on_handed_out(&job);
        Admitted::Job(engine, job)
    }
}

fn refuse(id: Option<&str>, source: Source, message: String, results: &mut Vec<u8>) -> Admitted {
    let failure = Failure {
        kind: ErrorKind::Invalid,
        message: message.into(),
        excerpt: None,
    };
    Report::of_line(id, source.line, Outcome::Invalid, &failure).write(results);
    Admitted::Invalid
}
