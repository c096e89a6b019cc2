//! A disk that forgets: what was not synced may be there after a crash, or not, or in part, in any order.
//!
//! A file's bytes and the directory's names are safe apart, as on a real one. A failed sync throws away what it
//! should have saved and lets the next one succeed; so the disk panics if the journal asks for another.

use std::collections::BTreeMap;

use conduit::base::rng::Rng;
use conduit::journal::event::{Action, DiskError, DiskErrorKind, FileId, Performed};

/// What may go wrong, each in so many of a thousand operations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) write: u64,
    pub(crate) sync: u64,
    pub(crate) create: u64,
    pub(crate) delete: u64,
    pub(crate) short: u64,
    /// Bytes that the disk holds.
    pub(crate) capacity: Option<u64>,
    pub(crate) no_allocate: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) faults: Faults,
    files: BTreeMap<FileId, File>,
    /// Names that a crash would bring back, with their files, and names that it may take.
    deleted: BTreeMap<FileId, File>,
    created: Vec<FileId>,
    /// Under their other names.
    aside: BTreeMap<FileId, File>,
    pub(crate) peak_bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What a crash leaves, at least.
    safe: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
    allocated: u64,
    has_failed: bool,
}

const FULL: DiskError = DiskError {
    kind: DiskErrorKind::Full,
    code: 28,
};
const BROKEN: DiskError = DiskError {
    kind: DiskErrorKind::Io,
    code: 5,
};

impl Disk {
    pub(crate) fn files(&self) -> Vec<(String, u64)> {
        let files = self.files.iter().map(|(file, it)| (file.name(), it));
        let aside = self.aside.iter().map(|(file, it)| (file.aside(), it));
        files
            .chain(aside)
            .map(|(name, it)| (name, it.seen.len() as u64))
            .collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        let files = self.files.values().chain(self.deleted.values());
        files.map(File::size).sum()
    }

    /// Changes a byte that was safe.
    pub(crate) fn damage(&mut self, file: FileId, at: usize) {
        let file = self.files.get_mut(&file).expect("a file to damage");
        file.seen[at] ^= 0x55;
        file.safe[at] ^= 0x55;
    }

    /// The files of this log that hold these bytes.
    pub(crate) fn with_content(&self, log: &str, bytes: &[u8]) -> Vec<FileId> {
        let files = self.files.keys().copied();
        let of_log = files.filter(|file| file.name().starts_with(log));
        of_log.filter(|file| self.holds(*file, bytes)).collect()
    }

