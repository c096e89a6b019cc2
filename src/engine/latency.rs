//! How long the attempts at one origin take, from their start to the end of the response's head.
//!
//! Counts in log-linear buckets, eight to each power of two as in `HdrHistogram`, so that what is read from them is
//! never too small and at most an eighth too large. Two windows take turns: the newer is begun anew when it is a minute
//! old and holds [`ENOUGH`] attempts, or can count no more. So both together always show the newest attempts, at least
//! [`ENOUGH`] once there were so many and at most 131,070, and where attempts are frequent the last one or two minutes.
//! The memory is taken with the first attempt, less than 1 KiB for ever.
//!
//! Not here: which attempts are counted (`origin`), what follows from it (`adaptive_timeout`).

use std::time::Duration;

use crate::base::time::Instant;

/// With fewer attempts the 99th percentile is no more than the slowest of them.
pub const ENOUGH: u32 = 100;

/// The newer window lasts so long, if attempts are frequent.
const WINDOW: Duration = Duration::from_secs(60);
/// The width of the first buckets.
const UNIT_MICROS: u64 = 8;
/// Buckets to a power of two.
const LINEAR: u64 = 8;
/// Up to more than the longest `timeout`, an hour.
const BUCKETS: usize = 27 * LINEAR as usize;

/// How long attempts took.
#[derive(Debug, Default)]
pub struct Latency {
    windows: Option<Box<Windows>>,
}

#[derive(Debug)]
struct Windows {
    counts: [[u16; BUCKETS]; 2],
    totals: [u16; 2],
    /// The index of the newer.
    newer: usize,
    /// When that was begun.
    since: Instant,
}

impl Latency {
    /// An attempt has taken so long.
    pub fn record(&mut self, now: Instant, took: Duration) {
        let windows = self.windows.get_or_insert_with(|| Windows::new(now));
        if windows.is_over(now) {
            windows.newer = 1 - windows.newer;
            windows.counts[windows.newer] = [0; BUCKETS];
            windows.totals[windows.newer] = 0;
            windows.since = now;
        }
        windows.counts[windows.newer][bucket(took)] += 1;
        windows.totals[windows.newer] += 1;
    }

    /// Attempts that it shows.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.windows
            .as_ref()
            .map_or(0, |windows| windows.totals.map(u32::from).iter().sum())
    }

    /// What so many of a thousand attempts did not exceed; none without attempts.
    #[must_use]
    pub fn quantile(&self, per_mille: u32) -> Option<Duration> {
        let windows = self.windows.as_ref()?;
        // From the top: what is asked for is near to it.
        let count = self.count();
        let mut above = (count * 1000_u32.saturating_sub(per_mille) / 1000).min(count - 1);
        let [one, other] = &windows.counts;
        for (index, (one, other)) in one.iter().zip(other).enumerate().rev() {
            let here = u32::from(*one) + u32::from(*other);
            if here > above {
                return Some(upper_edge(index));
            }
            above -= here;
        }
        None
    }

    /// The 99th percentile, once there were [`ENOUGH`] attempts.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        (self.count() >= ENOUGH)
            .then(|| self.quantile(990))
            .flatten()
    }
}

impl Windows {
    fn new(now: Instant) -> Box<Windows> {
        Box::new(Windows {
            counts: [[0; BUCKETS]; 2],
            totals: [0; 2],
            newer: 0,
            since: now,
        })
    }

