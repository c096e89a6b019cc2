//! The limits that may change while conduit runs; those that keep a job out, and the words for it.
//!
//! Not here: whether one is reached (`ledger`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::intake::Settings;
use crate::wire::endpoints::Endpoints;
use crate::wire::report::{ErrorKind, Failure};
use crate::wire::spool::Refusal;

/// What intake obeys and may be changed while it runs. What it has let in already stays, whatever is less now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// As [`Settings::max_job_bytes`].
    pub max_job_bytes: usize,
    /// As [`Settings::max_pending`].
    pub max_pending: usize,
    /// As [`Settings::max_pending_bytes`].
    pub max_pending_bytes: usize,
    /// As [`Settings::max_client_pending`].
    pub max_client_pending: usize,
    /// As [`Settings::timings`].
    pub timings: bool,
    /// What holds for an origin that has no limits of its own.
    pub endpoint: EndpointLimits,
    /// What holds for those that have.
    pub endpoints: Endpoints<Arc<EndpointLimits>>,
}

/// The limits of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Jobs that may wait (`maxQueued`).
    pub max_queued: usize,
    /// Jobs that may be on their way beside those (`maxConnections`).
    pub max_connections: usize,
    /// How long after its acceptance a job is worth delivering that says nothing of that itself (`ttl`).
    pub ttl: Duration,
    /// It signs the requests of jobs that don't themselves: their ids have no dot.
    pub signs: bool,
    /// What it adds to the head of a request, in bytes: a job has room for that.
    pub head_bytes: usize,
}

impl Limits {
    /// Those that it starts with: the same for every origin.
    #[must_use]
    pub fn of(settings: &Settings) -> Limits {
        Limits {
            max_job_bytes: settings.max_job_bytes,
            max_pending: settings.max_pending,
            max_pending_bytes: settings.max_pending_bytes,
            max_client_pending: settings.max_client_pending,
            timings: settings.timings,
            endpoint: EndpointLimits {
                max_queued: settings.max_queued,
                max_connections: settings.max_connections,
                ttl: settings.ttl,
                signs: false,
                head_bytes: 0,
            },
            endpoints: Endpoints::default(),
        }
    }
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// So many jobs are pending.
    Pending(usize),
    /// So many bytes are.
    PendingBytes(usize),
    /// What is left of those two is for jobs of higher priority.
    LowPriority,
    /// So many jobs wait at its origin.
    Queued(usize),
    /// No job is taken in any more.
    Draining,
    /// The spool does not take it.
    Spool(Refusal),
}

impl Limit {
    /// Why the job is `overloaded`.
    pub(super) fn to_failure(self) -> Failure {
        let kind = match self {
            Limit::Spool(_) => ErrorKind::Spool,
            Limit::Pending(_)
            | Limit::PendingBytes(_)
            | Limit::LowPriority
            | Limit::Queued(_)
            | Limit::Draining => ErrorKind::Limit,
        };
        Failure {
            kind,
            message: self.to_string().into(),
            excerpt: None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Pending(max) => write!(f, "{max} jobs are pending already (maxPending)"),
            Limit::PendingBytes(max) => {
                write!(f, "{max} bytes are pending already (maxPendingBytes)")
            }
            Limit::LowPriority => f.write_str(
                "80 % of maxPending or maxPendingBytes are taken: no more jobs of low priority",
            ),
            Limit::Queued(max) => {
                write!(f, "{max} jobs wait at this origin already (maxQueued)")
            }
            Limit::Draining => f.write_str("draining: no more jobs are taken in"),
            Limit::Spool(Refusal::Full) => f.write_str("the spool is full"),
            Limit::Spool(Refusal::Trouble) => f.write_str("the spool can't be written"),
            Limit::Spool(Refusal::Behind) => {
                f.write_str("the spool did not have it safe before the end")
            }
        }
    }
}
