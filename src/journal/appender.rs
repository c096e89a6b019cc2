//! The writing end of one log: batches on their way to disk, and the segments they go to.
//!
//! ```text
//! segment  Create -> Allocate -> Write header -> Sync -> SyncDir -> spare -> head -> closed
//! batch    queued -> Write -> Sync -> landed
//!             ^_______________|  failed: the head is abandoned, the batch goes to the next segment
//! ```
//! - One operation at a time is under way, and one batch unsynced: while it is, what comes gathers in the next.
//! - A batch is kept until it is synced. After a failed write or sync its file is never touched again.
//! - A batch begins a segment that it doesn't fit, and may be longer than a segment; then the file grows.
//! - Segments are made ahead, so that there is room for a while when the disk is full.
//! - The first batch of a segment says where the ones before end: what can't be read before that is corrupt.
//!
//! Not here: what a batch's records mean, which segments are needed no more (`cleaner`).

mod making;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::journal::event::{Action, DiskError, DiskErrorKind, FileId, JobKey, Performed, Stream};
use crate::journal::identity::Seeds;
use crate::journal::record::{Record, Writer};
use crate::journal::segment::{BATCH_BYTES, BatchHeader, HEADER_BYTES};

use self::making::Making;

/// Bytes after which a batch is full, and the next one begins.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How long after one batch the next may follow, unless it is full. A lone job never waits for it; in a stream of
/// them a quiet disk would sync four thousand times a second, for five jobs each.
pub const GAP: Duration = Duration::from_millis(2);

/// How long what is in no hurry waits for company.
pub const LAZY: Duration = Duration::from_millis(100);

/// How long after a failure it is tried again: the first time, and at most.
pub const RETRY_MIN: Duration = Duration::from_millis(200);
/// See [`RETRY_MIN`].
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// What a record was written for: told when it is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A job was taken in, or copied.
    Job(JobKey),
    /// A dead letter.
    Letter(JobKey),
    /// The delivered ids of `segment` in the places `from..to` are remembered anew.
    Remembered { segment: u32, from: u32, to: u32 },
}

/// A record that is safe now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) purpose: Purpose,
    /// Where it stands: in its batch, then in its segment.
    pub(super) offset: u32,
    pub(super) bytes: u32,
}

/// Why records are in a hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody waits for it.
    Urgent,
    /// It rides along.
    Lazy,
}

/// A batch that is safe.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) segment: u32,
    /// The segment's size now.
    pub(super) segment_bytes: u64,
    pub(super) marks: Vec<Mark>,
}

/// What came of an operation.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing that concerns others.
    Step,
    /// A segment is there to be written.
    Made,
    /// A batch is safe.
    Landed(Landed),
    /// A try failed.
    Failed {
        error: DiskError,
        retry: Instant,
        /// The segment that is written no more, and its size. Its last batch may be safe or not.
        abandoned: Option<(u32, u64)>,
    },
}

#[derive(Debug, Default)]
struct Batch {
    records: Vec<u8>,
    marks: Vec<Mark>,
}

#[derive(Debug)]
struct Flight {
    batch: Batch,
    bytes: Arc<[u8]>,
    written: usize,
    /// Bytes in front of the batch's records.
    lead: usize,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    number: u32,
    /// Where the next batch goes.
    end: u64,
    size: u64,
}

#[derive(Clone, Copy, Debug)]
enum Busy {
    Making(Making),
    Writing,
    Syncing,
    Scrapping,
}

/// What an appender is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) stream: Stream,
    pub(super) segment_bytes: u64,
    /// Whether room is reserved for a segment when it is made.
    pub(super) preallocate: bool,
    pub(super) seeds: Seeds,
    pub(super) next_number: u32,
    pub(super) sequence: u64,
    /// The last file that was made before, 0: none.
    pub(super) made: u32,
}

