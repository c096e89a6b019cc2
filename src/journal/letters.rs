//! Where the dead letters lie: forty-odd bytes each, the oldest first.
//!
//! Not here: what they say (on disk: `Fetch`), when the oldest go (`cleaner`).

use std::collections::BTreeMap;

use crate::journal::event::{Identity, JobKey};
use crate::journal::index::Place;

/// The dead letters.
#[derive(Debug, Default)]
pub(super) struct Letters {
    by_key: BTreeMap<JobKey, Dead>,
    by_id: BTreeMap<Identity, JobKey>,
    /// The letters that each segment was given, by their keys; those that have gone are still named.
    by_segment: BTreeMap<u32, Vec<JobKey>>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dead {
    pub(super) id: Identity,
    pub(super) place: Place,
}

impl Letters {
    /// Puts one in. Of two with the same id the later key stays findable by it.
    pub(super) fn insert(&mut self, key: JobKey, dead: Dead) {
        if self
            .by_key
            .insert(key, dead)
            .is_none_or(|old| old.place.segment != dead.place.segment)
        {
            let keys = self.by_segment.entry(dead.place.segment).or_default();
            keys.push(key);
        }
        if self.by_id.get(&dead.id).is_none_or(|other| *other < key) {
            self.by_id.insert(dead.id, key);
        }
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Option<Dead> {
        let dead = self.by_key.remove(&key)?;
        if self.by_id.get(&dead.id) == Some(&key) {
            self.by_id.remove(&dead.id);
        }
        Some(dead)
    }

    /// Removes one of `segment`; `None` if it has none.
    pub(super) fn pop_of(&mut self, segment: u32) -> Option<Dead> {
        let keys = self.by_segment.get_mut(&segment)?;
        while let Some(key) = keys.pop() {
            let is_here = |dead: &Dead| dead.place.segment == segment;
            if self.by_key.get(&key).is_some_and(is_here) {
                return self.remove(key);
            }
        }
        self.by_segment.remove(&segment);
        None
    }

    pub(super) fn get(&self, key: JobKey) -> Option<Dead> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn by_id(&self, id: Identity) -> Option<JobKey> {
        self.by_id.get(&id).copied()
    }

    /// Those of this id, whoever's.
    pub(super) fn of_all(&self, id: Identity) -> impl Iterator<Item = JobKey> {
        let range = self.by_id.range([id[0], 0]..=[id[0], u64::MAX]);
        range.map(|(_, key)| *key)
    }

    /// Those after `key`, the oldest first.
    pub(super) fn after(&self, key: JobKey) -> impl Iterator<Item = (JobKey, Dead)> {
        let beyond = (std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded);
        self.by_key.range(beyond).map(|(key, dead)| (*key, *dead))
    }

    /// The last key there is.
    pub(super) fn last(&self) -> Option<JobKey> {
        self.by_key.last_key_value().map(|(key, _)| *key)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_by_key_id_and_segment() {
        let mut letters = Letters::default();
        let dead = |id, segment| Dead {
            id: [id, 0],
            place: Place {
                segment,
                ..Place::default()
            },
        };
        letters.insert(JobKey(1), dead(7, 1));
        letters.insert(JobKey(2), dead(8, 1));
        letters.insert(JobKey(3), dead(7, 2));
        assert_eq!(letters.by_id([7, 0]), Some(JobKey(3)));
        assert_eq!(letters.after(JobKey(1)).count(), 2);
        assert!(letters.remove(JobKey(2)).is_some());
        assert_eq!(letters.pop_of(1).map(|dead| dead.id), Some([7, 0]));
        assert!(letters.pop_of(1).is_none());
        assert_eq!(letters.by_id([7, 0]), Some(JobKey(3)));
        assert!(letters.get(JobKey(3)).is_some());
        assert_eq!(letters.len(), 1);
    }
}
