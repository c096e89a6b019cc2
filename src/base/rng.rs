//! Random numbers from a seed: nobody outside can foretell them, and every test can repeat them.
//!
//! The key stream of ChaCha20 (RFC 8439 §2.3; zero nonce, 64-bit block counter as in Bernstein's original) with
//! the seed as key. Whoever sees outputs (DNS query ids, UUIDs, jitter) learns nothing of the next ones. The
//! same seed and the same calls give the same numbers on every machine.
//!
//! Not here: where seeds come from (`io/entropy`), keys and signatures (`io` and the crypto library).

use std::fmt;

/// A generator of random numbers.
#[derive(Clone)]
pub struct Rng {
    key: [u32; 8],
    /// The number of the block after the one in `block`.
    counter: u64,
    block: [u32; 16],
    /// How many words of `block` were given out.
    used: usize,
}

impl Rng {
    /// The generator that this seed stands for.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Rng {
        let mut key = [0; 8];
        for (word, bytes) in key.iter_mut().zip(seed.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Rng {
            key,
            counter: 0,
            block: [0; 16],
            used: 16,
        }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.block.len() {
            let tail = [self.counter as u32, (self.counter >> 32) as u32, 0, 0];
            self.block = chacha20_block(&self.key, tail);
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        let high = u64::from(self.next_u32());
        high << 32 | low
    }

    /// A number from 0 up to, but not including, `bound`; each is equally likely.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // Lemire 2019, "Fast random integer generation in an interval": the high half of the product is the
        // number; low halves under 2^64 mod bound would make some numbers likelier, so they are drawn again.
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }

    /// Fills `bytes`. The last word's unused bytes are not given out later.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(4) {
            chunk.copy_from_slice(&self.next_u32().to_le_bytes()[..chunk.len()]);
        }
    }

    /// An independent generator for another owner: how much either draws doesn't change what the other gets.
    pub fn fork(&mut self) -> Rng {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Rng::from_seed(seed)
    }
}

impl fmt::Debug for Rng {
    /// Shows the position only: the key foretells every number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng")
            .field("counter", &self.counter)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

/// RFC 8439 §2.3, with the block counter and the nonce as the four words that they are in its state.
fn chacha20_block(key: &[u32; 8], tail: [u32; 4]) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].copy_from_slice(key);
    start[12..].copy_from_slice(&tail);

    let mut state = start;
    for _ in 0..10 {
        quarter_round(&mut state, 0, 4, 8, 12);
        quarter_round(&mut state, 1, 5, 9, 13);
        quarter_round(&mut state, 2, 6, 10, 14);
        quarter_round(&mut state, 3, 7, 11, 15);
        quarter_round(&mut state, 0, 5, 10, 15);
        quarter_round(&mut state, 1, 6, 11, 12);
        quarter_round(&mut state, 2, 7, 8, 13);
        quarter_round(&mut state, 3, 4, 9, 14);
    }
    for (word, first) in state.iter_mut().zip(start) {
        *word = word.wrapping_add(first);
    }
    state
}

/// RFC 8439 §2.1.
fn quarter_round(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (to, from, mix, bits) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[to] = state[to].wrapping_add(state[from]);
        state[mix] = (state[mix] ^ state[to]).rotate_left(bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_quarter_round_is_that_of_rfc_8439_section_2_1_1() {
        let mut state = [0; 16];
        state[..4].copy_from_slice(&[0x1111_1111, 0x0102_0304, 0x9b8d_6f43, 0x0123_4567]);
        quarter_round(&mut state, 0, 1, 2, 3);
        assert_eq!(
            state[..4],
            [0xea2a_92f4, 0xcb1c_f8ce, 0x4581_472e, 0x5881_c4bb]
        );
    }

    #[test]
    fn the_block_function_is_that_of_rfc_8439_section_2_3_2() {
        let mut key = [0; 8];
        for (index, word) in key.iter_mut().enumerate() {
            let first = 4 * index as u8;
            *word = u32::from_le_bytes([first, first + 1, first + 2, first + 3]);
        }
        let block = chacha20_block(&key, [1, 0x0900_0000, 0x4a00_0000, 0]);
        let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(
            hex(&bytes),
            "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
             d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
        );
    }

    #[test]
    fn the_stream_is_that_of_rfc_8439_appendix_a_1() {
        // Test vectors 1 and 2: all-zero key and nonce, blocks 0 and 1.
        let mut bytes = [0; 128];
        Rng::from_seed([0; 32]).fill(&mut bytes);
        assert_eq!(
            hex(&bytes),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
             9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
        );
    }

    #[test]
    fn words_and_bytes_come_from_the_same_stream() {
        let mut words = Rng::from_seed([7; 32]);
        let mut bytes = Rng::from_seed([7; 32]);
        for len in [0, 1, 3, 4, 5, 63, 64, 65, 1000] {
            let mut filled = vec![0; len];
            bytes.fill(&mut filled);
            for chunk in filled.chunks(4) {
                assert_eq!(chunk, &words.next_u32().to_le_bytes()[..chunk.len()]);
            }
        }
        let (low, high) = (words.next_u32(), words.next_u32());
        assert_eq!(bytes.next_u64(), u64::from(high) << 32 | u64::from(low));
    }

    #[test]
    fn the_counter_carries_into_its_high_word() {
        let mut rng = Rng::from_seed([1; 32]);
        rng.counter = u64::from(u32::MAX);
        rng.used = 16;
        for _ in 0..16 {
            rng.next_u32();
        }
        let expected = chacha20_block(&rng.key, [0, 1, 0, 0]);
        assert_eq!(rng.next_u32(), expected[0]);
    }

    #[test]
    fn below_is_in_range_and_even() {
        let mut rng = Rng::from_seed([2; 32]);
        for bound in [1, 2, 3, 1 << 32, (1 << 63) + 1, u64::MAX] {
            for _ in 0..1000 {
                assert!(rng.below(bound) < bound, "bound {bound}");
            }
        }
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        // Five standard deviations of a binomial with p = 0.1.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 475),
            "{counts:?}"
        );
    }

    #[test]
    fn below_draws_again_what_would_make_some_numbers_likelier() {
        // With bound 3·2^62 a quarter of all draws must be rejected; taken as they come, the numbers divisible
        // by 3 would be twice as likely as the others.
        let mut rng = Rng::from_seed([3; 32]);
        let bound = 3 << 62;
        let multiples = (0..30_000)
            .filter(|_| rng.below(bound).is_multiple_of(3))
            .count();
        assert!(multiples.abs_diff(10_000) < 410, "{multiples}");
    }

    #[test]
    #[should_panic(expected = "no number is below 0")]
    fn below_zero_is_a_mistake() {
        Rng::from_seed([0; 32]).below(0);
    }

    #[test]
    fn forks_are_independent_and_repeatable() {
        let mut parent = Rng::from_seed([4; 32]);
        let mut again = Rng::from_seed([4; 32]);
        let mut first = parent.fork();
        let mut second = parent.fork();
        let mut first_again = again.fork();
        assert_ne!(first.next_u64(), second.next_u64());
        first_again.next_u64();
        for _ in 0..100 {
            assert_eq!(first.next_u64(), first_again.next_u64());
        }
        again.fork();
        assert_eq!(parent.next_u64(), again.next_u64());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let mut rng = Rng::from_seed([0xab; 32]);
        rng.next_u32();
        assert_eq!(format!("{rng:?}"), "Rng { counter: 1, used: 1, .. }");
    }
}
