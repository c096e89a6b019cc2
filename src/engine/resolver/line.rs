//! Look-ups that wait for a place, and whose turn it is.
//!
//! A place is what a look-up needs to begin. Places go round the zones (a name's parent domain), so that a zone whose
//! servers are silent does not keep the others waiting, however many names it has; and none has more than
//! [`Limits::places_a_zone`]. Zones that have just come go newest and oldest in turn, and every third turn is one's
//! that had some before: whoever comes is not behind ten thousand others, whatever zones they are of, and none waits
//! for ever. A look-up that is slow yields its place to one that waits for it.
//!
//! Invariants: a zone is listed, once, while it has look-ups that wait and places left; it is forgotten when it has
//! neither look-ups that wait nor places.
//!
//! Not here: what a look-up does in its place (`resolver`).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::map::Map;
use crate::base::slab::{Key, Slab};

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In all.
    pub(super) places: usize,
    /// For the names of one zone.
    pub(super) places_a_zone: usize,
}

/// Look-ups that wait for a place.
#[derive(Debug)]
pub(super) struct Line {
    limits: Limits,
    zones: Slab<Zone>,
    by_name: Map<Arc<str>, Key>,
    /// Listed zones that have had no place since they came, the newest last.
    newcomers: VecDeque<Key>,
    /// Listed zones that have had one, in the order of their turns.
    regulars: VecDeque<Key>,
    /// Places given so far, modulo 3.
    turn: u8,
    /// Places taken.
    taken: usize,
    /// Of the look-ups that have a place those that are slow, the slowest first; with their zones.
    slow: VecDeque<(Key, Key)>,
}

#[derive(Debug)]
struct Zone {
    name: Arc<str>,
    /// The newest last.
    waiting: VecDeque<Key>,
    taken: usize,
    is_listed: bool,
    /// Its newest goes next, not its oldest.
    newest_next: bool,
}

impl Line {
    pub(super) fn new(limits: Limits, seed: [u64; 2]) -> Line {
        Line {
            limits,
            zones: Slab::new(),
            by_name: Map::new(seed),
            newcomers: VecDeque::new(),
            regulars: VecDeque::new(),
            turn: 0,
            taken: 0,
            slow: VecDeque::new(),
        }
    }

    /// A look-up of this name waits from now on.
    pub(super) fn push(&mut self, name: &str, lookup: Key) {
        let zone = match self.by_name.get(zone_of(name)) {
            Some(zone) => *zone,
            None => self.add(zone_of(name)),
        };
        self.zones[zone].waiting.push_back(lookup);
        self.list(zone);
    }

    /// Gives a place to the look-up whose turn it is; none if none may have one.
    pub(super) fn pop(&mut self) -> Option<Key> {
        if self.taken >= self.limits.places {
            return None;
        }
        let zone = self.next_zone()?;
        let entry = &mut self.zones[zone];
        entry.is_listed = false;
        let lookup = match entry.newest_next {
            true => entry.waiting.pop_back(),
            false => entry.waiting.pop_front(),
        };
        entry.newest_next = !entry.newest_next;
        entry.taken += 1;
        self.taken += 1;
        self.list(zone);
        Some(lookup.expect("a listed zone has some that wait"))
    }

    /// The look-up of this name has no place any more.
    pub(super) fn give_back(&mut self, name: &str, lookup: Key) {
        let zone = self.zone_with_place(name);
        self.slow.retain(|(other, _)| *other != lookup);
        self.zones[zone].taken -= 1;
        self.taken -= 1;
        self.list(zone);
        let entry = &self.zones[zone];
        if entry.taken == 0 && entry.waiting.is_empty() {
            self.by_name.remove(&entry.name);
            self.zones.remove(zone);
        }
    }

    /// The look-up of this name has had its place for long.
    pub(super) fn on_slow(&mut self, name: &str, lookup: Key) {
        let zone = self.zone_with_place(name);
        self.slow.push_back((lookup, zone));
    }

    /// The slow look-up whose place another one waits for, the slowest if there are several.
    pub(super) fn yielding(&self) -> Option<Key> {
        let is_full = self.taken >= self.limits.places;
        let is_wanted = |zone: Key| {
            let entry = &self.zones[zone];
            !entry.waiting.is_empty() && (is_full || entry.taken >= self.limits.places_a_zone)
        };
        let others_wait = is_full && !(self.newcomers.is_empty() && self.regulars.is_empty());
        let mut slow = self.slow.iter();
        let found = slow.find(|(_, zone)| others_wait || is_wanted(*zone));
        found.map(|(lookup, _)| *lookup)
    }

