//! A hash map keyed by strangers: hashed with the machine's own seed, and never iterated.
//!
//! Without the seed nobody can choose keys that collide (SipHash-1-3: Aumasson and Bernstein 2012, "SipHash: a
//! fast short-input PRF", with one and three rounds as in `std`). The seed is an argument, so a run can be
//! repeated; and since there is no iteration, nothing depends on hash order. Whoever must walk its values keeps
//! them in a slab or a list and puts their keys here.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

#[expect(
    clippy::disallowed_types,
    reason = "the table alone is std's: the hasher is seeded by us, and iteration stays private"
)]
type Table<K, V> = std::collections::HashMap<K, V, Seed>;

/// Values found by their keys.
#[derive(Clone)]
pub struct Map<K, V> {
    table: Table<K, V>,
}

/// SipHash-1-3, fed piece by piece.
#[derive(Clone, Debug)]
pub struct SipHasher13 {
    state: [u64; 4],
    /// Bytes that don't fill a word yet, the first one lowest.
    tail: u64,
    /// How many bytes were fed, all in all.
    len: usize,
}

#[derive(Clone)]
struct Seed([u64; 2]);

impl<K: Eq + Hash, V> Map<K, V> {
    /// An empty map whose hashes nobody foretells who doesn't know `seed`.
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Map<K, V> {
        Map {
            table: Table::with_hasher(Seed(seed)),
        }
    }

    /// Puts the value under the key, and gives back what was there. The key that was there stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.table.insert(key, value)
    }

    /// Takes the value out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.table.remove(key)
    }

    /// The value under the key.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.table.get_mut(key)
    }

    /// The value under the key; `make` makes it first if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.table.entry(key).or_insert_with(make)
    }

    /// The value under the key.
    #[must_use]
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.table.get(key)
    }

    /// The key that is there, and the value under it.
    #[must_use]
    pub fn get_key_value<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        self.table.get_key_value(key)
    }

    /// Whether there is a value under the key.
    #[must_use]
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.table.contains_key(key)
    }

    /// How many values are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl<K, V> fmt::Debug for Map<K, V> {
    /// Shows the size only: the contents would come in hash order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("len", &self.table.len())
            .finish_non_exhaustive()
    }
}

impl BuildHasher for Seed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new(self.0)
    }
}

impl SipHasher13 {
    /// A hasher that was fed nothing yet.
    #[must_use]
    pub const fn new(seed: [u64; 2]) -> SipHasher13 {
        let [k0, k1] = seed;
        SipHasher13 {
            state: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            len: 0,
        }
    }

    /// A hasher for [`SipHasher13::finish_128`] (the variant with double output, of the same authors).
    #[must_use]
    pub const fn new_128(seed: [u64; 2]) -> SipHasher13 {
        let mut hasher = SipHasher13::new(seed);
        hasher.state[1] ^= 0xee;
        hasher
    }

    /// The 128-bit hash of what was fed to a hasher made by [`SipHasher13::new_128`].
    #[must_use]
    pub fn finish_128(&self) -> [u64; 2] {
        let mut end = self.clone();
        end.absorb((self.len as u64) << 56 | self.tail);
        end.state[2] ^= 0xee;
        let first = end.output();
        end.state[1] ^= 0xdd;
        [first, end.output()]
    }

    #[inline]
    fn output(&mut self) -> u64 {
        for _ in 0..3 {
            self.state = sip_round(self.state);
        }
        self.state[0] ^ self.state[1] ^ self.state[2] ^ self.state[3]
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.state[3] ^= word;
        self.state = sip_round(self.state);
        self.state[0] ^= word;
    }

    /// Feeds the `count` low bytes of `word` (0 to 8; the others are zero).
    #[inline]
    fn feed(&mut self, word: u64, count: usize) {
        let held = self.len % 8;
        self.len = self.len.wrapping_add(count);
        self.tail |= word << (8 * held);
        if held + count >= 8 {
            self.absorb(self.tail);
            // What did not fit; a shift by 64 leaves nothing.
            self.tail = word.checked_shr(8 * (8 - held) as u32).unwrap_or(0);
        }
    }
}

