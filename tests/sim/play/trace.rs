//! What happened, as one hash of everything and the last lines in words.
//!
//! Entries are kept as numbers and become words only when a run fails: then the tail is printed, whatever it
//! was that failed, a check here or an assertion of a machine.

use std::collections::VecDeque;

use conduit::base::time::Instant;

/// Entries that a failure shows, unless `CONDUIT_SIM_TAIL` says otherwise.
const TAIL: usize = 400;

/// The trace of one run.
pub struct Trace {
    /// How to play this run again; printed with the tail.
    replay: String,
    hash: u64,
    entries: u64,
    tail: VecDeque<Entry>,
    tail_max: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    at: Instant,
    engine: u8,
    what: &'static str,
    numbers: [u64; 2],
}

impl Trace {
    pub fn new(replay: String) -> Trace {
        let wanted = std::env::var("CONDUIT_SIM_TAIL").ok();
        let tail_max = wanted
            .and_then(|wanted| wanted.parse().ok())
            .unwrap_or(TAIL);
        Trace {
            replay,
            tail_max,
            hash: 0xcbf2_9ce4_8422_2325,
            entries: 0,
            tail: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn note(&mut self, at: Instant, engine: usize, what: &'static str, numbers: [u64; 2]) {
        self.mix(at.as_nanos());
        self.mix(engine as u64);
        self.mix_bytes(what.as_bytes());
        numbers.iter().for_each(|number| self.mix(*number));
        self.entries += 1;
        if self.tail.len() == self.tail_max {
            self.tail.pop_front();
        }
        self.tail.push_back(Entry {
            at,
            engine: engine as u8,
            what,
            numbers,
        });
    }

    /// Bytes belong to the hash too.
    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.mix(u64::from(*byte));
        }
    }

    /// The hash of everything so far, and of how many entries it is.
    pub const fn hash(&self) -> (u64, u64) {
        (self.hash, self.entries)
    }

    const fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}

impl Drop for Trace {
    #[expect(clippy::print_stderr, reason = "a failed run tells how it came to it")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut text = String::new();
        for entry in &self.tail {
            let [a, b] = entry.numbers.map(number);
            let seconds = entry.at.as_nanos() as f64 / 1e9;
            text += &format!(
                "{seconds:>14.6} [{}] {:<16} {a} {b}\n",
                entry.engine, entry.what
            );
        }
        eprintln!(
            "{text}the last {} of {} entries of: {}",
            self.tail.len(),
            self.entries,
            self.replay
        );
    }
}

/// A socket's number is index and generation.
fn number(number: u64) -> String {
    match number >> 32 {
        0 => number.to_string(),
        generation => format!("s{}.{generation}", number as u32),
    }
}
