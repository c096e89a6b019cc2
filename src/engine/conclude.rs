//! What becomes of a job: when its attempt is over, when its time is, and when the process ends.
//!
//! Every end and every way back into the line goes through [`Engine::conclude`]: same code, no side door.
//!
//! Not here: the table from what happened to what follows (`outcome`).

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::{Instant, Now, Wall};
use crate::engine::attempt::{Attempt, Limit, is_scant};
use crate::engine::backoff;
use crate::engine::breaker::Change;
use crate::engine::dial::{Dial, Purpose};
use crate::engine::event::{Cause, CauseKind, Next, Note, Output};
use crate::engine::heading;
use crate::engine::origin::{Origin, Pace};
use crate::engine::outcome::{
    self, Accounting, Clock, Happened, Judgement, Strain, Verdict, Vote, judge,
};
use crate::engine::policy::Endpoint;
use crate::engine::queue::Waiting;
use crate::engine::{Alarm, Engine, PAUSE_GRACE, Phase, Place, STEPS_A_CALL};
use crate::wire::job::{Job, Trouble};
use crate::wire::masks::Masks;
use crate::wire::report::{Ending, Failure, Outcome};
use crate::wire::spool;
use crate::wire::tally::AttemptEnd;

/// This machine's own trouble is told of at once, then once in so long.
const TROUBLE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Excerpts of answers that are kept for jobs which wait for another attempt, in all.
pub const EXCERPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an origin remembers of the words of the failure that has opened its breaker.
const OPENED_BY_BYTES_MAX: usize = 256;

/// A job of the spool whose next attempt is further away leaves the engine, and its memory, until then.
const POSTPONED_FROM: Duration = Duration::from_secs(60);

/// What is kept of the answer to a job that waits for another attempt, in bytes.
pub(super) fn excerpt_bytes(job: &Job) -> usize {
    let failure = job.progress.failure.as_deref();
    failure.map_or(0, Failure::excerpt_bytes)
}

/// A job's time to live, which no later settings change.
pub(super) fn ttl(job: &Job) -> Duration {
    job.ttl.expect("it has one since it came in")
}

/// When that ends, of which some was gone when the job was found in the spool.
pub(super) fn expires(job: &Job) -> Instant {
    job.accepted.mono + ttl(job).saturating_sub(job.age)
}

