//! The reference model of one origin's breaker, by SPEC: failures in a row open it, then one probe at a time.
//!
//! It counts what is told of attempts, with their beginnings, and must come to the same as the engine tells.

use std::time::Duration;

use conduit::base::time::Instant;
use conduit::engine::event::BreakerOrder;
use conduit::engine::policy::Endpoint;

use super::model::TICK;

/// What an attempt's end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    Success,
    Failure,
    Neutral,
}

/// One origin's.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    lasts: Duration,
    state: State,
    /// Attempts begun until then no longer vote.
    epoch: Option<Instant>,
    /// It was open and is reset: the engine will tell.
    is_reset: bool,
    /// What the engine told, and when; the vote that it follows from comes next.
    told: Option<(Instant, Option<Duration>)>,
    /// No request begins before, unless something begun earlier brings it.
    held: Option<(Instant, Instant)>,
    /// Families of which name servers have said, since an absence last had its vote, that the name has no address.
    absent: [bool; 2],
    /// The epoch in which the last absence had its vote.
    voted: Option<Option<Instant>>,
    /// When it opened.
    pub trips: Vec<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        since: Instant,
        until: Instant,
    },
    /// Until somebody resets it.
    Isolated {
        since: Instant,
    },
}

impl Breaker {
    pub fn new(endpoint: &Endpoint) -> Breaker {
        Breaker {
            failures_max: endpoint.breaker_failures,
            lasts: endpoint.breaker_duration,
            state: State::Closed { failures: 0 },
            epoch: None,
            is_reset: false,
            told: None,
            held: None,
            absent: [false; 2],
            voted: None,
            trips: Vec::new(),
        }
    }

    /// Other settings hold from now on, but for how long it is open if it is.
    pub fn on_swap(&mut self, endpoint: &Endpoint) {
        self.failures_max = endpoint.breaker_failures;
        self.lasts = endpoint.breaker_duration;
    }

    /// Somebody wants it closed, or open until they do.
    pub fn on_order(&mut self, now: Instant, order: BreakerOrder) {
        // What begins at this very moment begins because of it.
        self.epoch = Some(now - Duration::from_nanos(1));
        self.state = match (order, self.state) {
            (BreakerOrder::Isolate, State::Isolated { since }) => State::Isolated { since },
            (BreakerOrder::Isolate, _) => State::Isolated { since: now },
            (BreakerOrder::Reset, State::Closed { .. }) => State::Closed { failures: 0 },
            (BreakerOrder::Reset, _) => {
                self.is_reset = true;
                State::Closed { failures: 0 }
            }
        };
    }

    /// Whether somebody wants it open.
    pub const fn is_isolated(&self) -> bool {
        matches!(self.state, State::Isolated { .. })
    }

    /// The engine tells that it has opened, or closed.
    pub fn on_told(&mut self, now: Instant, open_for: Option<Duration>) {
        if std::mem::take(&mut self.is_reset) {
            assert_eq!(open_for, None, "it is reset, and tells");
            return;
        }
        assert!(self.told.is_none(), "I8: told twice of one change");
        if let Some(open_for) = open_for {
            assert_eq!(open_for, self.lasts, "how long a breaker is open");
            self.trips.push(now);
        }
        self.told = Some((now, open_for));
    }

    /// A receiver asks to be left alone.
    pub fn on_held(&mut self, now: Instant, delay: Duration) {
        self.held = Some((now, now + delay));
    }

    /// A name server says that the name has no address of one family.
    pub fn on_absent_half(&mut self, is_v6: bool) {
        self.absent[usize::from(is_v6)] = true;
    }

    /// What an attempt votes that began at `started` and failed because there is no address: one answer has one vote in
    /// an epoch, however many attempts it ends (F121).
    pub fn vote_of_absence(&mut self, started: Instant) -> Vote {
        if self.absent == [true; 2] {
            self.absent = [false; 2];
            self.voted = None;
        }
        if self.voted == Some(self.epoch) {
            return Vote::Neutral;
        }
        if self.epoch.is_none_or(|epoch| started > epoch) {
            self.voted = Some(self.epoch);
        }
        Vote::Failure
    }

    /// An attempt has ended that began at `started`; `is_vague`: or perhaps later.
    pub fn on_vote(&mut self, now: Instant, started: Instant, vote: Vote, is_vague: bool) {
        let told = self.told.take();
        assert!(
            told.is_none_or(|(at, _)| at == now),
            "I8: a change that no attempt's end explains"
        );
        if vote == Vote::Success {
            self.held = None;
        }
        if is_vague {
            return self.follow(now, told.map(|(_, change)| change));
        }
        if self.epoch.is_some_and(|epoch| started <= epoch) {
            assert!(
                told.is_none(),
                "I8: an attempt begun before it opened changed it"
            );
            return;
        }
        let expected = match (self.state, vote) {
            (_, Vote::Neutral) => None,
            (State::Closed { failures }, Vote::Failure) if failures + 1 < self.failures_max => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                None
            }
            (_, Vote::Failure) => Some(Some(self.lasts)),
            (State::Closed { .. }, Vote::Success) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (State::Open { .. }, Vote::Success) => Some(None),
            (State::Isolated { .. }, Vote::Success) => {
                panic!("an attempt began while the breaker was isolated")
            }
        };
        if let State::Open { until, .. } = self.state {
            assert!(
                started + TICK >= until,
                "I7: an attempt began while the breaker was open"
            );
        }
        let told = told.map(|(_, change)| change);
        assert_eq!(
            told, expected,
            "I8: what {vote:?} makes of {:?}",
            self.state
        );
        self.follow(now, told);
    }

    fn follow(&mut self, now: Instant, change: Option<Option<Duration>>) {
        match change {
            None => {}
            Some(Some(open_for)) => {
                self.epoch = Some(now);
                self.state = State::Open {
                    since: now,
                    until: now + open_for,
                };
            }
            Some(None) => {
                assert!(
                    matches!(self.state, State::Open { .. }),
                    "it closes after it was open"
                );
                self.state = State::Closed { failures: 0 };
            }
        }
    }

    /// A request begins, with so many in flight (itself included); no attempt lasts longer than `attempt_max`.
    pub fn on_request(&self, now: Instant, in_flight: u32, attempt_max: Duration) {
        if let State::Open { since, until } = self.state
            && now > since + attempt_max
        {
            assert!(
                now >= until,
                "I7: a request begins while the breaker is open"
            );
            assert!(in_flight <= 1, "I7: {in_flight} requests in half-open");
        }
        if let State::Isolated { since } = self.state {
            assert!(
                now <= since + attempt_max,
                "a request begins while the breaker is isolated"
            );
        }
        if let Some((since, until)) = self.held
            && now > since + attempt_max
        {
            assert!(
                now >= until,
                "F52: a request begins while the origin is held"
            );
        }
    }

    /// Whether what was told has been explained.
    pub fn is_settled(&self) -> bool {
        self.told.is_none() && !self.is_reset
    }
}
