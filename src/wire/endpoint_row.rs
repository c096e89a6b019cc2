//! How one origin stands at a moment, and what was counted there: a row of `ctl endpoints` and of the metrics.
//!
//! Engines are asked for a few rows at a time, from a slot on, and say from which to ask next: so no question about
//! all origins holds anybody up.
//!
//! Not here: who asks and adds up (`intake/survey`), how it is written (`metrics`, `ctl`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::wire::tally::{Durations, Tally, Waits};
use crate::wire::url::Origin;

/// One origin.
#[derive(Clone, Debug)]
pub struct EndpointRow {
    /// Which.
    pub origin: Arc<Origin>,
    /// How it stands.
    pub state: EndpointState,
    /// What was counted since it was first known.
    pub tally: Tally,
}

/// How an origin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// Connections on their way up, or with a request on them.
    pub active: u32,
    /// Connections without one.
    pub idle: u32,
    /// `maxConnections`.
    pub max: u32,
    /// What an attempt may take: `timeout`, or what `adaptiveTimeout` makes of it.
    pub timeout: Duration,
    /// Requests that may be under way at once: `maxConnections`, or what `adaptiveConcurrency` makes of it.
    pub concurrency: u32,
    /// How reliable it is, from 0 to 100.
    pub score: u8,
    /// Half of its last attempts took no longer; none if there were none.
    pub p50: Option<Duration>,
    /// 99 of 100 of its last attempts took no longer; none if there were none.
    pub p99: Option<Duration>,
    /// Attempts under way.
    pub attempts: u32,
    /// Jobs that wait, for a connection or for their next attempt, by priority: high, normal, low.
    pub queued: [u32; 3],
    /// Of these, jobs that could be sent now if a connection were free.
    pub pending: u32,
    /// What the breaker is.
    pub breaker: BreakerState,
}

/// One origin as metrics show it, whether or not an engine knows it at the moment; or many under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The origin, or [`OTHER`].
    pub name: Box<str>,
    /// How it stands; none: it is forgotten.
    pub state: Option<EndpointState>,
    /// What was counted since the process began.
    pub tally: Tally,
}

/// The name of all origins together that have none of their own.
pub const OTHER: &str = "other";

/// What a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts may begin.
    Closed,
    /// One attempt may be under way.
    HalfOpen,
    /// None may, for a while.
    Open,
    /// None may until somebody resets it.
    Isolated,
}

/// An engine's answer: some of its origins.
#[derive(Debug)]
pub struct Rows {
    /// The rows, in the order of their slots.
    pub rows: Vec<EndpointRow>,
    /// The slot to ask from next; none: that was all.
    pub next: Option<u32>,
    /// What it counts for all its origins together.
    pub totals: Totals,
}

/// What an engine counts for all its origins together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How long jobs waited for a connection.
    pub waits: Waits,
    /// How long attempts took until their response's head was there, by `region`, where endpoints have one.
    pub regions: Vec<(Arc<str>, Durations)>,
    /// When a job was last put off because no name server could say.
    pub names: Option<PutOff>,
    /// When a job was last put off by other trouble of this machine's own.
    pub local: Option<PutOff>,
}

/// A job was put off by this machine's own trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// When.
    pub at: Instant,
    /// What the trouble was at first, in words.
    pub message: Arc<str>,
}

impl Endpoint {
    /// One of which nothing is known yet.
    #[must_use]
    pub fn new(name: Box<str>) -> Endpoint {
        Endpoint {
            name,
            state: None,
            tally: Tally::default(),
        }
    }
}

impl EndpointState {
    /// Whether it has a connection or a job that waits: then its connections count in the pool's utilisation.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.active + self.idle > 0 || self.queued.iter().any(|count| *count > 0)
    }

    /// How several origins stand together: sums, the longest times, the least score, and the breaker that is furthest
    /// from closed.
    #[must_use]
    pub fn and(self, other: EndpointState) -> EndpointState {
        let breakers = [self.breaker, other.breaker];
        let worst = breakers.into_iter().max_by_key(|state| state.number());
        EndpointState {
            active: self.active + other.active,
            idle: self.idle + other.idle,
            max: self.max.saturating_add(other.max),
            timeout: self.timeout.max(other.timeout),
            concurrency: self.concurrency.saturating_add(other.concurrency),
            score: self.score.min(other.score),
            p50: self.p50.max(other.p50),
            p99: self.p99.max(other.p99),
            attempts: self.attempts + other.attempts,
            queued: std::array::from_fn(|priority| self.queued[priority] + other.queued[priority]),
            pending: self.pending + other.pending,
            breaker: worst.unwrap_or(self.breaker),
        }
    }
}

impl Totals {
    /// An attempt at an endpoint of this region has ended with a response, after so long.
    pub fn on_answered(&mut self, region: &Arc<str>, took: Duration) {
        self.of_region(region).add(took);
    }

    /// Adds what another engine has counted by region.
    pub fn add_regions(&mut self, other: &Totals) {
        for (region, durations) in &other.regions {
            *self.of_region(region) += durations;
        }
    }

    /// In the order of their names, of which there are as many as the configuration has.
    fn of_region(&mut self, region: &Arc<str>) -> &mut Durations {
        let place = self.regions.binary_search_by(|(name, _)| name.cmp(region));
        let place = place.unwrap_or_else(|place| {
            let new = (Arc::clone(region), Durations::default());
            self.regions.insert(place, new);
            place
        });
        &mut self.regions[place].1
    }
}

impl BreakerState {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half-open",
            BreakerState::Open => "open",
            BreakerState::Isolated => "isolated",
        }
    }

    /// The number that metrics show.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open | BreakerState::Isolated => 2,
        }
    }
}
