//! Jobs that are on disk only: those that found no room in memory, those that wait long for their next attempt, and
//! those that were found at start.
//!
//! ```text
//!   backlog of an origin --room--> dry, ready --.
//!   postponed --due--------------> waiting -----+--> fetched --> an engine, or the backlog of its origin
//!   found at start --------------> waiting -----'
//! ```
//! Each origin has its own backlog, first in first out. They are read ahead of need, one job after the other of each
//! in turn, while the origin has few jobs outstanding: those that have next to none (*dry*) first, and of these some
//! even when memory is full, so that no origin waits for another's jobs to end.
//!
//! In memory a job takes 24 bytes, and about 150 more if its line was read by this process, whose client is owed a
//! result.
//!
//! Not here: what becomes of what is read (`revival`), how much room there is (`ledger`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use crate::base::map::Map;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::intake::ledger::{LOW_WATER_JOBS, Ledger, Room};
use crate::wire::job::{Job, Source};
use crate::wire::spool::JobKey;

/// Jobs that are being read at the same time.
pub(super) const FETCHES_MAX: usize = 32;

/// A job that is due later than this is not read before.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// Origins looked at in one step.
const LOOKS_MAX: u32 = 16;

/// A job on disk.
#[derive(Debug)]
pub(super) struct Stub {
    pub(super) key: JobKey,
    /// Its time to live in nanoseconds, which no later settings change; none before its line was first read.
    ttl_nanos: Option<NonZeroU64>,
    /// Of a job whose line was read by this process.
    pub(super) owner: Option<Box<Owner>>,
}

/// What is not on disk of a job.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) id: Box<str>,
    pub(super) source: Source,
    pub(super) accepted: Now,
}

/// A job that is being read.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) stub: Stub,
    /// The backlog that it comes from.
    backlog: Option<Key>,
    /// When its next attempt is due, if that is known.
    pub(super) due: Option<Instant>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Parking {
    backlogs: Slab<Backlog>,
    by_name: Map<Box<str>, Key>,
    /// Backlogs whose origin has next to no jobs outstanding, and those whose origin has few.
    dry: VecDeque<Key>,
    ready: VecDeque<Key>,
    postponed: BinaryHeap<Reverse<Postponed>>,
    /// To be read next: when its attempt is due, if that is known.
    waiting: VecDeque<(Stub, Option<Instant>)>,
    fetching: Vec<Fetch>,
    /// Whether the next to be read is of a backlog: these and those that wait take turns.
    is_backlogs_turn: bool,
    /// How many jobs are here.
    jobs: usize,
}

#[derive(Debug)]
struct Backlog {
    name: Box<str>,
    stubs: VecDeque<Stub>,
    /// Jobs of it that are being read.
    fetching: usize,
    is_dry: bool,
    is_ready: bool,
}

#[derive(Debug)]
struct Postponed {
    due: Instant,
    stub: Stub,
}

impl Stub {
    /// What is left in memory of a job: who is owed its result.
    pub(super) fn of(job: Job, key: JobKey) -> Stub {
        let owner = (job.source.line > 0).then(|| {
            Box::new(Owner {
                id: job.id,
                source: job.source,
                accepted: job.accepted,
            })
        });
        let nanos = job
            .ttl
            .map(|ttl| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
        Stub {
            key,
            ttl_nanos: nanos.and_then(NonZeroU64::new),
            owner,
        }
    }

    /// A job of which only that is known.
    pub(super) const fn found(key: JobKey) -> Stub {
        Stub {
            key,
            ttl_nanos: None,
            owner: None,
        }
    }

    /// How long after its acceptance it is worth delivering, if that is known.
    pub(super) fn ttl(&self) -> Option<Duration> {
        let nanos = self.ttl_nanos?;
        Some(Duration::from_nanos(nanos.get()))
    }
}

impl Fetch {
    /// It was read because its origin has room for it.
    pub(super) const fn is_from_backlog(&self) -> bool {
        self.backlog.is_some()
    }
}

impl Parking {
    /// Nothing yet.
    pub(super) fn new(seed: [u64; 2]) -> Parking {
        Parking {
            backlogs: Slab::new(),
            by_name: Map::new(seed),
            dry: VecDeque::new(),
            ready: VecDeque::new(),
            postponed: BinaryHeap::new(),
            waiting: VecDeque::new(),
            fetching: Vec::new(),
            is_backlogs_turn: false,
            jobs: 0,
        }
    }