    /// Places taken.
    #[cfg(test)]
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// Whether nothing is remembered of any zone.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.zones.is_empty() && self.slow.is_empty()
    }

    fn zone_with_place(&self, name: &str) -> Key {
        let zone = self.by_name.get(zone_of(name));
        *zone.expect("a zone with places is remembered")
    }

    fn add(&mut self, name: &str) -> Key {
        let name: Arc<str> = name.into();
        let zone = self.zones.insert(Zone {
            name: Arc::clone(&name),
            waiting: VecDeque::new(),
            taken: 0,
            is_listed: false,
            newest_next: false,
        });
        self.by_name.insert(name, zone);
        zone
    }

    /// Lists a zone that has turns to come, and is not listed.
    fn list(&mut self, zone: Key) {
        let entry = &mut self.zones[zone];
        let has_turns = !entry.waiting.is_empty() && entry.taken < self.limits.places_a_zone;
        if entry.is_listed || !has_turns {
            return;
        }
        entry.is_listed = true;
        match entry.taken {
            0 => self.newcomers.push_back(zone),
            _ => self.regulars.push_back(zone),
        }
    }

    fn next_zone(&mut self) -> Option<Key> {
        self.turn = (self.turn + 1) % 3;
        let (newcomers, regulars) = (&mut self.newcomers, &mut self.regulars);
        match self.turn {
            0 => regulars.pop_front().or_else(|| newcomers.pop_front()),
            1 => newcomers.pop_back().or_else(|| regulars.pop_front()),
            _ => newcomers.pop_front().or_else(|| regulars.pop_front()),
        }
    }
}

/// The zone whose servers are asked for a name, as far as the name itself shows.
fn zone_of(name: &str) -> &str {
    name.split_once('.').map_or("", |(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        places: 4,
        places_a_zone: 2,
    };

    fn line() -> Line {
        Line::new(LIMITS, [1, 2])
    }

    fn key(n: u64) -> Key {
        Key::from_bits(1 << 32 | n)
    }

    fn pop_all(line: &mut Line) -> Vec<u64> {
        let mut popped = Vec::new();
        while let Some(lookup) = line.pop() {
            popped.push(lookup.index() as u64);
        }
        popped
    }

    #[test]
    fn f113_a_zone_with_many_names_has_a_share_and_no_more() {
        let mut line = line();
        for n in 0..1_000 {
            line.push(&format!("n{n}.silent.example"), key(n));
        }
        assert_eq!(pop_all(&mut line), [0, 999], "its oldest and its newest");
        line.push("a.healthy.example", key(2_000));
        line.push("b.other.example", key(2_001));
        let mut others = pop_all(&mut line);
        others.sort_unstable();
        assert_eq!(others, [2_000, 2_001]);
        line.give_back("n0.silent.example", key(0));
        assert_eq!(pop_all(&mut line), [1]);
    }

    #[test]
    fn f113_of_many_zones_the_newest_the_oldest_and_those_that_had_some_go_in_turn() {
        let mut line = Line::new(
            Limits {
                places: 1,
                places_a_zone: 1,
            },
            [1, 2],
        );
        for n in 0..6 {
            line.push(&format!("x.z{n}"), key(n));
        }
        let mut order = Vec::new();
        while let Some(lookup) = line.pop() {
            let n = lookup.index() as u64;
            order.push(n);
            line.give_back(&format!("x.z{n}"), lookup);
        }
        assert_eq!(order, [5, 0, 1, 4, 2, 3]);
        assert!(line.is_empty(), "nothing is left of zones without names");
    }

    #[test]
    fn f113_none_waits_for_ever_however_many_come() {
        let mut line = line();
        line.push("a.first", key(0));
        for n in 1..100 {
            line.push(&format!("a.z{n}"), key(n));
        }
        let mut came = 100;
        for round in 0..3 {
            for lookup in pop_all(&mut line) {
                if lookup == 0 {
                    return;
                }
                line.give_back(&format!("a.z{lookup}"), key(lookup));
                line.push(&format!("a.z{came}"), key(came));
                came += 1;
            }
            assert!(round < 2, "it has waited for too long");
        }
    }

    #[test]
    fn f113_the_slowest_yields_where_another_waits_for_its_place() {
        let mut line = line();
        for n in 0..2 {
            line.push(&format!("n{n}.a"), key(n));
        }
        assert_eq!(pop_all(&mut line), [0, 1]);
        line.on_slow("n1.a", key(1));
        assert_eq!(line.yielding(), None, "nobody waits");
        line.push("x.b", key(10));
        assert_eq!(pop_all(&mut line), [10], "there are others");
        line.push("n2.a", key(2));
        assert_eq!(line.yielding(), Some(key(1)), "its own zone has no more");
        line.give_back("n1.a", key(1));
        assert_eq!(pop_all(&mut line), [2]);
        line.push("x.c", key(11));
        line.push("x.d", key(12));
        assert_eq!(pop_all(&mut line), [11]);
        line.on_slow("n0.a", key(0));
        line.on_slow("x.c", key(11));
        assert_eq!(line.yielding(), Some(key(0)), "all are taken");
        assert_eq!(line.taken(), 4);
    }
}
