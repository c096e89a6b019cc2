//! Jobs and the spool: from the line to the disk, and the end of what is there.
//!
//! ```text
//!   line -> Store … Stored: storing … Durable -> accepted -> Deliver … Done -> Settle
//!                      \_ duplicate, refused            \-> parked: `revival`
//! ```
//! What is safe is accepted in the order in which it was stored; a duplicate of a job that is not safe yet is told
//! after it. Each job has one result in each life of the process, and its end is settled once in all of them.
//!
//! Not here: how jobs come back from disk (`revival`), what a limit is (`ledger`), files (`journal`).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::map::Map;
use crate::base::slab::Key;
use crate::base::time::Now;
use crate::intake::admission::{Candidate, Storage};
use crate::intake::event::{ClientId, Kind, Output};
use crate::intake::limits::Limit;
use crate::intake::parking::Parking;
use crate::intake::reading::Served;
use crate::intake::{Intake, Phase};
use crate::wire::job::{Job, Source};
use crate::wire::report::{Ending, ErrorKind, Failure, Outcome, Report};
use crate::wire::spool::{How, JobKey, Known, Letter, Refusal, SourceKind, Verdict};
use crate::wire::url::Origin;

/// What is known of the spool.
#[derive(Debug)]
pub(super) struct Spooled {
    refusal: Option<Refusal>,
    /// The last job that is safe.
    durable: JobKey,
    /// What waits for that: jobs, and answers to duplicates of them.
    storing: VecDeque<(JobKey, Storing)>,
    /// What will not be waited for, since the disk has failed, and why.
    refused: VecDeque<(Storing, Refusal)>,
    /// Lines that are told what becomes of a job that another line has brought.
    followers: Map<JobKey, Vec<Source>>,
    following: usize,
    pub(super) parking: Parking,
    /// There may be jobs that were found at start and are not known here.
    pub(super) is_recovering: bool,
    /// Jobs that were found at start or replayed: no line brought them.
    pub(super) recovered: u64,
    /// What is not safe yet is not waited for.
    is_aborted: bool,
    /// Jobs that were found at start have had no turn.
    pub(super) is_cut: bool,
}

#[derive(Debug)]
enum Storing {
    Job(Box<Job>),
    Duplicate(Box<Duplicate>),
}

/// The answer to a line whose job another line has brought, until that one is safe.
#[derive(Debug)]
struct Duplicate {
    /// The other line's job.
    of: JobKey,
    source: Source,
    id: Box<str>,
    origin: Arc<Origin>,
    /// What is said if it becomes safe.
    answer: Box<[u8]>,
}

impl Duplicate {
    /// The memory that it takes while it waits, in bytes.
    fn footprint(&self) -> usize {
        let entry = size_of::<(JobKey, Storing)>() + size_of::<Duplicate>();
        entry + self.id.len() + self.answer.len()
    }
}

impl Spooled {
    pub(super) fn new(seed: [u64; 2]) -> Spooled {
        Spooled {
            refusal: None,
            durable: JobKey(0),
            storing: VecDeque::new(),
            refused: VecDeque::new(),
            followers: Map::new(seed),
            following: 0,
            parking: Parking::new(seed),
            is_recovering: true,
            recovered: 0,
            is_aborted: false,
            is_cut: false,
        }
    }

    /// Whether a job may be stored now.
    pub(super) const fn storage(&self) -> Storage {
        match self.refusal {
            None => Storage::Open,
            Some(refusal) => Storage::Refuses(refusal),
        }
    }

    /// The last job that is safe.
    pub(super) const fn durable(&self) -> JobKey {
        self.durable
    }

    /// Why no jobs are stored.
    pub(super) const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Lines that wait for the result of another line's job.
    pub(super) const fn following(&self) -> usize {
        self.following
    }

    /// Whether nothing is on its way to disk, and every job that is there has its result.
    pub(super) fn is_empty(&self) -> bool {
        self.storing.is_empty()
            && self.refused.is_empty()
            && self.parking.jobs() == 0
            && !self.is_recovering
    }

