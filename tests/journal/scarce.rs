//! Small disks, small limits, and segments that rot: whatever fills a spool and in whatever order, jobs are taken in
//! again by themselves once those that are there have ended, also after a restart; and nothing is deleted that was
//! not understood.
//!
//! `CONDUIT_SCARCE_SEED=7` plays one of the small disks, `CONDUIT_SIM_SEEDS` says how many of each are played.

use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::journal::Settings;
use conduit::journal::event::{Attempt, Input, JobKey, Refusal, Verdict};
use conduit::wire::report::ErrorKind;

use crate::model::{End, State};
use crate::world::World;

/// Seeds that `cargo test` plays, of each kind.
const SEEDS: u64 = 8;

/// The least bytes of a disk or limit that are played, and of a segment then.
const LEAST_BYTES: u64 = 256 * 1024;

/// What is played more often on one seed than on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bent {
    /// Many small jobs are delivered: the memory of them grows.
    Remembering,
    /// The receiver is down while the spool fills and the program stops.
    Stopping,
    /// Most jobs die.
    Dying,
}

struct Scarce {
    world: World,
    rng: Rng,
    bent: Bent,
    jobs: u64,
}

fn seeds() -> std::ops::Range<u64> {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match from_env("CONDUIT_SCARCE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("CONDUIT_SIM_SEEDS").unwrap_or(SEEDS),
    }
}

#[test]
fn f150_the_memory_of_delivered_ids_never_keeps_jobs_out() {
    for seed in seeds() {
        println!("CONDUIT_SCARCE_SEED={seed}");
        Scarce::new(Bent::Remembering, seed).run();
    }
}

#[test]
fn f152_what_has_filled_a_disk_ends_after_a_restart_too() {
    for seed in seeds() {
        println!("CONDUIT_SCARCE_SEED={seed}");
        Scarce::new(Bent::Stopping, seed).run();
    }
}

#[test]
fn f154_dead_letters_never_keep_jobs_out() {
    for seed in seeds() {
        println!("CONDUIT_SCARCE_SEED={seed}");
        Scarce::new(Bent::Dying, seed).run();
    }
}

impl Scarce {
    fn new(bent: Bent, seed: u64) -> Scarce {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::from_seed(bytes);
        let capacity = LEAST_BYTES << rng.below(2);
        let is_disk = rng.below(2) == 0;
        let settings = Settings {
            max_spool_bytes: (!is_disk || rng.below(3) == 0).then_some(capacity),
            max_dead_bytes: [0, 1024, 256 << 10, 256 << 20][rng.below(4) as usize],
            ..Settings::default()
        };
        let settings = settings.fitting(if is_disk { capacity } else { 1 << 40 });
        let mut world = World::seeded(settings, seed as u8);
        world.disk.faults.capacity = is_disk.then_some(capacity);
        Scarce {
            world,
            rng,
            bent,
            jobs: 0,
        }
    }

    fn run(mut self) {
        for _ in 0..4 {
            match self.bent {
                Bent::Remembering => {
                    for _ in 0..60 {
                        self.submit_some(50, 60);
                        self.end_all();
                    }
                }
                Bent::Stopping | Bent::Dying => {
                    self.fill();
                    self.attempt_all();
                }
            }
            if self.bent == Bent::Stopping || self.rng.below(2) == 0 {
                self.stop_and_start();
            }
            self.end_all();
            self.assert_open("after everything has ended");
            if self.rng.below(2) == 0 {
                self.stop_and_start();
                self.assert_open("after a restart");
            }
        }
    }

    /// Until the spool is full.
    fn fill(&mut self) {
        let bytes = [60, 300, 3_000, 12_000][self.rng.below(4) as usize];
        for _ in 0..20_000 {
            if !self.submit(bytes) {
                return;
            }
        }
        panic!("no end of a small disk: {:?}", self.world.journal.status());
    }

