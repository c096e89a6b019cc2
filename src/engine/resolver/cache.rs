//! What is known of names, and until when.
//!
//! Bounded by [`NAMES_MAX`]: names keep the slot they got first, and when all are taken a new one evicts
//! round-robin, the same in every run. An entry outlives its lifetime: the length of a row of failures stays known,
//! and addresses are kept for a while against an outage of the name servers (RFC 8767).
//!
//! Not here: asking (`resolver`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::LookupError;
use crate::base::map::Map;
use crate::base::time::Instant;

/// Names that are remembered.
pub const NAMES_MAX: usize = 8_192;
/// How long a row of failures makes us wait at most (RFC 9520 section 3.2 asks for 1 s to 5 min); the first
/// one makes us wait 1 s, each further one twice as long as the one before.
pub const FAILURE_TTL_MAX: Duration = Duration::from_secs(30);
/// For how long after their lifetime addresses stand in for an answer that can't be had (RFC 8767 section 5).
pub const STALE_MAX: Duration = Duration::from_secs(3600);

/// What a look-up ended with.
pub(super) type Fact = Result<Arc<[IpAddr]>, LookupError>;

/// Facts by name.
#[derive(Debug)]
pub(super) struct Cache {
    seed: [u64; 2],
    slots: Vec<Entry>,
    by_name: Map<Arc<str>, u32>,
    /// The slot that is evicted next, once all are taken.
    next: usize,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    fact: Fact,
    expires: Instant,
    /// Look-ups in a row that ended in failure, this fact included.
    failures: u32,
    stale: Option<Stale>,
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
            slots: Vec::new(),
            by_name: Map::new(seed),
            next: 0,
        }
    }

    /// Remembers an answer; with a lifetime that is over it serves nobody who comes later, an outage or not
    /// (RFC 1035 section 3.2.1).
    pub(super) fn insert(&mut self, now: Instant, name: Arc<str>, fact: Fact, expires: Instant) {
        let stale = match &fact {
            Ok(addrs) if expires > now => Some(Stale {
                addrs: Arc::clone(addrs),
                until: expires + STALE_MAX,
            }),
            Ok(_) | Err(_) => None,
        };
        self.put(Entry {
            name,
            fact,
            expires,
            failures: 0,
            stale,
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
            Some(stale) => Ok(Arc::clone(&stale.addrs)),
            None => Err(error),
        };
        let seconds = 1 << failures.min(8);
        self.put(Entry {
            name,
            fact: fact.clone(),
            expires: now + Duration::from_secs(seconds).min(FAILURE_TTL_MAX),
            failures: failures + 1,
            stale,
        });
        fact
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Cache::new(self.seed);
    }

    /// What is known and still holds.
    pub(super) fn get(&self, now: Instant, name: &str) -> Option<&Fact> {
        self.entry(name)
            .filter(|entry| now < entry.expires)
            .map(|entry| &entry.fact)
    }

    /// The addresses that stand in for an answer that does not come.
    pub(super) fn stale(&self, now: Instant, name: &str) -> Option<&Arc<[IpAddr]>> {
        let stale = self.entry(name)?.stale.as_ref()?;
        (now < stale.until).then_some(&stale.addrs)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name
            .get(name)
            .map(|&slot| &self.slots[slot as usize])
    }

    fn put(&mut self, entry: Entry) {
        if let Some(&slot) = self.by_name.get(&*entry.name) {
            self.slots[slot as usize] = entry;
            return;
        }
        let slot = if self.slots.len() < NAMES_MAX {
            self.slots.len()
        } else {
            let slot = self.next;
            self.next = (slot + 1) % NAMES_MAX;
            self.by_name.remove(&*self.slots[slot].name);
            slot
        };
        self.by_name.insert(Arc::clone(&entry.name), slot as u32);
        if slot == self.slots.len() {
            self.slots.push(entry);
        } else {
            self.slots[slot] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: LookupError = LookupError::NoAddress;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn facts_hold_until_they_expire() {
        let mut cache = Cache::new([1, 2]);
        cache.insert(at(0), "a".into(), Err(ERROR), at(5));
        assert_eq!(cache.get(at(4), "a"), Some(&Err(ERROR)));
        assert_eq!(cache.get(at(5), "a"), None);
        assert_eq!(cache.get(at(4), "b"), None);
        cache.clear();
        assert_eq!(cache.get(at(4), "a"), None);
    }

    #[test]
    fn f69_failures_are_remembered_for_1_to_30_s_growing_until_a_success() {
        let mut cache = Cache::new([1, 2]);
        let mut now = at(100);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(cache.insert_failure(now, "a".into(), ERROR), Err(ERROR));
            let until = now + Duration::from_secs(seconds);
            assert!(cache.get(until - Duration::from_nanos(1), "a").is_some());
            assert_eq!(cache.get(until, "a"), None, "{seconds}");
            now = until;
        }
        cache.insert(now, "a".into(), Err(ERROR), now);
        assert_eq!(cache.insert_failure(now, "a".into(), ERROR), Err(ERROR));
        assert_eq!(cache.get(now + Duration::from_secs(1), "a"), None);
    }

    #[test]
    fn no_more_names_are_remembered_than_the_limit() {
        let mut cache = Cache::new([1, 2]);
        for n in 0..NAMES_MAX + 10 {
            cache.insert(at(0), n.to_string().into(), Err(ERROR), at(9));
        }
        assert_eq!(cache.slots.len(), NAMES_MAX);
        assert_eq!(cache.by_name.len(), NAMES_MAX);
        for n in 0..NAMES_MAX + 10 {
            let known = cache.get(at(1), &n.to_string()).is_some();
            assert_eq!(known, n >= 10, "{n}");
        }
    }
}