impl Engine {
    /// An attempt is over, or a job that never had one: what becomes of the job.
    pub(super) fn conclude(
        &mut self,
        now: Now,
        origin: Option<Key>,
        mut job: Box<Job>,
        attempt: Option<Attempt>,
        happened: Happened,
    ) {
        if let (Happened::Stale { .. }, Some(origin)) = (&happened, origin) {
            // Its job may go out again: by the newest settings.
            self.catch_up(now, origin);
        }
        let happened = self.seen_from_its_origin(origin, &job, attempt.as_ref(), happened);
        let judged = judge(&happened, &self.endpoint(origin).retry_statuses);
        if judged.verdict == Verdict::Resend {
            return self.resend(now, origin, job, attempt, &happened);
        }
        let mut has_opened = false;
        if let (Some(origin), Some(attempt)) = (origin, &attempt) {
            has_opened = self.teach(now, origin, &job, attempt, judged, &happened);
        }
        if judged.verdict == Verdict::Delivered {
            job.progress.attempts += 1;
            job.progress.status = happened.status();
            return self.done(now, job, Outcome::Delivered, None);
        }
        if judged.verdict == Verdict::Deferred
            && let Some(wait) = self.local_wait(now, origin, &mut job)
        {
            return self.put_off(now, origin, job, wait, happened);
        }
        let put_off_for_long = judged.verdict == Verdict::Deferred && self.phase == Phase::Running;
        let counted = judged.accounting == Accounting::Counted || put_off_for_long;
        if let (true, Some(origin), Some(attempt)) = (put_off_for_long, origin, &attempt) {
            let tally = &mut self.origins[origin].tally;
            tally.on_attempt(AttemptEnd::Error, attempt.is_retry);
        }
        if counted {
            job.progress.attempts += 1;
            job.progress.status = happened.status();
            job.progress.trouble = None;
        }
        let asked = happened.retry_after(now.wall);
        let (next, too_late) = self.next(now, origin, &job, judged.verdict, asked);
        let is_abandoned = matches!(happened, Happened::Abandoned);
        let mut failure = self.failure_of(origin, &job, happened);
        if let (true, Some(origin)) = (has_opened, origin) {
            let words: &str = failure.message.as_ref();
            let end = words.floor_char_boundary(OPENED_BY_BYTES_MAX);
            self.origins[origin].opened_by = Some(words[..end].into());
        }
        if let Some(wait) = too_late {
            let attempts = job.progress.attempts;
            let asked = asked
                .filter(|asked| backoff::is_asked_for(self.endpoint(origin), attempts, *asked));
            failure.message = outcome::too_late(&failure.message, wait, asked).into();
        }
        if let Some(attempt) = attempt.filter(|_| counted) {
            self.note_failed(now, &job, &attempt, &failure, next);
        }
        match next {
            Next::Retry(wait) => {
                self.tell_attempted(now, &job, &failure, wait);
                self.keep_failure(&mut job, failure);
                self.wait_for(now, origin, job, wait);
            }
            Next::Ended(Outcome::Cancelled) if !is_abandoned => {
                let failure = Happened::Cancelled.into_failure();
                self.done(now, job, Outcome::Cancelled, Some(Box::new(failure)));
            }
            Next::Ended(outcome) => {
                // A job that ends while it waits ends with what its last attempt failed of.
                let last = self.take_failure(&mut job);
                let expired_waiting = outcome == Outcome::Expired && !counted;
                let failure = last.filter(|_| expired_waiting).unwrap_or(failure);
                self.done(now, job, outcome, Some(failure));
            }
        }
    }

    /// What happened, as what is known of the origin has it.
    fn seen_from_its_origin(
        &self,
        origin: Option<Key>,
        job: &Job,
        attempt: Option<&Attempt>,
        happened: Happened,
    ) -> Happened {
        match self.in_context(happened, attempt, job, self.endpoint(origin)) {
            Happened::TimedOut(Clock::Adaptive(limit)) if self.has_outgrown(origin, limit) => {
                Happened::TimedOut(Clock::Outgrown(limit))
            }
            Happened::NoAddress { message, told } if self.has_voted(origin, attempt, told) => {
                Happened::SameAbsence(message)
            }
            happened => happened,
        }
    }

    /// Has the origin learn of an attempt's end. Whether its breaker has opened.
    fn teach(
        &mut self,
        now: Now,
        origin: Key,
        job: &Job,
        attempt: &Attempt,
        judged: Judgement,
        happened: &Happened,
    ) -> bool {
        if let Happened::NoAddress { told, .. } = happened {
            self.origins[origin].on_absence(*told, attempt.epoch);
        }
        let pace = Pace {
            strain: happened.strain(judged.verdict),
            first_byte: job.progress.timings.first_byte,
        };
        let hold = happened.retry_after(now.wall);
        let hold = hold.filter(|_| happened.holds_others());
        let has_opened = self.on_attempt_over(now, origin, attempt, judged, hold, pace);
        if judged.accounting == Accounting::Counted {
            let end = happened.attempt_end(attempt);
            let Origin {
                tally, endpoint, ..
            } = &mut *self.origins[origin];
            tally.on_attempt(end, attempt.is_retry);
            if let (AttemptEnd::Status(_, took), Some(region)) = (end, &endpoint.region) {
                self.totals.on_answered(region, took);
            }
        }
        has_opened
    }

    /// This machine's own trouble: the job waits for so long, or in line where only dials are in vain.
    fn put_off(
        &mut self,
        now: Now,
        origin: Option<Key>,
        job: Box<Job>,
        wait: Duration,
        happened: Happened,
    ) {
        self.note_put_off(now, &happened);
        let is_dials = matches!(happened, Happened::ConnectFailed(_));
        self.tell_trouble(now, &job, happened);
        match origin.filter(|_| is_dials) {
            Some(origin) => self.put_back(now, origin, job),
            None => self.wait_for(now, origin, job, wait),
        }
    }

