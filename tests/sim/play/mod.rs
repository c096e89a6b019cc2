//! The simulation: real engines and a real intake in a world that is made of nothing but a seed.
//!
//! ```text
//!   scenario --> world: the driver, its clock jumps --> engines, intake (conduit)
//!                  |  wires, reading, asking: sockets   network: what travels, and when
//!                  |  feed: lines                       servers, dns: the far ends
//!                  |  spool: journal and disk (conduit's, and one that forgets), crashes
//!                  '--> model, breaker, survival: what must follow; invariants: what must hold; trace: what happened
//! ```
//!
//! [`play`] runs one scenario and panics, with the tail of the trace, if anything is not as it must be.
//!
//! Not here: the tests (`main`), the fuzz target's check (`fuzz/checks/scenario`).

#![allow(
    dead_code,
    reason = "tests, fuzz target and its corpus share these rooms, and none of them uses all"
)]

pub mod asking;
pub mod breaker;
pub mod dice;
pub mod dns;
pub mod feed;
pub mod invariants;
pub mod model;
pub mod network;
pub mod reading;
pub mod scenario;
pub mod servers;
pub mod spool;
pub mod staged;
pub mod survival;
pub mod trace;
pub mod wires;
pub mod world;

use dice::Dice;
use scenario::Scenario;
use world::World;

/// Plays a scenario to its end.
pub fn play(plan: Scenario, dice: Dice, replay: String) -> World {
    let mut world = World::new(plan, dice, replay);
    world.run();
    world
}
