//! Who may have how many of the connections to the Unix socket.
//!
//! Root and conduit's own user may have all of them, and some are kept for these two, so that whoever is to set things
//! right gets in. Of the others nobody has more than half.
//!
//! Not here: who may connect at all (`socket`), what goes on at a connection (`clients`).

use std::collections::BTreeMap;
use std::fmt;

/// One place in so many is kept for root and the own user, one at least.
const KEPT_PART: usize = 16;

/// The places, and who has them.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: usize,
    /// Of these, those of others than root and the own user.
    by_others: usize,
    /// Only users that have one.
    by_user: BTreeMap<u32, Taken>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    count: usize,
    /// Root or the own user.
    is_master: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All {
        /// So many.
        taken: usize,
    },
    /// The rest is kept for root and the own user.
    Kept {
        /// Taken by others.
        taken: usize,
    },
    /// The user has as many as one may have.
    OfUser {
        /// Who.
        uid: u32,
        /// How many.
        taken: usize,
    },
}

impl Places {
    /// So many, all free.
    pub fn new(most: usize) -> Places {
        Places {
            most,
            taken: 0,
            by_others: 0,
            by_user: BTreeMap::new(),
        }
    }

    /// So many from now on; nobody loses one.
    pub const fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Gives the user one, where `own` is conduit's.
    ///
    /// # Errors
    /// There is none for this user.
    pub fn take(&mut self, uid: u32, own: u32) -> Result<(), Full> {
        let is_master = uid == 0 || uid == own;
        let taken = self.by_user.get(&uid).map_or(0, |taken| taken.count);
        if self.taken >= self.most {
            return Err(Full::All { taken: self.taken });
        }
        if !is_master {
            let kept = (self.most / KEPT_PART).max(1);
            if self.by_others + kept >= self.most.max(kept + 1) {
                let taken = self.by_others;
                return Err(Full::Kept { taken });
            }
            if taken >= (self.most / 2).max(1) {
                return Err(Full::OfUser { uid, taken });
            }
            self.by_others += 1;
        }
        self.taken += 1;
        let count = taken + 1;
        self.by_user.insert(uid, Taken { count, is_master });
        Ok(())
    }

    /// Places that are taken.
    #[cfg(test)]
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// One of the user's places is free again.
    ///
    /// # Panics
    /// If it had none.
    pub fn give_back(&mut self, uid: u32) {
        let taken = self.by_user.get_mut(&uid).expect("it has a place");
        taken.count -= 1;
        self.taken -= 1;
        self.by_others -= usize::from(!taken.is_master);
        if taken.count == 0 {
            self.by_user.remove(&uid);
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::All { taken } => write!(f, "{taken} clients are connected already"),
            Full::Kept { taken } => write!(
                f,
                "{taken} clients are connected already; the places left are kept for root and conduit's own user"
            ),
            Full::OfUser { uid, taken } => write!(
                f,
                "user {uid} has {taken} connections already, half of all that may be"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 900;

    #[test]
    fn f117_nobody_has_more_than_half_and_some_are_kept_for_root_and_the_own_user() {
        let mut places = Places::new(1024);
        for _ in 0..512 {
            places.take(1000, OWN).unwrap();
        }
        let (uid, taken) = (1000, 512);
        assert_eq!(places.take(1000, OWN), Err(Full::OfUser { uid, taken }));
        for _ in 0..448 {
            places.take(1001, OWN).unwrap();
        }
        for uid in [1000, 1001, 1002] {
            assert_eq!(places.take(uid, OWN), Err(Full::Kept { taken: 960 }));
        }
        for n in 0..64 {
            places.take([0, OWN][n % 2], OWN).unwrap();
        }
        assert_eq!(places.take(0, OWN), Err(Full::All { taken: 1024 }));
        places.give_back(0);
        assert_eq!(places.take(1001, OWN), Err(Full::Kept { taken: 960 }));
        places.take(OWN, OWN).unwrap();
        places.give_back(1000);
        assert_eq!(places.take(OWN, OWN), Ok(()));
    }

    #[test]
    fn f117_where_there_are_few_places_others_have_one_all_the_same() {
        for (most, others) in [(1, 1), (2, 1), (3, 2), (16, 15)] {
            let mut places = Places::new(most);
            let taken = (1..=16).filter(|uid| places.take(*uid, OWN).is_ok());
            assert_eq!(taken.count(), others, "{most}");
        }
        let mut places = Places::new(8);
        let taken = (0..8).filter(|_| places.take(7, OWN).is_ok());
        assert_eq!(taken.count(), 4);
        for _ in 0..4 {
            places.give_back(7);
        }
        assert!(places.by_user.is_empty() && places.taken == 0 && places.by_others == 0);
    }
}
