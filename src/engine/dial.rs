//! A connection on its way up: the name looked up, TCP to the first address that answers, TLS.
//!
//!   Resolving --addresses--> Connecting --connected--> Securing --secured--> Up
//!                              ^__failed, next address__|
//!
//! Addresses may come in two parts, one of each family: what comes late joins those that are tried. A dial has failed
//! only when all of them have, and no more can come.
//!
//! All of it together has `connectTimeout`. A dial is made for one job; when that job leaves on another
//! connection the dial goes on for nobody, and its failure concerns nobody. A dial has at most two sockets while
//! its addresses race, and one from then on.
//!
//! Not here: the rules of the race (`race`), which addresses are allowed (`guard`).

mod race;

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::Instant;
use crate::engine::event::{Cause, CauseKind, SockId};
use crate::engine::outcome::{Clock, Happened};
use crate::wire::job::Timings;
use race::{RACERS_MAX, Race};

/// A connection on its way up.
#[derive(Debug)]
pub struct Dial {
    purpose: Purpose,
    /// When it must be up.
    pub deadline: Instant,
    limit: Duration,
    /// Its deadline passed while this process stood still (F87).
    excused: bool,
    stage: Stage,
    spent: Spent,
}

/// Whom a dial is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A job in line: it leaves with whichever connection is free first.
    InLine(Key),
    /// A job apart: its request died with a kept-alive connection, and needs a fresh one.
    Apart(Key),
}

/// Where the time of a dial went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Looking up the name.
    pub dns: Duration,
    /// TCP.
    pub connect: Duration,
    /// TLS.
    pub tls: Duration,
}

#[derive(Debug)]
enum Stage {
    Resolving {
        since: Instant,
    },
    Connecting {
        since: Instant,
        race: Race,
    },
    /// TLS with the winner; the rest of the addresses are for when that fails.
    Securing {
        since: Instant,
        addr: SocketAddr,
        race: Race,
    },
    Up {
        addr: SocketAddr,
        /// There were other addresses.
        had_choice: bool,
    },
}

/// What follows when an address is wanted, or did not work.
#[derive(Debug)]
pub enum Next {
    /// Begin with this one: [`Dial::on_begun`], or [`Dial::put_off`].
    Connect(SocketAddr),
    /// Others are under way.
    Wait,
    /// There is none left: this is why.
    GiveUp(Happened),
}

impl Dial {
    /// A dial that starts with the look-up of its name.
    #[must_use]
    pub fn new(now: Instant, purpose: Purpose, limit: Duration) -> Dial {
        Dial {
            purpose,
            deadline: now + limit,
            limit,
            excused: false,
            stage: Stage::Resolving { since: now },
            spent: Spent::default(),
        }
    }

    /// Addresses are known, all of them allowed; `is_open`: there may be others.
    ///
    /// # Panics
    /// If there is none, or the dial has some.
    pub fn on_addresses(&mut self, now: Instant, addrs: Vec<SocketAddr>, is_open: bool) -> Next {
        let Stage::Resolving { since } = self.stage else {
            panic!("addresses for a dial that has some")
        };
        self.spent.dns = now.since(since);
        let first = addrs[0];
        self.stage = Stage::Connecting {
            since: now,
            race: Race::new(addrs, is_open),
        };
        Next::Connect(first)
    }

    /// All addresses are known that are allowed, after some of them; `is_open`: there may be others still. Gives also
    /// a socket that has to be closed.
    pub fn on_more(
        &mut self,
        now: Instant,
        addrs: &[SocketAddr],
        is_open: bool,
    ) -> (Option<SockId>, Next) {
        match &mut self.stage {
            Stage::Connecting { race, .. } => {
                let closed = race.join(addrs, is_open);
                let next = match closed {
                    Some(_) => self.next(),
                    None if race.len() > 0 => self.on_stagger(now),
                    None => self.next(),
                };
                (closed, next)
            }
            Stage::Securing { race, .. } => (race.join(addrs, is_open), Next::Wait),
            Stage::Resolving { .. } | Stage::Up { .. } => (None, Next::Wait),
        }
    }

