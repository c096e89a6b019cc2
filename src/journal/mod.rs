//! Floor 2: the journal. What is on disk and where: accepted jobs until they end, how they ended, dead letters.
//!
//!   submit -> [batch: write, sync] -> Durable … Attempted … Done -> [rides with the next batch]
//!
//! One per process with a spool, sans-I/O: it decides every write, sync, rename and delete, and the disk only
//! performs them, one after the other. So a crash can be played between any two.
//!
//! - A job is told to be safe only when its record is synced. Its end is written down once it has ended, and no
//!   sooner than its record.
//! - Two logs of segments, written at their ends only: jobs, and dead letters. A segment goes when nothing in it
//!   is needed, oldest first; few jobs that are still needed are copied forward.
//! - After a failed write or sync nothing new is safe until another file takes it; what was not synced is kept
//!   in memory and written there.
//! - In memory: 64 bytes and two cells a job; lines stay on disk ([`event::Input::Fetch`]).
//!
//! Why two logs: a dead letter stays for weeks, a job for seconds. Among jobs, letters would have to be copied
//! out of the way again and again; apart, each is copied once, when the job has ended.
//!
//! Not here: files (`io/disk`), what is read at start (`recovery`), when a segment goes (`cleaner`).

pub mod appender;
pub mod event;
pub mod identity;
pub mod record;
pub mod recovery;
pub mod scan;

mod cleaner;
mod delivered;
mod dying;
mod index;
mod landing;
mod letters;
mod reads;
mod segment;
mod shelf;

pub use index::MESSAGES_MAX;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::{Instant, Now, Wall};
use crate::wire::job::User;

use self::appender::{Appender, Haste, Purpose};
use self::cleaner::Cleaner;
use self::delivered::Memory;
use self::dying::Dying;
use self::event::{
    Action, Attempt, DiskError, DiskErrorKind, FoundLetters, How, Input, JobKey, Known,
    LetterQuery, OpId, Output, Pending, Performed, Refusal, Stream, Submission, Verdict,
};
use self::identity::Seeds;
use self::index::{Entry, Index, Place, Slot};
use self::letters::Letters;
use self::reads::{Read, Reads};
use self::record::{Accepted, Record};
use self::segment::HEADER_BYTES;
use self::shelf::Shelf;

/// Bytes that may wait to be safe; beyond, no job is taken in.
pub const UNSYNCED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that may wait to be safe before what is in no hurry waits outside.
const LAZY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Attempts written down in one call.
const ATTEMPTS_PER_CALL: usize = 256;

/// So many segments a disk must have room for, or they are made smaller.
const SEGMENTS_MIN: u64 = 16;

/// Smaller they are not made.
const SEGMENT_BYTES_MIN: u64 = 16 * 1024;

/// Dead letters take one byte in so many of what a spool may take, at most.
pub const DEAD_PART: u64 = 8;

/// Room kept for what is neither a job nor its end.
const ROOM_MIN: u64 = 4096;

/// What the journal obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a segment; a longer line makes a longer one.
    pub segment_bytes: u64,
    /// Bytes of all files (`maxSpoolBytes`).
    pub max_spool_bytes: Option<u64>,
    /// Bytes of dead letters (`maxDeadBytes`); 0: none are kept.
    pub max_dead_bytes: u64,
    /// Delivered ids that are remembered.
    pub remembered: usize,
    /// No job is due later than this after a start.
    pub max_wait: Duration,
    /// Bytes of the disk, where it is known ([`Settings::fitting`]).
    pub disk_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes: 32 * 1024 * 1024,
            max_spool_bytes: None,
            max_dead_bytes: 256 * 1024 * 1024,
            remembered: 100_000,
            max_wait: Duration::from_secs(3600),
            disk_bytes: None,
        }
    }
}

impl Settings {
    /// Bytes of a segment of dead letters: sixteen of them at most, so that a sixteenth of the letters goes at once.
    const fn dead_segment_bytes(&self) -> u64 {
        let bytes = self.dead_bytes() / 16;
        if bytes < 4 * HEADER_BYTES as u64 {
            return 4 * HEADER_BYTES as u64;
        }
        if bytes > 16 * 1024 * 1024 {
            return 16 * 1024 * 1024;
        }
        bytes
    }

