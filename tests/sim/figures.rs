//! What the staged runs come to: how many were delivered, how long it took, how many requests a second.

use std::time::Duration;

use conduit::wire::report::Outcome;

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
