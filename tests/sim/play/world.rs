//! The driver: what `io/turn` and `io/front` are in the binary, with a clock that jumps.
//!
//! It jumps to the earliest of what is to happen and what a machine wants to be woken for, hands that in, and
//! performs every output before the next input. What is written and read is `wires`' business; what must hold
//! is `invariants`'.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now, Wall};
use conduit::engine::Engine;
use conduit::engine::event::{Input, Output, SockId};
use conduit::intake::event::{
    Access, ClientId, EngineId, Input as IntakeInput, Kind, Output as IntakeOutput,
};
use conduit::intake::{Intake, Settings};
use conduit::wire::job::Job;
use conduit::wire::names::Names;
use conduit::wire::spool::JobKey;
use conduit::wire::url::Url;

use super::dice::Dice;
use super::feed::Feed;
use super::model::Model;
use super::network::{End, Event, Events, Sockets};
use super::scenario::{NameServerPhase, Scenario, shared};
use super::servers::Receiver;
use super::spool::Spool;
use super::trace::Trace;

/// 2026-01-01T00:00:00Z: where the civil clock of a run starts.
const EPOCH_NANOS: u64 = 1_767_225_600_000_000_000;
/// Steps between two looks at everything: looking takes longer where there is more, so it is done less often.
const STEPS_PER_CHECK: u64 = 256;
const STEPS_PER_CHECK_LARGE: u64 = 16 * 1024;
const LARGE_JOBS: u32 = 10_000;
/// Calls of `handle_timeout` at one and the same time: more are a busy loop.
const CALLS_AT_ONCE_MAX: u32 = 100_000;
/// Results are written in so long, where the reader is slow.
const SLOW_WRITE: Duration = Duration::from_secs(3);

/// A run under way.
pub struct World {
    pub plan: Scenario,
    pub dice: Dice,
    pub trace: Trace,
    pub mono: Instant,
    pub engines: Vec<Engine>,
    pub sockets: Vec<Sockets>,
    pub receivers: Vec<Receiver>,
    pub events: Events,
    pub model: Model,
    pub intake: Intake,
    pub feed: Feed,
    pub spool: Option<Spool>,
    pub(super) client: ClientId,
    /// Whether its stream is there to be written to.
    is_client_there: bool,
    /// What the shell does next, in this very turn.
    pub(super) steps: VecDeque<Step>,
    asleep_until: Instant,
    /// Chunks that intake has asked for, and buffers to read into.
    reads: VecDeque<Option<Vec<u8>>>,
    results: Vec<u8>,
    is_writing: bool,
    /// Which engine has each origin, as far as jobs went there.
    owners: Vec<Option<usize>>,
    /// Jobs that have left their engines for a while.
    postponed: Vec<(Instant, usize, Box<Job>)>,
    step_count: u64,
    calls_at_once: u32,
    /// Attempts that the survey last showed.
    pub(super) attempts_shown: u64,
}

/// What follows from an output, performed once all outputs are.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Write(End),
    Sent { end: End, bytes: usize, more: bool },
    ConnectFailed { end: End, local: bool },
    Look(End),
}

impl World {
    pub fn new(plan: Scenario, mut dice: Dice, replay: String) -> World {
        let mono = Instant::from_nanos(0);
        let now = now_at(mono);
        let engines = engines(&plan, &mut dice, now);
        let (intake, client) = intake(&plan, &mut dice, now);
        let receivers = plan
            .origins
            .iter()
            .map(|origin| Receiver::new(origin.phases.clone(), origin.think))
            .collect();
        let mut events = Events::default();
        events.push(mono, Event::Feed);
        for (index, (from, _)) in plan.pauses.iter().enumerate() {
            events.push(mono + *from, Event::Pause(index as u8));
        }
        for (index, (at, ..)) in plan.orders.iter().enumerate() {
            events.push(mono + *at, Event::Order(index as u8));
        }
        for (index, (at, _)) in plan.swaps.iter().enumerate() {
            events.push(mono + *at, Event::Swap(index as u8));
        }
        events.push(mono + plan.faults_end, Event::Healed);
        let spool = plan.spool.clone();
        let spool = spool.map(|plan| Spool::new(plan, now, &mut events, &mut dice));
        World {
            owners: vec![None; plan.origins.len()],
            sockets: engines.iter().map(|_| Sockets::default()).collect(),
            model: Model::new(&plan),
            feed: Feed::new(&plan),
            trace: Trace::new(replay),
            plan,
            dice,
            mono,
            engines,
            receivers,
            events,
            intake,
            spool,
            client,
            is_client_there: true,
            steps: VecDeque::new(),
            asleep_until: mono,
            reads: VecDeque::new(),
            results: Vec::new(),
            is_writing: false,
            postponed: Vec::new(),
            step_count: 0,
            calls_at_once: 0,
            attempts_shown: 0,
        }
    }