    /// A job waits behind those of its origin.
    pub(super) fn park(&mut self, origin: &str, stub: Stub, ledger: &Ledger) {
        self.jobs += 1;
        let backlogs = &mut self.backlogs;
        let key = match self.by_name.get(origin) {
            Some(key) => *key,
            None => {
                let key = backlogs.insert(Backlog {
                    name: origin.into(),
                    stubs: VecDeque::new(),
                    fetching: 0,
                    is_dry: false,
                    is_ready: false,
                });
                self.by_name.insert(origin.into(), key);
                key
            }
        };
        self.backlogs[key].stubs.push_back(stub);
        self.look(key, ledger);
    }

    /// A job waits until its next attempt is due.
    pub(super) fn postpone(&mut self, due: Instant, stub: Stub) {
        self.jobs += 1;
        self.postponed.push(Reverse(Postponed { due, stub }));
    }

    /// A job waits to be read.
    pub(super) fn wait(&mut self, stub: Stub, due: Option<Instant>) {
        self.jobs += 1;
        self.waiting.push_back((stub, due));
    }

    /// The origin may have fewer jobs outstanding than before.
    pub(super) fn on_room(&mut self, origin: &str, ledger: &Ledger) {
        // As a rule there is no backlog at all, and then there is nothing to look up.
        if self.by_name.is_empty() {
            return;
        }
        if let Some(key) = self.by_name.get(origin).copied() {
            self.look(key, ledger);
        }
    }

    /// Those that are due now wait to be read. At most so many at a time.
    pub(super) fn keep_time(&mut self, now: Instant) {
        while self.waiting.len() < FETCHES_MAX
            && let Some(Reverse(first)) = self.postponed.peek()
            && first.due <= now
        {
            if let Some(Reverse(first)) = self.postponed.pop() {
                self.waiting.push_back((first.stub, Some(first.due)));
            }
        }
    }

    /// The job to be read next.
    pub(super) fn next_fetch(&mut self, ledger: &Ledger, room: Room) -> Option<JobKey> {
        if self.fetching.len() == FETCHES_MAX || room == Room::Full {
            return None;
        }
        let is_backlogs_turn = self.is_backlogs_turn;
        self.is_backlogs_turn = !is_backlogs_turn;
        if is_backlogs_turn && let Some(key) = self.next_of_backlog(ledger, room) {
            return Some(key);
        }
        if let Some((stub, due)) = self.waiting.pop_front() {
            return Some(self.fetch(stub, None, due));
        }
        self.next_of_backlog(ledger, room)
    }

    /// Whether [`Parking::next_fetch`] may have something.
    pub(super) fn has_next(&self, room: Room) -> bool {
        let has_some = || {
            let is_free = room == Room::Free;
            !self.waiting.is_empty() || !self.dry.is_empty() || (is_free && !self.ready.is_empty())
        };
        room != Room::Full && self.fetching.len() < FETCHES_MAX && has_some()
    }

    /// A job was read, or can't be; it is here no more. `None`: none of these is being read.
    pub(super) fn on_fetched(&mut self, key: JobKey, ledger: &Ledger) -> Option<Fetch> {
        let at = self.fetching.iter().position(|it| it.stub.key == key)?;
        let fetch = self.fetching.swap_remove(at);
        self.jobs -= 1;
        if let Some(backlog) = fetch.backlog {
            self.backlogs[backlog].fetching -= 1;
            self.look(backlog, ledger);
            self.forget_if_empty(backlog);
        }
        Some(fetch)
    }

    /// Any job, which is here no more: at the end.
    pub(super) fn take_any(&mut self) -> Option<(Stub, Option<Box<str>>)> {
        let stub = match self.fetching.pop() {
            Some(fetch) => Some(fetch.stub),
            None => self.waiting.pop_front().map(|(stub, _)| stub),
        };
        let stub = stub.or_else(|| Some(self.postponed.pop()?.0.stub));
        if let Some(stub) = stub {
            self.jobs -= 1;
            return Some((stub, None));
        }
        loop {
            let key = self.backlogs.next_from(0)?;
            let backlog = &mut self.backlogs[key];
            backlog.fetching = 0;
            if let Some(stub) = backlog.stubs.pop_front() {
                self.jobs -= 1;
                return Some((stub, Some(backlog.name.clone())));
            }
            if backlog.is_listed() {
                self.dry.retain(|other| *other != key);
                self.ready.retain(|other| *other != key);
            }
            self.forget(key);
        }
    }

    /// When the first of those is due that wait for that.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let Reverse(first) = self.postponed.peek()?;
        // While as many as are allowed wait to be read, time brings no more.
        (self.waiting.len() < FETCHES_MAX).then_some(first.due)
    }

