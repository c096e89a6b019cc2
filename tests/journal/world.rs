//! One run: a journal, a disk, a model, and what happens to them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now, Wall};
use conduit::journal::event::{
    Action, Attempt, DiskError, How, Input, JobKey, Known, Letter, OpId, Output, Performed,
    Refusal, SourceKind, Submission, Verdict,
};
use conduit::journal::recovery::{Recovery, Summary};
use conduit::journal::{Journal, Settings};
use conduit::wire::job::User;
use conduit::wire::report::{ErrorKind, Outcome};

use crate::disk::{Disk, Faults};
use crate::model::{End, Job, Model, State};

/// What happened in all, so that a run in which nothing does is seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) jobs: u64,
    pub(crate) crashes: u64,
    pub(crate) troubles: u64,
    pub(crate) recovered: u64,
    pub(crate) full: u64,
    pub(crate) copied: u64,
    pub(crate) dropped: u64,
    pub(crate) duplicates: u64,
    pub(crate) redelivered: u64,
    pub(crate) fetched: u64,
    pub(crate) letters: u64,
    pub(crate) steps: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Totals) {
        let Totals {
            jobs,
            crashes,
            troubles,
            recovered,
            full,
            copied,
            ..
        } = other;
        self.jobs += jobs;
        self.crashes += crashes;
        self.troubles += troubles;
        self.recovered += recovered;
        self.full += full;
        self.copied += copied;
        self.dropped += other.dropped;
        self.duplicates += other.duplicates;
        self.redelivered += other.redelivered;
        self.fetched += other.fetched;
        self.letters += other.letters;
        self.steps += other.steps;
    }

    pub(crate) fn check_all_happened(&self) {
        let Totals {
            jobs,
            crashes,
            troubles,
            recovered,
            full,
            copied,
            ..
        } = *self;
        for count in [jobs, crashes, troubles, recovered, full, copied] {
            assert!(count > 0, "{self:?}");
        }
        for count in [
            self.dropped,
            self.duplicates,
            self.redelivered,
            self.fetched,
            self.letters,
        ] {
            assert!(count > 0, "{self:?}");
        }
    }
}

