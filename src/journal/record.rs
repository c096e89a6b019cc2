//! Records: what the journal writes down, as bytes.
//!
//! ```text
//! length u32 | CRC-32 of the rest u32 | kind u8 | fields        (little-endian; length counts from the kind on)
//! ```
//! A record says nothing of where it stands, so that it is copied as it is. Its checksum begins with the
//! spool's seed: bytes out of a job line are never taken for a record.
//!
//! Not here: batches and files of them (`segment`), what records mean together (`recovery`).

use std::sync::Arc;

use crate::base::time::Wall;
use crate::journal::event::{Attempt, Fetched, Identity, JobKey, Letter, SourceKind, Submission};
use crate::wire::job::User;
use crate::wire::report::{ErrorKind, Outcome};

/// Bytes of an error's message that are kept.
pub const MESSAGE_BYTES_MAX: usize = 200;

/// Bytes in front of a record's kind.
pub(super) const PREFIX_BYTES: usize = 8;

/// Bytes of a [`Record::Accepted`] of the own user beside its generated id and its line.
pub(super) const ACCEPTED_BYTES: usize = PREFIX_BYTES + 1 + 8 + 8 + 1 + 1 + 32;

/// More bytes of one of another user.
pub(super) const UID_BYTES: usize = 4;

/// Bytes of a [`Record::Done`].
pub(super) const DONE_BYTES: usize = PREFIX_BYTES + 1 + 8 + 1 + 8;

/// Bytes of a [`Record::Attempted`] at most.
pub(super) const ATTEMPTED_BYTES_MAX: usize =
    PREFIX_BYTES + 1 + 8 + 4 + 8 + 2 + 1 + 2 + MESSAGE_BYTES_MAX;

/// Ids in one [`Record::Remembered`] at most.
pub(super) const REMEMBERED_MAX: usize = 1_000;

/// Bytes of each.
pub(super) const REMEMBERED_BYTES: usize = 40;

/// A record, borrowed from its bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    /// A job was taken in.
    Accepted(Accepted<'a>),
    /// It has had an attempt and waits for the next. A later one replaces it.
    Attempted { key: JobKey, attempt: Attempt },
    /// It has ended. `order`: it was delivered, as the so-manieth.
    Done { key: JobKey, order: Option<u64> },
    /// Delivered ids whose job's record is gone: 40 bytes each.
    Remembered(&'a [u8]),
    /// What was written before this file ended there, and no job had this key or a greater one.
    Follows {
        segment: u32,
        end: u64,
        next_key: u64,
    },
    /// A dead letter.
    Letter { letter: Letter, job: Accepted<'a> },
    /// A dead letter is not wanted any more.
    Forgotten { key: JobKey },
}

/// A job as it was taken in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Accepted<'a> {
    pub(super) key: JobKey,
    pub(super) accepted: Wall,
    pub(super) source: SourceKind,
    pub(super) user: User,
    pub(super) id: Identity,
    pub(super) payload: Identity,
    /// The id itself, where the line brings none.
    pub(super) generated_id: Option<&'a str>,
    pub(super) line: &'a [u8],
}

/// A delivered id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delivered {
    /// The so-manieth delivery.
    pub(super) order: u64,
    pub(super) id: Identity,
    pub(super) payload: Identity,
}

/// Errors by their numbers on disk: never reordered, only added to.
const ERROR_KINDS: [ErrorKind; 17] = [
    ErrorKind::Timeout,
    ErrorKind::Dns,
    ErrorKind::Connect,
    ErrorKind::Tls,
    ErrorKind::Reset,
    ErrorKind::Protocol,
    ErrorKind::Http,
    ErrorKind::Gone,
    ErrorKind::CircuitOpen,
    ErrorKind::Policy,
    ErrorKind::Local,
    ErrorKind::Spool,
    ErrorKind::Limit,
    ErrorKind::Ttl,
    ErrorKind::Invalid,
    ErrorKind::Duplicate,
    ErrorKind::Cancelled,
];

/// Keys, orders and sequences on disk are below this: no spool ever gets there, so a greater one is none of
/// ours, and adding to one never overflows.
pub(super) const COUNT_LIMIT: u64 = 1 << 56;

/// Beside the source of a job: a uid follows.
const OF_ANOTHER: u8 = 0x80;

const ACCEPTED: u8 = 1;
const ATTEMPTED: u8 = 2;
const DONE: u8 = 3;
const REMEMBERED: u8 = 4;
const FOLLOWS: u8 = 5;
const LETTER: u8 = 6;
const FORGOTTEN: u8 = 7;

