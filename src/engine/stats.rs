//! What an engine has counted since it began.

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

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Stats) {
        self.connections_opened += other.connections_opened;
        self.requests += other.requests;
        self.reused += other.reused;
        self.resends += other.resends;
        self.stale_inputs += other.stale_inputs;
    }
}
