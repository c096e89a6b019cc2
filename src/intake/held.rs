//! Which clients are not read from: since when, and what they wait for.
//!
//! A client is held from the moment at which its turn came and it was passed over, until a line of it is read or it is
//! passed over no more. Who goes on, however slowly, is not held for long; who stands still is found by how long.
//!
//! Not here: when a client is passed over (`reading`), what is said of it and to whom (the shell, `health`, `control`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::base::time::Instant;
use crate::intake::event::{ClientId, Kind};

/// Who was held for so long stands still, and somebody is to hear of it.
pub const STANDS_STILL_AFTER: Duration = Duration::from_secs(60);

/// What a client that is held waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// For its results to be read, of which so many bytes are there.
    Unread(usize),
    /// For one of its own jobs to end, of which there are as many as may be (`maxClientPending`).
    OwnJobs(usize),
    /// For room among the jobs of all, of which so many are there (`maxPending`, `maxPendingBytes`).
    AllJobs(usize),
}

/// A client that is not read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which it is.
    pub client: ClientId,
    /// Whether it is the feed, or who it is at the socket.
    pub kind: Kind,
    /// What it waits for.
    pub by: HeldBy,
    /// Since when.
    pub since: Instant,
}

/// All that are held, by when it began.
#[derive(Debug, Default)]
pub(super) struct HeldClients {
    clients: BTreeMap<(Instant, u64), Held>,
}

impl HeldClients {
    /// The client was passed over; it may have been before. Gives what it is to be known by from now on.
    pub(super) fn hold(&mut self, held: Held) -> Instant {
        let key = (held.since, held.client.0.to_bits());
        self.clients.insert(key, held);
        held.since
    }

    /// It is not held any more; `since` is what [`HeldClients::hold`] has given.
    pub(super) fn release(&mut self, client: ClientId, since: Instant) {
        let released = self.clients.remove(&(since, client.0.to_bits()));
        assert!(released.is_some(), "it was held");
    }

    /// Who has been held for longest comes first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Held> + '_ {
        self.clients.values().copied()
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeldBy::Unread(bytes) => write!(f, "its results are not read: {bytes} bytes of them"),
            HeldBy::OwnJobs(count) => {
                write!(f, "none of its {count} jobs has ended (maxClientPending)")
            }
            HeldBy::AllJobs(count) => write!(
                f,
                "none of the {count} pending jobs has ended (maxPending, maxPendingBytes)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slab::Key;

    fn held(client: u64, since: u64) -> Held {
        Held {
            client: ClientId(Key::from_bits(client)),
            kind: Kind::Feed,
            by: HeldBy::Unread(1),
            since: Instant::from_nanos(since),
        }
    }

    #[test]
    fn who_is_held_for_longest_comes_first_and_who_is_released_is_gone() {
        let mut clients = HeldClients::default();
        for one in [held(1, 30), held(2, 10), held(3, 10), held(2, 10)] {
            assert_eq!(clients.hold(one), one.since);
        }
        let order: Vec<Held> = clients.iter().collect();
        assert_eq!(order, [held(2, 10), held(3, 10), held(1, 30)]);
        clients.release(held(2, 10).client, Instant::from_nanos(10));
        assert_eq!(clients.len(), 2);
        assert_eq!(clients.iter().next(), Some(held(3, 10)));
    }
}
