//! The journal on a disk that forgets: crashes between any two operations, and in the middle of one.
//!
//! Everything comes from a seed: submissions, ends, time, which operations fail, what a crash takes. After each
//! crash the journal is read back and held against a model that only knows what was said. Faults are switched
//! off whole in some runs, for a fault that is always there hides others.
//!
//! `CONDUIT_SIM_SEEDS=10000 cargo test --release --test journal` plays more; `CONDUIT_SIM_SEED=7` plays one.

mod disk;
mod model;
mod scarce;
mod stories;
mod world;

use world::World;

/// Seeds that `cargo test` plays.
const SEEDS: u64 = 300;

#[test]
fn i10_no_crash_loses_what_was_acknowledged_nor_brings_back_what_is_known_to_have_ended() {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (first, seeds) = match from_env("CONDUIT_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (0, from_env("CONDUIT_SIM_SEEDS").unwrap_or(SEEDS)),
    };
    let mut totals = world::Totals::default();
    for seed in first..first + seeds {
        // The test's own output says which seed it was, should a check fail.
        println!("CONDUIT_SIM_SEED={seed}");
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        match run {
            Ok(run) => totals.add(&run),
            Err(panic) => {
                eprintln!("seed {seed} failed: CONDUIT_SIM_SEED={seed} cargo test --test journal");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{seeds} seeds: {totals:?}");
    if seeds >= SEEDS {
        totals.check_all_happened();
    }
}
