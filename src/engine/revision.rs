//! New settings take effect: at all origins that are known, a few in a call.
//!
//! Each origin keeps the settings that it has until its turn comes, or until it has something to do: nothing begins by
//! former ones. Then its pool grows or shrinks, its connections age as they now should, and what is no longer allowed
//! ends. No request is cut short: a connection that is one too many, or leads where none may lead any more, is closed
//! when it comes back.
//!
//! What somebody wants of a breaker is done here too.
//!
//! Not here: what is forbidden (`guard`), which settings an origin has (`policy`).

use std::mem;
use std::sync::Arc;

use crate::base::slab::Key;
use crate::base::time::Now;
use crate::engine::close_reason::CloseReason;
use crate::engine::dial::Dial;
use crate::engine::event::{BreakerOrder, Note, Output};
use crate::engine::guard::Rule;
use crate::engine::heading;
use crate::engine::origin::Origin;
use crate::engine::outcome::Happened;
use crate::engine::places::Standing;
use crate::engine::policy::{self, Policy};
use crate::engine::{Engine, Phase, Place, STEPS_A_CALL, guard};
use crate::wire::endpoints::Endpoints;
use crate::wire::url;

/// Origins that new settings take effect at in one call: in tests so few that others have something to do before their
/// turn comes.
const REVISED_A_CALL: usize = if cfg!(test) { 1 } else { 16 };

impl Engine {
    /// There are new settings.
    pub(super) fn on_policy(&mut self, now: Now, policy: Arc<Policy>) {
        self.policy = policy;
        self.own = Endpoints::default();
        self.revision += 1;
        self.revised = Some(0);
        self.revise(now);
        // There may be more places than before.
        self.offer_place();
    }

    /// There are other settings of one origin: at that, and at no other.
    pub(super) fn on_own(
        &mut self,
        now: Now,
        name: &Arc<url::Origin>,
        endpoint: Arc<policy::Endpoint>,
    ) {
        self.own.put(name, endpoint);
        if let Some(origin) = self.by_name.get(&*name.text).copied() {
            self.revise_origin(now, origin);
        }
    }

    /// What an origin obeys by the newest settings.
    pub(super) fn endpoint_of(&self, name: &url::Origin) -> Arc<policy::Endpoint> {
        let own = self.own.own(name);
        Arc::clone(own.unwrap_or_else(|| self.policy.endpoint_of(name)))
    }

    /// Has the settings take effect at the next few origins, if that is not done.
    pub(super) fn revise(&mut self, now: Now) {
        if self.revised.is_none() || !self.evict_surplus() {
            return;
        }
        for _ in 0..REVISED_A_CALL {
            let next = self
                .revised
                .and_then(|revised| self.origins.next_from(revised));
            self.revised = next.map(|origin| origin.index() + 1);
            let Some(origin) = next else {
                return;
            };
            self.catch_up(now, origin);
        }
    }

    /// Has the newest settings take effect at an origin, if they have not yet: before a job comes to it, a request goes
    /// out or TLS begins there. Closes idle connections, but none that is on its way up or has a request.
    pub(super) fn catch_up(&mut self, now: Now, origin: Key) {
        if self.origins[origin].revision != self.revision {
            self.revise_origin(now, origin);
        }
    }

    /// Somebody wants a breaker closed, or open until they do. An origin that nobody knows yet is remembered only if it
    /// is to be isolated.
    pub(super) fn on_breaker_order(
        &mut self,
        now: Now,
        name: &Arc<url::Origin>,
        order: BreakerOrder,
    ) {
        let key = match order {
            BreakerOrder::Isolate => self.origin_named(now, name),
            BreakerOrder::Reset => match self.by_name.get(&*name.text) {
                Some(key) => *key,
                None => return,
            },
        };
        self.use_again(key);
        let entry = &mut self.origins[key];
        let has_changed = match order {
            BreakerOrder::Isolate => entry.breaker.isolate(),
            BreakerOrder::Reset => entry.breaker.reset(),
        };
        if order == BreakerOrder::Isolate {
            // Also where it was so before: whoever has sent the order waits for this.
            let origin = Arc::clone(&entry.name);
            let held = true;
            self.outputs.push_back(Output::Origin { origin, held });
        }
        self.look_if_unused(key);
        if !has_changed {
            return;
        }
        let entry = &mut self.origins[key];
        if order == BreakerOrder::Reset {
            entry.throttle.on_breaker_closed(now.mono, false);
            self.tell_breaker(key, None);
        } else {
            let origin = Arc::clone(&entry.name);
            let note = Note::Isolated { origin };
            self.outputs.push_back(Output::Note(Box::new(note)));
        }
        self.origins[key].look(now.mono);
        self.recount(key);
        self.arm_gate(now, key);
        self.revisit(key);
    }

