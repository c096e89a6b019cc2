//! Reads the clocks: the only place that does.
//!
//! Not here: what the readings mean (`base::time`), when they are taken (`turn`: once a wake-up).

use conduit::base::time::{Instant, Now, Wall};

use crate::io::sys::{self, Clock};

/// One reading of both clocks: `CLOCK_BOOTTIME`, which goes on while the machine sleeps, and
/// `CLOCK_REALTIME`.
#[must_use]
pub fn now() -> Now {
    Now {
        mono: Instant::from_nanos(nanos(Clock::Boot)),
        wall: Wall::from_unix_nanos(nanos(Clock::Real)),
    }
}

fn nanos(clock: Clock) -> u64 {
    u64::try_from(sys::clock_time(clock).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_are_read() {
        let first = now();
        let second = now();
        assert!(second.mono >= first.mono);
        assert!(first.wall.unix_seconds() > 1_577_836_800);
        assert_ne!(first.mono.as_nanos(), first.wall.unix_nanos());
    }
}
