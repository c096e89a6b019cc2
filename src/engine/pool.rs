//! The connections of one origin: at most `maxConnections`, the newest idle one first.
//!
//! Invariants: an idle connection is in `idle` exactly once; `dials` counts those on their way up for a job in
//! line (or for one that has left it), not those for a job apart; `resolving` counts all that wait for addresses, which
//! are no connections yet and have no place.
//!
//! Not here: what a connection does (`connection`), who waits for one (`queue`).

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};
use std::time::Duration;

use crate::base::lazy::Empty;
use crate::base::slab::{Key, Slab};
use crate::base::time::Instant;
use crate::engine::connection::Connection;
use crate::engine::dial::{Dial, Purpose};

/// The connections of one origin.
#[derive(Debug, Default)]
pub struct Pool {
    connections: Slab<Connection>,
    /// Idle ones, the newest last. May hold keys of connections that are gone, never of busy ones.
    idle: VecDeque<Key>,
    idle_len: u32,
    dials: u32,
    dials_apart: u32,
    /// Of the dials those that wait for addresses.
    resolving: u32,
}

impl Empty for Pool {
    const EMPTY: &'static Pool = &Pool {
        connections: Slab::new(),
        idle: VecDeque::new(),
        idle_len: 0,
        dials: 0,
        dials_apart: 0,
        resolving: 0,
    };
}

impl Pool {
    /// Adds a connection whose dial has begun.
    ///
    /// # Panics
    /// If it is not dialing.
    pub fn insert(&mut self, connection: Connection) -> Key {
        let dial = connection.dial().expect("a connection begins as a dial");
        match dial.purpose() {
            Purpose::InLine(_) => self.dials += 1,
            Purpose::Apart(_) => self.dials_apart += 1,
        }
        self.resolving += 1;
        self.connections.insert(connection)
    }

    /// A dial has addresses.
    pub fn on_addresses(&mut self) {
        self.resolving -= 1;
    }

    /// Its dial is over: it is up. It gets a request or is pushed idle next.
    pub fn on_up(&mut self, purpose: Purpose) {
        self.end_dial(purpose);
    }

    /// A connection has nothing to do.
    pub fn push_idle(&mut self, now: Instant, key: Key, limit: Duration) {
        self.connections[key].on_idle(now, limit);
        if self.idle.len() > 2 * self.idle_len as usize + 8 {
            let connections = &self.connections;
            self.idle.retain(|key| connections.get(*key).is_some());
        }
        self.idle.push_back(key);
        self.idle_len += 1;
    }

    /// The newest idle connection.
    pub fn newest_idle(&mut self) -> Option<Key> {
        while let Some(key) = self.idle.back().copied() {
            if self.connections.get(key).is_some() {
                return Some(key);
            }
            self.idle.pop_back();
        }
        None
    }

    /// Takes the newest idle connection: it gets a request next.
    pub fn pop_newest_idle(&mut self) -> Option<Key> {
        let key = self.newest_idle()?;
        self.idle.pop_back();
        self.idle_len -= 1;
        Some(key)
    }

    /// The connection that is idle for longest, and since when.
    pub fn oldest_idle(&mut self) -> Option<(Key, Instant)> {
        while let Some(key) = self.idle.front().copied() {
            if let Some(since) = self.connections.get(key).and_then(Connection::idle_since) {
                return Some((key, since));
            }
            self.idle.pop_front();
        }
        None
    }

    /// Takes a connection out: the one place where one leaves. `None` if it has.
    pub fn remove(&mut self, key: Key) -> Option<Connection> {
        let connection = self.connections.remove(key)?;
        if let Some(dial) = connection.dial() {
            self.end_dial(dial.purpose());
            self.resolving -= u32::from(dial.is_resolving());
        }
        if connection.idle_since().is_some() {
            self.idle_len -= 1;
        }
        Some(connection)
    }

