//! Places for sockets, over all origins of one engine: `maxConnectionsTotal`, and who may have how many of them.
//!
//! An origin has a *standing* by its last attempt that counts: proven, new, or failing. A fifth of the places is kept
//! for proven ones, and failing ones have a fifth at most (so have their retries), so that neither thirty thousand
//! receivers that accept and say nothing nor as many dead ones take the connections of those that work (F114). When no
//! place is free the longest idle connection gives way; one of a proven origin gives way to others only while those
//! have less than a fifth. When none is idle either, the origins that want a place wait, and a freed one goes to the
//! origin with the fewest connections; among equals to the newest and to the oldest in turn, so that a newcomer is not
//! at the end of a crowd of strangers, and nobody waits for ever.
//!
//! Invariants: what an origin has is entered here by the standing that it has now ([`Share`]): who changes either
//! calls [`Places::enter`].
//!
//! Not here: `maxConnections` of one origin (`pool`).

use std::collections::BTreeSet;

use crate::base::slab::Key;
use crate::base::time::Instant;

/// The part of the places that is kept for proven origins, and the most that failing ones have: one in so many.
const PART: u32 = 5;

/// Places that failing origins may have however few there are: what a retry budget grants one origin.
const FAILING_MIN: u32 = 3;

/// In so many turns among equals each standing comes first once.
const TURNS: usize = 3;

/// What an origin's last attempt that counts says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It succeeded.
    Proven,
    /// There was none.
    #[default]
    New,
    /// It failed.
    Failing,
}

/// What an origin has of the places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// By what it is entered.
    pub standing: Standing,
    /// Its connections, in whatever state.
    pub open: u32,
    /// Second sockets of those on their way up, while their addresses race.
    pub racers: u32,
    /// Those that are idle.
    pub idle: u32,
    /// Dials that wait for addresses: no connections yet, they take no place.
    pub resolving: u32,
}

/// How an origin that wants a place is filed: by its standing, its connections, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    standing: Standing,
    connections: u32,
    number: u64,
}

/// Places for sockets.
#[derive(Debug, Default)]
pub struct Places {
    /// What is taken, by standing.
    taken: [Share; 3],
    /// Origins that may have idle connections, by standing and since when the longest idle one is so at the earliest.
    idle: [BTreeSet<(Instant, Key)>; 3],
    /// Origins that want a place, by standing, their number of connections, and when they came.
    wanting: [BTreeSet<(u32, u64, Key)>; 3],
    /// Wishes there were.
    wishes: u64,
    /// Places given to those who waited.
    turns: usize,
}

impl Places {
    /// An origin has `now` what it had as `before`.
    pub fn enter(&mut self, before: Share, now: Share) {
        let old = &mut self.taken[before.standing as usize];
        old.open -= before.open;
        old.racers -= before.racers;
        old.idle -= before.idle;
        old.resolving -= before.resolving;
        let new = &mut self.taken[now.standing as usize];
        new.open += now.open;
        new.racers += now.racers;
        new.idle += now.idle;
        new.resolving += now.resolving;
    }

    /// An origin has connections that are idle since then at the earliest.
    pub fn file_idle(&mut self, standing: Standing, since: Instant, origin: Key) {
        self.idle[standing as usize].insert((since, origin));
    }

    /// It is not to be asked for one any more.
    pub fn forget_idle(&mut self, standing: Standing, since: Instant, origin: Key) {
        self.idle[standing as usize].remove(&(since, origin));
    }

    /// The origin to be asked for its longest idle connection, so that an origin of this standing gets its place; since
    /// when it is idle at the earliest.
    #[must_use]
    pub fn longest_idle(&self, max: u32, for_whom: Standing) -> Option<(Standing, Instant, Key)> {
        let first = |standing: Standing| {
            let (since, origin) = *self.idle[standing as usize].first()?;
            let gives_way = self.gives_way(max, standing, for_whom);
            gives_way.then_some((since, standing, origin))
        };
        let longest = STANDINGS.into_iter().filter_map(first);
        let (since, standing, origin) = longest.min_by_key(|(since, ..)| *since)?;
        Some((standing, since, origin))
    }

    /// Whether there is a place for one more socket of an origin of this standing.
    #[must_use]
    pub fn has_free(&self, max: u32, standing: Standing) -> bool {
        let within_all = self.taken() < max;
        let within_others =
            self.taken_by(Standing::New) + self.taken_by(Standing::Failing) < others_max(max);
        let within_failing = self.taken_by(Standing::Failing) < failing_max(max);
        match standing {
            Standing::Proven => within_all,
            Standing::New => within_all && within_others,
            Standing::Failing => within_all && within_others && within_failing,
        }
    }

