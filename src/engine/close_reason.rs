//! Every way in which a connection ends, as data: the name that metrics and logs use.
//!
//! Not here: who decides it (`connection`, and `exchange` for what a response implies).

use crate::wire::response::Unfit;

/// Why a connection may not be (re)used: every way in which one ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// TCP or TLS did not come up.
    ConnectFailed,
    /// `connectTimeout`.
    ConnectTimeout,
    /// `timeout` or `ttl`: a connection that owes an answer can't carry another request.
    Timeout,
    /// `connectionLifetime`.
    Lifetime,
    /// `idleTimeout`, or the server's own hint of it.
    Idle,
    /// The server closed it while it was idle.
    PeerClosed,
    /// Bytes came while it was idle.
    Unsolicited,
    /// Bytes came beyond the end of a response.
    Desync,
    /// The response said or implied that it is the last.
    Unfit(Unfit),
    /// The server takes no more requests on it (`Keep-Alive: max`).
    MaxRequests,
    /// The status says so (408, 421, 425).
    Status,
    /// The rest of a response took too long or was too much.
    Drain,
    /// The answer came before the request was sent.
    EarlyAnswer,
    /// What came was not HTTP/1.1.
    Protocol,
    /// The body's framing was wrong, or it was cut short.
    Body,
    /// It broke.
    Reset,
    /// It died under a request before the first response byte.
    Stale,
    /// Its place was needed elsewhere.
    Evicted,
    /// New settings allow fewer connections.
    Surplus,
    /// New settings forbid where it leads, want another client certificate, or trust others.
    Policy,
    /// The process ends.
    Shutdown,
}

impl CloseReason {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::ConnectFailed => "connect_failed",
            CloseReason::ConnectTimeout => "connect_timeout",
            CloseReason::Timeout => "timeout",
            CloseReason::Lifetime => "lifetime",
            CloseReason::Idle => "idle",
            CloseReason::PeerClosed => "peer_closed",
            CloseReason::Unsolicited => "unsolicited",
            CloseReason::Desync => "desync",
            CloseReason::Unfit(unfit) => unfit.name(),
            CloseReason::MaxRequests => "max_requests",
            CloseReason::Status => "status",
            CloseReason::Drain => "drain",
            CloseReason::EarlyAnswer => "early_answer",
            CloseReason::Protocol => "protocol",
            CloseReason::Body => "body",
            CloseReason::Reset => "reset",
            CloseReason::Stale => "stale",
            CloseReason::Evicted => "evicted",
            CloseReason::Surplus => "surplus",
            CloseReason::Policy => "policy",
            CloseReason::Shutdown => "shutdown",
        }
    }
}