    /// Bytes that all files may take; of a disk, the file system needs some itself.
    const fn all_bytes(&self) -> Option<u64> {
        match (self.max_spool_bytes, self.disk_bytes) {
            (Some(max), Some(disk)) if max < disk - disk / 16 => Some(max),
            (_, Some(disk)) => Some(disk - disk / 16),
            (max, None) => max,
        }
    }

    /// Bytes of dead letters that are kept: they never take more than a [`DEAD_PART`] of what there is, so that jobs
    /// can come whatever has died.
    #[must_use]
    pub const fn dead_bytes(&self) -> u64 {
        match self.all_bytes() {
            Some(all) if all / DEAD_PART < self.max_dead_bytes => all / DEAD_PART,
            _ => self.max_dead_bytes,
        }
    }

    /// Bytes that are left to jobs beside dead letters: those there are, and those there may be.
    fn job_bytes(&self, dead: u64) -> Option<u64> {
        let reserved = match self.dead_bytes() {
            0 => 0,
            // What comes is written before the oldest go.
            bytes => 2 * (bytes + self.dead_segment_bytes()),
        };
        let all = self.all_bytes()?;
        Some(all.saturating_sub(reserved.max(dead)))
    }

    /// The same with segments of which a good number has room in `capacity`, the bytes of the disk, and in
    /// `max_spool_bytes`: one is always kept for what must be written when all else is full.
    #[must_use]
    pub fn fitting(self, capacity: u64) -> Settings {
        let room = self
            .max_spool_bytes
            .map_or(capacity, |max| max.min(capacity));
        let bytes = (room / SEGMENTS_MIN).max(SEGMENT_BYTES_MIN);
        Settings {
            segment_bytes: bytes.min(self.segment_bytes),
            disk_bytes: (capacity < u64::MAX).then_some(capacity),
            ..self
        }
    }
}

/// How things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Jobs that have not ended, or whose end as a dead letter is not safe yet.
    pub pending: usize,
    /// Dead letters.
    pub letters: usize,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Bytes that are not safe yet.
    pub unsynced_bytes: usize,
    /// Bytes written so far, and how often something was synced.
    pub written_bytes: u64,
    /// See `written_bytes`.
    pub syncs: u64,
    /// Jobs copied forward.
    pub copied: u64,
    /// Ids of delivered jobs that were forgotten before their time, for want of room.
    pub forgotten: u64,
    /// Inputs that named no job.
    pub stale_inputs: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Journal {
    settings: Settings,
    seeds: Seeds,
    next_key: u64,
    index: Index,
    memory: Memory,
    letters: Letters,
    jobs: Log,
    dead: Log,
    cleaner: Cleaner,
    reads: Reads,
    /// Jobs whose attempt is to be written down.
    dirty: VecDeque<JobKey>,
    /// Jobs that become dead letters.
    dying: Dying,
    /// Jobs found at start that were not handed out, the oldest last, and the greatest key of them.
    found: Vec<Slot>,
    found_to: JobKey,
    outputs: VecDeque<Output>,
    ops: Vec<(OpId, Owner)>,
    next_op: u64,
    /// When something last happened, and whether all that follows from it was looked at.
    now: Instant,
    is_stale: bool,
    last_submit: Instant,
    /// The most room that a submission wanted for itself: so much is made ahead.
    longest_taken: u64,
    status: Status,
}

/// One log: its writing end and its segments.
#[derive(Debug)]
struct Log {
    appender: Appender,
    shelf: Shelf,
}

/// Whose operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Log(Stream),
    Cleaner,
    Read(Read),
}