/// What an appender finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Segments that are there, and where they end, if none of them says it.
    pub(super) follows: Vec<(u32, u64)>,
    /// The newest segment, if it can be written on: its number, end and size.
    pub(super) head: Option<(u32, u64, u64)>,
    /// Files with nothing but room, newer than all segments, the oldest first.
    pub(super) adopt: VecDeque<u32>,
    /// Files that hold a header and nothing else, the oldest first.
    pub(super) scrap: VecDeque<u32>,
    /// Files that hold not even that.
    pub(super) failed: Vec<u32>,
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Appender {
    setup: Setup,
    /// The first segment that this appender makes.
    first_number: u32,
    /// The first segment that this appender writes to; older ones say no key that it gives out.
    first_written: u32,
    writer: Writer,
    queue: VecDeque<Batch>,
    queued_bytes: usize,
    /// When the last batch left the queue.
    departed: Instant,
    /// Bytes of records that were ever pushed.
    pushed_bytes: u64,
    /// When the queue must be written; far in the future while it is empty.
    due: Instant,
    flight: Option<Flight>,
    head: Option<Head>,
    /// The batch under way is the head's last.
    is_head_left: bool,
    spares: VecDeque<u32>,
    /// The segment being made, and its next step.
    making: Option<(u32, Making)>,
    /// Files made before the start that are taken as they are.
    adopt: VecDeque<u32>,
    /// Files from before the start that never got as far as a batch.
    scrap: VecDeque<u32>,
    /// Files that could not be made.
    failed: Vec<u32>,
    /// The file that was made last, and whether this appender has made one.
    made: u32,
    has_made: bool,
    /// Whether room was reserved for the segment being made.
    is_allocated: bool,
    busy: Option<Busy>,
    /// Ends of segments that no segment says yet.
    follows: Vec<(u32, u64)>,
    /// Those that the batch under way says.
    said: usize,
    trouble: Option<Trouble>,
    /// Whether a segment that is being made goes before the next batch.
    is_makings_turn: bool,
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    kind: DiskErrorKind,
    /// A batch failed; else it was a segment ahead, and what there is goes on being written.
    is_batch: bool,
    wait: Duration,
    retry: Instant,
}

impl Appender {
    /// An appender that goes on with what it finds.
    pub(super) fn new(setup: Setup, found: Found) -> Appender {
        let Found {
            follows,
            head,
            adopt,
            scrap,
            failed,
        } = found;
        let head = head.map(|(number, end, size)| Head { number, end, size });
        let newest = adopt.front().copied().unwrap_or(setup.next_number);
        Appender {
            setup,
            first_number: setup.next_number,
            first_written: head.map_or(newest, |head| head.number),
            writer: Writer::new(setup.seeds.checksum_start()),
            queue: VecDeque::new(),
            queued_bytes: 0,
            departed: Instant::default(),
            pushed_bytes: 0,
            due: Instant::FAR_FUTURE,
            flight: None,
            head,
            is_head_left: false,
            spares: VecDeque::new(),
            making: None,
            adopt,
            scrap,
            failed,
            made: setup.made,
            has_made: false,
            is_allocated: false,
            busy: None,
            follows,
            said: 0,
            trouble: None,
            is_makings_turn: false,
        }
    }

    /// Appends a record, and the mark under which it is told to be safe.
    pub(super) fn push(
        &mut self,
        now: Instant,
        haste: Haste,
        record: &Record<'_>,
        purpose: Option<Purpose>,
    ) {
        let writer = self.writer;
        self.append(now, haste, purpose, |records| writer.push(records, record));
    }

    /// Appends a record as it stands elsewhere.
    pub(super) fn push_raw(&mut self, now: Instant, record: &[u8], purpose: Option<Purpose>) {
        self.append(now, Haste::Lazy, purpose, |records| {
            records.extend_from_slice(record);
            record.len() as u32
        });
    }

    fn append(
        &mut self,
        now: Instant,
        haste: Haste,
        purpose: Option<Purpose>,
        write: impl FnOnce(&mut Vec<u8>) -> u32,
    ) {
        if self
            .queue
            .back()
            .is_none_or(|batch| batch.records.len() >= self.batch_bytes_max())
        {
            self.queue.push_back(Batch::default());
        }
        let batch = self.queue.back_mut().expect("there is one now");
        let offset = batch.records.len() as u32;
        let bytes = write(&mut batch.records);
        if let Some(purpose) = purpose {
            batch.marks.push(Mark {
                purpose,
                offset,
                bytes,
            });
        }
        self.queued_bytes += bytes as usize;
        self.pushed_bytes += u64::from(bytes);
        let due = match haste {
            Haste::Urgent => now,
            Haste::Lazy => now + LAZY,
        };
        self.due = self.due.min(due);
    }

