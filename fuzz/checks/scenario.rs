//! Whatever a scenario holds, all that must hold in the simulation holds, and the same bytes give the same run.

#[path = "../../tests/sim/play/mod.rs"]
mod play;

use play::dice::Dice;
use play::scenario::{SMALL, Scenario};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    assert_eq!(run(data), run(data), "the same bytes, two different runs");
}

fn run(data: &[u8]) -> (u64, u64) {
    let mut dice = Dice::from_bytes(data);
    let plan = Scenario::decode(&mut dice, SMALL);
    let replay = "an input of the fuzz target `scenario`".to_owned();
    play::play(plan, dice, replay).trace.hash()
}
