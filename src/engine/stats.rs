//! What an engine has counted since it began, and what it has learnt of an origin.

use std::time::Duration;

/// What an engine has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections that came up.
    pub connections_opened: u64,
    /// Requests begun, resends included.
    pub requests: u64,
    /// Of these, on a connection that had carried one before.
    pub reused: u64,
    /// Requests sent again because a kept-alive connection had died under them.
    pub resends: u64,
    /// Inputs for sockets that were closed already.
    pub stale_inputs: u64,
}

/// What an origin's attempts have taught.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learnt {
    /// How long an attempt there may take that begins now: `timeout`, or what `adaptiveTimeout` makes of it.
    pub timeout: Duration,
    /// Requests that may be under way there at once: `maxConnections`, or what `adaptiveConcurrency` makes of it.
    pub concurrency: u32,
    /// How reliable it is, from 0 to 100.
    pub score: f64,
    /// Half of the attempts took no longer; none if there were none.
    pub p50: Option<Duration>,
    /// 99 of 100 attempts took no longer; none if there were none.
    pub p99: Option<Duration>,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Stats) {
        self.connections_opened += other.connections_opened;
        self.requests += other.requests;
        self.reused += other.reused;
        self.resends += other.resends;
        self.stale_inputs += other.stale_inputs;
    }
}
