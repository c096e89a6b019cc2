//! The simulator's tests: many short runs of everything at once, and staged ones that give a figure each.
//!
//! A run that fails names its seed and shows how it came to it; `CONDUIT_SIM_SEED=N cargo test --test sim short --
//! --nocapture` plays it again, and nothing else. `CONDUIT_SIM_SEEDS=N` plays so many seeds.

mod play;

use std::sync::atomic::{AtomicU64, Ordering};

use play::dice::{Dice, expand};
use play::scenario::{SHORT, Scenario, Size};

const SEEDS: u64 = 256;

#[test]
fn short() {
    each_seed("CONDUIT_SIM_SEEDS", SEEDS, |seed| {
        let first = short_run(seed, SHORT);
        let second = short_run(seed, SHORT);
        assert_eq!(first, second, "seed {seed} plays two different runs");
    });
}

/// Plays a run and gives its hash.
fn short_run(seed: u64, size: Size) -> (u64, u64) {
    let mut dice = Dice::from_bytes(&expand(seed));
    let plan = Scenario::decode(&mut dice, size);
    let replay = format!("CONDUIT_SIM_SEED={seed} cargo test --test sim short -- --nocapture");
    play::play(plan, dice, replay).trace.hash()
}

/// Plays the seeds on all processors.
fn each_seed(variable: &str, seeds: u64, run: impl Fn(u64) + Sync) {
    if let Some(seed) = number_of("CONDUIT_SIM_SEED") {
        return run(seed);
    }
    let seeds = number_of(variable).unwrap_or(seeds);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    run(seed);
                }
            });
        }
    });
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
