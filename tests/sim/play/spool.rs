//! The spool in the simulation: a real journal on a disk that forgets, and a process that dies and starts again.
//!
//! ```text
//!   intake --Store, Settle, Fetch--> journal --Disk--> a disk that takes its time, and fails
//!          <--Stored, Durable, Fetched, Found--
//! ```
//! What the connector does between the machines is what `io/front` does. Who submits is a client of the socket: it
//! sends again what nobody has acknowledged, at a refusal and after a crash, and now and then what somebody has.
//!
//! Not here: what must follow for each job (`survival`).

#[path = "../../journal/disk.rs"]
pub mod disk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now};
use conduit::intake::event::{Input as IntakeInput, Output as IntakeOutput};
use conduit::journal::event::{Action, Attempt, Input, JobKey, OpId, Output, Submission, Verdict};
use conduit::journal::recovery::Recovery;
use conduit::journal::{Journal, Settings};
use conduit::wire::job::Job;

use self::disk::{Disk, Faults};
use super::dice::Dice;
use super::model::number_of;
use super::network::{Event, Events};
use super::scenario::Scenario;
use super::world::World;

/// How long a client waits before it sends again what was refused.
const SENT_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// What a run's spool is like.
#[derive(Clone, Debug)]
pub struct SpoolPlan {
    pub settings: Settings,
    pub faults: Faults,
    /// How long an operation takes, about.
    pub takes: Duration,
    /// When the process dies, and for how long; in order.
    pub crashes: Vec<Crash>,
    /// Jobs of one origin that wait in memory.
    pub max_queued: usize,
}

/// An end of the process that it does not survive.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub at: Duration,
    pub lasts: Duration,
    /// What was not synced may be lost; else only what was not written.
    pub is_power_cut: bool,
}

/// The journal and what it works with.
pub struct Spool {
    plan: SpoolPlan,
    journal: Journal,
    disk: Disk,
    /// The disk's own chance.
    rng: Rng,
    ops: VecDeque<(OpId, Action)>,
    reads: VecDeque<(OpId, Action)>,
    /// Which job has which key; each job's latest.
    numbers: BTreeMap<JobKey, u32>,
    durable_to: JobKey,
    /// What was refused will be sent again.
    sends_again: bool,
}

impl SpoolPlan {
    /// The spool that the dice say for this run. Everything is over when its faults are.
    pub fn decode(dice: &mut Dice, plan: &Scenario) -> SpoolPlan {
        let segment_bytes = dice.pick(&[16 * 1024, 64 * 1024, 512 * 1024]);
        let often = |dice: &mut Dice, of_thousand| if dice.chance(40) { of_thousand } else { 0 };
        let faults = Faults {
            write: often(dice, 10),
            sync: often(dice, 15),
            create: often(dice, 30),
            delete: often(dice, 30),
            short: often(dice, 200),
            capacity: dice.chance(25).then_some(segment_bytes * 12),
            no_allocate: dice.chance(10),
        };
        let end = plan.faults_end.as_millis() as u64;
        let count = dice.between(1, 4);
        let mut crashes: Vec<Crash> = (0..count)
            .map(|_| Crash {
                at: Duration::from_millis(dice.below(end * 3 / 4)),
                lasts: Duration::from_millis(dice.around(800).min(end / 16)),
                is_power_cut: dice.chance(70),
            })
            .collect();
        crashes.sort_by_key(|crash| crash.at);
        SpoolPlan {
            settings: Settings {
                segment_bytes,
                max_dead_bytes: dice.pick(&[0, 64 * 1024, 256 << 20]),
                ..Settings::default()
            },
            faults,
            takes: Duration::from_micros(dice.pick(&[20, 200, 5_000])),
            crashes,
            max_queued: dice.pick(&[10_000, 10_000, 20, 1]),
        }
    }
}

impl SpoolPlan {
    /// Whether jobs may wait on disk for room in memory.
    pub fn parks(&self, plan: &Scenario) -> bool {
        self.max_queued < plan.jobs as usize || plan.max_pending < plan.jobs as usize
    }
}

