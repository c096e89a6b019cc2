//! How far an intake is, in figures.
//!
//! Not here: who shows them (`health`, `control`), who counts.

use crate::intake::client::Dropped;
use crate::wire::report::Outcome;

/// How far things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines read, blank ones too.
    pub lines: u64,
    /// Jobs taken in.
    pub accepted: u64,
    /// Jobs that came back.
    pub ended: u64,
    /// Results by [`Outcome::index`], those of lines that were no jobs included.
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Jobs that have no result yet: `accepted - ended`.
    pub pending: usize,
    /// Of these, those that are on disk only.
    pub parked: usize,
    /// Jobs that are not safe on disk yet.
    pub storing: usize,
    /// What counts in `maxPendingBytes`: these two, duplicates of the latter, unwritten results, half lines.
    pub pending_bytes: usize,
    /// Origins that an engine knows.
    pub origins: usize,
    /// Of these, those with an open breaker.
    pub origins_held: usize,
    /// Bytes of results that are not written yet.
    pub result_bytes: usize,
    /// Bytes of lines of the socket's clients whose end has not come.
    pub half_line_bytes: usize,
    /// Clients of the socket.
    pub clients: usize,
    /// Results that nobody was left to read.
    pub results_dropped: u64,
    /// Answers likewise.
    pub answers_dropped: u64,
    /// Bytes of input that were never read as lines, because of `Stop` or `Gone`.
    pub unread_bytes: u64,
    /// Streams that broke instead of ending.
    pub read_errors: u64,
    /// Inputs that named a client which had gone.
    pub stale_inputs: u64,
}

impl Progress {
    /// Lines were dropped that nobody was left to read.
    pub(super) const fn on_dropped(&mut self, dropped: Dropped) {
        self.results_dropped += dropped.results;
        self.answers_dropped += dropped.answers;
    }
}
