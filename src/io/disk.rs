//! The spool's directory, and the two threads that work in it: one performs what the journal decided, in order,
//! and one reads beside it, so that reading back a job never waits for a sync.
//!
//! Nothing is decided or repeated here but what a signal interrupted or the system did in part. The directory
//! is its owner's alone (0700, files 0600), locked against a second process, and no symbolic link to it or in it is
//! followed. One that holds anything else, or is somebody else's, is not taken and not changed. What is written to
//! one that is no longer where it was is not safe: it is looked for before that is said.
//!
//! Not here: what to write, when, and what a failure means (`journal`).

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use conduit::base::rng::Rng;
use conduit::base::time::Now;
use conduit::journal::event::{Action, DiskError, DiskErrorKind, FileId, OpId, Performed};
use conduit::journal::recovery::{Recovery, Summary, Unusable};
use conduit::journal::{Journal, Settings};

use crate::io::log::quoted;
use crate::io::mailbox::Mailbox;
use crate::io::sys::{self, Open};

/// Files that a thread keeps open: the one that is written, those made ahead, and some that are read.
const OPEN_FILES: usize = 8;

const LOCK: &str = "lock";

/// What a file system keeps in its root.
const LOST_AND_FOUND: &str = "lost+found";

/// Others may put files into such a directory too (`S_ISVTX`).
const STICKY: u32 = 0o1000;

/// What came of an operation: the journal's `Input::Performed`.
#[derive(Debug)]
pub struct Report {
    /// Which.
    pub op: OpId,
    /// What came of it.
    pub result: Result<Performed, DiskError>,
}

/// Why a directory can't be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    InUse { dir: PathBuf },
    /// It is not to be used as a spool.
    NotASpool { dir: PathBuf, why: String },
    /// What is in it can't be used.
    Unusable { dir: PathBuf, unusable: Unusable },
    /// The system says no.
    Io {
        dir: PathBuf,
        what: &'static str,
        error: io::Error,
    },
}

/// A spool's directory, locked until it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    /// Whether it was said that the file system can't sync a directory.
    is_unsyncable: AtomicBool,
    /// Held for its lock.
    _lock: File,
}

/// The two threads.
#[derive(Debug)]
pub struct Disk {
    writer: Arc<Inbox>,
    reader: Arc<Inbox>,
}

/// A directory with some of its files open.
#[derive(Debug)]
struct Desk {
    directory: Arc<Directory>,
    /// The last used first.
    open: Vec<(FileId, File)>,
}

/// Operations on their way to a thread.
#[derive(Debug, Default)]
struct Inbox {
    inside: Mutex<Inside>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    ops: VecDeque<(OpId, Action)>,
    is_closed: bool,
}

