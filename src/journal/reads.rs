//! What is read back from disk while jobs are running: bytes of jobs that wait there, and of those that become
//! dead letters.
//!
//! So many reads at a time; a segment is not deleted while it is read.
//!
//! Not here: reading whole segments (`cleaner`, `recovery`).

use std::collections::VecDeque;

use crate::journal::appender::{Haste, Purpose};
use crate::journal::event::{
    Action, Corruption, DiskError, FileId, JobKey, Output, Performed, Stream,
};
use crate::journal::index::Place;
use crate::journal::record::{self, Record};
use crate::journal::{Journal, LAZY_BYTES_MAX, Owner};

/// Reads under way at most.
pub const READS_MAX: usize = 32;

/// What waits to be read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    wanted: VecDeque<JobKey>,
    dying: VecDeque<JobKey>,
    under_way: usize,
}

/// A read under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    file: FileId,
    key: JobKey,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Wanted,
    Dying,
}

impl Reads {
    /// Somebody wants the bytes of this job or letter.
    pub(super) fn want(&mut self, key: JobKey) {
        self.wanted.push_back(key);
    }

    /// This job becomes a dead letter.
    pub(super) fn mourn(&mut self, key: JobKey) {
        self.dying.push_back(key);
    }

    pub(super) fn len(&self) -> usize {
        self.wanted.len() + self.dying.len() + self.under_way
    }
}

impl Journal {
    pub(super) fn start_reads(&mut self) {
        while self.reads.under_way < READS_MAX {
            let Some(key) = self.reads.wanted.front().copied() else {
                break;
            };
            let Some((file, place)) = self.whereabouts(key) else {
                self.reads.wanted.pop_front();
                self.outputs
                    .push_back(Output::Fetched { key, fetched: None });
                continue;
            };
            if place.segment == 0 {
                // It is on its way to disk, and the others behind it are younger.
                break;
            }
            self.reads.wanted.pop_front();
            self.read(file, key, place, Why::Wanted);
        }
        while self.reads.under_way < READS_MAX
            && self.dead.appender.unsynced_bytes() < LAZY_BYTES_MAX
        {
            let Some(key) = self.reads.dying.front().copied() else {
                break;
            };
            if self.dying.get(key).is_some()
                && let Some((file, place)) = self.whereabouts(key)
            {
                if place.segment == 0 {
                    break;
                }
                self.read(file, key, place, Why::Dying);
            }
            self.reads.dying.pop_front();
        }
    }

    pub(super) fn on_read(&mut self, read: Read, result: Result<Performed, DiskError>) {
        let Read { file, key, why } = read;
        self.reads.under_way -= 1;
        if let Some(segment) = self.log_mut(file.stream).shelf.get_mut(file.number) {
            segment.reads -= 1;
        }
        let bytes = match result {
            Ok(Performed::Bytes(bytes)) => bytes,
            Ok(Performed::Done | Performed::Written(_)) | Err(_) => Vec::new(),
        };
        let start = self.seeds.checksum_start();
        let record = record::read(start, &bytes).map(|(record, _)| record);
        if record.is_none() {
            let place = self.whereabouts(key);
            let offset = place.map_or(0, |(_, place)| u64::from(place.offset));
            self.log_mut(file.stream).shelf.set_rotten(file.number);
            self.outputs
                .push_back(Output::Corrupt(Corruption { file, offset }));
        }
        match why {
            Why::Wanted => self.hand_out(key, record),
            Why::Dying => self.bury(key, record),
        }
    }

    /// The job's letter is written, unless its id was submitted again meanwhile.
    fn bury(&mut self, key: JobKey, record: Option<Record<'_>>) {
        let Some(letter) = self.dying.get(key).cloned() else {
            return;
        };
        let Some(Record::Accepted(job)) = record else {
            // There is nothing left to keep.
            self.end_dying(key);
            return;
        };
        if self.is_too_long_to_keep(job.line.len()) {
            self.outputs
                .push_back(Output::LettersDropped { letters: 1 });
            self.end_dying(key);
            return;
        }
        let record = Record::Letter { letter, job };
        let purpose = Some(Purpose::Letter(key));
        let log = &mut self.dead.appender;
        log.push(self.now, Haste::Lazy, &record, purpose);
    }

    /// Whether a letter alone would take more than all may, where there is no more room.
    fn is_too_long_to_keep(&self, line_bytes: usize) -> bool {
        let is_limited = self.settings.all_bytes().is_some();
        is_limited && line_bytes as u64 > self.settings.dead_bytes()
    }

    fn hand_out(&mut self, key: JobKey, record: Option<Record<'_>>) {
        let fetched = match record {
            Some(Record::Accepted(job)) if job.key == key => {
                let slot = self.index.by_key(key);
                if slot.is_none() && self.letters.get(key).is_some() {
                    // It became a letter while it was read.
                    return self.reads.want(key);
                }
                let attempt = slot.and_then(|slot| self.index.attempt(slot));
                let letter = self.dying.get(key);
                Some(job.to_fetched(attempt.cloned(), letter.cloned()))
            }
            Some(Record::Letter { letter, job }) if job.key == key => {
                Some(job.to_fetched(None, Some(letter)))
            }
            _ => None,
        };
        self.outputs.push_back(Output::Fetched {
            key,
            fetched: fetched.map(Box::new),
        });
    }

    /// Where the record of this job or letter stands.
    fn whereabouts(&self, key: JobKey) -> Option<(FileId, Place)> {
        let (stream, place) = match self.index.by_key(key) {
            Some(slot) => (Stream::Jobs, self.index.get(slot).place),
            None => (Stream::Dead, self.letters.get(key)?.place),
        };
        let number = place.segment;
        Some((FileId { stream, number }, place))
    }

    fn read(&mut self, file: FileId, key: JobKey, place: Place, why: Why) {
        self.reads.under_way += 1;
        if let Some(segment) = self.log_mut(file.stream).shelf.get_mut(file.number) {
            segment.reads += 1;
        }
        let action = Action::Read {
            file,
            offset: u64::from(place.offset),
            bytes: place.bytes,
        };
        self.perform(Owner::Read(Read { file, key, why }), action);
    }
}