    /// Closes idle connections beyond `maxConnectionsTotal`, as far as one call may; whether that is done.
    fn evict_surplus(&mut self) -> bool {
        for _ in 0..STEPS_A_CALL {
            if !self.has_too_many() || !self.evict_longest_idle(Standing::Proven) {
                return true;
            }
        }
        false
    }

    fn revise_origin(&mut self, now: Now, key: Key) {
        let policy = Arc::clone(&self.policy);
        let after = self.endpoint_of(&self.origins[key].name);
        let entry = &mut self.origins[key];
        entry.revision = self.revision;
        let before = entry.revise(now.mono, Arc::clone(&after));
        entry.look_for_token(now.mono);
        entry.is_forbidden = guard::check_scheme(&policy, entry.name.scheme).is_err();
        let has_new_trust = mem::replace(&mut entry.trust, policy.trust) != policy.trust;
        let has_new_tls = has_new_trust || before.tls_profile != after.tls_profile;
        let has_new_tls = has_new_tls && entry.name.is_secure();
        let learnt = entry.idle_time.limit(now.mono, after.idle_timeout);
        let connections: Vec<Key> = entry.pool.iter().map(|(key, _)| key).collect();
        for connection in connections {
            let entry = &mut self.origins[key];
            let revised = &mut entry.pool[connection];
            revised.on_revised(&before, &after, learnt);
            let addr = revised.addr;
            let leads_astray = addr.is_some_and(|addr| guard::check(&policy, addr).is_err());
            // Where TLS has not begun it will begin as it now should.
            let was_secured = revised.dial().is_none_or(|dial| dial.addr().is_some());
            if entry.is_forbidden || leads_astray || (has_new_tls && was_secured) {
                revised.doom(CloseReason::Policy);
            }
            let place = Place {
                origin: key,
                connection,
            };
            match revised.idle_since().and_then(|_| revised.unfit(now.mono)) {
                Some(reason) => self.close(place, reason),
                None => self.arm(place),
            }
        }
        // Of those that are too many for the whole process the longest idle go, wherever they are.
        while self.origins[key].has_too_many()
            && let Some((connection, _)) = self.origins[key].pool.oldest_idle()
        {
            let place = Place {
                origin: key,
                connection,
            };
            self.close(place, CloseReason::Surplus);
        }
        if before.secrets.is_empty() && !after.secrets.is_empty() {
            self.end_dotted(now, key);
        }
        self.wait_for_token(now, key);
        // Who waits for a place has one when it is its turn, which new settings don't change.
        let entry = &self.origins[key];
        if entry.wants_place.is_none() || entry.is_forbidden || entry.fails_jobs(now.mono) {
            self.revisit(key);
        }
    }

    /// From now on requests are signed here: jobs that can't be end, all at once, so that none goes out meanwhile.
    fn end_dotted(&mut self, now: Now, origin: Key) {
        let Origin {
            endpoint, queue, ..
        } = &*self.origins[origin];
        for job in queue.find_all(|job| !heading::is_writable(job, endpoint)) {
            let waiting = self.dequeue(origin, job).expect("it was found there");
            let (job, attempt) = (waiting.job, waiting.attempt);
            self.conclude(now, Some(origin), job, attempt, Happened::Dotted);
        }
    }

    /// Why no further connection may be kept for this origin, nor one given its next request: there are too many.
    pub(super) fn surplus(&self, origin: Key) -> Option<CloseReason> {
        if self.origins[origin].has_too_many() || self.has_too_many() {
            return Some(CloseReason::Surplus);
        }
        None
    }

    fn has_too_many(&self) -> bool {
        self.places.taken() > self.policy.max_connections_total
    }

    /// Whether a connection on its way up leads where none may lead any more. Then its dial has failed.
    pub(super) fn refuse_in_time(&mut self, now: Now, place: Place) -> bool {
        let entry = &self.origins[place.origin];
        let dial = entry.pool[place.connection].dial();
        let Some(addr) = dial.and_then(Dial::addr) else {
            return false;
        };
        let verdict = guard::check_scheme(&self.policy, entry.name.scheme)
            .and_then(|()| guard::check(&self.policy, addr));
        match verdict {
            Ok(_) => false,
            Err(rule) => {
                self.refuse_dial(now, place, Some(addr.ip()), rule.to_string());
                true
            }
        }
    }

    /// What waits at an origin that nothing may be sent to any more ends, a few jobs at a time.
    pub(super) fn refuse_waiting(&mut self, now: Now, origin: Key) {
        if self.phase != Phase::Running {
            return;
        }
        for _ in 0..STEPS_A_CALL {
            let Some(job) = self.origins[origin].queue.next_to_dial(true) else {
                return;
            };
            let waiting = self.dequeue(origin, job).expect("it stands in line");
            self.refuse(now, origin, waiting.job, waiting.attempt, Rule::Scheme);
        }
        self.revisit(origin);
    }
}

#[cfg(test)]
mod tests;