    /// The machines as they are after a start, with nothing of what was before.
    pub(super) fn start_machines(&mut self) {
        let now = self.now();
        self.engines = engines(&self.plan, &mut self.dice, now);
        (self.intake, self.client) = intake(&self.plan, &mut self.dice, now);
        self.is_client_there = true;
        self.steps.clear();
        self.asleep_until = now.mono;
        self.reads.clear();
        self.results.clear();
        self.is_writing = false;
        self.attempts_shown = 0;
    }

    /// Until nothing is left that could happen.
    pub fn run(&mut self) {
        let is_large = self.plan.jobs > LARGE_JOBS;
        let steps_per_check = if is_large {
            STEPS_PER_CHECK_LARGE
        } else {
            STEPS_PER_CHECK
        };
        self.settle();
        while let Some(at) = self.next_at() {
            self.calls_at_once = if at > self.mono {
                0
            } else {
                self.calls_at_once + 1
            };
            assert!(
                self.calls_at_once < CALLS_AT_ONCE_MAX,
                "a busy loop: the clock stands still"
            );
            self.mono = self.mono.max(at);
            self.step(at);
            self.step_count += 1;
            if self.step_count.is_multiple_of(steps_per_check) {
                self.check_everything();
                self.check_counters();
                let now = self.now();
                self.intake.survey().ask(now);
            }
            self.check_bounds();
        }
        self.check_end();
    }

    pub fn now(&self) -> Now {
        now_at(self.mono)
    }

    /// How long the run lasts.
    pub fn elapsed(&self) -> Duration {
        self.mono.since(Instant::from_nanos(0))
    }

    pub fn input(&mut self, engine: usize, input: Input<'_>) {
        let now = self.now();
        self.engines[engine].handle_input(now, input);
    }

    /// What a name server is like at this time.
    pub fn name_server_phase(&self, server: usize, at: Duration) -> Option<&NameServerPhase> {
        self.plan.name_servers[server]
            .iter()
            .find(|phase| at < phase.until)
    }

    fn next_at(&self) -> Option<Instant> {
        let wakeups = self.engines.iter().filter_map(Engine::poll_timeout);
        let spool = self.spool.as_ref().and_then(Spool::poll_timeout);
        let machines = wakeups.chain(self.intake.poll_timeout()).chain(spool).min();
        let machines = machines.map(|at| at.max(self.asleep_until));
        match (machines, self.events.next_at()) {
            (Some(machines), Some(event)) => Some(machines.min(event)),
            (machines, event) => machines.or(event),
        }
    }

    /// Timers first, then one event: so it is in the binary's loop.
    fn step(&mut self, at: Instant) {
        if self.mono >= self.asleep_until {
            self.wake_machines();
        }
        if self.events.next_at().is_some_and(|next| next <= at)
            && let Some((due, event)) = self.events.pop()
        {
            if event.is_ours() && self.asleep_until > due && self.asleep_until > self.mono {
                self.events.push(self.asleep_until, event);
                return;
            }
            self.happen(due, event);
        }
        if self.mono >= self.asleep_until {
            self.settle();
        }
    }

    fn wake_machines(&mut self) {
        let now = self.now();
        for index in 0..self.engines.len() {
            let engine = &mut self.engines[index];
            if engine.poll_timeout().is_none_or(|due| due > now.mono) {
                continue;
            }
            engine.handle_timeout(now);
            self.trace.note(now.mono, index, "timeout", [0, 0]);
            self.settle();
        }
        self.wake_spool();
    }

