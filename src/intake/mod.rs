//! Floor 2: intake. What comes in and goes out: clients' lines become jobs for the engines, and what the
//! engines give back becomes result lines.
//!
//!   Chunk -> lines -> admission -> accept -> Deliver … Done -> ledger -> result line -> Written
//!
//! One per process, sans-I/O: the shell hands in what happened and pulls what is to be done. Every line that
//! is read has exactly one result: `accepted = ended + outstanding`, always. A line is parsed only when its
//! output is pulled, so what isn't read yet costs nothing but its chunk.
//!
//!   Open <--drain, and its cancel--> Draining --Stop--> Stopped        (from Open too)
//!
//! The feed and the clients of the socket take turns, and those of a kind among themselves, a line each. The feed is
//! held where reading on is of no use or a limit is reached; a client of the socket is refused, so that each of its
//! lines has its first answer at once, in their order. It has to wait only for what is its own: unread results, and
//! too many jobs pending.
//!
//! `Intake::accept`, in `reading`, is the one place where a job becomes accepted.
//!
//! Not here: the jobs' fate (`engine`), pipes and sockets (`io`).

pub mod client;
pub mod event;
pub mod held;
pub mod ledger;
pub mod limits;
pub mod survey;

mod admission;
mod answers;
mod asked;
mod control;
mod dead;
mod health;
mod ids;
mod letters;
pub mod orders;
mod parking;
mod progress;
mod reading;
mod revival;
mod spooled;

#[cfg(test)]
mod tests;

pub use asked::QUESTIONS_MAX as ENDPOINT_QUESTIONS_MAX;
pub use dead::QUESTIONS_MAX as LETTER_QUESTIONS_MAX;
pub use reading::HALF_LINE_KEPT;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::wire::health::Check;
use crate::wire::job::{Job, Source, User};
use crate::wire::report::{Ending, ErrorKind, Failure, Outcome, Report};
use crate::wire::shape::Mistaken;

use self::admission::{Admission, Candidate};
use self::asked::Asked;
use self::client::Client;
use self::dead::Dead;
use self::event::{Access, ClientId, Input, Kind, Output};
use self::held::{Held, HeldClients};
use self::ledger::{Feed, Ledger};
use self::limits::Limit;
use self::limits::Limits;
pub use self::progress::Progress;
use self::reading::Served;
use self::spooled::Spooled;
use self::survey::Survey;

/// Lines that one [`Intake::poll_output`] reads at most when none of them yields an output.
pub const LINES_PER_POLL: u32 = 64;

/// How long half a line of a client of the socket may wait for its other half.
pub const HALF_LINE_MAX: Duration = Duration::from_secs(30);

/// What intake obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a line, its end not counted (`maxJobBytes`).
    pub max_job_bytes: usize,
    /// Jobs taken in and not ended (`maxPending`).
    pub max_pending: usize,
    /// Bytes of those jobs and of unwritten results (`maxPendingBytes`).
    pub max_pending_bytes: usize,
    /// Jobs that may wait at one origin (`maxQueued`).
    pub max_queued: usize,
    /// Jobs that may be on their way to one origin beside those (`maxConnections`).
    pub max_connections: usize,
    /// How long after its acceptance a job is worth delivering that says nothing of that itself (`ttl`).
    pub ttl: Duration,
    /// Pending jobs of one client of the socket (`maxClientPending`).
    pub max_client_pending: usize,
    /// There is a socket: the end of the feed is not the end.
    pub serves: bool,
    /// There is a journal: jobs are accepted when it has them safe.
    pub spools: bool,
    /// Conduit's own user.
    pub uid: u32,
    /// Engines, at least one; [`event::EngineId`] counts from 0.
    pub engines: u16,
    /// Results tell where their time went.
    pub timings: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Intake {
    settings: Settings,
    started: Instant,
    clients: Slab<Client>,
    /// Clients that may have a chunk to ask for or a line to read, the feed and those of the socket apart; those with
    /// nothing are dropped when they are next looked at.
    queues: [VecDeque<ClientId>; 2],
    /// Which of the two is looked at first.
    turn: usize,
    /// Clients to write to, and to close.
    outputs: VecDeque<Output>,
    admission: Admission,
    ledger: Ledger,
    spool: Option<Box<Spooled>>,
    /// Clients that have sent half a line, by when it began. Lazily: each stands here once, and may have gone on.
    halves: BTreeSet<(Instant, ClientId)>,
    /// What is asked about dead letters.
    dead: Dead,
    /// What is asked about endpoints.
    asked: Asked,
    /// Who gets the results of jobs that an earlier process took from its feed.
    feed: Option<ClientId>,
    survey: Survey,
    /// Who is not read from.
    held: HeldClients,
    /// Who has last ordered to drain, or not to.
    drained_by: Option<ClientId>,
    phase: Phase,
    progress: Progress,
    /// What the feed looks like, if its lines are no jobs.
    mistaken: Option<Mistaken>,
}

