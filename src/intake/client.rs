//! One client: a stream with lines on it on the way in, a buffer of results on the way out.
//!
//! At most [`CHUNKS_AHEAD`] chunks are asked for or kept; their buffers go round. The number of a line counts
//! blank ones too. Results stay counted from when they are made until they are written.
//!
//! Not here: what a line means (`admission`), whose turn it is (`mod`), how lines are cut (`base/lines`).

use crate::base::lines::{Line, LineBuffer};
use crate::base::queue::Queue;

/// Chunks asked for or not yet cut into lines: reading goes on while lines are parsed.
pub const CHUNKS_AHEAD: usize = 4;

/// Unwritten bytes of results beyond which the client's lines have to wait: a stalled reader holds back its
/// own feed and nothing else.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    lines: LineBuffer,
    chunks: Queue<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    asked: usize,
    stream: Stream,
    line: u64,
    results: Vec<u8>,
    /// Results that are being written.
    taken: usize,
    /// Whether it stands in the queue of those that may have something to do.
    pub(super) is_queued: bool,
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

impl Client {
    pub(super) fn new(max_job_bytes: usize) -> Client {
        Client {
            lines: LineBuffer::new(max_job_bytes),
            chunks: Queue::new(CHUNKS_AHEAD),
            spare: Vec::with_capacity(CHUNKS_AHEAD),
            asked: 0,
            stream: Stream::Open,
            line: 0,
            results: Vec::new(),
            taken: 0,
            is_queued: false,
        }
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
        self.stream = Stream::Read;
        left
    }

    /// A buffer to read into, if it is time to ask for a chunk.
    pub(super) fn ask(&mut self) -> Option<Option<Vec<u8>>> {
        if self.stream != Stream::Open || self.asked + self.chunks.len() >= CHUNKS_AHEAD {
            return None;
        }
        self.asked += 1;
        Some(self.spare.pop())
    }

    /// Hands the next line to `read`, with its number and the buffer for results.
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
                return Some(read(self.line, line, &mut self.results));
            }
            if let Some(buffer) = self.lines.take_spent() {
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
        Some(read(self.line, line, &mut self.results))
    }

    /// Where its results go.
    pub(super) const fn results_mut(&mut self) -> &mut Vec<u8> {
        &mut self.results
    }

    /// Moves its results to the end of `into`; says how many bytes.
    pub(super) fn take_results(&mut self, into: &mut Vec<u8>) -> usize {
        let bytes = self.results.len();
        self.taken += bytes;
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

    /// Result lines to be taken.
    pub(super) fn result_lines(&self) -> u64 {
        self.results.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    /// Results to be taken or being written, in bytes.
    pub(super) const fn unwritten(&self) -> usize {
        self.results.len() + self.taken
    }

    /// Whether its lines have to wait for its results.
    pub(super) const fn is_stalled(&self) -> bool {
        self.unwritten() >= RESULT_BYTES_MAX
    }

    /// Whether all of its lines were read (or given up).
    pub(super) const fn is_read(&self) -> bool {
        matches!(self.stream, Stream::Read)
    }
}