    pub(crate) fn holds(&self, file: FileId, bytes: &[u8]) -> bool {
        let seen = &self.files[&file].seen;
        seen.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Changes what was safe; what there is now.
    pub(crate) fn rewrite(&mut self, file: FileId, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let file = self.files.get_mut(&file).expect("a file to change");
        change(&mut file.seen);
        file.safe.clone_from(&file.seen);
        file.allocated = file.seen.len() as u64;
        file.seen.clone()
    }

    /// Whether a file with this content is there still.
    pub(crate) fn keeps(&self, file: FileId, bytes: &[u8]) -> bool {
        let mut files = self
            .files
            .get(&file)
            .into_iter()
            .chain(self.aside.get(&file));
        files.any(|it| it.seen == bytes)
    }

    pub(crate) fn perform(
        &mut self,
        action: &Action,
        rng: &mut Rng,
    ) -> Result<Performed, DiskError> {
        let fails = |rng: &mut Rng, of_thousand| rng.below(1_000) < of_thousand;
        self.peak_bytes = self.peak_bytes.max(self.bytes());
        match *action {
            Action::Create { file } => {
                if fails(rng, self.faults.create) {
                    return Err(BROKEN);
                }
                assert!(!self.files.contains_key(&file), "{file} is created once");
                self.files.insert(file, File::default());
                self.created.push(file);
            }
            Action::Allocate { file, bytes } => {
                if self.faults.no_allocate {
                    return Err(DiskError {
                        kind: DiskErrorKind::Unsupported,
                        code: 95,
                    });
                }
                let there = self.file(file).size();
                let growth = bytes.saturating_sub(there);
                if self
                    .faults
                    .capacity
                    .is_some_and(|max| growth > 0 && self.bytes() + growth > max)
                {
                    return Err(FULL);
                }
                let file = self.file(file);
                file.allocated = there.max(bytes);
                let size = file.seen.len().max(bytes as usize);
                file.seen.resize(size, 0);
            }
            Action::Write {
                file,
                offset,
                ref bytes,
                from,
            } => return self.write(file, offset, &bytes[from as usize..], rng),
            Action::Sync { file } => {
                let is_failure = fails(rng, self.faults.sync);
                let file = self.file(file);
                assert!(!file.has_failed, "a file is left alone after a failure");
                if is_failure {
                    file.has_failed = true;
                    file.crash(rng);
                    return Err(BROKEN);
                }
                file.unsynced.clear();
                file.safe.clone_from(&file.seen);
            }
            Action::SyncDir => {
                if fails(rng, self.faults.create) {
                    return Err(BROKEN);
                }
                self.created.clear();
                self.deleted.clear();
            }
            Action::SetAside { file } => {
                if fails(rng, self.faults.delete) {
                    return Err(BROKEN);
                }
                if let Some(old) = self.files.remove(&file) {
                    assert!(
                        self.aside.insert(file, old).is_none(),
                        "{file} is set aside once"
                    );
                }
            }
            Action::Delete { file } => {
                if fails(rng, self.faults.delete) {
                    return Err(BROKEN);
                }
                if let Some(old) = self.files.remove(&file) {
                    self.deleted.insert(file, old);
                }
            }
            Action::Read {
                file,
                offset,
                bytes,
            } => {
                let Some(file) = self.files.get(&file) else {
                    panic!("{file} is read after it was deleted");
                };
                let start = (offset as usize).min(file.seen.len());
                let end = (start + bytes as usize).min(file.seen.len());
                return Ok(Performed::Bytes(file.seen[start..end].to_vec()));
            }
        }
        Ok(Performed::Done)
    }

    fn write(
        &mut self,
        file: FileId,
        offset: u64,
        bytes: &[u8],
        rng: &mut Rng,
    ) -> Result<Performed, DiskError> {
        let mut end = offset as usize + bytes.len();
        let short = rng.below(1_000) < self.faults.short;
        let is_failure = rng.below(1_000) < self.faults.write;
        let growth = (end as u64).saturating_sub(self.file(file).size());
        if growth > 0
            && self
                .faults
                .capacity
                .is_some_and(|max| self.bytes() + growth > max)
        {
            self.file(file).has_failed = true;
            return Err(FULL);
        }
        let file = self.file(file);
        assert!(!file.has_failed, "a file is left alone after a failure");
        if short || is_failure {
            end = offset as usize + 1 + rng.below(bytes.len() as u64) as usize;
        }
        let written = &bytes[..end - offset as usize];
        if file.seen.len() < end {
            file.seen.resize(end, 0);
        }
        file.seen[offset as usize..end].copy_from_slice(written);
        file.unsynced.push((offset, written.to_vec()));
        if is_failure {
            file.has_failed = true;
            return Err(BROKEN);
        }
        Ok(Performed::Written(written.len()))
    }

    fn file(&mut self, file: FileId) -> &mut File {
        self.files
            .get_mut(&file)
            .expect("only files that exist are used")
    }

    /// The process goes, and what it has written stays.
    pub(crate) fn outlive(&mut self) {
        // Whoever comes next can't know which files had failed.
        for file in self.files.values_mut() {
            file.has_failed = false;
        }
    }

    /// The power goes, and comes back.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        for file in std::mem::take(&mut self.created) {
            // A name may be there though its file's data are not, and the other way round.
            if rng.below(2) == 0 {
                self.files.remove(&file);
            }
        }
        for (file, old) in std::mem::take(&mut self.deleted) {
            if rng.below(2) == 0 && !self.files.contains_key(&file) {
                self.files.insert(file, old);
            }
        }
        for file in self.files.values_mut() {
            file.crash(rng);
            file.has_failed = false;
        }
    }
}

impl File {
    fn size(&self) -> u64 {
        self.allocated.max(self.seen.len() as u64)
    }

    /// Of what was not synced, some pieces are safe and the others are lost.
    fn crash(&mut self, rng: &mut Rng) {
        // Room that was reserved may be gone as well, while nothing in it was synced.
        let size = if rng.below(4) == 0 {
            self.safe.len()
        } else {
            self.seen.len()
        };
        self.safe.resize(size.max(self.safe.len()), 0);
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            let mut at = 0;
            while at < bytes.len() {
                let length = 1 + rng.below(600) as usize;
                let end = (at + length).min(bytes.len());
                if rng.below(3) > 0 {
                    let place = offset as usize + at;
                    let until = offset as usize + end;
                    if self.safe.len() < until {
                        self.safe.resize(until, 0);
                    }
                    self.safe[place..until].copy_from_slice(&bytes[at..end]);
                }
                at = end;
            }
        }
        self.seen.clone_from(&self.safe);
    }
}
