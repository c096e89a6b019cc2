//! How long the attempts at one origin take, from their start to the end of the response's head.
//!
//! Counts in log-linear buckets, eight to each power of two as in `HdrHistogram`, so that what is read from them is
//! never too small and at most an eighth too large. Two windows take turns: the newer is begun anew when it is a minute
//! old and holds [`ENOUGH`] attempts, or can count no more. So both together always show the newest attempts, at least
//! [`ENOUGH`] once there were so many and at most 131,070, and where attempts are frequent the last one or two minutes.
//! The memory is taken with the first attempt, less than 1 KiB. While nothing happens at an origin only the buckets are
//! kept that hold something, and at most [`RESTING_MAX`] of them: of more, what the older window holds is forgotten.
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

/// Buckets that an origin keeps while nothing happens there.
pub const RESTING_MAX: usize = 48;

/// How long attempts took.
#[derive(Debug, Default)]
pub enum Latency {
    /// Nobody knows.
    #[default]
    Unknown,
    /// While attempts end.
    Counting(Box<Windows>),
    /// While nothing happens.
    Resting(Box<Resting>),
}

/// The buckets that hold something, by window.
#[derive(Debug)]
pub struct Resting {
    counts: Box<[Held]>,
    newer: u8,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    window: u8,
    bucket: u8,
    count: u16,
}

/// Two windows of counts by bucket.
#[derive(Clone, Debug)]
pub struct Windows {
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
        self.windows_mut(now).record(now, took);
    }

    /// Nothing happens for now: keeps what little there is to keep.
    pub fn rest(&mut self) {
        if let Latency::Counting(windows) = self {
            *self = Latency::Resting(Box::new(windows.resting()));
        }
    }

    /// Attempts that it shows.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Latency::Unknown => 0,
            Latency::Counting(windows) => windows.count(),
            Latency::Resting(resting) => resting.count(),
        }
    }

    /// What so many of a thousand attempts did not exceed; none without attempts.
    #[must_use]
    pub fn quantile(&self, per_mille: u32) -> Option<Duration> {
        match self {
            Latency::Unknown => None,
            Latency::Counting(windows) => windows.quantile(per_mille),
            Latency::Resting(resting) => resting.windows().quantile(per_mille),
        }
    }

    fn windows_mut(&mut self, now: Instant) -> &mut Windows {
        match self {
            Latency::Unknown => *self = Latency::Counting(Windows::new(now)),
            Latency::Resting(resting) => *self = Latency::Counting(resting.windows()),
            Latency::Counting(_) => {}
        }
        match self {
            Latency::Counting(windows) => windows,
            Latency::Unknown | Latency::Resting(_) => unreachable!("it counts since above"),
        }
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

    fn record(&mut self, now: Instant, took: Duration) {
        if self.is_over(now) {
            self.newer = 1 - self.newer;
            self.counts[self.newer] = [0; BUCKETS];
            self.totals[self.newer] = 0;
            self.since = now;
        }
        self.counts[self.newer][bucket(took)] += 1;
        self.totals[self.newer] += 1;
    }

    fn count(&self) -> u32 {
        self.totals.map(u32::from).iter().sum()
    }

    fn quantile(&self, per_mille: u32) -> Option<Duration> {
        // From the top: what is asked for is near to it.
        let count = self.count();
        let most = count.checked_sub(1)?;
        let mut above = (count * 1000_u32.saturating_sub(per_mille) / 1000).min(most);
        let [one, other] = &self.counts;
        for (index, (one, other)) in one.iter().zip(other).enumerate().rev() {
            let here = u32::from(*one) + u32::from(*other);
            if here > above {
                return Some(upper_edge(index));
            }
            above -= here;
        }
        None
    }

    fn resting(&self) -> Resting {
        let held = |window: usize| {
            let buckets = (0_u8..).zip(&self.counts[window]);
            buckets
                .filter(|(_, count)| **count > 0)
                .map(move |(bucket, count)| Held {
                    window: window as u8,
                    bucket,
                    count: *count,
                })
        };
        let newer_first = held(self.newer).chain(held(1 - self.newer));
        let mut counts: Vec<Held> = newer_first.collect();
        if counts.len() > RESTING_MAX {
            counts.retain(|held| usize::from(held.window) == self.newer);
            counts.truncate(RESTING_MAX);
        }
        Resting {
            counts: counts.into_boxed_slice(),
            newer: self.newer as u8,
            since: self.since,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let held = self.totals[self.newer];
        held == u16::MAX || (u32::from(held) >= ENOUGH && now.since(self.since) >= WINDOW)
    }
}

impl Resting {
    fn count(&self) -> u32 {
        self.counts.iter().map(|held| u32::from(held.count)).sum()
    }

    fn windows(&self) -> Box<Windows> {
        let mut windows = Windows::new(self.since);
        windows.newer = self.newer.into();
        for held in &self.counts {
            let window = usize::from(held.window);
            windows.counts[window][usize::from(held.bucket)] = held.count;
            windows.totals[window] += held.count;
        }
        windows
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
        assert!(size_of::<Latency>() <= 2 * size_of::<usize>());
    }

    #[test]
    fn what_rests_is_small_and_shows_the_same() {
        let mut latency = Latency::default();
        latency.rest();
        assert_eq!(latency.quantile(500), None);
        for n in 0..250 {
            latency.record(at(n), millis(20 + n % 7));
        }
        let shown = |latency: &Latency| (latency.count(), latency.quantile(500), latency.p99());
        let before = shown(&latency);
        latency.rest();
        assert_eq!(shown(&latency), before);
        latency.record(at(249), millis(20));
        assert_eq!(latency.count(), before.0 + 1, "it counts on");
        latency.rest();
        let Latency::Resting(resting) = &latency else {
            panic!("{latency:?}")
        };
        assert!(resting.counts.len() <= 10, "{resting:?}");
    }

    #[test]
    fn a_receiver_that_answers_after_ever_other_times_does_not_make_it_large() {
        let mut latency = Latency::default();
        for n in 0..2_000 {
            latency.record(
                at(n),
                Duration::from_micros(10 << (n % 27)) * (n as u32 % 8 + 8),
            );
        }
        latency.rest();
        let Latency::Resting(resting) = &latency else {
            panic!("{latency:?}")
        };
        assert!((1..=RESTING_MAX).contains(&resting.counts.len()));
    }
}
