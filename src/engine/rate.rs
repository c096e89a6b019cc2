//! How many attempts may begin at one origin in a second: `rateLimit`.
//!
//! A bucket of tokens, of which each attempt takes one, and which fills at the rate up to one second's worth, but room
//! for one at least. All that it is, is the time at which it will be full again: it needs no clock of its own (the
//! virtual scheduling of GCRA, ITU-T I.371). Whoever finds no token waits; there is a time at which the next is there.
//!
//! Not here: what the rate is (`policy`), who waits (`origin`).

use crate::base::time::Instant;
use crate::engine::policy::Rate;

/// The tokens of one origin; full at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// An attempt begins.
    pub fn take(&mut self, now: Instant, rate: Rate) {
        self.full_at = self.full_at.max(now) + rate.interval();
    }

    /// The rate is another: what was taken before is not waited for longer than it takes to fill at this one.
    pub fn on_rate(&mut self, now: Instant, rate: Rate) {
        self.full_at = self.full_at.min(now + rate.interval() * rate.burst());
    }

    /// When there is a token; not later than now if there is one.
    #[must_use]
    pub fn next_at(&self, rate: Rate) -> Instant {
        self.full_at - rate.interval() * (rate.burst() - 1)
    }

    /// How many there are.
    #[must_use]
    pub fn tokens(&self, now: Instant, rate: Rate) -> u32 {
        let missing = self.full_at.since(now).as_nanos();
        let taken = missing.div_ceil(rate.interval().as_nanos());
        rate.burst()
            .saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Attempts that begin in each of so many seconds, where one wants to at every millisecond.
    fn begun(per_second: f64, seconds: u64) -> Vec<u32> {
        let rate = Rate::per_second(per_second);
        let mut bucket = Bucket::default();
        let start = Instant::default() + Duration::from_secs(1000);
        let mut begun = vec![0; seconds as usize];
        for millis in 0..seconds * 1000 {
            let now = start + Duration::from_millis(millis);
            while bucket.next_at(rate) <= now {
                assert!(bucket.tokens(now, rate) > 0);
                bucket.take(now, rate);
                begun[(millis / 1000) as usize] += 1;
            }
            assert_eq!(bucket.tokens(now, rate), 0);
        }
        begun
    }

    #[test]
    fn after_one_seconds_worth_at_once_so_many_begin_in_a_second() {
        assert_eq!(begun(50.0, 4), [99, 50, 50, 50]);
        assert_eq!(begun(1.0, 4), [1, 1, 1, 1]);
        assert_eq!(begun(0.5, 5), [1, 0, 1, 0, 1]);
        assert_eq!(
            begun(2.5, 4),
            [4, 2, 3, 2],
            "two at once, then one in 0.4 s"
        );
        assert_eq!(begun(1_000_000.0, 1), [1_999_000]);
    }

    #[test]
    fn what_is_not_used_is_kept_for_a_second_only() {
        let rate = Rate::per_second(10.0);
        let mut bucket = Bucket::default();
        let at = |seconds| Instant::default() + Duration::from_secs(seconds);
        for quiet in [10, 20, 1000] {
            let mut begun = 0;
            assert_eq!(bucket.tokens(at(quiet), rate), 10);
            while bucket.next_at(rate) <= at(quiet) {
                bucket.take(at(quiet), rate);
                begun += 1;
                assert_eq!(bucket.tokens(at(quiet), rate), 10 - begun);
            }
            assert_eq!(begun, 10);
            let wait = bucket.next_at(rate).since(at(quiet));
            assert_eq!(wait, Duration::from_millis(100));
        }
    }

    #[test]
    fn a_new_rate_holds_from_the_moment_at_which_it_is_set() {
        let at = |millis| Instant::default() + Duration::from_millis(millis);
        let mut bucket = Bucket::default();
        bucket.take(at(0), Rate::per_second(0.001));
        let fast = Rate::per_second(10.0);
        bucket.on_rate(at(5_000), fast);
        assert_eq!(bucket.tokens(at(5_000), fast), 0);
        assert_eq!(bucket.next_at(fast), at(5_100));
        // What was not used yet stays, and is no more than a second's worth.
        bucket.on_rate(at(5_500), fast);
        assert_eq!(bucket.tokens(at(5_500), fast), 5);
    }
}
