//! Ids for jobs that bring none: UUIDv7 (RFC 9562 section 5.7), sortable by the time they were made.
//!
//! Each is greater than the one before it, as text too, whatever the wall clock does: within a millisecond, or
//! after a step back of the clock, the last one is counted up by a random step (section 6.2, method 2).
//!
//! Not here: ids that jobs bring (`wire/job_line`).

use crate::base::rng::Rng;
use crate::base::time::Wall;

/// The random bits of an id: 12 before the variant, 62 after it.
const RANDOM_BITS: u32 = 74;

/// Bits of a random step: so large that the next id can't be guessed, and 2⁴² of them still fit.
const STEP_BITS: u32 = 32;

/// A source of ids.
#[derive(Debug)]
pub(super) struct IdSource {
    rng: Rng,
    millis: u64,
    random: u128,
}

impl IdSource {
    pub(super) const fn new(rng: Rng) -> IdSource {
        IdSource {
            rng,
            millis: 0,
            random: 0,
        }
    }

    /// The next id, 36 characters.
    pub(super) fn next_id(&mut self, wall: Wall) -> Box<str> {
        let step = 1 + u128::from(self.rng.next_u64() >> (u64::BITS - STEP_BITS));
        let next = self.random + step;
        if wall.unix_millis() > self.millis {
            self.millis = wall.unix_millis();
            self.random = self.fresh();
        } else if next >> RANDOM_BITS == 0 {
            self.random = next;
        } else {
            self.millis += 1;
            self.random = self.fresh();
        }
        text(self.millis, self.random)
    }

    /// The highest bit is left 0, so that there is always way up.
    fn fresh(&mut self) -> u128 {
        let high = u128::from(self.rng.next_u64()) << 64;
        (high | u128::from(self.rng.next_u64())) >> (u128::BITS - RANDOM_BITS + 1)
    }
}

fn text(millis: u64, random: u128) -> Box<str> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const LOW_62: u128 = (1 << 62) - 1;
    let bits = u128::from(millis & 0xffff_ffff_ffff) << 80
        | 0x7 << 76
        | (random >> 62) << 64
        | 0b10 << 62
        | random & LOW_62;
    let mut text = String::with_capacity(36);
    for digit in 0..32 {
        if matches!(digit, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(HEX[(bits >> (124 - 4 * digit)) as usize & 15] as char);
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9562_appendix_a_6() {
        let random = 0xcc3 << 62 | 0x18c4_dc0c_0c07_398f;
        assert_eq!(
            &*text(0x017f_22e2_79b0, random),
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        );
    }

    #[test]
    fn ids_only_grow_whatever_the_clock_does() {
        let mut ids = IdSource::new(Rng::from_seed([7; 32]));
        let mut last = Box::from("");
        for n in 0..10_000_u64 {
            let millis = 1_700_000_000_000 + [n / 3, n / 5, 0, n][n as usize % 4];
            let id = ids.next_id(Wall::from_unix_nanos(millis * 1_000_000));
            assert!(id > last, "{id} after {last}");
            assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
            last = id;
        }
    }

    #[test]
    fn used_up_bits_carry_into_the_time() {
        let mut ids = IdSource::new(Rng::from_seed([7; 32]));
        let wall = Wall::from_unix_nanos(9_000_000);
        ids.next_id(wall);
        ids.random = (1 << RANDOM_BITS) - 1;
        let before = text(ids.millis, ids.random);
        let after = ids.next_id(wall);
        assert!(after > before);
        assert_eq!(&after[..13], "00000000-000a");
    }
}