    /// Whether jobs of this origin wait.
    pub(super) fn has_backlog(&self, origin: &str) -> bool {
        let key = self.by_name.get(origin);
        key.is_some_and(|key| !self.backlogs[*key].stubs.is_empty())
    }

    /// Jobs that wait to be read, without those of a backlog.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Jobs that are being read.
    pub(super) const fn fetching(&self) -> usize {
        self.fetching.len()
    }

    /// Jobs that are here.
    pub(super) const fn jobs(&self) -> usize {
        self.jobs
    }

    /// Panics if it contradicts itself.
    pub(super) fn check_invariants(&self) {
        let parked: usize = self.backlogs.iter().map(|(_, it)| it.stubs.len()).sum();
        let elsewhere = self.waiting.len() + self.fetching.len() + self.postponed.len();
        assert_eq!(self.jobs, parked + elsewhere, "each job is in one place");
        assert_eq!(self.by_name.len(), self.backlogs.len());
        assert!(self.fetching.len() <= FETCHES_MAX);
        for (key, backlog) in self.backlogs.iter() {
            assert!(
                !backlog.stubs.is_empty() || backlog.fetching > 0 || backlog.is_listed(),
                "what is empty is forgotten"
            );
            for (list, is_in) in [(&self.dry, backlog.is_dry), (&self.ready, backlog.is_ready)] {
                let places = list.iter().filter(|other| **other == key).count();
                assert_eq!(places, usize::from(is_in), "a backlog is listed once");
            }
        }
    }

    fn next_of_backlog(&mut self, ledger: &Ledger, room: Room) -> Option<JobKey> {
        for _ in 0..LOOKS_MAX {
            let key = match self.dry.pop_front() {
                Some(key) => {
                    self.backlogs[key].is_dry = false;
                    key
                }
                None if room == Room::Free => {
                    let key = self.ready.pop_front()?;
                    self.backlogs[key].is_ready = false;
                    key
                }
                None => return None,
            };
            let is_wanted = self.wants(key, ledger) != Wants::Nothing;
            let backlog = &mut self.backlogs[key];
            if is_wanted && let Some(stub) = backlog.stubs.pop_front() {
                backlog.fetching += 1;
                let job = self.fetch(stub, Some(key), None);
                self.look(key, ledger);
                return Some(job);
            }
            self.forget_if_empty(key);
        }
        None
    }

    fn fetch(&mut self, stub: Stub, backlog: Option<Key>, due: Option<Instant>) -> JobKey {
        let key = stub.key;
        self.fetching.push(Fetch { stub, backlog, due });
        key
    }

    fn wants(&self, key: Key, ledger: &Ledger) -> Wants {
        let backlog = &self.backlogs[key];
        let (outstanding, enough) = ledger.jobs_of(&backlog.name);
        let jobs = outstanding + backlog.fetching;
        if backlog.stubs.is_empty() || jobs >= enough {
            return Wants::Nothing;
        }
        if jobs < LOW_WATER_JOBS as usize {
            return Wants::Soon;
        }
        Wants::Some
    }

    /// Lists the backlog where it belongs.
    fn look(&mut self, key: Key, ledger: &Ledger) {
        let wants = self.wants(key, ledger);
        let backlog = &mut self.backlogs[key];
        match wants {
            Wants::Soon if !backlog.is_dry => {
                backlog.is_dry = true;
                self.dry.push_back(key);
            }
            Wants::Some if !backlog.is_listed() => {
                backlog.is_ready = true;
                self.ready.push_back(key);
            }
            Wants::Soon | Wants::Some | Wants::Nothing => {}
        }
    }

    fn forget_if_empty(&mut self, key: Key) {
        let backlog = &self.backlogs[key];
        if backlog.stubs.is_empty() && backlog.fetching == 0 && !backlog.is_listed() {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(backlog) = self.backlogs.remove(key) {
            self.by_name.remove(&*backlog.name);
        }
    }
}

/// How much an origin wants more jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Nothing,
    Some,
    Soon,
}

impl Backlog {
    const fn is_listed(&self) -> bool {
        self.is_dry || self.is_ready
    }
}

impl Postponed {
    const fn order(&self) -> (Instant, JobKey) {
        (self.due, self.stub.key)
    }
}

impl PartialEq for Postponed {
    fn eq(&self, other: &Postponed) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Postponed {}

impl PartialOrd for Postponed {
    fn partial_cmp(&self, other: &Postponed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Postponed {
    fn cmp(&self, other: &Postponed) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}