impl Directory {
    /// Makes the directory where there is none, and locks it.
    ///
    /// # Errors
    /// Another process has it, or the system says no.
    pub fn open(dir: &Path) -> Result<Directory, OpenError> {
        let failed = |what| {
            move |error| OpenError::Io {
                dir: dir.to_owned(),
                what,
                error,
            }
        };
        // A slash at its end would have a link followed.
        let dir: PathBuf = dir.components().collect();
        let dir = dir.as_path();
        let mut builder = DirBuilder::new();
        match builder.mode(0o700).create(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed("make it")(error));
            }
            _ => {}
        }
        let handle = open_handle(dir)?;
        let data = handle.metadata().map_err(failed("look at it"))?;
        let stranger = find_stranger(dir, &data).map_err(failed("list it"))?;
        if let Some(why) = stranger {
            let dir = dir.to_owned();
            return Err(OpenError::NotASpool { dir, why });
        }
        if data.mode() & 0o077 != 0 {
            let mode = Permissions::from_mode(0o700);
            handle
                .set_permissions(mode)
                .map_err(failed("take it from others (mode 0700)"))?;
        }
        let lock = sys::open_at(handle.as_fd(), LOCK, Open::Any);
        let lock = File::from(lock.map_err(failed("open its lock"))?);
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    dir: dir.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock it")(error)),
        }
        Ok(Directory {
            path: dir.to_owned(),
            handle,
            is_unsyncable: AtomicBool::new(false),
            _lock: lock,
        })
    }

    /// Reads all that is there: the journal it amounts to, with segments that fit the disk.
    ///
    /// # Errors
    /// It was written by another version, or can't be listed or synced.
    pub fn recover(
        self: &Arc<Directory>,
        settings: Settings,
        rng: &mut Rng,
        now: Now,
    ) -> Result<(Journal, Summary), OpenError> {
        let failed = |what| {
            move |error| OpenError::Io {
                dir: self.path.clone(),
                what,
                error,
            }
        };
        let capacity = sys::file_system_bytes(self.handle.as_fd());
        let settings = match capacity.map_err(failed("look at its file system"))? {
            // Some file systems have no size to tell.
            0 => settings.fitting(u64::MAX),
            bytes => settings.fitting(bytes),
        };
        let files = self.list().map_err(failed("list it"))?;
        let files = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
        let mut recovery = Recovery::new(settings, files, rng);
        let mut desk = Desk::new(Arc::clone(self));
        while let Some((op, action)) = recovery.poll_output() {
            recovery.handle_input(op, desk.perform(&action));
        }
        recovery
            .finish(now)
            .map_err(|unusable| OpenError::Unusable {
                dir: self.path.clone(),
                unusable,
            })
    }

    /// Whether it is still where it was opened: what is written to one that was removed, or moved away, is lost to the
    /// next start.
    fn is_in_place(&self) -> bool {
        let here = fs::symlink_metadata(&self.path);
        let own = self.handle.metadata();
        matches!((here, own), (Ok(here), Ok(own)) if is_same(&here, &own))
    }

    /// Fails if it is gone.
    fn check_place(&self) -> io::Result<()> {
        match self.is_in_place() {
            true => Ok(()),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Has its names on disk for good, where the file system knows how. Some, mostly network and FUSE ones, refuse it
    /// for directories always; so does PostgreSQL pass over that.
    fn sync(&self) -> io::Result<()> {
        let Err(error) = self.handle.sync_all() else {
            return Ok(());
        };
        if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF)) {
            return Err(error);
        }
        if !self.is_unsyncable.swap(true, Ordering::Relaxed) {
            log::warn!(
                "spool: the file system can't sync a directory ({error}): after a power cut it may not know new files"
            );
        }
        Ok(())
    }

    /// Names and sizes of the files in it.
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let data = entry.metadata()?;
            if let Ok(name) = entry.file_name().into_string()
                && data.is_file()
            {
                files.push((name, data.len()));
            }
        }
        Ok(files)
    }
}

impl Disk {
    /// Starts the threads, which report to `mailbox`.
    ///
    /// # Errors
    /// The system's: no more threads.
    pub fn start(directory: Arc<Directory>, mailbox: Arc<Mailbox<Report>>) -> io::Result<Disk> {
        let disk = Disk {
            writer: Arc::new(Inbox::default()),
            reader: Arc::new(Inbox::default()),
        };
        for (name, inbox) in [("disk", &disk.writer), ("disk reads", &disk.reader)] {
            let (inbox, mailbox) = (Arc::clone(inbox), Arc::clone(&mailbox));
            let mut desk = Desk::new(Arc::clone(&directory));
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    while let Some((op, action)) = inbox.take() {
                        let result = desk.perform(&action);
                        mailbox.post(Report { op, result });
                    }
                })?;
        }
        Ok(disk)
    }

    /// Has an operation performed after those before it; reads beside them.
    pub fn perform(&self, op: OpId, action: Action) {
        let inbox = match action {
            Action::Read { .. } => &self.reader,
            Action::Create { .. }
            | Action::Allocate { .. }
            | Action::Write { .. }
            | Action::Sync { .. }
            | Action::SyncDir
            | Action::SetAside { .. }
            | Action::Delete { .. } => &self.writer,
        };
        inbox.lock().ops.push_back((op, action));
        inbox.filled.notify_one();
    }
}

impl Drop for Disk {
    /// The threads end once what they were given is done.
    fn drop(&mut self) {
        for inbox in [&self.writer, &self.reader] {
            inbox.lock().is_closed = true;
            inbox.filled.notify_one();
        }
    }
}

