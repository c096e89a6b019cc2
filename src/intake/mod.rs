//! Floor 2: intake. What comes in and goes out: clients' lines become jobs for the engines, and what the
//! engines give back becomes result lines.
//!
//!   Chunk -> lines -> admission -> ledger -> Deliver … Done -> ledger -> result line -> Written
//!
//! One per process, sans-I/O: the shell hands in what happened and pulls what is to be done. Every line that
//! is read has exactly one result: `accepted = ended + outstanding`, always. A line is parsed only when its
//! output is pulled, so what isn't read yet costs nothing but its chunk.
//!
//! Not here: the jobs' fate (`engine`), pipes and sockets (`io`).

pub mod client;
pub mod event;
pub mod ledger;

mod admission;
mod ids;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::wire::job::{Job, Source};
use crate::wire::report::{Ending, Outcome, Report};

use self::admission::{Admission, Admitted};
use self::client::Client;
use self::event::{ClientId, Input, Output};
use self::ledger::{Feed, Ledger};

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
    /// Bytes of results that are not written yet.
    pub result_bytes: usize,
    /// Results that nobody was left to read.
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
    clients: Slab<Client>,
    /// Clients that may have a chunk to ask for or a line to read; those with nothing are dropped from it
    /// when they are next looked at.
    queue: VecDeque<ClientId>,
    admission: Admission,
    ledger: Ledger,
    stopped: bool,
    progress: Progress,
}

impl Intake {
    /// An intake without clients. `rng` makes ids; `seed` keys the hash of the origins.
    ///
    /// # Panics
    /// Without an engine.
    #[must_use]
    pub fn new(settings: Settings, rng: Rng, seed: [u64; 2]) -> Intake {
        Intake {
            settings,
            clients: Slab::new(),
            queue: VecDeque::new(),
            admission: Admission::new(settings.max_job_bytes, rng),
            ledger: Ledger::new(
                settings.max_pending,
                settings.max_pending_bytes,
                settings.engines,
                seed,
            ),
            stopped: false,
            progress: Progress::default(),
        }
    }

    /// A new client. Its first [`Output::Read`] is there to be pulled.
    pub fn open(&mut self) -> ClientId {
        let mut client = Client::new(self.settings.max_job_bytes);
        if self.stopped {
            client.give_up();
        }
        let id = ClientId(self.clients.insert(client));
        self.enqueue(id);
        id
    }

    /// Something happened. When is of no matter here: jobs carry their own times.
    pub fn handle_input(&mut self, _now: Now, input: Input) {
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
            Input::OriginRetired { engine, origin } => self.ledger.on_retired(engine, &origin),
            Input::Stop => self.on_stop(),
        }
    }

    /// The next thing to do. `None`: nothing now; if [`Intake::has_work`], only because many lines in a row
    /// yielded no job.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        if self.stopped {
            return None;
        }
        self.ledger.keep_pace(now.mono);
        let mut budget = LINES_PER_POLL;
        while let Some(id) = self.queue.front().copied() {
            let Some(client) = self.clients.get_mut(id.0) else {
                self.queue.pop_front();
                continue;
            };
            if let Some(buffer) = client.ask() {
                return Some(Output::Read { client: id, buffer });
            }
            if client.is_stalled() {
                self.dequeue(id);
                continue;
            }
            if budget == 0 || self.feed() != Feed::Open {
                return None;
            }
            budget -= 1;
            match self.read_line(now, id) {
                Some(Admitted::Job(engine, job)) => {
                    self.queue.rotate_left(1);
                    return Some(Output::Deliver { engine, job });
                }
                Some(Admitted::Blank | Admitted::Invalid) => self.queue.rotate_left(1),
                // A line longer than all its chunks has used them up: then it asks for more.
                None => match self.clients[id.0].ask() {
                    Some(buffer) => return Some(Output::Read { client: id, buffer }),
                    None => self.dequeue(id),
                },
            }
        }
        None
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
        !self.stopped && !self.queue.is_empty() && self.feed() == Feed::Open
    }

    /// When to pull again even if nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_held = !self.stopped && !self.queue.is_empty() && self.feed() == Feed::Sated;
        is_held.then(|| self.ledger.pace_end())
    }

    /// Whether every client's stream was read to its end (or stopped), every job has its result, and every
    /// result is written.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ledger.jobs() == 0
            && self.progress.result_bytes == 0
            && (self.stopped || self.clients.iter().all(|(_, client)| client.is_read()))
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
            let places = self.queue.iter().filter(|id| id.0 == key).count();
            assert_eq!(
                places,
                usize::from(client.is_queued),
                "a client queues once"
            );
        }
    }

    fn read_line(&mut self, now: Now, id: ClientId) -> Option<Admitted> {
        let Intake {
            clients,
            admission,
            ledger,
            progress,
            ..
        } = self;
        let client = clients.get_mut(id.0)?;
        let before = client.unwritten();
        let admitted = client.next_line(|number, line, results| {
            let source = Source {
                client: id.0.to_bits(),
                line: number,
            };
            ledger.on_line();
            admission.admit(now, source, line, ledger, results)
        })?;
        progress.result_bytes += client.unwritten() - before;
        progress.lines += 1;
        match admitted {
            Admitted::Blank => {}
            Admitted::Job(..) => progress.accepted += 1,
            Admitted::Invalid => progress.outcomes[Outcome::Invalid.index()] += 1,
        }
        Some(admitted)
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
        if !client.is_stalled() {
            self.enqueue(id);
        }
    }

    fn on_gone(&mut self, id: ClientId) {
        let Some(mut client) = self.clients.remove(id.0) else {
            self.progress.stale_inputs += 1;
            return;
        };
        self.progress.unread_bytes += client.give_up() as u64;
        self.progress.results_dropped += client.result_lines();
        self.progress.result_bytes -= client.unwritten();
        // Its place in the queue is dropped when it is next looked at.
    }

    fn on_done(&mut self, job: &Job, ending: &Ending) {
        self.ledger.on_done(job);
        self.progress.ended += 1;
        self.progress.outcomes[ending.outcome.index()] += 1;
        let Some(client) = self.clients.get_mut(Key::from_bits(job.source.client)) else {
            self.progress.results_dropped += 1;
            return;
        };
        let before = client.unwritten();
        Report::of_job(job, ending, self.settings.timings).write(client.results_mut());
        self.progress.result_bytes += client.unwritten() - before;
    }

    fn on_stop(&mut self) {
        self.stopped = true;
        for id in std::mem::take(&mut self.queue) {
            if let Some(client) = self.clients.get_mut(id.0) {
                client.is_queued = false;
            }
        }
        let keys: Vec<Key> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.progress.unread_bytes += self.clients[key].give_up() as u64;
        }
    }

    fn feed(&self) -> Feed {
        self.ledger.feed(self.progress.result_bytes)
    }

    fn enqueue(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        if !self.stopped && !client.is_queued {
            client.is_queued = true;
            self.queue.push_back(id);
        }
    }

    /// Takes the client at the front, which is `id`, out of the queue.
    fn dequeue(&mut self, id: ClientId) {
        assert_eq!(self.queue.pop_front(), Some(id), "the front is looked at");
        self.clients[id.0].is_queued = false;
    }
}
