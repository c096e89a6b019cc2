//! The segments of one log that hold batches, and what still needs each of them; the oldest first.
//!
//! They go oldest first and one by one, each deletion safe before the next: so the word that a job has ended
//! never goes before the job's own record, which stands in the same segment or an older one.
//!
//! Not here: segments made ahead (`appender`), when one goes (`cleaner`).

use std::collections::VecDeque;

use crate::journal::record;

const REMEMBERED_BYTES: u64 = record::REMEMBERED_BYTES as u64;

/// The segments of a log.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    segments: VecDeque<Segment>,
    bytes: u64,
    live_bytes: u64,
}

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u32,
    /// The file's size.
    pub(super) bytes: u64,
    /// Jobs or letters whose record is here.
    pub(super) live: u32,
    /// Delivered ids whose record is here.
    pub(super) remembered: u32,
    /// What all these would take elsewhere.
    pub(super) live_bytes: u64,
    /// Dead letters: where in the other log it says that their jobs have ended. Until that is safe, nothing else
    /// says it.
    pub(super) ended_at: u64,
    /// Reads under way.
    pub(super) reads: u32,
    /// All that lives here has been copied, or can't be read.
    pub(super) is_copied: bool,
    /// All delivered ids have been written down elsewhere.
    pub(super) is_carried: bool,
    /// Something in it can't be read: it is never deleted.
    pub(super) is_rotten: bool,
}

impl Shelf {
    /// The segment is there, with so many bytes.
    pub(super) fn put(&mut self, number: u32, bytes: u64) {
        if let Some(segment) = self.get_mut(number) {
            let more = bytes.saturating_sub(segment.bytes);
            segment.bytes += more;
            self.bytes += more;
            return;
        }
        self.bytes += bytes;
        assert!(self.newest() < number, "segments come in their order");
        self.segments.push_back(Segment {
            number,
            bytes,
            ..Segment::default()
        });
    }

    pub(super) fn pop(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        self.bytes -= segment.bytes;
        self.live_bytes -= segment.live_bytes;
        Some(segment)
    }

    /// Takes out a segment in which nothing lives.
    pub(super) fn take(&mut self, number: u32) {
        if let Some(segment) = self.get_mut(number).copied() {
            self.bytes -= segment.bytes;
            self.live_bytes -= segment.live_bytes;
            self.segments.retain(|other| other.number != number);
        }
    }

    pub(super) fn newest(&self) -> u32 {
        self.segments.back().map_or(0, |segment| segment.number)
    }

    pub(super) fn oldest(&self) -> Option<Segment> {
        self.segments.front().copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Segment> {
        let place = self
            .segments
            .binary_search_by_key(&number, |segment| segment.number)
            .ok()?;
        self.segments.get(place)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Segment> {
        let place = self
            .segments
            .binary_search_by_key(&number, |segment| segment.number)
            .ok()?;
        self.segments.get_mut(place)
    }

    /// Something in the segment can't be read.
    pub(super) fn set_rotten(&mut self, number: u32) {
        if let Some(segment) = self.get_mut(number) {
            segment.is_rotten = true;
        }
    }

    pub(super) fn add_live(&mut self, number: u32, bytes: u32) {
        if let Some(segment) = self.get_mut(number) {
            segment.live += 1;
            segment.live_bytes += u64::from(bytes);
            self.live_bytes += u64::from(bytes);
        }
    }

    pub(super) fn drop_live(&mut self, number: u32, bytes: u32) {
        if let Some(segment) = self.get_mut(number) {
            segment.live -= 1;
            segment.live_bytes -= u64::from(bytes);
            self.live_bytes -= u64::from(bytes);
        }
    }

    pub(super) fn add_remembered(&mut self, number: u32) {
        if let Some(segment) = self.get_mut(number) {
            segment.remembered += 1;
            segment.live_bytes += REMEMBERED_BYTES;
            self.live_bytes += REMEMBERED_BYTES;
        }
    }

    pub(super) fn drop_remembered(&mut self, number: u32) {
        if let Some(segment) = self.get_mut(number) {
            segment.remembered -= 1;
            segment.live_bytes -= REMEMBERED_BYTES;
            self.live_bytes -= REMEMBERED_BYTES;
        }
    }

    /// Bytes of all files.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of files that are needed for nothing, the newest segment left out.
    pub(super) fn garbage(&self) -> u64 {
        let newest = self.segments.back().copied().unwrap_or_default();
        (self.bytes - newest.bytes) - (self.live_bytes - newest.live_bytes)
    }

    /// Bytes of what lives.
    pub(super) const fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_counted_where_it_is() {
        let mut shelf = Shelf::default();
        shelf.put(3, 100);
        shelf.put(7, 50);
        shelf.put(7, 80);
        shelf.add_live(7, 30);
        shelf.add_live(3, 10);
        shelf.drop_live(7, 30);
        shelf.add_remembered(3);
        assert_eq!(
            (shelf.bytes(), shelf.live_bytes(), shelf.garbage()),
            (180, 50, 50)
        );
        let oldest = shelf.oldest().unwrap();
        assert_eq!((oldest.number, oldest.live, oldest.remembered), (3, 1, 1));
        shelf.drop_remembered(3);
        shelf.drop_live(9, 1);
        assert_eq!(shelf.pop().unwrap().number, 3);
        assert_eq!(shelf.iter().count(), 1);
        assert_eq!(
            (shelf.bytes(), shelf.live_bytes(), shelf.garbage()),
            (80, 0, 0)
        );
    }
}