    fn has_safe(&self) -> bool {
        let front = self.storing.front();
        front.is_some_and(|(key, _)| *key <= self.durable || self.is_aborted)
    }

    pub(super) fn check_invariants(&self, storing_jobs: usize) {
        self.parking.check_invariants();
        let keys = self.storing.iter().map(|(key, _)| *key);
        assert!(keys.is_sorted(), "what is safe first is told first");
        let is_job = |entry: &&(JobKey, Storing)| matches!(entry.1, Storing::Job(_));
        let jobs = self.storing.iter().filter(is_job).count();
        let is_job = |entry: &&(Storing, Refusal)| matches!(entry.0, Storing::Job(_));
        let jobs = jobs + self.refused.iter().filter(is_job).count();
        assert_eq!(jobs, storing_jobs, "jobs on their way to disk");
    }
}

impl Intake {
    /// Why no jobs are stored, as far as this has heard of it.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.spool.as_ref().and_then(|spool| spool.refusal)
    }

    pub(super) fn spool(&mut self) -> &mut Spooled {
        let spool = self.spool.as_deref_mut();
        spool.expect("only a journal speaks of jobs on disk")
    }

    /// The way of a job that may come in: to the journal first, where there is one.
    pub(super) fn take_in(&mut self, id: ClientId, candidate: Candidate) -> Served {
        let Candidate {
            job,
            line,
            is_generated,
            ..
        } = candidate;
        if self.spool.is_none() {
            if let Some(client) = self.clients.get_mut(id.0) {
                client.pending += 1;
            }
            self.accept(&job);
            return Served::Output(self.hand_out(job));
        }
        let client = self.clients.get(id.0);
        let is_feed = client.is_some_and(|client| client.kind == Kind::Feed);
        if let (false, Some(refusal)) = (is_feed, self.spool().refusal)
            && refusal != Refusal::Behind
        {
            self.refuse(id, &job, Limit::Spool(refusal));
            return Served::Line;
        }
        Served::Output(Output::Store {
            job,
            source: if is_feed {
                SourceKind::Stdin
            } else {
                SourceKind::Socket
            },
            is_generated,
            line,
        })
    }

    /// The journal has said what it makes of a job.
    pub(super) fn on_stored(&mut self, now: Now, candidate: Candidate, verdict: Verdict) {
        let source = candidate.job.source;
        if source.line == 0 {
            return self.on_replay_stored(candidate, verdict);
        }
        let id = ClientId(Key::from_bits(source.client));
        match verdict {
            Verdict::New(key) => {
                self.on_new(key, candidate.job);
                if let Some(client) = self.clients.get_mut(id.0) {
                    client.pending += 1;
                    if client.kind != Kind::Feed {
                        client.expect(source.line);
                    }
                }
            }
            Verdict::Duplicate {
                known,
                same_payload,
            } => self.on_duplicate(id, &candidate.job, known, same_payload),
            Verdict::Refused(refusal) => {
                self.on_refusal(Some(refusal));
                let Some(client) = self.clients.get_mut(id.0) else {
                    self.progress.results_dropped += 1;
                    return;
                };
                if self.phase != Phase::Open {
                    client.held = Some(candidate);
                    self.cancel_held(now);
                } else if client.kind == Kind::Feed || refusal == Refusal::Behind {
                    client.held = Some(candidate);
                    self.enqueue(id);
                } else {
                    self.refuse(id, &candidate.job, Limit::Spool(refusal));
                }
            }
        }
    }

    /// A job is on its way to disk.
    pub(super) fn on_new(&mut self, key: JobKey, mut job: Box<Job>) {
        job.spooled = Some(key);
        self.ledger.on_storing(&job);
        self.spool().storing.push_back((key, Storing::Job(job)));
    }

    fn on_duplicate(&mut self, id: ClientId, job: &Job, known: Known, same_payload: bool) {
        let source = job.source;
        let known_as = match known {
            Known::Pending(_) => "pending",
            Known::Delivered => "delivered",
        };
        let failure = Failure {
            kind: ErrorKind::Duplicate,
            message: format!("a job with this id is known already ({known_as})").into(),
            excerpt: None,
        };
        let report = Report::of_line(Some(&job.id), source.line, Outcome::Duplicate, &failure);
        let report = Report {
            origin: Some(&job.origin.text),
            duplicate: Some((known, same_payload)),
            ..report
        };
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.outcomes[Outcome::Duplicate.index()] += 1;
            self.progress.results_dropped += 1;
            return;
        };
        let is_feed = client.kind == Kind::Feed;
        let spool = self
            .spool
            .as_deref_mut()
            .expect("who else knows duplicates");
        if let Known::Pending(key) = known {
            if !is_feed {
                client.pending += 1;
                spool.following += 1;
                let followers = spool.followers.get_or_insert_with(key, Vec::new);
                followers.push(source);
            }
            if key > spool.durable {
                // Said only when the first one is safe: until then there may be neither.
                let mut line = Vec::new();
                report.write(&mut line);
                let duplicate = Box::new(Duplicate {
                    of: key,
                    source,
                    id: job.id.clone(),
                    origin: Arc::clone(&job.origin),
                    answer: line.into_boxed_slice(),
                });
                self.ledger.on_duplicate(duplicate.footprint());
                let last = spool.storing.back().map_or(key, |(last, _)| *last);
                let entry = Storing::Duplicate(duplicate);
                spool.storing.push_back((key.max(last), entry));
                if !is_feed {
                    client.expect(source.line);
                }
                return;
            }
        }
        self.progress.outcomes[Outcome::Duplicate.index()] += 1;
        let before = client.unwritten();
        client.answer(source.line, |out| report.write(out));
        self.on_results(id, before);
    }

    pub(super) fn on_durable(&mut self, up_to: JobKey) {
        let spool = self.spool();
        spool.durable = spool.durable.max(up_to);
    }

    pub(super) fn on_refusal(&mut self, refusal: Option<Refusal>) {
        self.spool().refusal = refusal;
    }

    /// The disk has failed a write, and nobody knows when it will work: lines of the socket are told so, and the feed
    /// waits.
    pub(super) fn on_failed(&mut self, refusal: Refusal) {
        let Intake { clients, spool, .. } = self;
        let spool = spool
            .as_deref_mut()
            .expect("only a journal speaks of a disk");
        let is_socket = |source: Source| {
            let client = clients.get(Key::from_bits(source.client));
            source.line > 0 && client.is_some_and(|client| client.kind != Kind::Feed)
        };
        let mut given_up = Vec::new();
        for (key, entry) in std::mem::take(&mut spool.storing) {
            let is_refused = match &entry {
                _ if key <= spool.durable => false,
                Storing::Job(job) => is_socket(job.source),
                Storing::Duplicate(one) => {
                    let has_first =
                        one.of > spool.durable && given_up.binary_search(&one.of).is_err();
                    is_socket(one.source) || !has_first
                }
            };
            if !is_refused {
                spool.storing.push_back((key, entry));
                continue;
            }
            if let Storing::Job(_) = &entry {
                given_up.push(key);
            }
            spool.refused.push_back((entry, refusal));
        }
    }

    /// One step of what the disk makes possible.
    pub(super) fn serve_spool(&mut self, now: Now) -> Served {
        let Some(spool) = self.spool.as_deref_mut() else {
            return Served::Nothing;
        };
        if let Some((entry, refusal)) = spool.refused.pop_front() {
            return self.give_up_storing(now, entry, refusal);
        }
        if spool.has_safe()
            && let Some((key, entry)) = spool.storing.pop_front()
        {
            let is_safe = key <= spool.durable;
            return match entry {
                entry if !is_safe => self.give_up_storing(now, entry, Refusal::Behind),
                Storing::Duplicate(duplicate) => {
                    self.ledger.on_duplicate_told(duplicate.footprint());
                    self.progress.outcomes[Outcome::Duplicate.index()] += 1;
                    self.answer(duplicate.source, &duplicate.answer);
                    Served::Line
                }
                Storing::Job(job) => self.on_safe(now, job),
            };
        }
        if self.phase == Phase::Stopped {
            let Some((stub, origin)) = spool.parking.take_any() else {
                return Served::Nothing;
            };
            self.keep(now, &stub, origin.as_deref(), &shut_down());
            return Served::Line;
        }
        spool.parking.keep_time(now.mono);
        let room = self.room();
        let spool = self.spool.as_deref_mut().expect("it was there above");
        match spool.parking.next_fetch(&self.ledger, room) {
            Some(key) => Served::Output(Output::Fetch { key }),
            None => Served::Nothing,
        }
    }

    /// Whether [`Intake::serve_spool`] has something to do at once.
    pub(super) fn has_spool_work(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| {
            spool.has_safe()
                || !spool.refused.is_empty()
                || match self.phase {
                    Phase::Stopped => spool.parking.jobs() > 0,
                    Phase::Open | Phase::Draining => spool.parking.has_next(self.room()),
                }
        })
    }

    /// A job is safe.
    fn on_safe(&mut self, now: Now, mut job: Box<Job>) -> Served {
        self.ledger.on_stored(&job);
        self.accept(&job);
        if self.phase == Phase::Stopped {
            job.progress.ended = now.mono;
            self.progress.ended += 1;
            self.conclude(now, &job, cancelled());
            return Served::Line;
        }
        let id = ClientId(Key::from_bits(job.source.client));
        let client = self.clients.get(id.0);
        let is_feed = client.is_some_and(|client| client.kind == Kind::Feed);
        self.place(job, is_feed)
    }

    /// The end of a job: the journal is told of it, and all who are to know.
    pub(super) fn conclude(&mut self, now: Now, job: &Job, mut ending: Ending) {
        let timings = self.settings.timings;
        if let Some(key) = job.spooled {
            if ending.outcome == Outcome::Cancelled {
                ending.outcome = Outcome::Kept;
            } else {
                let how = how(now, job, &ending);
                if ending.outcome == Outcome::Delivered && job.source.line == 0 {
                    self.outputs.push_back(Output::Delivered {
                        id: job.id.clone(),
                        origin: Arc::clone(&job.origin),
                        attempts: job.progress.attempts,
                    });
                }
                self.outputs.push_back(Output::Settle { key, how });
            }
            let report = Report::of_job(job, &ending, timings);
            self.tell_followers(key, &report);
        }
        self.progress.outcomes[ending.outcome.index()] += 1;
        self.tell(job.source, &Report::of_job(job, &ending, timings));
    }

    pub(super) fn tell_followers(&mut self, key: JobKey, report: &Report<'_>) {
        let spool = self.spool();
        if spool.followers.is_empty() {
            return;
        }
        let Some(followers) = spool.followers.remove(&key) else {
            return;
        };
        spool.following -= followers.len();
        for source in followers {
            let line = source.line;
            self.tell(source, &Report { line, ..*report });
        }
    }

    /// The answer to a duplicate, whose first is safe now.
    fn answer(&mut self, source: Source, line: &[u8]) {
        let id = ClientId(Key::from_bits(source.client));
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.results_dropped += 1;
            return;
        };
        let before = client.unwritten();
        client.answer(source.line, |out| out.extend_from_slice(line));
        self.on_results(id, before);
        self.close_if_over(id);
    }

    /// A job that may or may not be on disk in the end, or a duplicate of one: it was never accepted.
    fn give_up_storing(&mut self, now: Now, entry: Storing, refusal: Refusal) -> Served {
        let mut job = match entry {
            Storing::Duplicate(duplicate) => {
                self.give_up_duplicate(&duplicate, refusal);
                return Served::Line;
            }
            Storing::Job(job) => job,
        };
        self.ledger.on_stored(&job);
        job.progress.ended = now.mono;
        let id = ClientId(Key::from_bits(job.source.client));
        let client = self.clients.get(id.0);
        let is_feed = client.is_none_or(|client| client.kind == Kind::Feed);
        let (outcome, failure) = if is_feed {
            (Outcome::Cancelled, shut_down())
        } else {
            (Outcome::Overloaded, Limit::Spool(refusal).to_failure())
        };
        let failure = Some(Box::new(failure));
        let ending = Ending { outcome, failure };
        let report = Report::of_job(&job, &ending, self.settings.timings);
        self.progress.outcomes[outcome.index()] += 1;
        self.tell_first(job.source, &report);
        match job.spooled {
            // The run goes on, and its line was told that the job is not taken in.
            Some(key) if self.phase != Phase::Stopped => Served::Output(Output::Settle {
                key,
                how: How::Ended,
            }),
            _ => Served::Line,
        }
    }

    /// Its first was given up, or is not waited for: there may be neither.
    fn give_up_duplicate(&mut self, duplicate: &Duplicate, refusal: Refusal) {
        self.ledger.on_duplicate_told(duplicate.footprint());
        let Duplicate { of, source, .. } = duplicate;
        let spool = self.spool();
        let mut was_following = false;
        if let Some(followers) = spool.followers.get_mut(of) {
            let at = followers.iter().position(|follower| follower == source);
            if let Some(at) = at {
                followers.swap_remove(at);
                was_following = true;
            }
            if followers.is_empty() {
                spool.followers.remove(of);
            }
        }
        spool.following -= usize::from(was_following);
        let failure = Limit::Spool(refusal).to_failure();
        let outcome = Outcome::Overloaded;
        let report = Report::of_line(Some(&duplicate.id), source.line, outcome, &failure);
        let report = Report {
            origin: Some(&duplicate.origin.text),
            ..report
        };
        self.progress.outcomes[outcome.index()] += 1;
        if was_following {
            return self.tell_first(*source, &report);
        }
        let mut line = Vec::new();
        report.write(&mut line);
        self.answer(*source, &line);
    }

    /// Refuses a job of the socket that was read before it was known that it would be.
    pub(super) fn refuse(&mut self, id: ClientId, job: &Job, limit: Limit) {
        let failure = limit.to_failure();
        let (outcome, line) = (Outcome::Overloaded, job.source.line);
        let report = Report::of_line(Some(&job.id), line, outcome, &failure);
        let origin = Some(&*job.origin.text);
        let report = Report { origin, ..report };
        self.progress.outcomes[outcome.index()] += 1;
        let client = &mut self.clients[id.0];
        let before = client.unwritten();
        client.answer(line, |out| report.write(out));
        self.on_results(id, before);
    }

    /// What is not safe yet has no longer for it.
    pub(super) fn on_abort(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.is_aborted = true;
        }
    }

    /// Whether another job may be stored: there is room for it on its way.
    pub(super) fn may_store(&self) -> bool {
        self.spool
            .as_ref()
            .is_none_or(|spool| spool.refusal != Some(Refusal::Behind) && self.ledger.may_store())
    }
}

fn how(now: Now, job: &Job, ending: &Ending) -> How {
    let Some(failure) = &ending.failure else {
        return How::Delivered;
    };
    How::Dead(Box::new(Letter {
        id: job.id.clone(),
        origin: job.origin.text.clone(),
        outcome: ending.outcome,
        kind: failure.kind,
        message: failure.message.as_ref().into(),
        attempts: job.progress.attempts,
        status: job.progress.status,
        ended: now.wall,
    }))
}

fn shut_down() -> Failure {
    Failure {
        kind: ErrorKind::Cancelled,
        message: "shut down before it was done".into(),
        excerpt: None,
    }
}

fn cancelled() -> Ending {
    Ending {
        outcome: Outcome::Cancelled,
        failure: Some(Box::new(shut_down())),
    }
}
