//! The circuit breaker of one origin: whether an attempt may begin there at all.
//!
//! ```text
//!   Closed --breakerFailures in a row--> Open --breakerSeconds--> half-open --probe succeeds--> Closed
//!                                          ^_________ probe fails ___/  \__ neutral: another probe
//!   any --isolate--> Isolated    any --reset--> Closed
//! ```
//!
//! Half-open is no state of its own but an open breaker whose time is over: what it is follows from the clock,
//! so nothing has to happen for it to change. Each opening, isolation and reset begins a new epoch; an attempt is of
//! the epoch in which it began, and what an older one ends with changes nothing (F103).
//!
//! Not here: what counts as a failure (`outcome`), how load comes back afterwards (`throttle`), which job is the
//! probe (`origin`).

use std::time::Duration;

use crate::base::time::Instant;
use crate::engine::outcome::Vote;
pub use crate::wire::endpoint_row::BreakerState;

/// The breaker of one origin.
#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
    epoch: u32,
}

/// What an attempt's end did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody has to know.
    None,
    /// It has opened, until then.
    Opened(Instant),
    /// It has closed.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
    Isolated,
}

impl Default for State {
    fn default() -> State {
        State::Closed { failures: 0 }
    }
}

impl Breaker {
    /// An attempt begins. Gives the epoch that it is of.
    ///
    /// # Panics
    /// If none may.
    pub fn on_begin(&mut self, now: Instant) -> u32 {
        assert!(self.may_begin(now), "the breaker is open");
        if let State::Open { .. } = self.state {
            self.state = State::Probing;
        }
        self.epoch
    }

