//! The origins of one engine that have neither jobs nor connections, in the order in which they are forgotten.
//!
//! The longest unused go first. Those whose breaker is open are kept before others, for to learn anew that a receiver
//! is dead takes failures of jobs; but not beyond half of what may be remembered, so that a stranger's dead names don't
//! take all of it from names that work. An origin that somebody has isolated is not here: it stays until they reset it.
//!
//! Not here: how many may be remembered, and what is forgotten with one (`mod`).

use std::collections::BTreeSet;

use crate::base::slab::Key;
use crate::base::time::Instant;

/// How an origin was filed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filed {
    /// When something last happened there.
    pub since: Instant,
    /// Its breaker was open then.
    pub is_open: bool,
}

/// Origins without jobs and connections.
#[derive(Debug, Default)]
pub struct Unused {
    well: BTreeSet<(Instant, Key)>,
    open: BTreeSet<(Instant, Key)>,
}

impl Unused {
    /// An origin has neither jobs nor connections any more.
    pub fn insert(&mut self, origin: Key, filed: Filed) {
        self.of(filed.is_open).insert((filed.since, origin));
    }

    /// It has, or it is forgotten.
    pub fn remove(&mut self, origin: Key, filed: Filed) {
        self.of(filed.is_open).remove(&(filed.since, origin));
    }

    /// The origin to forget first where `max` may be remembered.
    #[must_use]
    pub fn first(&self, max: usize) -> Option<Key> {
        let (well, open) = (self.well.first(), self.open.first());
        let next = match self.open.len() > max / 2 {
            true => open.or(well),
            false => well.or(open),
        };
        next.map(|(_, origin)| *origin)
    }

    /// The one that is unused for longest, and since when.
    #[must_use]
    pub fn longest(&self) -> Option<(Instant, Key)> {
        [self.well.first(), self.open.first()]
            .into_iter()
            .flatten()
            .min()
            .copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.well.len() + self.open.len()
    }

    const fn of(&mut self, is_open: bool) -> &mut BTreeSet<(Instant, Key)> {
        match is_open {
            true => &mut self.open,
            false => &mut self.well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(n: u64) -> Key {
        Key::from_bits(1 << 32 | n)
    }

    fn filed(seconds: u64, is_open: bool) -> Filed {
        Filed {
            since: Instant::default() + Duration::from_secs(seconds),
            is_open,
        }
    }

    fn forget_all(unused: &mut Unused, max: usize, all: &[(Key, Filed)]) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(first) = unused.first(max) {
            let (_, filed) = all.iter().find(|(key, _)| *key == first).expect("filed");
            unused.remove(first, *filed);
            order.push(first.index() as u64);
        }
        order
    }

    #[test]
    fn the_longest_unused_goes_first_and_open_breakers_have_half_of_the_room() {
        let all: Vec<(Key, Filed)> = (0..8).map(|n| (key(n), filed(n, n < 4))).collect();
        for (max, expected) in [
            (100, [4, 5, 6, 7, 0, 1, 2, 3]),
            (6, [0, 4, 5, 6, 7, 1, 2, 3]),
            (2, [0, 1, 2, 4, 5, 6, 7, 3]),
        ] {
            let mut unused = Unused::default();
            for (key, filed) in &all {
                unused.insert(*key, *filed);
            }
            assert_eq!(unused.longest(), Some((filed(0, true).since, key(0))));
            assert_eq!(forget_all(&mut unused, max, &all), expected, "{max}");
            assert_eq!((unused.len(), unused.longest()), (0, None));
        }
    }
}
