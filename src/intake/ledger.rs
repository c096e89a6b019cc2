//! What is handed out and not yet back: by origin, by engine, in all; and from it, whether to read on.
//!
//! An origin belongs to one engine for as long as it has jobs there, and after that until the engine retires
//! it. A new one goes to the engine with the least outstanding jobs, among equals to the one that knows the fewest
//! origins, so that each remembers its share of them.
//!
//! Reading on is a question of two kinds of limits. The hard ones (`maxPending`, `maxPendingBytes`) say what
//! may be in memory, and are never passed but by the one job that reaches them. Below them *appetite* says how
//! much read-ahead is of use: once enough jobs wait for a connection, more of them deliver nothing sooner and
//! cost memory. But the feed is one line after the other, and appetite alone would let one slow origin, whose
//! jobs are what waits, hide the jobs of all healthy ones behind its own. So while appetite holds the feed,
//! *grants* let a bounded batch through, from two sources:
//!
//! - low water: a job came back from an origin that is running dry while the origins on average are not, so
//!   the backlog is somebody else's. Healthy origins thus pull their own next jobs, at the speed at which they
//!   deliver, and the slow one's in between pile up towards the hard limits. Where all origins hold about the
//!   same, nothing is granted, and memory stays flat.
//! - pace: appetite read fewer lines than a batch in a second. An origin whose first job stands behind a block of
//!   another's returns no job that could pull it; this finds it, slowly.
//!
//! A client of the socket is never held by what others have waiting: its jobs are refused at a limit
//! ([`Ledger::limit`]). Of the feed's lines only those are whose origin is held back and has its queue full already:
//! waiting for it would hold everybody's lines.
//!
//! Not here: the order of queues inside an engine, the results' limits (`mod`, `client`), words (`limits`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::map::Map;
use crate::base::time::Instant;
use crate::intake::event::EngineId;
use crate::intake::limits::{EndpointLimits, Limit, Limits};
use crate::wire::endpoints::Endpoints;
use crate::wire::job::{Job, Priority};
use crate::wire::url::{ByText, Origin, Url};

/// Jobs that may wait for a connection whatever is busy: enough to fill the pools of a cold start.
pub const WAITING_MIN: u64 = 1_024;

/// Jobs that may wait for each busy connection: a connection finds its next job at hand.
pub const WAITING_PER_BUSY: u64 = 8;

/// Bytes of the jobs that wait for a connection.
pub const WAITING_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An origin with fewer outstanding jobs than this is running dry.
pub const LOW_WATER_JOBS: u32 = 16;

/// Lines of one grant.
pub const GRANT_LINES: u32 = 256;

/// Bytes of one grant: it ends at whichever comes first.
pub const GRANT_BYTES: usize = 1024 * 1024;

/// In each of these, one grant's lines are read even without appetite.
pub const PACE: Duration = Duration::from_secs(1);

/// The part of `maxPending` and `maxPendingBytes` that may be on its way to be safe.
const STORING_PART: usize = 4;

/// The part of them that is kept, beyond them, for jobs on disk of origins that run dry.
const DRY_PART: usize = 8;

/// The part of `maxPendingBytes` that lines may take of which the end has not come.
const HALF_LINES_PART: usize = 4;

/// From so much of `maxPending` or `maxPendingBytes` on, jobs of low priority are refused.
const SCARCE_PERCENT: usize = 80;

/// How much may be in memory beside what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// More of any origin.
    Free,
    /// More of those only that have next to nothing: the others must not keep them from being delivered to.
    Dry,
    /// Nothing.
    Full,
}

/// Whether to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// Read on.
    Open,
    /// Enough waits for connections already.
    Sated,
    /// `maxPending` or `maxPendingBytes` is reached.
    Full,
}

/// The books.
#[derive(Debug)]
pub(super) struct Ledger {
    jobs_max: usize,
    bytes_max: usize,
    /// What one origin may have, where it has no limits of its own.
    endpoint: Arc<EndpointLimits>,
    endpoints: Endpoints<Arc<EndpointLimits>>,
    /// Counts the changes of these two.
    epoch: u64,
    /// By [`Origin::text`], of which there is one for all that know the origin.
    origins: Map<ByText, Account>,
    engines: Vec<Share>,
    /// Outstanding, in all.
    jobs: usize,
    bytes: usize,
    /// On their way to be safe: they are outstanding next.
    storing_jobs: usize,
    storing_bytes: usize,
    /// Duplicates of these: their answers wait with them.
    duplicates: usize,
    duplicate_bytes: usize,
    /// Origins with outstanding jobs.
    origins_busy: usize,
    /// Origins with an open breaker.
    origins_held: usize,
    grant: Grant,
    /// When the second began in which the pace is measured, and what appetite has read in it.
    pace_since: Instant,
    pace_lines: u32,
    /// The origin being looked up; kept for its allocation.
    name: String,
}

