//! A job: one webhook to deliver, from the line that asked for it to the value that moves through the house.
//!
//! [`Job`] is made once, by admission, and moves: intake -> engine -> intake. It is never copied or shared.
//!
//! Not here: what a line may say (`job_line`), how a head is written into a message's room (`request`).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Instant, Now};
use crate::wire::report::Failure;
use crate::wire::signature::Secrets;
use crate::wire::spool::JobKey;
use crate::wire::url::Origin;

/// The request method of a job (RFC 9110 section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The default.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH (RFC 5789).
    Patch,
    /// DELETE.
    Delete,
    /// GET, which takes no body.
    Get,
}

/// The order in which waiting jobs get a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Before the others.
    High,
    /// The default.
    #[default]
    Normal,
    /// After the others.
    Low,
}

/// Who submitted a job: the client that reads its result, and the line it stood in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Intake's name for the client: slab index and generation.
    pub client: u64,
    /// The line's number on that client's stream, from 1.
    pub line: u64,
    /// Whose job it is.
    pub user: User,
}

/// Who submitted a job, as far as ids go: nobody's are anybody else's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum User {
    /// Conduit's own user, and standard input.
    #[default]
    Own,
    /// Another one, by number (uid).
    Other(u32),
}

impl User {
    /// The user of this number, where `own` is conduit's.
    #[must_use]
    pub const fn of(uid: u32, own: u32) -> User {
        if uid == own {
            User::Own
        } else {
            User::Other(uid)
        }
    }

    /// Its number, where `own` is conduit's.
    #[must_use]
    pub const fn uid(self, own: u32) -> u32 {
        match self {
            User::Own => own,
            User::Other(uid) => uid,
        }
    }
}

/// A job's bytes: the body, with room in front of it for the head that each attempt writes anew, so that
/// both leave in one send.
#[derive(Debug, Default)]
pub struct Message {
    bytes: Vec<u8>,
    body_start: usize,
    /// Bytes that [`Message::give_away`] has moved elsewhere.
    given_away: usize,
}

/// One webhook to deliver.
#[derive(Debug)]
pub struct Job {
    /// Its name in results, and the `webhook-id` of every attempt.
    pub id: Box<str>,
    /// Whom to answer.
    pub source: Source,
    /// Where it goes: scheme, host and port, shared by all jobs of the origin.
    pub origin: Arc<Origin>,
    /// The request target: path and query, byte for byte as given (RFC 9112 section 3.2.1).
    pub target: Box<str>,
    /// The request method.
    pub method: Method,
    /// `X-Webhook-Type`.
    pub kind: Option<Box<str>>,
    /// Extra header fields as they are sent: `Name: value\r\n`, one after the other.
    pub headers: Box<[u8]>,
    /// What the request says of the body unless `headers` does: `None` where there is no body, or where
    /// `headers` names a `Content-Type`.
    pub content_type: Option<&'static str>,
    /// Whether `headers` names a `User-Agent`.
    pub has_user_agent: bool,
    /// What signs its requests, where the job brings secrets of its own.
    pub secrets: Secrets,
    /// The limit of one attempt, where the job sets it.
    pub timeout: Option<Duration>,
    /// How long after `accepted` the job is worth delivering: as it sets it, or its endpoint had it when it was
    /// accepted; none before that is known.
    pub ttl: Option<Duration>,
    /// Its class in the origin's queue.
    pub priority: Priority,
    /// When it was accepted: by the monotonic clock when this process got it, which may have found it in the spool; by
    /// the wall clock when that was first.
    pub accepted: Now,
    /// How old it was when this process got it; zero unless it was found in the spool.
    pub age: Duration,
    /// Its name in the spool, where there is one.
    pub spooled: Option<JobKey>,
    /// Its bytes.
    pub message: Message,
    /// What has become of it so far.
    pub progress: Progress,
}

/// What has become of a job so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Attempts counted.
    pub attempts: u32,
    /// When the next attempt is due, once the job has been put off.
    pub due: Instant,
    /// When the last attempt failed, if that was in this process.
    pub failed: Option<Instant>,
    /// The last attempt's status, 0 if it had none.
    pub status: u16,
    /// Whether the last attempt went out on a connection that had carried another before.
    pub reused: bool,
    /// Where the last attempt's time went.
    pub timings: Timings,
    /// When the job ended.
    pub ended: Instant,
    /// Why the last attempt failed, while the job waits for another.
    pub failure: Option<Box<Failure>>,
    /// This machine's own trouble, while it puts the job off.
    pub trouble: Option<Trouble>,
}

/// How long this machine's own trouble has put a job off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when, in a row.
    pub since: Instant,
    /// How often.
    pub put_off: u32,
}