impl Spool {
    /// On an empty disk, with its crashes to come.
    pub fn new(plan: SpoolPlan, now: Now, events: &mut Events, dice: &mut Dice) -> Spool {
        for (crash, index) in plan.crashes.iter().zip(0..) {
            events.push(now.mono + crash.at, Event::Crash(index));
        }
        let mut rng = Rng::from_seed(dice.seed());
        let mut disk = Disk::default();
        let journal = recover(plan.settings, &mut disk, now, &mut rng);
        disk.faults = plan.faults;
        Spool {
            plan,
            journal,
            disk,
            rng,
            ops: VecDeque::new(),
            reads: VecDeque::new(),
            numbers: BTreeMap::new(),
            durable_to: JobKey(0),
            sends_again: false,
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.journal.poll_timeout()
    }

    pub fn check_invariants(&self) {
        self.journal.check_invariants();
    }

    pub fn is_idle(&self) -> bool {
        self.ops.is_empty() && self.reads.is_empty()
    }

    /// The jobs that a start would find now.
    fn pending(&mut self, now: Now) -> BTreeSet<JobKey> {
        let mut disk = self.disk.clone();
        disk.faults = Faults::default();
        let mut journal = recover(self.plan.settings, &mut disk, now, &mut self.rng);
        let found = std::iter::from_fn(|| journal.next_pending(now));
        found.map(|pending| pending.key).collect()
    }
}

impl World {
    /// Submits, settles, fetches for intake.
    pub(super) fn perform_for_spool(&mut self, output: IntakeOutput) {
        let now = self.now();
        let spool = self.spool.as_mut().expect("there is a spool");
        match output {
            IntakeOutput::Store {
                job,
                source,
                is_generated,
                line,
            } => {
                let submission = Submission {
                    id: &job.id,
                    user: job.source.user,
                    is_generated,
                    payload: spool.journal.seeds().of_payload(&job),
                    source,
                    line: &line,
                };
                let verdict = spool.journal.submit(now, &submission);
                let number = number_of(&job.id);
                let key = match verdict {
                    Verdict::New(key) => {
                        spool.numbers.insert(key, number);
                        self.model.on_stored(now.mono, number);
                        key.0
                    }
                    Verdict::Duplicate { .. } | Verdict::Refused(_) => 0,
                };
                self.trace.note(now.mono, 0, "store", [number.into(), key]);
                let stored = IntakeInput::Stored {
                    job,
                    is_generated,
                    line,
                    verdict,
                };
                self.intake.handle_input(now, stored);
            }
            IntakeOutput::Settle { key, how } => {
                self.trace.note(now.mono, 0, "settle", [key.0, 0]);
                spool.journal.handle_input(now, Input::Done { key, how });
            }
            IntakeOutput::Fetch { key } => {
                self.trace.note(now.mono, 0, "fetch", [key.0, 0]);
                spool.journal.handle_input(now, Input::Fetch { key });
            }
            output => unreachable!("not the spool's: {output:?}"),
        }
    }

    /// A job leaves for an engine: only now may it be sent. Gives its number.
    pub(super) fn on_handed_out(&mut self, job: &Job) -> u32 {
        let spool = self.spool.as_ref().expect("there is a spool");
        let key = job.spooled.expect("every job is in the spool");
        assert!(key <= spool.durable_to, "I9: {key:?} is not safe");
        let number = self.model.on_handed_out(self.mono, job);
        assert_eq!(spool.numbers.get(&key), Some(&number), "whose key that is");
        number
    }

    /// The number of the job that has this key.
    pub(super) fn number_of_key(&self, key: JobKey) -> u32 {
        let spool = self.spool.as_ref();
        spool.map_or(key.0 as u32, |spool| spool.numbers[&key])
    }

    pub(super) fn tell_attempted(&mut self, key: JobKey, attempt: Attempt) {
        let now = self.now();
        if let Some(spool) = &mut self.spool {
            let attempted = Input::Attempted { key, attempt };
            spool.journal.handle_input(now, attempted);
        }
    }

