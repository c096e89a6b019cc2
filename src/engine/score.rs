//! How reliable an origin is, from 0 to 100: what its attempts of the last minutes were worth on average.
//!
//! ```text
//!   score = 100 × (points + 1) / (attempts + 1)
//! ```
//!
//! An attempt whose answer is final (2xx, or an error that is not tried again) has between ½ and 1 point, the more the
//! sooner it came: 1 if at once, ½ after the whole `timeout` and more. Any other attempt has none. The one in the
//! formula is what every origin is trusted with: one that was never used has 100, and a single failure does not make 0.
//!
//! Points and attempts are summed over [`WINDOW`] that slides by the clock: those of the whole window before count in
//! part, less and less. So the score is right whenever it is asked for, and what happened two windows ago is forgotten.
//!
//! Not here: which attempts count (`origin`).

use std::time::Duration;

use crate::base::time::Instant;

/// The time that the score looks back on.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Points are counted in parts of this.
const POINT: u32 = 1_000;

/// The attempts at one origin, and what they were worth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// When the current window began.
    since: Instant,
    current: Sum,
    before: Sum,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    attempts: u32,
    points: u64,
}

impl Score {
    /// An attempt has had its final answer after so long; `timeout` is the longest that the endpoint allows.
    pub fn on_answered(&mut self, now: Instant, took: Duration, timeout: Duration) {
        let part = took.as_secs_f64() / timeout.as_secs_f64();
        let lost = f64::from(POINT / 2) * part.min(1.0);
        self.add(now, POINT - lost as u32);
    }

    /// An attempt has failed.
    pub fn on_failed(&mut self, now: Instant) {
        self.add(now, 0);
    }

    /// From 0 to 100.
    #[must_use]
    pub fn value(&self, now: Instant) -> f64 {
        let rolled = self.rolled(now);
        let share = 1.0 - now.since(rolled.since).as_secs_f64() / WINDOW.as_secs_f64();
        let over_both = |of: fn(&Sum) -> f64| of(&rolled.current) + of(&rolled.before) * share;
        let attempts = over_both(|sum| f64::from(sum.attempts));
        let points = over_both(|sum| sum.points as f64) / f64::from(POINT);
        100.0 * (points + 1.0) / (attempts + 1.0)
    }

    fn add(&mut self, now: Instant, points: u32) {
        *self = self.rolled(now);
        self.current.attempts = self.current.attempts.saturating_add(1);
        self.current.points = self.current.points.saturating_add(points.into());
    }

    /// The same, with the window that `now` lies in as the current one.
    fn rolled(self, now: Instant) -> Score {
        let age = now.since(self.since);
        if age < WINDOW {
            self
        } else if age < WINDOW * 2 {
            Score {
                since: self.since + WINDOW,
                current: Sum::default(),
                before: self.current,
            }
        } else {
            Score {
                since: now,
                ..Score::default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn answered(score: &mut Score, now: Instant, took: Duration, times: u32) {
        for _ in 0..times {
            score.on_answered(now, took, TIMEOUT);
        }
    }

    #[test]
    fn an_origin_that_was_never_used_has_100() {
        assert_eq!(Score::default().value(at(0)), 100.0);
        assert_eq!(Score::default().value(at(1_000_000)), 100.0);
    }

    #[test]
    fn failures_take_their_share_and_one_alone_does_not_make_0() {
        let mut score = Score::default();
        score.on_failed(at(1_000));
        assert_eq!(score.value(at(1_000)), 50.0);
        answered(&mut score, at(1_000), Duration::ZERO, 98);
        assert_eq!(score.value(at(1_000)), 99.0);
        for _ in 0..900 {
            score.on_failed(at(1_000));
        }
        assert_eq!(score.value(at(1_000)).round(), 10.0);
    }

    #[test]
    fn a_late_answer_is_worth_less_and_never_less_than_half() {
        for (seconds, expected) in [
            (0.0, 100.0),
            (1.0, 95.0),
            (5.0, 75.0),
            (10.0, 50.0),
            (60.0, 50.0),
        ] {
            let mut score = Score::default();
            answered(
                &mut score,
                at(1_000),
                Duration::from_secs_f64(seconds),
                100_000,
            );
            assert!(
                (score.value(at(1_000)) - expected).abs() < 0.01,
                "{seconds}"
            );
        }
    }

    #[test]
    fn what_happened_is_forgotten_by_the_clock_alone() {
        let mut score = Score::default();
        for _ in 0..999 {
            score.on_failed(at(1_000));
        }
        let values = [0, 299, 450, 599, 600].map(|later| score.value(at(1_000 + later)));
        assert!(values.is_sorted(), "{values:?}");
        assert!(
            values[1] < 0.2,
            "all of it counts for one window: {values:?}"
        );
        assert!(values[2] < 0.3, "half of it after that: {values:?}");
        assert_eq!(values[4], 100.0);
    }

    #[test]
    fn an_origin_that_recovers_is_back_after_two_windows() {
        let mut score = Score::default();
        for second in 0..3_000 {
            if second < 1_500 {
                score.on_failed(at(second));
            } else {
                answered(&mut score, at(second), Duration::ZERO, 1);
            }
        }
        assert_eq!(score.value(at(3_000)), 100.0);
    }
}
