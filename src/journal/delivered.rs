//! The ids that were delivered last, so that a duplicate is known for one.
//!
//! A ring in the order of delivery with a finder beside it. Each knows the segment whose record still says its
//! id (its home): before that segment is deleted, the ids that are at home there are written down anew.
//!
//! Not here: jobs that have not ended (`index`).

use crate::base::finder::Finder;
use crate::journal::event::Identity;
use crate::journal::record::Delivered;

/// The home of what is not remembered: segments are counted from 1.
const NOWHERE: u32 = 0;

/// The last delivered ids.
#[derive(Debug)]
pub(super) struct Memory {
    ring: Vec<Remembered>,
    finder: Finder,
    limit: usize,
    /// The oldest place, once the ring is full.
    oldest: usize,
    /// Places from there on whose ids were forgotten before their time: they have no home.
    vacant: usize,
    known: usize,
    next_order: u64,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    delivered: Delivered,
    home: u32,
}

impl Memory {
    /// One that remembers `limit` ids, none yet.
    pub(super) const fn new(limit: usize) -> Memory {
        Memory {
            ring: Vec::new(),
            finder: Finder::new(),
            limit,
            oldest: 0,
            vacant: 0,
            known: 0,
            next_order: 0,
        }
    }

    /// One that remembers the last of these, with their homes. `order`: the greatest that was ever seen.
    pub(super) fn load(limit: usize, mut found: Vec<(Delivered, u32)>, order: u64) -> Memory {
        keep_last(&mut found, limit);
        let mut memory = Memory::new(limit);
        for (delivered, home) in found {
            memory.put(Remembered { delivered, home });
        }
        memory.next_order = memory.next_order.max(order + 1);
        memory
    }

    /// Remembers one more; the order that it is written down with, and the home of the id that was forgotten
    /// for it.
    pub(super) fn push(
        &mut self,
        id: Identity,
        payload: Identity,
        home: u32,
    ) -> (u64, Option<u32>) {
        let order = self.next_order;
        let delivered = Delivered { order, id, payload };
        (order, self.put(Remembered { delivered, home }))
    }

    /// The payload that this id was delivered with.
    pub(super) fn get(&self, id: Identity) -> Option<Identity> {
        let place = self
            .finder
            .find(id[0], |place| self.ring[place as usize].delivered.id == id)?;
        Some(self.ring[place as usize].delivered.payload)
    }

    /// Those of `places` that are at home in `segment`, each with its place.
    pub(super) fn at_home(
        &self,
        segment: u32,
        places: std::ops::Range<u32>,
    ) -> impl Iterator<Item = (u32, &Delivered)> {
        let end = (places.end as usize).min(self.ring.len());
        let start = (places.start as usize).min(end);
        let ring = self.ring[start..end].iter().zip(start as u32..);
        ring.filter(move |(remembered, _)| remembered.home == segment)
            .map(|(remembered, place)| (place, &remembered.delivered))
    }

    /// The id in `place`, if it is still at home in `from`, moves.
    pub(super) fn move_home(&mut self, place: u32, from: u32, to: u32) -> bool {
        let remembered = &mut self.ring[place as usize];
        let is_here = remembered.home == from;
        if is_here {
            remembered.home = to;
        }
        is_here
    }

    /// Every id's home.
    pub(super) fn homes(&self) -> impl Iterator<Item = u32> {
        let homes = self.ring.iter().map(|remembered| remembered.home);
        homes.filter(|home| *home != NOWHERE)
    }

    /// Ids that are remembered.
    pub(super) fn len(&self) -> usize {
        self.known
    }

    /// Places, in use or not.
    pub(super) fn places(&self) -> usize {
        self.ring.len()
    }

    /// Forgets the oldest id before its time, and says what its home was.
    pub(super) fn forget_oldest(&mut self) -> Option<u32> {
        while self.vacant < self.ring.len() {
            let place = (self.oldest + self.vacant) % self.ring.len();
            self.vacant += 1;
            if let Some(home) = self.vacate(place) {
                return Some(home);
            }
        }
        None
    }

    /// Forgets the id in `place` before its time, if it is at home in `home`.
    pub(super) fn forget_at(&mut self, place: u32, home: u32) -> bool {
        let is_here = self.ring[place as usize].home == home;
        is_here && self.vacate(place as usize).is_some()
    }

    fn vacate(&mut self, place: usize) -> Option<u32> {
        let ring = &self.ring;
        let home = ring[place].home;
        if home == NOWHERE {
            return None;
        }
        self.finder
            .remove(place as u32, |place| ring[place as usize].delivered.id[0]);
        self.ring[place].home = NOWHERE;
        self.known -= 1;
        Some(home)
    }