impl Journal {
    /// Takes a job in, or says why not. It is safe when [`Output::Durable`] says so.
    pub fn submit(&mut self, now: Now, submission: &Submission<'_>) -> Verdict {
        self.now = now.mono;
        let id = self.seeds.of_id(submission.user, submission.id);
        if let Some(slot) = self.index.by_id(id) {
            let entry = self.index.get(slot);
            return Verdict::Duplicate {
                known: Known::Pending(entry.key),
                same_payload: entry.payload == submission.payload,
            };
        }
        if let Some(payload) = self.memory.get(id) {
            return Verdict::Duplicate {
                known: Known::Delivered,
                same_payload: payload == submission.payload,
            };
        }
        let room = self.room_taken(submission.line.len());
        if room > self.longest_taken {
            self.longest_taken = room;
            self.is_stale = true;
        }
        if let Some(refusal) = self.refusal(submission.line.len()) {
            return Verdict::Refused(refusal);
        }
        if let Some(old) = self.dying.by_id(id) {
            // It is submitted again before its letter was safe: the letter is not wanted any more.
            self.end_dying(old);
        }
        let key = JobKey(self.next_key);
        self.next_key += 1;
        let accepted = Accepted::of(submission, key, now.wall, id);
        self.index.insert(Entry::of(&accepted, Place::default()));
        let record = Record::Accepted(accepted);
        let purpose = Some(Purpose::Job(key));
        let log = &mut self.jobs.appender;
        log.push(now.mono, Haste::Urgent, &record, purpose);
        self.last_submit = now.mono;
        self.cleaner.disturb();
        self.is_stale = true;
        Verdict::New(key)
    }

    /// Why a job with such a line would not be taken in now; `None`: it would.
    #[must_use]
    pub fn refusal(&self, line_bytes: usize) -> Option<Refusal> {
        let log = &self.jobs.appender;
        let because = |kind| match kind {
            DiskErrorKind::Full => Refusal::Full,
            DiskErrorKind::Unsupported | DiskErrorKind::Missing | DiskErrorKind::Io => {
                Refusal::Trouble
            }
        };
        if log.is_failing() {
            return Some(log.trouble().map_or(Refusal::Trouble, because));
        }
        if log.unsynced_bytes() >= UNSYNCED_BYTES_MAX {
            return Some(Refusal::Behind);
        }
        if log.room() >= self.room_kept() + self.room_taken(line_bytes) {
            return None;
        }
        Some(match log.trouble() {
            Some(kind) => because(kind),
            None if self.may_make() => Refusal::Behind,
            None => Refusal::Full,
        })
    }