    fn happen(&mut self, due: Instant, event: Event) {
        match event {
            Event::Feed => {
                if let Some(next) =
                    self.feed
                        .arrive(self.mono, &mut self.dice, &self.plan, &mut self.model)
                {
                    self.events.push(next, Event::Feed);
                }
                self.feed_chunks();
            }
            Event::Written => self.on_written(),
            Event::Pause(index) => {
                let (_, lasts) = self.plan.pauses[usize::from(index)];
                self.asleep_until = self.asleep_until.max(self.mono + lasts);
                self.model.on_pause(self.mono, lasts);
                self.trace
                    .note(self.mono, 0, "pause ms", [lasts.as_millis() as u64, 0]);
            }
            Event::Due => self.bring_back(),
            Event::Order(index) => self.order(usize::from(index)),
            Event::Disk { is_read } => self.on_disk(is_read),
            Event::Crash(index) => self.crash(index),
            Event::Refused => self.resubmit(),
            Event::Swap(index) => {
                let (_, policy) = &self.plan.swaps[usize::from(index)];
                self.model.on_swap(self.plan.endpoints(policy));
                let policy = shared(policy);
                self.trace.note(self.mono, 0, "swap", [index.into(), 0]);
                for engine in 0..self.engines.len() {
                    self.input(engine, Input::Policy(Arc::clone(&policy)));
                }
            }
            Event::Healed => self.trace.note(self.mono, 0, "healed", [0, 0]),
            event => self.on_wire(due, event),
        }
    }