    fn is_over(&self, now: Instant) -> bool {
        let held = self.totals[self.newer];
        held == u16::MAX || (u32::from(held) >= ENOUGH && now.since(self.since) >= WINDOW)
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let units = micros / UNIT_MICROS;
    if units < LINEAR {
        return units as usize;
    }
    let shift = units.ilog2() - LINEAR.ilog2();
    let index = u64::from(shift) * LINEAR + (units >> shift);
    (index as usize).min(BUCKETS - 1)
}

fn upper_edge(bucket: usize) -> Duration {
    let (power, step) = (bucket as u64 / LINEAR, bucket as u64 % LINEAR);
    let units = match power.checked_sub(1) {
        None => step + 1,
        Some(shift) => (LINEAR + step + 1) << shift,
    };
    Duration::from_micros(units * UNIT_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Whether what was read is `true_value` or up to an eighth more.
    fn is_near(read: Option<Duration>, true_value: Duration) -> bool {
        read.is_some_and(|read| read >= true_value && read <= true_value * 9 / 8)
    }

    #[test]
    fn every_duration_is_read_back_as_itself_or_up_to_an_eighth_more() {
        let mut micros = 64;
        while micros < 3_600_000_000_u64 {
            for took in [micros, micros + 1, micros * 9 / 8, micros * 2 - 1] {
                let took = Duration::from_micros(took);
                let mut latency = Latency::default();
                latency.record(at(0), took);
                let read = latency.quantile(500);
                let edge = took + Duration::from_micros(UNIT_MICROS);
                assert!(
                    is_near(read, took) || read == Some(edge),
                    "{took:?}: {read:?}"
                );
            }
            micros *= 2;
        }
        for (took, read) in [(0, 8), (7, 8), (8, 16), (63, 64), (64, 72)] {
            assert_eq!(
                upper_edge(bucket(Duration::from_micros(took))).as_micros(),
                read
            );
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert!(upper_edge(bucket(Duration::from_secs(3_600))) >= Duration::from_secs(3_600));
    }

    #[test]
    fn percentiles_are_those_of_the_attempts() {
        let mut latency = Latency::default();
        assert_eq!((latency.count(), latency.quantile(500)), (0, None));
        for took in 1..=1_000 {
            latency.record(at(0), millis(took));
        }
        assert_eq!(latency.count(), 1_000);
        for (per_mille, expected) in [(0, 1), (500, 500), (990, 990), (1_000, 1_000)] {
            let read = latency.quantile(per_mille);
            assert!(is_near(read, millis(expected)), "{per_mille}: {read:?}");
        }
    }

    #[test]
    fn there_is_no_99th_percentile_of_less_than_a_hundred_attempts() {
        let mut latency = Latency::default();
        for _ in 0..99 {
            latency.record(at(0), millis(20));
        }
        assert_eq!(latency.p99(), None);
        latency.record(at(0), millis(20));
        assert!(is_near(latency.p99(), millis(20)));
    }

    #[test]
    fn what_is_two_windows_old_is_forgotten_and_never_more_than_that() {
        let mut latency = Latency::default();
        for second in 0..100 {
            latency.record(at(second), millis(500));
        }
        for second in 100..200 {
            latency.record(at(second), millis(5));
        }
        assert!(
            is_near(latency.quantile(1_000), millis(500)),
            "the older one"
        );
        for second in 200..300 {
            latency.record(at(second), millis(5));
        }
        assert!(is_near(latency.quantile(1_000), millis(5)));
        assert!(latency.count() >= ENOUGH);
        // Rare attempts are kept for as long as it takes to have enough of them.
        latency.record(at(9_000), millis(7));
        assert!(latency.count() >= ENOUGH);
    }

    #[test]
    fn a_window_that_can_count_no_more_gives_way_to_the_next() {
        let mut latency = Latency::default();
        for _ in 0..3 * u32::from(u16::MAX) {
            latency.record(at(0), millis(1));
        }
        assert_eq!(latency.count(), 2 * u32::from(u16::MAX));
        latency.record(at(0), millis(1));
        assert_eq!(latency.count(), u32::from(u16::MAX) + 1);
    }

    #[test]
    fn it_takes_little_memory_and_none_without_attempts() {
        assert!(size_of::<Windows>() <= 1_024);
        assert_eq!(size_of::<Latency>(), size_of::<usize>());
    }
}