    fn put(&mut self, remembered: Remembered) -> Option<u32> {
        self.next_order = self.next_order.max(remembered.delivered.order + 1);
        if self.limit == 0 {
            return Some(remembered.home);
        }
        let (place, forgotten) = if self.ring.len() < self.limit {
            self.ring.push(remembered);
            (self.ring.len() - 1, None)
        } else {
            let place = self.oldest;
            self.oldest = (place + 1) % self.limit;
            let forgotten = self.vacate(place);
            self.vacant = self.vacant.saturating_sub(1);
            self.ring[place] = remembered;
            (place, forgotten)
        };
        self.known += 1;
        let ring = &self.ring;
        self.finder
            .insert(place as u32, |place| ring[place as usize].delivered.id[0]);
        forgotten
    }
}

/// Keeps the last `limit` of these in the order of delivery; of two with the same id, the later; of two copies,
/// the one with the later home.
pub(super) fn keep_last(found: &mut Vec<(Delivered, u32)>, limit: usize) {
    found.sort_unstable_by_key(|(delivered, home)| (delivered.id, delivered.order, *home));
    found.reverse();
    found.dedup_by_key(|(delivered, _)| delivered.id);
    found.sort_unstable_by_key(|(delivered, _)| delivered.order);
    found.drain(..found.len().saturating_sub(limit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered_and_the_oldest_forgotten() {
        let mut memory = Memory::new(3);
        for n in 0..5 {
            let (order, forgotten) = memory.push([n, 0], [n, 9], n as u32 + 1);
            assert_eq!(order, n);
            assert_eq!(forgotten, n.checked_sub(3).map(|n| n as u32 + 1));
        }
        assert_eq!(memory.get([1, 0]), None);
        assert_eq!(memory.get([2, 0]), Some([2, 9]));
        assert_eq!(memory.get([4, 0]), Some([4, 9]));
        assert_eq!(memory.homes().collect::<Vec<_>>(), [4, 5, 3]);
        let at_home: Vec<u32> = memory.at_home(5, 0..10).map(|(place, _)| place).collect();
        assert_eq!(at_home, [1]);
        assert!(memory.move_home(1, 5, 8) && !memory.move_home(1, 5, 9));
    }

    #[test]
    fn what_is_loaded_is_in_the_order_of_delivery_whatever_the_order_on_disk() {
        let of = |order, id, home| {
            let delivered = Delivered {
                order,
                id: [id, 0],
                payload: [order, 0],
            };
            (delivered, home)
        };
        let found = vec![
            of(5, 5, 1),
            of(2, 2, 1),
            of(4, 4, 1),
            of(2, 2, 3),
            of(3, 5, 1),
        ];
        let mut memory = Memory::load(2, found.clone(), 7);
        assert_eq!(memory.get([2, 0]), None);
        assert_eq!(memory.get([4, 0]), Some([4, 0]));
        assert_eq!(memory.get([5, 0]), Some([5, 0]));
        assert_eq!(memory.push([9, 0], [9, 0], 1), (8, Some(1)));
        assert_eq!(memory.get([4, 0]), None);
        let memory = Memory::load(9, found, 0);
        assert_eq!(memory.homes().collect::<Vec<_>>(), [3, 1, 1]);
    }

    #[test]
    fn f150_the_oldest_are_forgotten_before_their_time() {
        let mut memory = Memory::new(4);
        for n in 0..6 {
            memory.push([n, 0], [n, 9], n as u32 + 1);
        }
        assert_eq!(memory.forget_oldest(), Some(3));
        assert_eq!(memory.forget_oldest(), Some(4));
        assert_eq!((memory.len(), memory.get([3, 0])), (2, None));
        assert_eq!(memory.get([4, 0]), Some([4, 9]));
        // The places are taken again before another id is forgotten.
        assert_eq!(memory.push([6, 0], [6, 9], 7).1, None);
        assert_eq!(memory.push([7, 0], [7, 9], 8).1, None);
        assert_eq!(memory.push([8, 0], [8, 9], 9).1, Some(5));
        assert_eq!(memory.len(), 4);
        let forgotten = std::iter::from_fn(|| memory.forget_oldest());
        assert_eq!(forgotten.collect::<Vec<_>>(), [6, 7, 8, 9]);
        assert_eq!((memory.len(), memory.homes().count()), (0, 0));
        assert_eq!(memory.push([9, 0], [9, 9], 10).1, None);
        assert_eq!(memory.get([9, 0]), Some([9, 9]));
    }

    #[test]
    fn a_memory_of_nothing_forgets_at_once() {
        let mut memory = Memory::new(0);
        assert_eq!(memory.push([1, 0], [1, 0], 4), (0, Some(4)));
        assert_eq!(memory.get([1, 0]), None);
    }
}
