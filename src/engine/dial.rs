//! A connection on its way up: the name looked up, TCP to one address after the other, TLS.
//!
//!   Resolving --addresses--> Connecting --connected--> Securing --secured--> up
//!                              ^__failed, next address__|
//!
//! All of it together has `connectTimeout`. A dial is made for one job; when that job leaves on another
//! connection the dial goes on for nobody, and its failure concerns nobody.
//!
//! Not here: the race between address families, which addresses are allowed (`guard`).

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::Instant;
use crate::engine::event::Cause;
use crate::engine::outcome::{Clock, Happened};

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
    Resolving { since: Instant },
    Connecting { since: Instant, targets: Targets },
    Securing { since: Instant, targets: Targets },
}

/// The addresses to try, the first ones done.
#[derive(Debug)]
struct Targets {
    addrs: Box<[SocketAddr]>,
    tried: usize,
}

/// What follows when an address did not work.
#[derive(Debug)]
pub enum Next {
    /// Try this one.
    Connect(SocketAddr),
    /// There is none left: this is why the last one failed.
    GiveUp(Happened),
}

impl Targets {
    fn current(&self) -> SocketAddr {
        self.addrs[self.tried]
    }
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

    /// The addresses are known, all of them allowed. Gives the first to connect to.
    ///
    /// # Panics
    /// If there is none, or the dial does not wait for them.
    pub fn on_addresses(&mut self, now: Instant, addrs: Box<[SocketAddr]>) -> SocketAddr {
        let Stage::Resolving { since } = self.stage else {
            panic!("addresses for a dial that has some")
        };
        self.spent.dns = now.since(since);
        let targets = Targets { addrs, tried: 0 };
        let first = targets.current();
        self.stage = Stage::Connecting {
            since: now,
            targets,
        };
        first
    }

    /// TCP is up; `secure`: TLS comes next.
    pub fn on_connected(&mut self, now: Instant, secure: bool) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Resolving { since: now }) {
            Stage::Connecting { since, targets } => {
                self.spent.connect = now.since(since);
                if secure {
                    Stage::Securing {
                        since: now,
                        targets,
                    }
                } else {
                    Stage::Connecting { since, targets }
                }
            }
            stage @ (Stage::Resolving { .. } | Stage::Securing { .. }) => stage,
        };
    }

    /// TLS is up.
    pub fn on_secured(&mut self, now: Instant) {
        if let Stage::Securing { since, .. } = self.stage {
            self.spent.tls = now.since(since);
        }
    }

    /// An address did not work, in TCP or in TLS.
    pub fn on_failed(&mut self, now: Instant, cause: Cause) -> Next {
        let (Stage::Connecting { targets, .. } | Stage::Securing { targets, .. }) =
            std::mem::replace(&mut self.stage, Stage::Resolving { since: now })
        else {
            return Next::GiveUp(Happened::ConnectFailed(cause));
        };
        if targets.tried + 1 == targets.addrs.len() {
            return Next::GiveUp(Happened::ConnectFailed(cause));
        }
        let targets = Targets {
            tried: targets.tried + 1,
            ..targets
        };
        let next = targets.current();
        self.stage = Stage::Connecting {
            since: now,
            targets,
        };
        Next::Connect(next)
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
            Stage::Resolving { .. } => Clock::Lookup(self.limit),
            Stage::Connecting { targets, .. } => Clock::Connect(self.limit, targets.current()),
            Stage::Securing { targets, .. } => Clock::Handshake(self.limit, targets.current()),
        })
    }

    /// Whether it waits for addresses.
    #[must_use]
    pub const fn is_resolving(&self) -> bool {
        matches!(self.stage, Stage::Resolving { .. })
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
mod tests {
    use super::*;
    use crate::engine::event::CauseKind;

    const SECOND: Duration = Duration::from_secs(1);

    fn addrs(texts: &[&str]) -> Box<[SocketAddr]> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn dial() -> Dial {
        Dial::new(
            Instant::default(),
            Purpose::InLine(Key::from_bits(1 << 32)),
            SECOND * 5,
        )
    }

    fn refused() -> Cause {
        Cause {
            kind: CauseKind::Refused,
            message: "refused".into(),
        }
    }

    #[test]
    fn f11_the_next_address_follows_at_once_and_the_last_failure_counts() {
        let mut dial = dial();
        let now = Instant::default();
        let first = dial.on_addresses(now, addrs(&["192.0.2.1:80", "192.0.2.2:80"]));
        assert_eq!(first, "192.0.2.1:80".parse().unwrap());
        let Next::Connect(second) = dial.on_failed(now, refused()) else {
            panic!("one is left")
        };
        assert_eq!(second, "192.0.2.2:80".parse().unwrap());
        let Next::GiveUp(Happened::ConnectFailed(cause)) = dial.on_failed(now, refused()) else {
            panic!("none is left")
        };
        assert_eq!(cause, refused());
    }

    #[test]
    fn f10_one_limit_covers_every_stage_and_names_the_one_it_ran_out_in() {
        let mut dial = dial();
        let start = Instant::default();
        let deadline = dial.deadline;
        assert!(matches!(
            dial.timed_out(),
            Happened::TimedOut(Clock::Lookup(_))
        ));
        let addr = dial.on_addresses(start + SECOND, addrs(&["192.0.2.1:443"]));
        assert!(matches!(dial.timed_out(), Happened::TimedOut(Clock::Connect(_, a)) if a == addr));
        dial.on_connected(start + SECOND * 2, true);
        assert!(
            matches!(dial.timed_out(), Happened::TimedOut(Clock::Handshake(_, a)) if a == addr)
        );
        dial.on_secured(start + SECOND * 4);
        assert_eq!(dial.deadline, deadline);
        assert_eq!(
            dial.spent(),
            Spent {
                dns: SECOND,
                connect: SECOND,
                tls: SECOND * 2
            }
        );
    }

    #[test]
    fn a_failed_handshake_tries_the_next_address() {
        let mut dial = dial();
        let now = Instant::default();
        dial.on_addresses(now, addrs(&["192.0.2.1:443", "[2001:db8::1]:443"]));
        dial.on_connected(now, true);
        assert!(matches!(dial.on_failed(now, refused()), Next::Connect(addr) if addr.is_ipv6()));
    }
}
