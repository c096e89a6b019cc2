//! How many look-ups may ask at once, and how they come to their places and leave them.
//!
//! A name server has so much patience with one client (dnsmasq takes 150 questions before it refuses), and each
//! question is a socket of its own here. So the places are few, and what is likely to be in vain must not hold all of
//! them: names that nobody answered for the last time have places of their own; what has been slow yields to what
//! waits. A look-up that has yielded still asks and hears, until too many have.
//!
//! Not here: whose turn it is (`line`).

use std::collections::VecDeque;
use std::time::Duration;

use super::inquiry::{Half, Standing};
use super::line::{Limits, Line};
use super::{LookupError, Resolver, ServerTrouble, Timer};
use crate::base::slab::Key;
use crate::base::time::Now;
use crate::wire::dns::Family;

/// Look-ups that ask or wait for their turn: more than there can be origins with jobs.
pub const LOOKUPS_MAX: usize = 131_072;
/// How long a look-up has its place for itself.
pub const SLOW_AFTER: Duration = Duration::from_millis(400);

/// For names of which nothing speaks against an answer.
const USUAL: Limits = Limits {
    places: 32,
    places_a_zone: 16,
};
/// For names whose last look-up ended in silence.
const SUSPECT: Limits = Limits {
    places: 16,
    places_a_zone: 8,
};
/// Look-ups that have a place.
pub const PLACES_MAX: usize = USUAL.places + SUSPECT.places;
/// Look-ups that have yielded their places and still hear.
pub const YIELDED_MAX: usize = 64;

/// Who has a place, and who waits for one.
#[derive(Debug)]
pub(super) struct Places {
    usual: Line,
    suspect: Line,
    /// Those that have yielded, the longest ago first.
    yielded: VecDeque<Key>,
}

impl Places {
    pub(super) fn new(seed: [u64; 2]) -> Places {
        Places {
            usual: Line::new(USUAL, seed),
            suspect: Line::new(SUSPECT, seed),
            yielded: VecDeque::new(),
        }
    }

    pub(super) fn line(&mut self, is_suspect: bool) -> &mut Line {
        match is_suspect {
            true => &mut self.suspect,
            false => &mut self.usual,
        }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.usual.taken() + self.suspect.taken()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.usual.is_empty() && self.suspect.is_empty() && self.yielded.is_empty()
    }
}

impl Resolver {
    /// Begins look-ups while there are places; those whose askers have gone are dropped.
    pub(super) fn open_queued(&mut self, now: Now) {
        while let Some(key) = self.next_queued(now) {
            let slow_at = now.mono + SLOW_AFTER;
            let inquiry = &mut self.inquiries[key];
            inquiry.standing = Standing::Placed { slow_at };
            if inquiry.askers.is_empty() {
                self.leave(key);
                continue;
            }
            if !inquiry.is_suspect {
                self.timers.insert((slow_at, Timer::Slow { inquiry: key }));
            }
            self.open(now, key);
        }
    }

    fn next_queued(&mut self, now: Now) -> Option<Key> {
        if let Some(key) = self.places.suspect.pop() {
            return Some(key);
        }
        loop {
            if let Some(key) = self.places.usual.pop() {
                return Some(key);
            }
            let slow = self.places.usual.yielding()?;
            self.yield_place(now, slow);
        }
    }

    /// A look-up has had its place for [`SLOW_AFTER`].
    pub(super) fn on_slow(&mut self, now: Now, key: Key) {
        let inquiry = &mut self.inquiries[key];
        inquiry.standing = Standing::Slow;
        let name = inquiry.name.clone();
        self.places.usual.on_slow(&name, key);
        self.open_queued(now);
    }

    /// It hears on, unless too many do: then the one that has for longest has had its time.
    fn yield_place(&mut self, now: Now, key: Key) {
        let inquiry = &mut self.inquiries[key];
        inquiry.standing = Standing::Yielded;
        let name = inquiry.name.clone();
        self.places.usual.give_back(&name, key);
        self.places.yielded.push_back(key);
        if self.places.yielded.len() > YIELDED_MAX {
            let longest = self.places.yielded[0];
            self.end_in_silence(now, longest);
        }
    }

    fn end_in_silence(&mut self, now: Now, key: Key) {
        for family in [Family::V6, Family::V4] {
            let still_asks = self
                .inquiries
                .get(key)
                .is_some_and(|inquiry| matches!(inquiry.halves[family as usize], Half::Asking(_)));
            if still_asks {
                let error = LookupError::Servers(ServerTrouble::Silent);
                self.end_half(now, key, family, Half::Failed(error));
            }
        }
    }

    /// A look-up is over.
    pub(super) fn leave(&mut self, key: Key) {
        let inquiry = self.inquiries.remove(key).expect("it ends once");
        self.by_name.remove(&*inquiry.name);
        match inquiry.standing {
            Standing::Queued => unreachable!("nothing ends before it has a place"),
            Standing::Placed { slow_at } => {
                self.timers.remove(&(slow_at, Timer::Slow { inquiry: key }));
            }
            Standing::Slow => {}
            Standing::Yielded => {
                self.places.yielded.retain(|other| *other != key);
                return;
            }
        }
        let line = self.places.line(inquiry.is_suspect);
        line.give_back(&inquiry.name, key);
    }
}
