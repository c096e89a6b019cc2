//! The race of a dial's addresses for the first TCP connection (RFC 8305 section 5).
//!
//! In their order, one is begun 250 ms after the one before it if that is not up by then, at once if it has failed.
//! At most two are under way: a third waits until one of them fails. 250 ms is no limit of an attempt: each goes on
//! for as long as the dial does. Addresses that become known later join (RFC 8305 section 3): the order in which name
//! servers answer decides nothing but time.
//!
//! Not here: sockets and clocks (the engine's), what comes after TCP (`dial`).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::time::Instant;
use crate::engine::event::{Cause, CauseKind, SockId};

/// How long one address has to come up before the next is tried as well (RFC 8305 section 8).
pub(super) const STAGGER: Duration = Duration::from_millis(250);
/// Sockets of one dial at a time.
pub(super) const RACERS_MAX: usize = 2;

/// Addresses in a race.
#[derive(Debug)]
pub(super) struct Race {
    addrs: Vec<SocketAddr>,
    /// So many of them have been begun.
    begun: usize,
    /// Others may become known.
    is_open: bool,
    /// The older first.
    racers: Vec<Racer>,
    /// When the next address is tried, should those under way not be up by then.
    next_at: Instant,
    /// The most telling of the failures so far.
    failure: Option<Cause>,
}

/// An address to which a connection is under way.
#[derive(Clone, Copy, Debug)]
struct Racer {
    sock: SockId,
    addr: SocketAddr,
}

impl Race {
    /// A race that has not begun.
    pub(super) fn new(addrs: Vec<SocketAddr>, is_open: bool) -> Race {
        Race {
            addrs,
            begun: 0,
            is_open,
            racers: Vec::with_capacity(1),
            next_at: Instant::default(),
            failure: None,
        }
    }

    /// The address that is begun next; none while two are under way, when none is left, or when this machine has
    /// not what another socket needs.
    pub(super) fn next(&self) -> Option<SocketAddr> {
        if self.racers.len() == RACERS_MAX || self.is_locally_failed() {
            return None;
        }
        self.addrs.get(self.begun).copied()
    }

    /// Whether it is over: nothing is under way, nothing is left, and nothing can join.
    pub(super) fn is_lost(&self) -> bool {
        let may_grow = self.is_open && !self.is_locally_failed();
        self.racers.is_empty() && self.next().is_none() && !may_grow
    }

    fn is_locally_failed(&self) -> bool {
        self.failure.as_ref().is_some_and(Cause::is_local)
    }

    /// Addresses become known; `is_open`: others may later. Those that are news come before what is left, in turn with
    /// it. Gives a socket to be closed: where two of one family are under way, and a good one of the other may have to
    /// wait for one of them to fail, the younger steps back to the end.
    pub(super) fn join(&mut self, addrs: &[SocketAddr], is_open: bool) -> Option<SockId> {
        self.is_open = is_open;
        let news = addrs.iter().filter(|addr| !self.addrs.contains(addr));
        let mut news: VecDeque<SocketAddr> = news.copied().collect();
        let mut left: VecDeque<SocketAddr> = self.addrs.split_off(self.begun).into();
        while !(news.is_empty() && left.is_empty()) {
            self.addrs.extend(news.pop_front());
            self.addrs.extend(left.pop_front());
        }
        let next = self.addrs.get(self.begun)?;
        let is_other = |racer: &Racer| racer.addr.is_ipv4() != next.is_ipv4();
        if self.racers.len() < RACERS_MAX || !self.racers.iter().all(is_other) {
            return None;
        }
        let younger = self.racers.pop()?;
        self.addrs.push(younger.addr);
        Some(younger.sock)
    }

    /// When the next address is to be begun, if the clock alone decides that.
    pub(super) fn next_at(&self) -> Option<Instant> {
        (!self.racers.is_empty() && self.next().is_some()).then_some(self.next_at)
    }

    /// The next address is begun on this socket.
    pub(super) fn on_begun(&mut self, now: Instant, sock: SockId) {
        let addr = self.next().expect("the caller has just asked for it");
        self.begun += 1;
        self.racers.push(Racer { sock, addr });
        self.next_at = now + STAGGER;
    }

    /// There is no place for another socket now.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.next_at = now + STAGGER;
    }

    /// A racer has failed.
    pub(super) fn on_failed(&mut self, sock: SockId, cause: Cause) {
        self.racers.retain(|racer| racer.sock != sock);
        self.note(cause);
    }

    /// A racer is up: its address, and the loser, which is out of the race.
    pub(super) fn on_won(&mut self, sock: SockId) -> Option<(SocketAddr, Option<SockId>)> {
        let at = self.racers.iter().position(|racer| racer.sock == sock)?;
        let winner = self.racers.remove(at);
        let loser = self.racers.pop();
        Some((winner.addr, loser.map(|racer| racer.sock)))
    }

    /// An address has failed, here or after it had won.
    pub(super) fn note(&mut self, cause: Cause) {
        let before = self.failure.as_ref().map(|failure| weight(failure.kind));
        if before.is_none_or(|before| weight(cause.kind) >= before) {
            self.failure = Some(cause);
        }
    }

    /// The most telling cause of those addresses' failures that have failed.
    pub(super) const fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    /// Whether others may become known.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// The sockets under way.
    pub(super) fn socks(&self) -> impl Iterator<Item = SockId> {
        self.racers.iter().map(|racer| racer.sock)
    }

    /// How many sockets are under way.
    pub(super) const fn len(&self) -> usize {
        self.racers.len()
    }

    /// The address that was begun last.
    pub(super) fn newest(&self) -> Option<SocketAddr> {
        self.addrs.get(self.begun.checked_sub(1)?).copied()
    }

    /// Whether there is a choice.
    pub(super) const fn has_choice(&self) -> bool {
        self.addrs.len() > 1
    }
}

/// How much a failure tells of the receiver, compared with that of another address. This machine's own trouble ends
/// the race, so it is what counts; a forbidden address counts only where no other was tried.
const fn weight(kind: CauseKind) -> u8 {
    match kind {
        CauseKind::Own => 0,
        CauseKind::NoNetwork => 1,
        CauseKind::Unreachable => 2,
        CauseKind::Other => 3,
        CauseKind::Refused => 4,
        CauseKind::Reset => 5,
        CauseKind::Tls => 6,
        CauseKind::Local => 7,
    }
}
