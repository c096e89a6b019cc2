//! A slab: values in reused slots, named by keys that know when their slot was given to another.
//!
//! A key is (index, generation). The generation counts how often the slot was filled, so a key that outlives
//! its value finds nothing instead of a stranger. Insert, get and remove are O(1); iteration is in slot order.

use std::num::NonZeroU32;

/// The name of a value in a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    generation: NonZeroU32,
}

/// Values in reused slots.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: NonZeroU32,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Full(T),
    Free { next: Option<u32> },
}

impl Key {
    /// The slot: dense, so it can index an array beside the slab.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Both halves in one number, which is never `u64::MAX` and never 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation.get() as u64) << 32 | self.index as u64
    }

    /// The inverse of [`Key::to_bits`]; a number that no key has becomes a key that finds nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Key {
        let generation = match NonZeroU32::new((bits >> 32) as u32) {
            Some(generation) => generation,
            None => NonZeroU32::MAX,
        };
        Key {
            index: bits as u32,
            generation,
        }
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    #[must_use]
    pub const fn new() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            free: None,
            len: 0,
        }
    }

    /// Takes the most recently freed slot, or a new one.
    ///
    /// # Panics
    /// With 2³² values in it.
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(index) = self.free {
            let slot = &mut self.slots[index as usize];
            let State::Free { next } = slot.state else {
                unreachable!("a full slot is on the free list")
            };
            self.free = next;
            slot.state = State::Full(value);
            return Key {
                index,
                generation: slot.generation,
            };
        }
        let index = u32::try_from(self.slots.len()).expect("a slab holds fewer than 2^32 values");
        self.slots.push(Slot {
            generation: NonZeroU32::MIN,
            state: State::Full(value),
        });
        Key {
            index,
            generation: NonZeroU32::MIN,
        }
    }

    /// Gives the value back; `None` if the key is stale.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation != key.generation || matches!(slot.state, State::Free { .. }) {
            return None;
        }
        let State::Full(value) =
            std::mem::replace(&mut slot.state, State::Free { next: self.free })
        else {
            unreachable!("checked above")
        };
        // The last generation is skipped, so that no key's bits are u64::MAX.
        slot.generation = match slot.generation.checked_add(1) {
            Some(next) if next != NonZeroU32::MAX => next,
            _ => NonZeroU32::MIN,
        };
        self.free = Some(key.index);
        self.len -= 1;
        Some(value)
    }

    /// The value; `None` if the key is stale.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.index()) {
            Some(Slot {
                generation,
                state: State::Full(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The value; `None` if the key is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some(Slot {
                generation,
                state: State::Full(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// How many values are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first value at or after slot `index`: to walk a slab that changes between steps.
    #[must_use]
    pub fn next_from(&self, index: usize) -> Option<Key> {
        let full = |slot: &Slot<T>| matches!(slot.state, State::Full(_));
        let index = index + self.slots.get(index..)?.iter().position(full)?;
        Some(Key {
            index: index as u32,
            generation: self.slots[index].generation,
        })
    }

    /// All values, in slot order: repeatable, but not the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match &slot.state {
                State::Full(value) => Some((
                    Key {
                        index: index as u32,
                        generation: slot.generation,
                    },
                    value,
                )),
                State::Free { .. } => None,
            })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

impl<T> std::ops::Index<Key> for Slab<T> {
    type Output = T;

    /// # Panics
    /// If the key is stale: for owners that remove a value and its key together.
    fn index(&self, key: Key) -> &T {
        self.get(key)
            .expect("the key's owner keeps its value in the slab")
    }
}

impl<T> std::ops::IndexMut<Key> for Slab<T> {
    /// # Panics
    /// If the key is stale.
    fn index_mut(&mut self, key: Key) -> &mut T {
        self.get_mut(key)
            .expect("the key's owner keeps its value in the slab")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_though_its_slot_is_taken() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(new.index(), old.index());
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab[new], "new");
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn freed_slots_are_reused_newest_first() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..4).map(|n| slab.insert(n)).collect();
        slab.remove(keys[1]);
        slab.remove(keys[3]);
        assert_eq!(slab.next_from(1), Some(keys[2]));
        assert_eq!(slab.next_from(3), None);
        assert_eq!(slab.insert(10).index(), 3);
        assert_eq!(slab.insert(11).index(), 1);
        assert_eq!(slab.insert(12).index(), 4);
        assert_eq!(
            slab.iter().map(|(_, n)| *n).collect::<Vec<_>>(),
            [0, 11, 2, 10, 12]
        );
    }

    #[test]
    fn bits_go_there_and_back() {
        let mut slab = Slab::new();
        slab.insert(());
        let key = slab.insert(());
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_eq!(slab.get(Key::from_bits(0)), None);
        assert_eq!(slab.get(Key::from_bits(u64::MAX)), None);
    }
}