    /// The journal's time has come.
    pub(super) fn wake_spool(&mut self) {
        let now = self.now();
        if let Some(spool) = &mut self.spool
            && spool.poll_timeout().is_some_and(|due| due <= now.mono)
        {
            spool.journal.handle_timeout(now);
            self.trace.note(now.mono, 0, "journal's timeout", [0, 0]);
            self.settle();
        }
    }

    /// Whether the journal had anything to do or to tell, or intake anything to ask it.
    pub(super) fn settle_spool(&mut self) -> bool {
        let now = self.now();
        let Some(spool) = &mut self.spool else {
            return false;
        };
        self.model.has_forgotten |= spool.journal.status().forgotten > 0;
        if self.intake.wants_found() {
            let found = spool.journal.next_pending(now);
            self.trace.note(
                now.mono,
                0,
                "found",
                [found.map_or(0, |found| found.key.0), 0],
            );
            self.intake.handle_input(now, IntakeInput::Found(found));
            return true;
        }
        if let Some(output) = spool.journal.poll_output() {
            self.on_journal(output);
            return true;
        }
        // Open is what has room for any line.
        let refusal = spool.journal.refusal(usize::MAX);
        if refusal != self.intake.refusal() {
            self.trace
                .note(now.mono, 0, "spool refuses", [refusal.is_some().into(), 0]);
            self.intake
                .handle_input(now, IntakeInput::Spool { refusal });
            return true;
        }
        if spool.journal.is_flushed() {
            self.model.make_firm();
        }
        false
    }

    fn on_journal(&mut self, output: Output) {
        let now = self.now();
        let spool = self.spool.as_mut().expect("there is a spool");
        match output {
            Output::Disk { op, action } => {
                let is_read = matches!(action, Action::Read { .. });
                let queue = if is_read {
                    &mut spool.reads
                } else {
                    &mut spool.ops
                };
                queue.push_back((op, action));
                if queue.len() == 1 {
                    self.disk_begins(is_read);
                }
            }
            Output::Durable { up_to } => {
                self.trace.note(now.mono, 0, "durable", [up_to.0, 0]);
                let new = spool.numbers.range(spool.durable_to..=up_to);
                self.model
                    .on_durable(now.mono, new.map(|(_, number)| *number));
                spool.durable_to = up_to;
                self.intake
                    .handle_input(now, IntakeInput::Durable { up_to });
            }
            Output::Fetched { key, fetched } => {
                self.trace
                    .note(now.mono, 0, "fetched", [key.0, fetched.is_some().into()]);
                let fetched = IntakeInput::Fetched { key, fetched };
                self.intake.handle_input(now, fetched);
            }
            Output::Trouble { .. } => self.model.see("spool", "trouble"),
            Output::Recovered { .. } => self.model.see("spool", "recovered"),
            Output::LettersDropped { .. } => self.model.see("spool", "letters dropped"),
            Output::Corrupt(corruption) => panic!("{corruption}"),
        }
    }

    /// The disk begins with the next operation.
    fn disk_begins(&mut self, is_read: bool) {
        let spool = self.spool.as_ref().expect("there is a spool");
        let takes = self
            .dice
            .around(spool.plan.takes.as_nanos() as u64 / 1_000 + 1);
        let at = self.mono + Duration::from_micros(takes);
        self.events.push(at, Event::Disk { is_read });
    }

    /// The disk has done what it was told.
    pub(super) fn on_disk(&mut self, is_read: bool) {
        let now = self.now();
        let is_healed = self.elapsed() >= self.plan.faults_end;
        let spool = self.spool.as_mut().expect("there is a spool");
        if is_healed {
            spool.disk.faults = Faults::default();
        }
        let queue = if is_read {
            &mut spool.reads
        } else {
            &mut spool.ops
        };
        let (op, action) = queue.pop_front().expect("it has begun with one");
        let has_more = !queue.is_empty();
        let result = spool.disk.perform(&action, &mut spool.rng);
        self.trace
            .note(now.mono, 0, "disk", [op.0, result.is_ok().into()]);
        spool
            .journal
            .handle_input(now, Input::Performed { op, result });
        if has_more {
            self.disk_begins(is_read);
        }
    }