    fn submit_some(&mut self, jobs: u64, bytes: u64) {
        for _ in 0..jobs {
            self.submit(bytes);
        }
    }

    /// Submits a job of about so many bytes; false if the spool is full.
    fn submit(&mut self, bytes: u64) -> bool {
        self.jobs += 1;
        let id = format!("job-{}", self.jobs);
        let line = vec![b'x'; (bytes / 2 + self.rng.below(bytes)) as usize];
        for _ in 0..2_000 {
            match self.world.submit(&id, line.clone(), false) {
                Verdict::New(_) => return true,
                Verdict::Refused(Refusal::Full) => return false,
                Verdict::Refused(_) => {}
                verdict @ Verdict::Duplicate { .. } => panic!("{verdict:?}"),
            }
            for _ in 0..20 {
                self.world.perform_one();
            }
            self.world.pass(Duration::from_millis(10));
        }
        panic!(
            "neither taken nor refused: {:?}",
            self.world.journal.status()
        );
    }

    fn open(&self) -> Vec<JobKey> {
        let jobs = self.world.model.jobs.iter();
        let open = jobs.filter(|(_, job)| job.state == State::Acknowledged);
        open.map(|(key, _)| *key).collect()
    }

    /// The receiver is down: each job fails some times.
    fn attempt_all(&mut self) {
        self.rest(200);
        for attempts in 1..=3 {
            for key in self.open() {
                let attempt = Attempt {
                    attempts,
                    due: self.world.now.wall,
                    status: 0,
                    kind: ErrorKind::Connect,
                    message: "connection refused".into(),
                };
                let input = Input::Attempted { key, attempt };
                self.world.journal.handle_input(self.world.now, input);
            }
            self.rest(100);
        }
    }

    /// Every job ends, in any order.
    fn end_all(&mut self) {
        self.rest(200);
        let mut open = self.open();
        while !open.is_empty() {
            for _ in 0..50 {
                if open.is_empty() {
                    break;
                }
                let key = open.swap_remove(self.rng.below(open.len() as u64) as usize);
                let is_dying = self.rng.below(10) < if self.bent == Bent::Dying { 9 } else { 1 };
                self.world
                    .end(key, if is_dying { End::Dead } else { End::Delivered });
            }
            self.rest(30);
        }
        self.rest(2_000);
        let status = self.world.journal.status();
        assert_eq!(status.pending, 0, "all have ended: {status:?}");
        assert!(
            self.world.journal.is_flushed(),
            "and it is safe: {status:?}"
        );
        let is_open = |state| !matches!(state, State::Ended { firm: true, .. });
        self.world.model.jobs.retain(|_, job| is_open(job.state));
        self.world.model.delivered.clear();
    }

    /// Lets things happen until nothing is under way, at most so many times.
    fn rest(&mut self, rounds: u32) {
        for _ in 0..rounds {
            self.world.perform_all();
            let due = self.world.journal.poll_timeout();
            let Some(due) = due else {
                return;
            };
            let wait = due.since(self.world.now.mono);
            self.world.pass(wait);
        }
    }

    fn assert_open(&mut self, when: &str) {
        self.rest(2_000);
        let world = &self.world;
        assert_eq!(
            world.journal.refusal(1_000),
            None,
            "{when}, {:?} on {:?}: {:?}",
            world.disk.files(),
            world.settings,
            world.journal.status()
        );
        let limit = world.settings.max_spool_bytes.unwrap_or(u64::MAX);
        assert!(
            world.disk.bytes() <= limit,
            "{when}: {}",
            world.disk.bytes()
        );
        self.world.journal.check_invariants();
    }