    /// What happened in words that may be told: nothing of what the request was sent with, nor of what it would be now.
    fn failure_of(&self, origin: Option<Key>, job: &Job, mut happened: Happened) -> Box<Failure> {
        let sent_with = match &mut happened {
            Happened::Answered { sent_with, .. } => sent_with.take(),
            _ => None,
        };
        let mut failure = Box::new(happened.into_failure());
        let present = self.endpoint(origin);
        let endpoints = sent_with.as_deref().into_iter().chain([present]);
        mask(&mut failure, job, endpoints);
        failure
    }

    fn note_failed(
        &mut self,
        now: Now,
        job: &Job,
        attempt: &Attempt,
        failure: &Failure,
        next: Next,
    ) {
        let note = Note::AttemptFailed {
            id: job.id.clone(),
            origin: Arc::clone(&job.origin),
            attempt: job.progress.attempts,
            kind: failure.kind,
            message: failure.message.clone().into(),
            status: job.progress.status,
            elapsed: now.mono.since(attempt.started),
            next,
            is_dead: job.spooled.is_some()
                && matches!(next, Next::Ended(outcome) if outcome != Outcome::Cancelled),
        };
        self.outputs.push_back(Output::Note(Box::new(note)));
    }

    /// Keeps what a job's attempt failed of while it waits for another. The excerpt is dropped where too much of them
    /// is kept already: `maxPendingBytes` does not know of them.
    fn keep_failure(&mut self, job: &mut Job, mut failure: Box<Failure>) {
        self.take_failure(job);
        if self.excerpt_bytes + failure.excerpt_bytes() > EXCERPT_BYTES_MAX {
            failure.excerpt = None;
        }
        self.excerpt_bytes += failure.excerpt_bytes();
        job.progress.failure = Some(failure);
    }

    fn take_failure(&mut self, job: &mut Job) -> Option<Box<Failure>> {
        let failure = job.progress.failure.take()?;
        self.excerpt_bytes -= failure.excerpt_bytes();
        Some(failure)
    }

    /// What happened, as the attempt to which it happened and the state of the process make it.
    fn in_context(
        &self,
        happened: Happened,
        attempt: Option<&Attempt>,
        job: &Job,
        endpoint: &Endpoint,
    ) -> Happened {
        let is_writable = heading::is_writable(job, endpoint);
        let is_excused = attempt.is_some_and(|attempt| attempt.excused);
        match (happened, attempt) {
            (Happened::Stale { sent: true }, Some(attempt))
                if attempt.resent || !endpoint.resend_stale || !is_writable =>
            {
                let message =
                    "the server closed the kept-alive connection before a response".into();
                Happened::Broken(Cause {
                    kind: CauseKind::Reset,
                    message,
                })
            }
            (Happened::Stale { .. }, _) if self.phase != Phase::Running => Happened::Cancelled,
            (Happened::Stale { .. }, _) if !is_writable => Happened::Dotted,
            (Happened::TimedOut(Clock::Ttl(_)), _) if is_excused => Happened::Expired {
                ttl: ttl(job),
                waited_for: None,
            },
            (Happened::TimedOut(_), _) if is_excused => Happened::Paused,
            (Happened::TimedOut(Clock::Ttl(left)), _) if is_scant(left, job, endpoint) => {
                Happened::TimedOut(Clock::ScantTtl(left))
            }
            (happened, _) => happened,
        }
    }

    /// Whether the answer of a name server that this attempt failed of has had its vote: one answer has one, however
    /// many attempts it ends.
    fn has_voted(
        &self,
        origin: Option<Key>,
        attempt: Option<&Attempt>,
        told: Option<Instant>,
    ) -> bool {
        let (Some(origin), Some(attempt), Some(told)) = (origin, attempt, told) else {
            return false;
        };
        self.origins[origin].has_voted(told, attempt.epoch)
    }

