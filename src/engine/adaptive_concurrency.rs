//! How many attempts may be under way at one origin at once, as its answers have taught us: between 1 and
//! `maxConnections`.
//!
//! ```text
//!   free --429, 503, time-out: half of what was under way--> limited --one more a round trip--> free
//!    \_____ latency rises: less, the more it has ______________/
//! ```
//!
//! *Down*: after a 429, a 503 or a time-out to half of what was under way (RFC 5681 section 3.1: `FlightSize`). If the
//! median latency is more than [`TOLERATED`] times what it was at its best, by the part that it is above that, at most
//! half (the gradient of Netflix' concurrency-limits and Envoy's adaptive concurrency filter). What began before the
//! last step down says nothing of the load after it, so there is one step a round trip (RFC 6582 section 3.2).
//!
//! *Up*: by one after as many answers as the limit, and only while at least half of it is used (RFC 7661 section 4.3).
//!
//! *What the latency was at its best* is the least of the medians so far; at [`UNLOADED`] requests at once it is
//! whatever it is then (Envoy's `minRTT`). A receiver that has become slow for another reason than our load is so
//! found out: latency alone takes the limit down to [`UNLOADED`], the best is measured anew, and the limit comes back.
//!
//! Not here: the ramp after a hold or an open breaker (`throttle`, the smaller of both counts), which answers mean
//! what (`outcome`).

use std::time::Duration;

use crate::base::time::Instant;

/// The median may rise to so many times its best: what is above is a queue at the receiver.
const TOLERATED: u64 = 2;
/// So many requests at once are no load.
const UNLOADED: u32 = 3;
/// A best below this is taken for this: the network and this machine alone can add as much.
const BEST_MICROS_LEAST: u32 = 10_000;
/// Latencies that a median is taken of: as many as the limit, within these two.
const ROUND_LEAST: u32 = 16;
const ROUND_MOST: usize = 64;

/// How many attempts an origin takes at once.
#[derive(Debug, Default)]
pub struct AdaptiveConcurrency {
    state: Option<Box<State>>,
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When it began.
    pub started: Instant,
    /// Attempts that were under way when it ended, itself included.
    pub under_way: u32,
}

#[derive(Debug)]
struct State {
    /// None: as many as there are connections.
    limit: Option<u32>,
    /// Answers since the limit was last changed.
    answers: u32,
    /// The last step down: older attempts say nothing.
    stepped: Instant,
    best_micros: Option<u32>,
    /// Latency has taken the limit down to [`UNLOADED`]: it stays there until the best is measured anew.
    is_measuring: bool,
    /// The latencies of this round.
    round: [u32; ROUND_MOST],
    round_len: usize,
    /// The most attempts that were under way in it.
    round_under_way: u32,
}

impl AdaptiveConcurrency {
    /// An attempt was answered so long after its request was sent.
    pub fn on_answered(
        &mut self,
        now: Instant,
        ended: Ended,
        latency: Duration,
        max_connections: u32,
    ) {
        let state = self.state.get_or_insert_with(State::new);
        if ended.started >= state.stepped {
            state.grow(ended.under_way, max_connections);
            state.measure(now, ended.under_way, latency);
        }
    }

    /// The receiver has more to do than it can: a 429, a 503, a time-out.
    pub fn on_overloaded(&mut self, now: Instant, ended: Ended) {
        let state = self.state.get_or_insert_with(State::new);
        if ended.started >= state.stepped {
            let used = state.limit.unwrap_or(u32::MAX).min(ended.under_way);
            state.step_down(now, (used / 2).max(1));
        }
    }

    /// Nothing is limited, and nothing known.
    pub fn forget(&mut self) {
        self.state = None;
    }

    /// How many attempts may be under way at once; none: as many as there are connections.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.state.as_ref().and_then(|state| state.limit)
    }
}

impl State {
    fn new() -> Box<State> {
        Box::new(State {
            limit: None,
            answers: 0,
            stepped: Instant::default(),
            best_micros: None,
            is_measuring: false,
            round: [0; ROUND_MOST],
            round_len: 0,
            round_under_way: 0,
        })
    }

