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
//! ignored. Every job handed in comes back in exactly one [`Output::Done`] or [`Output::Postponed`].
//!
//! The leaves (`queue`, `pool`, `connection`, …) take facts and return values; they never call up. Nine rooms
//! know strangers at once: this one (inputs, timers, sockets), `dispatch` (jobs and connections find each
//! other), `dialing` (connections come up), `queries` (names are looked up), `conclude` (what becomes of a
//! job), `revision` (new settings take effect), `asking` (how the origins stand), `forgetting` (how many of them are
//! remembered) and `sharing` (who gets a place for a socket). Start reading at `connection`.

mod adaptive_concurrency;
mod adaptive_timeout;
mod asking;
mod attempt;
mod backoff;
pub mod breaker;
mod close_reason;
mod conclude;
mod connection;
mod dial;
mod dialing;
mod dispatch;
pub mod event;
mod exchange;
mod forgetting;
pub mod guard;
pub mod heading;
mod idle_time;
mod latency;
mod origin;
pub mod outcome;
mod places;
pub mod policy;
mod pool;
mod preference;
mod queries;
mod queue;
mod rate;
pub mod resolver;
mod revision;
mod score;
mod sharing;
pub mod stats;
mod throttle;
mod unused;

pub use conclude::EXCERPT_BYTES_MAX;
pub use latency::RESTING_MAX as LATENCY_RESTING_MAX;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::map::Map;
use crate::base::rng::Rng;
use crate::base::slab::{Key, Slab};
use crate::base::time::{Instant, Now};
use crate::base::wheel::Wheel;
use crate::engine::breaker::BreakerState;
use crate::engine::connection::Bytes;
use crate::engine::dial::Dial;
use crate::engine::event::{Appetite, Cause, Input, Note, Output, SockId};
use crate::engine::origin::{Counted, Origin};
use crate::engine::places::{Places, Share, Standing};
use crate::engine::policy::{Endpoint, Policy};
use crate::engine::resolver::Resolver;
use crate::engine::stats::Stats;
use crate::engine::unused::Unused;
use crate::wire::endpoint_row::Totals;
use crate::wire::endpoints::Endpoints;
use crate::wire::names::Names;
use crate::wire::report::Failure;
use crate::wire::url::ByText;

/// One engine: the origins that it owns, and all that goes on there.
#[derive(Debug)]
pub struct Engine {
    policy: Arc<Policy>,
    /// What single origins obey instead, since that came.
    own: Endpoints<Arc<Endpoint>>,
    /// Boxed, so that there is no moving of all of them when there is one more.
    origins: Slab<Box<Origin>>,
    /// By [`crate::wire::url::Origin::text`].
    by_name: Map<ByText, Key>,
    /// Those that have neither jobs nor connections.
    unused: Unused,
    /// Those that may have become so in this call.
    emptied: Vec<Key>,
    sockets: Slab<Owner>,
    /// The socket of each query, by the index of the query's key.
    query_socks: Vec<Option<SockId>>,
    wheel: Wheel<Alarm>,
    resolver: Resolver,
    rng: Rng,
    places: Places,
    /// How many times there were new settings.
    revision: u64,
    /// They take effect: the next slot to look at.
    revised: Option<usize>,
    /// Origins where more can be done than one call may do, each once.
    backlog: VecDeque<Key>,
    phase: Phase,
    outputs: VecDeque<Output>,
    /// Jobs held.
    jobs: usize,
    /// Of these, those that wait, by what for.
    counted: Counted,
    /// Excerpts kept for jobs that were tried and have not ended.
    excerpt_bytes: usize,
    /// When jobs that wait may go on; some may have gone on sooner.
    dues: BinaryHeap<Reverse<Instant>>,
    /// What was told of this machine's own trouble.
    trouble: TroubleTold,
    /// The latest time that it was told.
    seen: Instant,
    /// Deadlines until then fell due while this process stood still (F87).
    excused_until: Instant,
    /// What was last said of [`Output::Appetite`]; none: jobs have come in since.
    reported: Option<Appetite>,
    stats: Stats,
    /// What it counts for all origins together, beside each one's own tally.
    totals: Totals,
}

