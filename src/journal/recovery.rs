//! What is on disk at start becomes a [`Journal`].
//!
//! Reads every file once, piece by piece, dead letters first, each log in the order in which it was written;
//! writes nothing, but has all of it synced: what a process that was killed has written and not synced is there to
//! be read, and gone when the power goes. Memory holds one piece and the index.
//!
//! - The last batch of a file may be torn: it was never safe, and what of it can't be read is left out silently.
//! - What can't be read before a good batch, or before the place where a later segment says that this one ends,
//!   is corrupt: that is told, and everything good beside it is kept.
//! - A file of another spool is told, and left alone.
//! - A file of an unknown version ends it all, and nothing is touched.
//! - A job that is pending, and a dead letter too, has ended: only the word of it was not safe yet.
//!
//! Not here: how one file is read (`scan`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::journal::appender::{self, Appender, Setup};
use crate::journal::cleaner::Cleaner;
use crate::journal::delivered::{Memory, keep_last};
use crate::journal::dying::Dying;
use crate::journal::event::{
    Action, Corruption, DiskError, FileId, JobKey, OpId, Output, Performed, Stream,
};
use crate::journal::identity::Seeds;
use crate::journal::index::{Entry, Index, Place};
use crate::journal::letters::{Dead, Letters};
use crate::journal::reads::Reads;
use crate::journal::record::{self, Accepted, Delivered, Record};
use crate::journal::scan::{Found, Scanner};
use crate::journal::segment::{HEADER_BYTES, Header, HeaderRead, VERSION, VERSION_MIN};
use crate::journal::shelf::Shelf;
use crate::journal::{Journal, Log, Settings, Status};

/// Corrupt places that are told; the others are counted.
pub const CORRUPTIONS_MAX: usize = 1_000;

/// Why a spool can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It was written by another version.
    Version {
        /// Which file says so.
        file: FileId,
        /// What it says.
        version: u32,
    },
    /// What was read is not safe, and can't be made so.
    Unsafe {
        /// In which file.
        file: FileId,
        /// Why.
        error: DiskError,
    },
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Jobs that have not ended.
    pub pending: usize,
    /// Dead letters.
    pub letters: usize,
    /// Delivered ids.
    pub remembered: usize,
    /// Files read.
    pub files: usize,
    /// Places that can't be read, the first [`CORRUPTIONS_MAX`] of them.
    pub corruptions: Vec<Corruption>,
    /// How many there are.
    pub corrupt_places: usize,
    /// Names of files that were set aside before, for something in them can't be read.
    pub aside: Vec<String>,
}

/// The machine that reads.
#[derive(Debug)]
pub struct Recovery {
    settings: Settings,
    new_seeds: Seeds,
    seeds: Option<Seeds>,
    /// Those whose header is looked at for the seeds, then those to be read.
    unseen: VecDeque<(FileId, u64)>,
    unread: VecDeque<(FileId, u64)>,
    scanner: Option<Scanner>,
    /// Those that are read and not synced.
    unsynced: VecDeque<FileId>,
    op: Option<OpId>,
    next_op: u64,
    unusable: Option<Unusable>,
    books: Books,
    summary: Summary,
}

/// What the records add up to.
#[derive(Debug)]
struct Books {
    remembered: usize,
    index: Index,
    jobs: Shelf,
    dead: Shelf,
    letters: Letters,
    /// Letters that were removed: their jobs have ended, even if that is said nowhere else.
    forgotten: Vec<JobKey>,
    delivered: Vec<(Delivered, u32)>,
    order: u64,
    next_key: u64,
    sequences: [u64; 2],
    /// The greatest numbers of files.
    numbers: [u32; 2],
    /// Where files end.
    ends: BTreeMap<FileId, u64>,
    /// Where others say that they end.
    said: BTreeMap<FileId, u64>,
    /// Files without a batch, and with bytes behind their end.
    empty: Vec<FileId>,
    torn: BTreeSet<FileId>,
    /// Files with something in them that can't be read: never deleted.
    rotten: BTreeSet<FileId>,
    headers: BTreeMap<FileId, Header>,
}

