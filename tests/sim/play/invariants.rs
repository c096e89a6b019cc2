//! What must hold: after each step, now and then of everything, and in the end.

use std::time::Duration;

use conduit::base::time::Instant;
use conduit::engine::Engine;

use super::model::{LATE_MAX, TICK};
use super::network::{Peer, Sock};
use super::scenario::loosen;
use super::world::World;

/// Memory of jobs that wait, of results, and one job more (I13).
const PENDING_BYTES_MAX: usize = (256 << 20) + (1 << 20);
/// A job's share of the time that a liveness phase may take: answer and latency of the slowest receiver.
const SERVED_IN: Duration = Duration::from_millis(600);

impl World {
    /// I1, I13: cheap enough for every step.
    pub(super) fn check_bounds(&mut self) {
        let progress = self.intake.progress();
        let model = &self.model;
        let in_memory = progress.pending - progress.parked;
        assert_eq!(model.accepted, model.ended + in_memory as u64, "I1");
        // Some more where an origin would run dry.
        let max = self.plan.max_pending;
        let max = self
            .spool
            .as_ref()
            .map_or(max, |_| max + max.div_ceil(8) + 32);
        assert!(in_memory <= max, "I13: {in_memory} jobs pending");
        assert!(progress.pending_bytes <= PENDING_BYTES_MAX, "I13");
    }

    /// I1, I2, I11: walks everything.
    pub(super) fn check_everything(&mut self) {
        self.engines.iter().for_each(Engine::check_invariants);
        self.intake.check_invariants();
        let held: usize = self.engines.iter().map(Engine::jobs).sum();
        let held = held + self.postponed();
        let progress = self.intake.progress();
        assert_eq!(held, progress.pending - progress.parked, "I1: jobs held");
        if let Some(spool) = &self.spool {
            spool.check_invariants();
        }
        for (engine, sockets) in self.engines.iter().zip(&self.sockets) {
            let all = self.plan.policies();
            let total = all.map(|policy| policy.max_connections_total).max();
            let total = total.unwrap_or_default();
            assert!(
                engine.connections() <= total,
                "I2: {} connections",
                engine.connections()
            );
            assert!(
                sockets.len() <= 2 * total as usize + 256,
                "I2: {} sockets",
                sockets.len()
            );
        }
        let settled = self
            .model
            .breakers
            .iter()
            .all(|breaker| breaker.is_settled());
        assert!(settled, "I8: a change that no attempt's end explains");
    }

    /// What is counted never goes back, and each attempt is counted at most once.
    pub(super) fn check_counters(&mut self) {
        let endpoints = self.intake.survey().endpoints();
        let shown: u64 = endpoints.iter().map(|one| one.tally.attempts()).sum();
        assert!(
            shown >= self.attempts_shown,
            "counters go back from {} to {shown}",
            self.attempts_shown
        );
        self.attempts_shown = shown;
    }

    /// I2: sockets to one origin, of which one more is opened. Those of a dial may be two for a moment.
    pub(super) fn check_sockets(&self, origin: usize) {
        let max = self.model.loosest[origin].max_connections;
        let receiver = &self.receivers[origin];
        assert!(receiver.up <= max, "I2: {} connections up", receiver.up);
        assert!(
            receiver.sockets <= 2 * max,
            "I2: {} sockets",
            receiver.sockets
        );
    }

    /// I3, I7: a request begins on a connection that came up at `opened` and was idle since `idle_since`.
    pub(super) fn on_request_begins(
        &mut self,
        origin: usize,
        opened: Instant,
        idle_since: Option<Instant>,
        is_reused: bool,
    ) {
        let now = self.mono;
        let model = &self.model;
        let endpoint = &model.loosest[origin];
        if is_reused {
            let age = now.since(opened);
            assert!(
                age <= endpoint.connection_lifetime + TICK,
                "I3: reused at the age of {age:?}"
            );
            let idle = idle_since.map_or(Duration::ZERO, |since| now.since(since));
            // What had to be read first ended the idle time, or had not yet begun it.
            let excused = model.pauses_between(now - idle, now) + LATE_MAX;
            assert!(
                idle <= endpoint.idle_timeout + excused,
                "I3: reused after {idle:?}"
            );
        }
        let in_flight = self.receivers[origin].in_flight;
        let attempt_max =
            model.attempt_max + model.pauses_between(Instant::from_nanos(0), now) + LATE_MAX;
        model.breakers[origin].on_request(now, in_flight, attempt_max);
    }