/// What was told of this machine's own trouble.
#[derive(Clone, Copy, Debug, Default)]
struct TroubleTold {
    /// When last.
    told: Option<Instant>,
    /// How many times a job was put off since.
    put_off: u64,
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
    Gate { origin: Key },
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
/// Called so long after the asked wake-up, this process has stood still: suspended, stopped, starved (F87).
const STOOD_STILL: Duration = Duration::from_secs(1);
/// How long an attempt whose time ran out meanwhile has to read an answer that is there already.
const PAUSE_GRACE: Duration = Duration::from_secs(1);

impl Engine {
    /// An engine without origins. `seed` decides everything that is left to chance.
    #[must_use]
    pub fn new(now: Now, policy: Arc<Policy>, names: Arc<Names>, seed: [u8; 32]) -> Engine {
        let mut rng = Rng::from_seed(seed);
        let mut resolver = Resolver::new(rng.fork(), [rng.next_u64(), rng.next_u64()]);
        resolver.set_names(names);
        Engine {
            policy,
            own: Endpoints::default(),
            origins: Slab::new(),
            by_name: Map::new([rng.next_u64(), rng.next_u64()]),
            unused: Unused::default(),
            emptied: Vec::new(),
            sockets: Slab::new(),
            query_socks: Vec::new(),
            wheel: Wheel::new(now.mono),
            resolver,
            rng,
            places: Places::default(),
            revision: 0,
            revised: None,
            backlog: VecDeque::new(),
            phase: Phase::Running,
            outputs: VecDeque::new(),
            jobs: 0,
            counted: Counted::default(),
            excerpt_bytes: 0,
            dues: BinaryHeap::new(),
            trouble: TroubleTold::default(),
            seen: now.mono,
            excused_until: Instant::default(),
            reported: Some(Appetite::default()),
            stats: Stats::default(),
            totals: Totals::default(),
        }
    }

    /// Takes what happened. Its outputs are queued when the call returns.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.seen = now.mono;
        self.take(now, input);
        self.tidy_up(now);
    }

