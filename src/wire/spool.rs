//! The spool, as those see it who give jobs to it and get them back: what passes between intake, the engines and
//! the journal.
//!
//! Not here: where any of it stands on disk, and when it is safe there (`journal`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Instant, Wall};
use crate::wire::job::User;
use crate::wire::report::{ErrorKind, Outcome};

/// A job's name in the spool: grows with each submission, never used twice in one spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub u64);

/// A hash of an id or of a payload, seeded with the spool's own seed.
pub type Identity = [u64; 2];

/// Where jobs come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// Standard input: the result of a recovered job goes to standard output.
    #[default]
    Stdin,
    /// A client of the socket.
    Socket,
}

/// A job that wants to be safe.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whose id that is: others may use the same.
    pub user: User,
    /// The id is not in the line, so it must be kept beside it.
    pub is_generated: bool,
    /// What the journal's seeds make of its method, URL and body.
    pub payload: Identity,
    /// Where it comes from.
    pub source: SourceKind,
    /// Its line, byte for byte.
    pub line: &'a [u8],
}

/// The answer to a [`Submission`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It will be safe when the journal's `Durable` reaches this key.
    New(JobKey),
    /// Its id is known.
    Duplicate {
        /// As what.
        known: Known,
        /// Whether method, URL and body are those of the first.
        same_payload: bool,
    },
    /// It is not taken in.
    Refused(Refusal),
}

/// What a duplicate's id is the id of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// A job that has not ended, which may not be safe yet.
    Pending(JobKey),
    /// One of the last that were delivered.
    Delivered,
}

/// Why a job is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The disk, or `maxSpoolBytes`, is full.
    Full,
    /// The disk fails.
    Trouble,
    /// The disk is slower than the jobs come, or not ready yet: soon.
    Behind,
}

/// How a job ended.
#[derive(Debug)]
pub enum How {
    /// Delivered: its id is remembered.
    Delivered,
    /// Otherwise, and nothing is kept of it.
    Ended,
    /// Otherwise, and it is kept as a dead letter.
    Dead(Box<Letter>),
}

/// How far a job is that waits for its next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Attempts so far.
    pub attempts: u32,
    /// When the next is due.
    pub due: Wall,
    /// The last one's status, 0 if it had none.
    pub status: u16,
    /// Why it failed.
    pub kind: ErrorKind,
    /// The same in words; the journal keeps its first bytes only.
    pub message: Arc<str>,
}

/// What is kept of a dead letter beside its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The job's id.
    pub id: Box<str>,
    /// Where it should have gone.
    pub origin: Box<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub kind: ErrorKind,
    /// The same in words, cut like an attempt's.
    pub message: Box<str>,
    /// How many attempts there were.
    pub attempts: u32,
    /// The last one's status, 0 if it had none.
    pub status: u16,
    /// When it ended.
    pub ended: Wall,
}

/// A job as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// When it was accepted.
    pub accepted: Wall,
    /// Where it came from.
    pub source: SourceKind,
    /// Whose it is.
    pub user: User,
    /// Its id, where the line brings none.
    pub generated_id: Option<Box<str>>,
    /// How far it was at the last attempt.
    pub attempt: Option<Attempt>,
    /// What it died of, if it is a dead letter.
    pub letter: Option<Box<Letter>>,
    /// Its line.
    pub line: Box<[u8]>,
}

/// A job that was found on disk at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its name, to fetch its line by.
    pub key: JobKey,
    /// When it was accepted; never later than now.
    pub accepted: Wall,
    /// How long ago that is by the wall clock: what is gone of its time to live.
    pub age: Duration,
    /// Where it came from.
    pub source: SourceKind,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due: not before now, not after the longest wait there is.
    pub due: Instant,
    /// Bytes of its line.
    pub line_bytes: u32,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterQuery {
    /// Those after a key, the oldest first.
    After {
        /// The key.
        after: JobKey,
        /// At most so many.
        max: usize,
    },
    /// Those of these jobs.
    Ids {
        /// The ids, which several users may have used.
        ids: Vec<Box<str>>,
        /// Whose they are; none: whoever's.
        user: Option<User>,
    },
}

/// The dead letters that were meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundLetters {
    /// Their keys, the oldest first, each once.
    pub keys: Vec<JobKey>,
    /// The last key that any letter has; 0: there are none.
    pub last: JobKey,
    /// There are more of them.
    pub has_more: bool,
    /// The ids that no letter has.
    pub missing: Vec<Box<str>>,
}
