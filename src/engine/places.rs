//! Places for sockets, over all origins of one engine: `maxConnectionsTotal`.
//!
//! When none is free the longest idle connection gives way; when none is idle either, the origins that want a
//! place wait, and a freed one goes to the origin with the fewest connections.
//!
//! Not here: `maxConnections` of one origin (`pool`).

use std::collections::{BTreeSet, VecDeque};

use crate::base::slab::Key;
use crate::base::time::Instant;

/// Places for sockets.
#[derive(Debug, Default)]
pub struct Places {
    /// Connections in whatever state.
    open: u32,
    /// Second sockets of connections on their way up, while their addresses race.
    racers: u32,
    /// Those that are idle.
    idle: u32,
    /// Idle connections, the longest idle first; those that are idle no more are passed over.
    idle_order: VecDeque<Idle>,
    /// Origins that want a place, by their number of connections.
    wanting: BTreeSet<(u32, Key)>,
}

/// A connection at the moment when it became idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Its origin.
    pub origin: Key,
    /// Its key in the origin's pool.
    pub connection: Key,
    /// The moment.
    pub since: Instant,
}

impl Places {
    /// A place is taken.
    pub fn take(&mut self) {
        self.open += 1;
    }

    /// A place is free again; `was_idle`: its connection was.
    pub fn give_back(&mut self, was_idle: bool) {
        self.open -= 1;
        self.idle -= u32::from(was_idle);
    }

    /// A second socket is opened for a connection on its way up.
    pub fn take_racer(&mut self) {
        self.racers += 1;
    }

    /// One of the two is closed.
    pub fn give_back_racer(&mut self) {
        self.racers -= 1;
    }

    /// A connection is idle from now on. `is_idle` says of an older entry whether it still is.
    pub fn on_idle(&mut self, idle: Idle, is_idle: impl Fn(Idle) -> bool) {
        self.idle += 1;
        if self.idle_order.len() > 2 * self.idle as usize + 64 {
            self.idle_order.retain(|old| is_idle(*old));
        }
        self.idle_order.push_back(idle);
    }

    /// An idle connection got a request.
    pub fn on_busy(&mut self) {
        self.idle -= 1;
    }

    /// The connection that is idle for longest.
    pub fn longest_idle(&mut self, is_idle: impl Fn(Idle) -> bool) -> Option<Idle> {
        while let Some(idle) = self.idle_order.pop_front() {
            if is_idle(idle) {
                return Some(idle);
            }
        }
        None
    }

    /// An origin with so many connections wants a place.
    pub fn want(&mut self, origin: Key, connections: u32) {
        self.wanting.insert((connections, origin));
    }

    /// It wants none any more.
    pub fn forget(&mut self, origin: Key, connections: u32) {
        self.wanting.remove(&(connections, origin));
    }

    /// The origin whose turn it is to take a place.
    pub fn next_wanting(&mut self) -> Option<Key> {
        self.wanting.pop_first().map(|(_, origin)| origin)
    }

    /// Connections in whatever state.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.open
    }

    /// Places taken: connections, and second sockets of those on their way up.
    #[must_use]
    pub const fn taken(&self) -> u32 {
        self.open + self.racers
    }

    /// Connections with a request on them, or on their way up.
    #[must_use]
    pub const fn busy(&self) -> u32 {
        self.open - self.idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(n: u64) -> Key {
        Key::from_bits(1 << 32 | n)
    }

    fn idle(n: u64) -> Idle {
        Idle {
            origin: key(0),
            connection: key(n),
            since: Instant::default() + Duration::from_secs(n),
        }
    }

    #[test]
    fn a_freed_place_goes_to_the_origin_with_the_fewest_connections() {
        let mut places = Places::default();
        places.want(key(1), 7);
        places.want(key(2), 0);
        places.want(key(3), 3);
        places.forget(key(3), 3);
        assert_eq!(places.next_wanting(), Some(key(2)));
        assert_eq!(places.next_wanting(), Some(key(1)));
        assert_eq!(places.next_wanting(), None);
    }

    #[test]
    fn the_longest_idle_gives_way_and_the_busy_are_passed_over() {
        let mut places = Places::default();
        for n in 0..3 {
            places.take();
            places.on_idle(idle(n), |_| true);
        }
        places.on_busy();
        assert_eq!((places.open(), places.busy()), (3, 1));
        assert_eq!(places.longest_idle(|old| old != idle(0)), Some(idle(1)));
        places.give_back(true);
        assert_eq!((places.open(), places.busy()), (2, 1));
    }

    #[test]
    fn entries_of_busy_connections_do_not_pile_up() {
        let mut places = Places::default();
        places.take();
        for n in 0..10_000 {
            places.on_idle(idle(n), |_| false);
            places.on_busy();
        }
        assert!(
            places.idle_order.len() <= 66,
            "{} entries for one connection",
            places.idle_order.len()
        );
    }
}