    /// Whether an attempt that begins now has more time than this: those that were under way together when their
    /// receiver became slower are no row of failures.
    fn has_outgrown(&self, origin: Option<Key>, limit: Duration) -> bool {
        origin.is_some_and(|origin| self.origins[origin].attempt_limit().lasts() > limit)
    }

    /// What an attempt's end says of its origin: the breaker's vote, a hold that the receiver asks for, how fast it is,
    /// and how much more may begin now. Says whether the breaker has opened.
    fn on_attempt_over(
        &mut self,
        now: Now,
        origin: Key,
        attempt: &Attempt,
        judged: Judgement,
        hold: Option<Duration>,
        pace: Pace,
    ) -> bool {
        let entry = &mut self.origins[origin];
        entry.on_end(now.mono, attempt);
        let endpoint = &entry.endpoint;
        let is_current = entry.breaker.is_current(attempt.epoch);
        let change = entry.breaker.on_end(
            now.mono,
            attempt.epoch,
            judged.vote,
            endpoint.breaker_failures,
            endpoint.breaker_duration,
        );
        let max_connections = endpoint.max_connections;
        let was_held = entry.is_held();
        entry.learn(now.mono, attempt, judged.accounting, pace);
        let delivered = judged.verdict == Verdict::Delivered;
        match change {
            Change::None if judged.vote == Vote::Success && is_current => {
                let throttle = &mut entry.throttle;
                throttle.on_success(now.mono, delivered, max_connections);
            }
            Change::None => {}
            Change::Opened(until) => {
                let open_for = Some(until.since(now.mono));
                entry.tally.trips += 1;
                self.tell_breaker(origin, open_for);
            }
            Change::Closed => {
                entry.throttle.on_breaker_closed(now.mono, delivered);
                self.tell_breaker(origin, None);
            }
        }
        self.judge_standing(origin, judged);
        if let Some(delay) = hold {
            self.hold(now, origin, delay);
        }
        let entry = &mut self.origins[origin];
        // Of a 2xx at an origin that nothing holds back nothing follows for the others.
        if was_held || entry.is_held() || attempt.is_retry {
            entry.look(now.mono);
            let in_line = entry.queue.in_line();
            self.recount(origin);
            self.arm_gate(now, origin);
            if in_line > 0 {
                self.revisit(origin);
            }
        }
        matches!(change, Change::Opened(_))
    }

    /// An attempt has not begun after all.
    pub(super) fn on_unbegun(&mut self, now: Now, origin: Key, attempt: &Attempt) {
        let pace = Pace {
            strain: Strain::Unknown,
            first_byte: Duration::ZERO,
        };
        self.on_attempt_over(now, origin, attempt, Judgement::UNBEGUN, None, pace);
    }

    fn hold(&mut self, now: Now, origin: Key, delay: Duration) {
        // No longer than its own job waits: whoever obeys a receiver for a minute at most is held for no hour.
        let entry = &mut self.origins[origin];
        let endpoint = &entry.endpoint;
        let most = endpoint.max_retry_after.min(endpoint.max_retry_after_hold);
        let delay = delay.min(most);
        if entry.throttle.hold(now.mono, delay) {
            let origin = Arc::clone(&entry.name);
            let note = Note::Held { origin, delay };
            self.outputs.push_back(Output::Note(Box::new(note)));
        }
    }

    pub(super) fn tell_breaker(&mut self, origin: Key, open_for: Option<Duration>) {
        let origin = Arc::clone(&self.origins[origin].name);
        self.outputs.push_back(Output::Origin {
            origin: Arc::clone(&origin),
            held: open_for.is_some(),
        });
        let note = Note::Breaker { origin, open_for };
        self.outputs.push_back(Output::Note(Box::new(note)));
    }