    /// Whether there is one, or a connection that would give way for it.
    #[must_use]
    pub fn has_spare(&self, max: u32, standing: Standing) -> bool {
        let gives_way =
            |of: Standing| self.taken[of as usize].idle > 0 && self.gives_way(max, of, standing);
        self.has_free(max, standing) || STANDINGS.into_iter().any(gives_way)
    }

    /// Whether closing an idle connection of `of` makes a place for an origin of `for_whom`, and may be done for it.
    fn gives_way(&self, max: u32, of: Standing, for_whom: Standing) -> bool {
        // As it would be afterwards; where an origin is filed that has none any more, none is taken.
        let freed = |standing: Standing| u32::from(standing == of);
        let failing = (self.taken_by(Standing::Failing)).saturating_sub(freed(Standing::Failing));
        let others = failing
            + self
                .taken_by(Standing::New)
                .saturating_sub(freed(Standing::New));
        // After new settings there may be more than one too many.
        let fits_others = others < others_max(max);
        match for_whom {
            Standing::Proven => true,
            Standing::New | Standing::Failing if of == Standing::Proven => {
                // Of so few places none is kept for anybody.
                let is_scarce = max < PART || others < max / PART;
                is_scarce && (for_whom == Standing::New || failing < failing_max(max))
            }
            Standing::New => fits_others,
            Standing::Failing => fits_others && failing < failing_max(max),
        }
    }

    /// An origin wants a place that has so many connections.
    pub fn want(&mut self, origin: Key, standing: Standing, connections: u32) -> Wish {
        self.wishes += 1;
        let wish = Wish {
            standing,
            connections,
            number: self.wishes,
        };
        self.file(origin, wish);
        wish
    }

    /// It is of another standing by now.
    pub fn move_wish(&mut self, origin: Key, wish: Wish, standing: Standing) -> Wish {
        self.forget(origin, wish);
        let wish = Wish { standing, ..wish };
        self.file(origin, wish);
        wish
    }

    /// It wants none any more.
    pub fn forget(&mut self, origin: Key, wish: Wish) {
        let wanting = &mut self.wanting[wish.standing as usize];
        wanting.remove(&(wish.connections, wish.number, origin));
    }

    /// The origin whose turn it is to take a place, among those for which there may be one.
    pub fn next_wanting(&mut self, max: u32) -> Option<Key> {
        let turn = self.turns;
        let first = |n: usize| {
            let standing = STANDINGS[(turn + n) % TURNS];
            let (connections, ..) = *self.wanting[standing as usize].first()?;
            self.has_spare(max, standing)
                .then_some((connections, standing))
        };
        // The first of equals.
        let (connections, standing) = (0..TURNS)
            .filter_map(first)
            .min_by_key(|(connections, _)| *connections)?;
        self.turns += 1;
        let wanting = &mut self.wanting[standing as usize];
        // By halves of the turns, so that it is not always the same standing's newest.
        let next = if (turn / TURNS).is_multiple_of(2) {
            wanting
                .range(..(connections + 1, 0, Key::from_bits(0)))
                .next_back()
                .copied()
        } else {
            wanting.first().copied()
        }?;
        wanting.remove(&next);
        Some(next.2)
    }

    /// Connections in whatever state.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.taken.iter().map(|share| share.open).sum()
    }

    /// Places taken: connections, and second sockets of those on their way up.
    #[must_use]
    pub fn taken(&self) -> u32 {
        STANDINGS
            .into_iter()
            .map(|standing| self.taken_by(standing))
            .sum()
    }

    /// Dials that wait for addresses.
    #[must_use]
    pub fn resolving(&self) -> u32 {
        self.taken.iter().map(|share| share.resolving).sum()
    }

    /// Connections with a request on them, or on their way up.
    #[must_use]
    pub fn busy(&self) -> u32 {
        self.open() - self.taken.iter().map(|share| share.idle).sum::<u32>()
    }

    /// What is taken by origins of each standing.
    #[must_use]
    pub const fn shares(&self) -> &[Share; 3] {
        &self.taken
    }

    fn taken_by(&self, standing: Standing) -> u32 {
        let share = &self.taken[standing as usize];
        share.open + share.racers
    }

    fn file(&mut self, origin: Key, wish: Wish) {
        let wanting = &mut self.wanting[wish.standing as usize];
        wanting.insert((wish.connections, wish.number, origin));
    }
}

const STANDINGS: [Standing; 3] = [Standing::Proven, Standing::New, Standing::Failing];

/// Places that origins which are not proven may have.
const fn others_max(max: u32) -> u32 {
    max - max / PART
}

/// Places that failing origins may have, within those.
fn failing_max(max: u32) -> u32 {
    (max / PART).max(FAILING_MIN)
}

#[cfg(test)]
mod tests;
