//! The stub resolver: turns names into addresses by `/etc/hosts`, its cache and the name servers.
//!
//!   lookup --hosts, cache--> Ready, Failed
//!      \--> Open --one family has addresses--> Grace --50 ms--> Told
//!              |\____ 1.8 s, or no place, and older addresses are known ____/ |
//!               \______ both families have ended ____|____________/--> cache
//!
//! A look-up asks for AAAA and A side by side; each of the two goes through the servers (`asking`). Its askers are told
//! early, if addresses are there ([`Rest::Coming`]), and in any case when both families have ended: so what becomes of
//! a job does not hang on which of the two answers comes first.
//!
//! To begin, a look-up needs a place; places are shared among zones (`line`). One without an answer for [`SLOW_AFTER`]
//! yields its place where another waits for it, and hears on. Names that nobody answered for the last time have a few
//! places of their own.
//!
//! Invariants: a name has at most one look-up, an asker waits for at most one name, an armed timer has an owner,
//! what is asked is forgotten (`Output::Forget`) when its family has ended.
//! Not here: sockets (`io/udp`), messages (`wire/dns`), what may be connected to (`guard`).

mod asking;
mod cache;
mod error;
mod inquiry;
mod line;
mod places;

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::base::map::Map;
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::wire::dns::{self, Family};
use crate::wire::names::Names;
use cache::{Cache, Fact};
pub use cache::{FAILURE_TTL_MAX, NAMES_MAX, STALE_MAX};
pub use error::{LookupError, ServerTrouble};
use inquiry::{Half, Inquiry, Plan, Server, Stage, Standing, Try, interleave};
use places::Places;
pub use places::{LOOKUPS_MAX, PLACES_MAX, SLOW_AFTER, YIELDED_MAX};

/// How long addresses of one family wait for those of the other (RFC 8305 section 3).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long a look-up may take before its askers are told addresses whose time is over, if there are any (RFC 8767
/// section 5): well within the time that a connection has.
pub const PATIENCE: Duration = Duration::from_millis(1_800);
/// Addresses are not believed for longer, whatever their TTL.
pub const ADDRESS_TTL_MAX: Duration = Duration::from_secs(300);
/// Nor is their absence …
pub const ABSENCE_TTL_MAX: Duration = Duration::from_secs(60);
/// … which, without a TTL, is believed for as long as the shortest failure.
pub const ABSENCE_TTL_MIN: Duration = Duration::from_secs(1);
/// For how long a server that kept silent or could not be reached is asked last.
pub const SUSPICION: Duration = Duration::from_secs(30);

/// Names to addresses.
#[derive(Debug)]
pub struct Resolver {
    rng: Rng,
    names: Arc<Names>,
    /// In the order of resolv.conf.
    servers: Vec<Server>,
    /// Counts the changes of the servers: what older ones said is not cached.
    epoch: u32,
    /// Look-ups that began, for `options rotate`.
    turn: usize,
    cache: Cache,
    inquiries: Slab<Inquiry>,
    by_name: Map<Arc<str>, Key>,
    by_asker: Map<Key, Key>,
    places: Places,
    tries: Slab<Try>,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<Output>,
}

/// A look-up that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Absolute, in lower case and without the root's dot.
    pub name: &'a str,
    /// Is told.
    pub asker: Key,
    /// Answers are of use to it until then.
    pub until: Instant,
    /// It has failed then: an absence that was told before is no answer.
    pub failed: Option<Instant>,
}

/// What a look-up gives at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// There are addresses. With [`Rest::Coming`], [`Output::Resolved`] will follow.
    Ready(Found),
    /// There is nothing to wait for.
    Failed(Failure),
    /// [`Output::Resolved`] will follow.
    Pending,
}

/// Addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Never none; IPv6 and IPv4 in turn (RFC 8305 section 4).
    pub addrs: Arc<[IpAddr]>,
    /// Whether these are all.
    pub rest: Rest,
}

/// What is known of the addresses that are not among those found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none.
    Known,
    /// There may be: name servers are being asked.
    Coming,
    /// There may be: no name server could say.
    Unknown(LookupError),
}

/// There is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub error: LookupError,
    /// When the name servers said so, which tells their answers apart; none if nobody was asked.
    pub told: Option<Instant>,
}

/// What a query goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram there, one back.
    Udp,
    /// One message there, one back, each behind its length (RFC 7766).
    Tcp,
}

