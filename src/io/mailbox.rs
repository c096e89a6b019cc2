//! How threads hand values to a loop: a vector under a lock, emptied whole, and one wake-up a batch.
//!
//! A [`Bell`] belongs to a loop, and all its mailboxes ring it. Ringing costs a system call only while the
//! loop sleeps or is about to. The order makes it safe: a poster fills the box, then looks whether the loop
//! sleeps; a loop says that it will sleep, then looks into its boxes. One of the two sees the other.
//!
//! Not here: standard streams (`stdio`), the loop (`turn`).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::{Registry, Token, Waker};

/// What wakes a loop.
#[derive(Debug)]
pub struct Bell {
    asleep: AtomicBool,
    waker: Waker,
}

/// Values on their way to a loop, in the order in which they were posted.
#[derive(Debug)]
pub struct Mailbox<T> {
    filled: AtomicBool,
    mail: Mutex<Vec<T>>,
    bell: Arc<Bell>,
}

impl Bell {
    /// A bell that a loop hears as an event with this token.
    ///
    /// # Errors
    /// The system's: no descriptor left.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Bell> {
        Ok(Bell {
            asleep: AtomicBool::new(false),
            waker: Waker::new(registry, token)?,
        })
    }

    /// The loop says that it is about to sleep; it must look into its mailboxes once more after this.
    pub fn will_sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The loop says that it is awake.
    pub fn is_awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn ring(&self) {
        if !self.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        // An eventfd that exists can be written, unless a signal comes in between. Nobody else rings for this mail.
        if let Err(error) = self.waker.wake().or_else(|_| self.waker.wake()) {
            log::error!("could not wake a loop: {error}");
        }
    }
}

impl<T> Mailbox<T> {
    /// An empty one, of the loop that hears `bell`.
    #[must_use]
    pub const fn new(bell: Arc<Bell>) -> Mailbox<T> {
        Mailbox {
            filled: AtomicBool::new(false),
            mail: Mutex::new(Vec::new()),
            bell,
        }
    }

    /// Adds one value.
    pub fn post(&self, value: T) {
        let mut mail = self.lock();
        mail.push(value);
        self.filled.store(true, Ordering::SeqCst);
        drop(mail);
        self.bell.ring();
    }

    /// Adds all values of `batch` and leaves it empty, with its memory where that is possible.
    pub fn post_all(&self, batch: &mut Vec<T>) {
        if batch.is_empty() {
            return;
        }
        let mut mail = self.lock();
        if mail.is_empty() {
            std::mem::swap(&mut *mail, batch);
        } else {
            mail.append(batch);
        }
        self.filled.store(true, Ordering::SeqCst);
        drop(mail);
        self.bell.ring();
    }

    /// Takes everything: `into`, which must be empty, and the box swap their memory.
    pub fn take(&self, into: &mut Vec<T>) {
        assert!(
            into.is_empty(),
            "mail of the last turn has not been handled"
        );
        if self.is_empty() {
            return;
        }
        let mut mail = self.lock();
        std::mem::swap(&mut *mail, into);
        self.filled.store(false, Ordering::SeqCst);
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.filled.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // A vector is whole between any two operations on it, so a poisoned lock guards a good one.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BELL: Token = Token(7);

    fn rings(poll: &mut mio::Poll) -> usize {
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().filter(|event| event.token() == BELL).count()
    }

    #[test]
    fn mail_arrives_in_order_and_whole() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(Arc::new(Bell::new(poll.registry(), BELL).unwrap()));
        let mut batch = vec![1, 2];
        mailbox.post_all(&mut batch);
        mailbox.post(3);
        mailbox.post_all(&mut vec![4]);
        assert!(batch.is_empty() && !mailbox.is_empty());
        let mut got = Vec::new();
        mailbox.take(&mut got);
        assert_eq!(got, [1, 2, 3, 4]);
        assert!(mailbox.is_empty());
    }

    #[test]
    fn only_a_sleeping_loop_is_woken_and_once() {
        let mut poll = mio::Poll::new().unwrap();
        let bell = Arc::new(Bell::new(poll.registry(), BELL).unwrap());
        let (one, two) = (Mailbox::new(Arc::clone(&bell)), Mailbox::new(bell.clone()));
        one.post(1);
        assert_eq!(rings(&mut poll), 0, "awake");
        bell.will_sleep();
        one.post(2);
        assert!(!bell.asleep.load(Ordering::SeqCst), "rung");
        two.post(3);
        assert_eq!(rings(&mut poll), 1);
        bell.will_sleep();
        bell.is_awake();
        two.post(4);
        assert_eq!(rings(&mut poll), 0, "awake again");
        one.post_all(&mut Vec::new());
        assert_eq!(rings(&mut poll), 0, "nothing posted");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let mut poll = mio::Poll::new().unwrap();
        let bell = Arc::new(Bell::new(poll.registry(), BELL).unwrap());
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&bell)));
        let poster = {
            let mailbox = Arc::clone(&mailbox);
            std::thread::spawn(move || (0..20_000).for_each(|n| mailbox.post(n)))
        };
        let (mut mail, mut got) = (Vec::new(), Vec::new());
        let mut events = mio::Events::with_capacity(4);
        while got.len() < 20_000 {
            bell.will_sleep();
            if mailbox.is_empty() {
                // A lost wake-up would hang here; the limit makes it a failure instead.
                poll.poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert!(!events.is_empty(), "slept through mail");
            }
            bell.is_awake();
            mailbox.take(&mut mail);
            got.append(&mut mail);
        }
        poster.join().unwrap();
        assert!(got.iter().copied().eq(0..20_000));
    }
}
