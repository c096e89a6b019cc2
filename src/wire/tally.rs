//! What has happened at one origin since it was first known: counters that only grow.
//!
//! The engine counts, where each fact is known; what is read here becomes metrics and `ctl endpoints`. An origin that
//! is forgotten hands its tally over, so that nothing that was counted is ever lost.
//!
//! Not here: how things stand now (`endpoint_row`), how it is written (`metrics`).

use std::time::Duration;

use crate::base::counts::Counts;
use crate::base::histogram::Histogram;

/// From an attempt's start to the end of the response head: 10 ms, doubling up to 40,960 ms.
pub type Durations = Histogram<10_000, 14>;

/// From the moment at which a job may have a connection to the one at which it has: 1 ms, doubling up to 65,536 ms.
pub type Waits = Histogram<1_000, 18>;

/// How an attempt ended, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// With a response of this status, after so long.
    Status(u16, Duration),
    /// A clock ran out.
    Timeout,
    /// Otherwise without a response.
    Error,
}

/// Counters of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that ended with a response, by its status.
    pub statuses: Counts<u16>,
    /// Attempts that ended because a clock ran out.
    pub timeouts: u64,
    /// Attempts that ended otherwise.
    pub errors: u64,
    /// Of all these, those of jobs that had been tried before.
    pub retries: u64,
    /// How long attempts took until their response's head was there.
    pub durations: Durations,
    /// Connections that came up.
    pub opened: u64,
    /// Of these, those that were closed, by the stable name of the reason.
    pub closed: Counts<&'static str>,
    /// Requests that went out on a connection which had carried one before.
    pub reused: u64,
    /// Requests that went out once more, because a kept-alive connection had died under them: no attempts.
    pub resends: u64,
    /// How often the breaker has opened.
    pub trips: u64,
}

impl Tally {
    /// An attempt has ended, and counts.
    pub fn on_attempt(&mut self, end: AttemptEnd, is_retry: bool) {
        match end {
            AttemptEnd::Status(status, duration) => {
                self.statuses.add(status, 1);
                self.durations.add(duration);
            }
            AttemptEnd::Timeout => self.timeouts += 1,
            AttemptEnd::Error => self.errors += 1,
        }
        self.retries += u64::from(is_retry);
    }

    /// All attempts that have ended.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.statuses.total() + self.timeouts + self.errors
    }

    /// Adds what another has counted.
    pub fn add_all(&mut self, other: &Tally) {
        self.statuses.add_all(&other.statuses);
        self.timeouts += other.timeouts;
        self.errors += other.errors;
        self.retries += other.retries;
        self.durations += &other.durations;
        self.opened += other.opened;
        self.closed.add_all(&other.closed);
        self.reused += other.reused;
        self.resends += other.resends;
        self.trips += other.trips;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_is_counted_once_whatever_its_end() {
        let mut tally = Tally::default();
        let ms = Duration::from_millis;
        tally.on_attempt(AttemptEnd::Status(204, ms(7)), false);
        tally.on_attempt(AttemptEnd::Status(503, ms(70)), false);
        tally.on_attempt(AttemptEnd::Timeout, true);
        tally.on_attempt(AttemptEnd::Error, true);
        assert_eq!((tally.attempts(), tally.retries), (4, 2));
        assert_eq!((tally.statuses.get(503), tally.durations.count()), (1, 2));
        let mut all = tally.clone();
        all.add_all(&tally);
        assert_eq!(
            (all.attempts(), all.retries, all.durations.count()),
            (8, 4, 4)
        );
    }
}
