//! The loop: one for each engine, always the same turn.
//!
//!   wait -> timers -> network -> mailbox -> intake -> wait
//!
//! A turn waits only if nothing is left to do, then finishes what is under way before it takes in more. Each
//! phase has a budget, so that none starves another: so many events, so many reads of a socket ([`net`]), a
//! mailbox as it was when it was opened, so many jobs from the feed ([`front`]). The clock is read once, when
//! the wait is over.
//!
//! Loop 0 has intake and the standard streams beside its engine: see [`front`]. With more workers than one, each
//! of the others is a thread with an engine ([`Worker`]), to which jobs go through a mailbox and from which
//! results come back the same way.
//!
//! [`net`]: crate::io::net
//! [`front`]: crate::io::front

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now};
use conduit::engine::Engine;
use conduit::engine::event::{BreakerOrder, Input, Note};
use conduit::engine::policy::{Endpoint, Policy};
use conduit::wire::job::Job;
use conduit::wire::names::Names;
use conduit::wire::url::Origin;
use mio::{Events, Poll, Registry, Token};

use crate::io::clock;
use crate::io::mailbox::{Bell, Mailbox};
use crate::io::net::{Net, Upward};
use crate::io::signal::Signals;
use crate::io::tls::{Client, Credentials};

/// Events of one turn.
const EVENTS_PER_TURN: usize = 1024;

/// The longest sleep: longer ones overflow what the system takes.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Tokens that no socket has.
const SIGNALS: Token = Token(0);
const BELL: Token = Token(usize::MAX);

/// Up to this, tokens are the front's: the upper half of a socket's id is never 0.
const FRONT_TOKEN_MAX: usize = u32::MAX as usize;

/// What every loop has: a poll, and an engine with its sockets.
#[derive(Debug)]
pub struct Turn {
    /// The engine and its sockets.
    pub net: Net,
    poll: Poll,
    events: Events,
    bell: Arc<Bell>,
    now: Now,
    has_signal: bool,
    /// Events of what is neither the engine's nor the loop's own.
    nudges: Vec<Nudge>,
}

/// Something can be done with a descriptor that the front has registered.
#[derive(Clone, Copy, Debug)]
pub struct Nudge {
    /// Whose.
    pub token: Token,
    /// It can be read, or has ended.
    pub is_readable: bool,
    /// It can be written, or has ended.
    pub is_writable: bool,
    /// The peer has closed it: nobody reads what is written.
    pub is_closed: bool,
}

/// What a worker is told.
#[derive(Debug)]
pub enum ToWorker {
    /// Deliver this.
    Job(Box<Job>),
    /// Names are resolved by these from now on.
    Names(Arc<Names>),
    /// How do some of the origins stand, from this slot on?
    Ask {
        /// The slot.
        from: u32,
    },
    /// Somebody wants the breaker of an origin otherwise.
    Breaker {
        /// Whose.
        origin: Arc<Origin>,
        /// What it is to do.
        order: BreakerOrder,
    },
    /// Obey this from now on.
    Orders(Box<Orders>),
    /// Obey this at one origin from now on.
    Own {
        /// Whose.
        origin: Arc<Origin>,
        /// What.
        endpoint: Arc<Endpoint>,
    },
    /// Finish what is in flight.
    Drain,
    /// Cut what is left.
    Abort,
    /// The run is over.
    Quit,
}

/// What every loop obeys from now on.
#[derive(Clone, Debug)]
pub struct Orders {
    /// What its engine does; the engine's share.
    pub policy: Arc<Policy>,
    /// Whose certificates are trusted and which are shown, if that has changed.
    pub tls: Option<Credentials>,
}

/// What a worker tells.
#[derive(Debug)]
pub enum FromWorker {
    /// Its engine has something for intake.
    Upward(Upward),
    /// It can't go on.
    Broken(io::Error),
}

/// A loop on a thread of its own, as the front sees it.
#[derive(Debug)]
pub struct Worker {
    /// Where it takes from.
    pub inbox: Arc<Mailbox<ToWorker>>,
    /// Where it puts.
    pub outbox: Arc<Mailbox<FromWorker>>,
    /// The thread.
    pub thread: JoinHandle<()>,
}

/// What each engine is made from.
#[derive(Debug)]
pub struct Plan {
    /// Its share of the settings.
    pub policy: Arc<Policy>,
    /// Whose certificates are trusted, and which are shown.
    pub tls: Credentials,
    /// The port of this process's own listener, if it listens.
    pub own_port: Option<u16>,
    /// Told whatever is worth a log line.
    pub note: fn(&Note),
    /// What names are resolved by at first.
    pub names: Arc<Names>,
}