    /// The process dies, and starts again after a while.
    pub(super) fn crash(&mut self, index: u8) {
        let spool = self.spool.as_mut().expect("there is a spool");
        let crash = spool.plan.crashes[usize::from(index)];
        self.trace.note(self.mono, 0, "crash", [index.into(), 0]);
        let how = if crash.is_power_cut {
            "power cut"
        } else {
            "kill"
        };
        self.model.see("spool", how);
        if spool.journal.status().copied > 0 {
            self.model.see("spool", "copied");
        }
        // The disk may be in the middle of something.
        if self.dice.chance(50)
            && let Some((_, action)) = spool.ops.front()
        {
            let _nobody_hears = spool.disk.perform(action, &mut spool.rng);
        }
        if crash.is_power_cut {
            spool.disk.crash(&mut spool.rng);
        } else {
            spool.disk.outlive();
        }
        spool.ops.clear();
        spool.reads.clear();
        self.events.retain(Event::survives);
        for engine in 0..self.sockets.len() {
            let sockets = std::mem::take(&mut self.sockets[engine]);
            sockets.iter().for_each(|sock| self.on_gone(sock));
        }
        self.mono = self.mono + crash.lasts;
        self.start_machines();
        self.start_spool(crash.is_power_cut);
        self.model.on_pause(self.mono - crash.lasts, crash.lasts);
        self.send_again();
    }

    /// Reads the disk, and holds what is there against what was said.
    fn start_spool(&mut self, is_power_cut: bool) {
        let now = self.now();
        let spool = self.spool.as_mut().expect("there is a spool");
        let faults = std::mem::take(&mut spool.disk.faults);
        let pending = spool.pending(now);
        spool.journal = recover(spool.plan.settings, &mut spool.disk, now, &mut spool.rng);
        spool.disk.faults = faults;
        spool.journal.check_invariants();
        spool.sends_again = false;
        spool.durable_to = pending.last().copied().unwrap_or_default();
        let numbers = pending.iter().map(|key| {
            let number = spool.numbers.get(key);
            *number.expect("what is found was submitted")
        });
        let numbers: BTreeSet<u32> = numbers.collect();
        assert_eq!(numbers.len(), pending.len(), "I10: one job twice");
        // Keys that were never safe may be given out again.
        spool.numbers.retain(|key, _| pending.contains(key));
        self.model.on_restart(now.mono, &numbers, is_power_cut);
    }

    /// The client sends what it has no answer to, and a little of what it has one to.
    fn send_again(&mut self) {
        let mut again = self.model.unacknowledged();
        let known = self.model.acknowledged();
        for _ in 0..known.len() / 20 {
            again.push(self.dice.pick(&known));
        }
        self.feed.begin_again(&again);
    }

    /// What was refused is sent again, later.
    pub(super) fn on_refused(&mut self) {
        let spool = self.spool.as_mut().expect("there is a spool");
        if !spool.sends_again {
            spool.sends_again = true;
            self.events
                .push(self.mono + SENT_AGAIN_AFTER, Event::Refused);
        }
    }

    /// Now.
    pub(super) fn resubmit(&mut self) {
        let spool = self.spool.as_mut().expect("there is a spool");
        spool.sends_again = false;
        let again = self.model.take_refused();
        self.feed.add_again(&again);
        self.feed_chunks();
    }
}

/// What is on the disk becomes a journal.
fn recover(settings: Settings, disk: &mut Disk, now: Now, rng: &mut Rng) -> Journal {
    let files = disk.files();
    let names = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    let mut recovery = Recovery::new(settings, names, rng);
    while let Some((op, action)) = recovery.poll_output() {
        let result = disk.perform(&action, rng);
        recovery.handle_input(op, result);
    }
    let (journal, summary) = recovery.finish(now).expect("our own version");
    assert_eq!(summary.corruptions, [], "a crash is no corruption");
    journal
}
