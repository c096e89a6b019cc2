//! What has happened at one origin since it was first known: counters that only grow.
//!
//! The engine counts, where each fact is known; what is read here becomes metrics and `ctl endpoints`. An origin that
//! is forgotten hands its tally over, so that nothing that was counted is ever lost.
//!
//! Not here: how things stand now (`endpoint_row`), how it is written (`metrics`).

use std::fmt;
use std::time::Duration;

use crate::base::counts::Counts;
use crate::base::histogram::Histogram;

/// From an attempt's start to the end of the response head: 10 ms, doubling up to 40,960 ms.
pub type Durations = Histogram<10_000, 14>;

/// From the moment at which a job may have a connection to the one at which it has: 1 ms, doubling up to 65,536 ms.
pub type Waits = Histogram<1_000, 18>;

/// Different statuses that the answers of one origin are counted by; those of further ones by their class.
///
/// A receiver may answer whatever it likes, and each status is a series of metrics for as long as this process lives.
pub const STATUSES_MAX: usize = 32;

/// What answers are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answers {
    /// This status.
    Status(u16),
    /// The other statuses that begin with this digit; those beyond 599 are of 5.
    Class(u8),
}

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
    /// Attempts that ended with a response, by its status or its class.
    pub statuses: Counts<Answers>,
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

impl Answers {
    /// All with the same first digit.
    #[must_use]
    pub fn class(self) -> Answers {
        match self {
            Answers::Status(status) => Answers::Class((status / 100).min(5) as u8),
            Answers::Class(_) => self,
        }
    }

    /// Whether they are 2xx.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.class() == Answers::Class(2)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answers::Status(status) => write!(f, "{status}"),
            Answers::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}

impl Tally {
    /// An attempt has ended, and counts.
    pub fn on_attempt(&mut self, end: AttemptEnd, is_retry: bool) {
        match end {
            AttemptEnd::Status(status, duration) => {
                self.add_status(status);
                self.durations.add(duration);
            }
            AttemptEnd::Timeout => self.timeouts += 1,
            AttemptEnd::Error => self.errors += 1,
        }
        self.retries += u64::from(is_retry);
    }

    fn add_status(&mut self, status: u16) {
        let answers = Answers::Status(status);
        if self.statuses.add_known(answers, 1) {
            return;
        }
        let is_status = |(answers, _): &(Answers, u64)| matches!(answers, Answers::Status(_));
        let is_full = self.statuses.iter().filter(is_status).count() >= STATUSES_MAX;
        let answers = if is_full { answers.class() } else { answers };
        self.statuses.add(answers, 1);
    }

    /// Counts by their class the statuses that are not among `known`, which takes in more until it has
    /// [`STATUSES_MAX`]: so what many have counted together is bounded too, and no count ever moves to another place.
    pub fn fold(&mut self, known: &mut Vec<u16>) {
        let mut folded = Counts::default();
        for (answers, count) in self.statuses.iter() {
            let is_shown = match answers {
                Answers::Class(_) => true,
                Answers::Status(status) if known.contains(&status) => true,
                Answers::Status(_) if known.len() >= STATUSES_MAX => false,
                Answers::Status(status) => {
                    known.push(status);
                    true
                }
            };
            let answers = if is_shown { answers } else { answers.class() };
            folded.add(answers, count);
        }
        self.statuses = folded;
    }

    /// All attempts that have ended.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.statuses.total() + self.timeouts + self.errors
    }

    /// Gives back the memory that it does not need while nothing is counted.
    pub fn shrink(&mut self) {
        self.statuses.shrink();
        self.closed.shrink();
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
        assert_eq!(
            (
                tally.statuses.get(Answers::Status(503)),
                tally.durations.count()
            ),
            (1, 2)
        );
        let mut all = tally.clone();
        all.add_all(&tally);
        assert_eq!(
            (all.attempts(), all.retries, all.durations.count()),
            (8, 4, 4)
        );
    }

    fn shown(tally: &Tally) -> Vec<(String, u64)> {
        let statuses = tally.statuses.iter();
        let shown = statuses.map(|(answers, count)| (answers.to_string(), count));
        shown.collect()
    }

    #[test]
    fn a_receiver_that_answers_with_every_status_is_counted_by_a_few_and_their_classes() {
        let mut tally = Tally::default();
        for _ in 0..2 {
            for status in 200..=999 {
                tally.on_attempt(AttemptEnd::Status(status, Duration::ZERO), false);
            }
        }
        let mut expected: Vec<_> = (200..232).map(|n| (n.to_string(), 2)).collect();
        for (class, count) in [("2xx", 136), ("3xx", 200), ("4xx", 200), ("5xx", 1_000)] {
            expected.push((class.to_owned(), count));
        }
        assert_eq!(shown(&tally), expected);
        assert_eq!(tally.attempts(), 1_600);
    }

    #[test]
    fn what_many_have_counted_is_shown_by_a_few_statuses_and_none_of_them_changes_its_place() {
        let mut known = Vec::new();
        let mut before: Vec<(String, u64)> = Vec::new();
        let mut all = Tally::default();
        // Each has others than those before it, and they come in no order.
        for first in [500, 230, 400, 210, 300, 205] {
            for status in first..first + 12 {
                all.on_attempt(AttemptEnd::Status(status, Duration::ZERO), false);
                let mut one = Tally::default();
                one.on_attempt(AttemptEnd::Status(status + 50, Duration::ZERO), false);
                all.add_all(&one);
            }
            let mut folded = all.clone();
            folded.fold(&mut known);
            assert_eq!(folded.attempts(), all.attempts());
            let now = shown(&folded);
            assert!(now.len() <= STATUSES_MAX + 5, "{now:?}");
            for (answers, count) in &before {
                let again = now.iter().find(|(other, _)| other == answers);
                assert!(again.is_some_and(|(_, now)| now >= count), "{answers}");
            }
            before = now;
        }
        assert!(before.iter().any(|(answers, _)| answers == "2xx"));
    }
}