impl Recovery {
    /// For these files of the spool's directory, with their sizes; others' names are left alone.
    #[must_use]
    pub fn new<'a>(
        settings: Settings,
        files: impl IntoIterator<Item = (&'a str, u64)>,
        rng: &mut Rng,
    ) -> Recovery {
        let all: Vec<(&str, u64)> = files.into_iter().collect();
        let aside = all.iter().filter_map(|(name, _)| FileId::parse_aside(name));
        let aside: Vec<FileId> = aside.collect();
        let mut books = Books::new(settings.remembered, [rng.next_u64(), rng.next_u64()]);
        for file in &aside {
            // No other file may ever want that name.
            let newest = &mut books.numbers[file.stream as usize];
            *newest = (*newest).max(file.number);
        }
        let files = all.into_iter();
        let mut files: Vec<(FileId, u64)> = files
            .filter_map(|(name, bytes)| Some((FileId::parse(name)?, bytes)))
            .collect();
        files.sort_unstable_by_key(|(file, _)| (file.stream == Stream::Jobs, file.number));
        Recovery {
            settings,
            new_seeds: Seeds::generate(rng),
            seeds: None,
            unseen: files.iter().copied().collect(),
            unread: files.into(),
            scanner: None,
            unsynced: VecDeque::new(),
            op: None,
            next_op: 0,
            unusable: None,
            books,
            summary: Summary {
                aside: aside.into_iter().map(FileId::aside).collect(),
                ..Summary::default()
            },
        }
    }

    /// The next bytes to read, or file to sync: performed, and its result handed in, before the next is asked for.
    /// `None`: everything is done.
    pub fn poll_output(&mut self) -> Option<(OpId, Action)> {
        if self.op.is_some() || self.unusable.is_some() {
            return None;
        }
        let action = match self.next_read() {
            Some((file, offset, bytes)) => Action::Read {
                file,
                offset,
                bytes,
            },
            None => {
                let file = *self.unsynced.front()?;
                Action::Sync { file }
            }
        };
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.op = Some(op);
        Some((op, action))
    }

    /// What was read, or that it is synced.
    pub fn handle_input(&mut self, op: OpId, result: Result<Performed, DiskError>) {
        if self.op != Some(op) {
            return;
        }
        self.op = None;
        if self.is_read() {
            let file = self.unsynced.pop_front();
            self.unusable = file.zip(result.err()).map(Unusable::of_sync);
            return;
        }
        let bytes = match result {
            Ok(Performed::Bytes(bytes)) => Some(bytes),
            Ok(Performed::Done | Performed::Written(_)) | Err(_) => None,
        };
        if self.seeds.is_none()
            && let Some((file, _)) = self.unseen.pop_front()
        {
            match Header::read(&bytes.unwrap_or_default(), file) {
                HeaderRead::Good(header) => self.seeds = Some(header.seeds),
                HeaderRead::Unknown { version } => {
                    self.unusable = Some(Unusable::Version { file, version });
                }
                HeaderRead::Bad => {}
            }
            return;
        }
        self.on_piece(bytes);
    }

