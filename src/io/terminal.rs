//! A terminal as one page that is drawn again and again, until a key or a signal says that it is enough.
//!
//! It is drawn on the terminal's other screen, so that what stood there before is there again afterwards; whichever
//! way it is left, the cursor and the keys are as they were.
//!
//! Not here: what is on the page (`commands/top`).

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd};
use std::time::Duration;

use conduit::base::time::Instant;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::io::signal::Signals;
use crate::io::{clock, stdio, sys};

/// The other screen without a cursor; and back (xterm's DECSET 1049, ECMA-48).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// To the first row; the rest of a row, and of the page, is erased.
const HOME: &str = "\x1b[H";
const ERASE_ROW: &str = "\x1b[K";
const ERASE_REST: &str = "\x1b[J";

/// What a terminal has that does not say.
const USUAL_SIZE: (usize, usize) = (24, 80);

/// Keys that say that it is enough: q, and what Ctrl-C and Ctrl-D send. Escape does not, for what it sends is also how
/// arrows and other keys begin.
const QUIT_KEYS: [u8; 4] = [b'q', b'Q', 3, 4];

const SIGNALS: Token = Token(0);
const KEYS: Token = Token(1);
const WATCHED: Token = Token(2);

/// The page.
pub struct Screen {
    poll: Poll,
    events: Events,
    signals: Signals,
    /// How keys were treated before, if there are any.
    mode: Option<sys::TerminalMode>,
}

/// Why [`Screen::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It is time.
    Time,
    /// Something may be read from what is watched.
    News,
    /// It is enough.
    Quit,
}

impl Screen {
    /// Takes the terminal over, and watches what its page comes from. Standard output must be one; without one on
    /// standard input there are no keys.
    ///
    /// # Errors
    /// It is none, or the system's.
    pub fn open(watched: &impl AsRawFd) -> io::Result<Screen> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("standard output is no terminal"));
        }
        let poll = Poll::new()?;
        let signals = Signals::block(false)?;
        signals.register(poll.registry(), SIGNALS)?;
        let mut source = SourceFd(&watched.as_raw_fd());
        poll.registry()
            .register(&mut source, WATCHED, Interest::READABLE)?;
        let stdin = io::stdin();
        let mode = match stdin.is_terminal() {
            true => Some(sys::terminal_mode(stdin.as_fd())?),
            false => None,
        };
        let screen = Screen {
            poll,
            events: Events::with_capacity(4),
            signals,
            mode,
        };
        if let Some(mode) = &screen.mode {
            sys::set_terminal_mode(stdin.as_fd(), &mode.by_key())?;
            let (fd, interest) = (stdin.as_raw_fd(), Interest::READABLE);
            let registry = screen.poll.registry();
            registry.register(&mut SourceFd(&fd), KEYS, interest)?;
        }
        write(ENTER)?;
        Ok(screen)
    }

    /// Rows and columns that it has now.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        sys::terminal_size(io::stdout().as_fd()).unwrap_or(USUAL_SIZE)
    }

    /// Draws these rows, as much of each as fits.
    ///
    /// # Errors
    /// The system's.
    pub fn draw(&mut self, text: &str) -> io::Result<()> {
        write(page(text, self.size()).as_bytes())
    }

    /// Waits until something happens. What has come from what is watched must have been read before.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&mut self, until: Instant) -> io::Result<Wake> {
        loop {
            if self.is_enough()? {
                return Ok(Wake::Quit);
            }
            let left = until.since(clock::now().mono);
            if left == Duration::ZERO {
                return Ok(Wake::Time);
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if self.events.iter().any(|event| event.token() == WATCHED) {
                return Ok(Wake::News);
            }
        }
    }

    fn is_enough(&mut self) -> io::Result<bool> {
        if self.signals.next()?.is_some() {
            return Ok(true);
        }
        if self.mode.is_none() {
            return Ok(false);
        }
        let mut keys = [0; 64];
        // It reads what is there, and does not wait.
        let count = io::stdin().lock().read(&mut keys)?;
        Ok(keys[..count].iter().any(|key| QUIT_KEYS.contains(key)))
    }
}

impl Drop for Screen {
    /// If the terminal is gone, there is nothing to restore.
    fn drop(&mut self) {
        let _gone = write(LEAVE);
        if let Some(mode) = &self.mode {
            let _gone = sys::set_terminal_mode(io::stdin().as_fd(), mode);
        }
    }
}

/// What is written to show `text` on a screen of so many rows and columns. Behind the last column of a row nothing is
/// erased: there the cursor still stands on it (ECMA-48 leaves that open, all terminals do it).
fn page(text: &str, (rows, columns): (usize, usize)) -> String {
    let mut out = HOME.to_owned();
    let mut count = 0;
    for line in text.lines().take(rows) {
        if count > 0 {
            out.push_str("\r\n");
        }
        let from = out.len();
        out.extend(line.chars().take(columns));
        if out[from..].chars().count() < columns {
            out.push_str(ERASE_ROW);
        }
        count += 1;
    }
    if count > 0 && count < rows {
        out.push_str("\r\n");
    }
    if count < rows {
        out.push_str(ERASE_REST);
    }
    out
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = stdio::output()?;
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_not_larger_than_its_screen() {
        assert_eq!(page("one\ntwo\nthree\n", (2, 2)), "\x1b[Hon\r\ntw");
        assert_eq!(page("", (2, 2)), "\x1b[H\x1b[J");
    }

    #[test]
    fn what_stood_there_is_erased_but_not_the_last_letter_of_a_full_row() {
        for (text, expected) in [
            ("o", "\x1b[Ho\x1b[K\r\n\x1b[J"),
            ("one", "\x1b[Hone\r\n\x1b[J"),
            ("o\nt", "\x1b[Ho\x1b[K\r\nt\x1b[K"),
            ("one\nt", "\x1b[Hone\r\nt\x1b[K"),
            ("o\ntwo", "\x1b[Ho\x1b[K\r\ntwo"),
        ] {
            assert_eq!(page(text, (2, 3)), expected, "{text:?}");
        }
    }
}