#[derive(Debug)]
struct Account {
    engine: EngineId,
    jobs: u32,
    /// Its limits, and the epoch in which they held.
    limits: Arc<EndpointLimits>,
    epoch: u64,
    /// Its breaker is open: none of its jobs is on its way, but for a probe.
    is_held: bool,
    /// An order to isolate it is on its way to the engine, which will say that its breaker is open.
    is_isolating: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    jobs: usize,
    /// Origins that are assigned to it.
    origins: usize,
    waiting: u32,
    busy: u32,
    /// Jobs handed out since the engine last spoke of its appetite: taken as waiting.
    unheard: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Grant {
    lines: u32,
    bytes: usize,
}

impl Ledger {
    /// Books without jobs: these limits hold at first.
    pub(super) fn new(limits: Limits, engines: u16, seed: [u64; 2]) -> Ledger {
        assert!(engines > 0, "jobs need an engine");
        Ledger {
            jobs_max: limits.max_pending,
            bytes_max: limits.max_pending_bytes,
            endpoint: Arc::new(limits.endpoint),
            endpoints: limits.endpoints,
            epoch: 0,
            origins: Map::new(seed),
            engines: vec![Share::default(); usize::from(engines)],
            jobs: 0,
            bytes: 0,
            storing_jobs: 0,
            storing_bytes: 0,
            duplicates: 0,
            duplicate_bytes: 0,
            origins_busy: 0,
            origins_held: 0,
            grant: Grant::default(),
            pace_since: Instant::default(),
            pace_lines: 0,
            name: String::new(),
        }
    }

    /// These limits hold from now on; each origin's are looked up when they are next needed.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.jobs_max = limits.max_pending;
        self.bytes_max = limits.max_pending_bytes;
        self.endpoint = Arc::new(limits.endpoint);
        self.endpoints = limits.endpoints;
        self.epoch += 1;
    }

    /// These limits of one origin hold from now on.
    pub(super) fn set_own(&mut self, origin: &Origin, limits: EndpointLimits) {
        let limits = Arc::new(limits);
        self.endpoints.put(origin, Arc::clone(&limits));
        if let Some(account) = self.origins.get_mut(&*origin.text) {
            account.limits = limits;
            account.epoch = self.epoch;
        }
    }

    /// Where jobs to this URL go, one value for all of them while the origin is known, and what holds there.
    pub(super) fn origin_and_limits(&mut self, url: &Url<'_>) -> (Arc<Origin>, EndpointLimits) {
        self.spell(url);
        if let Some((ByText(origin), account)) = self.origins.get_key_value(self.name.as_str()) {
            return (Arc::clone(origin), *self.limits_of(origin, account));
        }
        let origin = Arc::new(url.to_origin());
        let limits = **self.configured(&origin);
        (origin, limits)
    }

    /// The limit that keeps a job of the socket out, if one does, while so many bytes count beside those of jobs:
    /// unwritten results, half lines.
    pub(super) fn limit(
        &mut self,
        url: &Url<'_>,
        priority: Priority,
        beside: usize,
    ) -> Option<Limit> {
        let bytes = self.bytes + beside;
        if self.jobs >= self.jobs_max {
            return Some(Limit::Pending(self.jobs_max));
        }
        if bytes >= self.bytes_max {
            return Some(Limit::PendingBytes(self.bytes_max));
        }
        if priority == Priority::Low && self.is_scarce(beside) {
            return Some(Limit::LowPriority);
        }
        self.spell(url);
        let (account, limits) = self.looked_up()?;
        let on_their_way = match account.is_held {
            true => 0,
            false => limits.max_connections,
        };
        (account.jobs as usize >= limits.max_queued.saturating_add(on_their_way))
            .then_some(Limit::Queued(limits.max_queued))
    }

    /// The same where there is a spool: whatever finds no room in memory goes to disk, but for those of low priority.
    pub(super) fn limit_of_spool(&self, priority: Priority, beside: usize) -> Option<Limit> {
        let is_refused = priority == Priority::Low && self.is_scarce(beside);
        is_refused.then_some(Limit::LowPriority)
    }

    /// Whether jobs of low priority of the socket are kept out.
    pub(super) fn is_scarce(&self, beside: usize) -> bool {
        let jobs = self.jobs + self.storing_jobs + self.duplicates;
        let bytes = self.bytes + self.storing_bytes() + beside;
        is_scarce(jobs, self.jobs_max) || is_scarce(bytes, self.bytes_max)
    }