/// Writes records to the end of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    checksum_start: u32,
}

impl<'a> Accepted<'a> {
    /// What is written down of a submission.
    pub(super) fn of(
        submission: &Submission<'a>,
        key: JobKey,
        accepted: Wall,
        id: Identity,
    ) -> Accepted<'a> {
        Accepted {
            key,
            accepted,
            source: submission.source,
            user: submission.user,
            id,
            payload: submission.payload,
            generated_id: submission.is_generated.then_some(submission.id),
            line: submission.line,
        }
    }

    /// The same, to be handed out.
    pub(super) fn to_fetched(self, attempt: Option<Attempt>, letter: Option<Letter>) -> Fetched {
        Fetched {
            accepted: self.accepted,
            source: self.source,
            user: self.user,
            generated_id: self.generated_id.map(Box::from),
            attempt,
            letter: letter.map(Box::new),
            line: self.line.into(),
        }
    }
}

impl Writer {
    pub(super) const fn new(checksum_start: u32) -> Writer {
        Writer { checksum_start }
    }

    /// Appends a record; how many bytes it took.
    ///
    /// # Panics
    /// With a line of 4 GiB.
    pub(super) fn push(self, out: &mut Vec<u8>, record: &Record<'_>) -> u32 {
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX_BYTES]);
        push_fields(out, record);
        let body = start + PREFIX_BYTES;
        let length = u32::try_from(out.len() - body).expect("a record is smaller than 4 GiB");
        let checksum = checksum(self.checksum_start, &out[body..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..body].copy_from_slice(&checksum.to_le_bytes());
        length + PREFIX_BYTES as u32
    }
}

/// The record that `bytes` begins with, and how many of them it takes. `None`: there is none.
pub(super) fn read(checksum_start: u32, bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let length = length(bytes)?;
    let body = bytes.get(PREFIX_BYTES..length)?;
    let expected = u32::from_le_bytes(*bytes[4..].first_chunk()?);
    if checksum(checksum_start, body) != expected {
        return None;
    }
    let mut fields = Fields(body);
    let record = fields.record()?;
    Some((record, length))
}

/// Bytes of the record that `bytes` begins with, its prefix included; `None` if that can't be.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (length > 0).then_some(PREFIX_BYTES + length)
}

/// The ids of a [`Record::Remembered`].
pub(super) fn remembered(bytes: &[u8]) -> impl Iterator<Item = Delivered> {
    let ids = bytes.as_chunks::<REMEMBERED_BYTES>().0.iter().map(|bytes| {
        let word = |at: usize| u64::from_le_bytes(bytes.as_chunks::<8>().0[at]);
        Delivered {
            order: word(0),
            id: [word(1), word(2)],
            payload: [word(3), word(4)],
        }
    });
    ids.filter(|delivered| delivered.order < COUNT_LIMIT)
}

/// The bytes of a [`Record::Remembered`].
pub(super) fn push_remembered(out: &mut Vec<u8>, delivered: &Delivered) {
    out.extend_from_slice(&delivered.order.to_le_bytes());
    push_identity(out, delivered.id);
    push_identity(out, delivered.payload);
}

/// The first bytes of `text` that are kept, whole characters.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

fn checksum(start: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(start);
    hasher.update(bytes);
    hasher.finalize()
}

