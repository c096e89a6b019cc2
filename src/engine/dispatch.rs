//! How jobs and connections find each other: the engine's second room.
//!
//! A job takes the newest idle connection; else it waits in line, and a dial is made if more wait than dials are
//! on their way. A connection that comes free takes the first in line.
//!
//! Not here: how a connection comes up (`dialing`), what becomes of a job (`conclude`).

use std::sync::Arc;

use crate::base::slab::Key;
use crate::base::time::Now;
use crate::base::wheel::TimerId;
use crate::engine::attempt::Attempt;
use crate::engine::close_reason::CloseReason;
use crate::engine::conclude::{excerpt_bytes, expires, ttl};
use crate::engine::connection::{Then, Turn};
use crate::engine::dial::{Dial, Spent};
use crate::engine::event::{Cause, CauseKind, Output};
use crate::engine::exchange::Exchange;
use crate::engine::guard::Rule;
use crate::engine::heading::{self, Heading};
use crate::engine::origin::{Counted, Origin};
use crate::engine::outcome::Happened;
use crate::engine::policy::Endpoint;
use crate::engine::queue::Waiting;
use crate::engine::{Alarm, Engine, Phase, Place, STEPS_A_CALL, guard};
use crate::wire::job::Job;
use crate::wire::url::{self, ByText};

impl Engine {
    pub(super) fn on_job(&mut self, now: Now, job: Box<Job>) {
        self.jobs += 1;
        self.reported = None;
        self.excerpt_bytes += excerpt_bytes(&job);
        if self.phase != Phase::Running {
            return self.conclude(now, None, job, None, Happened::Cancelled);
        }
        let origin = self.origin_named(now, &job.origin);
        self.take_job(now, origin, job);
        // Whoever assigned the origin to this engine hears when it is forgotten: also where nothing may be sent to it.
        self.look_if_unused(origin);
    }

    fn take_job(&mut self, now: Now, origin: Key, mut job: Box<Job>) {
        let entry = &mut self.origins[origin];
        entry.last_job = now.mono;
        // Whoever accepted it may have known already; it stays so, whatever the settings are later.
        job.ttl.get_or_insert(entry.endpoint.ttl);
        if let Err(rule) = guard::check_scheme(&self.policy, job.origin.scheme) {
            return self.refuse(now, origin, job, None, rule);
        }
        let expires = expires(&job);
        if expires <= now.mono {
            let happened = Happened::Expired {
                ttl: ttl(&job),
                waited_for: None,
            };
            return self.conclude(now, Some(origin), job, None, happened);
        }
        if job.progress.attempts > 0 && job.progress.due > now.mono {
            return self.wait_until_due(now, origin, job);
        }
        self.admit(now, origin, Waiting::new(job, now.mono, expires));
    }

    /// A job may have a connection from now on: a new one, or one whose next attempt is due.
    pub(super) fn admit(&mut self, now: Now, origin: Key, waiting: Waiting) {
        self.catch_up(now, origin);
        let entry = &self.origins[origin];
        if entry.is_forbidden {
            return self.refuse(now, origin, waiting.job, None, Rule::Scheme);
        }
        if !heading::is_writable(&waiting.job, &entry.endpoint) {
            let happened = Happened::Dotted;
            return self.conclude(now, Some(origin), waiting.job, None, happened);
        }
        if entry.fails_jobs(now.mono) {
            let happened = Happened::CircuitOpen;
            return self.conclude(now, Some(origin), waiting.job, None, happened);
        }
        // Nobody is passed: where jobs stand in line the connections are busy, or all of them are held back.
        let is_next = entry.queue.in_line() == 0 && !waiting.is_retry();
        if is_next
            && entry.may_begin(now.mono)
            && let Some(connection) = self.take_idle(now, origin)
        {
            let place = Place { origin, connection };
            return self.start(now, place, waiting, Spent::default());
        }
        self.enqueue(origin, waiting);
        self.feed(now, origin);
    }