    /// The limit that keeps a job of the feed out: that of an origin which is held back.
    pub(super) fn limit_of_feed(&mut self, url: &Url<'_>) -> Option<Limit> {
        // As a rule none is, and then there is nothing to look up.
        if self.origins_held == 0 {
            return None;
        }
        self.spell(url);
        let (account, limits) = self.looked_up()?;
        let queued_max = limits.max_queued;
        (account.is_held && account.jobs as usize >= queued_max)
            .then_some(Limit::Queued(queued_max))
    }

    /// The job is accepted and goes out: to the engine that its origin is assigned to, from now on at the latest.
    pub(super) fn on_handed_out(&mut self, job: &Job) -> EngineId {
        let text = &job.origin.text;
        let epoch = self.epoch;
        let (engine, was_idle) = match self.origins.get_mut(&**text) {
            Some(account) => {
                if account.epoch != epoch {
                    let limits = self.endpoints.get(&job.origin).unwrap_or(&self.endpoint);
                    account.limits = Arc::clone(limits);
                    account.epoch = epoch;
                }
                account.jobs += 1;
                (account.engine, account.jobs == 1)
            }
            None => {
                let account = Account {
                    engine: self.least_loaded(),
                    jobs: 1,
                    limits: Arc::clone(self.configured(&job.origin)),
                    epoch,
                    is_held: false,
                    is_isolating: false,
                };
                let engine = account.engine;
                self.open(&job.origin, account);
                (engine, true)
            }
        };
        self.origins_busy += usize::from(was_idle);
        let share = &mut self.engines[usize::from(engine.0)];
        share.jobs += 1;
        share.unheard = share.unheard.saturating_add(1);
        self.jobs += 1;
        self.bytes += job.footprint();
        self.grant.bytes = self.grant.bytes.saturating_sub(job.footprint());
        engine
    }

    /// The job is back.
    ///
    /// # Panics
    /// If it was not out.
    pub(super) fn on_done(&mut self, job: &Job) {
        let account = self
            .origins
            .get_mut(&*job.origin.text)
            .filter(|account| account.jobs > 0)
            .expect("a job that comes back was handed out");
        account.jobs -= 1;
        let left = account.jobs;
        self.engines[usize::from(account.engine.0)].jobs -= 1;
        self.origins_busy -= usize::from(left == 0);
        self.jobs -= 1;
        self.bytes -= job.footprint();
        let others_have_plenty = self.jobs >= self.origins_busy * LOW_WATER_JOBS as usize;
        if left < LOW_WATER_JOBS && self.jobs > 0 && others_have_plenty && self.is_sated() {
            self.grant(GRANT_LINES);
        }
    }

    /// The job is on its way to be safe.
    pub(super) fn on_storing(&mut self, job: &Job) {
        self.storing_jobs += 1;
        self.storing_bytes += job.footprint();
    }

    /// It is safe, or will never be.
    pub(super) fn on_stored(&mut self, job: &Job) {
        self.storing_jobs -= 1;
        self.storing_bytes -= job.footprint();
    }

    /// The answer to a duplicate waits for its first to be safe, and takes so many bytes.
    pub(super) const fn on_duplicate(&mut self, bytes: usize) {
        self.duplicates += 1;
        self.duplicate_bytes += bytes;
    }

    /// It was given.
    pub(super) const fn on_duplicate_told(&mut self, bytes: usize) {
        self.duplicates -= 1;
        self.duplicate_bytes -= bytes;
    }

    /// Whether another job may be on its way to be safe: so many at most that there is room for those that are.
    pub(super) const fn may_store(&self) -> bool {
        let jobs = self.storing_jobs + self.duplicates;
        let is_few = jobs < self.jobs_max / STORING_PART;
        jobs == 0 || (is_few && self.storing_bytes() < self.bytes_max / STORING_PART)
    }

    /// What lines may take in all of which only a part has come.
    pub(super) const fn half_lines_max(&self) -> usize {
        self.bytes_max / HALF_LINES_PART
    }

    /// How much more may be in memory while so many jobs are on their way there.
    pub(super) const fn room(&self, beside: usize, coming: usize) -> Room {
        let jobs = self.jobs + self.storing_jobs + self.duplicates + coming;
        let bytes = self.bytes + self.storing_bytes() + beside;
        if jobs < self.jobs_max && bytes < self.bytes_max {
            return Room::Free;
        }
        let is_over = jobs >= self.jobs_max + self.jobs_max.div_ceil(DRY_PART)
            || bytes >= self.bytes_max + self.bytes_max / DRY_PART;
        if is_over { Room::Full } else { Room::Dry }
    }