    /// A connection; `None` if it is gone.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Connection> {
        self.connections.get(key)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Connection)> {
        self.connections.iter()
    }

    /// How many there are, in whatever state.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Idle ones.
    #[must_use]
    pub const fn idle_len(&self) -> u32 {
        self.idle_len
    }

    /// Dials on their way that a job in line can count on.
    #[must_use]
    pub const fn dials(&self) -> u32 {
        self.dials
    }

    /// The dial of this connection, while it is on its way up.
    #[must_use]
    pub fn dial(&self, connection: Key) -> Option<&Dial> {
        self.get(connection).and_then(Connection::dial)
    }

    /// Dials that wait for addresses: no connections yet.
    #[must_use]
    pub const fn resolving(&self) -> u32 {
        self.resolving
    }

    /// Panics if the counts do not hold: for tests, after every step.
    pub fn check_invariants(&self) {
        let idle = self
            .iter()
            .filter(|(_, connection)| connection.idle_since().is_some());
        assert_eq!(idle.count(), self.idle_len as usize, "idle connections");
        let listed = self.idle.iter().filter(|key| self.get(**key).is_some());
        assert_eq!(
            listed.count(),
            self.idle_len as usize,
            "keys of idle connections"
        );
        let (mut dials, mut apart, mut resolving) = (0, 0, 0);
        for dial in self.iter().filter_map(|(_, connection)| connection.dial()) {
            match dial.purpose() {
                Purpose::InLine(_) => dials += 1,
                Purpose::Apart(_) => apart += 1,
            }
            resolving += u32::from(dial.is_resolving());
        }
        assert_eq!(resolving, self.resolving, "dials without addresses");
        assert_eq!((dials, apart), (self.dials, self.dials_apart), "dials");
    }

    fn end_dial(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::InLine(_) => self.dials -= 1,
            Purpose::Apart(_) => self.dials_apart -= 1,
        }
    }
}

impl Index<Key> for Pool {
    type Output = Connection;

    fn index(&self, key: Key) -> &Connection {
        &self.connections[key]
    }
}

impl IndexMut<Key> for Pool {
    fn index_mut(&mut self, key: Key) -> &mut Connection {
        &mut self.connections[key]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::policy::Endpoint;

    fn up(pool: &mut Pool, now: Instant) -> Key {
        let purpose = Purpose::InLine(Key::from_bits(0));
        let mut dial = Dial::new(now, purpose, Duration::MAX);
        let key = pool.insert(Connection::dialing(dial));
        let addr = "192.0.2.1:443".parse().unwrap();
        dial = Dial::new(now, purpose, Duration::MAX);
        _ = dial.on_addresses(now, vec![addr], false);
        pool[key] = Connection::dialing(dial);
        pool.on_addresses();
        pool.on_up(purpose);
        pool[key].on_up(now, Duration::from_secs(300), &Endpoint::default());
        pool.push_idle(now, key, Duration::MAX);
        pool.check_invariants();
        key
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn the_newest_idle_connection_comes_first_and_the_oldest_gives_way() {
        let mut pool = Pool::default();
        let keys: Vec<Key> = (0..3).map(|second| up(&mut pool, at(second))).collect();
        assert_eq!(pool.oldest_idle(), Some((keys[0], at(0))));
        assert_eq!(pool.pop_newest_idle(), Some(keys[2]));
        pool.push_idle(at(9), keys[2], Duration::MAX);
        assert_eq!(pool.newest_idle(), Some(keys[2]));
        assert_eq!(pool.idle_len(), 3);
    }

    #[test]
    fn keys_of_connections_that_are_gone_do_not_pile_up() {
        let mut pool = Pool::default();
        let stays = up(&mut pool, at(0));
        for second in 1..1000 {
            let key = up(&mut pool, at(second));
            assert!(pool.remove(key).is_some());
            assert!(pool.remove(key).is_none());
            pool.check_invariants();
        }
        assert!(
            pool.idle.len() < 32,
            "{} keys for one connection",
            pool.idle.len()
        );
        assert_eq!(pool.pop_newest_idle(), Some(stays));
        assert_eq!(pool.pop_newest_idle(), None);
    }
}
