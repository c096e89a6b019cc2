//! What is known of names, and until when.
//!
//! Names with addresses and names without are kept apart, [`NAMES_MAX`] of each, so that however many names somebody
//! makes up that do not exist or that nobody answers for, none with addresses is forgotten for them. Where a shelf is
//! full a new name takes the place of one that nobody has asked for since the hand last came by (CLOCK), the same in
//! every run. An entry outlives its lifetime: the length of a row of failures stays known, and addresses are kept for a
//! while against an outage of the name servers (RFC 8767).
//!
//! Not here: asking (`resolver`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Found, LookupError, Rest};
use crate::base::map::Map;
use crate::base::time::Instant;

/// Names with addresses that are remembered, and names without.
pub const NAMES_MAX: usize = 16_384;
/// How long a row of failures makes us wait at most (RFC 9520 section 3.2 asks for 1 s to 5 min); the first
/// one makes us wait 1 s, each further one twice as long as the one before.
pub const FAILURE_TTL_MAX: Duration = Duration::from_secs(30);
/// For how long after their lifetime addresses stand in for an answer that can't be had (RFC 8767 section 5).
pub const STALE_MAX: Duration = Duration::from_secs(3600);

/// Entries that the hand passes over for one new name: what is asked for all the time may fill a shelf.
const SPARED_MAX: usize = 16;

/// What a look-up ended with.
pub(super) type Fact = Result<Found, Failure>;

/// Facts by name.
#[derive(Debug)]
pub(super) struct Cache {
    seed: [u64; 2],
    /// Names with addresses, in force or stale.
    present: Shelf,
    /// Names without.
    absent: Shelf,
}

/// Entries that take each other's places, and nobody else's.
#[derive(Debug)]
struct Shelf {
    slots: Vec<Entry>,
    by_name: Map<Arc<str>, u32>,
    /// The slot that the hand looks at next, once all are taken.
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    fact: Fact,
    expires: Instant,
    /// Look-ups in a row that ended in failure, this fact included.
    failures: u32,
    /// The last of them ended in silence.
    is_silent: bool,
    stale: Option<Stale>,
    /// Somebody has asked for it since the hand last came by.
    is_used: bool,
}

/// Addresses that an outage is bridged with.
#[derive(Clone, Debug)]
struct Stale {
    addrs: Arc<[IpAddr]>,
    until: Instant,
}

impl Cache {
    pub(super) fn new(seed: [u64; 2]) -> Cache {
        Cache {
            seed,
            present: Shelf::new(seed),
            absent: Shelf::new(seed),
        }
    }

    /// Remembers an answer; with a lifetime that is over it serves nobody who comes later, an outage or not
    /// (RFC 1035 section 3.2.1).
    pub(super) fn insert(&mut self, now: Instant, name: Arc<str>, fact: Fact, expires: Instant) {
        let stale = match &fact {
            Ok(found) if expires > now => Some(Stale {
                addrs: Arc::clone(&found.addrs),
                until: expires + STALE_MAX,
            }),
            Ok(_) | Err(_) => None,
        };
        self.put(Entry {
            name,
            fact,
            expires,
            failures: 0,
            is_silent: false,
            stale,
            is_used: false,
        });
    }

    /// Remembers that there was no answer, for longer each time, and gives what holds meanwhile: the failure, or
    /// the addresses from before it.
    pub(super) fn insert_failure(
        &mut self,
        now: Instant,
        name: Arc<str>,
        error: LookupError,
    ) -> Fact {
        let before = self.entry(&name);
        let failures = before.map_or(0, |entry| entry.failures);
        // What is wrong with the name itself is news.
        let stale = before
            .filter(|_| error.is_local())
            .and_then(|entry| entry.stale.clone())
            .filter(|stale| now < stale.until);
        let fact = match &stale {
            Some(stale) => Ok(Found {
                addrs: Arc::clone(&stale.addrs),
                rest: Rest::Unknown(error),
            }),
            None => Err(Failure {
                error,
                told: Some(now),
            }),
        };
        let seconds = 1 << failures.min(8);
        self.put(Entry {
            name,
            fact: fact.clone(),
            expires: now + Duration::from_secs(seconds).min(FAILURE_TTL_MAX),
            failures: failures + 1,
            is_silent: error.is_silence(),
            stale,
            is_used: false,
        });
        fact
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Cache::new(self.seed);
    }

    /// What is known and still holds.
    pub(super) fn get(&mut self, now: Instant, name: &str) -> Option<&Fact> {
        let shelf = if self.present.find(name).is_some() {
            &mut self.present
        } else {
            &mut self.absent
        };
        let slot = shelf.find(name)?;
        let entry = &mut shelf.slots[slot];
        entry.is_used = true;
        (now < entry.expires).then_some(&entry.fact)
    }

    /// The addresses that stand in for an answer that does not come.
    pub(super) fn stale(&self, now: Instant, name: &str) -> Option<&Arc<[IpAddr]>> {
        let stale = self.entry(name)?.stale.as_ref()?;
        (now < stale.until).then_some(&stale.addrs)
    }

    /// Whether the last look-up of this name ended in silence.
    pub(super) fn was_silent(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.is_silent)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        [&self.present, &self.absent]
            .into_iter()
            .find_map(|shelf| shelf.find(name).map(|slot| &shelf.slots[slot]))
    }

    fn put(&mut self, entry: Entry) {
        let is_present = entry.fact.is_ok();
        let (shelf, other) = if is_present {
            (&mut self.present, &mut self.absent)
        } else {
            (&mut self.absent, &mut self.present)
        };
        other.remove(&entry.name);
        shelf.put(entry);
    }
}

