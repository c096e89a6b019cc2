//! What the staged runs come to: how many were delivered, how long it took, how many requests a second.

use std::time::Duration;

use conduit::base::time::Instant;
use conduit::wire::report::Outcome;

use crate::play::model::Book;
use crate::play::world::World;

/// What became of the jobs of some origins.
pub struct Figures {
    pub jobs: u32,
    pub delivered: u32,
    /// From acceptance, and from when the line could be read; in order.
    took: Vec<Duration>,
    took_in_all: Vec<Duration>,
}

impl Figures {
    /// Of the jobs whose origin is one of these.
    pub fn of(world: &World, is_one: impl Fn(usize) -> bool) -> Figures {
        let books = world.model.books.iter().filter(|book| is_one(book.origin));
        let mut figures = Figures {
            jobs: 0,
            delivered: 0,
            took: Vec::new(),
            took_in_all: Vec::new(),
        };
        for book in books {
            figures.jobs += 1;
            figures.delivered += u32::from(book.done == Some(Outcome::Delivered));
            figures.took.push(book.took());
            figures.took_in_all.push(book.took_in_all());
        }
        figures.took.sort_unstable();
        figures.took_in_all.sort_unstable();
        figures
    }

    /// The latency, from acceptance, that so many of a thousand jobs don't exceed.
    pub fn percentile(&self, per_mille: usize) -> Duration {
        of_thousand(&self.took, per_mille)
    }

    /// The same from when the line could be read.
    pub fn waited_percentile(&self, per_mille: usize) -> Duration {
        of_thousand(&self.took_in_all, per_mille)
    }

    /// The part that was delivered, of a hundred.
    pub fn delivered_percent(&self) -> f64 {
        f64::from(self.delivered) * 100.0 / f64::from(self.jobs.max(1))
    }
}

/// What was delivered in some span of a run.
pub struct Span {
    pub jobs: u32,
    pub delivered: u32,
    pub lasts: Duration,
    /// Attempts that failed, of the jobs that ended in it.
    pub failed: u32,
    /// What the attempts took that delivered them; from acceptance; both in order.
    answered_in: Vec<Duration>,
    took: Vec<Duration>,
}

impl Span {
    /// Of the jobs that ended in it, both ends since the run's start.
    pub fn of(world: &World, from: Duration, to: Duration) -> Span {
        let ended = |book: &&Book| {
            let at = book.ended.since(Instant::from_nanos(0));
            at >= from && at < to
        };
        let mut span = Span {
            jobs: 0,
            delivered: 0,
            lasts: to.min(world.elapsed()) - from,
            failed: 0,
            answered_in: Vec::new(),
            took: Vec::new(),
        };
        for book in world.model.books.iter().filter(ended) {
            span.jobs += 1;
            span.failed += book.failed;
            if book.done == Some(Outcome::Delivered) {
                span.delivered += 1;
                span.answered_in.push(book.answered_in);
                span.took.push(book.took());
            }
        }
        span.answered_in.sort_unstable();
        span.took.sort_unstable();
        span
    }

    /// Deliveries a second.
    pub fn goodput(&self) -> f64 {
        f64::from(self.delivered) / self.lasts.as_secs_f64()
    }

    /// What half of the attempts that delivered did not exceed.
    pub fn p50(&self) -> Duration {
        of_thousand(&self.answered_in, 500)
    }

    /// What 99 of 100 attempts that delivered did not exceed.
    pub fn p99(&self) -> Duration {
        of_thousand(&self.answered_in, 990)
    }

    /// What 99 of 100 jobs did not exceed, from acceptance.
    pub fn p99_of_jobs(&self) -> Duration {
        of_thousand(&self.took, 990)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>6.1} delivered a second ({} of {}), {:>5} attempts failed, answered in p50 {:.1?} p99 {:.1?}, jobs p99 {:.1?}",
            self.goodput(),
            self.delivered,
            self.jobs,
            self.failed,
            self.p50(),
            self.p99(),
            self.p99_of_jobs()
        )
    }
}

fn of_thousand(sorted: &[Duration], per_mille: usize) -> Duration {
    let index = (sorted.len() * per_mille).div_ceil(1000).max(1) - 1;
    sorted.get(index).copied().unwrap_or_default()
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>6} jobs, {:>7.3} % delivered, p50 {:.1?} p95 {:.1?} p99 {:.1?}, in all {:.1?}",
            self.jobs,
            self.delivered_percent(),
            self.percentile(500),
            self.percentile(950),
            self.percentile(990),
            self.waited_percentile(990)
        )
    }
}
