//! The journal's vocabulary: everything that can happen to it, everything it can ask for, and what it is told
//! of jobs.
//!
//! Disk operations are asked for one by one, each with an [`OpId`] under which its result comes back. The disk
//! performs them in the order in which they were pulled ([`Action::Read`] alone may be performed beside them),
//! decides nothing, and repeats nothing but what a signal interrupted.

use std::fmt;
use std::sync::Arc;

use crate::base::time::Instant;

pub use crate::wire::spool::{
    Attempt, Fetched, FoundLetters, How, Identity, JobKey, Known, Letter, LetterQuery, Pending,
    Refusal, SourceKind, Submission, Verdict,
};

/// What the names of files that were set aside end in.
const ASIDE: &str = ".corrupt";

/// Which of the two logs a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Jobs, and what became of them.
    Jobs,
    /// Dead letters.
    Dead,
}

/// A file of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Its log.
    pub stream: Stream,
    /// Its number there, from 1; later ones are greater.
    pub number: u32,
}

/// The name of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What the disk is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create the file, which must not exist.
    Create {
        /// Which.
        file: FileId,
    },
    /// Reserve the file's first bytes on disk; they read as zeros.
    Allocate {
        /// Which.
        file: FileId,
        /// How many.
        bytes: u64,
    },
    /// Write `bytes[from..]` at `offset`.
    Write {
        /// Where.
        file: FileId,
        /// Where in it.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
        /// How many of the bytes are written already.
        from: u32,
    },
    /// Have the file's data, and the size that reaches them, on disk for good.
    Sync {
        /// Which.
        file: FileId,
    },
    /// Have the names in the directory on disk for good.
    SyncDir,
    /// Remove the file; done also where there is none.
    Delete {
        /// Which.
        file: FileId,
    },
    /// Give the file its name for what can't be read ([`FileId::aside`]), under which nobody touches it.
    SetAside {
        /// Which.
        file: FileId,
    },
    /// Read so many bytes at `offset`, fewer only at the end of the file.
    Read {
        /// Where.
        file: FileId,
        /// Where in it.
        offset: u64,
        /// How many.
        bytes: u32,
    },
}

/// What an operation yielded.
#[derive(Debug, PartialEq, Eq)]
pub enum Performed {
    /// It is done.
    Done,
    /// So many bytes were written, at least one.
    Written(usize),
    /// These bytes were read.
    Bytes(Vec<u8>),
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// Its kind, as far as anything depends on it.
    pub kind: DiskErrorKind,
    /// The system's number of it, 0 if it had none.
    pub code: i32,
}

/// A kind of [`DiskError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// The disk, or the owner's share of it, is full (ENOSPC, EDQUOT).
    Full,
    /// The file system can't do this (EOPNOTSUPP of fallocate).
    Unsupported,
    /// There is no such file.
    Missing,
    /// Anything else.
    Io,
}

/// What the world tells the journal.
#[derive(Debug)]
pub enum Input {
    /// A job has had another attempt, and waits for the next.
    Attempted {
        /// Which.
        key: JobKey,
        /// How far it is.
        attempt: Attempt,
    },
    /// A job has ended.
    Done {
        /// Which.
        key: JobKey,
        /// How.
        how: How,
    },
    /// The bytes of a job that is on disk, or of a dead letter, are wanted.
    Fetch {
        /// Which.
        key: JobKey,
    },
    /// A dead letter is not wanted any more.
    Forget {
        /// Which.
        key: JobKey,
    },
    /// So many bytes of dead letters are kept from now on; 0: none.
    MaxDeadBytes(u64),
    /// An operation has come to its end.
    Performed {
        /// Which.
        op: OpId,
        /// What came of it.
        result: Result<Performed, DiskError>,
    },
}

/// What the journal asks of the world, and tells it.
#[derive(Debug)]
pub enum Output {
    /// Perform this.
    Disk {
        /// Under which name to report it.
        op: OpId,
        /// What.
        action: Action,
    },
    /// Every job up to this key is safe: only now may it be acknowledged or sent. Those found at start are from the
    /// start.
    Durable {
        /// The last one.
        up_to: JobKey,
    },
    /// What [`Input::Fetch`] wanted. `None`: the job has ended, or its bytes can't be read.
    Fetched {
        /// Which.
        key: JobKey,
        /// What is on disk.
        fetched: Option<Box<Fetched>>,
    },
    /// The disk does not do as told: nothing new is safe until [`Output::Recovered`]. Said once for each
    /// failed try.
    Trouble {
        /// Which log.
        stream: Stream,
        /// What went wrong.
        error: DiskError,
        /// When it is tried again.
        retry: Instant,
    },
    /// What was written last is safe: the trouble is over.
    Recovered {
        /// Which log.
        stream: Stream,
    },
    /// The oldest dead letters were dropped, for there were more of them than may be kept.
    LettersDropped {
        /// How many.
        letters: u32,
    },
    /// Something on disk is not as it was written.
    Corrupt(Corruption),
}

/// A place on disk that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// In which file.
    pub file: FileId,
    /// From which byte on.
    pub offset: u64,
}

impl FileId {
    /// Its name in the spool's directory.
    #[must_use]
    pub fn name(self) -> String {
        self.to_string()
    }

    /// The name under which it is kept when something in it can't be read.
    #[must_use]
    pub fn aside(self) -> String {
        format!("{self}{ASIDE}")
    }

    /// The file that has this name since it was set aside.
    #[must_use]
    pub fn parse_aside(name: &str) -> Option<FileId> {
        FileId::parse(name.strip_suffix(ASIDE)?)
    }

    /// The file of this name; `None` if it is none of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<FileId> {
        let (stream, rest) = match (name.strip_prefix("jobs-"), name.strip_prefix("dead-")) {
            (Some(rest), _) => (Stream::Jobs, rest),
            (_, Some(rest)) => (Stream::Dead, rest),
            _ => return None,
        };
        let number = rest.strip_suffix(".log")?.parse().ok()?;
        let file = FileId { stream, number };
        // Only the name that we would give: no sign, no other number of zeros, nothing below 1, and no number
        // that leaves no room for later ones.
        let is_ours = (1..=u32::MAX / 2).contains(&number) && file.name() == name;
        is_ours.then_some(file)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = match self.stream {
            Stream::Jobs => "jobs",
            Stream::Dead => "dead",
        };
        write!(f, "{stream}-{:010}.log", self.number)
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: can't be read from byte {} on",
            self.file, self.offset
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_others_are_left_alone() {
        let file = FileId {
            stream: Stream::Dead,
            number: 7,
        };
        assert_eq!(file.name(), "dead-0000000007.log");
        assert_eq!(FileId::parse("dead-0000000007.log"), Some(file));
        assert_eq!(FileId::parse_aside(&file.aside()), Some(file));
        assert_eq!(FileId::parse_aside("lock.corrupt"), None);
        for name in [
            "dead-0000000007.log.corrupt",
            "lock",
            "jobs-7.log",
            "jobs-+000000007.log",
            "jobs-0000000000.log",
            "jobs-0000000001.log~",
            "jobs-9999999999.log",
            "jobs-4294967295.log",
        ] {
            assert_eq!(FileId::parse(name), None, "{name}");
        }
    }

    #[test]
    fn outputs_are_small() {
        assert!(size_of::<Output>() <= 64, "{}", size_of::<Output>());
    }
}
