//! Jobs come back from disk: those that were parked or postponed, and those that were found at start.
//!
//! ```text
//!   accepted, replayed -> an engine, or parked --.
//!   postponed by an engine ----------------------+--> Fetch … Fetched -> an engine, or parked once more
//!   Found ---------------------------------------'               \-> ended: it can't be read, or is no job any more
//! ```
//!
//! Not here: which of them are read when (`parking`), how they got there and how they end (`spooled`).

use std::time::Duration;

use crate::base::time::{Instant, Now};
use crate::intake::event::Output;
use crate::intake::ledger::Room;
use crate::intake::parking::{FETCHES_MAX, SOON, Stub};
use crate::intake::reading::Served;
use crate::intake::{Intake, Phase};
use crate::wire::job::{Job, Priority, Progress, Source, User};
use crate::wire::job_line::JobLine;
use crate::wire::report::{ErrorKind, Failure, Outcome, Report};
use crate::wire::spool::{Fetched, How, JobKey, Letter, Pending, SourceKind};

impl Intake {
    /// Whether the shell is to hand in another job that was found at start.
    #[must_use]
    pub fn wants_found(&self) -> bool {
        let spool = self.spool.as_ref();
        spool.is_some_and(|spool| spool.is_recovering && spool.parking.waiting() < FETCHES_MAX)
    }

    /// A job was found on disk at start.
    pub(super) fn on_found(&mut self, now: Now, pending: Option<Pending>) {
        let is_stopped = self.phase == Phase::Stopped;
        let spool = self.spool();
        spool.is_cut |= is_stopped && pending.is_some();
        let Some(pending) = pending.filter(|_| !is_stopped) else {
            spool.is_recovering = false;
            return;
        };
        let Pending { key, due, .. } = pending;
        let stub = Stub::found(key);
        spool.recovered += 1;
        if due > now.mono + SOON {
            spool.parking.postpone(due, stub);
        } else {
            spool.parking.wait(stub, Some(due));
        }
        self.progress.accepted += 1;
    }

    /// A job is to be delivered: now, or when there is room.
    pub(super) fn place(&mut self, job: Box<Job>, is_feed: bool) -> Served {
        let room = self.room();
        let spool = self.spool.as_deref_mut().expect("the job is on disk");
        let is_behind =
            job.priority != Priority::High && spool.parking.has_backlog(&job.origin.text);
        let is_crowded = || self.ledger.is_crowded(&job.origin, is_feed);
        if let Some(key) = job.spooled
            && (room != Room::Free || is_behind || is_crowded())
        {
            let origin = job.origin.clone();
            let stub = Stub::of(*job, key);
            spool.parking.park(&origin.text, stub, &self.ledger);
            return Served::Line;
        }
        Served::Output(self.hand_out(job))
    }

    /// What an engine gave back because its next attempt is far.
    pub(super) fn on_postponed(&mut self, job: Box<Job>) {
        self.ledger.on_done(&job);
        let key = job.spooled.expect("only jobs on disk are given back");
        let (due, origin) = (job.progress.due, job.origin.clone());
        let spool = self.spool.as_deref_mut().expect("the job is on disk");
        spool.parking.postpone(due, Stub::of(*job, key));
        spool.parking.on_room(&origin.text, &self.ledger);
    }

    /// A job was read from disk.
    pub(super) fn on_fetched(&mut self, now: Now, key: JobKey, fetched: Option<Box<Fetched>>) {
        let Some(fetched) = self.dead.on_fetched(key, fetched) else {
            return;
        };
        let spool = self.spool.as_deref_mut().expect("something was to be read");
        let Some(fetch) = spool.parking.on_fetched(key, &self.ledger) else {
            self.progress.stale_inputs += 1;
            return;
        };
        let Some(fetched) = fetched else {
            let failure = Failure {
                kind: ErrorKind::Spool,
                message: "it can't be read back from the spool; the next start tries again".into(),
                excerpt: None,
            };
            return self.keep(now, &fetch.stub, None, &failure);
        };
        let is_feed = fetched.source == SourceKind::Stdin;
        let due = fetch.due.unwrap_or(now.mono);
        match self.revive(now, &fetch.stub, &fetched, due) {
            Ok(job) => {
                // What was read because there was room for it is not parked again.
                let served = if fetch.is_from_backlog() {
                    Served::Output(self.hand_out(job))
                } else {
                    self.place(job, is_feed)
                };
                if let Served::Output(output) = served {
                    self.outputs.push_back(output);
                }
            }
            Err(failure) => self.bury(now, &fetch.stub, &fetched, failure),
        }
    }