    /// How much of it is done, in files.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        let left = self.unread.len() + usize::from(self.scanner.is_some());
        (self.summary.files, self.summary.files + left)
    }

    /// The journal, once everything is read and synced.
    ///
    /// # Errors
    /// A file is of a version that this program does not know, and nothing was touched; or can't be synced.
    ///
    /// # Panics
    /// If not everything is read and synced.
    pub fn finish(mut self, now: Now) -> Result<(Journal, Summary), Unusable> {
        if let Some(unusable) = self.unusable {
            return Err(unusable);
        }
        let is_over = self.is_read() && self.unsynced.is_empty();
        assert!(is_over, "everything is read first, and synced");
        for corruption in self.books.missing() {
            self.corrupt(corruption);
        }
        for corruption in self.books.unmade() {
            self.corrupt(corruption);
        }
        let seeds = self.seeds.unwrap_or(self.new_seeds);
        let mut summary = self.summary;
        let journal = self.books.into_journal(self.settings, seeds, now);
        let status = journal.status();
        summary.pending = status.pending;
        summary.letters = status.letters;
        summary.remembered = journal.memory.len();
        Ok((journal, summary))
    }

    fn is_read(&self) -> bool {
        self.scanner.is_none() && self.unread.is_empty()
    }

    fn next_read(&mut self) -> Option<(FileId, u64, u32)> {
        if self.seeds.is_none()
            && let Some((file, _)) = self.unseen.front()
        {
            return Some((*file, 0, HEADER_BYTES as u32));
        }
        loop {
            if let Some(scanner) = &self.scanner {
                if let Some((offset, bytes)) = scanner.wants() {
                    return Some((scanner.file(), offset, bytes));
                }
                self.close();
            }
            let (file, bytes) = self.unread.pop_front()?;
            self.scanner = Some(Scanner::new(file, bytes, self.seeds));
            self.books.shelf(file.stream).put(file.number, bytes);
        }
    }

    fn on_piece(&mut self, bytes: Option<Vec<u8>>) {
        let Some(mut scanner) = self.scanner.take() else {
            return;
        };
        let file = scanner.file();
        let Some((offset, wanted)) = scanner.wants() else {
            return;
        };
        let bytes = bytes.unwrap_or_else(|| {
            // What the disk does not give is read over: good batches may lie behind.
            self.corrupt(Corruption { file, offset });
            vec![0; wanted as usize]
        });
        let mut corrupt = Vec::new();
        let mut is_odd = false;
        let (books, unusable) = (&mut self.books, &mut self.unusable);
        scanner.feed(&bytes, &mut |found| match found {
            Found::Header(HeaderRead::Unknown { version }) => {
                *unusable = Some(Unusable::Version { file, version });
            }
            Found::Header(HeaderRead::Good(header)) => {
                books.next_key = books.next_key.max(header.next_key);
                books.headers.insert(file, header);
            }
            // What does not even begin as a header does was no file of ours, or is one no more.
            Found::Header(HeaderRead::Bad) => is_odd = !Header::may_be_torn(&bytes),
            Found::Record {
                offset,
                bytes,
                record,
            } => books.enter(file, offset, bytes.len(), record),
            Found::Corrupt { offset } => corrupt.push(Corruption { file, offset }),
        });
        // One whose batches can be read is told by them.
        if is_odd && scanner.tail().batches == 0 {
            corrupt.push(Corruption { file, offset: 0 });
        }
        self.scanner = Some(scanner);
        for corruption in corrupt {
            self.corrupt(corruption);
        }
    }

    /// The file is read.
    fn close(&mut self) {
        let Some(scanner) = self.scanner.take() else {
            return;
        };
        let (file, tail) = (scanner.file(), scanner.tail());
        self.summary.files += 1;
        let newest = &mut self.books.numbers[file.stream as usize];
        *newest = (*newest).max(file.number);
        if tail.is_foreign {
            self.books.shelf(file.stream).take(file.number);
            return;
        }
        self.unsynced.push_back(file);
        self.books.ends.insert(file, tail.end);
        if tail.torn.is_some() {
            self.books.torn.insert(file);
        }
        if tail.batches == 0 {
            self.books.empty.push(file);
        }
        let sequence = &mut self.books.sequences[file.stream as usize];
        *sequence = (*sequence).max(tail.sequence);
    }

    fn corrupt(&mut self, corruption: Corruption) {
        self.books.rotten.insert(corruption.file);
        self.summary.corrupt_places += 1;
        if self.summary.corruptions.len() < CORRUPTIONS_MAX {
            self.summary.corruptions.push(corruption);
        }
    }
}

impl Books {
    fn new(remembered: usize, seed: [u64; 2]) -> Books {
        Books {
            remembered,
            index: Index::new(seed),
            jobs: Shelf::default(),
            dead: Shelf::default(),
            letters: Letters::default(),
            forgotten: Vec::new(),
            delivered: Vec::new(),
            order: 0,
            next_key: 1,
            sequences: [0; 2],
            numbers: [0; 2],
            ends: BTreeMap::new(),
            said: BTreeMap::new(),
            empty: Vec::new(),
            torn: BTreeSet::new(),
            rotten: BTreeSet::new(),
            headers: BTreeMap::new(),
        }
    }