    fn step_down(&mut self, now: Instant, limit: u32) {
        self.limit = Some(limit);
        self.answers = 0;
        self.stepped = now;
        self.begin_round();
    }

    fn begin_round(&mut self) {
        self.round_len = 0;
        self.round_under_way = 0;
    }

    fn grow(&mut self, under_way: u32, max_connections: u32) {
        let Some(limit) = self.limit else {
            return;
        };
        if self.is_measuring || under_way.saturating_mul(2) < limit {
            return;
        }
        self.answers += 1;
        if self.answers >= limit {
            self.answers = 0;
            self.limit = Some(limit + 1).filter(|limit| *limit < max_connections);
        }
    }

    fn measure(&mut self, now: Instant, under_way: u32, latency: Duration) {
        self.round[self.round_len] = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        self.round_len += 1;
        self.round_under_way = self.round_under_way.max(under_way);
        let wanted = self
            .limit
            .map_or(ROUND_MOST, |limit| limit.max(ROUND_LEAST) as usize);
        if self.round_len < wanted.min(ROUND_MOST) {
            return;
        }
        let median = self.median().max(BEST_MICROS_LEAST);
        let used = self.limit.unwrap_or(u32::MAX).min(self.round_under_way);
        match self.best_micros {
            Some(best) if used > UNLOADED => {
                self.best_micros = Some(best.min(median));
                let tolerated = u64::from(best) * TOLERATED;
                if u64::from(median) > tolerated {
                    let fitting = u64::from(used) * tolerated / u64::from(median);
                    let fitting = u32::try_from(fitting).unwrap_or(u32::MAX);
                    let limit = fitting.max(used / 2).max(UNLOADED);
                    self.is_measuring = limit == UNLOADED;
                    return self.step_down(now, limit);
                }
            }
            Some(_) | None => self.best_micros = Some(median),
        }
        self.is_measuring = false;
        self.begin_round();
    }

