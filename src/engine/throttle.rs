//! How much of an origin's load may run now, below what its breaker and its connections allow.
//!
//! ```text
//!   free --Retry-After--> held --its time, or a 2xx--> returning: 1, 2, 4, … at a time --> free
//!     \______________________ the breaker has closed _____/
//! ```
//!
//! Three things that don't know of each other: the *hold* that a receiver asks for, the *ramp* in which load
//! comes back after a hold or an open breaker, and the *pause* of dials when this machine itself is in trouble
//! (F19: never a busy loop). Besides, the *retry budget* (F104).
//!
//! Not here: the breaker, waits of single jobs (`backoff`).

use std::time::Duration;

use crate::base::time::Instant;
use crate::engine::policy::Endpoint;

/// The shortest and the longest pause of dials; each in a row is twice the one before.
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`PAUSE_MIN`].
pub const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Retries that may be under way at once: this part of the connections …
const RETRY_PERCENT: u32 = 20;
/// … and so many in any case.
const RETRIES_MIN: u32 = 3;

/// What holds back an origin's load.
#[derive(Debug, Default)]
pub struct Throttle {
    load: Load,
    /// No dial begins before.
    paused_until: Instant,
    /// How long the last pause was; zero while dials work.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Load {
    #[default]
    Free,
    Held {
        until: Instant,
    },
    Returning {
        at_once: u32,
        successes: u32,
    },
}

impl Throttle {
    /// A receiver asks to be left alone. Says whether this prolongs the hold.
    pub fn hold(&mut self, now: Instant, delay: Duration) -> bool {
        let until = now + delay;
        let before = match self.load {
            Load::Held { until } => until,
            Load::Free | Load::Returning { .. } => now,
        };
        if until <= before {
            return false;
        }
        self.load = Load::Held { until };
        true
    }

    /// The breaker has closed: load comes back stepwise; `delivered`: with a 2xx, without which a hold goes on.
    pub fn on_breaker_closed(&mut self, now: Instant, delivered: bool) {
        let is_held = matches!(self.load, Load::Held { until } if now < until);
        if delivered || !is_held {
            self.load = RAMP_START;
        }
    }

    /// An attempt has succeeded; `delivered`: with a 2xx, which ends a hold.
    pub fn on_success(&mut self, now: Instant, delivered: bool, max_connections: u32) {
        if matches!(self.load, Load::Held { until } if now >= until) {
            self.load = RAMP_START;
        }
        match &mut self.load {
            Load::Free => {}
            Load::Held { .. } if delivered => self.load = RAMP_START,
            Load::Held { .. } => {}
            Load::Returning { at_once, successes } => {
                *successes += 1;
                if *successes >= *at_once {
                    *at_once = at_once.saturating_mul(2);
                    *successes = 0;
                }
                if *at_once >= max_connections {
                    self.load = Load::Free;
                }
            }
        }
    }

    /// A dial has failed of this machine's own trouble: others wait.
    pub fn on_local_trouble(&mut self, now: Instant) {
        if now >= self.paused_until {
            self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            self.paused_until = now + self.pause;
        }
    }

    /// A dial has succeeded. Says whether dials were paused.
    pub fn on_up(&mut self) -> bool {
        let was_paused = !self.pause.is_zero();
        self.pause = Duration::ZERO;
        self.paused_until = Instant::default();
        was_paused
    }

    /// How many attempts may be under way at once.
    #[must_use]
    pub fn attempts_max(&self, now: Instant) -> u32 {
        match self.load {
            Load::Free => u32::MAX,
            Load::Held { until } if now < until => 0,
            Load::Held { .. } => RAMP_FIRST,
            Load::Returning { at_once, .. } => at_once,
        }
    }

    /// Whether a receiver's hold lasts.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        matches!(self.load, Load::Held { until } if now < until)
    }

    /// Whether dials may begin.
    #[must_use]
    pub fn may_dial(&self, now: Instant) -> bool {
        now >= self.paused_until
    }

    /// Whether load is held back: that does not change with the clock alone.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        matches!(self.load, Load::Free)
    }

    /// When more may be done, if the clock alone decides.
    #[must_use]
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let hold = match self.load {
            Load::Held { until } => Some(until),
            Load::Free | Load::Returning { .. } => None,
        };
        [hold, Some(self.paused_until)]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }
}

