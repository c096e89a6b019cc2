//! What may change while conduit runs, and how the front asks for it.
//!
//! A change is whole and checked. The front carries it out or says why it can't; only if it did is it what holds, so
//! that all of it takes effect, or none. Files are read, and all that grows with them is made of them, on a thread of
//! their own (`rereading`): what comes back is swapped in. A change of one origin costs the same however many there
//! are.
//!
//! Not here: files, names and ranges (`config/live`), who may ask (intake).

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use conduit::engine::policy::{Endpoint, Policy};
use conduit::intake::limits::{EndpointLimits, Limits};
use conduit::wire::url::Origin;

use crate::io::log::Format;
use crate::io::socket::Users;
use crate::io::tls::Credentials;

/// What a change is asked for.
#[derive(Debug)]
pub enum Question<'a> {
    /// This was read, and is to hold.
    Take(Proposal),
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

/// What the configuration says, as [`Steering::read`] has read it and only [`Steering::answer`] understands it.
pub type Proposal = Box<dyn Any + Send>;

/// What held before, if it is so large that giving back its memory takes time.
pub type Former = Option<Box<dyn Any + Send>>;

/// Reads the configuration again, which may take as long as a file system likes. Its error is all that is wrong, a line
/// each.
pub type Read = Box<dyn FnMut() -> Result<Proposal, Vec<String>> + Send>;

/// Has the change carried out, or says all that keeps it from being one, a line each.
pub type Answer = Box<dyn FnMut(Question<'_>, Follow<'_>) -> Result<Former, Vec<String>>>;

/// Carries a step out, or changes nothing and says why, a line each.
pub type Follow<'a> = &'a mut dyn FnMut(Step) -> Result<(), Vec<String>>;

/// What can be changed.
pub struct Steering {
    /// For another thread.
    pub read: Read,
    /// At once.
    pub answer: Answer,
}

/// What is to be carried out.
#[derive(Debug)]
pub enum Step {
    /// Everything.
    All(Box<Change>),
    /// One origin's settings, which can't fail.
    Own(Own),
}

/// What holds at one origin from now on.
#[derive(Clone, Debug)]
pub struct Own {
    /// Which.
    pub origin: Arc<Origin>,
    /// What its engine obeys.
    pub endpoint: Arc<Endpoint>,
    /// What intake obeys.
    pub limits: EndpointLimits,
}

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
