//! Floor 0: tools that know nothing of webhooks.
//!
//! Each file stands alone: they name `std` and, where they need it, [`time`].

pub mod counts;
pub mod finder;
pub mod histogram;
pub mod lazy;
pub mod lines;
pub mod map;
pub mod queue;
pub mod rng;
pub mod slab;
pub mod time;
pub mod wheel;
