//! How many origins are remembered: the engine's share of `maxOrigins`, and none for longer than [`REMEMBERED`].
//!
//! Whoever may submit names origins, as many as they like. So one that has neither jobs nor connections any more is
//! looked at once, when the call that took the last of them is over: where nothing was learnt of it (all its jobs were
//! blocked, or had no time left), it leaves nothing. Else it gives back the memory that only jobs and connections need,
//! and is forgotten when its turn comes (`unused`). Those with jobs or connections are bounded by their own limits.
//!
//! Not here: what is learnt (`origin`), whoever hears of it (`intake`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::slab::Key;
use crate::base::time::{Instant, Now};
use crate::engine::Engine;
use crate::engine::event::Output;
use crate::engine::unused::Filed;

/// How long an origin is remembered that has neither jobs nor connections.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Origins forgotten in one call, beside those of which nothing was learnt.
const FORGOTTEN_A_CALL: usize = 64;

impl Engine {
    /// An origin may have lost its last job, or its last connection: it is looked at when this call is over.
    pub(super) fn look_if_unused(&mut self, key: Key) {
        let origin = &mut self.origins[key];
        if origin.is_unused() && !origin.is_emptied && origin.filed.is_none() {
            origin.is_emptied = true;
            self.emptied.push(key);
        }
    }

    /// A call is over: files the origins that it has left unused, and forgets those that are too many or too old.
    pub(super) fn tidy_up(&mut self, now: Now) {
        for key in std::mem::take(&mut self.emptied) {
            let Some(origin) = self.origins.get_mut(key) else {
                continue;
            };
            origin.is_emptied = false;
            if !origin.is_unused() || origin.breaker.is_isolated() {
                continue;
            }
            if origin.is_blank(now.mono) {
                self.forget(key);
                continue;
            }
            origin.rest();
            let filed = Filed {
                since: origin.last_job,
                is_open: !origin.breaker.is_closed(),
            };
            origin.filed = Some(filed);
            self.unused.insert(key, filed);
        }
        for _ in 0..FORGOTTEN_A_CALL {
            let Some(key) = self.next_to_forget(now.mono) else {
                return;
            };
            self.forget(key);
        }
    }

    /// It has a job, or may be isolated: it is used.
    pub(super) fn use_again(&mut self, key: Key) {
        if let Some(filed) = self.origins[key].filed.take() {
            self.unused.remove(key, filed);
        }
    }

    /// When the next origin is forgotten, if nothing else happens; at once where there are too many.
    pub(super) fn forgets_at(&self) -> Option<Instant> {
        if self.next_to_forget(Instant::default()).is_some() {
            return Some(Instant::default());
        }
        let longest = self.unused.longest();
        longest.map(|(since, _)| since + REMEMBERED)
    }

    fn next_to_forget(&self, now: Instant) -> Option<Key> {
        let max = self.policy.max_origins as usize;
        if self.origins.len() > max {
            return self.unused.first(max);
        }
        let longest = self.unused.longest();
        longest
            .filter(|(since, _)| *since + REMEMBERED <= now)
            .map(|(_, key)| key)
    }

    /// Nothing is left of it here; whoever adds up what was counted hears what that was.
    fn forget(&mut self, key: Key) {
        self.use_again(key);
        let origin = self.origins.remove(key).expect("it was looked at");
        self.by_name.remove(&*origin.name.text);
        if let Some((timer, _)) = origin.gate {
            self.wheel.cancel(timer);
        }
        if let Some(wish) = origin.wants_place {
            self.places.forget(key, wish);
        }
        if let Some(since) = origin.idle_filed {
            self.places.forget_idle(origin.standing, since, key);
        }
        self.outputs.push_back(Output::OriginRetired {
            origin: Arc::clone(&origin.name),
            slot: key.index() as u32,
            tally: Box::new(origin.tally),
        });
    }
}
