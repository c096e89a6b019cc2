//! How long an attempt at one origin may take, as its attempts have taught us: three times their 99th percentile, not
//! less than a second, not more than `timeout`.
//!
//! A timed-out attempt counts in the percentile with its limit, so where more than one in a hundred times out the limit
//! grows. That takes attempts, and a receiver that has become slow all at once may have none left: few time-outs open
//! its breaker. So, as TCP does (RFC 6298 section 5.5), a time-out after another doubles the limit, and an answer
//! that the percentile alone would not have waited for makes it twice what that took. Each answer that comes in the
//! time that the percentile allows halves what was added. A probe of the breaker has the whole `timeout` in any case
//! (`origin`): whatever was learnt can be unlearnt.
//!
//! Not here: the percentile (`latency`), the limit of one attempt (`attempt`).

use std::time::Duration;

/// The limit is this many times the 99th percentile …
const TIMES: u32 = 3;
/// … and no less than this, unless `timeout` is.
pub const LEAST: Duration = Duration::from_secs(1);

/// What an origin has taught beyond its percentile.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdaptiveTimeout {
    /// The limit is no less for now.
    stretched: Duration,
    /// The last attempt to end has timed out.
    timed_out: bool,
}

impl AdaptiveTimeout {
    /// An attempt has had its final answer after so long.
    pub fn on_answered(&mut self, took: Duration, p99: Option<Duration>) {
        self.timed_out = false;
        if took > LEAST && took > by_percentile(p99) {
            self.stretched = self.stretched.max(took * 2);
        } else {
            self.stretched /= 2;
        }
    }

    /// An attempt has had no answer within so long.
    pub fn on_timed_out(&mut self, limit: Duration) {
        // Those that were under way together had the same limit, and double it once.
        if self.timed_out {
            self.stretched = self.stretched.max(limit * 2);
        }
        self.timed_out = true;
    }

    /// The limit of an attempt; `p99`: the 99th percentile, if enough is known for that; `most`: the `timeout`.
    #[must_use]
    pub fn limit(&self, p99: Option<Duration>, most: Duration) -> Duration {
        if p99.is_none() {
            return most;
        }
        by_percentile(p99).max(self.stretched).min(most)
    }
}

fn by_percentile(p99: Option<Duration>) -> Duration {
    (p99.unwrap_or(Duration::ZERO) * TIMES).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(10);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_three_times_the_percentile_between_a_second_and_the_timeout() {
        let adaptive = AdaptiveTimeout::default();
        for (p99, expected) in [
            (10, 1_000),
            (333, 1_000),
            (500, 1_500),
            (3_000, 9_000),
            (4_000, 10_000),
        ] {
            let p99 = Some(Duration::from_millis(p99));
            assert_eq!(adaptive.limit(p99, MOST).as_millis(), expected);
        }
        assert_eq!(adaptive.limit(None, MOST), MOST, "not enough is known");
        let short = Duration::from_millis(200);
        assert_eq!(
            adaptive.limit(Some(short), short),
            short,
            "the timeout wins"
        );
    }

    #[test]
    fn time_outs_in_a_row_double_it_up_to_the_timeout_and_answers_in_time_take_that_back() {
        let mut adaptive = AdaptiveTimeout::default();
        let p99 = Some(Duration::from_millis(20));
        let mut limits = Vec::new();
        for _ in 0..6 {
            let limit = adaptive.limit(p99, MOST);
            limits.push(limit.as_secs());
            adaptive.on_timed_out(limit);
        }
        assert_eq!(limits, [1, 1, 2, 4, 8, 10]);
        for _ in 0..5 {
            adaptive.on_answered(Duration::from_millis(20), p99);
        }
        assert_eq!(adaptive.limit(p99, MOST), LEAST);
    }

    #[test]
    fn time_outs_of_attempts_that_were_under_way_together_double_it_once() {
        let mut adaptive = AdaptiveTimeout::default();
        let p99 = Some(Duration::from_millis(20));
        for _ in 0..50 {
            adaptive.on_timed_out(LEAST);
        }
        assert_eq!(adaptive.limit(p99, MOST), LEAST * 2);
    }

    #[test]
    fn a_time_out_now_and_then_changes_nothing() {
        let mut adaptive = AdaptiveTimeout::default();
        let p99 = Some(Duration::from_millis(20));
        for _ in 0..100 {
            adaptive.on_timed_out(LEAST);
            adaptive.on_answered(Duration::from_millis(20), p99);
            assert_eq!(adaptive.limit(p99, MOST), LEAST);
        }
    }

    #[test]
    fn an_answer_later_than_the_percentile_allows_makes_room_for_its_like() {
        let mut adaptive = AdaptiveTimeout::default();
        let p99 = Some(Duration::from_millis(20));
        adaptive.on_answered(seconds(4), p99);
        assert_eq!(adaptive.limit(p99, MOST), seconds(8));
        adaptive.on_answered(seconds(4), p99);
        assert_eq!(adaptive.limit(p99, MOST), seconds(8));
        adaptive.on_answered(seconds(4), Some(seconds(4)));
        assert_eq!(
            adaptive.limit(Some(seconds(2)), MOST),
            seconds(6),
            "as usual"
        );
    }
}