/// Whether jobs are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Not any more, but that may be revoked; those that are in get what they need.
    Draining,
    Stopped,
}

/// The queue of the feed, and of the clients of the socket.
const FEED: usize = 0;
const SOCKET: usize = 1;

impl Intake {
    /// An intake without clients. `rng` makes ids; `seed` keys the hash of the origins.
    ///
    /// # Panics
    /// Without an engine.
    #[must_use]
    pub fn new(now: Now, settings: Settings, rng: Rng, seed: [u64; 2]) -> Intake {
        Intake {
            settings,
            started: now.mono,
            clients: Slab::new(),
            queues: [VecDeque::new(), VecDeque::new()],
            turn: FEED,
            outputs: VecDeque::new(),
            admission: Admission::new(settings.max_job_bytes, rng),
            ledger: Ledger::new(Limits::of(&settings), settings.engines, seed),
            spool: (settings.spools).then(|| Box::new(Spooled::new(seed))),
            halves: BTreeSet::new(),
            dead: Dead::new(settings.uid),
            asked: Asked::default(),
            feed: None,
            survey: Survey::new(settings.engines, seed),
            held: HeldClients::default(),
            drained_by: None,
            phase: Phase::Open,
            progress: Progress::default(),
            mistaken: None,
        }
    }

    /// A new client of conduit's own user. Its first [`Output::Read`] is there to be pulled.
    pub fn open(&mut self, kind: Kind) -> ClientId {
        self.open_for((User::Own, None), kind)
    }

    /// A new client of this user, and of this process, if that is known.
    pub fn open_for(&mut self, (user, pid): (User, Option<u32>), kind: Kind) -> ClientId {
        let mut client = Client::new(kind, user, self.settings.max_job_bytes);
        client.pid = pid;
        if self.phase == Phase::Stopped {
            client.give_up();
        }
        let id = ClientId(self.clients.insert(client));
        if kind == Kind::Feed {
            self.feed.get_or_insert(id);
        }
        self.progress.clients += usize::from(kind != Kind::Feed);
        self.enqueue(id);
        self.close_if_over(id);
        id
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        match input {
            Input::Chunk { client, bytes } => self.on_chunk(client, bytes),
            Input::End { client, error } => self.on_end(client, error.is_some()),
            Input::Written { client, bytes } => self.on_written(client, bytes),
            Input::Gone { client } => self.on_gone(client),
            Input::Access { client, access } => self.on_access(client, access),
            Input::Done {
                engine: _,
                job,
                ending,
            } => self.on_done(now, &job, ending),
            Input::Postponed { job } => self.on_postponed(job),
            Input::Appetite {
                engine,
                waiting,
                busy,
            } => self.ledger.on_appetite(engine, waiting, busy),
            Input::Origin {
                engine,
                origin,
                held,
            } => self.ledger.on_origin(engine, &origin, held),
            Input::OriginRetired {
                engine,
                origin,
                slot,
                tally,
            } => {
                self.ledger.on_retired(engine, &origin);
                self.survey.on_retired(engine, &origin, slot, &tally);
            }
            Input::Rows { engine, rows } => self.survey.on_rows(now, engine, *rows),
            Input::Stored {
                job,
                is_generated,
                line,
                verdict,
            } => {
                let candidate = Candidate {
                    job,
                    line,
                    is_generated,
                    is_for_disk: true,
                };
                self.on_stored(now, candidate, verdict);
            }
            Input::Durable { up_to } => self.on_durable(up_to),
            Input::Spool { refusal } => self.on_refusal(refusal),
            Input::SpoolFailed { refusal } => self.on_failed(refusal),
            Input::Found(pending) => self.on_found(now, pending),
            Input::LettersFound(found) => self.dead.on_found(*found),
            Input::Fetched { key, fetched } => self.on_fetched(now, key, fetched),
            Input::Limits(limits) => self.on_limits(*limits),
            Input::Own { origin, limits } => self.ledger.set_own(&origin, limits),
            Input::Changed { change, result } => self.on_changed(&change, result),
            Input::Stop => self.on_stop(now),
            Input::Abort => self.on_abort(),
        }
    }