fn push_fields(out: &mut Vec<u8>, record: &Record<'_>) {
    match record {
        Record::Accepted(job) => {
            out.push(ACCEPTED);
            push_accepted(out, job);
        }
        Record::Attempted { key, attempt } => {
            out.push(ATTEMPTED);
            out.extend_from_slice(&key.0.to_le_bytes());
            out.extend_from_slice(&attempt.attempts.to_le_bytes());
            out.extend_from_slice(&attempt.due.unix_nanos().to_le_bytes());
            push_error(out, attempt.status, attempt.kind, &attempt.message);
        }
        Record::Done { key, order } => {
            out.push(DONE);
            out.extend_from_slice(&key.0.to_le_bytes());
            out.push(u8::from(order.is_some()));
            out.extend_from_slice(&order.unwrap_or(0).to_le_bytes());
        }
        Record::Remembered(ids) => {
            out.push(REMEMBERED);
            out.extend_from_slice(ids);
        }
        Record::Follows {
            segment,
            end,
            next_key,
        } => {
            out.push(FOLLOWS);
            out.extend_from_slice(&segment.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
            out.extend_from_slice(&next_key.to_le_bytes());
        }
        Record::Letter { letter, job } => {
            out.push(LETTER);
            out.extend_from_slice(&letter.attempts.to_le_bytes());
            out.extend_from_slice(&letter.ended.unix_nanos().to_le_bytes());
            out.push(letter.outcome.index() as u8);
            push_error(out, letter.status, letter.kind, &letter.message);
            push_text(out, &letter.id);
            push_text(out, &letter.origin);
            push_accepted(out, job);
        }
        Record::Forgotten { key } => {
            out.push(FORGOTTEN);
            out.extend_from_slice(&key.0.to_le_bytes());
        }
    }
}

fn push_accepted(out: &mut Vec<u8>, job: &Accepted<'_>) {
    out.extend_from_slice(&job.key.0.to_le_bytes());
    out.extend_from_slice(&job.accepted.unix_nanos().to_le_bytes());
    match job.user {
        User::Own => out.push(job.source as u8),
        User::Other(uid) => {
            out.push(job.source as u8 | OF_ANOTHER);
            out.extend_from_slice(&uid.to_le_bytes());
        }
    }
    push_identity(out, job.id);
    push_identity(out, job.payload);
    // A generated id is 36 bytes long; a longer one than fits is no id (wire/job_line).
    let id = job.generated_id.unwrap_or("");
    assert!(id.len() < 256, "a generated id is short");
    out.push(id.len() as u8);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(job.line);
}

fn push_error(out: &mut Vec<u8>, status: u16, kind: ErrorKind, message: &str) {
    let number = ERROR_KINDS.iter().position(|other| *other == kind);
    out.extend_from_slice(&status.to_le_bytes());
    out.push(number.expect("every kind has its number") as u8);
    push_text(out, cut(message));
}

/// Ids are at most 256 bytes long, origins about as long.
fn push_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_identity(out: &mut Vec<u8>, identity: Identity) {
    for word in identity {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// What is left to read of a record. `None` from any of its readers: the record is no record of ours.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn record(&mut self) -> Option<Record<'a>> {
        let kind = self.array::<1>()?[0];
        let record = match kind {
            ACCEPTED => Record::Accepted(self.accepted()?),
            ATTEMPTED => {
                let key = self.key()?;
                let attempts = self.u32()?;
                let due = self.wall()?;
                let (status, kind, message) = self.error()?;
                let message = Arc::from(message);
                let attempt = Attempt {
                    attempts,
                    due,
                    status,
                    kind,
                    message,
                };
                Record::Attempted { key, attempt }
            }
            DONE => {
                let key = self.key()?;
                let is_delivered = self.array::<1>()?[0] == 1;
                let order = self.count()?;
                let order = is_delivered.then_some(order);
                Record::Done { key, order }
            }
            REMEMBERED => Record::Remembered(self.rest()),
            FOLLOWS => Record::Follows {
                segment: self.u32()?,
                end: self.u64()?,
                next_key: self.count()?,
            },
            LETTER => self.letter()?,
            FORGOTTEN => Record::Forgotten { key: self.key()? },
            _ => return None,
        };
        self.0.is_empty().then_some(record)
    }

    fn letter(&mut self) -> Option<Record<'a>> {
        let attempts = self.u32()?;
        let ended = self.wall()?;
        let outcome = *Outcome::ALL.get(usize::from(self.array::<1>()?[0]))?;
        let (status, kind, message) = self.error()?;
        let letter = Letter {
            id: self.text()?.into(),
            origin: self.text()?.into(),
            outcome,
            kind,
            message: message.into(),
            attempts,
            status,
            ended,
        };
        let job = self.accepted()?;
        Some(Record::Letter { letter, job })
    }

    fn accepted(&mut self) -> Option<Accepted<'a>> {
        let key = self.key()?;
        let accepted = self.wall()?;
        let [source] = *self.array::<1>()?;
        let user = match source & OF_ANOTHER {
            0 => User::Own,
            _ => User::Other(self.u32()?),
        };
        let source = match source & !OF_ANOTHER {
            0 => SourceKind::Stdin,
            1 => SourceKind::Socket,
            _ => return None,
        };
        let id = [self.u64()?, self.u64()?];
        let payload = [self.u64()?, self.u64()?];
        let id_bytes = usize::from(self.array::<1>()?[0]);
        let generated_id = std::str::from_utf8(self.take(id_bytes)?).ok()?;
        Some(Accepted {
            key,
            accepted,
            source,
            user,
            id,
            payload,
            generated_id: (!generated_id.is_empty()).then_some(generated_id),
            line: self.rest(),
        })
    }

    fn error(&mut self) -> Option<(u16, ErrorKind, &'a str)> {
        let status = u16::from_le_bytes(*self.array()?);
        let kind = *ERROR_KINDS.get(usize::from(self.array::<1>()?[0]))?;
        Some((status, kind, self.text()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(*self.array()?);
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }

    fn key(&mut self) -> Option<JobKey> {
        self.count().filter(|key| *key > 0).map(JobKey)
    }

    fn wall(&mut self) -> Option<Wall> {
        self.u64().map(Wall::from_unix_nanos)
    }

    fn count(&mut self) -> Option<u64> {
        self.u64().filter(|count| *count < COUNT_LIMIT)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(generated_id: Option<&str>) -> Accepted<'_> {
        Accepted {
            key: JobKey(7),
            accepted: Wall::from_unix_seconds(1_700_000_000),
            source: SourceKind::Socket,
            user: User::Own,
            id: [1, 2],
            payload: [3, u64::MAX],
            generated_id,
            line: br#"{"url":"https://a.example"}"#,
        }
    }

    fn letter() -> Letter {
        Letter {
            id: "order-1".into(),
            origin: "https://a.example".into(),
            outcome: Outcome::Exhausted,
            kind: ErrorKind::Http,
            message: "the answer was 503".into(),
            attempts: 4,
            status: 503,
            ended: Wall::from_unix_seconds(1_700_000_100),
        }
    }

    #[test]
    fn records_go_there_and_back_and_no_changed_byte_goes_unseen() {
        let mut ids = Vec::new();
        let delivered = Delivered {
            order: 9,
            id: [5, 6],
            payload: [7, 8],
        };
        push_remembered(&mut ids, &delivered);
        assert_eq!(remembered(&ids).collect::<Vec<_>>(), [delivered]);
        let attempt = Attempt {
            attempts: 2,
            due: Wall::from_unix_nanos(5),
            status: 0,
            kind: ErrorKind::Cancelled,
            message: "".into(),
        };
        let (key, letter) = (JobKey(COUNT_LIMIT - 1), letter());
        for record in [
            Record::Accepted(job(None)),
            Record::Accepted(job(Some("0190"))),
            Record::Accepted(Accepted {
                user: User::Other(65_534),
                ..job(Some("0190"))
            }),
            Record::Attempted { key, attempt },
            Record::Done { key, order: None },
            Record::Done {
                key,
                order: Some(3),
            },
            Record::Remembered(&ids),
            Record::Follows {
                segment: 3,
                end: 1 << 40,
                next_key: 9,
            },
            Record::Letter {
                letter,
                job: job(Some("x")),
            },
            Record::Forgotten { key },
        ] {
            let mut bytes = Vec::new();
            let length = Writer::new(77).push(&mut bytes, &record) as usize;
            assert_eq!(length, bytes.len());
            assert_eq!(read(78, &bytes), None, "another spool's");
            for at in 0..bytes.len() {
                assert_eq!(read(77, &bytes[..at]), None, "cut at {at}");
                bytes[at] ^= 0x10;
                assert_eq!(read(77, &bytes), None, "{record:?} changed at {at}");
                bytes[at] ^= 0x10;
            }
            bytes.extend_from_slice(b"more");
            assert_eq!(read(77, &bytes), Some((record, length)));
        }
    }

    #[test]
    fn a_key_that_no_spool_gets_to_is_none() {
        for key in [0, COUNT_LIMIT, u64::MAX] {
            let key = JobKey(key);
            let mut bytes = Vec::new();
            Writer::new(1).push(&mut bytes, &Record::Forgotten { key });
            assert_eq!(read(1, &bytes), None);
        }
    }

    #[test]
    fn sizes_that_room_is_reckoned_with() {
        let mut bytes = Vec::new();
        let job = job(None);
        let length = Writer::new(0).push(&mut bytes, &Record::Accepted(job));
        assert_eq!(length as usize, ACCEPTED_BYTES + job.line.len());
        let others = Accepted {
            user: User::Other(7),
            ..job
        };
        let more = Writer::new(0).push(&mut bytes, &Record::Accepted(others));
        assert_eq!((more - length) as usize, UID_BYTES);
        let done = Record::Done {
            key: job.key,
            order: Some(1),
        };
        assert_eq!(Writer::new(0).push(&mut bytes, &done) as usize, DONE_BYTES);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(cut(&long), "é".repeat(MESSAGE_BYTES_MAX / 2));
    }
}
