//! One origin: who waits for it, which connections it has, and since when nothing happens there.
//!
//! An origin belongs to one engine for as long as it is remembered, so its limits are exact without a lock.
//! It hands out capacity, not connections: nothing outside `connection` assumes one job per connection.
//!
//! Not here: when a job gets a connection or a dial (`dispatch`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::engine::pool::Pool;
use crate::engine::queue::Queue;
use crate::wire::url;

/// How long an origin is remembered that has neither jobs nor connections.
pub const REMEMBERED: Duration = Duration::from_secs(3600);

/// One origin.
#[derive(Debug)]
pub struct Origin {
    /// Scheme, host and port.
    pub name: Arc<url::Origin>,
    /// Jobs that wait for a connection.
    pub queue: Queue,
    /// Its connections.
    pub pool: Pool,
    /// When it last had a job.
    pub last_job: Instant,
    /// It waits in `places`, filed under this many connections.
    pub wants_place: Option<u32>,
    /// It waits in the engine's backlog.
    pub in_backlog: bool,
}

impl Origin {
    /// An origin without jobs or connections.
    #[must_use]
    pub fn new(now: Instant, name: Arc<url::Origin>) -> Origin {
        Origin {
            name,
            queue: Queue::default(),
            pool: Pool::default(),
            last_job: now,
            wants_place: None,
            in_backlog: false,
        }
    }

    /// When it may be forgotten, if nothing happens until then.
    #[must_use]
    pub fn forgotten_at(&self, now: Instant) -> Instant {
        if self.queue.is_empty() && self.pool.is_empty() {
            self.last_job + REMEMBERED
        } else {
            now + REMEMBERED
        }
    }
}
