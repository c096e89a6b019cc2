//! The limits that keep a job out, and the words for it.
//!
//! Not here: whether one is reached (`ledger`).

use std::fmt;

use crate::wire::report::{ErrorKind, Failure};

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
}

impl Limit {
    /// Why the job is `overloaded`.
    pub(super) fn to_failure(self) -> Failure {
        Failure {
            kind: ErrorKind::Limit,
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
        }
    }
}
