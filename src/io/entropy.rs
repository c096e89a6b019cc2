//! Takes the seed that all randomness of the process grows from: the only place that asks the system.
//!
//! Not here: the generator (`base::rng`).

use std::io;

use crate::io::sys;

/// 32 bytes that nobody can guess (getrandom(2)).
///
/// # Errors
/// The system's. Without a seed nothing may start: ids and DNS queries would be predictable.
pub fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    sys::fill_random(&mut seed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ() {
        assert_ne!(seed().unwrap(), seed().unwrap());
    }
}