    /// Whether so many jobs of this origin are outstanding that another one waits on disk.
    pub(super) fn is_crowded(&self, origin: &Origin, is_feed: bool) -> bool {
        let Some(account) = self.origins.get(&*origin.text) else {
            return false;
        };
        let EndpointLimits {
            max_queued,
            max_connections,
            ..
        } = *self.limits_of(origin, account);
        match (is_feed, account.is_held) {
            (_, true) => account.jobs as usize >= max_queued,
            (true, false) => false,
            (false, false) => account.jobs as usize >= max_queued.saturating_add(max_connections),
        }
    }

    /// Outstanding jobs of this origin, and how many are enough while others wait on disk: half of those that may wait.
    pub(super) fn jobs_of(&self, origin: &str) -> (usize, usize) {
        let found = self.origins.get_key_value(origin);
        let (jobs, limits) = match found {
            Some((ByText(origin), account)) => (account.jobs, self.limits_of(origin, account)),
            None => (0, &*self.endpoint),
        };
        (jobs as usize, (limits.max_queued / 2).max(1))
    }

    /// An engine says how hungry it is.
    pub(super) fn on_appetite(&mut self, engine: EngineId, waiting: u32, busy: u32) {
        let share = &mut self.engines[usize::from(engine.0)];
        share.waiting = waiting;
        share.busy = busy;
        share.unheard = 0;
    }

    /// The engine that the origin is assigned to, from now on at the latest, is told to isolate it. Until it says that
    /// this is done it keeps the origin, even if it is about to forget it at this moment.
    pub(super) fn on_isolating(&mut self, origin: &Arc<Origin>) -> EngineId {
        if let Some(account) = self.origins.get_mut(&*origin.text) {
            account.is_isolating = true;
            return account.engine;
        }
        let engine = self.least_loaded();
        let account = Account {
            engine,
            jobs: 0,
            limits: Arc::clone(self.configured(origin)),
            epoch: self.epoch,
            is_held: false,
            is_isolating: true,
        };
        self.open(origin, account);
        engine
    }

    /// The engine that knows the origin.
    pub(super) fn engine_of(&self, origin: &Origin) -> Option<EngineId> {
        let account = self.origins.get(&*origin.text);
        account.map(|account| account.engine)
    }

    /// Whether an origin's breaker is open, as far as was told.
    pub(super) fn is_held(&self, origin: &str) -> bool {
        let account = self.origins.get(origin);
        account.is_some_and(|account| account.is_held)
    }

    /// An origin's breaker has opened or closed.
    pub(super) fn on_origin(&mut self, engine: EngineId, origin: &Origin, is_held: bool) {
        let account = self.origins.get_mut(&*origin.text);
        if let Some(account) = account.filter(|account| account.engine == engine) {
            self.origins_held -= usize::from(account.is_held);
            self.origins_held += usize::from(is_held);
            account.is_held = is_held;
            account.is_isolating &= !is_held;
        }
    }

    /// An engine has forgotten the origin, its breaker included. Jobs that are still on their way there will call
    /// it back, as an order to isolate it will, and it will be retired again: so only an account without either is
    /// closed.
    pub(super) fn on_retired(&mut self, engine: EngineId, origin: &Origin) {
        self.on_origin(engine, origin, false);
        let account = self.origins.get(&*origin.text);
        let is_over = |account: &Account| account.jobs == 0 && !account.is_isolating;
        if account.is_some_and(|account| account.engine == engine && is_over(account)) {
            self.origins.remove(&*origin.text);
            self.engines[usize::from(engine.0)].origins -= 1;
        }
    }

    /// A line is about to be read: out of appetite, or as part of a grant.
    pub(super) fn on_line(&mut self) {
        if self.is_sated() {
            self.grant.lines = self.grant.lines.saturating_sub(1);
        } else {
            self.pace_lines = self.pace_lines.saturating_add(1);
        }
    }

    /// Keeps the pace: grants what is missing once a [`PACE`] is over.
    pub(super) fn keep_pace(&mut self, now: Instant) {
        if now < self.pace_since + PACE || !self.is_sated() {
            return;
        }
        self.pace_since = now;
        let missing = GRANT_LINES.saturating_sub(std::mem::take(&mut self.pace_lines));
        if missing > self.grant.lines {
            self.grant(missing);
        }
    }

    /// When [`Ledger::keep_pace`] has something to do, if nothing else happens.
    pub(super) fn pace_end(&self) -> Instant {
        self.pace_since + PACE
    }