    /// I3: a connection is gone.
    pub(super) fn check_idle_age(&self, sock: &Sock) {
        let Some(since) = sock.far.idle_since else {
            return;
        };
        let idle = self.mono.since(since);
        let excused = self.model.pauses_between(since, self.mono) + LATE_MAX;
        // Drained responses end when the engine says so, up to this much later.
        let Peer::Origin(origin) = sock.peer else {
            return;
        };
        let endpoint = &self.model.loosest[origin];
        let max = endpoint.idle_timeout + endpoint.drain_timeout;
        assert!(idle <= max + excused, "I3: idle for {idle:?}");
    }

    /// P5, I16, I17: nothing is left.
    pub(super) fn check_end(&mut self) {
        self.check_everything();
        let progress = self.intake.progress();
        assert!(self.intake.is_finished(), "intake is not finished");
        assert_eq!(
            (progress.pending, progress.result_bytes, progress.origins),
            (0, 0, 0),
            "P5"
        );
        for (engine, sockets) in self.engines.iter().zip(&self.sockets) {
            assert_eq!((engine.jobs(), engine.connections()), (0, 0), "P5");
            assert_eq!(engine.poll_timeout(), None, "P5: a timer is left");
            let left: Vec<_> = sockets.iter().map(|sock| (sock.id, sock.peer)).collect();
            assert!(left.is_empty(), "P5: sockets left: {left:?}");
        }
        let model = &self.model;
        if self.spool.is_some() {
            model.check_survival();
        } else {
            let jobs = u64::from(self.plan.jobs);
            assert_eq!(model.accepted, jobs, "every job was taken in");
            assert_eq!(
                model.results,
                jobs + model.no_jobs,
                "I17: one result a line"
            );
        }
        let receivers = self.receivers.iter();
        let left: u32 = receivers
            .map(|receiver| receiver.sockets + receiver.up + receiver.in_flight)
            .sum();
        assert_eq!(left, 0, "P5: receivers agree");
        self.check_liveness();
        // Every origin is forgotten by now, and has handed over what was counted there.
        self.check_counters();
        // Those of jobs that were found were counted by an earlier process.
        assert!(
            self.spool.is_some() || self.attempts_shown == self.model.attempts,
            "each attempt is counted once: {} of {}",
            self.attempts_shown,
            self.model.attempts
        );
    }

    /// I16: once all is healthy, all ends within what retries, holds, breakers, caches and the queue can add up to.
    fn check_liveness(&self) {
        let mut loosest = self.model.loosest.iter().cloned();
        let first = loosest.next().expect("there is an origin");
        let endpoint = &loosest.fold(first, |mut all, other| {
            loosen(&mut all, &other);
            all
        });
        let last = self
            .plan
            .arrivals
            .iter()
            .map(|arrivals| arrivals.to)
            .max()
            .unwrap_or_default();
        let attempts = endpoint.retry_schedule.len() as u32 + 1;
        let schedule: Duration = endpoint.retry_schedule.iter().sum();
        // Retry-After as far as scenarios go, absence and failure of names in the cache, pauses of dials.
        let asked = Duration::from_secs(20) * attempts;
        let cached = Duration::from_secs(60 + 30) + Duration::from_secs(30) * 2;
        let waits = (schedule + asked) * 6 / 5 + self.model.attempt_max * attempts;
        let bound = self.plan.faults_end.max(last)
            + waits
            + cached
            + endpoint.max_retry_after_hold
            + endpoint.breaker_duration * 2
            + SERVED_IN * self.plan.jobs;
        let books = self.model.books.iter();
        let end = books.map(|book| book.ended).max().unwrap_or_default();
        let end = end.since(Instant::from_nanos(0));
        assert!(
            end <= bound,
            "I16: the last job ended after {end:?}, not {bound:?}"
        );
    }
}
