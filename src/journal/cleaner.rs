//! Takes segments away that are needed no more, the oldest first.
//!
//! ```text
//!   Idle --few live in the oldest--> Copying (piece by piece) --> Carrying (delivered ids) --> Deleting --> Syncing
//! ```
//! Each deletion is safe before the next begins. Copying costs writes and waiting costs room; the balance is
//! [`LIVE_FACTOR`]: cleaning begins when garbage is three times what lives, so at most a third of a byte is
//! copied for each byte that was submitted, whatever is left lying in the log. When nothing is submitted, or
//! room is short, half is enough.
//!
//! Dead letters are never copied: the oldest segment goes when none is left in it, or when they are too many.
//!
//! Not here: who counts what lives (`shelf`), segments to come (`appender`).

use std::time::Duration;

use crate::base::time::Instant;
use crate::journal::appender::{Haste, Purpose};
use crate::journal::event::{
    Action, DiskError, DiskErrorKind, FileId, OpId, Output, Performed, Stream,
};
use crate::journal::index::Place;
use crate::journal::record::{self, REMEMBERED_MAX, Record};
use crate::journal::scan::{Found, Scanner};
use crate::journal::shelf::Segment;
use crate::journal::{Journal, LAZY_BYTES_MAX, Owner};

/// Garbage is cleaned when it is so many times what lives.
pub const LIVE_FACTOR: u64 = 3;

/// Segments of garbage that are left alone while jobs come in.
pub const GARBAGE_SEGMENTS: u64 = 4;

/// After so long without a job, less garbage is left lying.
pub const IDLE: Duration = Duration::from_secs(1);

/// How long after a failure it is tried again.
pub const RETRY: Duration = Duration::from_secs(10);

/// Places of delivered ids that are looked at in one call.
const PLACES_PER_CALL: u32 = 16 * 1024;

/// Delivered ids that are forgotten before their time in one call.
const IDS_PER_CALL: u64 = 4_096;

/// Dead letters dropped in one call.
const LETTERS_PER_CALL: u32 = 1_024;

/// What is being done.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    task: Task,
    retry: Option<Instant>,
    /// What was the newest segment when it became quiet: cleaning goes on to there and no further, so that it
    /// comes to an end. `None`: not quiet since.
    quiet_to: Option<u32>,
}

#[derive(Debug, Default)]
enum Task {
    #[default]
    Idle,
    Copying {
        scanner: Box<Scanner>,
        op: Option<OpId>,
    },
    Carrying {
        segment: u32,
        from: u32,
    },
    Deleting {
        file: FileId,
    },
    Syncing {
        file: FileId,
    },
}

impl Cleaner {
    /// A job came, or ended.
    pub(super) const fn disturb(&mut self) {
        self.quiet_to = None;
    }

    /// Whether there is something to do at once.
    pub(super) const fn has_more(&self) -> bool {
        matches!(self.task, Task::Carrying { .. })
    }

    /// When to try again what failed.
    pub(super) const fn retry_at(&self) -> Option<Instant> {
        self.retry
    }
}

impl Journal {
    /// One step.
    pub(super) fn clean(&mut self) {
        if self.cleaner.retry.is_some_and(|retry| self.now < retry) {
            return;
        }
        self.cleaner.retry = None;
        match self.cleaner.task {
            Task::Idle => self.choose(),
            Task::Copying { op: None, .. } => self.read_on(),
            Task::Carrying { segment, from } => self.carry(segment, from),
            Task::Copying { op: Some(_), .. } | Task::Deleting { .. } | Task::Syncing { .. } => {}
        }
    }

