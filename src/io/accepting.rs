//! Whether a listener has connections to accept: the admin listener's, and the Unix socket's.
//!
//!   Waiting --event--> Ready --none left--> Waiting
//!                        \--no descriptor, no memory--> Paused --1 s--> Ready
//!
//! The listener is registered edge-triggered, so it is asked until it has no more. What keeps connections from being
//! accepted is said at once, and then once a minute for as long as it goes on.
//!
//! Not here: whose connections they are (`admin`, `clients`).

use std::io::{self, ErrorKind};
use std::time::Duration;

use conduit::base::time::Instant;

/// How long no connection is accepted after this machine had no descriptor or memory for one.
const PAUSE: Duration = Duration::from_secs(1);

/// Trouble is told of at once, then once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What a listener may have to accept.
#[derive(Debug)]
pub struct Accepting {
    state: State,
    /// When trouble was last told of.
    told: Option<Instant>,
    /// Times since then that it was not.
    untold: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next connection will be an event.
    Waiting,
    /// There may be more.
    Ready,
    /// There may be more, but not before this.
    Paused(Instant),
}

/// What an error of `accept` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// This one is gone; there may be another.
    Again,
    /// There is none.
    Dry,
    /// This machine has no descriptor or memory for it. Nothing is accepted for a while.
    Exhausted,
}

impl Accepting {
    /// That of a listener that was just registered.
    #[must_use]
    pub const fn new() -> Accepting {
        Accepting {
            state: State::Waiting,
            told: None,
            untold: 0,
        }
    }

    /// Somebody wants to connect.
    pub fn handle_event(&mut self) {
        if self.state == State::Waiting {
            self.state = State::Ready;
        }
    }

    /// The listener is closed.
    pub const fn stop(&mut self) {
        self.state = State::Waiting;
    }

    /// Whether to try now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if let State::Paused(until) = self.state
            && until <= now
        {
            self.state = State::Ready;
        }
        self.state == State::Ready
    }

    /// Trying has failed; `what` can't be accepted from.
    pub fn handle_error(&mut self, now: Instant, what: &str, error: &io::Error) -> Failed {
        match error.kind() {
            ErrorKind::WouldBlock => {
                self.state = State::Waiting;
                Failed::Dry
            }
            // The peer has left already.
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted => Failed::Again,
            _ => {
                self.state = State::Paused(now + PAUSE);
                if let Some(before) = self.tell(now) {
                    log::warn!("connections to {what} can't be accepted: {error}{before}");
                }
                Failed::Exhausted
            }
        }
    }

    /// Room was made: the next try is at once.
    pub const fn go_on(&mut self) {
        self.state = State::Ready;
    }

    /// Whether to try without waiting for anything.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.state == State::Ready
    }

    /// When to try again, if that is put off.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Paused(until) => Some(until),
            State::Waiting | State::Ready => None,
        }
    }

    /// Whether it is time to tell of trouble, and what to add.
    fn tell(&mut self, now: Instant) -> Option<String> {
        if self.told.is_some_and(|told| now.since(told) < TOLD_EVERY) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(match std::mem::take(&mut self.untold) {
            0 => String::new(),
            times => format!(", {times} times more since this was last said"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    #[test]
    fn f19_without_descriptors_it_tries_once_a_second_and_says_so_once_a_minute() {
        let mut accepting = Accepting::new();
        assert!(!accepting.is_due(after(0)));
        accepting.handle_event();
        let exhausted = io::Error::from_raw_os_error(libc::EMFILE);
        let mut told = Vec::new();
        for second in 0..125 {
            let now = after(second * 1_000);
            assert!(accepting.is_due(now), "{second}");
            let (before, untold) = (accepting.told, accepting.untold);
            let failed = accepting.handle_error(now, "a test", &exhausted);
            assert_eq!(failed, Failed::Exhausted);
            assert!(!accepting.has_work(), "no busy loop");
            accepting.handle_event();
            assert_eq!(accepting.poll_timeout(), Some(now + PAUSE));
            assert!(!accepting.is_due(now + PAUSE / 2));
            if accepting.told != before {
                told.push((second, untold));
            }
        }
        assert_eq!(told, [(0, 0), (60, 59), (120, 59)]);
    }

    #[test]
    fn it_goes_on_until_there_is_none() {
        let mut accepting = Accepting::new();
        accepting.handle_event();
        let now = after(0);
        for (kind, failed, is_ready) in [
            (ErrorKind::ConnectionAborted, Failed::Again, true),
            (ErrorKind::Interrupted, Failed::Again, true),
            (ErrorKind::WouldBlock, Failed::Dry, false),
        ] {
            let error = io::Error::from(kind);
            assert_eq!(accepting.handle_error(now, "a test", &error), failed);
            assert_eq!(
                (accepting.has_work(), accepting.is_due(now)),
                (is_ready, is_ready)
            );
        }
        accepting.handle_event();
        assert!(accepting.is_due(now));
        accepting.stop();
        assert!(!accepting.is_due(now));
    }
}
