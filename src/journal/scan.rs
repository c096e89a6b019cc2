//! Reads one segment, piece by piece: asks for bytes, and yields the records that stand in them.
//!
//! ```text
//!   Header --> Batch <--> Records
//!                 \___________\____--cannot be read--> Seeking --a good batch--> Batch (what lay between is corrupt)
//!                                                          \____the end: the tail is torn, or empty
//! ```
//! Memory holds one piece, or one record where that is longer. Whatever the bytes are, nothing panics, and each
//! is looked at a bounded number of times.
//!
//! Not here: what records mean (`recovery`, `cleaner`).

use crate::journal::event::FileId;
use crate::journal::identity::Seeds;
use crate::journal::record::{self, Record};
use crate::journal::segment::{
    BATCH_BYTES, BATCH_MAGIC, BatchHeader, HEADER_BYTES, Header, HeaderRead,
};

/// Bytes that are asked for at once, unless a record is longer.
pub const PIECE_BYTES: u32 = 1024 * 1024;

const BLOCK_BYTES: usize = 256;

/// What was found.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The header, first.
    Header(HeaderRead),
    /// A good record.
    Record {
        offset: u64,
        /// As it stands in the file.
        bytes: &'a [u8],
        record: Record<'a>,
    },
    /// A good batch begins behind bytes that can't be read, or the file is of another spool.
    Corrupt { offset: u64 },
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Where the last good batch, or the header, ends.
    pub(super) end: u64,
    /// The first byte that could not be read, if there is one that isn't zero behind the end.
    pub(super) torn: Option<u64>,
    /// The greatest sequence number.
    pub(super) sequence: u64,
    /// Batches with their header in order.
    pub(super) batches: u64,
    /// It is of another spool, and was not read.
    pub(super) is_foreign: bool,
}

/// The reader of one file.
#[derive(Debug)]
pub(super) struct Scanner {
    file: FileId,
    file_bytes: u64,
    /// Known from the start, or from the header.
    seeds: Option<Seeds>,
    /// The next byte to look at.
    at: u64,
    state: State,
    /// A record that is longer than a piece needs so much.
    need: u32,
    tail: Tail,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Batch,
    Records { end: u64 },
    Seeking { from: u64 },
    Over,
}

/// Whether a step got on.
enum Step {
    On,
    /// It takes so many bytes from where it is.
    Needs(u64),
}

impl Scanner {
    /// A reader of `file`, which is `file_bytes` long, in the spool of these seeds.
    pub(super) const fn new(file: FileId, file_bytes: u64, seeds: Option<Seeds>) -> Scanner {
        Scanner {
            file,
            file_bytes,
            seeds,
            at: 0,
            state: State::Header,
            need: 0,
            tail: Tail {
                end: 0,
                torn: None,
                sequence: 0,
                batches: 0,
                is_foreign: false,
            },
        }
    }

    /// The bytes to hand to [`Scanner::feed`] next: offset and number. `None`: the file is read.
    pub(super) fn wants(&self) -> Option<(u64, u32)> {
        if matches!(self.state, State::Over) {
            return None;
        }
        let left = self.file_bytes.saturating_sub(self.at);
        let bytes = u64::from(PIECE_BYTES.max(self.need)).min(left);
        Some((self.at, bytes as u32))
    }

    /// How the file ended, once it is read.
    pub(super) const fn tail(&self) -> Tail {
        self.tail
    }

    pub(super) const fn file(&self) -> FileId {
        self.file
    }