    /// A job goes nowhere that is forbidden.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        origin: Key,
        job: Box<Job>,
        attempt: Option<Attempt>,
        rule: Rule,
    ) {
        self.note_refused(&job, None, rule.to_string());
        self.conclude(now, Some(origin), job, attempt, Happened::Forbidden);
    }

    pub(super) fn origin_named(&mut self, now: Now, name: &Arc<url::Origin>) -> Key {
        if let Some(key) = self.by_name.get(&*name.text).copied() {
            self.use_again(key);
            self.catch_up(now, key);
            return key;
        }
        let endpoint = self.endpoint_of(name);
        let mut origin = Origin::new(now.mono, Arc::clone(name), endpoint);
        origin.revision = self.revision;
        origin.trust = self.policy.trust;
        origin.is_forbidden = guard::check_scheme(&self.policy, name.scheme).is_err();
        let key = self.origins.insert(Box::new(origin));
        self.by_name.insert(ByText(Arc::clone(name)), key);
        key
    }

    pub(super) fn enqueue(&mut self, origin: Key, waiting: Waiting) {
        let deadline = waiting.deadline();
        let queue = &mut self.origins[origin].queue;
        let job = queue.push_back(waiting);
        self.recount(origin);
        let timer = self.wheel.arm(deadline, Alarm::Waiting { origin, job });
        self.set_timer(origin, job, timer);
    }

    pub(super) fn set_timer(&mut self, origin: Key, job: Key, timer: TimerId) {
        let waiting = self.origins[origin]
            .queue
            .get_mut(job)
            .expect("the caller holds its key");
        if let Some(old) = waiting.timer.replace(timer) {
            self.wheel.cancel(old);
        }
    }

    /// Takes a job out of the queue, wherever it stands, and its timer out of the wheel.
    pub(super) fn dequeue(&mut self, origin: Key, job: Key) -> Option<Waiting> {
        let mut waiting = self.origins[origin].queue.remove(job)?;
        self.recount(origin);
        if let Some(timer) = waiting.timer.take() {
            self.wheel.cancel(timer);
        }
        self.look_if_unused(origin);
        Some(waiting)
    }

    /// Takes the newest idle connection that is fit for a request; closes those that are not.
    pub(super) fn take_idle(&mut self, now: Now, origin: Key) -> Option<Key> {
        loop {
            let pool = &mut self.origins[origin].pool;
            let connection = pool.newest_idle()?;
            let Some(reason) = pool[connection].unfit(now.mono) else {
                pool.pop_newest_idle();
                self.enter_share(origin);
                return Some(connection);
            };
            self.close(Place { origin, connection }, reason);
        }
    }

    /// Keeps the count of jobs that wait, and for what, in step with an origin where something has changed.
    pub(super) fn recount(&mut self, origin: Key) {
        let entry = &mut self.origins[origin];
        let now = entry.count();
        let before = std::mem::replace(&mut entry.counted, now);
        let moved = |all: u32, before: u32, now: u32| all - before + now;
        self.counted = Counted {
            waiting: moved(self.counted.waiting, before.waiting, now.waiting),
            held: moved(self.counted.held, before.held, now.held),
            later: moved(self.counted.later, before.later, now.later),
        };
    }

    /// Gives idle connections to jobs in line that may go, then dials for those that are left.
    pub(super) fn feed(&mut self, now: Now, origin: Key) {
        if self.phase != Phase::Running {
            return;
        }
        self.catch_up(now, origin);
        let entry = &self.origins[origin];
        if entry.is_forbidden {
            return self.refuse_waiting(now, origin);
        }
        if entry.fails_jobs(now.mono) {
            self.fail_held(now, origin);
        }
        for _ in 0..STEPS_A_CALL {
            let entry = &self.origins[origin];
            let Some(first) = entry.next_job(now.mono) else {
                return self.dial_more(now, origin);
            };
            let Some(connection) = self.take_idle(now, origin) else {
                return self.dial_more(now, origin);
            };
            let waiting = self.dequeue(origin, first).expect("the first in line");
            self.start(now, Place { origin, connection }, waiting, Spent::default());
        }
        // No dial is made beside connections that are idle.
        self.revisit(origin);
    }

    /// The breaker is open, and jobs are not to wait for it: those in line end, a few at a time.
    fn fail_held(&mut self, now: Now, origin: Key) {
        for _ in 0..STEPS_A_CALL {
            let queue = &self.origins[origin].queue;
            // Whose attempt has begun has it to the end.
            let Some(job) = queue.next_to_begin(true) else {
                return;
            };
            let waiting = self.dequeue(origin, job).expect("it stands in line");
            let happened = Happened::CircuitOpen;
            self.conclude(now, Some(origin), waiting.job, waiting.attempt, happened);
        }
        self.revisit(origin);
    }

    /// The last attempt has begun that `rateLimit` allows now.
    pub(super) fn wait_for_token(&mut self, now: Now, origin: Key) {
        self.recount(origin);
        self.arm_gate(now, origin);
    }

    /// An attempt of a job begins.
    fn begin(&mut self, now: Now, origin: Key, waiting: &mut Waiting) -> Attempt {
        let entry = &mut self.origins[origin];
        let usual = entry.attempt_limit();
        let mut attempt = waiting.new_attempt(now.mono, usual);
        let short_since = entry.short_since(now.mono, attempt.is_retry);
        waiting.since = waiting.since.max(short_since);
        let priority = waiting.job.priority;
        if entry.on_begin(now.mono, priority, &mut attempt) {
            self.wait_for_token(now, origin);
        }
        attempt
    }

    /// A request goes out.
    pub(super) fn start(&mut self, now: Now, place: Place, mut waiting: Waiting, spent: Spent) {
        let attempt = match waiting.attempt {
            Some(attempt) => attempt.resumed(now.mono, waiting.expires),
            None => self.begin(now, place.origin, &mut waiting),
        };
        // What is sent once more, or lost its connection before it was sent, has waited for one before.
        if !attempt.resent && waiting.since <= attempt.started {
            self.totals.waits.add(now.mono.since(waiting.since));
        }
        let mut job = waiting.job;
        job.progress.on_begin(attempt.queued);
        let Origin {
            endpoint,
            pool,
            tally,
            ..
        } = &mut *self.origins[place.origin];
        let connection = &mut pool[place.connection];
        let reused = connection.is_used();
        tally.reused += u64::from(reused);
        job.progress.reused = reused;
        spent.enter(&mut job.progress.timings);
        let exchange = write_request(now, &mut job, endpoint, attempt, reused);
        let look = connection.start(now.mono, job, exchange);
        let sock = connection
            .sock
            .expect("a connection that is up has a socket");
        self.stats.requests += 1;
        self.stats.reused += u64::from(reused);
        self.outputs.push_back(Output::Transmit { sock, look });
        self.arm(place);
    }

    /// Does what follows from a turn of a connection. Whatever an attempt's end says of the origin holds before the
    /// connection is given to the next job.
    pub(super) fn apply(&mut self, now: Now, place: Place, turn: Turn) {
        if let Then::Close(reason) = turn.then {
            if reason == CloseReason::ConnectFailed && self.is_dialing(place) {
                let cause = Cause {
                    kind: CauseKind::Reset,
                    message: "the connection broke".into(),
                };
                return self.fail_dial(now, place, Happened::ConnectFailed(cause));
            }
            if reason == CloseReason::Stale {
                self.on_stale(now, place);
            }
            self.close(place, reason);
        }
        if let Some(ended) = turn.ended {
            self.conclude(
                now,
                Some(place.origin),
                ended.job,
                Some(ended.attempt),
                ended.happened,
            );
        }
        match turn.then {
            Then::Wait => self.arm(place),
            Then::Release => self.release(now, place),
            Then::Close(_) => self.feed(now, place.origin),
        }
    }

    pub(super) fn is_dialing(&self, place: Place) -> bool {
        self.origins[place.origin].pool[place.connection]
            .dial()
            .is_some()
    }

    /// A connection is free for the next request.
    pub(super) fn release(&mut self, now: Now, place: Place) {
        if self.phase != Phase::Running {
            return self.close(place, CloseReason::Shutdown);
        }
        self.catch_up(now, place.origin);
        let entry = &self.origins[place.origin];
        let unfit = entry.pool[place.connection].unfit(now.mono);
        if let Some(reason) = unfit.or_else(|| self.surplus(place.origin)) {
            self.close(place, reason);
            return self.dial_more(now, place.origin);
        }
        match entry.next_job(now.mono) {
            Some(next) => {
                let waiting = self.dequeue(place.origin, next).expect("it is in line");
                self.start(now, place, waiting, Spent::default());
            }
            None => self.set_idle(now, place),
        }
    }

    pub(super) fn set_idle(&mut self, now: Now, place: Place) {
        let Place { origin, connection } = place;
        let entry = &mut self.origins[origin];
        let configured = entry.endpoint.idle_timeout;
        let limit = entry.idle_time.limit(now.mono, configured);
        entry.pool.push_idle(now.mono, connection, limit);
        self.enter_idle(now, origin);
        self.arm(place);
        self.offer_place();
    }

    /// The one place where a connection ends.
    pub(super) fn close(&mut self, place: Place, reason: CloseReason) {
        let entry = &mut self.origins[place.origin];
        let Some(connection) = entry.pool.remove(place.connection) else {
            return;
        };
        if let Some((timer, _)) = connection.alarm {
            self.wheel.cancel(timer);
        }
        for sock in connection.socks() {
            self.sockets.remove(sock.0);
            self.outputs.push_back(Output::Close { sock });
        }
        entry.racers -= u32::from(connection.dial().is_some_and(Dial::is_racing));
        // One that never came up is told of by the attempt that failed with it.
        if connection.dial().is_none() {
            entry.tally.closed.add(reason.name(), 1);
            self.outputs.push_back(Output::ConnectionClosed {
                origin: Arc::clone(&entry.name),
                reason: reason.name(),
            });
        }
        self.enter_share(place.origin);
        self.look_if_unused(place.origin);
        self.offer_place();
    }

    /// A kept-alive connection has died under a request: those that are idle for longer are as good as dead, and the
    /// next ones are kept for a shorter time.
    fn on_stale(&mut self, now: Now, dead: Place) {
        let Origin {
            idle_time,
            endpoint,
            ..
        } = &mut *self.origins[dead.origin];
        idle_time.on_stale(now.mono, endpoint.idle_timeout);
        while let Some((connection, _)) = self.origins[dead.origin].pool.oldest_idle() {
            self.close(Place { connection, ..dead }, CloseReason::Stale);
        }
    }
}

/// Writes the head of this attempt in front of the job's body.
fn write_request(
    now: Now,
    job: &mut Job,
    endpoint: &Endpoint,
    attempt: Attempt,
    reused: bool,
) -> Exchange {
    match heading::write(now, job, endpoint) {
        Heading::InMessage { start } => Exchange::new(attempt, reused, &job.message, start),
        Heading::Apart(head) => Exchange::with_spilled_head(attempt, reused, &job.message, head),
    }
}