impl Hasher for SipHasher13 {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.feed(u64::from_le_bytes(*word), 8);
        }
        let last = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.feed(last, rest.len());
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.feed(u64::from(byte), 1);
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.feed(u64::from(word), 4);
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.feed(word, 8);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mut end = self.clone();
        end.absorb((self.len as u64) << 56 | self.tail);
        end.state[2] ^= 0xff;
        end.output()
    }
}

#[inline]
const fn sip_round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(seed: [u64; 2], bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new(seed);
        hasher.write(bytes);
        hasher.finish()
    }

    #[test]
    fn equals_the_published_vectors() {
        // Of the 64 in Rust's own tests (library/coretests/tests/hash/sip.rs): the hash of the bytes 0, 1, … with
        // the key bytes 0, 1, … 15, as its little-endian bytes.
        let bytes: Vec<u8> = (0..64).collect();
        let seed = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        for (len, expected) in [
            (0, 0xdcc4_0f05_5801_acab_u64),
            (1, 0x93ca_577d_f39b_f4c9),
            (4, 0x2883_d388_6057_75cf),
            (7, 0x4011_b19b_987d_92d3),
            (8, 0x8e9a_298d_1195_9036),
            (9, 0xe43d_066c_b38e_a425),
            (15, 0x5699_512a_6dd8_20d3),
            (16, 0x668b_907d_1add_4fcc),
            (63, 0xa8b3_bbb7_6290_199d),
        ] {
            assert_eq!(
                hash(seed, &bytes[..len]),
                expected.swap_bytes(),
                "length {len}"
            );
        }
    }

    #[test]
    fn double_output_equals_the_published_vector() {
        // The empty message with the key bytes 0, 1, … 15, from rustc's tests of its 128-bit SipHash-1-3.
        let seed = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let empty = SipHasher13::new_128(seed);
        assert_eq!(
            empty.finish_128().map(u64::swap_bytes),
            [0xe77e_bcb2_2788_a5be, 0xfd62_db6a_dd30_3001]
        );
        let mut other = empty.clone();
        other.write_u8(0);
        assert_ne!(other.finish_128(), empty.finish_128());
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let bytes: Vec<u8> = (0..40).collect();
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut hasher = SipHasher13::new([1, 2]);
                hasher.write(&bytes[..first]);
                hasher.write(&bytes[first..second]);
                hasher.write(&bytes[second..]);
                assert_eq!(hasher.finish(), hash([1, 2], &bytes), "{first} {second}");
            }
        }
        let mut hasher = SipHasher13::new([1, 2]);
        hasher.write_u8(0);
        hasher.write_u32(0x0403_0201);
        hasher.write_u64(0x0c0b_0a09_0807_0605);
        assert_eq!(hasher.finish(), hash([1, 2], &bytes[..13]));
    }

    #[test]
    fn holds_what_is_put_in() {
        let mut map: Map<String, u32> = Map::new([3, 4]);
        assert!(map.is_empty());
        assert_eq!(map.insert("a".to_owned(), 1), None);
        assert_eq!(map.insert("a".to_owned(), 2), Some(1));
        assert_eq!(*map.get_or_insert_with("b".to_owned(), || 3), 3);
        assert_eq!(*map.get_or_insert_with("b".to_owned(), || 4), 3);
        if let Some(value) = map.get_mut("a") {
            *value += 10;
        }
        assert_eq!(map.get("a"), Some(&12));
        assert_eq!(map.get("c"), None);
        assert!(map.contains_key("b"));
        assert_eq!(map.len(), 2);
        assert_eq!(map.remove("b"), Some(3));
        assert_eq!(map.remove("b"), None);
        assert_eq!(format!("{map:?}"), "Map { len: 1, .. }");
    }

    #[test]
    fn many_keys_come_and_go() {
        let mut map = Map::new([5, 6]);
        for key in 0..10_000_u64 {
            assert_eq!(map.insert(key, key * 3), None);
        }
        for key in (0..10_000).step_by(2) {
            assert_eq!(map.remove(&key), Some(key * 3));
        }
        for key in 0..10_000 {
            assert_eq!(map.get(&key).copied(), (key % 2 == 1).then_some(key * 3));
        }
        assert_eq!(map.len(), 5_000);
    }
}