    /// For how long this machine's own trouble puts a job off; none if it has for too long.
    fn local_wait(&self, now: Now, origin: Option<Key>, job: &mut Job) -> Option<Duration> {
        if self.phase != Phase::Running {
            return None;
        }
        let trouble = job.progress.trouble.get_or_insert(Trouble {
            since: now.mono,
            put_off: 0,
        });
        let lasted = now.mono.since(trouble.since);
        let wait = backoff::local_wait(trouble.put_off);
        trouble.put_off = trouble.put_off.saturating_add(1);
        (lasted < self.endpoint(origin).local_trouble_limit).then_some(wait)
    }

    fn tell_trouble(&mut self, now: Now, job: &Job, happened: Happened) {
        self.trouble.put_off += 1;
        let told = self.trouble.told;
        if told.is_some_and(|told| now.mono.since(told) < TROUBLE_TOLD_EVERY) {
            return;
        }
        self.trouble.told = Some(now.mono);
        let note = Note::LocalTrouble {
            origin: Arc::clone(&job.origin),
            message: happened.into_failure().message.into(),
            put_off: std::mem::take(&mut self.trouble.put_off),
        };
        self.outputs.push_back(Output::Note(Box::new(note)));
    }

    /// What comes next for a job of which this was the verdict; and if that is its end only because its time to live
    /// ends first, after how long the next attempt would have been due.
    fn next(
        &mut self,
        now: Now,
        origin: Option<Key>,
        job: &Job,
        verdict: Verdict,
        asked: Option<Duration>,
    ) -> (Next, Option<Duration>) {
        let outcome = match verdict {
            Verdict::Delivered => Outcome::Delivered,
            Verdict::Rejected => Outcome::Rejected,
            Verdict::GivenUp => Outcome::Exhausted,
            Verdict::Blocked => Outcome::Blocked,
            Verdict::Expired => Outcome::Expired,
            Verdict::Cancelled => Outcome::Cancelled,
            Verdict::Resend => unreachable!("it has gone out again"),
            Verdict::Deferred if self.phase != Phase::Running => Outcome::Cancelled,
            Verdict::Retry | Verdict::Deferred => {
                let endpoint = match origin {
                    Some(origin) => &self.origins[origin].endpoint,
                    None => &self.policy.endpoint,
                };
                let attempts = job.progress.attempts;
                match backoff::wait(endpoint, attempts, asked, &mut self.rng) {
                    None => Outcome::Exhausted,
                    Some(_) if self.phase != Phase::Running => Outcome::Cancelled,
                    Some(wait) if now.mono + wait >= expires(job) => {
                        return (Next::Ended(Outcome::Expired), Some(wait));
                    }
                    Some(wait) => return (Next::Retry(wait), None),
                }
            }
        };
        (Next::Ended(outcome), None)
    }

    /// Puts a job in line again that a dial could not be made for: it is dials that wait for this machine's trouble to
    /// end (`throttle`), while any connection that comes free takes the job (F155).
    fn put_back(&mut self, now: Now, origin: Key, job: Box<Job>) {
        let expires = expires(&job);
        self.enqueue(origin, Waiting::new(job, now.mono, expires));
        self.revisit(origin);
    }

    /// Puts a job aside until it is due again. It holds nothing but its memory.
    fn wait_for(&mut self, now: Now, origin: Option<Key>, mut job: Box<Job>, wait: Duration) {
        let origin = origin.expect("a job that was tried has an origin");
        job.progress.due = now.mono + wait;
        job.progress.failed = Some(now.mono);
        self.wait_until_due(now, origin, job);
    }

    /// The same for one of which it is known when that is. If it is long and the spool has the job, it leaves.
    pub(super) fn wait_until_due(&mut self, now: Now, origin: Key, job: Box<Job>) {
        let due = job.progress.due;
        if job.spooled.is_some() && due.since(now.mono) > POSTPONED_FROM {
            self.jobs -= 1;
            self.excerpt_bytes -= excerpt_bytes(&job);
            self.outputs.push_back(Output::Postponed { job });
            return;
        }
        let expires = expires(&job);
        // Local trouble may outlast a job's time to live.
        let alarm_at = due.min(expires);
        let waiting = Waiting::new(job, now.mono, expires);
        let job = self.origins[origin].queue.insert_later(waiting);
        let timer = self.wheel.arm(alarm_at, Alarm::Waiting { origin, job });
        self.dues.push(Reverse(alarm_at));
        self.set_timer(origin, job, timer);
        self.recount(origin);
    }

