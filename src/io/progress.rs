//! What a run says about itself while it goes on: a line on a terminal, and now and then one in the log.
//!
//! Not here: how a terminal is written to (`log`), the counts (intake).

use std::time::Duration;

use conduit::base::time::Instant;
use conduit::intake;
use conduit::intake::held::{Held, STANDS_STILL_AFTER};
use conduit::wire::report::Outcome;

/// How often the line on the terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// How often the log says that jobs wait.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What a run says about itself.
#[derive(Debug)]
pub struct Progress {
    draw: Option<Drawing>,
    started: Instant,
    /// Since when nothing but waiting jobs is left, or since the log last said so.
    waiting_since: Option<Instant>,
}

#[derive(Debug)]
struct Drawing {
    show: fn(&str),
    next: Instant,
}

/// What the jobs that are left wait for, while nothing else is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// For the time of their next attempt.
    pub later: u32,
    /// For a breaker to close, or for as long as a receiver has asked.
    pub held: u32,
    /// When something is due next.
    pub next: Option<Instant>,
}

/// When the log says who is not read from: once a minute, as long as somebody stands still.
#[derive(Debug, Default)]
pub struct Standing {
    told: Option<Instant>,
}

impl Standing {
    /// When there is next something to say; `oldest`: who has been held for longest.
    #[must_use]
    pub fn next(&self, oldest: Option<Held>) -> Instant {
        let Some(oldest) = oldest else {
            return Instant::FAR_FUTURE;
        };
        let due = oldest.since + STANDS_STILL_AFTER;
        self.told.map_or(due, |told| due.max(told + LOG_EVERY))
    }

    /// Whether it is time, and it is said now.
    pub fn is_due(&mut self, now: Instant, oldest: Option<Held>) -> bool {
        let is_due = now >= self.next(oldest);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

impl Waits {
    fn in_words(self, now: Instant, pending: u64) -> String {
        let Waits { later, held, next } = self;
        let next = match next {
            Some(at) => format!("the next is due in {} s", at.since(now).as_secs().max(1)),
            None => "none is due".to_owned(),
        };
        format!(
            "{pending} jobs wait, nothing else is left to do: {later} for their next attempt, {held} for a \
             circuit breaker or a receiver's Retry-After; {next}"
        )
    }
}

impl Progress {
    /// Begins at `now`; `show` puts a line on the terminal, and takes it away if it is empty.
    #[must_use]
    pub fn new(now: Instant, show: Option<fn(&str)>) -> Progress {
        Progress {
            draw: show.map(|show| Drawing { show, next: now }),
            started: now,
            waiting_since: None,
        }
    }

    /// Says what there is to say; `waits`: the feed has ended, and no request is under way.
    pub fn update(&mut self, now: Instant, counts: &intake::Progress, waits: Option<Waits>) {
        if let Some(draw) = &mut self.draw
            && now >= draw.next
        {
            draw.next = now + DRAW_EVERY;
            (draw.show)(&line(counts, now.since(self.started)));
        }
        let pending = counts.pending as u64;
        let Some(waits) = waits.filter(|_| pending > 0) else {
            self.waiting_since = None;
            return;
        };
        let since = *self.waiting_since.get_or_insert(now);
        if now.since(since) >= LOG_EVERY {
            self.waiting_since = Some(now);
            log::info!("{}", waits.in_words(now, pending));
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if let Some(draw) = self.draw.take() {
            (draw.show)("");
        }
    }

    /// When there is next something to say.
    #[must_use]
    pub fn next(&self) -> Instant {
        let draw = self
            .draw
            .as_ref()
            .map_or(Instant::FAR_FUTURE, |draw| draw.next);
        let log = self
            .waiting_since
            .map_or(Instant::FAR_FUTURE, |since| since + LOG_EVERY);
        draw.min(log)
    }
}

fn line(counts: &intake::Progress, elapsed: Duration) -> String {
    let ended = counts.ended;
    let failed = ended.saturating_sub(counts.outcomes[Outcome::Delivered.index()]);
    let rate = ended as f64 / elapsed.as_secs_f64().max(0.001);
    let mut line = format!(
        "{} delivered",
        grouped(counts.outcomes[Outcome::Delivered.index()])
    );
    if failed > 0 {
        line.push_str(&format!(", {} failed", grouped(failed)));
    }
    line.push_str(&format!(
        ", {} pending, {} a second",
        grouped(counts.pending as u64),
        grouped(rate as u64)
    ));
    line
}

/// `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits {
        later: 2,
        held: 1,
        next: Some(Instant::from_nanos(12_000_000_000)),
    };

    #[test]
    fn while_jobs_only_wait_the_log_says_so_once_a_minute_and_for_what() {
        let start = Instant::from_nanos(0);
        let mut progress = Progress::new(start, None);
        let counts = intake::Progress {
            pending: 3,
            ..intake::Progress::default()
        };
        progress.update(start, &counts, Some(WAITS));
        assert_eq!(progress.next(), start + LOG_EVERY);
        progress.update(start, &counts, None);
        assert_eq!(
            progress.next(),
            Instant::FAR_FUTURE,
            "a request is under way"
        );
        assert_eq!(
            WAITS.in_words(start, 3),
            "3 jobs wait, nothing else is left to do: 2 for their next attempt, 1 for a circuit breaker or \
             a receiver's Retry-After; the next is due in 12 s"
        );
    }

    #[test]
    fn f159_who_stands_still_is_told_of_once_a_minute() {
        let at = |seconds| Instant::default() + Duration::from_secs(seconds);
        let held = |since| {
            Some(Held {
                client: intake::event::ClientId(conduit::base::slab::Key::from_bits(1)),
                kind: intake::event::Kind::Feed,
                by: intake::held::HeldBy::Unread(1),
                since: at(since),
            })
        };
        let mut standing = Standing::default();
        assert_eq!(standing.next(None), Instant::FAR_FUTURE);
        assert!(!standing.is_due(at(69), held(10)));
        assert!(standing.is_due(at(70), held(10)));
        assert_eq!(standing.next(held(10)), at(130), "and not at once again");
        assert!(!standing.is_due(at(129), held(10)));
        assert!(standing.is_due(at(130), held(10)));
        assert_eq!(standing.next(held(200)), at(260), "another");
        assert!(!standing.is_due(at(500), None));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn without_a_terminal_and_without_waiting_jobs_nothing_is_due() {
        let start = Instant::from_nanos(5);
        let mut progress = Progress::new(start, None);
        let counts = intake::Progress::default();
        progress.update(start, &counts, Some(WAITS));
        assert_eq!(progress.next(), Instant::FAR_FUTURE);
    }

    #[test]
    fn the_line_is_drawn_a_few_times_a_second() {
        let start = Instant::from_nanos(5);
        let mut progress = Progress::new(start, Some(|_| {}));
        assert_eq!(progress.next(), start);
        progress.update(start, &intake::Progress::default(), None);
        assert_eq!(progress.next(), start + DRAW_EVERY);
        progress.clear();
        assert_eq!(progress.next(), Instant::FAR_FUTURE);
    }
}
