//! One name being asked for: how far its two families are, and what they amount to.
//!
//! Not here: what moves it (`resolver`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::cache::{FAILURE_TTL_MAX, Fact};
use super::{Failure, Found, LookupError, Rest, SUSPICION, ServerTrouble, Transport};
use crate::base::slab::Key;
use crate::base::time::Instant;
use crate::wire::dns::Family;
use crate::wire::dns::framing::FirstMessage;
use crate::wire::names::Names;

/// A look-up that has not ended.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) name: Arc<str>,
    /// Who is told how it ends, in the order in which they came.
    pub(super) askers: Vec<Key>,
    /// How long an answer is of use to those who asked before it began.
    pub(super) time: Duration,
    /// Answers are waited for until then, whichever query they answer. Who asks later makes it no longer: with a server
    /// that has lost the questions it would go on for as long as somebody asks.
    pub(super) until: Instant,
    pub(super) standing: Standing,
    /// The last look-up of this name ended in silence: it has one of the places that are for such names.
    pub(super) is_suspect: bool,
    pub(super) stage: Stage,
    pub(super) plan: Plan,
    /// IPv4, IPv6: indexed by [`Family`].
    pub(super) halves: [Half; 2],
}

/// Whether it has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It waits for one.
    Queued,
    /// It has one, until then for itself.
    Placed { slow_at: Instant },
    /// It has one, which is another's as soon as one waits for it.
    Slow,
    /// It has given it up, and hears on.
    Yielded,
}

/// How far the whole is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Neither family has addresses yet; the askers' patience ends then, if there are older addresses for them.
    Open { patience_ends: Option<Instant> },
    /// One family has addresses; the other has until then to bring its own.
    Grace { ends: Instant },
    /// The askers have been told these, and will be told how it ends.
    Told { addrs: Arc<[IpAddr]> },
}

/// Whom to ask.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of the resolver, when this began.
    pub(super) epoch: u32,
    /// In this order, each once per round.
    pub(super) servers: Vec<SocketAddr>,
    pub(super) rounds: usize,
    /// Until the next is asked as well.
    pub(super) timeout: Duration,
    /// What a server is asked over first.
    pub(super) transport: Transport,
}

/// How far one family is.
#[derive(Debug)]
pub(super) enum Half {
    Asking(Asking),
    Addresses {
        addrs: Vec<IpAddr>,
        expires: Instant,
    },
    NoAddress {
        expires: Instant,
    },
    NoSuchName {
        expires: Instant,
    },
    Failed(LookupError),
}

/// A family on its way through the servers.
#[derive(Debug)]
pub(super) struct Asking {
    /// Queries that may still be answered, the newest last.
    pub(super) tries: Vec<Key>,
    /// When the next server is asked as well; [`Instant::FAR_FUTURE`] before the first.
    pub(super) deadline: Instant,
    /// What the last server did instead of answering.
    pub(super) trouble: ServerTrouble,
    /// Servers that have said that they don't know.
    pub(super) given_up: Vec<SocketAddr>,
    /// How many places of the plan are behind.
    step: usize,
}

/// One query to one server.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) inquiry: Key,
    pub(super) family: Family,
    pub(super) server: SocketAddr,
    pub(super) transport: Transport,
    pub(super) asked: Instant,
    pub(super) id: u16,
    pub(super) edns: bool,
    /// For TCP behind its length.
    pub(super) message: Vec<u8>,
    /// How much of it TCP has taken.
    pub(super) sent_bytes: usize,
    /// What has come over TCP.
    pub(super) received: FirstMessage,
}

/// What is known of a name server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    /// It bears EDNS, as far as we know.
    pub(super) edns: bool,
    /// Its last answer to anything.
    pub(super) heard: Instant,
    /// Until then it is asked last.
    pub(super) suspect_until: Instant,
}

impl Inquiry {
    pub(super) fn new(name: Arc<str>, is_suspect: bool) -> Inquiry {
        Inquiry {
            name,
            askers: Vec::new(),
            time: Duration::ZERO,
            until: Instant::default(),
            standing: Standing::Queued,
            is_suspect,
            stage: Stage::Open {
                patience_ends: None,
            },
            plan: Plan::none(),
            halves: [Half::Asking(Asking::new()), Half::Asking(Asking::new())],
        }
    }

    /// The addresses that are there by now.
    pub(super) fn addresses(&self) -> Arc<[IpAddr]> {
        let [v4, v6] = &self.halves;
        interleave(v6.addresses(), v4.addresses())
    }