    /// A job waits for another attempt: what it went through must outlast this process, if the spool has it.
    fn tell_attempted(&mut self, now: Now, job: &Job, failure: &Failure, wait: Duration) {
        let Some(key) = job.spooled else {
            return;
        };
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let due = now.wall.unix_nanos().saturating_add(wait);
        let attempt = spool::Attempt {
            attempts: job.progress.attempts,
            due: Wall::from_unix_nanos(due),
            status: job.progress.status,
            kind: failure.kind,
            message: Arc::from(&*failure.message),
        };
        let attempt = Box::new(attempt);
        self.outputs.push_back(Output::Attempted { key, attempt });
    }

    /// The settings that hold for a job: its origin's, where it came so far.
    fn endpoint(&self, origin: Option<Key>) -> &Endpoint {
        match origin {
            Some(origin) => &self.origins[origin].endpoint,
            None => &self.policy.endpoint,
        }
    }

    pub(super) fn done(
        &mut self,
        now: Now,
        mut job: Box<Job>,
        outcome: Outcome,
        failure: Option<Box<Failure>>,
    ) {
        self.jobs -= 1;
        job.progress.ended = now.mono;
        self.take_failure(&mut job);
        self.outputs.push_back(Output::Done {
            job,
            ending: Ending { outcome, failure },
        });
    }

    /// A kept-alive connection died under a job. If its request had begun it goes out once more, at once, on a
    /// fresh connection; if not, the job goes before all that have not begun.
    pub(super) fn resend(
        &mut self,
        now: Now,
        origin: Option<Key>,
        job: Box<Job>,
        attempt: Option<Attempt>,
        happened: &Happened,
    ) {
        let origin = origin.expect("a job that was on a connection has an origin");
        let mut attempt = attempt.expect("a job that was on a connection has an attempt");
        let expires = expires(&job);
        let fresh = matches!(happened, Happened::Stale { sent: true });
        attempt.resent |= fresh;
        let mut waiting = Waiting::new(job, now.mono, expires);
        waiting.attempt = Some(attempt);
        let deadline = waiting.deadline();
        let has_place = fresh && self.find_place(origin);
        let queue = &mut self.origins[origin].queue;
        let key = if has_place {
            queue.insert_apart(waiting)
        } else {
            queue.resume(waiting)
        };
        let timer = self
            .wheel
            .arm(deadline, Alarm::Waiting { origin, job: key });
        self.set_timer(origin, key, timer);
        self.stats.resends += u64::from(fresh);
        self.origins[origin].tally.resends += u64::from(fresh);
        if has_place {
            self.dial(now, origin, Purpose::Apart(key));
        } else {
            self.recount(origin);
            self.feed(now, origin);
        }
    }

