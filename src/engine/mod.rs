//! Floor 2: delivery. One engine a loop: the decisions, without a socket, a clock or a thread.
//!
//! ```text
//!   Input --> Engine --> Output          origin: queue  jobs in line
//!              |  |  \                           pool   connections: dial, exchange
//!        wheel   resolver  places
//! ```
//!
//! A driver hands in what happened with [`Engine::handle_input`] and [`Engine::handle_timeout`], then performs
//! every [`Output`] that [`Engine::poll_output`] gives, and comes back no later than
//! [`Engine::poll_timeout`]. Calls are bounded; work that concerns many origins is done a little at a time,
//! and until it is done `poll_timeout` says "at once". An input for a socket that is closed is counted and
//! ignored. Every job handed in comes back in exactly one [`Output::Done`].
//!
//! The leaves (`queue`, `pool`, `connection`, …) take facts and return values; they never call up. Four rooms
//! know strangers at once: this one (inputs, timers, sockets), `dispatch` (jobs and connections find each
//! other), `dialing` (connections come up) and `conclude` (what becomes of a job). Start reading at `connection`.

mod attempt;
mod close_reason;
mod conclude;
mod connection;
mod dial;
mod dialing;
mod dispatch;
pub mod event;
mod exchange;
pub mod guard;
mod origin;
pub mod outcome;
mod places;
pub mod policy;
mod pool;
mod queue;
pub mod resolver;
pub mod stats;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::map::Map;
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::base::wheel::Wheel;
use crate::engine::event::{Appetite, Cause, Input, Output, SockId};
use crate::engine::origin::Origin;
use crate::engine::places::Places;
use crate::engine::policy::Policy;
use crate::engine::resolver::Resolver;
use crate::engine::stats::Stats;
use crate::wire::names::Names;

/// One engine: the origins that it owns, and all that goes on there.
#[derive(Debug)]
pub struct Engine {
    policy: Arc<Policy>,
    origins: Slab<Origin>,
    /// By [`crate::wire::url::Origin::text`].
    by_name: Map<Box<str>, Key>,
    sockets: Slab<Owner>,
    /// The socket of each query, by the index of the query's key.
    query_socks: Vec<Option<SockId>>,
    wheel: Wheel<Alarm>,
    resolver: Resolver,
    rng: Rng,
    places: Places,
    /// Origins where more can be done than one call may do, each once.
    backlog: VecDeque<Key>,
    phase: Phase,
    outputs: VecDeque<Output>,
    /// Jobs held.
    jobs: usize,
    /// Of these, in line for a connection.
    waiting: u32,
    /// What was last said of [`Output::Appetite`]; none: jobs have come in since.
    reported: Option<Appetite>,
    stats: Stats,
}

/// Whose socket it is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Connection(Place),
    Query(Key),
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    origin: Key,
    connection: Key,
}

/// What an entry in the wheel is for.
#[derive(Clone, Copy, Debug)]
enum Alarm {
    Connection(Place),
    Waiting { origin: Key, job: Key },
    Forget { origin: Key },
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// What waits is being cancelled, what is in flight finishes; swept up to this slot.
    Draining {
        swept: usize,
    },
    /// What is in flight is being cut; swept up to this slot.
    Aborting {
        swept: usize,
    },
}

/// Entries of the wheel handled in one call.
const ALARMS_A_CALL: usize = 256;
/// Dials begun, jobs given to idle connections, and jobs cancelled at one origin, in one call.
const STEPS_A_CALL: usize = 64;
/// Origins of the backlog looked at in one call.
const BACKLOG_A_CALL: usize = 64;

