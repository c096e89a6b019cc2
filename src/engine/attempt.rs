//! An attempt to deliver a job, and the limit it has.
//!
//! Not here: how it ends (`outcome`), how many a job has (`conclude`).

use std::time::Duration;

use crate::base::time::Instant;
use crate::engine::policy::Endpoint;
use crate::wire::job::Job;

/// An attempt under way: it begins when a dial is made for the job or a connection found, and outlives both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub started: Instant,
    /// When it must have its answer: the smaller of `timeout` and what is left of `ttl`.
    pub deadline: Instant,
    /// The limit that `deadline` comes from, and which it is.
    pub limit: Limit,
    /// When the head of the response was there.
    pub answered: Option<Instant>,
    /// How long the job waited before it.
    pub queued: Duration,
    /// Its request has gone out a second time, after a kept-alive connection died under it.
    pub resent: bool,
    /// The job has been tried before.
    pub is_retry: bool,
    /// The breaker's epoch in which it began: in another its vote does not count.
    pub epoch: u32,
    /// Its time ran out while this process itself stood still (F87): no fault of the receiver's.
    pub excused: bool,
}

/// Which of the two limits of an attempt is the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The attempt's own.
    Timeout(Duration),
    /// The attempt's own, as the origin's latency has it (`adaptiveTimeout`).
    Adaptive(Duration),
    /// What was left of the job's time to live when the attempt began.
    Ttl(Duration),
}

/// Whether so much of a job's time to live is less than half of what an attempt has if its job has just come in. Such
/// an attempt can fail of the wait before it, whatever its receiver does.
#[must_use]
pub fn is_scant(left: Duration, job: &Job, endpoint: &Endpoint) -> bool {
    let timeout = job.timeout.unwrap_or(endpoint.timeout);
    let lasts = job.ttl.map_or(timeout, |ttl| ttl.min(timeout));
    left < lasts / 2
}

impl Attempt {
    /// An attempt that begins now, for a job that waits since `since` and is worth delivering until `expires`:
    /// its limit is the smaller of the job's `timeout` or, without that, `usual`, and what is left of the time to live.
    #[must_use]
    pub fn begin(
        now: Instant,
        job: &Job,
        since: Instant,
        expires: Instant,
        usual: Limit,
    ) -> Attempt {
        let own = job.timeout.map_or(usual, Limit::Timeout);
        let (deadline, limit) = if now + own.lasts() <= expires {
            (now + own.lasts(), own)
        } else {
            (expires, Limit::Ttl(expires.since(now)))
        };
        Attempt {
            started: now,
            deadline,
            limit,
            answered: None,
            queued: now.since(since),
            resent: false,
            is_retry: job.progress.attempts > 0,
            epoch: 0,
            excused: false,
        }
    }

    /// How long it has taken to the end of the answer's head, or until now if there is none.
    #[must_use]
    pub fn took(&self, now: Instant) -> Duration {
        self.answered.unwrap_or(now).since(self.started)
    }

    /// The attempt as its request goes out: one whose time ran out while this process stood still has it anew.
    #[must_use]
    pub fn resumed(self, now: Instant, expires: Instant) -> Attempt {
        match self.limit {
            Limit::Timeout(timeout) | Limit::Adaptive(timeout) if self.excused => Attempt {
                deadline: (now + timeout).min(expires),
                excused: false,
                ..self
            },
            Limit::Timeout(_) | Limit::Adaptive(_) | Limit::Ttl(_) => self,
        }
    }
}

impl Limit {
    /// How long an attempt with this limit may take.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        match self {
            Limit::Timeout(limit) | Limit::Adaptive(limit) | Limit::Ttl(limit) => limit,
        }
    }
}