    /// The next thing to do. `None`: nothing now; if [`Intake::has_work`], only because many lines in a row
    /// yielded no job.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self
            .survey
            .poll_timeout()
            .is_some_and(|due| due <= now.mono)
        {
            self.survey.handle_timeout(now);
        }
        if let Some((engine, from)) = self.survey.poll_ask() {
            return Some(Output::Ask { engine, from });
        }
        if self.serve_asked() {
            return self.outputs.pop_front();
        }
        self.end_halves(now);
        if self.phase == Phase::Stopped && self.spool.is_none() {
            return self.outputs.pop_front();
        }
        self.ledger.keep_pace(now.mono);
        let mut budget = LINES_PER_POLL;
        while budget > 0 {
            match self.serve_any(now) {
                Served::Output(output) => return Some(output),
                Served::Line => budget -= 1,
                Served::Nothing => break,
            }
        }
        self.outputs.pop_front()
    }

    /// One step: what the disk makes possible first, for it was asked for first.
    fn serve_any(&mut self, now: Now) -> Served {
        if self.spool.is_some() {
            let served = self.serve_spool(now);
            let is_stopped = self.phase == Phase::Stopped;
            if is_stopped || !matches!(served, Served::Nothing) {
                return served;
            }
            let served = self.serve_letters(now);
            if !matches!(served, Served::Nothing) {
                return served;
            }
        }
        let first = self.turn;
        self.turn = 1 - first;
        match self.serve(now, first) {
            Served::Nothing => self.serve(now, 1 - first),
            served => served,
        }
    }

    /// Moves the client's results to the end of `into` and says how many bytes. They stay counted until
    /// [`Input::Written`].
    pub fn take_results(&mut self, client: ClientId, into: &mut Vec<u8>) -> usize {
        self.clients
            .get_mut(client.0)
            .map_or(0, |client| client.take_results(into))
    }

    /// Bytes that [`Intake::take_results`] would give.
    #[must_use]
    pub fn result_bytes(&self, client: ClientId) -> usize {
        self.clients.get(client.0).map_or(0, Client::result_bytes)
    }

    /// Whether [`Intake::poll_output`] has more to do at once, although it gave nothing.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let [feed, socket] = &self.queues;
        let may_read = || !socket.is_empty() || feed.front().is_some_and(|id| self.may_feed(*id));
        let may_serve = || self.phase != Phase::Stopped && self.may_store() && may_read();
        let has_outputs = !self.outputs.is_empty() || self.survey.has_asks();
        has_outputs
            || self.has_asked_work()
            || may_serve()
            || self.has_spool_work()
            || self.has_letter_work()
    }

    /// When to pull again even if nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_open = self.phase == Phase::Open && !self.queues[FEED].is_empty();
        let is_held = is_open && self.feed() == Feed::Sated && self.refusal().is_none();
        let pace = is_held.then(|| self.ledger.pace_end());
        let spool = self.spool.as_ref().filter(|_| self.phase != Phase::Stopped);
        let due = spool.and_then(|spool| spool.parking.poll_timeout());
        let survey = self.survey.poll_timeout();
        let half = self.halves.first();
        let half = half.map(|(since, _)| *since + HALF_LINE_MAX);
        [pace, due, survey, half].into_iter().flatten().min()
    }

    /// How all origins stand: asked of the engines, a few rows at a time.
    pub fn survey(&mut self) -> &mut Survey {
        &mut self.survey
    }

    /// Clients that are not read from, those first that have been held for longest.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.held.iter()
    }

    /// Whether conduit can do its work, as far as intake and the engines know. The pool is that of the survey's last
    /// round.
    #[must_use]
    pub fn health(&self, now: Now) -> Vec<Check> {
        let pending = self.ledger.jobs();
        let situation = health::Situation {
            closed: match self.phase {
                Phase::Open => None,
                Phase::Draining => Some("draining: no more jobs are taken in"),
                Phase::Stopped => Some("stopping: no more jobs are taken in"),
            },
            serves: self.settings.serves,
            spools: self.settings.spools,
            refusal: self.refusal(),
            pending,
            pending_max: self.settings.max_pending,
            pending_bytes: self.pending_bytes(),
            pending_bytes_max: self.settings.max_pending_bytes,
            is_scarce: self.ledger.is_scarce(self.bytes_beside()),
            standing: self.held().next().map(|held| (held, self.held.len())),
        };
        health::checks(now.mono, &self.survey, &situation)
    }

    /// Whether no jobs are taken in because a client has asked for that.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Who has asked for that, or called it off.
    #[must_use]
    pub const fn drained_by(&self) -> Option<ClientId> {
        self.drained_by
    }

    /// Whether no more jobs can come, every job has its result, and every result is written. No more come when every
    /// client's stream was read to its end; where there is a socket, only when draining or stopped.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let is_read = || self.clients.iter().all(|(_, client)| client.is_read());
        let no_more = match self.phase {
            Phase::Open => !self.settings.serves && is_read(),
            Phase::Draining | Phase::Stopped => true,
        };
        !self.has_jobs() && self.progress.result_bytes == 0 && no_more
    }

    /// Whether a job has no result yet, or the journal is to be told of something.
    #[must_use]
    pub fn has_jobs(&self) -> bool {
        let is_idle = |spool: &Spooled| spool.is_empty() && self.outputs.is_empty();
        self.ledger.jobs() > 0 || self.spool.as_deref().is_some_and(|spool| !is_idle(spool))
    }

    /// Whether all went well: all input was read, and every result was `delivered` or `duplicate`.
    #[must_use]
    pub fn all_delivered(&self) -> bool {
        let good = [Outcome::Delivered, Outcome::Duplicate];
        let bad: u64 = Outcome::ALL
            .iter()
            .filter(|outcome| !good.contains(outcome))
            .map(|outcome| self.progress.outcomes[outcome.index()])
            .sum();
        let is_cut = self.spool.as_ref().is_some_and(|spool| spool.is_cut);
        bad == 0 && !is_cut && self.progress.unread_bytes == 0 && self.progress.read_errors == 0
    }

    /// What the feed looks like, if its lines are no jobs: worth telling whoever began it.
    #[must_use]
    pub const fn mistaken(&self) -> Option<Mistaken> {
        self.mistaken
    }

    /// How far things are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let spool = self.spool.as_ref();
        let parked = spool.map_or(0, |spool| spool.parking.jobs());
        Progress {
            pending: self.ledger.jobs() + parked,
            parked,
            storing: self.ledger.storing_jobs(),
            pending_bytes: self.pending_bytes(),
            origins: self.ledger.origins(),
            origins_held: self.ledger.origins_held(),
            ..self.progress
        }
    }

    /// Panics if the machine contradicts itself. Walks all clients: for tests and the simulator.
    pub fn check_invariants(&self) {
        self.ledger.check_invariants();
        let progress = self.progress();
        assert_eq!(progress.accepted, progress.ended + progress.pending as u64);
        let results: u64 = progress.outcomes.iter().sum();
        assert!(
            results >= progress.ended,
            "every job that ended has its result"
        );
        let spool = self.spool.as_deref();
        let recovered = spool.map_or(0, |spool| spool.recovered);
        let unanswered = (progress.pending + progress.storing) as u64;
        assert!(
            results + unanswered <= progress.lines + recovered,
            "one result a line"
        );
        if let Some(spool) = spool {
            spool.check_invariants(progress.storing);
        }
        let unwritten: usize = self
            .clients
            .iter()
            .map(|(_, client)| client.unwritten())
            .sum();
        assert_eq!(
            progress.result_bytes, unwritten,
            "result bytes are counted once"
        );
        let halves: usize = self
            .clients
            .iter()
            .map(|(_, client)| client.half_line())
            .sum();
        assert_eq!(progress.half_line_bytes, halves, "half lines are counted");
        for (key, client) in self.clients.iter() {
            let ids = self.queues.iter().flatten();
            let places = ids.filter(|id| id.0 == key).count();
            assert_eq!(
                places,
                usize::from(client.is_queued),
                "a client queues once"
            );
            let held = |since: Instant| {
                let mut held = self.held.iter();
                held.any(|held| held.client.0 == key && held.since == since)
            };
            assert!(client.held_since.is_none_or(held), "who is held is listed");
            assert!(
                client.is_announced || client.result_bytes() == 0 || client.kind == Kind::Feed,
                "results are fetched"
            );
            assert!(
                !client.is_over() || client.is_queued || client.kind == Kind::Feed,
                "a client that is over is closed"
            );
        }
        let held = self
            .clients
            .iter()
            .filter(|(_, client)| client.held_since.is_some());
        assert_eq!(held.count(), self.held.len(), "who is listed is held");
        let pending: usize = self.clients.iter().map(|(_, client)| client.pending).sum();
        let following = spool.map_or(0, Spooled::following);
        assert!(
            pending <= progress.pending + progress.storing + following,
            "others' clients are gone"
        );
    }

    fn on_chunk(&mut self, id: ClientId, bytes: Vec<u8>) {
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.stale_inputs += 1;
            self.progress.unread_bytes += bytes.len() as u64;
            return;
        };
        self.progress.unread_bytes += client.on_chunk(bytes) as u64;
        self.enqueue(id);
    }

    fn on_end(&mut self, id: ClientId, is_error: bool) {
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.stale_inputs += 1;
            return;
        };
        client.on_end();
        self.progress.read_errors += u64::from(is_error);
        self.enqueue(id);
    }

    fn on_written(&mut self, id: ClientId, bytes: usize) {
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.stale_inputs += 1;
            return;
        };
        self.progress.result_bytes -= client.on_written(bytes);
        if !client.is_stalled(self.settings.max_client_pending) {
            self.enqueue(id);
        }
        self.close_if_over(id);
    }

    fn on_gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.stale_inputs += 1;
            return;
        };
        client.is_deaf = true;
        self.dead.on_gone(id);
        self.progress.result_bytes -= client.unwritten();
        let dropped = client.drop_results();
        self.progress.on_dropped(dropped);
        if client.kind == Kind::Feed {
            self.progress.unread_bytes += client.give_up() as u64;
            self.progress.results_dropped += u64::from(client.held.is_some());
            // Its place in the queue is dropped when it is next looked at.
            self.release(id);
            self.clients.remove(id.0);
            return;
        }
        self.enqueue(id);
        self.close_if_over(id);
    }

    fn on_access(&mut self, id: ClientId, access: Option<Access>) {
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.stale_inputs += 1;
            return;
        };
        match access {
            Some(access) => client.kind = Kind::Socket(access),
            None => {
                self.give_up(id);
                self.close_if_over(id);
            }
        }
    }

    fn on_done(&mut self, now: Now, job: &Job, ending: Ending) {
        self.ledger.on_done(job);
        self.progress.ended += 1;
        self.conclude(now, job, ending);
        if let Some(spool) = &mut self.spool {
            spool.parking.on_room(&job.origin.text, &self.ledger);
        }
    }

    /// Tells whoever submitted a job what has become of it.
    fn tell(&mut self, source: Source, report: &Report<'_>) {
        self.say(source, |client| {
            client.tell(source.line, |out| report.write(out))
        });
    }

    /// The same of a job that was never accepted: that is the first answer.
    fn tell_first(&mut self, source: Source, report: &Report<'_>) {
        self.say(source, |client| {
            client.answer(source.line, |out| report.write(out))
        });
    }

    /// One of the client's jobs has ended.
    fn say(&mut self, source: Source, write: impl FnOnce(&mut Client)) {
        let id = ClientId(Key::from_bits(source.client));
        // Of a job that was found on disk nobody may be left to be told.
        let is_ours = source.line > 0;
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.results_dropped += u64::from(is_ours);
            return;
        };
        let pending_max = self.settings.max_client_pending;
        let was_stalled = client.is_stalled(pending_max);
        client.pending -= usize::from(is_ours);
        let may_read = was_stalled && !client.is_stalled(pending_max);
        let before = client.unwritten();
        write(client);
        self.on_results(id, before);
        if may_read {
            self.enqueue(id);
        }
        self.close_if_over(id);
    }

    fn on_limits(&mut self, limits: Limits) {
        self.settings.max_job_bytes = limits.max_job_bytes;
        self.settings.max_client_pending = limits.max_client_pending;
        self.settings.timings = limits.timings;
        self.admission.max_job_bytes = limits.max_job_bytes;
        let keys: Vec<Key> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.clients[key].set_max_job_bytes(limits.max_job_bytes);
            // It may have waited for a larger limit.
            self.enqueue(ClientId(key));
        }
        self.ledger.set_limits(limits);
    }

    /// Jobs that wait for room will not get any.
    fn cancel_held(&mut self, now: Now) {
        let keys: Vec<Key> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            let client = &mut self.clients[key];
            let Some(held) = client.held.take() else {
                continue;
            };
            if client.kind != Kind::Feed {
                self.refuse(ClientId(key), &held.job, Limit::Draining);
                continue;
            }
            let mut job = held.job;
            job.progress.ended = now.mono;
            let failure = Failure {
                kind: ErrorKind::Cancelled,
                message: "shut down before there was room for it".into(),
                excerpt: None,
            };
            let ending = Ending {
                outcome: Outcome::Cancelled,
                failure: Some(Box::new(failure)),
            };
            let before = client.unwritten();
            let report = Report::of_job(&job, &ending, self.settings.timings);
            client.answer(report.line, |out| report.write(out));
            self.progress.outcomes[Outcome::Cancelled.index()] += 1;
            self.on_results(ClientId(key), before);
        }
    }

    fn on_stop(&mut self, now: Now) {
        self.phase = Phase::Stopped;
        self.cancel_held(now);
        self.stop_letters();
        self.stop_asked();
        for queue in &mut self.queues {
            for id in std::mem::take(queue) {
                if let Some(client) = self.clients.get_mut(id.0) {
                    client.is_queued = false;
                }
            }
        }
        let keys: Vec<Key> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.give_up(ClientId(key));
            self.close_if_over(ClientId(key));
        }
    }

    /// Bytes that count in `maxPendingBytes` beside those of jobs.
    const fn bytes_beside(&self) -> usize {
        self.progress.result_bytes + self.progress.half_line_bytes
    }

    /// All bytes that count in `maxPendingBytes`: the one truth of limits, health and `ctl status`.
    const fn pending_bytes(&self) -> usize {
        self.ledger.bytes() + self.ledger.storing_bytes() + self.bytes_beside()
    }

    fn feed(&self) -> Feed {
        self.ledger.feed(self.bytes_beside())
    }

    fn enqueue(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        if self.phase != Phase::Stopped && !client.is_queued {
            client.is_queued = true;
            let queue = match client.kind {
                Kind::Feed => FEED,
                Kind::Socket(_) => SOCKET,
            };
            self.queues[queue].push_back(id);
        }
    }

    /// Takes the client at the front, which is `id`, out of the queue.
    fn dequeue(&mut self, queue: usize, id: ClientId) {
        let front = self.queues[queue].pop_front();
        assert_eq!(front, Some(id), "the front is looked at");
        self.clients[id.0].is_queued = false;
    }

    /// Forgets a client of the socket that has sent all and got all. The feed stays: it is there as long as the run.
    fn close_if_over(&mut self, id: ClientId) {
        let client = &self.clients[id.0];
        if client.kind == Kind::Feed || !client.is_over() || client.is_queued {
            return;
        }
        self.release(id);
        self.clients.remove(id.0);
        self.progress.clients -= 1;
        self.outputs.push_back(Output::Close { client: id });
    }
}