impl Turn {
    /// A loop with a new engine.
    ///
    /// # Errors
    /// The system's: no descriptor left.
    pub fn new(plan: &Plan, rng: &mut Rng) -> io::Result<Turn> {
        let now = clock::now();
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(poll.registry(), BELL)?);
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        let engine = Engine::new(now, Arc::clone(&plan.policy), Arc::clone(&plan.names), seed);
        let tls = Client::new(&plan.tls);
        let registry = poll.registry().try_clone()?;
        let mut net = Net::new(engine, registry, tls, plan.note);
        net.set_own_port(plan.own_port);
        Ok(Turn {
            net,
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            bell,
            now,
            has_signal: false,
            nudges: Vec::new(),
        })
    }

    /// Obeys other settings from now on.
    pub fn obey(&mut self, orders: Orders) {
        if let Some(tls) = orders.tls {
            self.net.set_tls(Client::new(&tls));
        }
        self.net
            .handle_input(self.now, Input::Policy(orders.policy));
    }

    /// Has signals reported to this loop.
    ///
    /// # Errors
    /// The system's.
    pub fn watch(&self, signals: &Signals) -> io::Result<()> {
        signals.register(self.poll.registry(), SIGNALS)
    }

    /// Waits for events until the engine's next deadline, or `until` if that is sooner; not at all if bytes
    /// wait to be read, or `has_mail` says so when nobody rings for it any more.
    ///
    /// # Errors
    /// The system's; a signal is none.
    pub fn wait(&mut self, until: Instant, has_mail: &dyn Fn() -> bool) -> io::Result<()> {
        let deadline = self.net.poll_timeout().unwrap_or(Instant::FAR_FUTURE);
        let mut timeout = deadline.min(until).since(self.now.mono).min(SLEEP_MAX);
        if self.net.has_unread() {
            timeout = Duration::ZERO;
        }
        if !timeout.is_zero() {
            self.bell.will_sleep();
            if has_mail() {
                timeout = Duration::ZERO;
            }
        }
        let result = self.poll.poll(&mut self.events, Some(timeout));
        self.bell.is_awake();
        self.now = clock::now();
        match result {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// Lets the clocks run out that have.
    pub fn run_timers(&mut self) {
        if self
            .net
            .poll_timeout()
            .is_some_and(|deadline| deadline <= self.now.mono)
        {
            self.net.handle_timeout(self.now);
        }
    }

    /// What the last turn left unread, then every event of this one.
    pub fn run_network(&mut self) {
        // Before anything is written: a request must not follow bytes that an event of this turn tells of.
        for event in &self.events {
            if event.token().0 > FRONT_TOKEN_MAX {
                self.net.expect(event);
            }
        }
        self.net.handle_unread(self.now);
        for event in &self.events {
            match event.token() {
                SIGNALS => self.has_signal = true,
                BELL => {}
                token if token.0 <= FRONT_TOKEN_MAX => self.nudges.push(Nudge {
                    token,
                    is_readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                    is_writable: event.is_writable() || event.is_write_closed() || event.is_error(),
                    is_closed: event.is_write_closed(),
                }),
                _ => self.net.handle_event(self.now, event),
            }
        }
    }

    /// Whether a signal has arrived since this was last asked.
    pub fn take_signal(&mut self) -> bool {
        std::mem::take(&mut self.has_signal)
    }

    /// What has happened to descriptors of the front since this was last asked; whoever asks empties it.
    pub fn nudges(&mut self) -> &mut Vec<Nudge> {
        &mut self.nudges
    }

    /// Where the front registers its own descriptors, under tokens from 1 to `u32::MAX`.
    ///
    /// # Errors
    /// The system's: no descriptor left.
    pub fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }

    /// When the last wait was over.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Whether the last wait brought no event.
    #[must_use]
    pub fn was_quiet(&self) -> bool {
        self.events.is_empty()
    }

    /// What wakes this loop.
    #[must_use]
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }
}

impl Worker {
    /// Starts a thread with a loop; what it says rings `front`.
    ///
    /// # Errors
    /// The system's: no descriptor or no thread left.
    pub fn start(number: u16, turn: Turn, front: Arc<Bell>) -> io::Result<Worker> {
        let inbox = Arc::new(Mailbox::new(turn.bell()));
        let outbox = Arc::new(Mailbox::new(front));
        let (jobs, results) = (Arc::clone(&inbox), Arc::clone(&outbox));
        let thread = thread::Builder::new()
            .name(format!("worker {number}"))
            .spawn(move || {
                if let Err(error) = work(turn, &jobs, &results) {
                    results.post(FromWorker::Broken(error));
                }
            })?;
        Ok(Worker {
            inbox,
            outbox,
            thread,
        })
    }
}

fn work(mut turn: Turn, inbox: &Mailbox<ToWorker>, outbox: &Mailbox<FromWorker>) -> io::Result<()> {
    let (mut mail, mut replies) = (Vec::new(), Vec::new());
    loop {
        turn.wait(Instant::FAR_FUTURE, &|| !inbox.is_empty())?;
        turn.run_timers();
        turn.run_network();
        inbox.take(&mut mail);
        let now = turn.now();
        for message in mail.drain(..) {
            let input = match message {
                ToWorker::Job(job) => Input::Job(job),
                ToWorker::Names(names) => Input::Names(names),
                ToWorker::Ask { from } => Input::Ask { from },
                ToWorker::Breaker { origin, order } => Input::Breaker { origin, order },
                ToWorker::Orders(orders) => {
                    turn.obey(*orders);
                    continue;
                }
                ToWorker::Own { origin, endpoint } => Input::Own { origin, endpoint },
                ToWorker::Drain => Input::Drain,
                ToWorker::Abort => Input::Abort,
                ToWorker::Quit => {
                    turn.net.close();
                    return Ok(());
                }
            };
            turn.net.handle_input(now, input);
        }
        replies.extend(turn.net.upward().drain(..).map(FromWorker::Upward));
        outbox.post_all(&mut replies);
    }
}