impl Shelf {
    fn new(seed: [u64; 2]) -> Shelf {
        Shelf {
            slots: Vec::new(),
            by_name: Map::new(seed),
            hand: 0,
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).map(|&slot| slot as usize)
    }

    /// Takes a name out; the last one moves to its slot.
    fn remove(&mut self, name: &str) {
        let Some(slot) = self.by_name.remove(name) else {
            return;
        };
        self.slots.swap_remove(slot as usize);
        if let Some(moved) = self.slots.get(slot as usize) {
            self.by_name.insert(Arc::clone(&moved.name), slot);
        }
    }

    fn put(&mut self, mut entry: Entry) {
        if let Some(slot) = self.find(&entry.name) {
            entry.is_used = self.slots[slot].is_used;
            self.slots[slot] = entry;
        } else if self.slots.len() < NAMES_MAX {
            let slot = self.slots.len() as u32;
            self.by_name.insert(Arc::clone(&entry.name), slot);
            self.slots.push(entry);
        } else {
            let slot = self.least_used();
            self.by_name.remove(&*self.slots[slot].name);
            self.by_name.insert(Arc::clone(&entry.name), slot as u32);
            self.slots[slot] = entry;
        }
    }

    /// The slot of a full shelf that is given up next.
    fn least_used(&mut self) -> usize {
        for _ in 0..SPARED_MAX {
            let slot = self.turn();
            if !std::mem::take(&mut self.slots[slot].is_used) {
                return slot;
            }
        }
        self.turn()
    }

    fn turn(&mut self) -> usize {
        let slot = self.hand % NAMES_MAX;
        self.hand = slot + 1;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: LookupError = LookupError::NoAddress;
    const FAILURE: Failure = Failure {
        error: ERROR,
        told: None,
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn found() -> Fact {
        Ok(Found {
            addrs: [IpAddr::from([192, 0, 2, 1])].into(),
            rest: Rest::Known,
        })
    }

    fn failed_at(now: Instant) -> Fact {
        Err(Failure {
            error: ERROR,
            told: Some(now),
        })
    }

    #[test]
    fn facts_hold_until_they_expire() {
        let mut cache = Cache::new([1, 2]);
        cache.insert(at(0), "a".into(), Err(FAILURE), at(5));
        assert_eq!(cache.get(at(4), "a"), Some(&Err(FAILURE)));
        assert_eq!(cache.get(at(5), "a"), None);
        assert_eq!(cache.get(at(4), "b"), None);
        cache.insert(at(4), "a".into(), found(), at(9));
        assert_eq!(cache.get(at(5), "a"), Some(&found()));
        cache.insert(at(5), "a".into(), Err(FAILURE), at(9));
        assert_eq!(cache.get(at(6), "a"), Some(&Err(FAILURE)));
        cache.clear();
        assert_eq!(cache.get(at(4), "a"), None);
    }

    #[test]
    fn f69_failures_are_remembered_for_1_to_30_s_growing_until_a_success() {
        let mut cache = Cache::new([1, 2]);
        let mut now = at(100);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let fact = cache.insert_failure(now, "a".into(), ERROR);
            assert_eq!(fact, failed_at(now));
            let until = now + Duration::from_secs(seconds);
            assert!(cache.get(until - Duration::from_nanos(1), "a").is_some());
            assert_eq!(cache.get(until, "a"), None, "{seconds}");
            now = until;
        }
        cache.insert(now, "a".into(), Err(FAILURE), now);
        let fact = cache.insert_failure(now, "a".into(), ERROR);
        assert_eq!(fact, failed_at(now));
        assert_eq!(cache.get(now + Duration::from_secs(1), "a"), None);
    }

    #[test]
    fn no_more_names_are_remembered_than_the_limit() {
        let mut cache = Cache::new([1, 2]);
        for n in 0..NAMES_MAX + 10 {
            cache.insert(at(0), n.to_string().into(), Err(FAILURE), at(9));
        }
        assert_eq!(cache.absent.slots.len(), NAMES_MAX);
        assert_eq!(cache.absent.by_name.len(), NAMES_MAX);
        for n in 0..NAMES_MAX + 10 {
            let known = cache.get(at(1), &n.to_string()).is_some();
            assert_eq!(known, n >= 10, "{n}");
        }
    }

    #[test]
    fn f113_names_that_strangers_make_up_evict_none_that_is_in_use() {
        let mut cache = Cache::new([1, 2]);
        cache.insert(at(0), "known".into(), found(), at(9));
        for n in 0..3 * NAMES_MAX {
            let name: Arc<str> = n.to_string().into();
            assert!(cache.insert_failure(at(1), name, ERROR).is_err());
        }
        assert_eq!(cache.get(at(1), "known"), Some(&found()), "none exists");
        // They do exist: what is asked for between them stays.
        for n in 0..3 * NAMES_MAX {
            cache.insert(at(2), n.to_string().into(), found(), at(9));
            assert_eq!(cache.get(at(2), "known"), Some(&found()), "{n}");
        }
        assert_eq!(cache.present.slots.len(), NAMES_MAX);
        assert_eq!(cache.present.by_name.len(), NAMES_MAX);
    }

    #[test]
    fn a_shelf_whose_names_are_all_in_use_gives_one_up_all_the_same() {
        let mut cache = Cache::new([1, 2]);
        for n in 0..NAMES_MAX {
            cache.insert(at(0), n.to_string().into(), found(), at(9));
            cache.get(at(0), &n.to_string());
        }
        cache.insert(at(1), "new".into(), found(), at(9));
        assert_eq!(cache.get(at(1), "new"), Some(&found()));
        assert_eq!(cache.present.slots.len(), NAMES_MAX);
    }
}
