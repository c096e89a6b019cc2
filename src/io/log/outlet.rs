//! The way to standard error: a bounded buffer of lines, and the thread that writes them.
//!
//! Nobody but that thread ever waits for who reads standard error, be it a pipe that is full, a terminal that was
//! stopped (Ctrl-S), a stream socket, a FIFO or a file on a file system that hangs. Lines for which there is no room
//! are dropped and counted; when reading goes on, a line says how many.
//!
//! It writes only when poll(2) says that it may, and never more than a pipe then takes at once: so it can be given up
//! at any time, and lines of several processes on one pipe stay whole. A standard error that fails (its reader left,
//! the disk is full) costs the lines that were to be written, and is tried again a second later: it may come back.
//!
//! At the end of the process what is left is written too, for at most [`FLUSH_MAX`].
//!
//! Not here: what a line looks like (`line`), how many of a kind there are (`repeats`).

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use conduit::base::time::Instant;

use crate::io::clock;
use crate::io::sys::{self, Ready};

/// Bytes of lines that wait; those that are being written count.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// What a pipe that can be written to takes at once and in one piece (PIPE_BUF, pipe(7)).
const PIECE_BYTES_MAX: usize = 4096;

/// How long the end of the process waits for its last lines to be read.
pub const FLUSH_MAX: Duration = Duration::from_secs(1);

/// How long standard error is left alone after it has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a panic waits for the buffer, which the thread that panics may have locked itself.
const LOCK_MAX: Duration = Duration::from_millis(100);

/// Puts the cursor at the start of the line and erases it (ECMA-48: EL).
const ERASE_LINE: &str = "\r\x1b[K";

/// Says in a line that so many lines were lost.
type Lost = fn(u64) -> String;

/// A buffer and its thread.
#[derive(Debug)]
pub struct Outlet {
    inside: Mutex<Inside>,
    /// There is something to be written, or it is over.
    filled: Condvar,
    /// All is written.
    drained: Condvar,
    /// Lines that were dropped.
    dropped: AtomicU64,
    lost: Lost,
    /// Where lines go instead of standard error.
    to: Option<OwnedFd>,
}

#[derive(Debug)]
struct Inside {
    lines: Vec<u8>,
    /// Bytes that the thread is writing.
    writing: usize,
    /// Lines that were dropped since the last one that was taken.
    lost: u64,
    /// What stands below the log on a terminal.
    status: String,
    is_status_new: bool,
    is_started: bool,
    /// The last write has failed.
    is_failing: bool,
    /// When the thread is to look for something else.
    wake_at: Option<Instant>,
}

/// Standard error did not take all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    /// It took the beginning of a line.
    is_torn: bool,
}

impl Outlet {
    /// An empty one; `lost` makes the line that says how many lines were lost.
    pub const fn new(lost: Lost) -> Outlet {
        Outlet {
            inside: Mutex::new(Inside {
                lines: Vec::new(),
                writing: 0,
                lost: 0,
                status: String::new(),
                is_status_new: false,
                is_started: false,
                is_failing: false,
                wake_at: None,
            }),
            filled: Condvar::new(),
            drained: Condvar::new(),
            dropped: AtomicU64::new(0),
            lost,
            to: None,
        }
    }

    /// Starts the thread, once. `tick` is called whenever [`Outlet::wake_at`] has asked for that. Without a thread,
    /// lines wait for the end.
    pub fn start(&'static self, tick: fn()) {
        if std::mem::replace(&mut self.lock().is_started, true) {
            return;
        }
        let work = move || self.work(tick);
        // It must take none of the signals that others wait for, nor be stopped as a background job (SIGTTOU, which a
        // terminal sends on `stty tostop`): that would stop the whole process.
        let started =
            sys::with_signals_blocked(|| thread::Builder::new().name("log".to_owned()).spawn(work));
        if !matches!(started, Ok(Ok(_))) {
            self.lock().is_started = false;
        }
    }

    /// Takes whole lines, unless there is no room for them.
    pub fn push(&self, lines: &str) {
        let mut inside = self.lock();
        let is_full = inside.lines.len() + inside.writing + lines.len() > BUFFER_BYTES_MAX;
        // What was lost is told where it would have stood.
        if is_full || inside.lost > 0 {
            let count = count_lines(lines.as_bytes());
            inside.lost += count;
            self.dropped.fetch_add(count, Ordering::Relaxed);
            return;
        }
        inside.lines.extend_from_slice(lines.as_bytes());
        drop(inside);
        self.filled.notify_one();
    }

