//! A segment: one file of a log. A header, then batches of records, then zeros where room was reserved.
//!
//! ```text
//! header  magic 8 | version u32 | stream u8, 0 0 0 | number u32 | after u32 | next key u64 | seeds 32
//!         | bytes u64 | 0 × 20 | CRC-32
//! batch   magic 4 | sequence u64 | bytes of records u32 | CRC-32 | records …
//! ```
//! A batch is what one write and one sync make safe. Its magic holds bytes that no UTF-8 text holds, so no job
//! line is taken for one. Only one batch of a log is ever unsynced: what cannot be read and has a good batch
//! behind it was safe once, and is corrupt.
//!
//! Not here: records (`record`), reading a file piece by piece (`scan`), which segment is written (`appender`).

use crate::journal::event::{FileId, Stream};
use crate::journal::identity::Seeds;
use crate::journal::record::COUNT_LIMIT;

/// The version of this layout that is written. Version 1 is read too: in it no job is of another user.
pub(super) const VERSION: u32 = 2;

/// The oldest version that is read.
pub(super) const VERSION_MIN: u32 = 1;

/// Bytes of a segment's header.
pub(super) const HEADER_BYTES: usize = 96;

/// Bytes of a batch's header.
pub(super) const BATCH_BYTES: usize = 20;

const MAGIC: [u8; 8] = *b"\xffconduit";
pub(super) const BATCH_MAGIC: [u8; 4] = [0xfe, 0xff, b'b', 0xfd];

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) file: FileId,
    /// No job was named beyond this when the file was made.
    pub(super) next_key: u64,
    pub(super) seeds: Seeds,
    /// The file that was made before this one, whose header was safe then; 0: none, or nobody knows.
    pub(super) after: u32,
    /// Bytes that were reserved for the file; 0: none.
    pub(super) bytes: u64,
    /// The version of what stands in the file.
    pub(super) version: u32,
}

/// What stands where a header should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderRead {
    Good(Header),
    /// Written by another version of this program: not to be touched.
    Unknown {
        version: u32,
    },
    /// Nothing that was ever safe, or it was changed.
    Bad,
}

impl Header {
    /// Whether these first bytes of a file may be a header that was not written to its end, in a file that holds
    /// nothing else.
    pub(super) fn may_be_torn(bytes: &[u8]) -> bool {
        let header = &bytes[..bytes.len().min(HEADER_BYTES)];
        let rest = &bytes[header.len()..];
        let fits = |(byte, magic): (&u8, &u8)| *byte == 0 || byte == magic;
        header.iter().zip(&MAGIC).all(fits) && rest.iter().all(|byte| *byte == 0)
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12] = self.file.stream as u8;
        bytes[16..20].copy_from_slice(&self.file.number.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.after.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.next_key.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.seeds.to_bytes());
        let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header of `file`.
    pub(super) fn read(bytes: &[u8], file: FileId) -> HeaderRead {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return HeaderRead::Bad;
        };
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let version = u32_at(8);
        // Version 0 is what a torn write leaves.
        if bytes[..8] != MAGIC || version == 0 {
            return HeaderRead::Bad;
        }
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return HeaderRead::Unknown { version };
        }
        let is_this = bytes[12] == file.stream as u8 && u32_at(16) == file.number;
        if !is_this || u32_at(HEADER_BYTES - 4) != crc32fast::hash(&bytes[..HEADER_BYTES - 4]) {
            return HeaderRead::Bad;
        }
        let next_key = u64::from(u32_at(24)) | u64::from(u32_at(28)) << 32;
        if next_key >= COUNT_LIMIT {
            return HeaderRead::Bad;
        }
        let mut seeds = [0; Seeds::BYTES];
        seeds.copy_from_slice(&bytes[32..64]);
        HeaderRead::Good(Header {
            file,
            next_key,
            seeds: Seeds::from_bytes(&seeds),
            after: u32_at(20),
            bytes: u64::from(u32_at(64)) | u64::from(u32_at(68)) << 32,
            version,
        })
    }
}

/// A batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) sequence: u64,
    pub(super) bytes: u32,
}