    /// Whether to read on.
    pub(super) fn feed(&self, beside: usize) -> Feed {
        let jobs = self.jobs + self.storing_jobs + self.duplicates;
        let bytes = self.bytes + self.storing_bytes() + beside;
        if jobs >= self.jobs_max || bytes >= self.bytes_max {
            return Feed::Full;
        }
        if self.is_sated() && (self.grant.lines == 0 || self.grant.bytes == 0) {
            return Feed::Sated;
        }
        Feed::Open
    }

    /// Outstanding jobs.
    pub(super) const fn jobs(&self) -> usize {
        self.jobs
    }

    /// Those on their way to be safe.
    pub(super) const fn storing_jobs(&self) -> usize {
        self.storing_jobs
    }

    /// What those take, and the answers to their duplicates.
    pub(super) const fn storing_bytes(&self) -> usize {
        self.storing_bytes + self.duplicate_bytes
    }

    /// What outstanding jobs take.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Origins with an open breaker.
    pub(super) const fn origins_held(&self) -> usize {
        self.origins_held
    }

    /// Origins with an account.
    pub(super) fn origins(&self) -> usize {
        self.origins.len()
    }

    /// Panics if the books don't agree.
    pub(super) fn check_invariants(&self) {
        let shares: usize = self.engines.iter().map(|share| share.jobs).sum();
        assert_eq!(self.jobs, shares, "every job is at one engine");
        let shares: usize = self.engines.iter().map(|share| share.origins).sum();
        assert_eq!(self.origins.len(), shares, "every origin is at one engine");
        assert_eq!(self.jobs == 0, self.bytes == 0, "only jobs take memory");
        assert_eq!(self.storing_jobs == 0, self.storing_bytes == 0);
        assert_eq!(self.duplicates == 0, self.duplicate_bytes == 0);
        assert_eq!(
            self.jobs == 0,
            self.origins_busy == 0,
            "every job is of an origin"
        );
        assert!(self.origins_busy <= self.jobs.min(self.origins.len()));
        assert!(self.origins_held <= self.origins.len());
        assert!(self.grant.lines <= GRANT_LINES && self.grant.bytes <= GRANT_BYTES);
    }

    fn is_sated(&self) -> bool {
        let mut waiting = self.storing_jobs as u64;
        let mut busy = 0;
        for share in &self.engines {
            waiting += u64::from(share.waiting) + u64::from(share.unheard);
            busy += u64::from(share.busy);
        }
        // Which of the outstanding jobs wait is the engine's business: taken to be of average size.
        let average = self.bytes as u64 / (self.jobs as u64).max(1);
        waiting >= WAITING_MIN.max(WAITING_PER_BUSY * busy)
            || waiting.saturating_mul(average) >= WAITING_BYTES_MAX
    }

    /// The origin's limits as they are now.
    fn limits_of<'a>(&'a self, origin: &Origin, account: &'a Account) -> &'a EndpointLimits {
        match account.epoch == self.epoch {
            true => &account.limits,
            false => self.configured(origin),
        }
    }

    /// What holds for an origin that nobody knows yet.
    fn configured(&self, origin: &Origin) -> &Arc<EndpointLimits> {
        self.endpoints.get(origin).unwrap_or(&self.endpoint)
    }

    fn open(&mut self, origin: &Arc<Origin>, account: Account) {
        self.engines[usize::from(account.engine.0)].origins += 1;
        self.origins.insert(ByText(Arc::clone(origin)), account);
    }

    /// Names the URL's origin, for [`Ledger::looked_up`].
    fn spell(&mut self, url: &Url<'_>) {
        self.name.clear();
        url.write_origin(&mut self.name);
    }

    /// The account of the origin that was named last, and its limits.
    fn looked_up(&self) -> Option<(&Account, &EndpointLimits)> {
        let (ByText(origin), account) = self.origins.get_key_value(self.name.as_str())?;
        Some((account, self.limits_of(origin, account)))
    }

    const fn grant(&mut self, lines: u32) {
        self.grant = Grant {
            lines,
            bytes: GRANT_BYTES,
        };
    }

    fn least_loaded(&self) -> EngineId {
        let shares = self.engines.iter().zip(0_u16..);
        let least = shares.min_by_key(|(share, _)| (share.jobs, share.origins));
        EngineId(least.map_or(0, |(_, number)| number))
    }
}

/// Whether so much is taken that jobs of low priority are to leave the rest to others.
const fn is_scarce(taken: usize, max: usize) -> bool {
    taken >= max / 100 * SCARCE_PERCENT + max % 100 * SCARCE_PERCENT / 100
}