    /// An attempt of this epoch has ended: `failures_max` in a row open the breaker for `open_for`.
    pub fn on_end(
        &mut self,
        now: Instant,
        epoch: u32,
        vote: Vote,
        failures_max: u32,
        open_for: Duration,
    ) -> Change {
        if epoch != self.epoch {
            return Change::None;
        }
        match (self.state, vote) {
            (State::Closed { failures }, Vote::Failure) if failures + 1 < failures_max => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                Change::None
            }
            (State::Closed { .. } | State::Probing, Vote::Failure) => {
                let until = now + open_for;
                self.state = State::Open { until };
                self.epoch = self.epoch.wrapping_add(1);
                Change::Opened(until)
            }
            (State::Closed { .. }, Vote::Success) => {
                self.state = State::Closed { failures: 0 };
                Change::None
            }
            (State::Probing, Vote::Success) => {
                self.state = State::Closed { failures: 0 };
                Change::Closed
            }
            (State::Probing, Vote::Neutral) => {
                self.state = State::Open { until: now };
                Change::None
            }
            (State::Closed { .. }, Vote::Neutral) => Change::None,
            (State::Open { .. } | State::Isolated, _) => {
                unreachable!("no attempt begins in the epoch of an open breaker")
            }
        }
    }

    /// Somebody wants it closed. Says whether it was not.
    pub fn reset(&mut self) -> bool {
        let was_closed = self.is_closed();
        self.state = State::default();
        self.epoch = self.epoch.wrapping_add(1);
        !was_closed
    }

    /// Somebody wants it open until it is reset. Says whether it was not so already.
    pub fn isolate(&mut self) -> bool {
        let was_isolated = self.is_isolated();
        self.state = State::Isolated;
        self.epoch = self.epoch.wrapping_add(1);
        !was_isolated
    }

    /// Whether an attempt may begin.
    #[must_use]
    pub fn may_begin(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::Probing | State::Isolated => false,
        }
    }

    /// What it is.
    #[must_use]
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Isolated => BreakerState::Isolated,
            State::Open { .. } | State::Probing => BreakerState::HalfOpen,
        }
    }

    /// Whether it is closed: unlike the other two states, that does not change with the clock alone.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether it is open until somebody resets it.
    #[must_use]
    pub const fn is_isolated(&self) -> bool {
        matches!(self.state, State::Isolated)
    }

    /// Whether an attempt of this epoch still counts.
    #[must_use]
    pub const fn is_current(&self, epoch: u32) -> bool {
        self.epoch == epoch
    }

    /// When it will let a probe through, if it waits for that.
    #[must_use]
    pub const fn opens_until(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed { .. } | State::Probing | State::Isolated => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    /// One attempt from beginning to end.
    fn attempt(breaker: &mut Breaker, seconds: u64, vote: Vote) -> Change {
        let epoch = breaker.on_begin(at(seconds));
        breaker.on_end(at(seconds), epoch, vote, 5, MINUTE)
    }

    fn opened(seconds: u64) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(attempt(&mut breaker, seconds, Vote::Failure), Change::None);
        }
        assert_eq!(
            attempt(&mut breaker, seconds, Vote::Failure),
            Change::Opened(at(seconds + 60))
        );
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_a_minute() {
        let breaker = opened(10);
        assert_eq!(breaker.state(at(10)), BreakerState::Open);
        assert!(!breaker.may_begin(at(69)));
        assert_eq!(breaker.state(at(70)), BreakerState::HalfOpen);
        assert!(breaker.may_begin(at(70)));
        assert_eq!(breaker.opens_until(), Some(at(70)));
    }

    #[test]
    fn a_success_between_starts_the_count_anew_and_a_neutral_end_does_not() {
        let mut breaker = Breaker::default();
        for vote in [Vote::Failure; 4].into_iter().chain([Vote::Success]) {
            assert_eq!(attempt(&mut breaker, 0, vote), Change::None);
        }
        for vote in [Vote::Failure; 4].into_iter().chain([Vote::Neutral; 3]) {
            assert_eq!(attempt(&mut breaker, 0, vote), Change::None);
        }
        assert!(breaker.is_closed());
        assert!(matches!(
            attempt(&mut breaker, 0, Vote::Failure),
            Change::Opened(_)
        ));
    }

    #[test]
    fn f103_half_open_lets_one_probe_through_and_what_that_ends_with_decides() {
        for (vote, change, state) in [
            (Vote::Success, Change::Closed, BreakerState::Closed),
            (Vote::Failure, Change::Opened(at(131)), BreakerState::Open),
            (Vote::Neutral, Change::None, BreakerState::HalfOpen),
        ] {
            let mut breaker = opened(0);
            let probe = breaker.on_begin(at(70));
            assert!(!breaker.may_begin(at(1_000)), "one at a time");
            assert_eq!(breaker.state(at(1_000)), BreakerState::HalfOpen);
            assert_eq!(breaker.on_end(at(71), probe, vote, 5, MINUTE), change);
            assert_eq!(breaker.state(at(71)), state, "{vote:?}");
            assert_eq!(breaker.may_begin(at(71)), vote != Vote::Failure);
        }
    }

    #[test]
    fn isolated_it_lets_no_probe_through_until_it_is_reset() {
        for mut breaker in [Breaker::default(), opened(0)] {
            let early = breaker.is_closed().then(|| breaker.on_begin(at(0)));
            assert!(breaker.isolate() && !breaker.isolate());
            assert!(!breaker.may_begin(at(1_000_000)));
            assert_eq!(breaker.state(at(1_000_000)), BreakerState::Isolated);
            assert_eq!(breaker.opens_until(), None);
            if let Some(early) = early {
                let change = breaker.on_end(at(1), early, Vote::Success, 5, MINUTE);
                assert_eq!(change, Change::None);
                assert!(breaker.is_isolated());
            }
            assert!(breaker.reset() && !breaker.reset());
            assert!(breaker.may_begin(at(1)));
        }
    }

    #[test]
    fn attempts_begun_before_a_reset_no_longer_vote() {
        let mut breaker = opened(0);
        let probe = breaker.on_begin(at(60));
        assert!(breaker.reset());
        let change = breaker.on_end(at(61), probe, Vote::Failure, 1, MINUTE);
        assert_eq!((change, breaker.is_closed()), (Change::None, true));
        // Nor do failures before it count.
        for _ in 0..4 {
            assert_eq!(attempt(&mut breaker, 62, Vote::Failure), Change::None);
        }
        assert!(!breaker.reset());
        assert_eq!(attempt(&mut breaker, 63, Vote::Failure), Change::None);
    }

    #[test]
    fn f103_attempts_begun_before_it_opened_change_nothing() {
        let mut breaker = Breaker::default();
        let early = breaker.on_begin(at(0));
        for _ in 0..5 {
            attempt(&mut breaker, 0, Vote::Failure);
        }
        for vote in [Vote::Success, Vote::Failure, Vote::Neutral] {
            assert_eq!(breaker.on_end(at(1), early, vote, 5, MINUTE), Change::None);
            assert_eq!(breaker.opens_until(), Some(at(60)));
        }
        let probe = breaker.on_begin(at(60));
        assert_eq!(
            breaker.on_end(at(61), early, Vote::Success, 5, MINUTE),
            Change::None
        );
        assert!(!breaker.may_begin(at(61)), "the probe is under way");
        assert_eq!(
            breaker.on_end(at(61), probe, Vote::Success, 5, MINUTE),
            Change::Closed
        );
        assert_eq!(
            breaker.on_end(at(62), early, Vote::Failure, 1, MINUTE),
            Change::None
        );
        assert!(breaker.is_closed());
    }
}
