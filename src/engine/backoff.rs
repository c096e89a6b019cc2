//! When a job that has failed is tried again.
//!
//! Not here: whether it is (`outcome`), what else holds it back then (`throttle`, `breaker`).

use std::time::Duration;

use crate::base::rng::Rng;
use crate::engine::policy::Endpoint;

/// Waits are lengthened by up to this part at random, never shortened: what failed together comes back apart.
const JITTER_PERCENT: u64 = 20;

/// The first and the longest wait in a row for this machine's own trouble to end.
const LOCAL_MIN: Duration = Duration::from_secs(1);
const LOCAL_MAX: Duration = Duration::from_secs(30);

/// The wait after the `attempts`th attempt: the schedule's, or what the receiver asked for if that is longer,
/// then jitter, by which none that the receiver asked for grows beyond `maxRetryAfter`. `None`: there is no retry left.
#[must_use]
pub fn wait(
    endpoint: &Endpoint,
    attempts: u32,
    retry_after: Option<Duration>,
    rng: &mut Rng,
) -> Option<Duration> {
    let scheduled = scheduled(endpoint, attempts)?;
    let most = endpoint.max_retry_after;
    let asked = retry_after.unwrap_or_default().min(most);
    Some(if asked > scheduled {
        lengthened(asked, rng).min(most)
    } else {
        lengthened(scheduled, rng)
    })
}

/// Whether it is the receiver that the wait after the `attempts`th attempt comes from.
#[must_use]
pub fn is_asked_for(endpoint: &Endpoint, attempts: u32, asked: Duration) -> bool {
    let asked = asked.min(endpoint.max_retry_after);
    scheduled(endpoint, attempts).is_some_and(|scheduled| asked > scheduled)
}

fn scheduled(endpoint: &Endpoint, attempts: u32) -> Option<Duration> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    endpoint.retry_schedule.get(index).copied()
}

/// The wait after the `put_off`th time in a row, from 0, that this machine's own trouble put a job off.
#[must_use]
pub fn local_wait(put_off: u32) -> Duration {
    LOCAL_MIN
        .saturating_mul(1 << put_off.min(16))
        .min(LOCAL_MAX)
}

fn lengthened(wait: Duration, rng: &mut Rng) -> Duration {
    let most = wait.as_nanos() * u128::from(JITTER_PERCENT) / 100;
    let most = u64::try_from(most).unwrap_or(u64::MAX - 1);
    wait + Duration::from_nanos(rng.below(most + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rng() -> Rng {
        Rng::from_seed([3; 32])
    }

    #[test]
    fn waits_are_the_schedules_lengthened_by_up_to_a_fifth() {
        let (endpoint, mut rng) = (Endpoint::default(), rng());
        for (attempts, seconds) in [(1, 2), (2, 4), (3, 8)] {
            let least = SECOND * seconds;
            let waits: Vec<Duration> = (0..1_000)
                .map(|_| wait(&endpoint, attempts, None, &mut rng).unwrap())
                .collect();
            assert!(waits.iter().all(|w| (least..=least * 6 / 5).contains(w)));
            let (shortest, longest) = (waits.iter().min(), waits.iter().max());
            assert!(*shortest.unwrap() < least * 101 / 100, "{shortest:?}");
            assert!(*longest.unwrap() > least * 119 / 100, "{longest:?}");
        }
        assert_eq!(wait(&endpoint, 4, None, &mut rng), None);
        assert_eq!(wait(&endpoint, 0, None, &mut rng), None);
    }

    #[test]
    fn f53_retry_after_lengthens_the_wait_up_to_its_limit_and_never_shortens_it() {
        let (endpoint, mut rng) = (Endpoint::default(), rng());
        for (asked, expected) in [(0, 2), (1, 2), (7, 7), (3_600, 3_600), (u64::MAX, 3_600)] {
            let asked = Some(Duration::from_secs(asked));
            let wait = wait(&endpoint, 1, asked, &mut rng).unwrap();
            let least = Duration::from_secs(expected);
            let most = (least * 6 / 5).min(endpoint.max_retry_after);
            assert!((least..=most).contains(&wait), "{asked:?}: {wait:?}");
        }
        let asked = Some(SECOND);
        assert_eq!(
            wait(&endpoint, 4, asked, &mut rng),
            None,
            "no retry is added"
        );
    }

    #[test]
    fn local_trouble_is_waited_for_from_1_to_30_s() {
        let waits: Vec<u64> = (0..8).map(|n| local_wait(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(local_wait(u32::MAX), LOCAL_MAX);
    }
}
