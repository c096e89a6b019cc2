//! What may change while conduit runs, and how the front asks for it.
//!
//! A change is whole and checked. The front carries it out or says why it can't; only if it did is it what holds, so
//! that all of it takes effect, or none.
//!
//! Not here: files, names and ranges (`config/live`), who may ask (intake).

use std::time::Duration;

use conduit::engine::policy::Policy;
use conduit::intake::limits::Limits;

use crate::io::log::Format;
use crate::io::socket::Users;
use crate::io::tls::Credentials;

/// What a change is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// The configuration is to be read again.
    Reload,
    /// `ctl set ORIGIN KEY=VALUE`.
    Set {
        /// Whose setting.
        origin: &'a str,
        /// Its name.
        key: &'a str,
        /// Its value, as a flag has it.
        value: &'a str,
    },
}

/// Has the change carried out, or says all that keeps it from being one, a line each.
pub type Steering = Box<dyn FnMut(Question<'_>, Follow<'_>) -> Result<(), Vec<String>>>;

/// Carries a change out, or changes nothing and says why, a line each.
pub type Follow<'a> = &'a mut dyn FnMut(Change) -> Result<(), Vec<String>>;

/// What holds from now on.
#[derive(Debug)]
pub struct Change {
    /// What engines obey; `max_connections_total` and `max_origins` are the process's.
    pub policy: Policy,
    /// What intake obeys.
    pub limits: Limits,
    /// Whose certificates are trusted and which are shown, if that has changed.
    pub tls: Option<Credentials>,
    /// What requests in flight get after a signal.
    pub shutdown_timeout: Duration,
    /// Clients that may be connected to the socket at the same time.
    pub clients_max: usize,
    /// Bytes of dead letters in the spool.
    pub max_dead_bytes: u64,
    /// Who may do what at the socket.
    pub users: Users,
    /// What is worth a log line.
    pub log_level: log::LevelFilter,
    /// What a log line looks like.
    pub log_format: Format,
    /// What should be known, a log line each.
    pub warnings: Vec<String>,
}
