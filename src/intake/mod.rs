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
pub mod ledger;

mod admission;
mod answers;
mod control;
mod ids;
mod limits;
mod reading;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::wire::job::Job;
use crate::wire::report::{Ending, ErrorKind, Failure, Outcome, Report};

use self::admission::Admission;
use self::client::Client;
use self::event::{ClientId, Input, Kind, Output};
use self::ledger::{Feed, Ledger};
use self::reading::Served;

/// Lines that one [`Intake::poll_output`] reads at most when none of them yields an output.
pub const LINES_PER_POLL: u32 = 64;

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
    /// Pending jobs of one client of the socket (`maxClientPending`).
    pub max_client_pending: usize,
    /// There is a socket: the end of the feed is not the end.
    pub serves: bool,
    /// Engines, at least one; [`event::EngineId`] counts from 0.
    pub engines: u16,
    /// Results tell where their time went.
    pub timings: bool,
}

/// How far things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines read, blank ones too.
    pub lines: u64,
    /// Jobs taken in.
    pub accepted: u64,
    /// Jobs that came back.
    pub ended: u64,
    /// Results by [`Outcome::index`], those of lines that were no jobs included.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Jobs that are out: `accepted - ended`.
    pub pending: usize,
    /// What they take, in bytes.
    pub pending_bytes: usize,
    /// Origins that an engine knows.
    pub origins: usize,
    /// Of these, those with an open breaker.
    pub origins_held: usize,
    /// Bytes of results that are not written yet.
    pub result_bytes: usize,
    /// Clients of the socket.
    pub clients: usize,
    /// Answers and results that nobody was left to read.
    pub results_dropped: u64,
    /// Bytes of input that were never read as lines, because of `Stop` or `Gone`.
    pub unread_bytes: u64,
    /// Streams that broke instead of ending.
    pub read_errors: u64,
    /// Inputs that named a client which had gone.
    pub stale_inputs: u64,
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
    phase: Phase,
    progress: Progress,
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
            ledger: Ledger::new(&settings, seed),
            phase: Phase::Open,
            progress: Progress::default(),
        }
    }

    /// A new client. Its first [`Output::Read`] is there to be pulled.
    pub fn open(&mut self, kind: Kind) -> ClientId {
        let mut client = Client::new(kind, self.settings.max_job_bytes);
        if self.phase == Phase::Stopped {
            client.give_up();
        }
        let id = ClientId(self.clients.insert(client));
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
            Input::Done {
                engine: _,
                job,
                ending,
            } => self.on_done(&job, &ending),
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
            Input::OriginRetired { engine, origin } => self.ledger.on_retired(engine, &origin),
            Input::Stop => self.on_stop(now),
        }
    }

    /// The next thing to do. `None`: nothing now; if [`Intake::has_work`], only because many lines in a row
    /// yielded no job.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.phase == Phase::Stopped {
            return None;
        }
        self.ledger.keep_pace(now.mono);
        let mut budget = LINES_PER_POLL;
        while budget > 0 {
            let first = self.turn;
            self.turn = 1 - first;
            let served = match self.serve(now, first) {
                Served::Nothing => self.serve(now, 1 - first),
                served => served,
            };
            match served {
                Served::Output(output) => return Some(output),
                Served::Line => budget -= 1,
                Served::Nothing => break,
            }
        }
        self.outputs.pop_front()
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
        !self.outputs.is_empty() || (self.phase != Phase::Stopped && may_read())
    }

    /// When to pull again even if nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_open = self.phase == Phase::Open && !self.queues[FEED].is_empty();
        (is_open && self.feed() == Feed::Sated).then(|| self.ledger.pace_end())
    }

    /// Whether no jobs are taken in because a client has asked for that.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
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
        self.ledger.jobs() == 0 && self.progress.result_bytes == 0 && no_more
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
        bad == 0 && self.progress.unread_bytes == 0 && self.progress.read_errors == 0
    }

    /// How far things are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            pending: self.ledger.jobs(),
            pending_bytes: self.ledger.bytes(),
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
        assert!(
            results + progress.pending as u64 <= progress.lines,
            "one result a line"
        );
        let unwritten: usize = self
            .clients
            .iter()
            .map(|(_, client)| client.unwritten())
            .sum();
        assert_eq!(
            progress.result_bytes, unwritten,
            "result bytes are counted once"
        );
        for (key, client) in self.clients.iter() {
            let ids = self.queues.iter().flatten();
            let places = ids.filter(|id| id.0 == key).count();
            assert_eq!(
                places,
                usize::from(client.is_queued),
                "a client queues once"
            );
            assert!(
                client.is_announced || client.result_bytes() == 0 || client.kind == Kind::Feed,
                "results are fetched"
            );
            assert!(
                !client.is_over() || client.is_queued || client.kind == Kind::Feed,
                "a client that is over is closed"
            );
        }
        let pending: usize = self.clients.iter().map(|(_, client)| client.pending).sum();
        assert!(pending <= progress.pending, "others' clients are gone");
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
        self.progress.result_bytes -= client.unwritten();
        self.progress.results_dropped += client.drop_results();
        if client.kind == Kind::Feed {
            self.progress.unread_bytes += client.give_up() as u64;
            self.progress.results_dropped += u64::from(client.held.is_some());
            // Its place in the queue is dropped when it is next looked at.
            self.clients.remove(id.0);
            return;
        }
        self.enqueue(id);
        self.close_if_over(id);
    }

    fn on_done(&mut self, job: &Job, ending: &Ending) {
        self.ledger.on_done(job);
        self.progress.ended += 1;
        self.progress.outcomes[ending.outcome.index()] += 1;
        let id = ClientId(Key::from_bits(job.source.client));
        let Some(client) = self.clients.get_mut(id.0) else {
            self.progress.results_dropped += 1;
            return;
        };
        let pending_max = self.settings.max_client_pending;
        let was_stalled = client.is_stalled(pending_max);
        client.pending -= 1;
        let may_read = was_stalled && !client.is_stalled(pending_max);
        let before = client.unwritten();
        let report = Report::of_job(job, ending, self.settings.timings);
        client.tell(report.line, |out| report.write(out));
        self.on_results(id, before);
        if may_read {
            self.enqueue(id);
        }
    }

    /// Jobs of the feed that wait for room will not get any.
    fn cancel_held(&mut self, now: Now) {
        let keys: Vec<Key> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            let client = &mut self.clients[key];
            let Some(mut job) = client.held.take() else {
                continue;
            };
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
        for queue in &mut self.queues {
            for id in std::mem::take(queue) {
                if let Some(client) = self.clients.get_mut(id.0) {
                    client.is_queued = false;
                }
            }
        }
        let keys: Vec<Key> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.progress.unread_bytes += self.clients[key].give_up() as u64;
            self.close_if_over(ClientId(key));
        }
    }

    fn feed(&self) -> Feed {
        self.ledger.feed(self.progress.result_bytes)
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
        self.clients.remove(id.0);
        self.progress.clients -= 1;
        self.outputs.push_back(Output::Close { client: id });
    }
}