    fn enter(&mut self, file: FileId, offset: u64, bytes: usize, record: Record<'_>) {
        // No segment of ours gets that long.
        let (Ok(offset), Ok(bytes)) = (u32::try_from(offset), u32::try_from(bytes)) else {
            return;
        };
        let place = Place {
            segment: file.number,
            offset,
            bytes,
        };
        match (file.stream, record) {
            (
                stream,
                Record::Follows {
                    segment: number,
                    end,
                    next_key,
                },
            ) => {
                self.next_key = self.next_key.max(next_key);
                self.said.insert(FileId { stream, number }, end);
            }
            (Stream::Jobs, Record::Accepted(job)) => self.on_accepted(&job, place),
            (Stream::Jobs, Record::Attempted { key, attempt }) => {
                self.see(key);
                if let Some(slot) = self.index.by_key(key) {
                    self.index.set_attempt(slot, attempt);
                    self.index.set_clean(slot);
                }
            }
            (Stream::Jobs, Record::Done { key, order }) => self.on_done(key, order),
            (Stream::Jobs, Record::Remembered(ids)) => {
                let ids = record::remembered(ids).map(|delivered| (delivered, file.number));
                self.delivered.extend(ids);
                self.trim();
            }
            (Stream::Dead, Record::Letter { job, .. }) => {
                self.see(job.key);
                self.forget(job.key);
                self.dead.add_live(place.segment, place.bytes);
                self.letters.insert(job.key, Dead { id: job.id, place });
            }
            (Stream::Dead, Record::Forgotten { key }) => {
                self.see(key);
                self.forget(key);
                self.forgotten.push(key);
            }
            // A good record in the wrong log: nothing that we write.
            (
                Stream::Jobs | Stream::Dead,
                Record::Accepted(_)
                | Record::Attempted { .. }
                | Record::Done { .. }
                | Record::Remembered(_)
                | Record::Letter { .. }
                | Record::Forgotten { .. },
            ) => {}
        }
    }

    fn on_accepted(&mut self, job: &Accepted<'_>, place: Place) {
        self.see(job.key);
        let entry = Entry::of(job, place);
        if let Some(slot) = self.index.by_key(job.key) {
            // A copy, as a rule; whatever it is, the later record holds.
            let old = self.index.get(slot).place;
            self.jobs.drop_live(old.segment, old.bytes);
            if entry.is_same_job(self.index.get(slot)) {
                self.index.set_place(slot, place);
            } else {
                self.index.remove(slot);
                self.index.insert(entry);
            }
        } else {
            self.index.insert(entry);
        }
        self.jobs.add_live(place.segment, place.bytes);
    }

    fn on_done(&mut self, key: JobKey, order: Option<u64>) {
        self.see(key);
        self.order = self.order.max(order.unwrap_or(0));
        // Its record may have gone before: then its id, if it is still to be known, was written down anew.
        let Some(slot) = self.index.by_key(key) else {
            return;
        };
        let entry = self.index.remove(slot);
        self.jobs.drop_live(entry.place.segment, entry.place.bytes);
        if let Some(order) = order {
            let delivered = Delivered {
                order,
                id: entry.id,
                payload: entry.payload,
            };
            self.delivered.push((delivered, entry.place.segment));
            self.trim();
        }
    }

    fn forget(&mut self, key: JobKey) {
        if let Some(dead) = self.letters.remove(key) {
            self.dead.drop_live(dead.place.segment, dead.place.bytes);
        }
    }

    fn see(&mut self, key: JobKey) {
        self.next_key = self.next_key.max(key.0.saturating_add(1));
    }

    fn trim(&mut self) {
        if self.delivered.len() > 2 * self.remembered + 1_000 {
            for (delivered, _) in &self.delivered {
                self.order = self.order.max(delivered.order);
            }
            keep_last(&mut self.delivered, self.remembered);
        }
    }

    fn shelf(&mut self, stream: Stream) -> &mut Shelf {
        match stream {
            Stream::Jobs => &mut self.jobs,
            Stream::Dead => &mut self.dead,
        }
    }

