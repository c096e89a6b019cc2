//! Who is who: ids and payloads as 128-bit hashes, seeded with the spool's own seed, which lies in its files.
//!
//! Two jobs are the same job if their ids are; whether a duplicate says the same is told by method, URL and
//! body bytes. Nobody outside knows the seed, so nobody can make two ids collide.

use std::hash::Hasher;

use crate::base::map::SipHasher13;
use crate::base::rng::Rng;
use crate::journal::event::Identity;
use crate::wire::job::{Job, User};

/// The seeds of one spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    id: [u64; 2],
    payload: [u64; 2],
}

impl Seeds {
    /// Bytes of the seeds in a file.
    pub const BYTES: usize = 32;

    /// Those of a new spool.
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Seeds {
        Seeds {
            id: [rng.next_u64(), rng.next_u64()],
            payload: [rng.next_u64(), rng.next_u64()],
        }
    }

    /// As they stand in a file.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Seeds::BYTES] {
        let mut bytes = [0; Seeds::BYTES];
        let words = self.id.into_iter().chain(self.payload);
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// The inverse of [`Seeds::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Seeds::BYTES]) -> Seeds {
        let word = |at: usize| u64::from_le_bytes(bytes.as_chunks::<8>().0[at]);
        Seeds {
            id: [word(0), word(1)],
            payload: [word(2), word(3)],
        }
    }

    /// The hash of an id of this user: the first half is of the id alone, the second tells users apart. That of the own
    /// user is what every id had before users were told apart.
    #[must_use]
    pub fn of_id(&self, user: User, id: &str) -> Identity {
        let mut hasher = SipHasher13::new_128(self.id);
        hasher.write(id.as_bytes());
        let [of_all, own] = hasher.finish_128();
        let User::Other(uid) = user else {
            return [of_all, own];
        };
        let mut hasher = SipHasher13::new_128(self.id);
        // No id has a byte 0.
        hasher.write_u8(0);
        hasher.write_u32(uid);
        hasher.write(id.as_bytes());
        let [_, of_user] = hasher.finish_128();
        [of_all, of_user]
    }

    /// The hash of what a job sends and where: method, URL and body bytes.
    #[must_use]
    pub fn of_payload(&self, job: &Job) -> Identity {
        let mut hasher = SipHasher13::new_128(self.payload);
        hasher.write_u8(job.method as u8);
        for part in [job.origin.text.as_bytes(), job.target.as_bytes()] {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        hasher.write(job.message.body());
        hasher.finish_128()
    }

    /// What the checksums begin with: a line that was made to look like records can't guess it.
    #[must_use]
    pub(super) const fn checksum_start(&self) -> u32 {
        (self.id[0] ^ self.payload[1]) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Now;
    use crate::wire::job::Source;
    use crate::wire::job_line::JobLine;
    use std::sync::Arc;

    fn of(seeds: &Seeds, line: &str) -> Identity {
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let origin = Arc::new(line.url.to_origin());
        let job = line.into_job("x".into(), Source::default(), origin, Now::default());
        seeds.of_payload(&job)
    }

    #[test]
    fn method_url_and_body_count_and_nothing_else() {
        let seeds = Seeds::generate(&mut Rng::from_seed([1; 32]));
        assert_eq!(Seeds::from_bytes(&seeds.to_bytes()), seeds);
        let first = of(&seeds, r#"{"url":"https://a.example/x","payload":{"a":1}}"#);
        for same in [
            r#"{"payload": {"a":1},"url":"https://a.example/x","timeout":3,"headers":{"a":"b"}}"#,
            r#"{"url":"https://a.example:443/x","body":"{\"a\":1}"}"#,
        ] {
            assert_eq!(of(&seeds, same), first, "{same}");
        }
        for other in [
            r#"{"url":"https://a.example/x","payload":{"a":1},"method":"PUT"}"#,
            r#"{"url":"https://a.example/y","payload":{"a":1}}"#,
            r#"{"url":"http://a.example/x","payload":{"a":1}}"#,
            r#"{"url":"https://a.example/x","payload":{"a":2}}"#,
        ] {
            assert_ne!(of(&seeds, other), first, "{other}");
        }
        assert_ne!(seeds.of_id(User::Own, "a"), seeds.of_id(User::Own, "b"));
    }

    #[test]
    fn f118_an_id_is_another_for_each_user_and_found_for_all_by_its_first_half() {
        let seeds = Seeds::generate(&mut Rng::from_seed([1; 32]));
        let users = [
            User::Own,
            User::Other(0),
            User::Other(1000),
            User::Other(1001),
        ];
        let ids = users.map(|user| seeds.of_id(user, "order-1"));
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(id[0], ids[0][0], "found for all");
            assert!(!ids[..at].contains(id), "{:?}", users[at]);
        }
        assert_ne!(seeds.of_id(User::Own, "order-2")[0], ids[0][0]);
    }
}
