//! How the engine's origins stand, a few at a time: for metrics, health and `ctl endpoints`.
//!
//! Not here: who asks, and adds up what all engines say (`intake/survey`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Instant, Now};
use crate::engine::Engine;
use crate::engine::event::Output;
use crate::engine::origin::Origin;
use crate::engine::outcome::{Clock, Happened};
use crate::wire::endpoint_row::{EndpointRow, EndpointState, PutOff, Rows};

/// Origins told of in one call, at most.
const ROWS_A_CALL: usize = 32;

/// Jobs that are put off within so long of each other are so by the same trouble.
const SAME_TROUBLE: Duration = Duration::from_secs(60);

impl Engine {
    /// Tells of the origins from this slot on.
    pub(super) fn on_ask(&mut self, now: Now, from: u32) {
        let mut rows = Vec::new();
        let mut next = self.origins.next_from(from as usize);
        while let Some(key) = next.filter(|_| rows.len() < ROWS_A_CALL) {
            rows.push(row(now.mono, &self.origins[key]));
            next = self.origins.next_from(key.index() + 1);
        }
        let next = next.map(|key| key.index() as u32);
        let totals = self.totals.clone();
        let rows = Rows { rows, next, totals };
        self.outputs.push_back(Output::Rows(Box::new(rows)));
    }

    /// A job was put off by this machine's own trouble.
    pub(super) fn note_put_off(&mut self, now: Now, happened: &Happened) {
        let of = match happened {
            // That says nothing of how things are now.
            Happened::Paused => return,
            Happened::Unresolved(_)
            | Happened::TimedOut(Clock::Lookup(_) | Clock::AttemptLookup(_)) => {
                &mut self.totals.names
            }
            _ => &mut self.totals.local,
        };
        let before = of
            .take()
            .filter(|before| now.mono.since(before.at) < SAME_TROUBLE);
        let message = before.map(|before| before.message);
        let message = message.unwrap_or_else(|| happened.put_off_by().into());
        *of = Some(PutOff {
            at: now.mono,
            message,
        });
    }
}

fn row(now: Instant, origin: &Origin) -> EndpointRow {
    let idle = origin.pool.idle_len();
    EndpointRow {
        origin: Arc::clone(&origin.name),
        state: EndpointState {
            active: origin.pool.len() as u32 - idle - origin.pool.resolving(),
            idle,
            max: origin.endpoint.max_connections,
            timeout: origin.attempt_limit().lasts(),
            concurrency: origin.concurrency(),
            score: origin.score(now),
            p50: origin.latency.quantile(500),
            p99: origin.latency.quantile(990),
            attempts: origin.attempts(),
            queued: origin.queue.by_priority(),
            pending: origin.pending(now),
            breaker: origin.breaker.state(now),
        },
        tally: origin.tally.clone(),
    }
}