    /// The address of a [`Next::Connect`] is begun on this socket.
    pub fn on_begun(&mut self, now: Instant, sock: SockId) {
        if let Stage::Connecting { race, .. } = &mut self.stage {
            race.on_begun(now, sock);
        }
    }

    /// There is no place for another socket: the address has to wait.
    pub fn put_off(&mut self, now: Instant) {
        if let Stage::Connecting { race, .. } = &mut self.stage {
            race.put_off(now);
        }
    }

    /// [`Dial::wakes_at`] has come, before the deadline: those under way are not up yet.
    #[must_use]
    pub fn on_stagger(&self, now: Instant) -> Next {
        match &self.stage {
            Stage::Connecting { race, .. } if race.next_at().is_some_and(|at| at <= now) => {
                race.next().map_or(Next::Wait, Next::Connect)
            }
            Stage::Connecting { .. }
            | Stage::Resolving { .. }
            | Stage::Securing { .. }
            | Stage::Up { .. } => Next::Wait,
        }
    }

    /// TCP is up on this socket; `secure`: TLS comes next. Gives the socket that has lost, to be closed.
    pub fn on_connected(&mut self, now: Instant, sock: SockId, secure: bool) -> Option<SockId> {
        let Stage::Connecting { since, race } = &mut self.stage else {
            return None;
        };
        let (addr, loser) = race.on_won(sock)?;
        self.spent.connect = now.since(*since);
        self.stage = match std::mem::replace(&mut self.stage, Stage::Resolving { since: now }) {
            Stage::Connecting { race, .. } if secure => Stage::Securing {
                since: now,
                addr,
                race,
            },
            Stage::Connecting { race, .. } => Stage::Up {
                addr,
                had_choice: race.has_choice(),
            },
            stage @ (Stage::Resolving { .. } | Stage::Securing { .. } | Stage::Up { .. }) => stage,
        };
        loser
    }

    /// TLS is up.
    pub fn on_secured(&mut self, now: Instant) {
        if let Stage::Securing { since, addr, race } = &self.stage {
            self.spent.tls = now.since(*since);
            self.stage = Stage::Up {
                addr: *addr,
                had_choice: race.has_choice(),
            };
        }
    }

    /// An address did not work, in TCP or in TLS.
    pub fn on_failed(&mut self, now: Instant, sock: SockId, cause: Cause) -> Next {
        match &mut self.stage {
            Stage::Connecting { race, .. } => race.on_failed(sock, cause),
            Stage::Securing { since, race, .. } => {
                self.spent.tls = now.since(*since);
                race.note(cause);
                let race = std::mem::replace(race, Race::new(Vec::new(), false));
                self.stage = Stage::Connecting { since: now, race };
            }
            Stage::Resolving { .. } | Stage::Up { .. } => {
                return Next::GiveUp(Happened::ConnectFailed(cause));
            }
        }
        self.next()
    }

    /// What follows now that fewer addresses are under way, or more are known.
    fn next(&self) -> Next {
        let Stage::Connecting { race, .. } = &self.stage else {
            return Next::Wait;
        };
        match race.next() {
            Some(addr) => Next::Connect(addr),
            None if race.is_lost() => {
                let cause = race.failure().expect("a race is lost by a failure");
                Next::GiveUp(Happened::ConnectFailed(cause.clone()))
            }
            None => Next::Wait,
        }
    }

    /// Its deadline passed while this process stood still: it gets until then, once.
    pub fn excuse(&mut self, until: Instant) -> bool {
        if self.excused {
            return false;
        }
        self.excused = true;
        self.deadline = until;
        true
    }

    /// `connectTimeout` has run out.
    #[must_use]
    pub fn timed_out(&self) -> Happened {
        if self.excused {
            return Happened::Paused;
        }
        Happened::TimedOut(match &self.stage {
            // What is known has failed, and the name servers have no more to say.
            Stage::Connecting { race, .. } if race.len() == 0 => match race.failure() {
                Some(cause) => return Happened::ConnectFailed(cause.clone()),
                None => Clock::Lookup(self.limit),
            },
            Stage::Connecting { race, .. } => match race.newest() {
                Some(addr) => Clock::Connect(self.limit, addr),
                None => Clock::Lookup(self.limit),
            },
            Stage::Securing { addr, .. } | Stage::Up { addr, .. } => {
                Clock::Handshake(self.limit, *addr)
            }
            Stage::Resolving { .. } => Clock::Lookup(self.limit),
        })
    }