    /// What both families, having ended, amount to, and until when; `None` for a failure, whose lifetime depends
    /// on those before it.
    ///
    /// Absence counts only if both agree: servers are known that deny a name whose AAAA they don't have (RFC 4074
    /// section 4.2).
    pub(super) fn conclusion(&self, now: Instant) -> (Fact, Option<Instant>) {
        let [v4, v6] = &self.halves;
        let found = |rest, expires| {
            let addrs = self.addresses();
            (Ok(Found { addrs, rest }), Some(expires))
        };
        let absent = |error, expires| {
            let told = Some(now);
            (Err(Failure { error, told }), expires)
        };
        match (v4, v6) {
            (Half::Addresses { expires: one, .. }, Half::Addresses { expires: other, .. }) => {
                found(Rest::Known, *one.min(other))
            }
            // What the failed family would have said is worth asking again soon.
            (Half::Addresses { expires, .. }, Half::Failed(error))
            | (Half::Failed(error), Half::Addresses { expires, .. }) => {
                let rest = match error.is_local() {
                    true => Rest::Unknown(*error),
                    false => Rest::Known,
                };
                found(rest, (*expires).min(now + FAILURE_TTL_MAX))
            }
            (Half::Addresses { expires, .. }, _) | (_, Half::Addresses { expires, .. }) => {
                found(Rest::Known, *expires)
            }
            (Half::Failed(one), Half::Failed(other)) => {
                absent(if one.is_local() { *one } else { *other }, None)
            }
            (Half::Failed(error), _) | (_, Half::Failed(error)) => absent(*error, None),
            (Half::NoSuchName { expires: one }, Half::NoSuchName { expires: other }) => {
                absent(LookupError::NoSuchName, Some(*one.min(other)))
            }
            (
                Half::NoAddress { expires: one } | Half::NoSuchName { expires: one },
                Half::NoAddress { expires: other } | Half::NoSuchName { expires: other },
            ) => absent(LookupError::NoAddress, Some(*one.min(other))),
            (Half::Asking(_), _) | (_, Half::Asking(_)) => {
                unreachable!("both families have ended")
            }
        }
    }
}

impl Half {
    fn addresses(&self) -> &[IpAddr] {
        match self {
            Half::Addresses { addrs, .. } => addrs,
            Half::Asking(_)
            | Half::NoAddress { .. }
            | Half::NoSuchName { .. }
            | Half::Failed(_) => &[],
        }
    }
}

impl Asking {
    fn new() -> Asking {
        Asking {
            tries: Vec::new(),
            deadline: Instant::FAR_FUTURE,
            trouble: ServerTrouble::Silent,
            given_up: Vec::new(),
            step: 0,
        }
    }

    /// Whom to ask next; `None` if all have had their rounds, or have given up.
    pub(super) fn next_server(&mut self, plan: &Plan) -> Option<SocketAddr> {
        while self.step < plan.servers.len() * plan.rounds {
            let server = plan.servers[self.step % plan.servers.len()];
            self.step += 1;
            if !self.given_up.contains(&server) {
                return Some(server);
            }
        }
        None
    }
}

impl Plan {
    /// Nobody, until the look-up begins.
    fn none() -> Plan {
        Plan {
            epoch: 0,
            servers: Vec::new(),
            rounds: 0,
            timeout: Duration::ZERO,
            transport: Transport::Udp,
        }
    }
}

impl Server {
    /// It has not answered what it was asked at `asked`, or can't be reached: it is asked last for a while, unless
    /// it has answered others since. Then it is not dead: this name takes long, or TCP to it is closed.
    pub(super) fn suspect(&mut self, now: Instant, asked: Instant) {
        if self.heard < asked {
            self.suspect_until = now + SUSPICION;
        }
    }

    pub(super) fn all_of(names: &Names) -> Vec<Server> {
        let new = |addr: &SocketAddr| Server {
            addr: *addr,
            edns: true,
            heard: Instant::default(),
            suspect_until: Instant::default(),
        };
        names.resolv_conf.servers.iter().map(new).collect()
    }
}

/// Both families in turn, IPv6 first (RFC 8305 section 4); within a family as the server ordered them.
pub(super) fn interleave(v6: &[IpAddr], v4: &[IpAddr]) -> Arc<[IpAddr]> {
    let pairs = v6.len().min(v4.len());
    let mut addrs = Vec::with_capacity(v6.len() + v4.len());
    for (six, four) in v6.iter().zip(v4) {
        addrs.extend([*six, *four]);
    }
    addrs.extend_from_slice(&v6[pairs..]);
    addrs.extend_from_slice(&v4[pairs..]);
    addrs.into()
}