/// What the resolver asks of the world.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send what [`Resolver::transmit`] shows to this server, from a socket of its own, connected to it: other
    /// ports and servers can't answer then (RFC 5452 section 9).
    Query {
        /// Names the socket in [`Resolver::handle_answer`] and its like.
        query: Key,
        /// The name server.
        server: SocketAddr,
        /// Over which of the two.
        transport: Transport,
    },
    /// Close that socket; no answer is waited for any more. One that was not opened yet need not be.
    Forget {
        /// Of an [`Output::Query`].
        query: Key,
    },
    /// The look-up of this asker has addresses, or has ended.
    Resolved {
        /// As given to [`Resolver::lookup`].
        asker: Key,
        /// As in [`Lookup`].
        result: Result<Found, Failure>,
    },
}

impl Resolver {
    /// A resolver that knows no files yet: it asks the loopback addresses, as without a resolv.conf. `seed` is
    /// for its hash maps.
    #[must_use]
    pub fn new(rng: Rng, seed: [u64; 2]) -> Resolver {
        let names = Arc::new(Names::default());
        Resolver {
            rng,
            servers: Server::all_of(&names),
            names,
            epoch: 0,
            turn: 0,
            cache: Cache::new(seed),
            inquiries: Slab::new(),
            by_name: Map::new(seed),
            by_asker: Map::new(seed),
            places: Places::new(seed),
            tries: Slab::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what the files say now. With other name servers everything they said before is forgotten;
    /// look-ups that have begun end with the servers they began with.
    pub fn set_names(&mut self, names: Arc<Names>) {
        let servers = Server::all_of(&names);
        let is_same = |(one, other): (&Server, &Server)| one.addr == other.addr;
        if servers.len() != self.servers.len() || !servers.iter().zip(&self.servers).all(is_same) {
            self.servers = servers;
            self.epoch += 1;
            self.cache.clear();
        }
        self.names = names;
    }

    /// Looks up a name. The asker is told how that ends, once, however often it has asked for the name until then;
    /// before that, once, of addresses that are there early.
    ///
    /// # Panics
    /// If the asker already waits for another name.
    pub fn lookup(&mut self, now: Now, ask: Ask<'_>) -> Lookup {
        let name = ask.name;
        if is_under(name, "onion") {
            return failed(LookupError::Onion);
        }
        if let Some(addrs) = self.local(name) {
            let rest = Rest::Known;
            return Lookup::Ready(Found { addrs, rest });
        }
        let under_way = self.by_name.get(name).copied();
        match self.cache.get(now.mono, name) {
            Some(Ok(found)) => return Lookup::Ready(found.clone()),
            Some(Err(failure)) if failure.error.is_local() || !is_outdated(failure, ask.failed) => {
                return Lookup::Failed(*failure);
            }
            Some(Err(_)) | None => {}
        }
        let key = match under_way {
            Some(key) => key,
            None if dns::check_name(name).is_err() => return failed(LookupError::BadName),
            None if self.inquiries.len() >= LOOKUPS_MAX => return failed(LookupError::Busy),
            None => self.enqueue(name),
        };
        let inquiry = &mut self.inquiries[key];
        inquiry.time = inquiry.time.max(ask.until.since(now.mono));
        match self.by_asker.insert(ask.asker, key) {
            None => inquiry.askers.push(ask.asker),
            Some(before) => assert_eq!(before, key, "an asker waits for one name at a time"),
        }
        self.open_queued(now);
        match self.early(now, key) {
            Some(found) => Lookup::Ready(found),
            None => Lookup::Pending,
        }
    }

    /// What an asker who comes now gets of a look-up that has not ended: what the others were told, or something
    /// better. One that has to wait for its turn makes no one wait for whom older addresses are known.
    fn early(&mut self, now: Now, key: Key) -> Option<Found> {
        let inquiry = &mut self.inquiries[key];
        if inquiry.standing == Standing::Queued
            && let Some(addrs) = self.cache.stale(now.mono, &inquiry.name)
        {
            let addrs = Arc::clone(addrs);
            inquiry.stage = Stage::Told { addrs };
        }
        let Stage::Told { addrs } = &inquiry.stage else {
            return None;
        };
        let newer = inquiry.addresses();
        let addrs = if newer.is_empty() {
            Arc::clone(addrs)
        } else {
            newer
        };
        let rest = Rest::Coming;
        Some(Found { addrs, rest })
    }

    /// The asker has no use for the result any more. Its look-up, once it has begun, goes on for the cache.
    pub fn cancel(&mut self, asker: Key) {
        if let Some(key) = self.by_asker.remove(&asker) {
            self.inquiries[key].askers.retain(|other| *other != asker);
        }
    }

    /// A datagram came. One that doesn't answer the query (RFC 5452 section 9) or is malformed changes nothing.
    pub fn handle_answer(&mut self, now: Now, query: Key, message: &[u8]) {
        if let Some(Ok(answer)) = self.decode(query, message) {
            self.on_answer(now, query, answer);
        }
    }

    /// So many of the bytes that [`Resolver::transmit`] showed have been taken by TCP.
    pub fn handle_sent(&mut self, query: Key, bytes: usize) {
        if let Some(tried) = self.tries.get_mut(query) {
            tried.sent_bytes += bytes;
        }
    }

    /// Bytes came over TCP; `end`: and no more will. Nobody else can have sent them, so a message that doesn't
    /// answer the query is the server's failure.
    pub fn handle_received(&mut self, now: Now, query: Key, bytes: &[u8], end: bool) {
        let Some(tried) = self.tries.get_mut(query) else {
            return;
        };
        match tried.received.push(bytes).map(<[u8]>::to_vec) {
            Some(message) => match self.decode(query, &message) {
                Some(Ok(answer)) => self.on_answer(now, query, answer),
                Some(Err(_)) | None => self.fail(now, query, ServerTrouble::Broken),
            },
            None if end => self.fail(now, query, ServerTrouble::Broken),
            None => {}
        }
    }

    /// The query's socket could not be opened, or broke; the world has forgotten it.
    pub fn handle_query_failed(&mut self, now: Now, query: Key) {
        let Some(tried) = self.tries.get(query) else {
            return;
        };
        let (addr, asked) = (tried.server, tried.asked);
        if let Some(server) = self.server_mut(addr) {
            server.suspect(now.mono, asked);
        }
        self.fail(now, query, ServerTrouble::Unreachable);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now.mono
        {
            self.timers.pop_first();
            match timer {
                Timer::Silence { inquiry, family } => self.on_silence(now, inquiry, family),
                Timer::Grace { inquiry } => self.on_grace(inquiry),
                Timer::Patience { inquiry } => self.on_patience(now, inquiry),
                Timer::Slow { inquiry } => self.on_slow(now, inquiry),
            }
        }
    }

    /// When [`Resolver::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What to do next, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the query of an [`Output::Query`] is still to be asked: it may have been forgotten since.
    #[must_use]
    pub fn is_wanted(&self, query: Key) -> bool {
        self.tries.get(query).is_some()
    }

    /// What of a query is not sent yet; empty if the query has been forgotten. A datagram is shown whole, however
    /// often.
    #[must_use]
    pub fn transmit(&self, query: Key) -> &[u8] {
        self.tries
            .get(query)
            .map_or(&[], |tried| &tried.message[tried.sent_bytes..])
    }

    /// What needs no query: the hosts file, then the names that are always this machine (RFC 6761 section 6.3).
    fn local(&self, name: &str) -> Option<Arc<[IpAddr]>> {
        let all = self.names.hosts.addresses(name);
        let addrs: Vec<IpAddr> = all.take(dns::ADDRESSES_MAX).collect();
        if !addrs.is_empty() {
            let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addrs.iter().partition(|a| a.is_ipv6());
            return Some(interleave(&v6, &v4));
        }
        is_under(name, "localhost")
            .then(|| interleave(&[Ipv6Addr::LOCALHOST.into()], &[Ipv4Addr::LOCALHOST.into()]))
    }

    fn enqueue(&mut self, name: &str) -> Key {
        let name: Arc<str> = name.into();
        let is_suspect = self.cache.was_silent(&name);
        let inquiry = Inquiry::new(Arc::clone(&name), is_suspect);
        let key = self.inquiries.insert(inquiry);
        self.places.line(is_suspect).push(&name, key);
        self.by_name.insert(name, key);
        key
    }

    /// A look-up has its place.
    fn open(&mut self, now: Now, key: Key) {
        let plan = self.plan(now);
        let inquiry = &mut self.inquiries[key];
        inquiry.plan = plan;
        inquiry.until = now.mono + inquiry.time;
        let is_untold = matches!(inquiry.stage, Stage::Open { .. });
        if is_untold && self.cache.stale(now.mono, &inquiry.name).is_some() {
            let ends = now.mono + PATIENCE;
            self.timers.insert((ends, Timer::Patience { inquiry: key }));
            inquiry.stage = Stage::Open {
                patience_ends: Some(ends),
            };
        }
        for family in [Family::V6, Family::V4] {
            self.ask_next(now, key, family);
        }
    }

    /// The servers in the order in which a look-up that begins now asks them.
    fn plan(&mut self, now: Now) -> Plan {
        let conf = &self.names.resolv_conf;
        let mut servers: Vec<&Server> = self.servers.iter().collect();
        if conf.rotate {
            servers.rotate_left(self.turn % self.servers.len());
            self.turn = self.turn.wrapping_add(1);
        }
        servers.sort_by_key(|server| server.suspect_until > now.mono);
        Plan {
            epoch: self.epoch,
            servers: servers.iter().map(|server| server.addr).collect(),
            rounds: usize::from(conf.attempts),
            timeout: conf.timeout,
            transport: if conf.use_vc {
                Transport::Tcp
            } else {
                Transport::Udp
            },
        }
    }

    /// The other family is late: the askers get what is there.
    fn on_grace(&mut self, key: Key) {
        let addrs = self.inquiries[key].addresses();
        self.tell_early(key, addrs);
    }

    /// Both families are late: the askers get what was there before.
    fn on_patience(&mut self, now: Now, key: Key) {
        let inquiry = &mut self.inquiries[key];
        inquiry.stage = Stage::Open {
            patience_ends: None,
        };
        if let Some(addrs) = self.cache.stale(now.mono, &inquiry.name).cloned() {
            self.tell_early(key, addrs);
        }
    }

    /// The askers are told of these; what is still to come they are told in the end.
    fn tell_early(&mut self, key: Key, addrs: Arc<[IpAddr]>) {
        let inquiry = &mut self.inquiries[key];
        for asker in &inquiry.askers {
            let found = Found {
                addrs: Arc::clone(&addrs),
                rest: Rest::Coming,
            };
            self.outputs.push_back(Output::Resolved {
                asker: *asker,
                result: Ok(found),
            });
        }
        inquiry.stage = Stage::Told { addrs };
    }

    fn end_half(&mut self, now: Now, key: Key, family: Family, half: Half) {
        let inquiry = &mut self.inquiries[key];
        let before = std::mem::replace(&mut inquiry.halves[family as usize], half);
        let Half::Asking(asking) = before else {
            unreachable!("a family ends once")
        };
        let timer = Timer::Silence {
            inquiry: key,
            family,
        };
        self.timers.remove(&(asking.deadline, timer));
        for query in asking.tries {
            self.tries.remove(query);
            self.outputs.push_back(Output::Forget { query });
        }
        let [v4, v6] = &inquiry.halves;
        match (&inquiry.stage, v4, v6) {
            (Stage::Open { patience_ends }, Half::Asking(_), Half::Addresses { .. })
            | (Stage::Open { patience_ends }, Half::Addresses { .. }, Half::Asking(_)) => {
                if let Some(ends) = *patience_ends {
                    self.timers
                        .remove(&(ends, Timer::Patience { inquiry: key }));
                }
                let ends = now.mono + RESOLUTION_DELAY;
                inquiry.stage = Stage::Grace { ends };
                self.timers.insert((ends, Timer::Grace { inquiry: key }));
            }
            (_, Half::Asking(_), _) | (_, _, Half::Asking(_)) => {}
            _ => self.conclude(now, key),
        }
    }

    /// Both families have ended.
    fn conclude(&mut self, now: Now, key: Key) {
        let inquiry = &self.inquiries[key];
        match inquiry.stage {
            Stage::Grace { ends } => {
                self.timers.remove(&(ends, Timer::Grace { inquiry: key }));
            }
            Stage::Open {
                patience_ends: Some(ends),
            } => {
                self.timers
                    .remove(&(ends, Timer::Patience { inquiry: key }));
            }
            Stage::Open {
                patience_ends: None,
            }
            | Stage::Told { .. } => {}
        }
        let (mut fact, expires) = inquiry.conclusion(now.mono);
        if inquiry.plan.epoch == self.epoch {
            let name = Arc::clone(&inquiry.name);
            match (&fact, expires) {
                (Err(failure), None) => {
                    fact = self.cache.insert_failure(now.mono, name, failure.error);
                }
                (_, expires) => {
                    let expires = expires.unwrap_or(now.mono);
                    self.cache.insert(now.mono, name, fact.clone(), expires);
                }
            }
        }
        self.tell(key, &fact);
        self.leave(key);
        self.open_queued(now);
    }

    fn tell(&mut self, key: Key, fact: &Fact) {
        for asker in std::mem::take(&mut self.inquiries[key].askers) {
            self.by_asker.remove(&asker);
            let result = fact.clone();
            self.outputs.push_back(Output::Resolved { asker, result });
        }
    }

    fn server_mut(&mut self, addr: SocketAddr) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.addr == addr)
    }
}

/// What falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The newest try of a family has had its time.
    Silence { inquiry: Key, family: Family },
    /// The late family has had its 50 ms.
    Grace { inquiry: Key },
    /// The askers have waited for [`PATIENCE`].
    Patience { inquiry: Key },
    /// A look-up has had its place for [`SLOW_AFTER`].
    Slow { inquiry: Key },
}

/// Whether an absence was told before the asker failed of it, or of an older one.
fn is_outdated(absence: &Failure, failed: Option<Instant>) -> bool {
    match (absence.told, failed) {
        (Some(told), Some(failed)) => told <= failed,
        (None, _) | (_, None) => false,
    }
}

/// What nobody has to be asked for.
const fn failed(error: LookupError) -> Lookup {
    let told = None;
    Lookup::Failed(Failure { error, told })
}

/// Whether a name is this one or lies under it.
fn is_under(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
