//! One origin: who waits for it, which connections it has, what holds its load back, and since when nothing
//! happens there.
//!
//! An origin belongs to one engine for as long as it is remembered, so its limits are exact without a lock.
//! It hands out capacity, not connections: nothing outside `connection` assumes one job per connection.
//!
//! Invariants: `attempts` counts the attempts under way, whether a dial or a request is on its way for them, and
//! `retries` those of them that are retries; while its load is held back its jobs in line count as `held`, else as
//! waiting for a connection; while it is `is_dry` its gate fires when the next token is there; `open_since` is looked
//! at whenever something changes that it follows from.
//!
//! What an attempt's end teaches of its receiver's speed goes to four leaves: `latency` and `score` in any case,
//! `adaptive_timeout` and `adaptive_concurrency` where the endpoint's settings say so.
//!
//! Not here: when a job gets a connection or a dial (`dispatch`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::lazy::Lazy;
use crate::base::slab::Key;
use crate::base::time::Instant;
use crate::base::wheel::TimerId;
use crate::engine::adaptive_concurrency::{AdaptiveConcurrency, Ended};
use crate::engine::adaptive_timeout::AdaptiveTimeout;
use crate::engine::attempt::{Attempt, Limit};
use crate::engine::breaker::Breaker;
use crate::engine::idle_time::IdleTime;
use crate::engine::latency::Latency;
use crate::engine::outcome::{Accounting, Strain};
use crate::engine::places::{Share, Standing, Wish};
use crate::engine::policy::{Endpoint, OnCircuitOpen, Trust};
use crate::engine::pool::Pool;
use crate::engine::preference::Preference;
use crate::engine::queue::Queue;
use crate::engine::rate::Bucket;
use crate::engine::score::Score;
use crate::engine::throttle::{Throttle, retries_max};
use crate::engine::unused::Filed;
use crate::wire::job::Priority;
use crate::wire::tally::Tally;
use crate::wire::url;

/// One origin.
#[derive(Debug)]
pub struct Origin {
    /// Scheme, host and port.
    pub name: Arc<url::Origin>,
    /// Its settings.
    pub endpoint: Arc<Endpoint>,
    /// Which of the engine's these are.
    pub revision: u64,
    /// By whose word its connections are secured.
    pub trust: Trust,
    /// Jobs that wait.
    pub queue: Lazy<Queue>,
    /// Its connections.
    pub pool: Lazy<Pool>,
    /// Whether it may be sent to.
    pub breaker: Breaker,
    /// What the failure was that last opened it.
    pub opened_by: Option<Box<str>>,
    /// How much.
    pub throttle: Throttle,
    /// How often.
    bucket: Bucket,
    /// There was no token left when one was last taken, and the gate has not fired since.
    is_dry: bool,
    /// Since when connections are all that an attempt needs to begin; none: breaker, load or rate forbid it.
    open_since: Option<Instant>,
    /// Since when one more retry may be under way.
    retries_since: Instant,
    /// The last answer of a name server that was a failure's vote, by when it was given, and the breaker's epoch.
    absence: Option<(Instant, u32)>,
    /// Which of its addresses is tried first.
    pub preference: Preference,
    /// How long its connections may be idle.
    pub idle_time: IdleTime,
    /// How long its attempts take.
    pub latency: Latency,
    adaptive_timeout: AdaptiveTimeout,
    adaptive_concurrency: AdaptiveConcurrency,
    score: Score,
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
    /// What its last attempt that counts says of it.
    pub standing: Standing,
    /// What it has of the places, as it was last entered there.
    pub share: Share,
    /// Second sockets of connections on their way up.
    pub racers: u32,
    /// It may have idle connections, none of them idle for longer, and `places` knows.
    pub idle_filed: Option<Instant>,
    /// It waits in `places`, filed so.
    pub wants_place: Option<Wish>,
    /// It waits in the engine's backlog.
    pub in_backlog: bool,
    /// It is to be looked at when this call is over, since it may have become unused.
    pub is_emptied: bool,
    /// How it stands in `unused`, if it does.
    pub filed: Option<Filed>,
}

/// What an attempt's end tells of its receiver's speed.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How much it has to do.
    pub strain: Strain,
    /// From the request's first byte to the answer's.
    pub first_byte: Duration,
}