    /// When less garbage is left lying than while jobs come in.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        (self.jobs.shelf.garbage() > 0).then(|| self.last_submit + IDLE)
    }

    pub(super) fn on_cleaner_performed(&mut self, result: Result<Performed, DiskError>) {
        match std::mem::take(&mut self.cleaner.task) {
            Task::Copying { scanner, .. } => match result {
                Ok(Performed::Bytes(bytes)) => self.copy(scanner, &bytes),
                // What can't be read can't be copied: its jobs keep their segment until they have ended.
                Ok(_) | Err(_) => self.copied(scanner.file().number),
            },
            Task::Deleting { file } => match result {
                Ok(_) => {
                    self.cleaner.task = Task::Syncing { file };
                    self.perform(Owner::Cleaner, Action::SyncDir);
                }
                Err(_) => self.cleaner.retry = Some(self.now + RETRY),
            },
            Task::Syncing { file } => match result {
                Ok(_) => {
                    self.log_mut(file.stream).shelf.pop();
                    self.jobs.appender.hurry(self.now);
                    self.dead.appender.hurry(self.now);
                }
                Err(_) => self.cleaner.retry = Some(self.now + RETRY),
            },
            task @ (Task::Idle | Task::Carrying { .. }) => self.cleaner.task = task,
        }
    }

    fn choose(&mut self) {
        if self.choose_dead() {
            return;
        }
        let head = self.jobs.appender.head();
        let oldest = self.jobs.shelf.oldest();
        let Some(oldest) = oldest.filter(|oldest| Some(oldest.number) != head) else {
            return;
        };
        let number = oldest.number;
        if oldest.live > 0 && oldest.is_copied || oldest.reads > 0 {
            // Its copies are on their way.
            return;
        }
        if oldest.live == 0 && oldest.remembered == 0 {
            if self.jobs.appender.is_followed(number) {
                self.delete(Stream::Jobs, number);
            }
            return;
        }
        if !self.is_worth_cleaning(number) {
            self.give_way();
            return;
        }
        if oldest.live > 0 {
            let file = FileId {
                stream: Stream::Jobs,
                number,
            };
            let scanner = Box::new(Scanner::new(file, oldest.bytes, Some(self.seeds)));
            self.cleaner.task = Task::Copying { scanner, op: None };
            self.read_on();
        } else if !self.has_room_to_carry(oldest) {
            if self.is_out_of_room() {
                self.forget_all_of(number);
            }
        } else if !oldest.is_carried {
            self.carry(number, 0);
        }
    }

    /// There is no room, and what keeps it may be the memory of delivered ids: the oldest go, as many as it takes to
    /// make cleaning worth it, if it can be made so.
    fn give_way(&mut self) {
        if !self.is_out_of_room() {
            return;
        }
        let (garbage, live) = (self.jobs.shelf.garbage(), self.jobs.shelf.live_bytes());
        let id = record::REMEMBERED_BYTES as u64;
        // What is forgotten is garbage, and lives no more.
        let of_live = live.saturating_sub(garbage).div_ceil(2 * id);
        let of_segment = (self.settings.segment_bytes / 2).saturating_sub(garbage);
        let ids = of_live.max(of_segment.div_ceil(id)).max(1);
        if ids > self.memory.len() as u64 {
            return;
        }
        for _ in 0..ids.min(IDS_PER_CALL) {
            if let Some(home) = self.memory.forget_oldest() {
                self.jobs.shelf.drop_remembered(home);
                self.status.forgotten += 1;
            }
        }
        self.cleaner.disturb();
        self.is_stale = true;
    }

    /// Without room even for what a segment remembers, it is forgotten: what has ended goes all the same.
    fn forget_all_of(&mut self, number: u32) {
        for place in 0..self.memory.places() as u32 {
            if self.memory.forget_at(place, number) {
                self.jobs.shelf.drop_remembered(number);
                self.status.forgotten += 1;
            }
        }
        self.is_stale = true;
    }

    fn has_room_to_carry(&self, segment: Segment) -> bool {
        let bytes = u64::from(segment.remembered) * (record::REMEMBERED_BYTES as u64 + 1);
        let needed = self.room_for_ends() + self.room_lost() + bytes;
        segment.is_carried || self.jobs.appender.room() >= needed
    }

    /// Whether no segment more can be made, and one is wanted.
    fn is_out_of_room(&self) -> bool {
        let is_full = self.jobs.appender.trouble() == Some(DiskErrorKind::Full);
        is_full || !self.may_make() && self.jobs.appender.room() < self.room_wanted()
    }

    /// The oldest dead letters go if there are too many.
    fn choose_dead(&mut self) -> bool {
        let is_held_up = !self.may_write_letters() && self.dead.appender.unsynced_bytes() > 0;
        if self.settings.dead_bytes() == 0 || is_held_up {
            self.dead.appender.leave_head();
        }
        let head = self.dead.appender.head();
        let oldest = self.dead.shelf.oldest();
        let Some(oldest) = oldest.filter(|oldest| Some(oldest.number) != head) else {
            return false;
        };
        if oldest.reads > 0 || !self.jobs.appender.is_safe(oldest.ended_at) {
            return false;
        }
        if self.has_too_many_letters() && oldest.live > 0 {
            self.drop_letters(oldest);
        }
        let is_empty = self
            .dead
            .shelf
            .oldest()
            .is_some_and(|oldest| oldest.live == 0);
        if is_empty {
            self.delete(Stream::Dead, oldest.number);
        }
        is_empty
    }

    /// Another limit: if it is passed, also the letters of the segment that is being written may go.
    pub(super) fn on_max_dead_bytes(&mut self, max: u64) {
        if max == self.settings.max_dead_bytes {
            return;
        }
        self.settings.max_dead_bytes = max;
        let segment_bytes = self.settings.dead_segment_bytes();
        self.dead.appender.set_segment_bytes(segment_bytes);
        if self.has_too_many_letters() {
            self.dead.appender.leave_head();
        }
    }

    fn has_too_many_letters(&self) -> bool {
        let unsynced = self.dead.appender.unsynced_bytes() as u64;
        self.dead.shelf.bytes() + unsynced > self.settings.dead_bytes()
    }

    /// While there are more than may be kept, those that come wait for the oldest to go: a disk has room for no more.
    pub(super) fn may_write_letters(&self) -> bool {
        self.dead.shelf.bytes() <= self.settings.dead_bytes()
    }

    fn drop_letters(&mut self, segment: Segment) {
        let mut letters = 0;
        while letters < LETTERS_PER_CALL
            && let Some(dead) = self.letters.pop_of(segment.number)
        {
            self.dead.shelf.drop_live(segment.number, dead.place.bytes);
            letters += 1;
        }
        self.is_stale = self.is_stale || letters == LETTERS_PER_CALL;
        self.outputs.push_back(Output::LettersDropped { letters });
    }

    fn delete(&mut self, stream: Stream, number: u32) {
        let file = FileId { stream, number };
        self.cleaner.task = Task::Deleting { file };
        let segment = self.log_mut(stream).shelf.get_mut(number);
        let action = match segment.is_some_and(|segment| segment.is_rotten) {
            true => Action::SetAside { file },
            false => Action::Delete { file },
        };
        self.perform(Owner::Cleaner, action);
    }

    fn is_worth_cleaning(&mut self, oldest: u32) -> bool {
        let garbage = self.jobs.shelf.garbage();
        let live = self.jobs.shelf.live_bytes();
        let segment = self.settings.segment_bytes;
        let is_idle = self.now >= self.last_submit + IDLE;
        let is_short = self.jobs.appender.trouble().is_some() || self.is_out_of_room();
        if is_idle || is_short {
            let newest = self.jobs.shelf.newest();
            let to = *self.cleaner.quiet_to.get_or_insert(newest);
            return oldest <= to && garbage >= live.max(segment / 2);
        }
        garbage > (live * LIVE_FACTOR).max(segment * GARBAGE_SEGMENTS)
    }

    /// Asks for the next piece of the segment, if there is room for what may have to be copied.
    fn read_on(&mut self) {
        let Task::Copying { scanner, .. } = &self.cleaner.task else {
            return;
        };
        let file = scanner.file();
        let Some((offset, bytes)) = scanner.wants() else {
            self.copied(file.number);
            return;
        };
        let log = &self.jobs.appender;
        let oldest = self.jobs.shelf.oldest();
        let live = oldest.map_or(0, |oldest| oldest.live_bytes);
        let needed = self.room_for_ends() + self.room_lost() + live.min(u64::from(bytes));
        if log.unsynced_bytes() >= LAZY_BYTES_MAX {
            return;
        }
        if log.room() < needed {
            // It may come otherwise meanwhile: its last job may end, or letters may go.
            self.cleaner.task = Task::Idle;
            return;
        }
        let action = Action::Read {
            file,
            offset,
            bytes,
        };
        let read = self.perform(Owner::Cleaner, action);
        if let Task::Copying { op, .. } = &mut self.cleaner.task {
            *op = Some(read);
        }
    }

    /// Copies the jobs of a piece that have not ended.
    fn copy(&mut self, mut scanner: Box<Scanner>, bytes: &[u8]) {
        let segment = scanner.file().number;
        let Journal {
            index,
            jobs,
            status,
            now,
            dirty,
            ..
        } = self;
        scanner.feed(bytes, &mut |found| {
            let Found::Record {
                offset,
                bytes,
                record: Record::Accepted(job),
            } = found
            else {
                return;
            };
            let Some(slot) = index.by_key(job.key) else {
                return;
            };
            let here = Place {
                segment,
                offset: offset as u32,
                bytes: bytes.len() as u32,
            };
            if index.get(slot).place == here {
                let purpose = Some(Purpose::Job(job.key));
                jobs.appender.push_raw(*now, bytes, purpose);
                status.copied += 1;
                // How far it is stands in a segment that will go as well.
                if let Some(attempt) = index.attempt(slot).cloned()
                    && index.set_attempt(slot, attempt)
                {
                    dirty.push_back(job.key);
                }
            }
        });
        self.cleaner.task = Task::Copying { scanner, op: None };
        self.read_on();
    }

    fn copied(&mut self, number: u32) {
        if let Some(segment) = self.jobs.shelf.get_mut(number) {
            segment.is_copied = true;
        }
        self.cleaner.task = Task::Idle;
    }

    /// Writes down anew the delivered ids that only this segment says.
    fn carry(&mut self, segment: u32, from: u32) {
        let to = from.saturating_add(PLACES_PER_CALL);
        let mut at_home = self.memory.at_home(segment, from..to).peekable();
        while let Some((first, _)) = at_home.peek().copied() {
            let mut ids = Vec::new();
            let mut last = first;
            for (place, delivered) in at_home.by_ref().take(REMEMBERED_MAX) {
                record::push_remembered(&mut ids, delivered);
                last = place;
            }
            let purpose = Purpose::Remembered {
                segment,
                from: first,
                to: last + 1,
            };
            let record = Record::Remembered(&ids);
            let log = &mut self.jobs.appender;
            log.push(self.now, Haste::Lazy, &record, Some(purpose));
        }
        drop(at_home);
        self.cleaner.task = Task::Carrying { segment, from: to };
        if to as usize >= self.memory.places() {
            self.cleaner.task = Task::Idle;
            if let Some(segment) = self.jobs.shelf.get_mut(segment) {
                segment.is_carried = true;
            }
        }
    }
}
