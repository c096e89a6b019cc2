//! One origin: who waits for it, which connections it has, what holds its load back, and since when nothing
//! happens there.
//!
//! An origin belongs to one engine for as long as it is remembered, so its limits are exact without a lock.
//! It hands out capacity, not connections: nothing outside `connection` assumes one job per connection.
//!
//! Invariants: `attempts` counts the attempts under way, whether a dial or a request is on its way for them, and
//! `retries` those of them that are retries; while its load is held back its jobs in line count as `held`, else as
//! waiting for a connection.
//!
//! Not here: when a job gets a connection or a dial (`dispatch`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::Instant;
use crate::base::wheel::TimerId;
use crate::engine::attempt::Attempt;
use crate::engine::breaker::Breaker;
use crate::engine::idle_time::IdleTime;
use crate::engine::policy::{Endpoint, OnCircuitOpen};
use crate::engine::pool::Pool;
use crate::engine::preference::Preference;
use crate::engine::queue::Queue;
use crate::engine::throttle::{Throttle, retries_max};
use crate::wire::job::Priority;
use crate::wire::tally::Tally;
use crate::wire::url;

/// How long an origin is remembered that has neither jobs nor connections.
pub const REMEMBERED: Duration = Duration::from_secs(3600);

/// One origin.
#[derive(Debug)]
pub struct Origin {
    /// Scheme, host and port.
    pub name: Arc<url::Origin>,
    /// Its settings.
    pub endpoint: Arc<Endpoint>,
    /// Jobs that wait.
    pub queue: Queue,
    /// Its connections.
    pub pool: Pool,
    /// Whether it may be sent to.
    pub breaker: Breaker,
    /// How much.
    pub throttle: Throttle,
    /// Which of its addresses is tried first.
    pub preference: Preference,
    /// How long its connections may be idle.
    pub idle_time: IdleTime,
    /// What was counted here.
    pub tally: Tally,
    /// Attempts under way.
    attempts: u32,
    /// Of these, retries.
    retries: u32,
    /// Jobs in line, as they were last counted: waiting for a connection, or held back.
    pub counted: Counted,
    /// When a job last came in, or an attempt ended.
    pub last_job: Instant,
    /// Its entry in the wheel for when more may be done, and when that fires.
    pub gate: Option<(TimerId, Instant)>,
    /// Its scheme is allowed no more: what waits ends, and nothing is dialed.
    pub is_forbidden: bool,
    /// It waits in `places`, filed under this many connections.
    pub wants_place: Option<u32>,
    /// It waits in the engine's backlog.
    pub in_backlog: bool,
}

/// Jobs that wait at an origin, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// For a connection.
    pub waiting: u32,
    /// For the breaker to close, a hold to end, or load to come back.
    pub held: u32,
    /// For the time of their next attempt.
    pub later: u32,
}

impl Origin {
    /// An origin without jobs or connections.
    #[must_use]
    pub fn new(now: Instant, name: Arc<url::Origin>, endpoint: Arc<Endpoint>) -> Origin {
        Origin {
            name,
            endpoint,
            queue: Queue::default(),
            pool: Pool::default(),
            breaker: Breaker::default(),
            throttle: Throttle::default(),
            preference: Preference::default(),
            idle_time: IdleTime::default(),
            tally: Tally::default(),
            attempts: 0,
            retries: 0,
            counted: Counted::default(),
            last_job: now,
            gate: None,
            is_forbidden: false,
            wants_place: None,
            in_backlog: false,
        }
    }

    /// The job in line that may have a connection now: whose attempt has begun, or may begin.
    #[must_use]
    pub fn next_job(&self, now: Instant) -> Option<Key> {
        self.next(now, Queue::next)
    }

    /// The job in line that a dial may be made for now.
    #[must_use]
    pub fn next_to_dial(&self, now: Instant) -> Option<Key> {
        if !self.throttle.may_dial(now) {
            return None;
        }
        self.next(now, Queue::next_to_dial)
    }

