//! One client: a stream with lines on it on the way in, a buffer of results on the way out.
//!
//! At most [`CHUNKS_AHEAD`] chunks of the feed are asked for or kept, and their buffers go round; of a client of the
//! socket, of which there may be many, it is one, and its buffer is not kept. The number of a line counts
//! blank ones too. Results stay counted from when they are made until they are written.
//!
//! Not here: what a line means (`admission`), whose turn it is (`mod`), how lines are cut (`base/lines`).

use crate::base::lines::{Line, LineBuffer};
use crate::base::queue::Queue;
use crate::base::time::Instant;
use crate::intake::admission::Candidate;
use crate::intake::answers::Answers;
use crate::intake::event::Kind;
use crate::intake::held::HeldBy;
use crate::wire::job::User;
use crate::wire::report;
use crate::wire::shape::Shape;

/// Chunks asked for or not yet cut into lines: reading goes on while lines are parsed.
pub const CHUNKS_AHEAD: usize = 4;

/// Unwritten bytes of results beyond which the client's lines have to wait: a stalled reader holds back its
/// own feed and nothing else.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) kind: Kind,
    /// Whose it is.
    pub(super) user: User,
    /// The process that connected, if that is known.
    pub(super) pid: Option<u32>,
    lines: LineBuffer,
    chunks: Queue<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    asked: usize,
    stream: Stream,
    line: u64,
    /// What waits for an answer to an earlier line.
    answers: Answers,
    results: Vec<u8>,
    /// Results that are being written.
    taken: usize,
    /// Its jobs that are out.
    pub(super) pending: usize,
    /// A job that waits for room: of the feed, read to see whether it may be refused; of any, if the spool had none.
    pub(super) held: Option<Candidate>,
    /// What the line that it has sent a part of takes, as it was last counted.
    pub(super) half_bytes: usize,
    /// Since when it is not read from, if so (`held`).
    pub(super) held_since: Option<Instant>,
    /// Since when half a line has waited for its other half.
    pub(super) half_since: Option<Instant>,
    /// Whether somebody looks whether that is too long.
    pub(super) is_watched: bool,
    /// What its lines so far say of the next.
    pub(super) shape: Shape,
    /// Whether it stands in the queue of those that may have something to do.
    pub(super) is_queued: bool,
    /// Whether the shell was told to fetch its results.
    pub(super) is_announced: bool,
    /// Whether nobody reads its results any more.
    pub(super) is_deaf: bool,
}

/// How far the stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// More may come.
    Open,
    /// No more comes, but lines are left.
    Ended,
    /// Every line was read or given up.
    Read,
}

/// Lines that nobody was left to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) results: u64,
    /// That a job was accepted, and what was asked of conduit itself.
    pub(super) answers: u64,
}

impl Dropped {
    fn count(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match report::is_result(line) {
                true => self.results += 1,
                false => self.answers += 1,
            }
        }
    }
}

impl Client {
    pub(super) fn new(kind: Kind, user: User, max_job_bytes: usize) -> Client {
        Client {
            kind,
            user,
            pid: None,
            lines: LineBuffer::new(max_job_bytes),
            chunks: Queue::new(CHUNKS_AHEAD),
            spare: Vec::new(),
            asked: 0,
            stream: Stream::Open,
            line: 0,
            answers: Answers::default(),
            results: Vec::new(),
            taken: 0,
            pending: 0,
            held: None,
            half_bytes: 0,
            held_since: None,
            half_since: None,
            is_watched: false,
            shape: Shape::default(),
            is_queued: false,
            is_announced: false,
            is_deaf: false,
        }
    }

    /// Lines may be so long from now on.
    pub(super) const fn set_max_job_bytes(&mut self, max: usize) {
        self.lines.set_max_line_bytes(max);
    }

    /// A chunk has come. Says how many bytes of it were left unread because the stream was given up.
    pub(super) fn on_chunk(&mut self, bytes: Vec<u8>) -> usize {
        self.asked = self.asked.saturating_sub(1);
        if self.stream != Stream::Open {
            return bytes.len();
        }
        let kept = self.chunks.push(bytes);
        assert!(kept.is_ok(), "a chunk comes only when asked for");
        0
    }

    /// The stream has ended.
    pub(super) fn on_end(&mut self) {
        if self.stream == Stream::Open {
            self.stream = Stream::Ended;
        }
    }

    /// So many bytes of results are out. Says how many of them were on their way.
    pub(super) fn on_written(&mut self, bytes: usize) -> usize {
        let written = bytes.min(self.taken);
        self.taken -= written;
        written
    }

    /// No line is read any more; says how many bytes were left.
    pub(super) fn give_up(&mut self) -> usize {
        let left = self.chunks.iter().map(Vec::len).sum::<usize>() + self.lines.buffered();
        let left = if self.stream == Stream::Read { 0 } else { left };
        self.chunks = Queue::new(CHUNKS_AHEAD);
        self.lines = LineBuffer::new(0);
        self.stream = Stream::Read;
        left
    }

