//! Where each job that has not ended lies on disk: 64 bytes a job and two cells to find it by.
//!
//! The line stays on disk, and so does the id: what is kept is the id's hash. How far a job is that has had
//! attempts is kept beside, for these are few; so are the words of their failures, each only once.
//!
//! Not here: ids of jobs that were delivered (`delivered`), dead letters (`letters`).

use std::sync::Arc;

use crate::base::finder::Finder;
use crate::base::map::Map;
use crate::base::time::Wall;
use crate::journal::event::{Attempt, Identity, JobKey, SourceKind};
use crate::journal::record::{self, Accepted, cut};
use crate::wire::job::User;

/// Different messages that are kept; the others are told by their kind alone.
pub const MESSAGES_MAX: usize = 4_096;

const NO_ATTEMPT: u32 = u32::MAX;

/// The key of a slot without a job.
const FREE: JobKey = JobKey(u64::MAX);

/// The place of an [`Entry`]; reused after it is removed.
pub(super) type Slot = u32;

/// Where a record stands. Segment 0: not safe yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) bytes: u32,
}

/// A job that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: JobKey,
    pub(super) id: Identity,
    pub(super) payload: Identity,
    pub(super) place: Place,
    attempt: u32,
    /// Milliseconds of the Unix clock at which it was accepted (48 bits), and flags.
    packed: u64,
}

const MILLIS_BITS: u32 = 48;
const SOCKET: u64 = 1 << 48;
/// It has ended and becomes a dead letter: its id is free already.
const DYING: u64 = 1 << 49;
/// Its attempt is not written down yet.
const DIRTY: u64 = 1 << 50;
/// Its record has a uid.
const OF_ANOTHER: u64 = 1 << 51;
const GENERATED_SHIFT: u32 = 56;

/// The jobs that have not ended.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    free: Vec<Slot>,
    by_key: Finder,
    by_id: Finder,
    attempts: Vec<Attempt>,
    attempts_free: Vec<u32>,
    messages: Map<Arc<str>, ()>,
}

impl Entry {
    pub(super) fn of(job: &Accepted<'_>, place: Place) -> Entry {
        let millis = job.accepted.unix_millis().min((1 << MILLIS_BITS) - 1);
        let socket = match job.source {
            SourceKind::Stdin => 0,
            SourceKind::Socket => SOCKET,
        };
        let user = match job.user {
            User::Own => 0,
            User::Other(_) => OF_ANOTHER,
        };
        let generated = job.generated_id.map_or(0, str::len) as u64;
        Entry {
            key: job.key,
            id: job.id,
            payload: job.payload,
            place,
            attempt: NO_ATTEMPT,
            packed: millis | socket | user | generated << GENERATED_SHIFT,
        }
    }

    pub(super) const fn accepted(&self) -> Wall {
        Wall::from_unix_nanos((self.packed & ((1 << MILLIS_BITS) - 1)) * 1_000_000)
    }

    pub(super) const fn source(&self) -> SourceKind {
        if self.packed & SOCKET == 0 {
            SourceKind::Stdin
        } else {
            SourceKind::Socket
        }
    }

    /// Whether both tell of the same submission.
    pub(super) fn is_same_job(&self, other: &Entry) -> bool {
        let told = |entry: &Entry| (entry.key, entry.id, entry.payload, entry.packed);
        told(self) == told(other)
    }

    pub(super) const fn is_dying(&self) -> bool {
        self.packed & DYING != 0
    }

    /// Bytes of its record that are not its line.
    pub(super) const fn bytes_beside_line(&self) -> u32 {
        let generated_id = (self.packed >> GENERATED_SHIFT) as u32;
        let uid = match self.packed & OF_ANOTHER {
            0 => 0,
            _ => record::UID_BYTES as u32,
        };
        record::ACCEPTED_BYTES as u32 + generated_id + uid
    }
}

impl Index {
    /// An empty index; `seed` hashes messages.
    pub(super) fn new(seed: [u64; 2]) -> Index {
        Index {
            entries: Vec::new(),
            free: Vec::new(),
            by_key: Finder::new(),
            by_id: Finder::new(),
            attempts: Vec::new(),
            attempts_free: Vec::new(),
            messages: Map::new(seed),
        }
    }

    /// Puts a job in, whose key is not there yet.
    pub(super) fn insert(&mut self, entry: Entry) -> Slot {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        let entries = &self.entries;
        self.by_key
            .insert(slot, |slot| entries[slot as usize].key.0);
        self.by_id.insert(slot, |slot| entries[slot as usize].id[0]);
        slot
    }

    /// Takes a job out.
    pub(super) fn remove(&mut self, slot: Slot) -> Entry {
        self.free_id(slot);
        let entries = &self.entries;
        let was_there = self
            .by_key
            .remove(slot, |slot| entries[slot as usize].key.0);
        assert!(was_there, "a slot is removed once");
        let entry = self.entries[slot as usize];
        if entry.attempt != NO_ATTEMPT {
            self.attempts_free.push(entry.attempt);
        }
        self.entries[slot as usize].key = FREE;
        self.free.push(slot);
        entry
    }

    /// The job has ended and becomes a dead letter.
    pub(super) fn set_dying(&mut self, slot: Slot) {
        self.free_id(slot);
        self.entries[slot as usize].packed |= DYING;
    }

    pub(super) fn set_place(&mut self, slot: Slot, place: Place) -> Place {
        std::mem::replace(&mut self.entries[slot as usize].place, place)
    }

