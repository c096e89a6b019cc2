//! Which origin gets a place for a socket, and whose idle connection gives way for it.
//!
//! What is shared, and by which rules, is `places`; here the engine keeps it in step with its origins: whoever opens,
//! closes, uses or leaves a connection enters the origin's share anew, and an attempt's end its standing.
//!
//! Not here: when a place is wanted (`dispatch`, `dialing`).

use crate::base::slab::Key;
use crate::base::time::Now;
use crate::engine::close_reason::CloseReason;
use crate::engine::outcome::{Accounting, Judgement, Vote};
use crate::engine::places::Standing;
use crate::engine::{Engine, Place};

impl Engine {
    /// An origin has other connections than before, or in another state.
    pub(super) fn enter_share(&mut self, origin: Key) {
        let entry = &mut self.origins[origin];
        let now = entry.present_share();
        let before = std::mem::replace(&mut entry.share, now);
        self.places.enter(before, now);
    }

    /// One of its connections has become idle.
    pub(super) fn enter_idle(&mut self, now: Now, origin: Key) {
        self.enter_share(origin);
        let entry = &mut self.origins[origin];
        if entry.idle_filed.is_none() {
            entry.idle_filed = Some(now.mono);
            let standing = entry.standing;
            self.places.file_idle(standing, now.mono, origin);
        }
    }

    /// What an attempt's end says of its origin's standing.
    pub(super) fn judge_standing(&mut self, origin: Key, judged: Judgement) {
        match (judged.accounting, judged.vote) {
            (Accounting::Counted, Vote::Success) => self.set_standing(origin, Standing::Proven),
            (Accounting::Counted, Vote::Failure) => self.set_standing(origin, Standing::Failing),
            _ => {}
        }
    }

    /// An origin is of another standing from now on, with all that it has.
    pub(super) fn set_standing(&mut self, origin: Key, standing: Standing) {
        let entry = &mut self.origins[origin];
        let before = std::mem::replace(&mut entry.standing, standing);
        if before == standing {
            return;
        }
        if let Some(since) = entry.idle_filed {
            self.places.forget_idle(before, since, origin);
            self.places.file_idle(standing, since, origin);
        }
        if let Some(wish) = entry.wants_place {
            entry.wants_place = Some(self.places.move_wish(origin, wish, standing));
        }
        self.enter_share(origin);
        self.offer_place();
    }

    /// Whether there is a place for one more socket of this origin, or an idle connection that gives way.
    pub(super) fn has_place(&mut self, origin: Key) -> bool {
        let max = self.policy.max_connections_total;
        let standing = self.origins[origin].standing;
        // After new settings there may be more than one too many.
        self.places.has_free(max, standing)
            || (self.evict_longest_idle(standing) && self.places.has_free(max, standing))
    }

    /// Whether there is a place for one more socket; else the origin waits for one.
    pub(super) fn find_place(&mut self, origin: Key) -> bool {
        if self.has_place(origin) {
            return true;
        }
        self.want_place(origin);
        false
    }

    /// Whether there is a place, or one that would be made.
    pub(super) fn has_spare_place(&self, origin: Key) -> bool {
        let max = self.policy.max_connections_total;
        self.places.has_spare(max, self.origins[origin].standing)
    }

    /// The origin waits for a place.
    pub(super) fn want_place(&mut self, origin: Key) {
        let wanting = &mut self.origins[origin];
        if wanting.wants_place.is_none() {
            let connections = wanting.pool.len() as u32;
            let wish = self.places.want(origin, wanting.standing, connections);
            wanting.wants_place = Some(wish);
        }
    }

    /// Closes the connection that is idle for longest of those that give way to an origin of this standing; whether
    /// there was one.
    pub(super) fn evict_longest_idle(&mut self, for_whom: Standing) -> bool {
        let max = self.policy.max_connections_total;
        while let Some((standing, filed, origin)) = self.places.longest_idle(max, for_whom) {
            self.places.forget_idle(standing, filed, origin);
            let entry = &mut self.origins[origin];
            let longest = entry.pool.oldest_idle();
            // It may have been used since; then another may be idle for longer.
            let is_true = longest.is_some_and(|(_, since)| since == filed);
            entry.idle_filed = longest.map(|(_, since)| since);
            if let Some(since) = entry.idle_filed {
                self.places.file_idle(standing, since, origin);
            }
            if let (true, Some((connection, _))) = (is_true, longest) {
                self.close(Place { origin, connection }, CloseReason::Evicted);
                return true;
            }
        }
        false
    }

    /// If origins want a place and there may be one, the next of them is looked at soon.
    pub(super) fn offer_place(&mut self) {
        let max = self.policy.max_connections_total;
        if let Some(origin) = self.places.next_wanting(max) {
            self.origins[origin].wants_place = None;
            self.revisit(origin);
        }
    }
}