    fn median(&self) -> u32 {
        let mut round = self.round;
        let round = &mut round[..self.round_len];
        let middle = round.len() / 2;
        *round.select_nth_unstable(middle).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = 50;

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    /// A receiver that is used to the limit, a round trip at a time.
    struct Load {
        concurrency: AdaptiveConcurrency,
        millis: u64,
    }

    impl Load {
        fn new() -> Load {
            Load {
                concurrency: AdaptiveConcurrency::default(),
                millis: 1_000,
            }
        }

        fn limit(&self) -> u32 {
            self.concurrency.limit().unwrap_or(MAX)
        }

        fn round_trip(
            &mut self,
            mut happens: impl FnMut(&mut AdaptiveConcurrency, Instant, Ended),
        ) {
            let (started, under_way) = (at(self.millis), self.limit());
            self.millis += 100;
            for _ in 0..under_way {
                let ended = Ended { started, under_way };
                happens(&mut self.concurrency, at(self.millis), ended);
            }
        }

        fn answer_all(&mut self, millis: u64) {
            let latency = Duration::from_millis(millis);
            self.round_trip(|concurrency, now, ended| {
                concurrency.on_answered(now, ended, latency, MAX);
            });
        }

        fn refuse_all(&mut self) {
            self.round_trip(|concurrency, now, ended| concurrency.on_overloaded(now, ended));
        }
    }

    #[test]
    fn a_round_trip_of_refusals_halves_it_once_and_never_to_0() {
        let mut load = Load::new();
        let mut limits = Vec::new();
        for _ in 0..8 {
            load.refuse_all();
            limits.push(load.limit());
        }
        assert_eq!(limits, [25, 12, 6, 3, 1, 1, 1, 1]);
    }

    #[test]
    fn it_is_halved_from_what_was_under_way() {
        let mut concurrency = AdaptiveConcurrency::default();
        let ended = Ended {
            started: at(0),
            under_way: 8,
        };
        concurrency.on_overloaded(at(100), ended);
        assert_eq!(concurrency.limit(), Some(4));
    }

    #[test]
    fn answers_bring_it_back_by_one_a_round_trip_until_nothing_is_limited() {
        let mut load = Load::new();
        for _ in 0..5 {
            load.refuse_all();
        }
        for expected in 2..MAX {
            load.answer_all(100);
            assert_eq!(load.concurrency.limit(), Some(expected));
        }
        load.answer_all(100);
        assert_eq!(load.concurrency.limit(), None);
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let mut load = Load::new();
        load.refuse_all();
        let ended = |under_way| Ended {
            started: at(2_000),
            under_way,
        };
        for _ in 0..1_000 {
            let latency = Duration::from_millis(100);
            load.concurrency
                .on_answered(at(2_100), ended(12), latency, MAX);
        }
        assert_eq!(load.limit(), 25);
        for _ in 0..25 {
            let latency = Duration::from_millis(100);
            load.concurrency
                .on_answered(at(2_100), ended(13), latency, MAX);
        }
        assert_eq!(load.limit(), 26);
    }

    #[test]
    fn attempts_begun_before_a_step_down_say_nothing() {
        let mut load = Load::new();
        let early = Ended {
            started: at(999),
            under_way: 50,
        };
        load.refuse_all();
        for _ in 0..200 {
            load.concurrency.on_overloaded(at(5_000), early);
            load.concurrency
                .on_answered(at(5_000), early, Duration::from_secs(5), MAX);
        }
        assert_eq!(load.limit(), 25);
    }

    #[test]
    fn latency_that_rises_with_the_load_takes_the_limit_down_to_what_keeps_it() {
        // 10 at once take 100 ms each; more wait for each other.
        let mut load = Load::new();
        for _ in 0..10 {
            load.answer_all(100);
        }
        assert_eq!(load.concurrency.limit(), None);
        let mut limits = Vec::new();
        for _ in 0..400 {
            let millis = u64::from(load.limit().max(10)) * 10;
            load.answer_all(millis);
            limits.push(load.limit());
        }
        // Twice the best is tolerated: 10 that are served, and as many that wait.
        assert!(
            limits[100..].iter().all(|limit| (10..=22).contains(limit)),
            "{limits:?}"
        );
    }

    #[test]
    fn a_receiver_that_is_slow_whatever_the_load_gets_its_load_back() {
        let mut load = Load::new();
        for _ in 0..10 {
            load.answer_all(100);
        }
        let mut least = MAX;
        for _ in 0..200 {
            load.answer_all(1_000);
            least = least.min(load.limit());
        }
        assert_eq!(least, UNLOADED, "as if it were the load at first");
        assert_eq!(load.concurrency.limit(), None);
    }

    #[test]
    fn a_fast_receiver_may_be_slower_for_no_reason() {
        let mut load = Load::new();
        for millis in [0, 1, 19, 0, 1, 19] {
            for _ in 0..10 {
                load.answer_all(millis);
            }
        }
        assert_eq!(load.concurrency.limit(), None);
    }

    #[test]
    fn latencies_that_differ_much_among_themselves_do_not_limit_it() {
        let mut load = Load::new();
        let mut turn = 0_u64;
        for _ in 0..200 {
            load.round_trip(|concurrency, now, ended| {
                turn += 7;
                // A third take 30 ms, a third 100, a third 300 and more.
                let millis = [30, 100, 300 + turn % 500][(turn % 3) as usize];
                concurrency.on_answered(now, ended, Duration::from_millis(millis), MAX);
            });
        }
        assert_eq!(load.concurrency.limit(), None);
    }

    #[test]
    fn it_takes_little_memory_and_none_where_nothing_adapts() {
        assert!(size_of::<State>() <= 384);
        let mut concurrency = AdaptiveConcurrency::default();
        assert_eq!(size_of_val(&concurrency), size_of::<usize>());
        concurrency.on_overloaded(
            at(1),
            Ended {
                started: at(0),
                under_way: 10,
            },
        );
        concurrency.forget();
        assert_eq!(concurrency.limit(), None);
    }
}