const RAMP_FIRST: u32 = 1;
const RAMP_START: Load = Load::Returning {
    at_once: RAMP_FIRST,
    successes: 0,
};

/// Retries that may be under way at once at one origin (F104), so that a failing one does not spend its
/// connections on jobs that have failed already.
#[must_use]
pub fn retries_max(endpoint: &Endpoint) -> u32 {
    (endpoint.max_connections * RETRY_PERCENT / 100).max(RETRIES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::default() + SECOND * seconds as u32
    }

    #[test]
    fn f52_a_hold_lasts_as_long_as_the_longest_that_was_asked_for() {
        let mut throttle = Throttle::default();
        assert!(!throttle.hold(at(5), Duration::ZERO));
        assert!(throttle.is_free());
        assert!(throttle.hold(at(5), SECOND * 10));
        assert!(!throttle.hold(at(6), SECOND * 3));
        assert_eq!(throttle.attempts_max(at(14)), 0);
        assert_eq!(throttle.next_change(at(6)), Some(at(15)));
        assert!(throttle.hold(at(7), SECOND * 9));
        assert_eq!(throttle.attempts_max(at(15)), 0);
        assert_eq!(throttle.attempts_max(at(16)), 1);
    }

    #[test]
    fn f103_load_comes_back_in_steps_that_double_after_as_many_successes() {
        let mut throttle = Throttle::default();
        throttle.on_breaker_closed(at(0), true);
        let mut steps = Vec::new();
        while !throttle.is_free() {
            steps.push(throttle.attempts_max(at(0)));
            throttle.on_success(at(1), true, 50);
        }
        let expected: Vec<u32> = [1, 2, 4, 8, 16, 32]
            .into_iter()
            .flat_map(|step| std::iter::repeat_n(step, step as usize))
            .collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn f52_a_2xx_ends_a_hold_and_nothing_else_does() {
        let mut throttle = Throttle::default();
        throttle.hold(at(0), SECOND * 60);
        throttle.on_success(at(1), false, 50);
        assert_eq!(throttle.attempts_max(at(1)), 0);
        throttle.on_success(at(1), true, 50);
        assert_eq!(throttle.attempts_max(at(1)), 1);
    }

    #[test]
    fn f52_a_breaker_that_closes_without_a_2xx_ends_no_hold() {
        let mut throttle = Throttle::default();
        throttle.hold(at(0), SECOND * 60);
        throttle.on_breaker_closed(at(1), false);
        assert_eq!(throttle.attempts_max(at(1)), 0);
        throttle.on_breaker_closed(at(60), false);
        assert_eq!(throttle.attempts_max(at(60)), 1);
        throttle.hold(at(60), SECOND * 60);
        throttle.on_breaker_closed(at(61), true);
        assert_eq!(throttle.attempts_max(at(61)), 1);
    }

    #[test]
    fn the_end_of_a_hold_is_the_start_of_a_ramp() {
        let mut throttle = Throttle::default();
        throttle.hold(at(0), SECOND);
        assert_eq!(throttle.attempts_max(at(0)), 0);
        assert_eq!(throttle.attempts_max(at(1)), 1);
        throttle.on_success(at(1), true, 50);
        assert_eq!(throttle.attempts_max(at(1)), 2);
    }

    #[test]
    fn f19_dials_pause_from_1_to_30_s_in_a_row_and_not_at_all_once_they_work() {
        let mut throttle = Throttle::default();
        let mut now = at(100);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let until = now + SECOND * seconds;
            throttle.on_local_trouble(now);
            // Dials that were on their way fail too: the same trouble.
            throttle.on_local_trouble(now);
            assert!(!throttle.may_dial(now) && throttle.may_dial(until));
            assert_eq!(throttle.next_change(now), Some(until));
            now = until;
        }
        assert!(throttle.on_up() && !throttle.on_up());
        throttle.on_local_trouble(now);
        assert_eq!(throttle.next_change(now), Some(now + SECOND));
    }

    #[test]
    fn f104_a_fifth_of_the_connections_and_at_least_three_may_be_retries() {
        for (max_connections, expected) in [(1, 3), (15, 3), (20, 4), (50, 10)] {
            let endpoint = Endpoint {
                max_connections,
                ..Endpoint::default()
            };
            assert_eq!(retries_max(&endpoint), expected);
        }
    }
}
