//! Finds places in somebody's table by a hash: four bytes a place, the values stay with their owner.
//!
//! Open addressing with linear probing over `u32` cells, at most three quarters full. A removed cell is filled
//! by those behind it (Knuth, vol. 3, algorithm 6.4 R), so nothing grows with the time it is used. The owner
//! answers two questions: what is the hash of a place, and is this place the one that is meant. Where strangers
//! choose the keys, the hash must be seeded.
//!
//! Not here: maps that own keys and values (`map`).

const EMPTY: u32 = u32::MAX;

/// The smallest table.
const CELLS_MIN: usize = 16;

/// Places, found by their hashes.
#[derive(Clone, Debug, Default)]
pub struct Finder {
    cells: Vec<u32>,
    len: usize,
}

impl Finder {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Finder {
        Finder {
            cells: Vec::new(),
            len: 0,
        }
    }

    /// The first place under `hash` that `is_it`.
    #[must_use]
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.cells.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        while self.cells[at] != EMPTY {
            if is_it(self.cells[at]) {
                return Some(self.cells[at]);
            }
            at = self.after(at);
        }
        None
    }

    /// Puts `place`, whose hash is `hash_of(place)`, beside whatever is there.
    ///
    /// # Panics
    /// For the place `u32::MAX`.
    pub fn insert(&mut self, place: u32, hash_of: impl Fn(u32) -> u64) {
        assert_ne!(place, EMPTY, "a place is below u32::MAX");
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            self.grow(&hash_of);
        }
        self.len += 1;
        self.put(place, hash_of(place));
    }

    /// Takes `place` out; its hash must still be what it was. Whether it was there.
    pub fn remove(&mut self, place: u32, hash_of: impl Fn(u32) -> u64) -> bool {
        if self.cells.is_empty() {
            return false;
        }
        let mut hole = self.home(hash_of(place));
        while self.cells[hole] != place {
            if self.cells[hole] == EMPTY {
                return false;
            }
            hole = self.after(hole);
        }
        self.len -= 1;
        let mask = self.cells.len() - 1;
        let mut at = self.after(hole);
        while self.cells[at] != EMPTY {
            // It may move into the hole if its home is not between the hole and where it is.
            let home = self.home(hash_of(self.cells[at]));
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.cells[hole] = self.cells[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.cells[hole] = EMPTY;
        true
    }

    /// How many places are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let cells = (self.cells.len() * 2).max(CELLS_MIN);
        let old = std::mem::replace(&mut self.cells, vec![EMPTY; cells]);
        for place in old.into_iter().filter(|place| *place != EMPTY) {
            self.put(place, hash_of(place));
        }
    }

    fn put(&mut self, place: u32, hash: u64) {
        let mut at = self.home(hash);
        while self.cells[at] != EMPTY {
            at = self.after(at);
        }
        self.cells[at] = place;
    }

    /// The high bits of the hash, spread: hashes may be plain counters.
    fn home(&self, hash: u64) -> usize {
        let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (spread >> 32) as usize & (self.cells.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn finds_what_a_list_finds() {
        let mut rng = Rng::from_seed([3; 32]);
        // Few hashes, so that many places collide.
        let hashes: Vec<u64> = (0..500).map(|_| rng.below(40)).collect();
        let hash_of = |place: u32| hashes[place as usize];
        let (mut finder, mut list) = (Finder::new(), Vec::new());
        for _ in 0..20_000 {
            let place = rng.below(500) as u32;
            if let Some(at) = list.iter().position(|other| *other == place) {
                assert!(finder.remove(place, hash_of));
                list.swap_remove(at);
            } else {
                assert!(!finder.remove(place, hash_of));
                finder.insert(place, hash_of);
                list.push(place);
            }
            let asked = rng.below(500) as u32;
            let found = finder.find(hash_of(asked), |place| place == asked);
            assert_eq!(found, list.contains(&asked).then_some(asked));
            assert_eq!(
                (finder.len(), finder.is_empty()),
                (list.len(), list.is_empty())
            );
        }
        assert!(finder.cells.len() <= 1024, "{}", finder.cells.len());
    }

    #[test]
    fn an_empty_one_finds_nothing() {
        let mut finder = Finder::new();
        assert_eq!(finder.find(7, |_| true), None);
        assert!(!finder.remove(0, |_| 7));
    }
}
