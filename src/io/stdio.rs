//! The two threads for what blocks: one reads the feed, one writes the results.
//!
//! Both work on whole chunks and know nothing of lines. The feed's thread reads only on request, one chunk for
//! each, so how far it reads ahead is decided elsewhere. The results' thread gets one batch at a time; while it
//! writes, results gather where they are.
//!
//! Not here: what the bytes mean (intake), when to ask and when to hand out (`front`).

use std::fs::File;
use std::io::{self, ErrorKind, LineWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::io::mailbox::Mailbox;
use crate::io::sys::{self, Ready};

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// What the threads tell the loop.
#[derive(Debug)]
pub enum Report {
    /// The next bytes of the feed, at least one.
    Chunk(Vec<u8>),
    /// The feed has ended, or can't be read any more (then with the reason).
    End(Option<io::Error>),
    /// The batch is written; its memory comes back with it.
    Written(Vec<u8>),
    /// Nobody takes results any more.
    Gone(io::Error),
}

/// The thread that reads the feed.
#[derive(Debug)]
pub struct Feed {
    slot: Arc<Slot>,
}

/// The thread that writes results.
#[derive(Debug)]
pub struct Drain {
    slot: Arc<Slot>,
}

/// Buffers on their way to a thread, and whether it waits for one.
#[derive(Debug, Default)]
struct Slot {
    inside: Mutex<Inside>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    buffers: Vec<Vec<u8>>,
    is_waiting: bool,
    is_closed: bool,
}

impl Feed {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's: no more threads.
    pub fn start(
        mut source: Box<dyn Read + Send>,
        mailbox: Arc<Mailbox<Report>>,
    ) -> io::Result<Feed> {
        let slot = Arc::new(Slot::default());
        let inside = Arc::clone(&slot);
        thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || {
                while let Some(buffer) = inside.take() {
                    let report = read_chunk(&mut *source, buffer);
                    let is_last = matches!(report, Report::End(_));
                    mailbox.post(report);
                    if is_last {
                        return;
                    }
                }
            })?;
        Ok(Feed { slot })
    }

    /// Asks for one chunk; `buffer` is memory to read it into.
    pub fn ask(&self, buffer: Option<Vec<u8>>) {
        self.slot.put(buffer.unwrap_or_default());
    }
}

impl Drain {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's: no more threads.
    pub fn start(
        mut sink: Box<dyn Write + Send>,
        mailbox: Arc<Mailbox<Report>>,
    ) -> io::Result<Drain> {
        let slot = Arc::new(Slot::default());
        let inside = Arc::clone(&slot);
        thread::Builder::new()
            .name("results".to_owned())
            .spawn(move || {
                while let Some(batch) = inside.take() {
                    match sink.write_all(&batch).and_then(|()| sink.flush()) {
                        Ok(()) => mailbox.post(Report::Written(batch)),
                        Err(error) => return mailbox.post(Report::Gone(error)),
                    }
                }
            })?;
        Ok(Drain { slot })
    }

    /// Hands out a batch. The next one may follow when this one is reported written.
    pub fn write(&self, batch: Vec<u8>) {
        self.slot.put(batch);
    }
}

impl Drop for Feed {
    /// The thread ends when it next looks: a read that blocks is left to the end of the process.
    fn drop(&mut self) {
        self.slot.close();
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.slot.close();
    }
}

