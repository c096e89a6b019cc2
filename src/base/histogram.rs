//! How long things took: counts in buckets whose upper bounds double, as a metrics histogram wants them.
//!
//! Adding is a few instructions and no search. Counts only grow, so that two readings can be subtracted.
//!
//! Not here: what the durations are of (`wire/tally`), how they are written (`wire/metrics`).

use std::ops::AddAssign;
use std::time::Duration;

/// Counts of durations: bucket `n` takes those up to `FIRST_US * 2^n` microseconds that no bucket before it takes,
/// the last one all that are longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<const FIRST_US: u64, const BUCKETS: usize> {
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl<const FIRST_US: u64, const BUCKETS: usize> Default for Histogram<FIRST_US, BUCKETS> {
    fn default() -> Self {
        Histogram {
            counts: [0; BUCKETS],
            sum: Duration::ZERO,
        }
    }
}

impl<const FIRST_US: u64, const BUCKETS: usize> Histogram<FIRST_US, BUCKETS> {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // How often the first bound must be doubled to hold it.
        let times = nanos.div_ceil(FIRST_US * 1000).max(1);
        let bucket = u64::BITS - (times - 1).leading_zeros();
        self.counts[(bucket as usize).min(BUCKETS - 1)] += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// The upper bound of each bucket but the last, which has none, and how many durations were no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut so_far = 0;
        let bounded = self.counts[..BUCKETS - 1].iter().zip(0_u32..);
        bounded.map(move |(count, doublings)| {
            so_far += count;
            (Duration::from_micros(FIRST_US << doublings), so_far)
        })
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }
}

impl<const FIRST_US: u64, const BUCKETS: usize> AddAssign<&Self> for Histogram<FIRST_US, BUCKETS> {
    fn add_assign(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Histogram<10_000, 4>;

    fn counts(histogram: &Small) -> Vec<(u128, u64)> {
        let bounded = histogram.cumulative();
        let millis = bounded.map(|(bound, count)| (bound.as_millis(), count));
        millis.collect()
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        for (nanos, expected) in [
            (0, [1, 1, 1]),
            (1, [1, 1, 1]),
            (10_000_000, [1, 1, 1]),
            (10_000_001, [0, 1, 1]),
            (20_000_000, [0, 1, 1]),
            (20_000_001, [0, 0, 1]),
            (40_000_000, [0, 0, 1]),
            (40_000_001, [0, 0, 0]),
            (u64::MAX, [0, 0, 0]),
        ] {
            let mut histogram = Small::default();
            histogram.add(Duration::from_nanos(nanos));
            let found: Vec<u64> = counts(&histogram).iter().map(|(_, count)| *count).collect();
            assert_eq!(found, expected, "{nanos} ns");
            assert_eq!(histogram.count(), 1);
        }
        let mut histogram = Small::default();
        histogram.add(Duration::MAX);
        histogram.add(Duration::MAX);
        assert_eq!((histogram.count(), histogram.sum()), (2, Duration::MAX));
    }

    #[test]
    fn sums_and_counts_add_up() {
        let mut one = Small::default();
        let mut two = Small::default();
        for millis in [1, 15, 30, 100] {
            one.add(Duration::from_millis(millis));
            two.add(Duration::from_millis(2 * millis));
        }
        one += &two;
        assert_eq!(counts(&one), [(10, 2), (20, 3), (40, 5)]);
        assert_eq!(
            (one.count(), one.sum()),
            (8, Duration::from_millis(3 * 146))
        );
    }
}