impl BatchHeader {
    /// As it stands in `file`.
    pub(super) fn to_bytes(self, file: FileId, checksum_start: u32) -> [u8; BATCH_BYTES] {
        let mut bytes = [0; BATCH_BYTES];
        bytes[..4].copy_from_slice(&BATCH_MAGIC);
        bytes[4..12].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.bytes.to_le_bytes());
        let checksum = batch_checksum(file, checksum_start, &bytes[4..16]);
        bytes[16..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header that `bytes`, out of `file`, begins with.
    pub(super) fn read(bytes: &[u8], file: FileId, checksum_start: u32) -> Option<BatchHeader> {
        let bytes = bytes.first_chunk::<BATCH_BYTES>()?;
        let expected = u32::from_le_bytes(*bytes.last_chunk()?);
        if bytes[..4] != BATCH_MAGIC
            || batch_checksum(file, checksum_start, &bytes[4..16]) != expected
        {
            return None;
        }
        let sequence = u64::from_le_bytes(*bytes[4..].first_chunk()?);
        (sequence < COUNT_LIMIT).then_some(BatchHeader {
            sequence,
            bytes: u32::from_le_bytes(*bytes[12..].first_chunk()?),
        })
    }
}

fn batch_checksum(file: FileId, start: u32, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    hasher.update(&[match file.stream {
        Stream::Jobs => b'j',
        Stream::Dead => b'd',
    }]);
    hasher.update(&file.number.to_le_bytes());
    hasher.update(fields);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    const FILE: FileId = FileId {
        stream: Stream::Dead,
        number: 3,
    };

    fn header() -> Header {
        Header {
            file: FILE,
            next_key: 1 << 33 | 5,
            seeds: Seeds::generate(&mut Rng::from_seed([2; 32])),
            after: 2,
            bytes: 1 << 33 | 7,
            version: VERSION,
        }
    }

    #[test]
    fn headers_go_there_and_back_and_no_changed_byte_goes_unseen() {
        let mut bytes = header().to_bytes();
        assert_eq!(Header::read(&bytes, FILE), HeaderRead::Good(header()));
        let other = FileId { number: 4, ..FILE };
        assert_eq!(
            Header::read(&bytes, other),
            HeaderRead::Bad,
            "a file that was renamed"
        );
        for at in 0..HEADER_BYTES {
            assert_eq!(Header::read(&bytes[..at], FILE), HeaderRead::Bad);
            bytes[at] ^= 0x80;
            let read = Header::read(&bytes, FILE);
            let is_version = (8..12).contains(&at);
            assert_eq!(
                matches!(read, HeaderRead::Unknown { .. }),
                is_version,
                "{at}"
            );
            assert!(!matches!(read, HeaderRead::Good(_)), "{at}");
            bytes[at] ^= 0x80;
        }
    }

    #[test]
    fn f102_a_torn_header_is_no_unknown_version() {
        let bytes = header().to_bytes();
        for at in 0..HEADER_BYTES - 1 {
            for (from, to) in [(0, at), (at, HEADER_BYTES)] {
                let mut torn = [0; HEADER_BYTES];
                torn[from..to].copy_from_slice(&bytes[from..to]);
                let read = Header::read(&torn, FILE);
                // The checksum's bytes may happen to be zeros; nothing else may be missing.
                assert!(!matches!(read, HeaderRead::Unknown { .. }), "{from}..{to}");
            }
        }
    }

    #[test]
    fn batch_headers_are_of_one_file_of_one_spool() {
        let header = BatchHeader {
            sequence: 9,
            bytes: 1000,
        };
        let bytes = header.to_bytes(FILE, 5);
        assert_eq!(BatchHeader::read(&bytes, FILE, 5), Some(header));
        assert_eq!(BatchHeader::read(&bytes, FILE, 6), None);
        assert_eq!(
            BatchHeader::read(&bytes, FileId { number: 2, ..FILE }, 5),
            None
        );
        let never_in_utf8 = |byte: &u8| *byte >= 0xf8;
        assert!(BATCH_MAGIC.iter().any(never_in_utf8));
        for at in 0..BATCH_BYTES {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(BatchHeader::read(&bad, FILE, 5), None);
        }
    }
}
