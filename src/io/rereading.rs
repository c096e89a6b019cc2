//! The configuration is read again: on a thread of its own, so that no loop waits for a file.
//!
//!   Idle --asked--> Reading --read--> Idle, or Reading once more where somebody asked meanwhile
//!
//! Who asks while a file is being read may mean what stands there since: it is read once more then, for all of these
//! together. A file system that hangs is told once a minute; nothing else waits for it, and the end of the run does
//! not.
//!
//! Not here: what is read (`config/live`), what becomes of it (`front`).

use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::intake::orders::Change as Order;

use crate::io::mailbox::{Bell, Mailbox};
use crate::io::steering::{Former, Proposal, Read};

/// Clients that wait for one reading, at most.
const WAITING_MAX: usize = 1024;

/// How long a reading takes until it is told, and until it is told again.
pub const TOLD_AFTER: Duration = Duration::from_secs(5);
pub const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What was read, or all that is wrong.
pub type Outcome = Result<Proposal, Vec<String>>;

/// Reads on request.
pub struct Rereading {
    read: Arc<Mutex<Read>>,
    done: Arc<Mailbox<Outcome>>,
    running: Option<Running>,
    /// Who has asked since it runs.
    next: Waiting,
    /// What held before: its memory is given back by the next thread.
    former: Vec<Box<dyn Any + Send>>,
}

/// Who waits for a reading.
#[derive(Debug, Default)]
struct Waiting {
    is_asked: bool,
    orders: Vec<Order>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    tell_at: Instant,
    orders: Vec<Order>,
}

impl Rereading {
    /// Reads with this, and rings.
    pub fn new(read: Read, bell: Arc<Bell>) -> Rereading {
        Rereading {
            read: Arc::new(Mutex::new(read)),
            done: Arc::new(Mailbox::new(bell)),
            running: None,
            next: Waiting::default(),
            former: Vec::new(),
        }
    }

    /// Somebody wants it read: a client with its order, or a signal. Gives the order back where too many wait.
    pub fn ask(&mut self, order: Option<Box<Order>>) -> Result<(), Box<Order>> {
        match order {
            Some(order) if self.next.orders.len() >= WAITING_MAX => return Err(order),
            Some(order) => self.next.orders.push(*order),
            None => {}
        }
        self.next.is_asked = true;
        Ok(())
    }

    /// Begins to read, if somebody has asked and nothing is being read; whether it has begun.
    pub fn begin(&mut self, now: Instant) -> bool {
        if !self.has_work() {
            return false;
        }
        let Waiting { orders, .. } = mem::take(&mut self.next);
        self.running = Some(Running {
            since: now,
            tell_at: now + TOLD_AFTER,
            orders,
        });
        let (read, done) = (Arc::clone(&self.read), Arc::clone(&self.done));
        let former = mem::take(&mut self.former);
        let thread = thread::Builder::new().name("configuration".to_owned());
        let started = thread.spawn(move || {
            drop(former);
            let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
            done.post(read());
        });
        if let Err(error) = started {
            let reason = format!("no thread to read it: {error}");
            self.done.post(Err(vec![reason]));
        }
        true
    }

    /// What was read, and who waits for the answer.
    pub fn poll(&mut self) -> Option<(Outcome, Vec<Order>)> {
        let mut outcomes = Vec::new();
        self.done.take(&mut outcomes);
        let outcome = outcomes.pop()?;
        let running = self.running.take();
        Some((
            outcome,
            running.map_or_else(Vec::new, |running| running.orders),
        ))
    }

    /// Who is not to wait any longer.
    pub fn give_up(&mut self) -> Vec<Order> {
        let mut orders = mem::take(&mut self.next).orders;
        if let Some(running) = &mut self.running {
            orders.append(&mut running.orders);
        }
        orders
    }

    /// Keeps what held before until memory can be given back elsewhere.
    pub fn keep(&mut self, former: Former) {
        self.former.extend(former);
    }

    /// Whether a reading can begin.
    #[must_use]
    pub const fn has_work(&self) -> bool {
        self.next.is_asked && self.running.is_none()
    }

    /// Whether there is something to poll.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        !self.done.is_empty()
    }

    /// Says that it takes long, when it is time to.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(running) = &mut self.running
            && now >= running.tell_at
        {
            running.tell_at = now + TOLD_EVERY;
            let seconds = now.since(running.since).as_secs();
            log::warn!(
                "the configuration is being read for {seconds} s: a file system may hang; all else goes on"
            );
        }
    }

    /// When to say so next.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let running = self.running.as_ref();
        running.map_or(Instant::FAR_FUTURE, |running| running.tell_at)
    }
}