/// Where an attempt's time went; zero where it did not go through that stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a connection, before the attempt began.
    pub queued: Duration,
    /// Looking up the name.
    pub dns: Duration,
    /// TCP.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the request's first byte sent to the response's first byte read.
    pub first_byte: Duration,
}

impl Progress {
    /// Another attempt begins, after such a wait: what is known of the one before it is no more.
    pub fn on_begin(&mut self, queued: Duration) {
        self.reused = false;
        self.timings = Timings {
            queued,
            ..Timings::default()
        };
    }
}

impl Message {
    /// A message of `body`, with `room` bytes in front of it.
    #[must_use]
    pub fn new(body: &[u8], room: usize) -> Message {
        let mut bytes = Message::buffer(room, body.len());
        bytes.extend_from_slice(body);
        Message::from_buffer(bytes, room)
    }

    /// A buffer of `room` bytes, into which a body of `body_bytes` fits without another allocation.
    #[must_use]
    pub fn buffer(room: usize, body_bytes: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(room + body_bytes);
        bytes.resize(room, 0);
        bytes
    }

    /// The message whose body is all of `bytes` from `room` on.
    ///
    /// # Panics
    /// If there are fewer than `room` bytes.
    #[must_use]
    pub fn from_buffer(bytes: Vec<u8>, room: usize) -> Message {
        assert!(room <= bytes.len(), "the room is part of the buffer");
        Message {
            bytes,
            body_start: room,
            given_away: 0,
        }
    }

    /// The message itself, to be sent on while its job goes back: what stays is empty, but weighs as much.
    #[must_use]
    pub fn give_away(&mut self) -> Message {
        let stays = Message {
            given_away: self.weight(),
            ..Message::default()
        };
        std::mem::replace(self, stays)
    }

    /// What it counts for in [`Job::footprint`].
    const fn weight(&self) -> usize {
        self.bytes.len() + self.given_away
    }

    /// The bytes in front of the body: a head is written so that it ends where they end.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.body_start]
    }

    /// `prefix` and the body, one after the other: written into the room, or if it is too small, a copy.
    pub fn behind(&mut self, prefix: &[u8]) -> Cow<'_, [u8]> {
        match self.body_start.checked_sub(prefix.len()) {
            Some(start) => {
                self.bytes[start..self.body_start].copy_from_slice(prefix);
                Cow::Borrowed(&self.bytes[start..])
            }
            None => Cow::Owned([prefix, self.body()].concat()),
        }
    }

    /// From `start`, where a head starts in the room, to the end of the body.
    ///
    /// # Panics
    /// If `start` is beyond the message.
    #[must_use]
    pub fn from(&self, start: usize) -> &[u8] {
        &self.bytes[start..]
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_start..]
    }

    /// Room and body together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is neither room nor body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Job {
    /// The memory that it takes while it waits, in bytes: what counts in `maxPendingBytes`. The same from
    /// admission to the end, for nothing that it is made of changes.
    #[must_use]
    pub fn footprint(&self) -> usize {
        size_of::<Job>()
            + self.id.len()
            + self.target.len()
            + self.kind.as_deref().map_or(0, str::len)
            + self.headers.len()
            + self.secrets.footprint()
            + self.message.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_and_its_body_are_one_slice() {
        let mut message = Message::new(b"body", 10);
        assert_eq!(message.room().len(), 10);
        message.room()[6..].copy_from_slice(b"head");
        assert_eq!(message.from(6), b"headbody");
        assert_eq!(message.body(), b"body");
        assert_eq!(message.len(), 14);
        assert!(!message.is_empty());
        assert!(Message::new(b"", 0).is_empty());
    }

    #[test]
    fn a_prefix_and_the_body_are_one_slice_whatever_the_room() {
        for room in [0, 5, 6, 100] {
            let mut message = Message::new(b"body", room);
            assert_eq!(&*message.behind(b"id.12."), b"id.12.body", "{room}");
            assert_eq!(message.body(), b"body");
        }
    }

    #[test]
    fn a_message_that_is_given_away_still_weighs() {
        let mut message = Message::new(b"body", 10);
        let gone = message.give_away();
        assert_eq!((gone.body(), gone.weight()), (&b"body"[..], 14));
        assert_eq!((message.body(), message.weight()), (&b""[..], 14));
    }

    #[test]
    fn a_buffer_holds_the_body_without_growing() {
        let mut bytes = Message::buffer(3, 5);
        let capacity = bytes.capacity();
        bytes.extend_from_slice(b"12345");
        assert_eq!(bytes.capacity(), capacity);
        assert_eq!(Message::from_buffer(bytes, 3).body(), b"12345");
    }
}
