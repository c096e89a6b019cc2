//! What is left to chance: bytes from outside while there are any, then a stream that follows from them.
//!
//! A seed expands to bytes, and a fuzzer may supply its own: so both reach every decision, and the same bytes
//! give the same run.

use conduit::base::rng::Rng;

/// The source of all chance in a run.
pub struct Dice {
    bytes: Vec<u8>,
    at: usize,
    rng: Rng,
}

/// Bytes that a seed expands to: more than the decisions of a scenario take.
const EXPANDED_BYTES: usize = 512;

impl Dice {
    /// The run that this seed stands for.
    pub fn from_seed(seed: u64) -> Dice {
        Dice::from_bytes(&expand(seed))
    }

    /// The run that these bytes stand for.
    pub fn from_bytes(bytes: &[u8]) -> Dice {
        let mut seed = [0_u8; 32];
        for (index, byte) in bytes.iter().enumerate() {
            let place = &mut seed[index % 32];
            *place = place.rotate_left(3) ^ byte;
        }
        Dice {
            bytes: bytes.to_vec(),
            at: 0,
            rng: Rng::from_seed(seed),
        }
    }

    /// A number from 0 up to, but not including, `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let wanted = match bound {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let Some(bytes) = self.bytes.get(self.at..self.at + wanted) else {
            return self.rng.below(bound);
        };
        self.at += wanted;
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
            % bound
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.below(100) < percent
    }

    /// A number from `low` up to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// About lognormal around `median`: a product of factors on both sides of one.
    pub fn around(&mut self, median: u64) -> u64 {
        let mut value = median * 64;
        for _ in 0..4 {
            value = if self.below(2) == 0 {
                value * 3 / 2
            } else {
                value * 2 / 3
            };
        }
        value / 64
    }

    /// A seed for a machine.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        seed
    }
}

/// The bytes that a seed stands for.
pub fn expand(seed: u64) -> Vec<u8> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut bytes = vec![0; EXPANDED_BYTES];
    Rng::from_seed(key).fill(&mut bytes);
    bytes
}