impl Inbox {
    /// Waits for an operation; `None` when there will be no more.
    fn take(&self) -> Option<(OpId, Action)> {
        let mut inside = self.lock();
        loop {
            if let Some(op) = inside.ops.pop_front() {
                return Some(op);
            }
            if inside.is_closed {
                return None;
            }
            inside = self
                .filled
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    const fn new(directory: Arc<Directory>) -> Desk {
        Desk {
            directory,
            open: Vec::new(),
        }
    }

    fn perform(&mut self, action: &Action) -> Result<Performed, DiskError> {
        self.try_perform(action).map_err(|error| disk_error(&error))
    }

    fn try_perform(&mut self, action: &Action) -> io::Result<Performed> {
        match *action {
            Action::Create { file } => {
                self.open_file(file, Open::New)?;
            }
            Action::Allocate { file, bytes } => {
                sys::allocate(self.file(file, Open::Write)?.as_fd(), bytes)?;
            }
            Action::Write {
                file,
                offset,
                ref bytes,
                from,
            } => {
                let bytes = &bytes[from as usize..];
                self.file(file, Open::Write)?.write_all_at(bytes, offset)?;
                return Ok(Performed::Written(bytes.len()));
            }
            Action::Sync { file } => {
                let handle = self.file(file, Open::Write)?;
                handle.sync_data()?;
                // Nobody finds again what has no name any more.
                if handle.metadata()?.nlink() == 0 {
                    return Err(ErrorKind::NotFound.into());
                }
                self.directory.check_place()?;
            }
            Action::SyncDir => {
                self.directory.check_place()?;
                self.directory.sync()?;
            }
            Action::SetAside { file } => {
                self.open.retain(|(other, _)| *other != file);
                let dir = self.directory.handle.as_fd();
                match sys::rename_at(dir, &file.name(), &file.aside()) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Action::Delete { file } => {
                self.open.retain(|(other, _)| *other != file);
                match sys::unlink_at(self.directory.handle.as_fd(), &file.name()) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Action::Read {
                file,
                offset,
                bytes,
            } => {
                let read = read_at(self.file(file, Open::Read)?, offset, bytes as usize)?;
                return Ok(Performed::Bytes(read));
            }
        }
        Ok(Performed::Done)
    }

    /// The file, opened if it isn't.
    fn file(&mut self, file: FileId, how: Open) -> io::Result<&File> {
        if let Some(at) = self.open.iter().position(|(other, _)| *other == file) {
            self.open[..=at].rotate_right(1);
            return Ok(&self.open[0].1);
        }
        self.open_file(file, how)
    }

    fn open_file(&mut self, file: FileId, how: Open) -> io::Result<&File> {
        let handle = sys::open_at(self.directory.handle.as_fd(), &file.name(), how)?;
        self.open.truncate(OPEN_FILES - 1);
        self.open.insert(0, (file, File::from(handle)));
        Ok(&self.open[0].1)
    }
}

fn open_handle(dir: &Path) -> Result<File, OpenError> {
    sys::open_dir(dir).map(File::from).map_err(|error| {
        let is_link = fs::symlink_metadata(dir).is_ok_and(|data| data.is_symlink());
        let dir = dir.to_owned();
        if is_link {
            let why = "it is a symbolic link; name the directory itself".to_owned();
            return OpenError::NotASpool { dir, why };
        }
        let error = match error.kind() {
            ErrorKind::NotADirectory => ErrorKind::NotADirectory.into(),
            _ => error,
        };
        let what = "open it";
        OpenError::Io { dir, what, error }
    })
}

/// Why a directory is not to be taken, if it isn't.
fn find_stranger(dir: &Path, data: &Metadata) -> io::Result<Option<String>> {
    let (owner, own) = (data.uid(), sys::effective_user());
    if owner != own && owner != 0 {
        return Ok(Some(format!(
            "it belongs to user {owner}, and this is user {own}"
        )));
    }
    if data.mode() & STICKY != 0 {
        let why = "it is meant for everybody's files (sticky bit); name a directory of its own";
        return Ok(Some(why.to_owned()));
    }
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let is_ours = name.to_str().is_some_and(is_of_a_spool);
        if !is_ours {
            let name = quoted(&name.to_string_lossy()).to_string();
            return Ok(Some(format!(
                "it holds {name}, which is no file of a spool"
            )));
        }
    }
    Ok(None)
}

fn is_of_a_spool(name: &str) -> bool {
    let is_file = FileId::parse(name).or_else(|| FileId::parse_aside(name));
    is_file.is_some() || name == LOCK || name == LOST_AND_FOUND
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// So many bytes, fewer only at the end of the file.
fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

fn disk_error(error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::Full,
        ErrorKind::Unsupported => DiskErrorKind::Unsupported,
        ErrorKind::NotFound => DiskErrorKind::Missing,
        _ => DiskErrorKind::Io,
    };
    DiskError {
        kind,
        code: error.raw_os_error().unwrap_or(0),
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse { dir } => {
                let dir = dir.display();
                write!(f, "spool {dir}: another process has it")
            }
            OpenError::NotASpool { dir, why } => {
                let dir = dir.display();
                write!(f, "spool {dir}: {why}; nothing was changed")
            }
            OpenError::Unusable { dir, unusable } => {
                let dir = dir.display();
                write!(f, "spool {dir}: {unusable}")
            }
            OpenError::Io { dir, what, error } => {
                let dir = dir.display();
                write!(f, "spool {dir}: can't {what}: {error}")
            }
        }
    }
}