    /// Shows a line below the log in place of the one before, or takes it away.
    pub fn set_status(&self, text: &str) {
        let mut inside = self.lock();
        if inside.status != text {
            text.clone_into(&mut inside.status);
            inside.is_status_new = true;
            drop(inside);
            self.filled.notify_one();
        }
    }

    /// Has the thread call `tick` at this time, if it is not to do so before.
    pub fn wake_at(&self, at: Instant) {
        let mut inside = self.lock();
        if inside.wake_at.is_none_or(|old| at < old) {
            inside.wake_at = Some(at);
            drop(inside);
            self.filled.notify_one();
        }
    }

    /// How many lines were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all is written, but not for long.
    pub fn flush(&self) {
        let until = clock::now().mono + FLUSH_MAX;
        let mut inside = self.lock();
        if !inside.is_started {
            let chunk = self.take(&mut inside);
            drop(inside);
            // What is not read by now is lost.
            let _lost = self.write(&chunk, Some(until));
            return;
        }
        while !inside.is_drained() && !inside.is_failing {
            let left = until.since(clock::now().mono);
            if left == Duration::ZERO {
                return;
            }
            let waited = self.drained.wait_timeout(inside, left);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes the last line of a process that panics, behind what waits. Who panics may have the buffer locked, or be
    /// the thread itself: then it is written past them.
    pub fn push_last(&self, line: &str) {
        let until = clock::now().mono + LOCK_MAX;
        while thread::current().name() != Some("log") && clock::now().mono < until {
            if let Ok(mut inside) = self.inside.try_lock() {
                inside.lines.extend_from_slice(line.as_bytes());
                drop(inside);
                self.filled.notify_one();
                return self.flush();
            }
            pause(Duration::from_millis(1));
        }
        // There is nobody left to tell.
        let _lost = self.write(line.as_bytes(), Some(clock::now().mono + FLUSH_MAX));
    }

    /// What the thread does.
    fn work(&self, tick: fn()) {
        let mut is_torn = false;
        loop {
            let mut inside = self.wait(tick);
            let mut chunk = self.take(&mut inside);
            inside.writing = chunk.len();
            drop(inside);
            if is_torn {
                chunk.insert(0, b'\n');
            }
            let written = self.write(&chunk, None);
            is_torn = written == Err(Failed { is_torn: true });
            let mut inside = self.lock();
            inside.writing = 0;
            inside.is_failing = written.is_err();
            drop(inside);
            if written.is_err() {
                self.drained.notify_all();
                pause(PAUSE);
            }
        }
    }

    /// Waits until there is something to be written.
    fn wait(&self, tick: fn()) -> MutexGuard<'_, Inside> {
        let mut inside = self.lock();
        while inside.is_drained() {
            self.drained.notify_all();
            let now = clock::now().mono;
            inside = match inside.wake_at {
                Some(at) if at <= now => {
                    inside.wake_at = None;
                    drop(inside);
                    tick();
                    self.lock()
                }
                Some(at) => {
                    let waited = self.filled.wait_timeout(inside, at.since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.filled.wait(inside);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
        inside
    }

    /// All that is to be written, with the line that stands below it.
    fn take(&self, inside: &mut Inside) -> Vec<u8> {
        let mut lines = std::mem::take(&mut inside.lines);
        let lost = std::mem::take(&mut inside.lost);
        if lost > 0 {
            lines.extend_from_slice((self.lost)(lost).as_bytes());
        }
        let is_drawn = std::mem::take(&mut inside.is_status_new) || !inside.status.is_empty();
        if !is_drawn {
            return lines;
        }
        [ERASE_LINE.as_bytes(), &lines, inside.status.as_bytes()].concat()
    }

    /// Writes whole lines a piece at a time. What is not written by `until` is given up; what is given up is counted.
    fn write(&self, mut chunk: &[u8], until: Option<Instant>) -> Result<(), Failed> {
        let mut is_torn = false;
        let stderr = io::stderr();
        let to = self.to.as_ref().map_or(stderr.as_fd(), OwnedFd::as_fd);
        while !chunk.is_empty() {
            let piece = &chunk[..piece_bytes(chunk)];
            match write_piece(to, piece, until) {
                Ok(0) | Err(_) => {
                    self.dropped
                        .fetch_add(count_lines(chunk), Ordering::Relaxed);
                    return Err(Failed { is_torn });
                }
                Ok(count) => {
                    is_torn = chunk[count - 1] != b'\n';
                    chunk = &chunk[count..];
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn is_drained(&self) -> bool {
        self.lines.is_empty() && self.writing == 0 && self.lost == 0 && !self.is_status_new
    }
}

/// Writes some of a piece, once it can be written; none of it if that is not so until then.
fn write_piece(to: BorrowedFd<'_>, piece: &[u8], until: Option<Instant>) -> io::Result<usize> {
    loop {
        let left = until.map(|until| until.since(clock::now().mono));
        if !sys::wait_ready_for(to, Ready::Write, left)? {
            return Ok(0);
        }
        match sys::write(to, piece) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return written,
        }
    }
}

/// How much of this is written at once: as many whole lines as fit, or a part of a longer one.
fn piece_bytes(chunk: &[u8]) -> usize {
    let most = &chunk[..chunk.len().min(PIECE_BYTES_MAX)];
    match most.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if most.len() < chunk.len() => end + 1,
        Some(_) | None => most.len(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log's own thread, or one that ends the process, and no loop"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::os::unix::net::UnixStream;

    /// An outlet as it is in a process, but to a socket, and the other end of that.
    fn outlet(is_started: bool) -> (&'static Outlet, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let to = Some(OwnedFd::from(ours));
        let lost: Lost = |count| format!("lost {count}\n");
        let outlet: &Outlet = Box::leak(Box::new(Outlet {
            to,
            ..Outlet::new(lost)
        }));
        if is_started {
            outlet.start(|| {});
        }
        (outlet, theirs)
    }

    fn line(number: usize) -> String {
        format!("{number} {}\n", "x".repeat(100))
    }

    #[test]
    fn f110_who_logs_waits_for_no_reader_and_what_is_lost_is_told_in_its_place() {
        const LINES: usize = 30_000;
        let (outlet, theirs) = outlet(true);
        (0..LINES).for_each(|number| outlet.push(&line(number)));
        let dropped = outlet.dropped() as usize;
        assert!(dropped > 10_000, "{dropped}: a buffer of a megabyte");
        let mut lines = BufReader::new(theirs).lines().map(Result::unwrap);
        let number = |line: &str| line.split(' ').next().and_then(|word| word.parse().ok());
        let mut kept: usize = 0;
        let told = loop {
            let line = lines.next().unwrap();
            match number(&line) {
                Some(found) => assert_eq!(found, kept, "in their order, and none is torn"),
                None => break line,
            }
            kept += 1;
        };
        assert_eq!(told, format!("lost {dropped}"));
        assert_eq!(kept + dropped, LINES);
        outlet.push(&line(LINES));
        assert_eq!(number(&lines.next().unwrap()), Some(LINES), "it goes on");
    }

    #[test]
    fn f110_the_end_waits_for_a_reader_but_not_for_long() {
        for is_started in [true, false] {
            let (outlet, mut theirs) = outlet(is_started);
            (0..9_000).for_each(|number| outlet.push(&line(number)));
            let start = clock::now().mono;
            outlet.flush();
            let took = clock::now().mono.since(start);
            assert!(took >= FLUSH_MAX && took < 10 * FLUSH_MAX, "{took:?}");
            let reader = thread::spawn(move || {
                let mut all = String::new();
                theirs.read_to_string(&mut all).map(|_| all)
            });
            let (outlet, mut theirs) = self::outlet(is_started);
            outlet.push("the last\n");
            outlet.flush();
            let mut all = [0; 9];
            theirs.read_exact(&mut all).unwrap();
            assert_eq!(&all, b"the last\n");
            drop(reader);
        }
    }

    #[test]
    fn a_reader_that_left_costs_the_lines_and_not_the_process() {
        let (outlet, theirs) = outlet(true);
        drop(theirs);
        outlet.push("one\ntwo\n");
        let start = clock::now().mono;
        outlet.flush();
        assert_eq!(outlet.dropped(), 2);
        assert!(
            clock::now().mono.since(start) < FLUSH_MAX,
            "nobody is waited for"
        );
    }

    #[test]
    fn a_status_stands_below_the_log_and_only_the_last_one() {
        let (outlet, mut theirs) = outlet(false);
        outlet.set_status("1 of 2");
        outlet.set_status("2 of 2");
        outlet.push("a line\n");
        outlet.flush();
        outlet.set_status("");
        outlet.flush();
        let mut all = [0; 64];
        let count = theirs.read(&mut all).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&all[..count]),
            "\r\u{1b}[Ka line\n2 of 2\r\u{1b}[K"
        );
    }

    #[test]
    fn pieces_are_whole_lines_that_a_pipe_takes_at_once() {
        let long = "x".repeat(2 * PIECE_BYTES_MAX);
        for (chunk, bytes) in [
            ("a\nb\n".to_owned(), 4),
            (format!("a\n{long}\n"), 2),
            (long.clone(), PIECE_BYTES_MAX),
            (line(1).repeat(100), 39 * line(1).len()),
        ] {
            assert_eq!(piece_bytes(chunk.as_bytes()), bytes);
        }
    }
}