    fn take(&mut self, now: Now, input: Input<'_>) {
        if let Some((sock, query)) = self.query_of(&input) {
            return self.on_query(now, sock, query, input);
        }
        match input {
            Input::Job(job) => self.on_job(now, job),
            Input::Connected { sock } => self.on_connected(now, sock),
            Input::Secured { sock, resumed: _ } => self.on_secured(now, sock),
            Input::ConnectFailed { sock, cause } => self.on_connect_failed(now, sock, cause),
            Input::Sent { sock, bytes } => self.on_sent(now, sock, bytes),
            Input::WriteFailed { sock, cause } => self.on_write_failed(now, sock, cause),
            Input::Received {
                sock,
                bytes,
                end,
                more,
            } => self.on_received(now, sock, Bytes { bytes, end, more }),
            Input::Closed { sock, cause } => self.on_closed(now, sock, cause),
            Input::Answer { .. } => self.stats.stale_inputs += 1,
            Input::Names(names) => self.resolver.set_names(names),
            Input::Policy(policy) => self.on_policy(now, policy),
            Input::Own { origin, endpoint } => self.on_own(now, &origin, endpoint),
            Input::Ask { from } => self.on_ask(now, from),
            Input::Breaker { origin, order } => self.on_breaker_order(now, &origin, order),
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
        self.notice_pause(now);
        self.seen = now.mono;
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
                Some(Alarm::Gate { origin }) => self.on_gate_alarm(now, origin),
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
            // What it leaves of a place that it was offered is the next one's, also where it was forgotten meanwhile.
            self.offer_place();
        }
        self.revise(now);
        self.sweep(now);
        self.tidy_up(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let appetite = Appetite {
            waiting: self.counted.waiting,
            busy: self.places.busy() + self.places.resolving(),
            held: self.counted.held,
            later: self.counted.later,
            next: self.next_due(),
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
        if sweeping || self.revised.is_some() || !self.backlog.is_empty() {
            return Some(Instant::default());
        }
        self.next_deadline()
    }

    /// The bytes of this socket that are not sent yet, in order; for a query over UDP, its one datagram.
    #[must_use]
    pub fn transmit(&self, sock: SockId) -> [&[u8]; 2] {
        match self.sockets.get(sock.0) {
            None => [&[], &[]],
            Some(Owner::Query(query)) => [self.resolver.transmit(*query), &[]],
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
    pub fn connections(&self) -> u32 {
        self.places.open()
    }

    /// What the breaker of an origin, named as in [`crate::wire::url::Origin::text`], is at `now`; none if the origin
    /// is not known.
    #[must_use]
    pub fn breaker_state(&self, now: Instant, origin: &str) -> Option<BreakerState> {
        let key = self.by_name.get(origin)?;
        Some(self.origins[*key].breaker.state(now))
    }

    /// What it has counted.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Panics if its parts disagree: for tests, after every step. Walks everything.
    pub fn check_invariants(&self) {
        let (mut jobs, mut connections, mut idle, mut socks, mut racers) = (0, 0, 0, 0, 0);
        let mut counted = Counted::default();
        let mut excerpt_bytes = 0;
        let mut shares = [Share::default(); 3];
        for (_, origin) in self.origins.iter() {
            origin.check_invariants(self.seen);
            jobs += origin.queue.len();
            counted.waiting += origin.counted.waiting;
            counted.held += origin.counted.held;
            counted.later += origin.counted.later;
            connections += origin.pool.len() as u32 - origin.pool.resolving();
            idle += origin.pool.idle_len();
            let mut attempts = origin.queue.begun();
            let mut racing = 0;
            let waiting = origin.queue.iter().map(|waiting| &*waiting.job);
            let under_way = origin.pool.iter().filter_map(|(_, on)| on.job());
            let failures = waiting.chain(under_way);
            let failures = failures.filter_map(|job| job.progress.failure.as_deref());
            excerpt_bytes += failures.map(Failure::excerpt_bytes).sum::<usize>();
            for (_, connection) in origin.pool.iter() {
                attempts += u32::from(connection.is_exchanging());
                connection.check_invariants();
                jobs += usize::from(connection.is_exchanging());
                socks += connection.socks().count();
                racing += u32::from(connection.dial().is_some_and(Dial::is_racing));
                let (_, at) = connection.alarm.expect("every connection has an alarm");
                assert!(
                    at <= connection.deadline(),
                    "an alarm later than its deadline"
                );
            }
            assert_eq!(attempts, origin.attempts(), "attempts under way");
            assert_eq!(racing, origin.racers, "second sockets");
            racers += racing;
            let share = origin.share;
            let all = &mut shares[share.standing as usize];
            (all.open, all.racers) = (all.open + share.open, all.racers + share.racers);
            (all.idle, all.resolving) = (all.idle + share.idle, all.resolving + share.resolving);
            all.standing = Standing::default();
            let max = self.policy.max_connections_total;
            let spare = self.places.has_spare(max, origin.standing);
            let room = origin.pool.len() < origin.endpoint.max_connections as usize;
            let may_go = origin.next_to_dial(self.seen).is_some();
            let waits = origin.queue.in_line() > origin.pool.dials() && may_go;
            let gate_fires = origin.gate.is_some_and(|(_, at)| at <= self.seen);
            if origin.pool.len() > origin.endpoint.max_connections as usize {
                assert_eq!(origin.pool.idle_len(), 0, "idle ones that are too many");
            }
            let gets_place = origin.wants_place.is_some() && (!spare || !self.backlog.is_empty());
            let excused = gets_place || origin.in_backlog || gate_fires || self.revised.is_some();
            assert!(
                !(room && waits) || excused || self.phase != Phase::Running,
                "a job waits without cause"
            );
        }
        let has_too_many = self.places.taken() > self.policy.max_connections_total;
        assert!(
            !has_too_many || idle == 0 || self.revised.is_some(),
            "idle ones that are too many in all"
        );
        assert_eq!(jobs, self.jobs, "jobs held");
        assert_eq!(counted, self.counted, "jobs that wait, all in all");
        assert_eq!(excerpt_bytes, self.excerpt_bytes, "excerpts");
        assert_eq!(
            (connections, connections - idle, connections + racers),
            (self.places.open(), self.places.busy(), self.places.taken()),
            "places"
        );
        let filed = self
            .origins
            .iter()
            .filter(|(_, origin)| origin.filed.is_some());
        assert_eq!(filed.count(), self.unused.len(), "unused origins are filed");
        assert_eq!(&shares, self.places.shares(), "places by standing");
        let queries = self.query_socks.iter().flatten().count();
        assert_eq!(socks + queries, self.sockets.len(), "sockets have owners");
    }

    /// When jobs that wait may go on.
    fn next_due(&mut self) -> Option<Instant> {
        while self.dues.peek().is_some_and(|due| due.0 <= self.seen) {
            self.dues.pop();
        }
        self.dues.peek().map(|due| due.0)
    }

    /// When the next clock runs out.
    fn next_deadline(&self) -> Option<Instant> {
        let (wheel, resolver) = (self.wheel.next_deadline(), self.resolver.poll_timeout());
        [wheel, resolver, self.forgets_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// If the driver comes long after the time at which it was to come, what fell due meanwhile is nobody's failure.
    fn notice_pause(&mut self, now: Now) {
        // The wheel may name a time before the one at which it was last looked at, if what is armed is new.
        let asked = self.next_deadline().unwrap_or(now.mono).max(self.seen);
        let late = now.mono.since(asked);
        // Bounded work left over from a pause is not another one.
        if late <= STOOD_STILL || asked <= self.excused_until {
            return;
        }
        self.excused_until = now.mono;
        let note = Note::StoodStill { late };
        self.outputs.push_back(Output::Note(Box::new(note)));
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

    fn on_sent(&mut self, now: Now, sock: SockId, bytes: usize) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let turn = self.origins[place.origin].pool[place.connection].on_sent(now.mono, bytes);
        self.apply(now, place, turn);
    }

    fn on_write_failed(&mut self, now: Now, sock: SockId, cause: Cause) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let turn = self.origins[place.origin].pool[place.connection].on_write_failed(cause);
        self.apply(now, place, turn);
    }

    fn on_received(&mut self, now: Now, sock: SockId, came: Bytes<'_>) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        let Origin { pool, endpoint, .. } = &mut *self.origins[place.origin];
        let turn = pool[place.connection].on_received(now.mono, endpoint, came);
        self.apply(now, place, turn);
    }

    fn on_closed(&mut self, now: Now, sock: SockId, cause: Cause) {
        let Some(place) = self.place_of(sock) else {
            return;
        };
        if self.is_dialing(place) {
            return self.on_connect_failed(now, sock, cause);
        }
        self.sockets.remove(sock.0);
        let connection = &mut self.origins[place.origin].pool[place.connection];
        connection.sock = None;
        let turn = connection.on_closed(&cause);
        self.apply(now, place, turn);
    }

    fn on_connection_alarm(&mut self, now: Now, place: Place) {
        let origin = &mut self.origins[place.origin];
        let connection = &mut origin.pool[place.connection];
        connection.alarm = None;
        if connection.deadline() > now.mono {
            self.arm(place);
            return;
        }
        if let Some(dial) = connection.dial().filter(|dial| dial.deadline > now.mono) {
            let next = dial.on_stagger(now.mono);
            return self.follow(now, place, next);
        }
        if connection.deadline() <= self.excused_until && connection.excuse(now.mono + PAUSE_GRACE)
        {
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

    /// More may be done at an origin than before: its breaker is half-open, a hold or a pause of dials is over, or the
    /// rate allows another attempt.
    fn on_gate_alarm(&mut self, now: Now, origin: Key) {
        let entry = &mut self.origins[origin];
        entry.gate = None;
        entry.look_for_token(now.mono);
        self.recount(origin);
        self.arm_gate(now, origin);
        self.feed(now, origin);
    }

    /// Arms the origin's entry in the wheel for the next time at which more may be done there.
    fn arm_gate(&mut self, now: Now, key: Key) {
        let origin = &mut self.origins[key];
        let Some(next) = origin.next_change(now.mono) else {
            return;
        };
        match origin.gate {
            Some((_, at)) if at <= next => return,
            Some((timer, _)) => {
                self.wheel.cancel(timer);
            }
            None => {}
        }
        let timer = self.wheel.arm(next, Alarm::Gate { origin: key });
        self.dues.push(Reverse(next));
        self.origins[key].gate = Some((timer, next));
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