    /// The next operation, if none is under way. `wanted`: bytes of room to be made ahead; `may_make`: a
    /// segment more is allowed; `next_key` goes into a new segment's header.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        wanted: u64,
        may_make: bool,
        next_key: u64,
    ) -> Option<Action> {
        if self.busy.is_some() {
            return None;
        }
        if let Some(flight) = &self.flight {
            let is_written = flight.written == flight.bytes.len();
            return Some(if is_written {
                self.sync()
            } else {
                self.write()
            });
        }
        // The newest file says which keys were given out, be it empty otherwise: the next one comes first.
        let may_scrap = self.is_ready() && self.has_made || self.scrap.len() > 1;
        let scrap = match self.failed.pop() {
            None if may_scrap => self.scrap.pop_front(),
            failed => failed,
        };
        if let Some(number) = scrap {
            self.busy = Some(Busy::Scrapping);
            let file = self.file(number);
            return Some(Action::Delete { file });
        }
        let waiting = self.trouble.filter(|trouble| now < trouble.retry);
        let may_write = waiting.is_none_or(|trouble| !trouble.is_batch);
        let is_begun = self.making.is_some() || !self.adopt.is_empty();
        let may_make = (may_make || is_begun) && waiting.is_none();
        // A step of each in turn: a full disk must not find us without room because there was always a batch.
        if self.is_makings_turn
            && may_make
            && let Some(action) = self.make(now, wanted, next_key)
        {
            self.is_makings_turn = false;
            return Some(action);
        }
        if may_write && self.is_due(now) && self.take_head() {
            self.is_makings_turn = true;
            self.departed = now;
            self.depart(next_key);
            return Some(self.write());
        }
        if !may_make {
            return None;
        }
        self.make(now, wanted, next_key)
    }

    /// Segments have so many bytes from now on, without room that was reserved: also the head, if it has fewer so far.
    pub(super) fn set_segment_bytes(&mut self, bytes: u64) {
        assert!(!self.setup.preallocate, "room that is reserved is counted");
        self.setup.segment_bytes = bytes;
        if let Some(head) = &mut self.head {
            head.size = bytes.max(head.end);
        }
    }

    /// No further batch goes to the segment that is being written: what there is can go.
    pub(super) fn leave_head(&mut self) {
        if self.flight.is_some() {
            self.is_head_left = true;
        } else if let Some(head) = self.head.take() {
            self.follows.push((head.number, head.end));
        }
    }

    /// What came of the operation under way.
    pub(super) fn on_performed(
        &mut self,
        now: Instant,
        result: Result<Performed, DiskError>,
    ) -> Progress {
        match self.busy.take().expect("an operation is under way") {
            Busy::Making(step) => self.on_made(now, step, result),
            Busy::Writing => match result {
                Ok(Performed::Written(bytes)) if bytes > 0 => {
                    let flight = self.flight.as_mut().expect("it is being written");
                    flight.written = (flight.written + bytes).min(flight.bytes.len());
                    Progress::Step
                }
                Ok(_) => self.abandon(now, NO_ANSWER),
                Err(error) => self.abandon(now, error),
            },
            Busy::Syncing => match result {
                Ok(_) => Progress::Landed(self.land()),
                Err(error) => self.abandon(now, error),
            },
            // A file that can't be deleted holds no batch.
            Busy::Scrapping => Progress::Step,
        }
    }

    /// When [`Appender::poll`] may have something to do, if nothing else happens: for what is queued, and for what is
    /// tried again. The one may have passed in vain, for want of a segment, which the other brings.
    pub(super) fn wakeups(&self) -> [Option<Instant>; 2] {
        if self.busy.is_some() {
            return [None; 2];
        }
        let is_empty = self.queue.is_empty();
        let due = (!is_empty).then(|| self.due.max(self.departed + GAP));
        match self.trouble {
            // What is to be tried again is the queue, or a segment that could not be made.
            Some(trouble) if trouble.is_batch => [None, Some(trouble.retry)],
            Some(trouble) => [due, Some(trouble.retry)],
            None => [due, None],
        }
    }

    /// Bytes that can be appended without another segment; what is not safe yet is deducted.
    pub(super) fn room(&self) -> u64 {
        let head = self
            .head
            .map_or(0, |head| head.size.saturating_sub(head.end));
        let spare = self.setup.segment_bytes - HEADER_BYTES as u64;
        (head + spare * self.spares.len() as u64).saturating_sub(self.unsynced_bytes() as u64)
    }

    /// Bytes of files that hold no batch yet.
    pub(super) fn spare_bytes(&self) -> u64 {
        let files = self.spares.len() + self.adopt.len() + usize::from(self.making.is_some());
        self.setup.segment_bytes * files as u64
    }

    /// Whether what is queued fits no segment that is there.
    pub(super) fn is_held_up(&self) -> bool {
        let first = self.queue.front().map_or(0, |batch| batch.records.len());
        let needed = (BATCH_BYTES + first) as u64;
        let fits = |head: Head| head.end + needed <= head.size || head.end == HEADER_BYTES as u64;
        first > 0 && self.flight.is_none() && self.spares.is_empty() && !self.head.is_some_and(fits)
    }

    /// Whether a batch has begun to be written.
    pub(super) const fn is_under_way(&self) -> bool {
        self.flight.is_some()
    }

    /// Bytes that are not safe yet.
    pub(super) fn unsynced_bytes(&self) -> usize {
        let flight = self.flight.as_ref().map_or(0, |flight| flight.bytes.len());
        self.queued_bytes + flight
    }

    /// Where the next record will be, counted in bytes of records.
    pub(super) const fn position(&self) -> u64 {
        self.pushed_bytes
    }

    /// Whether everything that was pushed before this position is safe.
    pub(super) fn is_safe(&self, position: u64) -> bool {
        let flight = self.flight.as_ref();
        let flying = flight.map_or(0, |flight| flight.batch.records.len());
        self.pushed_bytes - (self.queued_bytes + flying) as u64 >= position
    }

    /// The segment that is being written.
    pub(super) fn head(&self) -> Option<u32> {
        self.head.map(|head| head.number)
    }

    /// Whether a later segment says safely which keys were given out until this one was closed: without that it
    /// must not go. Every file that this appender makes says it of those that were there before.
    pub(super) fn is_followed(&self, number: u32) -> bool {
        let is_said = !self.follows.iter().any(|(other, _)| *other == number);
        is_said || number < self.first_written && self.has_made && self.is_ready()
    }

    /// Whether a segment is there to be written.
    pub(super) fn is_ready(&self) -> bool {
        self.head.is_some() || !self.spares.is_empty()
    }

    /// What failed last, while it has not gone well since.
    pub(super) fn trouble(&self) -> Option<DiskErrorKind> {
        self.trouble.map(|trouble| trouble.kind)
    }

    /// Whether batches fail, not only segments ahead.
    pub(super) fn is_failing(&self) -> bool {
        self.trouble.is_some_and(|trouble| trouble.is_batch)
    }

    /// Nobody will come along: what is queued is written now.
    pub(super) fn hasten(&mut self, now: Instant) {
        if !self.queue.is_empty() {
            self.due = self.due.min(now);
            self.departed = Instant::default();
        }
    }

    /// There is more room than there was: don't wait with the next try.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(trouble) = &mut self.trouble
            && trouble.kind == DiskErrorKind::Full
        {
            trouble.retry = trouble.retry.min(now);
        }
    }

    /// Panics if the machine contradicts itself.
    pub(super) fn check_invariants(&self) {
        let queued: usize = self.queue.iter().map(|batch| batch.records.len()).sum();
        assert_eq!(queued, self.queued_bytes, "queued bytes are counted once");
        assert_eq!(self.queue.is_empty(), self.due == Instant::FAR_FUTURE);
        assert!(
            self.flight.is_none() || self.head.is_some(),
            "a batch flies to a head"
        );
    }

    const fn file(&self, number: u32) -> FileId {
        FileId {
            stream: self.setup.stream,
            number,
        }
    }

    fn batch_bytes_max(&self) -> usize {
        BATCH_BYTES_MAX.min(self.setup.segment_bytes as usize / 4)
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.due.max(self.departed + GAP) || self.queue.len() > 1
    }

    /// Whether there is a head that the first batch fits, or that is empty.
    fn take_head(&mut self) -> bool {
        let first = self.queue.front().map_or(0, |batch| batch.records.len());
        let needed = (BATCH_BYTES + first) as u64;
        if let Some(head) = self.head {
            if head.end + needed <= head.size || head.end == HEADER_BYTES as u64 {
                return true;
            }
            if self.spares.is_empty() {
                return false;
            }
            self.follows.push((head.number, head.end));
        }
        self.head = self.spares.pop_front().map(|number| Head {
            number,
            end: HEADER_BYTES as u64,
            size: self.setup.segment_bytes,
        });
        self.head.is_some()
    }

    /// The first batch leaves the queue.
    fn depart(&mut self, next_key: u64) {
        let batch = self.queue.pop_front().expect("something is due");
        let head = self.head.expect("it has been taken");
        self.queued_bytes -= batch.records.len();
        if self.queue.is_empty() {
            self.due = Instant::FAR_FUTURE;
        }
        let mut bytes = vec![0; BATCH_BYTES];
        for &(segment, end) in &self.follows {
            let record = Record::Follows {
                segment,
                end,
                next_key,
            };
            self.writer.push(&mut bytes, &record);
        }
        self.said = self.follows.len();
        let lead = bytes.len();
        bytes.extend_from_slice(&batch.records);
        self.setup.sequence += 1;
        let header = BatchHeader {
            sequence: self.setup.sequence,
            bytes: (bytes.len() - BATCH_BYTES) as u32,
        };
        let file = self.file(head.number);
        let header = header.to_bytes(file, self.setup.seeds.checksum_start());
        bytes[..BATCH_BYTES].copy_from_slice(&header);
        self.flight = Some(Flight {
            batch,
            bytes: bytes.into(),
            written: 0,
            lead,
        });
    }

    fn write(&mut self) -> Action {
        let flight = self.flight.as_ref().expect("a batch is under way");
        let head = self.head.expect("a batch flies to a head");
        self.busy = Some(Busy::Writing);
        Action::Write {
            file: self.file(head.number),
            offset: head.end + flight.written as u64,
            bytes: Arc::clone(&flight.bytes),
            from: flight.written as u32,
        }
    }

    fn sync(&mut self) -> Action {
        let head = self.head.expect("a batch flies to a head");
        self.busy = Some(Busy::Syncing);
        Action::Sync {
            file: self.file(head.number),
        }
    }

    fn land(&mut self) -> Landed {
        let flight = self.flight.take().expect("a batch is under way");
        let head = self.head.as_mut().expect("a batch flies to a head");
        let start = head.end as u32 + flight.lead as u32;
        head.end += flight.bytes.len() as u64;
        head.size = head.size.max(head.end);
        let mut landed = Landed {
            segment: head.number,
            segment_bytes: if self.setup.preallocate {
                head.size
            } else {
                head.end
            },
            marks: flight.batch.marks,
        };
        self.follows.drain(..self.said);
        self.said = 0;
        // That there was room left says nothing of room for another segment.
        if self.trouble.is_some_and(|trouble| trouble.is_batch) {
            self.trouble = None;
        }
        for mark in &mut landed.marks {
            mark.offset += start;
        }
        if std::mem::take(&mut self.is_head_left) {
            self.leave_head();
        }
        landed
    }

    /// The batch under way did not become safe: its file is left alone from now on.
    fn abandon(&mut self, now: Instant, error: DiskError) -> Progress {
        let flight = self.flight.take().expect("a batch is under way");
        let head = self.head.take().expect("a batch flies to a head");
        self.is_head_left = false;
        self.follows.push((head.number, head.end));
        self.said = 0;
        self.queued_bytes += flight.batch.records.len();
        self.queue.push_front(flight.batch);
        self.due = now;
        let retry = self.fail(now, error, true);
        let bytes = if self.setup.preallocate {
            head.size
        } else {
            head.end
        };
        Progress::Failed {
            error,
            retry,
            abandoned: Some((head.number, bytes)),
        }
    }

    fn fail(&mut self, now: Instant, error: DiskError, is_batch: bool) -> Instant {
        let wait = match self.trouble {
            None => RETRY_MIN,
            Some(trouble) => (trouble.wait * 2).min(RETRY_MAX),
        };
        let retry = now + wait;
        self.trouble = Some(Trouble {
            kind: error.kind,
            is_batch: is_batch || self.trouble.is_some_and(|trouble| trouble.is_batch),
            wait,
            retry,
        });
        retry
    }
}

/// What stands for a result that makes no sense, such as a header that was written in part.
const NO_ANSWER: DiskError = DiskError {
    kind: DiskErrorKind::Io,
    code: 0,
};