    /// When it must be looked at: at its deadline, or when another address is to be tried.
    #[must_use]
    pub fn wakes_at(&self) -> Instant {
        let next_at = match &self.stage {
            Stage::Connecting { race, .. } => race.next_at(),
            Stage::Resolving { .. } | Stage::Securing { .. } | Stage::Up { .. } => None,
        };
        next_at.map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// Its sockets on which TCP is not up yet.
    pub fn racers(&self) -> impl Iterator<Item = SockId> {
        let race = match &self.stage {
            Stage::Connecting { race, .. } => Some(race),
            Stage::Resolving { .. } | Stage::Securing { .. } | Stage::Up { .. } => None,
        };
        race.into_iter().flat_map(Race::socks)
    }

    /// Whether it has two sockets.
    #[must_use]
    pub fn is_racing(&self) -> bool {
        self.racers().count() == RACERS_MAX
    }

    /// The address that TCP is up with.
    #[must_use]
    pub const fn addr(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Securing { addr, .. } | Stage::Up { addr, .. } => Some(*addr),
            Stage::Resolving { .. } | Stage::Connecting { .. } => None,
        }
    }

    /// The address that has won, if there were others.
    #[must_use]
    pub const fn winner(&self) -> Option<SocketAddr> {
        match &self.stage {
            Stage::Up {
                addr,
                had_choice: true,
            } => Some(*addr),
            Stage::Up { .. }
            | Stage::Resolving { .. }
            | Stage::Connecting { .. }
            | Stage::Securing { .. } => None,
        }
    }

    /// Whether it waits for addresses.
    #[must_use]
    pub const fn is_resolving(&self) -> bool {
        matches!(self.stage, Stage::Resolving { .. })
    }

    /// Whether addresses are of use to it that are not known yet.
    #[must_use]
    pub const fn awaits_addresses(&self) -> bool {
        match &self.stage {
            Stage::Resolving { .. } => true,
            Stage::Connecting { race, .. } | Stage::Securing { race, .. } => race.is_open(),
            Stage::Up { .. } => false,
        }
    }

    /// Whether nothing is known so far that says anything of the receiver: no address, or none that this machine has a
    /// way to.
    #[must_use]
    pub fn is_at_a_loss(&self) -> bool {
        match &self.stage {
            Stage::Resolving { .. } => true,
            Stage::Connecting { race, .. } => {
                let failure = race.failure().map(|cause| cause.kind);
                race.len() == 0 && race.is_open() && failure == Some(CauseKind::NoNetwork)
            }
            Stage::Securing { .. } | Stage::Up { .. } => false,
        }
    }

    /// Whom it was made for; that job may have left.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Where its time went.
    #[must_use]
    pub const fn spent(&self) -> Spent {
        self.spent
    }

    /// The same while it is on its way: of the stage that it has reached, the time until now.
    #[must_use]
    pub fn spent_until(&self, now: Instant) -> Spent {
        let mut spent = self.spent;
        match &self.stage {
            Stage::Resolving { since } => spent.dns += now.since(*since),
            Stage::Connecting { since, .. } => spent.connect += now.since(*since),
            Stage::Securing { since, .. } => spent.tls += now.since(*since),
            Stage::Up { .. } => {}
        }
        spent
    }
}

impl Spent {
    /// Enters it among the times of an attempt.
    pub const fn enter(self, timings: &mut Timings) {
        (timings.dns, timings.connect, timings.tls) = (self.dns, self.connect, self.tls);
    }
}

impl Purpose {
    /// The job.
    #[must_use]
    pub const fn job(self) -> Key {
        match self {
            Purpose::InLine(key) | Purpose::Apart(key) => key,
        }
    }
}

#[cfg(test)]
mod tests;