impl Engine {
    /// An engine without origins. `seed` decides everything that is left to chance.
    #[must_use]
    pub fn new(now: Now, policy: Arc<Policy>, names: Arc<Names>, seed: [u8; 32]) -> Engine {
        let mut rng = Rng::from_seed(seed);
        let mut resolver = Resolver::new(rng.fork(), [rng.next_u64(), rng.next_u64()]);
        resolver.set_names(names);
        Engine {
            policy,
            origins: Slab::new(),
            by_name: Map::new([rng.next_u64(), rng.next_u64()]),
            sockets: Slab::new(),
            query_socks: Vec::new(),
            wheel: Wheel::new(now.mono),
            resolver,
            rng,
            places: Places::default(),
            backlog: VecDeque::new(),
            phase: Phase::Running,
            outputs: VecDeque::new(),
            jobs: 0,
            waiting: 0,
            reported: Some(Appetite::default()),
            stats: Stats::default(),
        }
    }

    /// Takes what happened. Its outputs are queued when the call returns.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Job(job) => self.on_job(now, job),
            Input::Connected { sock } => self.on_connected(now, sock),
            Input::Secured { sock, resumed: _ } => self.on_secured(now, sock),
            Input::ConnectFailed { sock, cause } => self.on_connect_failed(now, sock, cause),
            Input::Sent { sock, bytes } => self.on_sent(now, sock, bytes),
            Input::WriteFailed { sock, cause: _ } => self.on_write_failed(now, sock),
            Input::Received { sock, bytes, end } => self.on_received(now, sock, bytes, end),
            Input::Closed { sock, cause } => self.on_closed(now, sock, &cause),
            Input::Answer { sock, message } => self.on_answer(now, sock, message),
            Input::Names(names) => self.resolver.set_names(names),
            Input::Policy(policy) => self.policy = policy,
            Input::Drain => {
                if self.phase == Phase::Running {
                    self.phase = Phase::Draining { swept: 0 };
                }
            }
            Input::Abort => self.phase = Phase::Aborting { swept: 0 },
        }
    }

    /// Does what has become due. Afterwards [`Engine::poll_timeout`] is later than `now`, or none, or bounded
    /// work is left over.
    pub fn handle_timeout(&mut self, now: Now) {
        if self
            .resolver
            .poll_timeout()
            .is_some_and(|due| due <= now.mono)
        {
            self.resolver.handle_timeout(now);
            self.pump_resolver(now);
        }
        for _ in 0..ALARMS_A_CALL {
            match self.wheel.expire(now.mono) {
                Some(Alarm::Connection(place)) => self.on_connection_alarm(now, place),
                Some(Alarm::Waiting { origin, job }) => self.on_waiting_alarm(now, origin, job),
                Some(Alarm::Forget { origin }) => self.on_forget_alarm(now, origin),
                None => break,
            }
        }
        for _ in 0..BACKLOG_A_CALL.min(self.backlog.len()) {
            let Some(key) = self.backlog.pop_front() else {
                break;
            };
            if let Some(origin) = self.origins.get_mut(key) {
                origin.in_backlog = false;
                self.feed(now, key);
            }
        }
        self.sweep(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let appetite = Appetite {
            waiting: self.waiting,
            busy: self.places.busy(),
        };
        if self.reported == Some(appetite) {
            return None;
        }
        self.reported = Some(appetite);
        Some(Output::Appetite(appetite))
    }

    /// When to call [`Engine::handle_timeout`] at the latest; `None`: nothing is due unless something happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sweeping = match self.phase {
            Phase::Running => false,
            Phase::Draining { swept } | Phase::Aborting { swept } => {
                self.origins.next_from(swept).is_some()
            }
        };
        if sweeping || !self.backlog.is_empty() {
            return Some(Instant::default());
        }
        match (self.wheel.next_deadline(), self.resolver.poll_timeout()) {
            (Some(wheel), Some(resolver)) => Some(wheel.min(resolver)),
            (wheel, resolver) => wheel.or(resolver),
        }
    }

    /// The bytes of this socket that are not sent yet, in order; for a query, its one datagram.
    #[must_use]
    pub fn transmit(&self, sock: SockId) -> [&[u8]; 2] {
        match self.sockets.get(sock.0) {
            None => [&[], &[]],
            Some(Owner::Query(query)) => [self.resolver.message(*query), &[]],
            Some(Owner::Connection(place)) => {
                self.origins[place.origin].pool[place.connection].unsent()
            }
        }
    }

    /// Jobs that have not come back yet.
    #[must_use]
    pub const fn jobs(&self) -> usize {
        self.jobs
    }

    /// Connections that are open or on their way up.
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.places.open()
    }

    /// What it has counted.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Panics if its parts disagree: for tests, after every step. Walks everything.
    pub fn check_invariants(&self) {
        let (mut jobs, mut in_line, mut connections, mut idle, mut socks) = (0, 0, 0, 0, 0);
        for (_, origin) in self.origins.iter() {
            origin.pool.check_invariants();
            jobs += origin.queue.len();
            in_line += origin.queue.in_line();
            connections += origin.pool.len() as u32;
            idle += origin.pool.idle_len();
            for (_, connection) in origin.pool.iter() {
                jobs += usize::from(connection.is_exchanging());
                socks += usize::from(connection.sock.is_some());
                let (_, at) = connection.alarm.expect("every connection has an alarm");
                assert!(
                    at <= connection.deadline(),
                    "an alarm later than its deadline"
                );
            }
            let room = origin.pool.len() < self.policy.endpoint.max_connections as usize;
            let waits = origin.queue.in_line() > origin.pool.dials() && origin.pool.idle_len() == 0;
            let excused = origin.wants_place.is_some() || origin.in_backlog;
            assert!(
                !(room && waits) || excused || self.phase != Phase::Running,
                "a job waits without cause"
            );
        }
        assert_eq!(jobs, self.jobs, "jobs held");
        assert_eq!(in_line, self.waiting, "jobs in line");
        assert_eq!(
            (connections, connections - idle),
            (self.places.open(), self.places.busy()),
            "places"
        );
        let queries = self.query_socks.iter().flatten().count();
        assert_eq!(socks + queries, self.sockets.len(), "sockets have owners");
    }

    fn place_of(&mut self, sock: SockId) -> Option<Place> {
        match self.sockets.get(sock.0) {
            Some(Owner::Connection(place)) => Some(*place),
            Some(Owner::Query(_)) | None => {
                self.stats.stale_inputs += 1;
                None
            }
        }
    }

    fn on_connected(&mut self, now: Now, sock: SockId) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let origin = &mut self.origins[place.origin];
        let secure = origin.name.is_secure();
        let Some(dial) = origin.pool[place.connection].dial_mut() else {
            return;
        };
        dial.on_connected(now.mono, secure);
        if secure {
            self.outputs.push_back(Output::Secure {
                sock,
                origin: Arc::clone(&origin.name),
            });
        } else {
            self.on_up(now, place);
        }
    }

    fn on_secured(&mut self, now: Now, sock: SockId) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let Some(dial) = self.origins[place.origin].pool[place.connection].dial_mut() else {
            return;
        };
        dial.on_secured(now.mono);
        self.on_up(now, place);
    }

    fn on_sent(&mut self, now: Now, sock: SockId, bytes: usize) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let turn = self.origins[place.origin].pool[place.connection].on_sent(now.mono, bytes);
        self.apply(now, place, turn);
    }

    fn on_write_failed(&mut self, now: Now, sock: SockId) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let turn = self.origins[place.origin].pool[place.connection].on_write_failed();
        self.apply(now, place, turn);
    }

    fn on_received(&mut self, now: Now, sock: SockId, bytes: &[u8], end: bool) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let connection = &mut self.origins[place.origin].pool[place.connection];
        let turn = connection.on_received(now.mono, &self.policy.endpoint, bytes, end);
        self.apply(now, place, turn);
    }

    fn on_closed(&mut self, now: Now, sock: SockId, cause: &Cause) {
        if let Some(Owner::Query(query)) = self.sockets.get(sock.0).copied() {
            self.forget_query(query, false);
            self.resolver.handle_query_failed(now, query);
            self.pump_resolver(now);
            return;
        }
        let Some(place) = self.place_of(sock) else {
            return;
        };
        self.sockets.remove(sock.0);
        let connection = &mut self.origins[place.origin].pool[place.connection];
        connection.sock = None;
        let turn = connection.on_closed(cause);
        self.apply(now, place, turn);
    }

    fn on_answer(&mut self, now: Now, sock: SockId, message: &[u8]) {
        let Some(Owner::Query(query)) = self.sockets.get(sock.0).copied() else {
            self.stats.stale_inputs += 1;
            return;
        };
        self.resolver.handle_answer(now, query, message);
        self.pump_resolver(now);
    }

    fn pump_resolver(&mut self, now: Now) {
        while let Some(output) = self.resolver.poll_output() {
            match output {
                resolver::Output::Query { query, server } => {
                    let sock = SockId(self.sockets.insert(Owner::Query(query)));
                    if self.query_socks.len() <= query.index() {
                        self.query_socks.resize(query.index() + 1, None);
                    }
                    self.query_socks[query.index()] = Some(sock);
                    self.outputs.push_back(Output::Query { sock, server });
                }
                resolver::Output::Forget { query } => self.forget_query(query, true),
                resolver::Output::Resolved { asker, result } => {
                    self.on_resolved(now, asker, &result)
                }
            }
        }
    }

    /// Closes a query's socket; `open`: the shell still has it.
    fn forget_query(&mut self, query: Key, open: bool) {
        let Some(sock) = self
            .query_socks
            .get_mut(query.index())
            .and_then(Option::take)
        else {
            return;
        };
        self.sockets.remove(sock.0);
        if open {
            self.outputs.push_back(Output::Close { sock });
        }
    }

    fn on_connection_alarm(&mut self, now: Now, place: Place) {
        let origin = &mut self.origins[place.origin];
        let connection = &mut origin.pool[place.connection];
        connection.alarm = None;
        if connection.deadline() > now.mono {
            self.arm(place);
            return;
        }
        if let Some(dial) = connection.dial() {
            let happened = dial.timed_out();
            self.fail_dial(now, place, happened);
            return;
        }
        let turn = connection.on_deadline(now.mono);
        self.apply(now, place, turn);
    }

    fn on_forget_alarm(&mut self, now: Now, key: Key) {
        let origin = &self.origins[key];
        let due = origin.forgotten_at(now.mono);
        if due > now.mono {
            self.wheel.arm(due, Alarm::Forget { origin: key });
            return;
        }
        let origin = self
            .origins
            .remove(key)
            .expect("the alarm names an origin that is remembered");
        self.by_name.remove(&*origin.name.text);
        if let Some(connections) = origin.wants_place {
            self.places.forget(key, connections);
        }
        self.outputs.push_back(Output::OriginRetired {
            origin: origin.name,
        });
    }

    /// Has the origin looked at again soon: more can be done there than this call may do.
    fn revisit(&mut self, key: Key) {
        let origin = &mut self.origins[key];
        if !origin.in_backlog {
            origin.in_backlog = true;
            self.backlog.push_back(key);
        }
    }

    /// Arms the connection's entry in the wheel, unless it fires early enough as it is: then the true deadline
    /// is looked at when it does.
    fn arm(&mut self, place: Place) {
        let connection = &mut self.origins[place.origin].pool[place.connection];
        let deadline = connection.deadline();
        match connection.alarm {
            Some((_, at)) if at <= deadline => return,
            Some((timer, _)) => {
                self.wheel.cancel(timer);
            }
            None => {}
        }
        connection.alarm = Some((self.wheel.arm(deadline, Alarm::Connection(place)), deadline));
    }
}

#[cfg(test)]
mod tests;