    /// Whether what was submitted last is not safe and won't be before the disk works again; while only room for more
    /// can't be made, it will be.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.jobs.appender.is_failing()
    }

    /// Something happened.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.now = now.mono;
        self.is_stale = true;
        match input {
            Input::Attempted { key, attempt } => self.on_attempted(key, attempt),
            Input::Done { key, how } => self.on_done(key, how),
            Input::Fetch { key } => self.reads.want(key),
            Input::Forget { key } => self.forget(key),
            Input::MaxDeadBytes(max) => self.on_max_dead_bytes(max),
            Input::Performed { op, result } => self.on_performed(op, result),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now.mono;
        self.is_stale = true;
        self.work();
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.is_stale {
            self.work();
        }
        self.outputs.pop_front()
    }

    /// When to call [`Journal::handle_timeout`] even if nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_stale || self.has_more() {
            return Some(self.now);
        }
        let logs = [&self.jobs, &self.dead].map(|log| log.appender.wakeups());
        let cleaner = [self.idle_at(), self.cleaner.retry_at()];
        let times = logs.into_iter().flatten().chain(cleaner).flatten();
        // What was due by now waits for something else than time.
        times.filter(|time| *time > self.now).min()
    }

    /// The next job that was found at start, the oldest first; each is handed out once, unless it has ended.
    pub fn next_pending(&mut self, now: Now) -> Option<Pending> {
        loop {
            let slot = self.found.pop()?;
            let entry = *self.index.get(slot);
            // Its slot may have been given to a job that came later.
            if entry.key > self.found_to || entry.is_dying() {
                continue;
            }
            let attempt = self.index.attempt(slot);
            let due = attempt.map_or(now.wall, |attempt| attempt.due);
            let wait = since(due, now.wall).min(self.settings.max_wait);
            return Some(Pending {
                key: entry.key,
                accepted: entry.accepted().min(now.wall),
                age: since(now.wall, entry.accepted()),
                source: entry.source(),
                attempts: attempt.map_or(0, |attempt| attempt.attempts),
                due: now.mono + wait,
                line_bytes: entry.place.bytes.saturating_sub(entry.bytes_beside_line()),
            });
        }
    }

    /// How many jobs [`Journal::next_pending`] may still hand out.
    #[must_use]
    pub fn found(&self) -> usize {
        self.found.len()
    }

    /// The keys of at most `max` dead letters after `key`, the oldest first.
    #[must_use]
    pub fn letters(&self, after: JobKey, max: usize) -> Vec<JobKey> {
        let letters = self.letters.after(after).take(max);
        letters.map(|(key, _)| key).collect()
    }

    /// Which dead letters are meant, of all that were told: those too that are not safe yet.
    #[must_use]
    pub fn find_letters(&self, query: &LetterQuery) -> FoundLetters {
        let last = self.letters.last().max(self.dying.last());
        let mut found = FoundLetters {
            last: last.unwrap_or_default(),
            ..FoundLetters::default()
        };
        match query {
            LetterQuery::After { after, max } => {
                let letters = self.letters.after(*after).map(|(key, _)| key);
                let keys = letters.take(max + 1);
                found.keys = keys.chain(self.dying.after(*after).take(max + 1)).collect();
                found.keys.sort_unstable();
                found.has_more = found.keys.len() > *max;
                found.keys.truncate(*max);
            }
            LetterQuery::Ids { ids, user } => {
                for id in ids {
                    let before = found.keys.len();
                    self.find_id(id, *user, &mut found.keys);
                    if found.keys.len() == before {
                        found.missing.push(id.clone());
                    }
                }
                found.keys.sort_unstable();
                found.keys.dedup();
            }
        }
        found
    }

    /// Appends the letters of this id: this user's, or all.
    fn find_id(&self, id: &str, user: Option<User>, keys: &mut Vec<JobKey>) {
        let identity = self.seeds.of_id(user.unwrap_or_default(), id);
        match user {
            Some(_) => {
                keys.extend(self.letters.by_id(identity));
                keys.extend(self.dying.by_id(identity));
            }
            None => {
                keys.extend(self.letters.of_all(identity));
                keys.extend(self.dying.of_all(identity));
            }
        }
    }

    /// What ids and payloads are hashed with.
    #[must_use]
    pub const fn seeds(&self) -> &Seeds {
        &self.seeds
    }

    /// Whether a segment is there to be written: before that every job is refused.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.jobs.appender.is_ready()
    }

    /// Before the end: whatever waits for company is written now.
    pub fn flush(&mut self, now: Now) {
        self.now = now.mono;
        self.is_stale = true;
        self.jobs.appender.hasten(now.mono);
        self.dead.appender.hasten(now.mono);
    }

    /// Whether everything that was said is safe.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        (self.dirty.is_empty() || !self.has_room_for_attempts())
            && self.dying.is_empty()
            && self.jobs.appender.unsynced_bytes() == 0
            && self.dead.appender.unsynced_bytes() == 0
    }

    /// How things are.
    #[must_use]
    pub fn status(&self) -> Status {
        let spares = self.jobs.appender.spare_bytes();
        Status {
            pending: self.index.len(),
            letters: self.letters.len(),
            file_bytes: self.jobs.shelf.bytes() + self.dead.shelf.bytes() + spares,
            unsynced_bytes: self.jobs.appender.unsynced_bytes()
                + self.dead.appender.unsynced_bytes(),
            ..self.status
        }
    }

    /// Panics if the machine contradicts itself. Walks everything: for tests and the simulator.
    pub fn check_invariants(&self) {
        self.jobs.appender.check_invariants();
        self.dead.appender.check_invariants();
        for segment in self.jobs.shelf.iter() {
            let here = |slot: &Slot| self.index.get(*slot).place.segment == segment.number;
            let live = self.index.slots().filter(here).count();
            assert_eq!(
                live, segment.live as usize,
                "jobs of segment {}",
                segment.number
            );
            let homes = self.memory.homes();
            let remembered = homes.filter(|home| *home == segment.number).count();
            assert_eq!(
                remembered, segment.remembered as usize,
                "{}",
                segment.number
            );
        }
        for segment in self.dead.shelf.iter() {
            let letters = self.letters.after(JobKey(0));
            let here = letters.filter(|(_, dead)| dead.place.segment == segment.number);
            assert_eq!(
                here.count(),
                segment.live as usize,
                "letters of {}",
                segment.number
            );
        }
        assert!(
            self.outputs.len() <= 64 + self.reads.len(),
            "outputs are pulled"
        );
    }

    fn on_attempted(&mut self, key: JobKey, attempt: Attempt) {
        match self.index.by_key(key) {
            Some(slot) if !self.index.get(slot).is_dying() => {
                if self.index.set_attempt(slot, attempt) {
                    self.dirty.push_back(key);
                }
            }
            _ => self.status.stale_inputs += 1,
        }
    }

    fn on_done(&mut self, key: JobKey, how: How) {
        let slot = self.index.by_key(key);
        let Some(slot) = slot.filter(|slot| !self.index.get(*slot).is_dying()) else {
            self.status.stale_inputs += 1;
            return;
        };
        let entry = *self.index.get(slot);
        match how {
            How::Delivered => {
                let home = entry.place.segment;
                let (order, forgotten) = self.memory.push(entry.id, entry.payload, home);
                self.jobs.shelf.add_remembered(home);
                if let Some(forgotten) = forgotten {
                    self.jobs.shelf.drop_remembered(forgotten);
                }
                self.end(slot, Some(order));
            }
            How::Ended => self.end(slot, None),
            How::Dead(_) if self.settings.dead_bytes() == 0 => self.end(slot, None),
            How::Dead(letter) => {
                self.index.set_dying(slot);
                self.dying.insert(key, entry.id, letter);
                self.reads.mourn(key);
            }
        }
    }

    /// The job has ended: the word of it is written down, and it is forgotten.
    fn end(&mut self, slot: Slot, order: Option<u64>) {
        let entry = self.index.remove(slot);
        self.cleaner.disturb();
        let Place { segment, bytes, .. } = entry.place;
        self.jobs.shelf.drop_live(segment, bytes);
        let record = Record::Done {
            key: entry.key,
            order,
        };
        self.jobs
            .appender
            .push(self.now, Haste::Lazy, &record, None);
    }

    /// The job's letter is safe, or will never be.
    fn end_dying(&mut self, key: JobKey) -> Option<Entry> {
        let slot = self.index.by_key(key)?;
        let entry = *self.index.get(slot);
        if !entry.is_dying() {
            return None;
        }
        self.dying.remove(key);
        self.end(slot, None);
        Some(entry)
    }

    fn forget(&mut self, key: JobKey) {
        let Some(dead) = self.letters.remove(key) else {
            // Its letter may be on its way: it is forgotten again where it arrives.
            if self.end_dying(key).is_none() {
                self.status.stale_inputs += 1;
            }
            return;
        };
        let Place { segment, bytes, .. } = dead.place;
        self.dead.shelf.drop_live(segment, bytes);
        let record = Record::Forgotten { key };
        self.dead
            .appender
            .push(self.now, Haste::Lazy, &record, None);
    }

    fn on_performed(&mut self, op: OpId, result: Result<Performed, DiskError>) {
        let Some(at) = self.ops.iter().position(|(other, _)| *other == op) else {
            self.status.stale_inputs += 1;
            return;
        };
        let (_, owner) = self.ops.swap_remove(at);
        match owner {
            Owner::Log(stream) => self.on_log_performed(stream, result),
            Owner::Cleaner => self.on_cleaner_performed(result),
            Owner::Read(read) => self.on_read(read, result),
        }
    }

    /// Does all that follows from what has happened, as far as one call goes.
    fn work(&mut self) {
        self.is_stale = false;
        self.write_attempts();
        self.start_reads();
        self.clean();
        let (wanted, may_make) = (self.room_wanted(), self.may_make());
        self.poll_log(Stream::Jobs, wanted, may_make);
        if self.dead.appender.is_under_way() || self.may_write_letters() {
            self.poll_log(Stream::Dead, 0, true);
        }
    }

    fn write_attempts(&mut self) {
        for _ in 0..ATTEMPTS_PER_CALL {
            let is_behind = self.jobs.appender.unsynced_bytes() >= LAZY_BYTES_MAX;
            if is_behind || !self.has_room_for_attempts() {
                return;
            }
            let Some(key) = self.dirty.pop_front() else {
                return;
            };
            let Some(slot) = self.index.by_key(key) else {
                continue;
            };
            self.index.set_clean(slot);
            if let Some(attempt) = self.index.attempt(slot) {
                let attempt = attempt.clone();
                let record = Record::Attempted { key, attempt };
                self.jobs
                    .appender
                    .push(self.now, Haste::Lazy, &record, None);
            }
        }
    }

    fn poll_log(&mut self, stream: Stream, wanted: u64, may_make: bool) {
        let (now, next_key) = (self.now, self.next_key);
        let log = self.log_mut(stream);
        if let Some(action) = log.appender.poll(now, wanted, may_make, next_key) {
            self.perform(Owner::Log(stream), action);
        }
    }

    fn perform(&mut self, owner: Owner, action: Action) -> OpId {
        match &action {
            Action::Write { bytes, from, .. } => {
                self.status.written_bytes += bytes.len() as u64 - u64::from(*from);
            }
            Action::Sync { .. } => self.status.syncs += 1,
            _ => {}
        }
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.ops.push((op, owner));
        self.outputs.push_back(Output::Disk { op, action });
        op
    }

    /// Whether there is something to do at once.
    fn has_more(&self) -> bool {
        let is_lazy_open = self.jobs.appender.unsynced_bytes() < LAZY_BYTES_MAX;
        let may_write = is_lazy_open && self.has_room_for_attempts();
        !self.dirty.is_empty() && may_write || self.cleaner.has_more()
    }

    /// Attempts must not take the room that is kept for ends: without them a job is only tried once more.
    fn has_room_for_attempts(&self) -> bool {
        self.jobs.appender.room() >= self.room_kept() + record::ATTEMPTED_BYTES_MAX as u64
    }

    /// Room that jobs may not take: for the end of every job, and for what must be copied to make room.
    fn room_kept(&self) -> u64 {
        self.room_for_ends() + self.settings.segment_bytes + self.room_lost() + ROOM_MIN
    }

    fn room_for_ends(&self) -> u64 {
        self.index.len() as u64 * record::DONE_BYTES as u64
    }

    /// Room that a line may take. A long one may not fit the segment that is written, whose end is lost then; one that
    /// is longer than a segment makes its own grow.
    fn room_taken(&self, line_bytes: usize) -> u64 {
        let (line, segment) = (line_bytes as u64, self.settings.segment_bytes);
        match line_bytes {
            // Any line: what is told to be open takes each that came so far, or one that it does not take would be
            // offered again and again.
            usize::MAX => self.longest_taken.max(segment / 4),
            _ if line <= segment / 4 => line,
            _ => 2 * line.min(segment),
        }
    }

    /// Room at a segment's end that the next batch may not fit.
    const fn room_lost(&self) -> u64 {
        self.settings.segment_bytes / 4
    }

    fn room_wanted(&self) -> u64 {
        self.room_kept() + self.longest_taken.max(self.settings.segment_bytes / 2)
    }

    fn may_make(&self) -> bool {
        let Some(max) = self.settings.job_bytes(self.dead.shelf.bytes()) else {
            return true;
        };
        let bytes = self.jobs.shelf.bytes() + self.jobs.appender.spare_bytes();
        // One there must be, or nothing could be said to have ended.
        !self.is_ready()
            || self.jobs.appender.is_held_up()
            || bytes + self.settings.segment_bytes <= max
    }

    fn log_mut(&mut self, stream: Stream) -> &mut Log {
        match stream {
            Stream::Jobs => &mut self.jobs,
            Stream::Dead => &mut self.dead,
        }
    }
}

fn since(later: Wall, earlier: Wall) -> Duration {
    Duration::from_nanos(later.unix_nanos().saturating_sub(earlier.unix_nanos()))
}