    /// Performs all outputs and what follows from them, until there is nothing left to do now.
    pub fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for index in 0..self.engines.len() {
                while let Some(output) = self.engines[index].poll_output() {
                    self.perform(index, output);
                    is_quiet = false;
                }
            }
            if let Some(step) = self.steps.pop_front() {
                self.take_step(step);
                continue;
            }
            match self.intake.poll_output(self.now()) {
                Some(output) => self.perform_intake(output),
                None if self.settle_spool() => {}
                None if is_quiet && !self.intake.has_work() => break,
                None => {}
            }
        }
        self.flush_results();
    }

    fn perform_intake(&mut self, output: IntakeOutput) {
        match output {
            IntakeOutput::Read { client, buffer } => {
                assert_eq!(client, self.client);
                self.reads.push_back(buffer);
                self.feed_chunks();
            }
            // Results are looked for after each turn.
            IntakeOutput::Write { client } => assert_eq!(client, self.client),
            IntakeOutput::Close { client } => {
                assert_eq!(client, self.client);
                self.is_client_there = false;
            }
            output @ (IntakeOutput::Store { .. }
            | IntakeOutput::Settle { .. }
            | IntakeOutput::Fetch { .. }) => self.perform_for_spool(output),
            IntakeOutput::FindLetters(_)
            | IntakeOutput::Forget { .. }
            | IntakeOutput::LettersTaken(_) => {
                unreachable!("nobody asks for dead letters")
            }
            IntakeOutput::Delivered { .. } => {}
            IntakeOutput::Breaker { .. } | IntakeOutput::Change(_) => {
                unreachable!("there is no socket to order it")
            }
            IntakeOutput::Ask { engine, from } => {
                self.input(usize::from(engine.0), Input::Ask { from })
            }
            IntakeOutput::Deliver { engine, mut job } => {
                let engine = usize::from(engine.0);
                let number = if self.spool.is_some() {
                    self.on_handed_out(&job)
                } else {
                    let number = self.model.on_accepted(self.mono, &job);
                    job.spooled = self.plan.spools.then_some(JobKey(number.into()));
                    number
                };
                let origin = self.model.books[number as usize].origin;
                self.owners[origin] = Some(engine);
                let origin = origin as u64;
                self.trace
                    .note(self.mono, engine, "job for origin", [number.into(), origin]);
                self.input(engine, Input::Job(job));
            }
        }
    }

    fn perform(&mut self, engine: usize, output: Output) {
        let now = self.mono;
        match output {
            Output::Connect { sock, addr, .. } => self.connect(engine, sock, addr),
            Output::Secure { sock, .. } => self.secure(end(engine, sock)),
            Output::Transmit { sock, look } => {
                let end = end(engine, sock);
                if look {
                    self.steps.push_back(Step::Look(end));
                }
                self.steps.push_back(Step::Write(end));
            }
            Output::Close { sock } => self.close(end(engine, sock)),
            Output::Query { sock, server } => self.query(engine, sock, server),
            Output::Done { mut job, ending } => {
                let number = self.model.on_done(now, &self.plan, &job, &ending);
                let outcome = ending.outcome.index() as u64;
                self.trace
                    .note(now, engine, "done", [number.into(), outcome]);
                if self.spool.is_none() {
                    // The world is the spool: intake knows of none.
                    job.spooled = None;
                }
                let engine = EngineId(engine as u16);
                let done = IntakeInput::Done {
                    engine,
                    job,
                    ending,
                };
                self.intake.handle_input(self.now(), done);
            }
            Output::Attempted { key, attempt } => {
                let number = self.number_of_key(key);
                self.model.on_attempted(self.now(), number, &attempt);
                let numbers = [key.0, attempt.attempts.into()];
                self.trace.note(now, engine, "attempted", numbers);
                self.tell_attempted(key, *attempt);
            }
            Output::Postponed { job } => {
                let number = self.model.on_postponed(now, &job);
                self.trace
                    .note(now, engine, "postponed", [number.into(), 0]);
                if self.spool.is_some() {
                    // It is handed out anew.
                    self.model.accepted -= 1;
                    let postponed = IntakeInput::Postponed { job };
                    self.intake.handle_input(self.now(), postponed);
                    return;
                }
                self.events.push(job.progress.due, Event::Due);
                self.postponed.push((job.progress.due, engine, job));
            }
            Output::Origin { origin, held } => {
                let engine = EngineId(engine as u16);
                let input = IntakeInput::Origin {
                    engine,
                    origin,
                    held,
                };
                self.intake.handle_input(self.now(), input);
            }
            Output::OriginRetired {
                origin,
                slot,
                tally,
            } => {
                self.trace.note(now, engine, "retired", [0, 0]);
                let known = self.model.origin_of(&self.plan, &origin);
                self.owners[known].take_if(|owner| *owner == engine);
                let engine = EngineId(engine as u16);
                let retired = IntakeInput::OriginRetired {
                    engine,
                    origin,
                    slot,
                    tally,
                };
                self.intake.handle_input(self.now(), retired);
            }
            Output::Rows(rows) => {
                let engine = EngineId(engine as u16);
                let rows = IntakeInput::Rows { engine, rows };
                self.intake.handle_input(self.now(), rows);
            }
            Output::Appetite(appetite) => {
                let input = IntakeInput::Appetite {
                    engine: EngineId(engine as u16),
                    waiting: appetite.waiting,
                    busy: appetite.busy,
                };
                self.intake.handle_input(self.now(), input);
            }
            Output::ConnectionClosed { reason, .. } => {
                self.model.see("closed", reason);
                self.model.see("note", "closed because");
                let numbers = [reason.len() as u64, 0];
                self.trace.note(now, engine, "closed because", numbers);
            }
            Output::Note(note) => {
                let (what, numbers) = self.model.on_note(now, &self.plan, &note);
                self.model.see("note", what);
                self.trace.note(now, engine, what, numbers);
            }
        }
    }

    /// Somebody wants something of a breaker: the engine is told that has the origin, or the only one.
    fn order(&mut self, index: usize) {
        let (_, of, order) = self.plan.orders[index];
        let only = (self.engines.len() == 1).then_some(0);
        let Some(engine) = self.owners[of].or(only) else {
            return;
        };
        let url = self.plan.url(of);
        let url = Url::parse(&url).expect("origins have URLs");
        let origin = Arc::new(url.to_origin());
        self.model.on_order(self.mono, &self.plan, &origin, order);
        self.trace
            .note(self.mono, 0, "order", [of as u64, order as u64]);
        self.input(engine, Input::Breaker { origin, order });
    }

    /// Jobs that were postponed are due: they come back, some as if the process had been started anew.
    fn bring_back(&mut self) {
        let now = self.now();
        let is_due = |(due, ..): &mut (Instant, usize, Box<Job>)| *due <= now.mono;
        let due: Vec<_> = self.postponed.extract_if(.., is_due).collect();
        for (_, engine, mut job) in due {
            if self.dice.chance(50) {
                job.age += now.mono.since(job.accepted.mono);
                job.accepted.mono = now.mono;
                if let Some(failure) = &mut job.progress.failure {
                    failure.excerpt = None;
                }
            }
            self.trace.note(now.mono, engine, "back", [0, 0]);
            self.input(engine, Input::Job(job));
        }
    }

    /// Jobs that have left their engines for a while.
    pub fn postponed(&self) -> usize {
        self.postponed.len()
    }

    pub(super) fn feed_chunks(&mut self) {
        while !self.reads.is_empty() {
            let cuts = self.dice.chance(self.plan.net.cuts);
            let Some(chunk) = self.feed.take_chunk(cuts, &mut self.dice) else {
                break;
            };
            self.reads.pop_front();
            let client = self.client;
            let input = IntakeInput::Chunk {
                client,
                bytes: chunk,
            };
            self.intake.handle_input(self.now(), input);
        }
        let may_end = self.spool.is_none() || self.model.all_acknowledged();
        if self.feed.end_now(may_end) {
            let (client, error) = (self.client, None);
            self.intake
                .handle_input(self.now(), IntakeInput::End { client, error });
        }
    }

    fn flush_results(&mut self) {
        if self.is_writing || self.intake.result_bytes(self.client) == 0 {
            return;
        }
        assert!(self.is_client_there, "who is told has not left");
        self.intake.take_results(self.client, &mut self.results);
        self.is_writing = true;
        let slow =
            self.plan.slow_reader && self.mono < Instant::from_nanos(0) + self.plan.faults_end;
        let takes = if slow {
            SLOW_WRITE
        } else {
            Duration::from_micros(100)
        };
        self.events.push(self.mono + takes, Event::Written);
    }

    fn on_written(&mut self) {
        if self.spool.is_some() {
            if self.model.on_answers(&self.results) {
                self.on_refused();
            }
        } else {
            self.model.on_results(&self.results);
        }
        let (client, bytes) = (self.client, self.results.len());
        self.results.clear();
        self.is_writing = false;
        self.intake
            .handle_input(self.now(), IntakeInput::Written { client, bytes });
        if self.spool.is_some() {
            self.feed_chunks();
        }
    }
}