impl Slot {
    fn put(&self, buffer: Vec<u8>) {
        let mut inside = self.lock();
        inside.buffers.push(buffer);
        let must_wake = inside.is_waiting;
        inside.is_waiting = false;
        drop(inside);
        if must_wake {
            self.filled.notify_one();
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_one();
    }

    /// Waits for a buffer; `None` when there will be no more.
    fn take(&self) -> Option<Vec<u8>> {
        let mut inside = self.lock();
        loop {
            if inside.is_closed {
                return None;
            }
            if let Some(buffer) = inside.buffers.pop() {
                return Some(buffer);
            }
            inside.is_waiting = true;
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

fn read_chunk(source: &mut dyn Read, mut buffer: Vec<u8>) -> Report {
    buffer.resize(CHUNK_BYTES, 0);
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Report::End(None),
            Ok(n) => {
                buffer.truncate(n);
                return Report::Chunk(buffer);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Report::End(Some(error)),
        }
    }
}

/// A standard stream without std's buffers, which works though somebody has made it non-blocking.
#[derive(Debug)]
struct Raw(File);

/// Standard input.
///
/// # Errors
/// The system's: no descriptor left.
pub fn stdin() -> io::Result<Box<dyn Read + Send>> {
    let fd = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(Box::new(Raw(File::from(fd))))
}

/// Standard output.
///
/// # Errors
/// The system's: no descriptor left.
pub fn stdout() -> io::Result<Box<dyn Write + Send>> {
    let fd = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(Raw(File::from(fd))))
}

/// Standard output of a command: whole, however slow its reader is and whoever has made it non-blocking. A line is
/// written when it is complete.
pub type Output = LineWriter<Box<dyn Write + Send>>;

/// As [`Output`].
///
/// # Errors
/// It was closed when the process began, or no descriptor is left.
pub fn output() -> io::Result<Output> {
    if sys::was_closed(1) {
        return Err(io::Error::other("it is closed"));
    }
    Ok(LineWriter::new(stdout()?))
}

/// Whether standard input is a regular file.
///
/// # Errors
/// The system's.
pub fn stdin_is_file() -> io::Result<bool> {
    let fd = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(File::from(fd).metadata()?.is_file())
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sys::wait_ready(self.0.as_fd(), Ready::Read)?;
                }
                result => return result,
            }
        }
    }
}

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sys::wait_ready(self.0.as_fd(), Ready::Write)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::mailbox::Bell;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    struct Desk {
        poll: mio::Poll,
        bell: Arc<Bell>,
        mailbox: Arc<Mailbox<Report>>,
    }

    impl Desk {
        fn new() -> Desk {
            let poll = mio::Poll::new().unwrap();
            let bell = Arc::new(Bell::new(poll.registry(), mio::Token(1)).unwrap());
            let mailbox = Arc::new(Mailbox::new(Arc::clone(&bell)));
            Desk {
                poll,
                bell,
                mailbox,
            }
        }

        fn next(&mut self) -> Report {
            let mut events = mio::Events::with_capacity(1);
            let mut mail = Vec::new();
            loop {
                self.bell.will_sleep();
                if self.mailbox.is_empty() {
                    self.poll
                        .poll(&mut events, Some(Duration::from_secs(10)))
                        .unwrap();
                    assert!(!events.is_empty(), "no report in 10 s");
                }
                self.bell.is_awake();
                self.mailbox.take(&mut mail);
                match mail.pop() {
                    Some(report) => {
                        assert!(mail.is_empty(), "more reports than requests: {mail:?}");
                        return report;
                    }
                    None => continue,
                }
            }
        }
    }

    #[test]
    fn a_chunk_is_read_for_each_request_and_none_beyond() {
        let mut desk = Desk::new();
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 10).map(|n| n as u8).collect();
        let source = io::Cursor::new(bytes.clone());
        let feed = Feed::start(Box::new(source), Arc::clone(&desk.mailbox)).unwrap();
        feed.ask(None);
        let Report::Chunk(first) = desk.next() else {
            panic!("expected a chunk")
        };
        assert_eq!(first, bytes[..CHUNK_BYTES]);
        feed.ask(Some(first));
        let Report::Chunk(second) = desk.next() else {
            panic!("expected a chunk")
        };
        assert_eq!(second, bytes[CHUNK_BYTES..]);
        feed.ask(None);
        assert!(matches!(desk.next(), Report::End(None)));
    }

    #[test]
    fn batches_are_written_one_after_the_other() {
        let mut desk = Desk::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let drain = Drain::start(Box::new(ours), Arc::clone(&desk.mailbox)).unwrap();
        for batch in [&b"one\n"[..], b"two\n"] {
            drain.write(batch.to_vec());
            assert!(matches!(desk.next(), Report::Written(back) if back == batch));
        }
        drop(drain);
        let mut got = String::new();
        theirs.read_to_string(&mut got).unwrap();
        assert_eq!(got, "one\ntwo\n");
    }

    #[test]
    fn f89_a_reader_that_left_is_reported_and_nothing_panics() {
        let mut desk = Desk::new();
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let drain = Drain::start(Box::new(ours), Arc::clone(&desk.mailbox)).unwrap();
        drain.write(b"result\n".to_vec());
        let Report::Gone(error) = desk.next() else {
            panic!("expected the end")
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_non_blocking_stream_is_waited_for() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let bytes = vec![7; 4 << 20];
        let reader = thread::spawn(move || {
            let (mut theirs, mut got) = (theirs, Vec::new());
            theirs.write_all(b"x").unwrap();
            theirs.read_to_end(&mut got).unwrap();
            got
        });
        let mut raw = Raw(File::from(OwnedFd::from(ours)));
        assert_eq!(raw.read(&mut [0; 8]).unwrap(), 1);
        raw.write_all(&bytes).unwrap();
        drop(raw);
        assert_eq!(reader.join().unwrap(), bytes);
    }
}