    /// A buffer to read into, if it is time to ask for a chunk.
    pub(super) fn ask(&mut self) -> Option<Option<Vec<u8>>> {
        let ahead = match self.kind {
            Kind::Feed => CHUNKS_AHEAD,
            Kind::Socket(_) => 1,
        };
        if self.stream != Stream::Open || self.asked + self.chunks.len() >= ahead {
            return None;
        }
        self.asked += 1;
        Some(self.spare.pop())
    }

    /// Hands the next line to `read`, with its number and the buffer for its answer.
    pub(super) fn next_line<T>(
        &mut self,
        read: impl FnOnce(u64, Line<'_>, &mut Vec<u8>) -> T,
    ) -> Option<T> {
        if self.stream == Stream::Read {
            return None;
        }
        loop {
            if let Some(line) = self.lines.next_line() {
                self.line += 1;
                let (number, results) = (self.line, &mut self.results);
                let answer = |out: &mut Vec<u8>| read(number, line, out);
                return Some(self.answers.give(number, results, answer));
            }
            if let Some(buffer) = self.lines.take_spent()
                && self.kind == Kind::Feed
            {
                self.spare.push(buffer);
            }
            let Some(chunk) = self.chunks.pop() else {
                break;
            };
            self.lines.feed(chunk);
        }
        if self.stream == Stream::Open {
            return None;
        }
        self.stream = Stream::Read;
        let line = self.lines.finish()?;
        self.line += 1;
        let (number, results) = (self.line, &mut self.results);
        let answer = |out: &mut Vec<u8>| read(number, line, out);
        Some(self.answers.give(number, results, answer))
    }

    /// The number of the last line that was read.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// Keeps the place of the first answer to a line, which is the last one read, until it is given.
    pub(super) fn expect(&mut self, line: u64) {
        self.answers.expect(line);
    }

    /// Writes the first answer to a line: to be read after those of the lines before it.
    pub(super) fn answer<T>(&mut self, line: u64, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.answers.give(line, &mut self.results, write)
    }

    /// Writes a result: to be read after the first answer to its line, if there is one.
    pub(super) fn tell(&mut self, line: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.answers.tell(line, &mut self.results, write);
    }

    /// Moves its results to the end of `into`; says how many bytes.
    pub(super) fn take_results(&mut self, into: &mut Vec<u8>) -> usize {
        let bytes = self.results.len();
        self.taken += bytes;
        self.is_announced = false;
        if into.is_empty() {
            std::mem::swap(into, &mut self.results);
        } else {
            into.append(&mut self.results);
        }
        bytes
    }

    /// Results to be taken, in bytes.
    pub(super) const fn result_bytes(&self) -> usize {
        self.results.len()
    }

    /// Forgets what it was to read; says what of that nobody has taken.
    pub(super) fn drop_results(&mut self) -> Dropped {
        let mut dropped = Dropped::default();
        dropped.count(&std::mem::take(&mut self.results));
        self.answers.clear(|bytes| dropped.count(bytes));
        self.taken = 0;
        dropped
    }

    /// The memory that a line takes of which it has sent a part.
    pub(super) const fn half_line(&self) -> usize {
        match self.kind {
            Kind::Feed => 0,
            Kind::Socket(_) => self.lines.half_bytes(),
        }
    }

    /// Answers and results that wait, are to be taken or are being written, in bytes.
    pub(super) const fn unwritten(&self) -> usize {
        self.results.len() + self.taken + self.answers.bytes()
    }

    /// Whether its lines have to wait: for its results to be read, or for some of `pending_max` jobs to end.
    pub(super) fn is_stalled(&self, pending_max: usize) -> bool {
        self.stalled_by(pending_max).is_some()
    }

    /// What its lines have to wait for, if they do.
    pub(super) fn stalled_by(&self, pending_max: usize) -> Option<HeldBy> {
        if self.unwritten() >= RESULT_BYTES_MAX {
            return Some(HeldBy::Unread(self.unwritten()));
        }
        let has_many = matches!(self.kind, Kind::Socket(_)) && self.pending >= pending_max;
        has_many.then_some(HeldBy::OwnJobs(self.pending))
    }

    /// Whether a line has begun, and it is up to the client to end it.
    pub(super) fn awaits_half(&self) -> bool {
        let is_dry = self.chunks.is_empty() && self.held.is_none();
        self.stream == Stream::Open && is_dry && self.lines.is_within_line()
    }

    /// Whether all of its lines were read (or given up).
    pub(super) const fn is_read(&self) -> bool {
        matches!(self.stream, Stream::Read) && self.held.is_none()
    }

    /// Whether nothing more will come from it or go to it.
    pub(super) fn is_over(&self) -> bool {
        let has_all = || self.pending == 0 && self.unwritten() == 0 && self.answers.is_empty();
        self.is_read() && (self.is_deaf || has_all())
    }
}