    /// The job, from what is on disk of it.
    fn revive(
        &mut self,
        now: Now,
        stub: &Stub,
        fetched: &Fetched,
        due: Instant,
    ) -> Result<Box<Job>, Failure> {
        let mut line = JobLine::parse(&fetched.line).map_err(|bad| Failure {
            kind: ErrorKind::Invalid,
            message: bad.error.to_string().into(),
            excerpt: None,
        })?;
        let id: Box<str> = match (&line.id, &fetched.generated_id) {
            (Some(id), _) => id.as_ref().into(),
            (None, Some(id)) => id.clone(),
            (None, None) => self.admission.next_id(now),
        };
        let (source, accepted, age) = match &stub.owner {
            Some(owner) => (owner.source, owner.accepted, Duration::ZERO),
            None => {
                let wall = fetched.accepted.min(now.wall);
                let age = now.wall.unix_nanos() - wall.unix_nanos();
                let mono = now.mono;
                let source = self.source_of(fetched.source, fetched.user);
                let age = Duration::from_nanos(age);
                (source, Now { mono, wall }, age)
            }
        };
        let (origin, at_origin) = self.ledger.origin_and_limits(&line.url);
        line.ttl = line.ttl.or(stub.ttl()).or(Some(at_origin.ttl));
        let mut job = line.into_job(id, source, origin, accepted);
        job.age = age;
        job.spooled = Some(stub.key);
        job.progress = progress_of(fetched, due);
        Ok(job)
    }

    /// Whom to tell of a job that no line of this process's has brought: it was found at start, or replayed.
    pub(super) fn source_of(&self, kind: SourceKind, user: User) -> Source {
        let client = match kind {
            SourceKind::Stdin => self.feed.map_or(0, |feed| feed.0.to_bits()),
            SourceKind::Socket => 0,
        };
        Source {
            client,
            line: 0,
            user,
        }
    }

    /// A job on disk has ended without an engine: its line is none that this version takes.
    fn bury(&mut self, now: Now, stub: &Stub, fetched: &Fetched, failure: Failure) {
        let id = fetched.generated_id.clone();
        let id = stub.owner.as_ref().map(|owner| owner.id.clone()).or(id);
        let progress = progress_of(fetched, now.mono);
        let letter = Letter {
            id: id.clone().unwrap_or_default(),
            origin: "".into(),
            outcome: Outcome::Invalid,
            kind: failure.kind,
            message: failure.message.as_ref().into(),
            attempts: progress.attempts,
            status: progress.status,
            ended: now.wall,
        };
        let how = How::Dead(Box::new(letter));
        let key = stub.key;
        self.outputs.push_back(Output::Settle { key, how });
        let source = self.source_of(fetched.source, fetched.user);
        let source = stub.owner.as_ref().map_or(source, |owner| owner.source);
        let report = Report::of_line(id.as_deref(), source.line, Outcome::Invalid, &failure);
        self.end(key, source, &report);
    }

    /// The end of a job that is on disk and not in memory, in this life of the process: it stays there.
    pub(super) fn keep(&mut self, now: Now, stub: &Stub, origin: Option<&str>, failure: &Failure) {
        let owner = stub.owner.as_deref();
        let source = owner.map_or(Source::default(), |owner| owner.source);
        let id = owner.map(|owner| &*owner.id);
        let report = Report::of_line(id, source.line, Outcome::Kept, failure);
        let duration = owner.map_or(Duration::ZERO, |owner| now.mono.since(owner.accepted.mono));
        let report = Report {
            origin,
            duration,
            ..report
        };
        self.end(stub.key, source, &report);
    }

    /// A job that was accepted and is in no engine has ended.
    fn end(&mut self, key: JobKey, source: Source, report: &Report<'_>) {
        self.progress.ended += 1;
        self.progress.outcomes[report.outcome.index()] += 1;
        self.tell_followers(key, report);
        self.tell(source, report);
    }

    pub(super) fn room(&self) -> Room {
        let spool = self.spool.as_ref();
        let coming = spool.map_or(0, |spool| spool.parking.fetching());
        self.ledger.room(self.bytes_beside(), coming)
    }
}

fn progress_of(fetched: &Fetched, due: Instant) -> Progress {
    let Some(attempt) = &fetched.attempt else {
        return Progress::default();
    };
    let failure = Failure {
        kind: attempt.kind,
        message: attempt.message.to_string().into(),
        excerpt: None,
    };
    Progress {
        attempts: attempt.attempts,
        status: attempt.status,
        failure: Some(Box::new(failure)),
        due,
        ..Progress::default()
    }
}
