//! How long connections of one origin may be idle, as its stale closes have taught us.
//!
//! Servers close idle connections sooner than any default fits (gunicorn after 2 s, node and Apache after 5), and
//! few say so. Each time a request dies on a connection that the server had closed, the time is halved; it doubles
//! again with every ten minutes in which that did not happen. What it is follows from the clock.
//!
//! Not here: what a server says itself (`Keep-Alive: timeout`, in `connection`).

use std::time::Duration;

use crate::base::time::Instant;

/// It is never less.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// It is halved at most once in so long: connections that die together teach one thing.
const HALVING_PAUSE: Duration = Duration::from_secs(1);
/// After so long without a stale close it is doubled.
const DOUBLED_AFTER: Duration = Duration::from_secs(600);

/// What was learnt.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdleTime {
    halvings: u32,
    /// The last of them.
    halved: Instant,
}

impl IdleTime {
    /// A request has died on a connection that was closed already.
    pub fn on_stale(&mut self, now: Instant, configured: Duration) {
        let halvings = self.halvings_left(now);
        if self.halvings > 0 && now.since(self.halved) < HALVING_PAUSE {
            return;
        }
        // Beyond the least value nothing would be learnt, only be unlearnt more slowly.
        let can_shrink = self.limit(now, configured) > IDLE_MIN;
        self.halvings = halvings + u32::from(can_shrink);
        self.halved = now;
    }

    /// How long a connection that is idle from `now` on may stay so.
    #[must_use]
    pub fn limit(&self, now: Instant, configured: Duration) -> Duration {
        let halved = configured / (1 << self.halvings_left(now).min(31));
        halved.max(IDLE_MIN).min(configured)
    }

    fn halvings_left(&self, now: Instant) -> u32 {
        let doubled = now.since(self.halved).as_secs() / DOUBLED_AFTER.as_secs();
        self.halvings
            .saturating_sub(u32::try_from(doubled).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: Duration = Duration::from_secs(120);

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn stale_closes_halve_it_down_to_a_second_and_quiet_doubles_it() {
        let mut idle = IdleTime::default();
        assert_eq!(idle.limit(at(50), CONFIGURED), CONFIGURED);
        let mut seconds = Vec::new();
        for n in 0..9 {
            idle.on_stale(at(100 + n), CONFIGURED);
            seconds.push(idle.limit(at(100 + n), CONFIGURED).as_secs_f64());
        }
        assert_eq!(seconds, [60.0, 30.0, 15.0, 7.5, 3.75, 1.875, 1.0, 1.0, 1.0]);
        for (later, expected) in [(599, 1.0), (600, 1.875), (1_200, 3.75), (4_200, 120.0)] {
            let limit = idle.limit(at(108 + later), CONFIGURED);
            assert_eq!(limit.as_secs_f64(), expected, "{later}");
        }
    }

    #[test]
    fn connections_that_die_together_halve_it_once() {
        let mut idle = IdleTime::default();
        for _ in 0..50 {
            idle.on_stale(at(100), CONFIGURED);
        }
        assert_eq!(idle.limit(at(100), CONFIGURED), CONFIGURED / 2);
        let short = Duration::from_millis(200);
        assert_eq!(idle.limit(at(100), short), short, "never lengthened");
    }
}