    /// SIGTERM, kill -9, or a power cut; then the next start, which finds what had not ended and nothing else.
    fn stop_and_start(&mut self) {
        self.rest(200);
        match self.rng.below(3) {
            0 => {
                self.world.journal.flush(self.world.now);
                self.rest(100);
            }
            1 => self.world.cut_power(),
            _ => {}
        }
        self.world.disk.outlive();
        let summary = self.world.restart();
        assert_eq!(summary.corruptions, [], "nothing rots here");
        let now = self.world.now;
        let journal = &mut self.world.journal;
        let found: Vec<JobKey> = std::iter::from_fn(|| journal.next_pending(now))
            .map(|found| found.key)
            .collect();
        for (key, job) in &mut self.world.model.jobs {
            let is_there = found.contains(key);
            match job.state {
                State::Submitted if is_there => job.state = State::Acknowledged,
                State::Submitted => {}
                State::Acknowledged => assert!(is_there, "{key:?} is lost"),
                State::Ended { firm, .. } => assert!(!is_there || !firm, "{key:?} comes again"),
            }
        }
        self.world
            .model
            .jobs
            .retain(|_, job| job.state == State::Acknowledged);
    }
}

/// How a file rots.
#[derive(Clone, Copy, Debug)]
enum Rot {
    Random,
    Text,
    Zeros,
    Cut,
    Emptied,
}

#[test]
fn f153_a_rotten_segment_is_told_and_nothing_of_it_is_deleted() {
    let rots = [Rot::Random, Rot::Text, Rot::Zeros, Rot::Cut, Rot::Emptied];
    for seed in seeds() {
        for rot in rots {
            for segments in 1..4 {
                println!("CONDUIT_SCARCE_SEED={seed} {rot:?} of {segments}");
                rot_one(seed, rot, segments);
            }
        }
    }
}

/// So many segments hold jobs; one that is not the last file rots.
fn rot_one(seed: u64, rot: Rot, segments: usize) {
    let settings = Settings {
        segment_bytes: 4096,
        ..Settings::default()
    };
    let mut world = World::seeded(settings, seed as u8);
    let mut rng = Rng::from_seed([seed as u8; 32]);
    let mut keys = Vec::new();
    while world.disk.with_content("jobs-", b"xxxx").len() < segments {
        let id = format!("job-{}", keys.len());
        if let Verdict::New(key) = world.submit(&id, [b"xxxx", id.as_bytes()].concat(), false) {
            keys.push((key, id));
        }
        world.settle();
    }
    let with_jobs = world.disk.with_content("jobs-", b"xxxx");
    let file = with_jobs[rng.below(with_jobs.len() as u64) as usize];
    let in_it: Vec<JobKey> = keys
        .iter()
        .filter(|(_, id)| world.disk.holds(file, &[b"xxxx", id.as_bytes()].concat()))
        .map(|(key, _)| *key)
        .collect();
    let rotten = world.disk.rewrite(file, |bytes| match rot {
        Rot::Random => bytes
            .iter_mut()
            .for_each(|byte| *byte = rng.below(256) as u8),
        Rot::Text => bytes.iter_mut().for_each(|byte| *byte = b'a'),
        Rot::Zeros => bytes.fill(0),
        Rot::Cut => bytes.truncate(200),
        Rot::Emptied => bytes.clear(),
    });
    let summary = world.restart();
    assert!(summary.corrupt_places > 0, "{file} is told: {rot:?}");
    let now = world.now;
    let found: Vec<JobKey> = std::iter::from_fn(|| world.journal.next_pending(now))
        .map(|found| found.key)
        .collect();
    for (key, _) in &keys {
        assert!(
            found.contains(key) || in_it.contains(key),
            "{key:?} is lost"
        );
    }
    for key in found {
        world.end(key, End::Delivered);
    }
    world.settle();
    world.pass(Duration::from_secs(5));
    world.settle();
    assert!(world.disk.keeps(file, &rotten), "{file} is kept: {rot:?}");
    assert_eq!(world.restart().pending, 0, "and nothing comes again");
    world.settle();
    assert!(world.disk.keeps(file, &rotten), "{file} is kept: {rot:?}");
}