    /// What others say was there and isn't. A file that is gone is missed only if an older one is still there:
    /// they go oldest first.
    fn missing(&self) -> Vec<Corruption> {
        let with_batches = || self.ends.keys().filter(|file| !self.empty.contains(file));
        let oldest = |stream| with_batches().find(|file| file.stream == stream);
        let said = self.said.iter();
        // A file without a batch goes whenever it is found.
        let said = said.filter(|(_, end)| **end > HEADER_BYTES as u64);
        said.filter_map(|(&file, &end)| {
            let offset = match self.ends.get(&file) {
                Some(&found) => found,
                None if oldest(file.stream).is_some_and(|oldest| *oldest < file) => 0,
                None => return None,
            };
            (offset < end).then_some(Corruption { file, offset })
        })
        .collect()
    }

    /// Files that were made once, as those say that were made after them, and aren't what they were then.
    fn unmade(&self) -> Vec<Corruption> {
        let after = self.headers.iter().map(|(file, header)| FileId {
            number: header.after,
            ..*file
        });
        let made: BTreeSet<FileId> = after.collect();
        let told = |file: &FileId| self.rotten.contains(file);
        let there = self.ends.iter().filter(|(file, _)| !told(file));
        there
            .filter_map(|(&file, &end)| {
                let was_used = || !self.empty.contains(&file);
                let offset = match self.headers.get(&file) {
                    None if made.contains(&file) => 0,
                    // It was cut: what stood there is gone.
                    Some(header) if made.contains(&file) || was_used() => {
                        (self.size(file) < header.bytes).then_some(end)?
                    }
                    Some(_) | None => return None,
                };
                Some(Corruption { file, offset })
            })
            .collect()
    }

    fn size(&self, file: FileId) -> u64 {
        let shelf = match file.stream {
            Stream::Jobs => &self.jobs,
            Stream::Dead => &self.dead,
        };
        shelf.get(file.number).map_or(0, |segment| segment.bytes)
    }

    fn into_journal(mut self, settings: Settings, seeds: Seeds, now: Now) -> Journal {
        let segment_bytes = settings.segment_bytes;
        let jobs = self.appender(Stream::Jobs, segment_bytes, seeds);
        let dead_bytes = settings.dead_segment_bytes();
        let dead = self.appender(Stream::Dead, dead_bytes, seeds);
        let memory = Memory::load(self.remembered, self.delivered, self.order);
        let mut log = Log {
            appender: jobs,
            shelf: self.jobs,
        };
        for home in memory.homes() {
            log.shelf.add_remembered(home);
        }
        let mut found: Vec<_> = self.index.slots().collect();
        found.sort_unstable_by_key(|slot| std::cmp::Reverse(self.index.get(*slot).key));
        let mut journal = Journal {
            settings,
            seeds,
            next_key: self.next_key,
            memory,
            letters: self.letters,
            jobs: log,
            dead: Log {
                appender: dead,
                shelf: self.dead,
            },
            cleaner: Cleaner::default(),
            reads: Reads::default(),
            dirty: VecDeque::new(),
            dying: Dying::default(),
            found: Vec::new(),
            found_to: JobKey(self.next_key - 1),
            index: self.index,
            outputs: VecDeque::new(),
            ops: Vec::new(),
            next_op: 0,
            now: now.mono,
            is_stale: true,
            last_submit: now.mono,
            longest_taken: 0,
            status: Status::default(),
        };
        journal.settle(&self.forgotten);
        found.retain(|slot| journal.index.is_used(*slot));
        if !found.is_empty() {
            // Duplicates of them can be told so.
            let up_to = journal.found_to;
            journal.outputs.push_back(Output::Durable { up_to });
        }
        journal.found = found;
        journal
    }

