//! What becomes of a job: when its attempt is over, when its time is, and when the process ends.
//!
//! Every end and every way back into the line goes through [`Engine::conclude`]: same code, no side door.
//!
//! Not here: the table from what happened to what follows (`outcome`).

use std::sync::Arc;

use crate::base::slab::Key;
use crate::base::time::Now;
use crate::engine::attempt::{Attempt, Limit};
use crate::engine::dial::Purpose;
use crate::engine::event::{Cause, CauseKind, Note, Output};
use crate::engine::outcome::{Accounting, Clock, Happened, Verdict, judge};
use crate::engine::queue::Waiting;
use crate::engine::{Alarm, Engine, Phase, Place, STEPS_A_CALL};
use crate::wire::job::Job;
use crate::wire::report::{Ending, Failure, Outcome};

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
        let happened = match (happened, attempt) {
            (Happened::Stale { sent: true }, Some(attempt))
                if attempt.resent || !self.policy.endpoint.resend_stale =>
            {
                let message =
                    "the server closed the kept-alive connection before a response".into();
                Happened::Broken(Cause {
                    kind: CauseKind::Reset,
                    message,
                })
            }
            (Happened::Stale { .. }, _) if self.phase != Phase::Running => Happened::Cancelled,
            (happened, _) => happened,
        };
        let judgement = judge(&happened);
        let deferred = judgement.verdict == Verdict::Deferred;
        let counted = judgement.accounting == Accounting::Counted || deferred;
        if counted {
            job.progress.attempts += 1;
            job.progress.status = happened.status();
        }
        let outcome = match judgement.verdict {
            Verdict::Delivered => return self.done(now, job, Outcome::Delivered, None),
            Verdict::Resend => return self.resend(now, origin, job, attempt, &happened),
            Verdict::Rejected => Outcome::Rejected,
            Verdict::Retry | Verdict::Deferred => Outcome::Exhausted,
            Verdict::Blocked => Outcome::Blocked,
            Verdict::Expired => Outcome::Expired,
            Verdict::Cancelled => Outcome::Cancelled,
        };
        let failure = Box::new(happened.into_failure());
        if let Some(attempt) = attempt.filter(|_| counted) {
            let note = Note::AttemptFailed {
                id: job.id.clone(),
                origin: Arc::clone(&job.origin),
                attempt: job.progress.attempts,
                kind: failure.kind,
                message: failure.message.clone().into(),
                status: job.progress.status,
                elapsed: now.mono.since(attempt.started),
                next: outcome.name(),
            };
            self.outputs.push_back(Output::Note(Box::new(note)));
        }
        self.done(now, job, outcome, Some(failure));
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
        self.outputs.push_back(Output::Done {
            job,
            ending: Ending { outcome, failure },
        });
    }

    /// A kept-alive connection died under a job. If its request had begun it goes out once more, at once, on a
    /// fresh connection; if not, the job is the first in line again.
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
        let expires = job.accepted.mono + job.ttl.unwrap_or(self.policy.endpoint.ttl);
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
            queue.push_front(waiting)
        };
        let timer = self
            .wheel
            .arm(deadline, Alarm::Waiting { origin, job: key });
        self.set_timer(origin, key, timer);
        self.stats.resends += u64::from(fresh);
        if has_place {
            self.dial(now, origin, Purpose::Apart(key));
        } else {
            self.waiting += 1;
            self.feed(now, origin);
        }
    }

    pub(super) fn on_waiting_alarm(&mut self, now: Now, origin: Key, job: Key) {
        let Some(waiting) = self.origins[origin].queue.get_mut(job) else {
            return;
        };
        waiting.timer = None;
        let Some(waiting) = self.dequeue(origin, job) else {
            return;
        };
        let ttl = waiting.job.ttl.unwrap_or(self.policy.endpoint.ttl);
        let happened = match waiting.attempt {
            None => Happened::Expired { ttl },
            Some(Attempt {
                limit: Limit::Ttl(left),
                ..
            }) => Happened::TimedOut(Clock::Ttl(left)),
            Some(Attempt {
                limit: Limit::Timeout(limit),
                ..
            }) => Happened::TimedOut(Clock::AttemptConnecting(limit)),
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
            let Some(first) = self.origins[origin].queue.front() else {
                break;
            };
            let waiting = self.dequeue(origin, first).expect("the first in line");
            self.conclude(
                now,
                Some(origin),
                waiting.job,
                waiting.attempt,
                Happened::Cancelled,
            );
        }
        if self.origins[origin].queue.in_line() > 0 {
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