    /// The bytes that were wanted; fewer mean that the file ends there.
    pub(super) fn feed(&mut self, bytes: &[u8], found: &mut impl FnMut(Found<'_>)) {
        let Some((start, wanted)) = self.wants() else {
            return;
        };
        if bytes.len() < wanted as usize {
            self.file_bytes = start + bytes.len() as u64;
        }
        self.need = 0;
        loop {
            // A batch that can't be read may end in a later piece.
            let Some(rest) = bytes.get((self.at - start) as usize..) else {
                return;
            };
            let is_last = start + bytes.len() as u64 >= self.file_bytes;
            let step = match self.state {
                State::Header => self.on_header(rest, is_last, found),
                State::Batch => self.on_batch(rest, is_last, found),
                State::Records { end } => self.on_record(rest, end, found),
                State::Seeking { from } => self.seek(rest, is_last, from, found),
                State::Over => return,
            };
            if let Step::Needs(bytes) = step {
                self.need = u32::try_from(bytes).unwrap_or(u32::MAX);
                return;
            }
        }
    }

    fn on_header(&mut self, rest: &[u8], is_last: bool, found: &mut impl FnMut(Found<'_>)) -> Step {
        if rest.len() < HEADER_BYTES && !is_last {
            return Step::Needs(HEADER_BYTES as u64);
        }
        let header = Header::read(rest, self.file);
        found(Found::Header(header));
        match header {
            HeaderRead::Good(header) if self.seeds.is_some_and(|seeds| seeds != header.seeds) => {
                // Its hashes and checksums are of no use here.
                found(Found::Corrupt { offset: 0 });
                self.tail.is_foreign = true;
                self.state = State::Over;
            }
            HeaderRead::Good(header) => {
                self.seeds = Some(header.seeds);
                self.at = HEADER_BYTES as u64;
                self.tail.end = self.at;
                self.state = State::Batch;
            }
            HeaderRead::Bad => self.state = State::Seeking { from: 0 },
            HeaderRead::Unknown { .. } => self.state = State::Over,
        }
        Step::On
    }

    fn on_batch(&mut self, rest: &[u8], is_last: bool, found: &mut impl FnMut(Found<'_>)) -> Step {
        if rest.len() < BATCH_BYTES && !is_last {
            return Step::Needs(BATCH_BYTES as u64);
        }
        match self.batch_header(rest) {
            Some(header) => self.enter(header, found),
            None => self.state = State::Seeking { from: self.at },
        }
        Step::On
    }

    fn batch_header(&self, bytes: &[u8]) -> Option<BatchHeader> {
        let start = self.seeds?.checksum_start();
        let header = BatchHeader::read(bytes, self.file, start)?;
        // Sequences only grow, so a batch is never read twice.
        (header.sequence > self.tail.sequence).then_some(header)
    }

    fn enter(&mut self, header: BatchHeader, found: &mut impl FnMut(Found<'_>)) {
        if let Some(offset) = self.tail.torn.take() {
            found(Found::Corrupt { offset });
        }
        self.at += BATCH_BYTES as u64;
        self.tail.sequence = header.sequence;
        self.tail.batches += 1;
        self.state = State::Records {
            end: self.at + u64::from(header.bytes),
        };
    }

    fn on_record(&mut self, rest: &[u8], end: u64, found: &mut impl FnMut(Found<'_>)) -> Step {
        if self.at >= end {
            if self.tail.torn.is_none() {
                self.tail.end = self.at;
            }
            self.state = State::Batch;
            return Step::On;
        }
        let room = end.min(self.file_bytes) - self.at;
        if room < record::PREFIX_BYTES as u64 {
            return self.give_up(end);
        }
        if rest.len() < record::PREFIX_BYTES {
            return Step::Needs(record::PREFIX_BYTES as u64);
        }
        let Some(length) = record::length(rest).filter(|length| *length as u64 <= room) else {
            return self.give_up(end);
        };
        if rest.len() < length {
            return Step::Needs(length as u64);
        }
        let bytes = &rest[..length];
        match record::read(self.seeds.map_or(0, |it| it.checksum_start()), bytes) {
            Some((record, _)) => found(Found::Record {
                offset: self.at,
                bytes,
                record,
            }),
            // Its length may be right: those behind it have checksums of their own.
            None => {
                self.tail.torn.get_or_insert(self.at);
            }
        }
        self.at += length as u64;
        Step::On
    }

    /// What is left of this batch can't be read.
    fn give_up(&mut self, end: u64) -> Step {
        self.tail.torn.get_or_insert(self.at);
        let from = self.at;
        // Batches follow each other; a wrong length leads nowhere, and then the file is searched.
        self.at = end.min(self.file_bytes);
        if self.at == self.file_bytes {
            self.at = from;
        }
        self.state = State::Seeking { from };
        Step::On
    }

    /// Looks for the next good batch.
    fn seek(
        &mut self,
        rest: &[u8],
        is_last: bool,
        from: u64,
        found: &mut impl FnMut(Found<'_>),
    ) -> Step {
        for at in candidates(rest) {
            let candidate = &rest[at..];
            if candidate.len() < BATCH_BYTES && !is_last {
                return self.skip(rest, at);
            }
            if let Some(header) = self.batch_header(candidate) {
                self.skip(rest, at);
                self.tail.torn.get_or_insert(from);
                self.enter(header, found);
                return Step::On;
            }
        }
        let step = self.skip(rest, rest.len());
        if is_last {
            self.state = State::Over;
            return Step::On;
        }
        step
    }

    /// Leaves bytes behind that hold no batch.
    fn skip(&mut self, rest: &[u8], bytes: usize) -> Step {
        if self.tail.torn.is_none()
            && let Some(at) = first_non_zero(&rest[..bytes])
        {
            self.tail.torn = Some(self.at + at as u64);
        }
        self.at += bytes as u64;
        Step::Needs(0)
    }
}

/// Where a batch may begin.
fn candidates(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let is_magic = |byte: &u8| *byte == BATCH_MAGIC[0];
    // A search by blocks is many times as fast as one by bytes, and most of what is searched is zeros.
    let blocks = bytes.chunks(BLOCK_BYTES).enumerate();
    blocks
        .filter(|(_, block)| block.contains(&BATCH_MAGIC[0]))
        .flat_map(move |(number, block)| {
            let places = block.iter().enumerate();
            places
                .filter(move |(_, byte)| is_magic(byte))
                .map(move |(at, _)| number * BLOCK_BYTES + at)
        })
}

fn first_non_zero(bytes: &[u8]) -> Option<usize> {
    let mut blocks = bytes.chunks(BLOCK_BYTES).enumerate();
    let (number, block) =
        blocks.find(|(_, block)| block.iter().fold(0, |all, byte| all | byte) != 0)?;
    let at = block.iter().position(|byte| *byte != 0)?;
    Some(number * BLOCK_BYTES + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::journal::event::{JobKey, Stream};
    use crate::journal::record::Writer;
    use crate::journal::segment;

    /// The keys of all jobs that end in a file, and how the file ends.
    fn scan(file: FileId, bytes: &[u8]) -> (Vec<JobKey>, Tail) {
        let mut scanner = Scanner::new(file, bytes.len() as u64, None);
        let mut keys = Vec::new();
        while let Some((offset, wanted)) = scanner.wants() {
            let piece = &bytes[offset as usize..][..wanted as usize];
            scanner.feed(piece, &mut |found| {
                if let Found::Record { record, .. } = found {
                    let Record::Done { key, .. } = record else {
                        panic!("{record:?} was never written");
                    };
                    keys.push(key);
                }
            });
        }
        (keys, scanner.tail())
    }

    #[test]
    fn f101_a_torn_batch_that_ends_in_a_later_piece_is_passed_over() {
        let file = FileId {
            stream: Stream::Jobs,
            number: 1,
        };
        let seeds = Seeds::generate(&mut Rng::from_seed([5; 32]));
        let start = seeds.checksum_start();
        let header = Header {
            file,
            next_key: 0,
            seeds,
            after: 0,
            bytes: 0,
            version: segment::VERSION,
        };
        let batch = |sequence: u64, key: u64| {
            let mut records = Vec::new();
            let (key, order) = (JobKey(key), None);
            Writer::new(start).push(&mut records, &Record::Done { key, order });
            let bytes = records.len() as u32;
            let header = BatchHeader { sequence, bytes };
            [&header.to_bytes(file, start)[..], &records[..]].concat()
        };
        for torn_bytes in [PIECE_BYTES / 2, 3 * PIECE_BYTES / 2, 3 * PIECE_BYTES] {
            // The process was killed when only the first page of it was written.
            let torn = BatchHeader {
                sequence: 2,
                bytes: torn_bytes,
            };
            let mut bytes = header.to_bytes().to_vec();
            bytes.extend(batch(1, 1));
            bytes.extend(torn.to_bytes(file, start));
            let torn_at = bytes.len() as u64;
            bytes.resize(bytes.len() + torn_bytes as usize, 0);
            bytes.extend(batch(3, 3));
            let end = bytes.len() as u64;
            // Room that was reserved.
            bytes.resize(bytes.len() + 2 * PIECE_BYTES as usize, 0);
            let (keys, tail) = scan(file, &bytes);
            assert_eq!(keys, [1, 3].map(JobKey), "{torn_bytes}");
            assert_eq!((tail.end, tail.sequence, tail.batches), (end, 3, 3));
            // Nothing was written behind it.
            bytes[end as usize - batch(3, 3).len()..].fill(0);
            let (keys, tail) = scan(file, &bytes);
            assert_eq!(keys, [JobKey(1)], "{torn_bytes}");
            assert_eq!(tail.torn, Some(torn_at), "{torn_bytes}");
        }
    }
}