    pub(super) fn on_waiting_alarm(&mut self, now: Now, origin: Key, job: Key) {
        let queue = &mut self.origins[origin].queue;
        let is_later = queue.is_later(job);
        let Some(waiting) = queue.get_mut(job) else {
            return;
        };
        waiting.timer = None;
        // The time ran out while this process stood still (F87).
        if waiting.deadline() <= self.excused_until
            && let Some(attempt) = &mut waiting.attempt
            && !attempt.excused
        {
            attempt.excused = true;
            if matches!(attempt.limit, Limit::Timeout(_) | Limit::Adaptive(_)) {
                // Its dial may have come up meanwhile.
                attempt.deadline = now.mono + PAUSE_GRACE;
                let timer = self
                    .wheel
                    .arm(attempt.deadline, Alarm::Waiting { origin, job });
                return self.set_timer(origin, job, timer);
            }
        }
        let Some(mut waiting) = self.dequeue(origin, job) else {
            return;
        };
        if is_later && now.mono < waiting.expires {
            waiting.since = now.mono;
            return self.admit(now, origin, waiting);
        }
        let entry = &self.origins[origin];
        let ttl = ttl(&waiting.job);
        let dial = waiting.dial.and_then(|dial| entry.pool.dial(dial));
        let is_resolving = dial.is_some_and(Dial::is_at_a_loss);
        if let Some(dial) = dial {
            dial.spent_until(now.mono)
                .enter(&mut waiting.job.progress.timings);
        }
        let expired_waiting_for = |what: String| Happened::Expired {
            ttl,
            waited_for: Some(what.into()),
        };
        let happened = match waiting.attempt.map(|attempt| attempt.limit) {
            None => expired_waiting_for(entry.hindrance(now.mono)),
            // The name servers keep silent: as if no attempt had begun (F69, F77).
            Some(Limit::Ttl(_)) if is_resolving => {
                expired_waiting_for("an answer of the name servers".to_owned())
            }
            Some(Limit::Timeout(limit) | Limit::Adaptive(limit)) if is_resolving => {
                Happened::TimedOut(Clock::AttemptLookup(limit))
            }
            Some(Limit::Ttl(left)) => Happened::TimedOut(Clock::Ttl(left)),
            Some(Limit::Timeout(limit)) => Happened::TimedOut(Clock::AttemptConnecting(limit)),
            Some(Limit::Adaptive(limit)) => Happened::TimedOut(Clock::Adaptive(limit)),
        };
        self.conclude(now, Some(origin), waiting.job, waiting.attempt, happened);
    }

    /// The end, one origin at a time: jobs that wait are cancelled, connections without a job closed; when
    /// aborting, those with one too.
    pub(super) fn sweep(&mut self, now: Now) {
        let (swept, abort) = match self.phase {
            Phase::Running => return,
            Phase::Draining { swept } => (swept, false),
            Phase::Aborting { swept } => (swept, true),
        };
        let Some(origin) = self.origins.next_from(swept) else {
            return;
        };
        for _ in 0..STEPS_A_CALL {
            let Some(job) = self.origins[origin].queue.any() else {
                break;
            };
            let waiting = self.dequeue(origin, job).expect("it stands in line");
            self.conclude(
                now,
                Some(origin),
                waiting.job,
                waiting.attempt,
                Happened::Cancelled,
            );
        }
        if self.origins[origin].queue.any().is_some() {
            return;
        }
        let pool = &self.origins[origin].pool;
        let closing: Vec<Key> = pool
            .iter()
            .filter(|(_, connection)| {
                abort || connection.dial().is_some() || connection.idle_since().is_some()
            })
            .map(|(key, _)| key)
            .collect();
        for connection in closing {
            let place = Place { origin, connection };
            if self.is_dialing(place) {
                self.fail_dial(now, place, Happened::Cancelled);
            } else {
                let turn = self.origins[origin].pool[connection].on_abort();
                self.apply(now, place, turn);
            }
        }
        let swept = origin.index() + 1;
        self.phase = if abort {
            Phase::Aborting { swept }
        } else {
            Phase::Draining { swept }
        };
    }
}

/// Masks in what a receiver answered what it was sent: values of headers, secrets, the query. Of its endpoint those
/// that hold now too, where it has others since.
fn mask<'a>(failure: &mut Failure, job: &Job, endpoints: impl Iterator<Item = &'a Endpoint>) {
    if let Some(excerpt) = &failure.excerpt {
        let mut masks = Masks::default();
        masks.add_fields(&job.headers);
        masks.add_secrets(&job.secrets);
        masks.add_query(&job.target);
        for endpoint in endpoints {
            masks.add_fields(&endpoint.headers.fields);
            masks.add_secrets(&endpoint.secrets);
        }
        if !masks.is_empty() {
            failure.excerpt = Some(masks.apply(excerpt).into());
        }
    }
}