fn engines(plan: &Scenario, dice: &mut Dice, now: Now) -> Vec<Engine> {
    let policy = shared(&plan.policy);
    let (hosts, servers) = plan.names();
    let names = Arc::new(Names::parse(hosts.as_bytes(), servers.as_bytes()));
    let engines = (0..plan.engines).map(|_| {
        let (policy, names) = (Arc::clone(&policy), Arc::clone(&names));
        Engine::new(now, policy, names, dice.seed())
    });
    engines.collect()
}

fn intake(plan: &Scenario, dice: &mut Dice, now: Now) -> (Intake, ClientId) {
    let spool = plan.spool.as_ref();
    let settings = Settings {
        max_job_bytes: 1 << 20,
        max_pending: plan.max_pending,
        max_pending_bytes: 256 << 20,
        // The model knows of no job that is refused.
        max_queued: spool.map_or(usize::MAX, |spool| spool.max_queued),
        max_connections: plan.policy.endpoint.max_connections as usize,
        ttl: plan.policy.endpoint.ttl,
        max_client_pending: usize::MAX,
        serves: false,
        spools: spool.is_some(),
        uid: 0,
        engines: plan.engines,
        timings: false,
    };
    let mut intake = Intake::new(now, settings, Rng::from_seed(dice.seed()), [1, 2]);
    let kind = match spool {
        Some(_) => Kind::Socket(Access::Submit),
        None => Kind::Feed,
    };
    let client = intake.open(kind);
    (intake, client)
}

pub fn end(engine: usize, sock: SockId) -> End {
    End {
        engine: engine as u8,
        bits: sock.to_bits(),
    }
}

fn now_at(mono: Instant) -> Now {
    Now {
        mono,
        wall: Wall::from_unix_nanos(EPOCH_NANOS + mono.as_nanos()),
    }
}