    /// Notes how far the job is; whether that was written down until now.
    pub(super) fn set_attempt(&mut self, slot: Slot, attempt: Attempt) -> bool {
        let attempt = Attempt {
            message: self.intern(&attempt),
            ..attempt
        };
        let entry = &mut self.entries[slot as usize];
        if entry.attempt != NO_ATTEMPT {
            self.attempts[entry.attempt as usize] = attempt;
        } else if let Some(place) = self.attempts_free.pop() {
            self.attempts[place as usize] = attempt;
            entry.attempt = place;
        } else {
            entry.attempt = self.attempts.len() as u32;
            self.attempts.push(attempt);
        }
        let was_clean = entry.packed & DIRTY == 0;
        entry.packed |= DIRTY;
        was_clean
    }

    /// The job's attempt is being written down.
    pub(super) fn set_clean(&mut self, slot: Slot) {
        self.entries[slot as usize].packed &= !DIRTY;
    }

    /// Whether there is a job in the slot.
    pub(super) fn is_used(&self, slot: Slot) -> bool {
        self.entries[slot as usize].key != FREE
    }

    pub(super) fn get(&self, slot: Slot) -> &Entry {
        &self.entries[slot as usize]
    }

    pub(super) fn attempt(&self, slot: Slot) -> Option<&Attempt> {
        self.attempts
            .get(self.entries[slot as usize].attempt as usize)
    }

    pub(super) fn by_key(&self, key: JobKey) -> Option<Slot> {
        self.by_key
            .find(key.0, |slot| self.entries[slot as usize].key == key)
    }

    /// The job of this id that has not ended in any way.
    pub(super) fn by_id(&self, id: Identity) -> Option<Slot> {
        self.by_id
            .find(id[0], |slot| self.entries[slot as usize].id == id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// All jobs' slots, in no order that means anything.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let slots = self.entries.iter().zip(0..);
        slots
            .filter(|(entry, _)| entry.key != FREE)
            .map(|(_, slot)| slot)
    }

    fn free_id(&mut self, slot: Slot) {
        if !self.entries[slot as usize].is_dying() {
            let entries = &self.entries;
            let was_there = self.by_id.remove(slot, |slot| entries[slot as usize].id[0]);
            assert!(was_there, "an id is freed once");
        }
    }

    fn intern(&mut self, attempt: &Attempt) -> Arc<str> {
        let message = cut(&attempt.message);
        if let Some((known, ())) = self.messages.get_key_value(message) {
            return Arc::clone(known);
        }
        let message: Arc<str> = if self.messages.len() < MESSAGES_MAX {
            message.into()
        } else {
            attempt.kind.name().into()
        };
        self.messages.insert(Arc::clone(&message), ());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::report::ErrorKind;

    fn entry(key: u64, id: u64) -> Entry {
        let job = Accepted {
            key: JobKey(key),
            accepted: Wall::from_unix_nanos(1_700_000_000_123_456_789),
            source: SourceKind::Socket,
            user: User::Other(7),
            id: [id, 1],
            payload: [id, 2],
            generated_id: Some("0123"),
            line: b"{}",
        };
        Entry::of(&job, Place::default())
    }

    fn attempt(message: &str) -> Attempt {
        Attempt {
            attempts: 1,
            due: Wall::default(),
            status: 503,
            kind: ErrorKind::Http,
            message: message.into(),
        }
    }

    #[test]
    fn an_entry_is_small_and_says_what_it_was_told() {
        assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
        let entry = entry(7, 8);
        assert_eq!(entry.accepted().unix_nanos(), 1_700_000_000_123_000_000);
        assert_eq!(entry.source(), SourceKind::Socket);
        let beside = record::ACCEPTED_BYTES + record::UID_BYTES + 4;
        assert_eq!(entry.bytes_beside_line(), beside as u32);
        assert!(!entry.is_dying());
    }

    #[test]
    fn a_dying_job_leaves_its_id_to_the_next() {
        let mut index = Index::new([1, 2]);
        let first = index.insert(entry(1, 9));
        assert_eq!(index.by_id([9, 1]), Some(first));
        index.set_dying(first);
        assert_eq!(index.by_id([9, 1]), None);
        let second = index.insert(entry(2, 9));
        assert_eq!(index.by_id([9, 1]), Some(second));
        assert_eq!(index.remove(first).key, JobKey(1));
        assert_eq!((index.by_key(JobKey(1)), index.len()), (None, 1));
        assert_eq!(index.slots().collect::<Vec<_>>(), [second]);
        assert_eq!(index.by_key(JobKey(2)), Some(second));
    }

    #[test]
    fn attempts_are_kept_until_the_end_and_their_words_once() {
        let mut index = Index::new([1, 2]);
        let (one, two) = (index.insert(entry(1, 1)), index.insert(entry(2, 2)));
        assert!(index.attempt(one).is_none());
        assert!(index.set_attempt(one, attempt("the answer was 503")));
        assert!(!index.set_attempt(one, attempt("the answer was 503")));
        index.set_clean(one);
        assert!(index.set_attempt(one, attempt("the answer was 503")));
        index.set_attempt(two, attempt("the answer was 503"));
        let words = |slot| Arc::clone(&index.attempt(slot).unwrap().message);
        assert!(Arc::ptr_eq(&words(one), &words(two)));
        index.remove(one);
        let three = index.insert(entry(3, 3));
        assert!(index.attempt(three).is_none());
        for n in 0..MESSAGES_MAX + 10 {
            index.set_attempt(three, attempt(&n.to_string()));
        }
        assert_eq!(&*index.attempt(three).unwrap().message, "http");
        assert!(index.messages.len() <= MESSAGES_MAX + 20);
        assert_eq!(index.attempts.len(), 2);
    }
}