/// Jobs that wait at an origin, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// For a connection.
    pub waiting: u32,
    /// For the breaker to close, a hold to end, or load to come back: after those, or as the receiver takes it.
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
            revision: 0,
            trust: 0,
            queue: Lazy::default(),
            pool: Lazy::default(),
            breaker: Breaker::default(),
            opened_by: None,
            throttle: Throttle::default(),
            bucket: Bucket::default(),
            is_dry: false,
            open_since: Some(now),
            retries_since: now,
            absence: None,
            preference: Preference::default(),
            idle_time: IdleTime::default(),
            latency: Latency::default(),
            adaptive_timeout: AdaptiveTimeout::default(),
            adaptive_concurrency: AdaptiveConcurrency::default(),
            score: Score::default(),
            tally: Tally::default(),
            attempts: 0,
            retries: 0,
            counted: Counted::default(),
            last_job: now,
            gate: None,
            is_forbidden: false,
            standing: Standing::default(),
            share: Share::default(),
            racers: 0,
            idle_filed: None,
            wants_place: None,
            in_backlog: false,
            is_emptied: false,
            filed: None,
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
        if has_begun(next) {
            return Some(next);
        }
        if !self.may_begin(now) {
            return None;
        }
        if self.is_well() {
            return Some(next);
        }
        let next = if self.breaker.is_closed() {
            next
        } else {
            // The probe (F103).
            self.queue.longest_due(may_retry)?
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
        let has_room = self.attempts < self.attempts_max(now);
        self.breaker.may_begin(now) && has_room && self.has_token(now)
    }

    /// How many attempts may be under way while the breaker is closed: the smaller of what the ramp and what the
    /// receiver's own pace allow.
    fn attempts_max(&self, now: Instant) -> u32 {
        let adapted = self.adaptive_concurrency.limit().unwrap_or(u32::MAX);
        self.throttle.attempts_max(now).min(adapted)
    }

    /// An attempt begins: `attempt` is entered in the books. Says whether it is the last for a while, for `rateLimit`.
    pub fn on_begin(&mut self, now: Instant, priority: Priority, attempt: &mut Attempt) -> bool {
        attempt.epoch = self.breaker.on_begin(now);
        self.attempts += 1;
        self.retries += u32::from(attempt.is_retry);
        self.queue.on_begin(priority, attempt.is_retry);
        if let Some(rate) = self.endpoint.rate_limit {
            self.bucket.take(now, rate);
            self.is_dry = !self.has_token(now);
        }
        if self.is_held() {
            self.look(now);
        }
        self.is_dry
    }

    /// Time has passed, or the rate is another: is there a token?
    pub fn look_for_token(&mut self, now: Instant) {
        self.is_dry = !self.has_token(now);
        self.look(now);
    }

    /// Something has happened that what may begin follows from.
    pub fn look(&mut self, now: Instant) {
        let is_open = self.may_begin(now);
        self.open_since = is_open.then(|| self.open_since.unwrap_or(now));
    }

    /// Since when a job whose attempt begins now could have begun it if a connection had been free, unless it came in
    /// later.
    #[must_use]
    pub fn short_since(&self, now: Instant, is_retry: bool) -> Instant {
        let open_since = self.open_since.unwrap_or(now);
        if is_retry {
            open_since.max(self.retries_since)
        } else {
            open_since
        }
    }

    fn has_token(&self, now: Instant) -> bool {
        let rate = self.endpoint.rate_limit;
        rate.is_none_or(|rate| self.bucket.next_at(rate) <= now)
    }

    /// An attempt has ended.
    pub fn on_end(&mut self, now: Instant, attempt: &Attempt) {
        self.last_job = now;
        self.attempts -= 1;
        if attempt.is_retry {
            if self.retries >= retries_max(&self.endpoint) {
                self.retries_since = now;
            }
            self.retries -= 1;
        }
    }

    /// Whether the absence that was told then has had its vote in this epoch of the breaker.
    #[must_use]
    pub fn has_voted(&self, told: Instant, epoch: u32) -> bool {
        self.absence == Some((told, epoch))
    }

    /// An absence that was told then has its vote, if an attempt of this epoch has one.
    pub fn on_absence(&mut self, told: Option<Instant>, epoch: u32) {
        if self.breaker.is_current(epoch) {
            self.absence = told.map(|told| (told, epoch));
        }
    }

    /// Takes in what an attempt's end tells of the receiver's speed, once it has ended.
    pub fn learn(&mut self, now: Instant, attempt: &Attempt, accounting: Accounting, pace: Pace) {
        let took = attempt.took(now);
        match pace.strain {
            Strain::Fine => self.score.on_answered(now, took, self.endpoint.timeout),
            Strain::Refused | Strain::TimedOut | Strain::Unknown => {
                if accounting == Accounting::Counted {
                    self.score.on_failed(now);
                }
            }
        }
        let is_time = match pace.strain {
            Strain::Fine => true,
            Strain::TimedOut => self.is_at_its_own_limit(attempt.limit),
            Strain::Refused | Strain::Unknown => false,
        };
        if is_time {
            self.latency.record(now, took);
        }
        if self.endpoint.adaptive_timeout {
            self.adapt_timeout(attempt, took, pace);
        }
        if self.endpoint.adaptive_concurrency {
            self.adapt_concurrency(now, attempt, pace);
        }
    }

    /// It has other settings from now on. Gives those that it had.
    pub fn revise(&mut self, now: Instant, endpoint: Arc<Endpoint>) -> Arc<Endpoint> {
        if let Some(rate) = endpoint.rate_limit {
            self.bucket.on_rate(now, rate);
        }
        if !endpoint.adaptive_concurrency {
            self.adaptive_concurrency.forget();
        }
        std::mem::replace(&mut self.endpoint, endpoint)
    }

    /// Whether an attempt that timed out had as much time as this origin gives. One whose job has less of its own shows
    /// only that the answer takes longer than that, which is no time that it takes.
    fn is_at_its_own_limit(&self, limit: Limit) -> bool {
        match limit {
            Limit::Adaptive(_) => true,
            Limit::Timeout(limit) => limit >= self.attempt_limit().lasts(),
            Limit::Ttl(_) => false,
        }
    }

    fn adapt_timeout(&mut self, attempt: &Attempt, took: Duration, pace: Pace) {
        match (pace.strain, attempt.limit) {
            (Strain::Fine, _) => self.adaptive_timeout.on_answered(took, self.latency.p99()),
            (Strain::TimedOut, Limit::Adaptive(limit)) => self.adaptive_timeout.on_timed_out(limit),
            (Strain::Refused | Strain::TimedOut | Strain::Unknown, _) => {}
        }
    }

    fn adapt_concurrency(&mut self, now: Instant, attempt: &Attempt, pace: Pace) {
        let max_connections = self.endpoint.max_connections;
        let ended = Ended {
            started: attempt.started,
            under_way: self.attempts + 1,
        };
        let adaptive = &mut self.adaptive_concurrency;
        match pace.strain {
            Strain::Fine => {
                adaptive.on_answered(now, ended, pace.first_byte, max_connections);
            }
            Strain::Refused | Strain::TimedOut => adaptive.on_overloaded(now, ended),
            Strain::Unknown => {}
        }
    }

    /// Whether it has more connections than it may have.
    #[must_use]
    pub fn has_too_many(&self) -> bool {
        self.pool.len() > self.endpoint.max_connections as usize
    }

    /// Whether jobs that wait are to end at once.
    #[must_use]
    pub fn fails_jobs(&self, now: Instant) -> bool {
        self.endpoint.on_circuit_open == OnCircuitOpen::Fail && !self.breaker.may_begin(now)
    }

    /// Whether anything but connections holds its load back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.is_well() || self.is_dry
    }

    /// Whether its receiver takes all that it may be sent, as far as is known.
    fn is_well(&self) -> bool {
        let is_limited = self.adaptive_concurrency.limit().is_some();
        self.breaker.is_closed() && self.throttle.is_free() && !is_limited
    }

    /// The limit of an attempt that begins on a connection that is up. A probe of the breaker has the whole `timeout`:
    /// only so an origin is found well again that has become slower than it was.
    #[must_use]
    pub fn attempt_limit(&self) -> Limit {
        self.limit_with(Duration::ZERO)
    }

    /// The limit of an attempt that begins with a dial, of which the latency of most attempts says nothing: it has the
    /// time for that too.
    #[must_use]
    pub fn dialed_attempt_limit(&self) -> Limit {
        self.limit_with(self.endpoint.connect_timeout)
    }

    fn limit_with(&self, more: Duration) -> Limit {
        let most = self.endpoint.timeout;
        if !self.endpoint.adaptive_timeout || !self.breaker.is_closed() {
            return Limit::Timeout(most);
        }
        let limit = self.adaptive_timeout.limit(self.latency.p99(), most) + more;
        if limit < most {
            Limit::Adaptive(limit)
        } else {
            Limit::Timeout(most)
        }
    }

    /// How many requests may be under way at once, as things are: `maxConnections`, or what `adaptiveConcurrency` makes
    /// of it.
    #[must_use]
    pub fn concurrency(&self) -> u32 {
        let most = self.endpoint.max_connections;
        let adapted = self.adaptive_concurrency.limit();
        adapted.map_or(most, |limit| limit.min(most))
    }

    /// How reliable it is, from 0 to 100.
    #[must_use]
    pub fn score(&self, now: Instant) -> u8 {
        self.score.value(now).round() as u8
    }

    /// What it has of the places, as things are now.
    #[must_use]
    pub fn present_share(&self) -> Share {
        Share {
            standing: self.standing,
            open: self.pool.len() as u32 - self.pool.resolving(),
            racers: self.racers,
            idle: self.pool.idle_len(),
            resolving: self.pool.resolving(),
        }
    }

    /// Its jobs that wait, by what for, as things are now.
    #[must_use]
    pub fn count(&self) -> Counted {
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

    /// Attempts that `rateLimit` allows to begin now.
    fn tokens(&self, now: Instant) -> u32 {
        let rate = self.endpoint.rate_limit;
        rate.map_or(u32::MAX, |rate| self.bucket.tokens(now, rate))
    }

    /// Jobs in line that could be sent now if connections were free.
    #[must_use]
    pub fn pending(&self, now: Instant) -> u32 {
        let (begun, retries) = (self.queue.begun_in_line(), self.queue.retries_to_begin());
        let firsts = self.queue.in_line() - begun - retries;
        let retries = retries.min(retries_max(&self.endpoint).saturating_sub(self.retries));
        let allowed = match (self.breaker.is_closed(), self.breaker.may_begin(now)) {
            (_, false) => 0,
            (true, true) => self.attempts_max(now).saturating_sub(self.attempts),
            // The probe.
            (false, true) => 1,
        };
        begun + (firsts + retries).min(allowed).min(self.tokens(now))
    }

    /// When more may be done here, if the clock alone decides.
    #[must_use]
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let breaker = self.breaker.opens_until().filter(|at| *at > now);
        let rate = self.endpoint.rate_limit.filter(|_| self.is_dry);
        let token = rate.map(|rate| self.bucket.next_at(rate));
        [breaker, self.throttle.next_change(now), token]
            .into_iter()
            .flatten()
            .min()
    }

    /// Attempts under way.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Panics if its parts disagree: for tests, after every step.
    pub fn check_invariants(&self, now: Instant) {
        self.pool.check_invariants();
        self.queue.check_invariants();
        assert_eq!(self.counted, self.count(), "jobs that wait");
        assert_eq!(self.share, self.present_share(), "its share of the places");
        assert!(
            self.pool.idle_len() == 0 || self.idle_filed.is_some(),
            "idle connections that nobody finds"
        );
        assert!(
            !self.is_dry || self.gate.is_some(),
            "nobody looks for the next token"
        );
        assert!(
            self.open_since.is_none() || self.may_begin(now),
            "what may begin was not looked at"
        );
    }

    /// What keeps the attempts of its jobs in line from beginning, in words for the result of one that has expired.
    #[must_use]
    pub fn hindrance(&self, now: Instant) -> String {
        if self.breaker.is_isolated() {
            return "the circuit breaker, which is held open until its reset".to_owned();
        }
        if !self.breaker.is_closed() {
            let opened_by = self.opened_by.as_deref();
            let opened_by = opened_by.unwrap_or("failures in a row");
            return format!("the circuit breaker, which is open after {opened_by}");
        }
        if self.throttle.is_held(now) {
            return "the end of the time for which the receiver asked to be left alone (Retry-After)".to_owned();
        }
        if !self.has_token(now) {
            return "rateLimit to allow another attempt".to_owned();
        }
        if self.attempts >= self.attempts_max(now) {
            return "its turn: load comes back in steps".to_owned();
        }
        if self.pool.len() >= self.endpoint.max_connections as usize {
            let all = self.endpoint.max_connections;
            return format!("a connection: all {all} of the origin are in use (maxConnections)");
        }
        if self.wants_place.is_some() {
            return "a connection: all of the process are in use (maxConnectionsTotal)".to_owned();
        }
        if !self.throttle.may_dial(now) {
            return "a connection, for which this machine has no port, descriptor, memory or way"
                .to_owned();
        }
        "a connection".to_owned()
    }

    /// Whether it has neither jobs nor connections.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.queue.is_empty() && self.pool.is_empty()
    }

    /// Whether nothing was learnt of it that would be missed if it were forgotten now.
    #[must_use]
    pub fn is_blank(&self, now: Instant) -> bool {
        self.tally == Tally::default()
            && self.breaker.is_closed()
            && self.throttle.is_free()
            && self.throttle.next_change(now).is_none()
            && !self.is_dry
    }

    /// It has neither jobs nor connections: gives back the memory that it needs for those alone.
    pub fn rest(&mut self) {
        self.queue.rest();
        self.pool.rest();
        self.latency.rest();
        self.tally.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Now;
    use crate::engine::outcome::Vote;
    use crate::wire::job::{Job, Source};
    use crate::wire::job_line::JobLine;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::default() + SECOND * seconds as u32
    }

    fn origin(endpoint: Endpoint) -> Origin {
        Origin::new(at(0), named(), Arc::new(endpoint))
    }

    fn adaptive() -> Endpoint {
        Endpoint {
            adaptive_timeout: true,
            adaptive_concurrency: true,
            ..Endpoint::default()
        }
    }

    /// One attempt from beginning to end.
    fn attempt(origin: &mut Origin, strain: Strain) {
        let limit = origin.attempt_limit();
        let mut attempt = begun(limit);
        origin.on_begin(at(10), Priority::Normal, &mut attempt);
        origin.on_end(at(10), &attempt);
        let pace = Pace {
            strain,
            first_byte: Duration::from_millis(20),
        };
        let now = at(10)
            + match strain {
                Strain::TimedOut => limit.lasts(),
                Strain::Fine | Strain::Refused | Strain::Unknown => pace.first_byte,
            };
        origin.learn(now, &attempt, Accounting::Counted, pace);
    }

    fn begun(limit: Limit) -> Attempt {
        let job = job("");
        Attempt::begin(at(10), &job, at(10), at(3_600), limit)
    }

    #[test]
    fn the_timeout_adapts_after_a_hundred_answers_and_not_where_it_is_not_asked_for() {
        let mut origin = origin(adaptive());
        for _ in 0..99 {
            attempt(&mut origin, Strain::Fine);
        }
        assert_eq!(origin.attempt_limit(), Limit::Timeout(SECOND * 10));
        attempt(&mut origin, Strain::Fine);
        assert_eq!(origin.attempt_limit(), Limit::Adaptive(SECOND));
        assert_eq!(origin.dialed_attempt_limit(), Limit::Adaptive(SECOND * 6));
        origin.endpoint = Arc::default();
        assert_eq!(origin.attempt_limit(), Limit::Timeout(SECOND * 10));
    }

    #[test]
    fn a_receiver_that_becomes_slow_gets_its_timeout_back() {
        let mut origin = origin(adaptive());
        for _ in 0..50_000 {
            attempt(&mut origin, Strain::Fine);
        }
        let mut limits = Vec::new();
        while origin.attempt_limit() != Limit::Timeout(origin.endpoint.timeout) {
            limits.push(origin.attempt_limit().lasts().as_secs());
            attempt(&mut origin, Strain::TimedOut);
        }
        assert_eq!(limits, [1, 1, 2, 4, 8]);
    }

    #[test]
    fn a_time_out_of_a_jobs_own_shorter_timeout_is_no_time_that_the_receiver_takes() {
        let mut origin = origin(adaptive());
        let mut time_out = |limit| {
            let mut attempt = begun(limit);
            origin.on_begin(at(10), Priority::Normal, &mut attempt);
            origin.on_end(at(10), &attempt);
            let pace = Pace {
                strain: Strain::TimedOut,
                first_byte: Duration::ZERO,
            };
            let ended = at(10) + limit.lasts();
            origin.learn(ended, &attempt, Accounting::Counted, pace);
            origin.latency.count()
        };
        let own = |millis| Limit::Timeout(Duration::from_millis(millis));
        assert_eq!(time_out(own(200)), 0);
        assert_eq!(time_out(own(10_000)), 1, "the origin's");
        assert_eq!(time_out(own(60_000)), 2, "a longer one");
        assert_eq!(time_out(Limit::Adaptive(SECOND)), 3, "what it had learnt");
        for _ in 0..200 {
            time_out(own(200));
        }
        assert_eq!(
            origin.attempt_limit(),
            own(10_000),
            "nothing is learnt of it"
        );
    }

    #[test]
    fn the_breakers_probe_has_the_whole_timeout() {
        let mut origin = origin(adaptive());
        for _ in 0..100 {
            attempt(&mut origin, Strain::Fine);
        }
        for _ in 0..5 {
            let epoch = origin.breaker.on_begin(at(20));
            origin
                .breaker
                .on_end(at(20), epoch, Vote::Failure, 5, SECOND);
        }
        assert_eq!(
            origin.attempt_limit(),
            Limit::Timeout(origin.endpoint.timeout)
        );
    }

    #[test]
    fn a_jobs_own_timeout_is_obeyed_as_it_is() {
        for (timeout, expected) in [("0.2", 0.2), ("60", 60.0)] {
            let job = job(&format!(",\"timeout\":{timeout}"));
            let usual = Limit::Adaptive(SECOND);
            let attempt = Attempt::begin(at(10), &job, at(10), at(3_600), usual);
            let expected = Duration::from_secs_f64(expected);
            assert_eq!(attempt.limit, Limit::Timeout(expected));
        }
    }

    #[test]
    fn a_limit_on_attempts_holds_what_waits_until_it_is_lifted_or_not_wanted() {
        let mut origin = origin(adaptive());
        attempt(&mut origin, Strain::Refused);
        assert_eq!(origin.concurrency(), 1);
        assert!(origin.is_held() && origin.may_begin(at(11)));
        let mut under_way = begun(Limit::Timeout(SECOND));
        origin.on_begin(at(11), Priority::Normal, &mut under_way);
        assert!(!origin.may_begin(at(11)));
        origin.on_end(at(11), &under_way);
        assert!(origin.may_begin(at(11)));
        origin.revise(at(11), Arc::default());
        assert!(!origin.is_held());
        assert_eq!(origin.concurrency(), origin.endpoint.max_connections);
    }

    #[test]
    fn final_answers_make_the_score_and_what_is_nobodys_fault_does_not() {
        let mut origin = origin(Endpoint::default());
        assert_eq!(origin.score(at(10)), 100);
        attempt(&mut origin, Strain::Fine);
        assert_eq!(origin.score(at(11)), 100, "but for a trace");
        attempt(&mut origin, Strain::Refused);
        assert_eq!(origin.score(at(11)), 67);
        let before = origin.score(at(11));
        let pace = Pace {
            strain: Strain::Unknown,
            first_byte: Duration::ZERO,
        };
        let local = begun(Limit::Timeout(SECOND));
        origin.learn(at(11), &local, Accounting::None, pace);
        assert_eq!(origin.score(at(11)), before);
    }

    fn job(more: &str) -> Box<Job> {
        let line = format!("{{\"url\":\"https://example.com/\"{more}}}");
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        line.into_job("j".into(), Source::default(), named(), Now::default())
    }

    fn named() -> Arc<url::Origin> {
        Arc::new(url::Url::parse("https://example.com/").unwrap().to_origin())
    }
}
