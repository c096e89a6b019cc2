//! The limits that keep a job out, and the words for it.
//!
//! Not here: whether one is reached (`ledger`).

use std::fmt;

use crate::wire::report::{ErrorKind, Failure};
use crate::wire::spool::Refusal;

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