pub(crate) struct World {
    rng: Rng,
    pub(crate) settings: Settings,
    /// The least and the most that was allowed of dead letters so far.
    dead_bytes: (u64, u64),
    pub(crate) disk: Disk,
    pub(crate) journal: Journal,
    pub(crate) model: Model,
    pub(crate) totals: Totals,
    pub(crate) now: Now,
    /// Whether disk or limit were ever small.
    is_small: bool,
    /// Operations in their order, and reads beside them.
    ops: VecDeque<(OpId, Action)>,
    reads: Vec<(OpId, Action)>,
    results: VecDeque<(OpId, Result<Performed, DiskError>)>,
    /// What was asked for, and must come.
    fetching: BTreeMap<JobKey, u32>,
    durable_to: JobKey,
    ids: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::from_seed(bytes);
        let segment_bytes = [2048, 4096, 16 * 1024][rng.below(3) as usize];
        let settings = Settings {
            segment_bytes,
            max_spool_bytes: (rng.below(4) == 0).then_some(segment_bytes * 12),
            max_dead_bytes: [0, 4096, 1 << 20, 1 << 20][rng.below(4) as usize],
            remembered: [0, 3, 40][rng.below(3) as usize],
            max_wait: Duration::from_secs(60),
            disk_bytes: None,
        };
        let mut chance = |of_thousand| if rng.below(2) == 0 { 0 } else { of_thousand };
        let faults = Faults {
            write: chance(20),
            sync: chance(30),
            create: chance(50),
            delete: chance(50),
            short: chance(200),
            capacity: (chance(1) == 1).then_some(segment_bytes * 9),
            no_allocate: chance(1) == 1 && chance(1) == 1,
        };
        let mut disk = Disk::default();
        disk.faults = faults;
        World::on(settings, disk, rng)
    }

    /// A journal on a disk that does as it is told.
    pub(crate) fn calm(settings: Settings) -> World {
        World::seeded(settings, 9)
    }

    /// The same with other chances.
    pub(crate) fn seeded(settings: Settings, seed: u8) -> World {
        let mut world = World::on(settings, Disk::default(), Rng::from_seed([seed; 32]));
        world.settle();
        world
    }

    /// What is to be written next is written, and not synced.
    pub(crate) fn perform_write(&mut self) {
        while let Some((op, action)) = self.ops.pop_front() {
            let result = self.disk.perform(&action, &mut self.rng);
            let is_write = matches!(action, Action::Write { .. });
            self.results.push_back((op, result));
            if is_write {
                return;
            }
            self.deliver();
            self.pull();
        }
        panic!("nothing is to be written");
    }

    /// The power goes, and nobody has been told anything since.
    pub(crate) fn cut_power(&mut self) {
        self.disk.crash(&mut self.rng);
    }

    /// Reads the disk as if the program had just started.
    pub(crate) fn restart(&mut self) -> Summary {
        self.ops.clear();
        self.reads.clear();
        self.results.clear();
        let (journal, summary) = recover(self.settings, &mut self.disk, self.now, &mut self.rng);
        self.journal = journal;
        self.durable_to = JobKey(0);
        summary
    }

    pub(crate) fn on(settings: Settings, disk: Disk, mut rng: Rng) -> World {
        let now = Now {
            mono: Instant::from_nanos(1_000_000_000_000),
            wall: Wall::from_unix_seconds(1_700_000_000),
        };
        let mut disk = disk;
        let (journal, _) = recover(settings, &mut disk, now, &mut rng);
        World {
            is_small: settings.max_spool_bytes.or(disk.faults.capacity).is_some(),
            rng,
            settings,
            dead_bytes: (settings.dead_bytes(), settings.dead_bytes()),
            disk,
            journal,
            model: Model::default(),
            totals: Totals::default(),
            now,
            ops: VecDeque::new(),
            reads: Vec::new(),
            results: VecDeque::new(),
            fetching: BTreeMap::new(),
            durable_to: JobKey(0),
            ids: 0,
        }
    }

    pub(crate) fn run(mut self) -> Totals {
        let steps = 300 + self.rng.below(700);
        for _ in 0..steps {
            self.step();
        }
        self.crash();
        self.disk.faults = Faults::default();
        self.finish();
        self.totals.steps += steps;
        self.totals
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..30 => self.submit_something(),
            30..45 => self.end_something(),
            45..50 => self.attempt_something(),
            50..54 => self.fetch_something(),
            54..56 => self.forget_something(),
            56..64 => {
                let bits = self.rng.below(34);
                let nanos = self.rng.below(1 << bits);
                self.pass(Duration::from_nanos(nanos));
            }
            64 if self.rng.below(4) == 0 => {
                let max = [0, 512, 4096, 1 << 20][self.rng.below(4) as usize];
                self.limit_letters(max);
            }
            64..99 => {
                for _ in 0..=self.rng.below(6) {
                    self.perform_one();
                }
            }
            _ => self.crash(),
        }
        self.pull();
        self.journal.check_invariants();
    }

    /// So many bytes of dead letters are kept from now on.
    pub(crate) fn limit_letters(&mut self, max: u64) {
        self.settings.max_dead_bytes = max;
        let (least, most) = self.dead_bytes;
        let kept = self.settings.dead_bytes();
        self.dead_bytes = (least.min(kept), most.max(kept));
        self.journal
            .handle_input(self.now, Input::MaxDeadBytes(max));
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        let wall = self.now.wall.unix_nanos() + time.as_nanos() as u64;
        self.now.wall = Wall::from_unix_nanos(wall);
        if self
            .journal
            .poll_timeout()
            .is_some_and(|due| due <= self.now.mono)
        {
            self.journal.handle_timeout(self.now);
        }
        self.pull();
        if let Some(due) = self.journal.poll_timeout()
            && due <= self.now.mono
        {
            // Bounded work was left over: it must come to an end.
            for _ in 0..1_000 {
                self.journal.handle_timeout(self.now);
                self.pull();
                if self
                    .journal
                    .poll_timeout()
                    .is_none_or(|due| due > self.now.mono)
                {
                    return;
                }
            }
            panic!("the next wake-up is later than now");
        }
    }

    fn submit_something(&mut self) {
        let old = self.rng.below(4) == 0 && !self.model.jobs.is_empty();
        let id = if old {
            self.some_job(|_| true)
                .map(|key| self.model.jobs[&key].id.clone())
        } else {
            None
        };
        let id = id.unwrap_or_else(|| {
            self.ids += 1;
            format!("job-{}", self.ids)
        });
        let size = match self.rng.below(20) {
            0 => self.rng.below(8_000),
            1..10 => self.rng.below(900),
            _ => self.rng.below(60),
        };
        let line: Vec<u8> = (0..size).map(|_| b'a' + self.rng.below(26) as u8).collect();
        let is_generated = self.rng.below(3) == 0;
        self.submit(&id, line, is_generated);
    }

    /// Submits, and holds the verdict against the model.
    pub(crate) fn submit(&mut self, id: &str, line: Vec<u8>, is_generated: bool) -> Verdict {
        let payload = [
            line.len() as u64,
            line.first().map_or(0, |byte| u64::from(*byte)),
        ];
        let verdict = self.journal.submit(
            self.now,
            &Submission {
                id,
                user: User::Own,
                is_generated,
                payload,
                source: SourceKind::Socket,
                line: &line,
            },
        );
        let same_id = || self.model.jobs.iter().rev().filter(|(_, job)| job.id == id);
        match verdict {
            Verdict::New(key) => {
                let is_open = |state| matches!(state, State::Submitted | State::Acknowledged);
                assert!(
                    !same_id().any(|(_, job)| is_open(job.state)),
                    "{id} is pending"
                );
                self.totals.jobs += 1;
                // A letter that is not safe when its id is submitted again is never written.
                let dying = State::Ended {
                    how: End::Dead,
                    firm: false,
                };
                let unsafe_letters = same_id().filter(|(_, job)| job.state == dying);
                let unsafe_letters: Vec<JobKey> = unsafe_letters.map(|(key, _)| *key).collect();
                self.model.replaced.extend(unsafe_letters);
                let job = Job {
                    id: id.to_owned(),
                    payload,
                    line,
                    is_generated,
                    state: State::Submitted,
                    attempts: 0,
                    accepted: self.now.wall.unix_millis(),
                };
                let old = self.model.jobs.insert(key, job).map(|job| job.state);
                let was_lost = |state| matches!(state, State::Ended { firm: false, .. });
                assert!(old.is_none_or(was_lost), "keys are new: {key:?} {old:?}");
            }
            Verdict::Duplicate {
                known,
                same_payload,
            } => {
                self.totals.duplicates += 1;
                let is_delivered = |job: &&Job| {
                    matches!(
                        job.state,
                        State::Ended {
                            how: End::Delivered,
                            ..
                        }
                    )
                };
                let perhaps = || self.model.perhaps.iter().rev().find(|job| job.id == id);
                let job = match known {
                    Known::Pending(key) => &self.model.jobs[&key],
                    Known::Delivered => same_id()
                        .map(|(_, job)| job)
                        .find(is_delivered)
                        .or_else(perhaps)
                        .expect("it was delivered"),
                };
                assert_eq!(job.id, id);
                // Where the last delivery of an id was forgotten, one before may be what is known.
                if known != Known::Delivered || !self.is_small {
                    assert_eq!(same_payload, job.payload == payload);
                }
            }
            Verdict::Refused(Refusal::Full) => self.totals.full += 1,
            Verdict::Refused(Refusal::Trouble | Refusal::Behind) => {}
        }
        verdict
    }

    fn some_job(&mut self, is_it: impl Fn(&Job) -> bool) -> Option<JobKey> {
        let keys: Vec<JobKey> = self
            .model
            .jobs
            .iter()
            .filter(|(_, job)| is_it(job))
            .map(|(key, _)| *key)
            .collect();
        (!keys.is_empty()).then(|| keys[self.rng.below(keys.len() as u64) as usize])
    }

    fn end_something(&mut self) {
        for _ in 0..=self.rng.below(5) {
            let Some(key) = self.some_job(|job| job.state == State::Acknowledged) else {
                return;
            };
            let how =
                [End::Delivered, End::Delivered, End::Ended, End::Dead][self.rng.below(4) as usize];
            self.end(key, how);
        }
    }

    pub(crate) fn end(&mut self, key: JobKey, how: End) {
        let job = self.model.jobs.get_mut(&key).expect("a job");
        job.state = State::Ended { how, firm: false };
        let input = match how {
            End::Delivered => How::Delivered,
            End::Ended | End::Forgotten => How::Ended,
            End::Dead => How::Dead(Box::new(Letter {
                id: job.id.as_str().into(),
                origin: "https://a.example".into(),
                outcome: Outcome::Exhausted,
                kind: ErrorKind::Http,
                message: "the answer was 503".into(),
                attempts: 4,
                status: 503,
                ended: self.now.wall,
            })),
        };
        if how == End::Delivered {
            self.model.delivered.push(key);
        }
        self.journal
            .handle_input(self.now, Input::Done { key, how: input });
    }

    fn attempt_something(&mut self) {
        let Some(key) = self.some_job(|job| job.state == State::Acknowledged) else {
            return;
        };
        let job = self.model.jobs.get_mut(&key).expect("a job");
        job.attempts += 1;
        let attempt = Attempt {
            attempts: job.attempts,
            due: Wall::from_unix_nanos(self.now.wall.unix_nanos() + 5_000_000_000),
            status: 503,
            kind: ErrorKind::Http,
            message: "the answer was 503".into(),
        };
        self.journal
            .handle_input(self.now, Input::Attempted { key, attempt });
    }

    fn fetch_something(&mut self) {
        if let Some(key) = self.some_job(|job| job.state == State::Acknowledged) {
            self.fetch(key);
        }
    }

    fn fetch(&mut self, key: JobKey) {
        *self.fetching.entry(key).or_default() += 1;
        self.journal.handle_input(self.now, Input::Fetch { key });
    }

    fn forget_something(&mut self) {
        let letters = self.journal.letters(JobKey(0), 10);
        if let Some(key) = letters.first() {
            let job = self.model.jobs.get_mut(key).expect("a letter of a job");
            job.state = State::Ended {
                how: End::Forgotten,
                firm: false,
            };
            self.journal
                .handle_input(self.now, Input::Forget { key: *key });
        }
    }

    /// One operation is performed, or one result arrives.
    pub(crate) fn perform_one(&mut self) {
        match self.rng.below(3) {
            0 if !self.results.is_empty() => self.deliver(),
            1 if !self.reads.is_empty() => {
                let at = self.rng.below(self.reads.len() as u64) as usize;
                let (op, action) = self.reads.swap_remove(at);
                let result = self.disk.perform(&action, &mut self.rng);
                self.results.push_back((op, result));
            }
            _ => {
                if let Some((op, action)) = self.ops.pop_front() {
                    let result = self.disk.perform(&action, &mut self.rng);
                    self.results.push_back((op, result));
                } else if !self.results.is_empty() {
                    self.deliver();
                }
            }
        }
        self.pull();
    }

    /// Everything that is under way is performed, and what follows from it.
    pub(crate) fn perform_all(&mut self) {
        self.pull();
        while !self.ops.is_empty() || !self.reads.is_empty() || !self.results.is_empty() {
            self.perform_one();
        }
    }

    fn deliver(&mut self) {
        if let Some((op, result)) = self.results.pop_front() {
            self.journal
                .handle_input(self.now, Input::Performed { op, result });
        }
    }

    /// Everything that the journal asks for and tells.
    pub(crate) fn pull(&mut self) {
        while let Some(output) = self.journal.poll_output() {
            match output {
                Output::Disk {
                    op,
                    action: action @ Action::Read { .. },
                } => self.reads.push((op, action)),
                Output::Disk { op, action } => self.ops.push_back((op, action)),
                Output::Durable { up_to } => {
                    assert!(up_to > self.durable_to, "the watermark rises");
                    self.durable_to = up_to;
                    let jobs = self.model.jobs.range(..=up_to);
                    let new = jobs.filter(|(_, job)| job.state == State::Submitted);
                    for key in new.map(|(key, _)| *key).collect::<Vec<_>>() {
                        self.model.acknowledge(key);
                    }
                }
                Output::Fetched { key, fetched } => self.on_fetched(key, fetched.as_deref()),
                Output::Trouble { retry, .. } => {
                    self.totals.troubles += 1;
                    assert!(retry > self.now.mono);
                }
                Output::Recovered { .. } => self.totals.recovered += 1,
                Output::LettersDropped { letters } => self.totals.dropped += u64::from(letters),
                Output::Corrupt(corruption) => panic!("{corruption}"),
            }
        }
        if self.journal.is_flushed() {
            self.model.make_firm();
        }
    }

    fn on_fetched(&mut self, key: JobKey, fetched: Option<&conduit::journal::event::Fetched>) {
        let waiting = self.fetching.get_mut(&key).expect("it was asked for");
        *waiting -= 1;
        if *waiting == 0 {
            self.fetching.remove(&key);
        }
        self.totals.fetched += 1;
        let job = &self.model.jobs[&key];
        let Some(fetched) = fetched else {
            assert!(
                matches!(job.state, State::Ended { .. }),
                "{key:?} can be fetched"
            );
            return;
        };
        assert_eq!(*fetched.line, *job.line);
        let id = job.is_generated.then_some(job.id.as_str());
        assert_eq!(fetched.generated_id.as_deref(), id);
        assert_eq!(fetched.accepted.unix_millis(), job.accepted);
        if let Some(letter) = &fetched.letter {
            assert_eq!(*letter.id, *job.id);
        }
    }

    /// The power goes; perhaps in the middle of an operation.
    fn crash(&mut self) {
        self.totals.crashes += 1;
        self.totals.copied += self.journal.status().copied;
        if self.rng.below(2) == 0
            && let Some((_, action)) = self.ops.pop_front()
        {
            let _nobody_hears = self.disk.perform(&action, &mut self.rng);
        }
        self.disk.crash(&mut self.rng);
        self.ops.clear();
        self.reads.clear();
        self.results.clear();
        self.fetching.clear();
        let (journal, summary) = recover(self.settings, &mut self.disk, self.now, &mut self.rng);
        assert_eq!(summary.corruptions, [], "a crash is no corruption");
        self.journal = journal;
        self.journal.check_invariants();
        self.compare();
    }

    /// Holds what was read back against the model, which then takes it for true.
    fn compare(&mut self) {
        let remembered = self.model.remembered(self.settings.remembered);
        let remembered: Vec<(String, Vec<u8>)> = remembered
            .map(|job| (job.id.clone(), job.line.clone()))
            .collect();
        // Those before are forgotten, also where one of the last is found pending again.
        let forgotten = self
            .model
            .delivered
            .len()
            .saturating_sub(self.settings.remembered);
        self.model.delivered.drain(..forgotten);
        let mut pending = BTreeMap::new();
        while let Some(found) = self.journal.next_pending(self.now) {
            assert!(
                found.due >= self.now.mono && found.due <= self.now.mono + self.settings.max_wait
            );
            assert!(pending.insert(found.key, found).is_none(), "once");
        }
        for key in pending.keys() {
            if self
                .model
                .jobs
                .get(key)
                .is_some_and(|job| job.state == State::Submitted)
            {
                self.model.acknowledge(*key);
            }
        }
        let letters = self.journal.letters(JobKey(0), usize::MAX);
        let unknown = letters
            .iter()
            .find(|key| !self.model.jobs.contains_key(key));
        assert_eq!(unknown, None, "a letter of no job");
        self.totals.letters += letters.len() as u64;
        // Letters that are too many may have gone.
        let (least, most) = self.dead_bytes;
        let (keeps, keeps_all) = (most > 0, least >= 1 << 20);
        for key in self.model.jobs.keys().copied().collect::<Vec<_>>() {
            let allowed = self.model.allowed(key, keeps);
            let found = pending.remove(&key);
            let is_letter = letters.contains(&key);
            let job = self.model.jobs.get_mut(&key).expect("a job");
            let what = format!(
                "{key:?} {} {:?} {allowed:?} {found:?} {is_letter}",
                job.id, job.state
            );
            assert!(!(found.is_some() && is_letter), "one or the other: {what}");
            if let Some(found) = found {
                assert!(allowed.pending, "ended before: {what}");
                assert_eq!(found.line_bytes as usize, job.line.len());
                assert_eq!(found.accepted.unix_millis(), job.accepted);
                assert!(found.attempts <= job.attempts);
                job.attempts = found.attempts;
                self.totals.redelivered += u64::from(matches!(job.state, State::Ended { .. }));
                self.model.acknowledge(key);
                self.model.delivered.retain(|other| *other != key);
            } else if is_letter {
                assert!(allowed.letter, "no letter: {what}");
                job.state = State::Ended {
                    how: End::Dead,
                    firm: true,
                };
            } else {
                assert!(allowed.gone || allowed.letter && !keeps_all, "lost: {what}");
                match job.state {
                    State::Ended {
                        how: End::Delivered,
                        firm: false,
                    } => {
                        // It may be remembered or not, and its key may be given out again.
                        self.model.perhaps.push(job.clone());
                        self.model.jobs.remove(&key);
                        for other in self.model.delivered.iter_mut().filter(|it| **it == key) {
                            *other = JobKey(0);
                        }
                    }
                    State::Ended { firm: true, .. } => {}
                    // It was replaced; the word of that may not be safe yet.
                    State::Ended {
                        how: End::Dead | End::Forgotten,
                        firm: false,
                    } => {
                        job.state = State::Ended {
                            how: End::Forgotten,
                            firm: false,
                        };
                    }
                    State::Ended { firm: false, .. } | State::Submitted | State::Acknowledged => {
                        self.model.jobs.remove(&key);
                    }
                }
            }
        }
        assert!(pending.is_empty(), "never submitted: {pending:?}");
        self.durable_to = JobKey(0);
        for (id, line) in remembered {
            let verdict = self.submit(&id, line, false);
            let expected = Verdict::Duplicate {
                known: Known::Delivered,
                same_payload: true,
            };
            // Where room is short, the memory of what was delivered gives way.
            if !self.is_small {
                assert_eq!(verdict, expected, "{id} was delivered");
            }
        }
        for key in self.model.jobs.keys().copied().collect::<Vec<_>>() {
            if self.model.jobs[&key].state == State::Acknowledged {
                self.fetch(key);
            }
        }
        self.pull();
    }

    /// The disk works again: everything becomes safe, and once all has ended next to nothing is left.
    pub(crate) fn finish(&mut self) {
        self.settle();
        for key in self.model.jobs.keys().copied().collect::<Vec<_>>() {
            if self.model.jobs[&key].state == State::Acknowledged {
                self.end(key, End::Delivered);
            }
        }
        self.settle();
        assert!(self.fetching.is_empty(), "{:?}", self.fetching);
        let status = self.journal.status();
        assert_eq!(status.pending, 0, "{status:?}");
        let jobs = self
            .disk
            .files()
            .into_iter()
            .filter(|(name, _)| name.starts_with("jobs"));
        assert!(
            jobs.clone().count() <= 10,
            "{:?} {:#?}",
            jobs.collect::<Vec<_>>(),
            self.journal
        );
        self.crash();
    }

    /// Lets time pass until nothing is under way.
    pub(crate) fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 2_000, "it comes to rest: {:#?}", self.journal);
            self.perform_all();
            match self.journal.poll_timeout() {
                Some(due) => self.pass(due.since(self.now.mono)),
                None if self.journal.is_flushed() => return,
                None => panic!("it waits for nothing: {:#?}", self.journal),
            }
            if round > 100 && self.journal.is_flushed() && self.ops.is_empty() {
                return;
            }
        }
    }
}

/// What is on the disk becomes a journal.
pub(crate) fn recover(
    settings: Settings,
    disk: &mut Disk,
    now: Now,
    rng: &mut Rng,
) -> (Journal, Summary) {
    // A start at which a sync fails is none.
    let failing = std::mem::take(&mut disk.faults.sync);
    let files = disk.files();
    let names = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    let mut recovery = Recovery::new(settings, names, rng);
    while let Some((op, action)) = recovery.poll_output() {
        let result = disk.perform(&action, rng);
        recovery.handle_input(op, result);
    }
    disk.faults.sync = failing;
    recovery.finish(now).expect("our own version")
}