    /// Of the jobs that `turn` picks from the one that may go.
    fn next(&self, now: Instant, turn: fn(&Queue, bool) -> Option<Key>) -> Option<Key> {
        let may_retry = self.retries < retries_max(&self.endpoint);
        let next = turn(&self.queue, may_retry)?;
        let has_begun = |job: Key| self.queue.get(job).is_some_and(|job| job.attempt.is_some());
        if has_begun(next) || !self.is_held() {
            return Some(next);
        }
        if !self.may_begin(now) {
            return None;
        }
        let next = if self.breaker.is_closed() {
            next
        } else {
            // The probe (F103).
            self.queue.oldest(may_retry)?
        };
        // What has waited until its time is all but over can't show that the receiver is well again, and while only
        // such jobs went, none would: load would never come back.
        let is_scant = |key: &Key| {
            let waiting = self.queue.get(*key);
            waiting.is_some_and(|waiting| waiting.is_scant(now, &self.endpoint))
        };
        if is_scant(&next) {
            let fresh = self.queue.freshest(may_retry);
            return fresh.filter(|key| !is_scant(key)).or(Some(next));
        }
        Some(next)
    }

    /// Whether an attempt of a job that has not been tried may begin.
    pub fn may_begin(&self, now: Instant) -> bool {
        self.breaker.may_begin(now) && self.attempts < self.throttle.attempts_max(now)
    }

    /// An attempt begins: `attempt` is entered in the books.
    pub fn on_begin(&mut self, now: Instant, priority: Priority, attempt: &mut Attempt) {
        attempt.epoch = self.breaker.on_begin(now);
        self.attempts += 1;
        self.retries += u32::from(attempt.is_retry);
        self.queue.on_begin(priority, attempt.is_retry);
    }

    /// An attempt has ended.
    pub fn on_end(&mut self, now: Instant, attempt: &Attempt) {
        self.last_job = now;
        self.attempts -= 1;
        self.retries -= u32::from(attempt.is_retry);
    }

    /// Whether jobs that wait are to end at once.
    #[must_use]
    pub fn fails_jobs(&self, now: Instant) -> bool {
        self.endpoint.on_circuit_open == OnCircuitOpen::Fail && !self.breaker.may_begin(now)
    }

    /// Whether anything but connections holds its load back.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        !(self.breaker.is_closed() && self.throttle.is_free())
    }

    /// Its jobs that wait, by what for, as things are now.
    #[must_use]
    pub const fn count(&self) -> Counted {
        let (in_line, later) = (self.queue.in_line(), self.queue.later());
        let (waiting, held) = if self.is_held() {
            (0, in_line)
        } else {
            (in_line, 0)
        };
        Counted {
            waiting,
            held,
            later,
        }
    }

    /// Jobs in line that could be sent now if connections were free.
    #[must_use]
    pub fn pending(&self, now: Instant) -> u32 {
        let (begun, retries) = (self.queue.begun_in_line(), self.queue.retries_to_begin());
        let firsts = self.queue.in_line() - begun - retries;
        let retries = retries.min(retries_max(&self.endpoint).saturating_sub(self.retries));
        let allowed = match (self.breaker.is_closed(), self.breaker.may_begin(now)) {
            (_, false) => 0,
            (true, true) => self
                .throttle
                .attempts_max(now)
                .saturating_sub(self.attempts),
            // The probe.
            (false, true) => 1,
        };
        begun + (firsts + retries).min(allowed)
    }

    /// When more may be done here, if the clock alone decides.
    #[must_use]
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let breaker = self.breaker.opens_until().filter(|at| *at > now);
        [breaker, self.throttle.next_change(now)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Attempts under way.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When it may be forgotten, if nothing happens until then.
    #[must_use]
    pub fn forgotten_at(&self, now: Instant) -> Instant {
        if self.queue.is_empty() && self.pool.is_empty() {
            self.last_job + REMEMBERED
        } else {
            now + REMEMBERED
        }
    }
}
