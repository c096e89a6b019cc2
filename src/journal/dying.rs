//! Jobs that have ended and whose dead letters are not safe yet. Who was told of such an end may ask for the letter at
//! once, so that what is said of it stays here until it lies where letters lie.
//!
//! Not here: letters that are safe (`letters`), how these get there (`reads`, `landing`).

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::journal::event::{Identity, JobKey, Letter};

/// The jobs, by key and by id. Of one id there is one at most: a new job of it ends its dying.
#[derive(Debug, Default)]
pub(super) struct Dying {
    by_key: BTreeMap<JobKey, (Identity, Box<Letter>)>,
    by_id: BTreeMap<Identity, JobKey>,
}

impl Dying {
    pub(super) fn insert(&mut self, key: JobKey, id: Identity, letter: Box<Letter>) {
        self.by_key.insert(key, (id, letter));
        self.by_id.insert(id, key);
    }

    pub(super) fn remove(&mut self, key: JobKey) {
        if let Some((id, _)) = self.by_key.remove(&key) {
            self.by_id.remove(&id);
        }
    }

    /// What will be said of it.
    pub(super) fn get(&self, key: JobKey) -> Option<&Letter> {
        self.by_key.get(&key).map(|(_, letter)| &**letter)
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
    pub(super) fn after(&self, key: JobKey) -> impl Iterator<Item = JobKey> {
        let beyond = (Bound::Excluded(key), Bound::Unbounded);
        self.by_key.range(beyond).map(|(key, _)| *key)
    }

    /// The last key there is.
    pub(super) fn last(&self) -> Option<JobKey> {
        self.by_key.last_key_value().map(|(key, _)| *key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}
