//! A few counters by key, for sets of keys that are small but not known beforehand.
//!
//! Sorted by key: a look-up takes a few comparisons and no hash, and what is read is read in order.
//!
//! Not here: what is counted (`wire/tally`).

/// Counters by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts<K> {
    entries: Vec<(K, u64)>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts {
            entries: Vec::new(),
        }
    }
}

impl<K: Ord + Copy> Counts<K> {
    /// Counts so many of a key.
    pub fn add(&mut self, key: K, count: u64) {
        match self.entries.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(index) => self.entries[index].1 += count,
            Err(index) => self.entries.insert(index, (key, count)),
        }
    }

    /// Counts so many of a key, if it was counted before; whether it was.
    pub fn add_known(&mut self, key: K, count: u64) -> bool {
        let index = self.entries.binary_search_by_key(&key, |(key, _)| *key);
        if let Ok(index) = index {
            self.entries[index].1 += count;
        }
        index.is_ok()
    }

    /// Gives back the memory that it does not need while nothing is added.
    pub fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Counts all that another has counted.
    pub fn add_all(&mut self, other: &Self) {
        for (key, count) in other.iter() {
            self.add(key, count);
        }
    }

    /// How many of a key were counted.
    #[must_use]
    pub fn get(&self, key: K) -> u64 {
        let index = self.entries.binary_search_by_key(&key, |(key, _)| *key);
        index.map_or(0, |index| self.entries[index].1)
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.entries.iter().map(|(_, count)| count).sum()
    }

    /// Keys and their counts, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> {
        self.entries.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_counted_for_itself_and_read_in_order() {
        let mut counts = Counts::default();
        for key in [204, 500, 200, 204, 204] {
            counts.add(key, 1);
        }
        assert_eq!(
            counts.iter().collect::<Vec<_>>(),
            [(200, 1), (204, 3), (500, 1)]
        );
        let mut all = Counts::default();
        assert!(!all.add_known(500, 1));
        all.add(500, 4);
        assert!(all.add_known(500, 3));
        all.add(201, 1);
        all.add_all(&counts);
        assert_eq!(
            (all.get(500), all.get(204), all.get(999), all.total()),
            (8, 3, 0, 13)
        );
    }
}