    fn appender(&mut self, stream: Stream, segment_bytes: u64, seeds: Seeds) -> Appender {
        // One that was cut when it was being made was never made.
        let mut made = self.headers.iter().rev();
        let made = made
            .find(|(file, header)| file.stream == stream && self.size(**file) >= header.bytes)
            .map(|(file, _)| *file);
        let setup = Setup {
            stream,
            segment_bytes,
            preallocate: stream == Stream::Jobs,
            seeds,
            next_number: self.numbers[stream as usize] + 1,
            sequence: self.sequences[stream as usize],
            made: made.map_or(0, |file| file.number),
        };
        let of_stream = |file: &FileId| file.stream == stream;
        let ends = self.ends.iter().filter(|(file, _)| of_stream(file));
        let with_batches = ends.filter(|(file, _)| !self.empty.contains(file));
        let head = self.head(stream);
        let is_over = |file: &FileId| head.is_none_or(|(number, ..)| number != file.number);
        let follows = with_batches
            .filter(|(file, _)| !self.said.contains_key(file) && is_over(file))
            .map(|(file, end)| (file.number, *end))
            .collect();
        let empty = self.empty.iter().copied();
        let empty: Vec<FileId> = empty
            .filter(|file| of_stream(file) && !self.rotten.contains(file))
            .collect();
        let rooms: Vec<FileId> = empty
            .iter()
            .copied()
            .filter(|it| self.is_room(*it, segment_bytes))
            .collect();
        for file in &empty {
            self.shelf(stream).take(file.number);
        }
        let rotten: Vec<FileId> = self.rotten.iter().copied().filter(of_stream).collect();
        for file in rotten {
            self.shelf(stream).set_rotten(file.number);
        }
        let newest = self.shelf(stream).newest();
        let (adopt, scrap): (Vec<FileId>, Vec<FileId>) = empty
            .into_iter()
            .partition(|file| file.number > newest && rooms.contains(file));
        let (scrap, failed): (Vec<FileId>, Vec<FileId>) = scrap
            .into_iter()
            .partition(|file| self.headers.contains_key(file));
        Appender::new(
            setup,
            appender::Found {
                follows,
                head,
                adopt: adopt.iter().map(|file| file.number).collect(),
                scrap: scrap.iter().map(|file| file.number).collect(),
                failed: failed.iter().map(|file| file.number).collect(),
            },
        )
    }

    /// The newest segment, if it can be written on: the room that it has was kept for what must be written when all
    /// else is full.
    fn head(&self, stream: Stream) -> Option<(u32, u64, u64)> {
        if stream == Stream::Dead {
            return None;
        }
        let mut used = self
            .ends
            .iter()
            .rev()
            .filter(|(file, _)| file.stream == stream);
        let (&file, &end) =
            used.find(|(file, _)| !self.empty.contains(file) || self.rotten.contains(file))?;
        let is_whole = self.is_of_this_version(file)
            && !self.torn.contains(&file)
            && !self.rotten.contains(&file)
            && !self.said.contains_key(&file);
        is_whole.then(|| (file.number, end, self.size(file).max(end)))
    }

    /// Whether the file holds room for a segment, and nothing else.
    fn is_room(&self, file: FileId, segment_bytes: u64) -> bool {
        file.stream == Stream::Jobs
            && self.is_of_this_version(file)
            && !self.torn.contains(&file)
            && self.size(file) == segment_bytes
    }

    /// Whether what is written now may stand in the file: whoever reads an older version only would misread it.
    fn is_of_this_version(&self, file: FileId) -> bool {
        let header = self.headers.get(&file);
        header.is_some_and(|header| header.version == VERSION)
    }
}

impl Journal {
    /// Finishes what the last run was about to.
    fn settle(&mut self, forgotten: &[JobKey]) {
        for key in forgotten {
            if let Some(slot) = self.index.by_key(*key) {
                self.end(slot, None);
            }
        }
        let letters: Vec<(JobKey, Dead)> = self.letters.after(JobKey(0)).collect();
        for (key, dead) in letters {
            if let Some(slot) = self.index.by_key(key) {
                // It has died, and only the word of it was not safe.
                self.end(slot, None);
            }
            // Submitted again since: then a later job has the id, or has been delivered.
            let is_replaced = self.index.by_id(dead.id).is_some()
                || self.memory.get(dead.id).is_some()
                || self.letters.by_id(dead.id) != Some(key);
            if is_replaced {
                self.forget(key);
            }
        }
        let segments: Vec<u32> = self.dead.shelf.iter().map(|it| it.number).collect();
        for segment in segments {
            self.await_ends(segment);
        }
        self.status = Status::default();
    }
}

impl Unusable {
    fn of_sync((file, error): (FileId, DiskError)) -> Unusable {
        Unusable::Unsafe { file, error }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Version { file, version } => write!(
                f,
                "{file} is of version {version}: expected version {VERSION_MIN} to {VERSION}; nothing was touched"
            ),
            Unusable::Unsafe { file, error } => {
                write!(f, "{file} can't be synced (error {})", error.code)
            }
        }
    }
}
