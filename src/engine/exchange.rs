//! One request and its response on one connection: what is sent, what is heard, and whether the connection may
//! carry another afterwards.
//!
//!   Head --final head--> Body --end of message--> complete
//!     ^__interim head__|
//!
//! The head of the final response fixes the verdict; whatever goes wrong after it only closes the connection.
//! Received bytes are consumed whole: what lies beyond the message marks the connection unfit, and is never
//! read as a response to anything.
//!
//! Not here: the job (`connection` holds it beside this), what a status means (`outcome`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::engine::attempt::Attempt;
use crate::engine::policy::Endpoint;
use crate::wire::body::Decoder;
use crate::wire::job::Message;
use crate::wire::response::{self, RetryAfter, Unfit, is_worth_parsing};

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    /// The attempt that this is the wire half of.
    pub attempt: Attempt,
    /// The connection has carried a request before.
    pub reused: bool,
    /// What its origin had when the request went out, where it has other settings by now.
    sent_with: Option<Arc<Endpoint>>,
    request: Request,
    response: Response,
    first_sent: Option<Instant>,
    first_heard: Option<Instant>,
    answered_early: bool,
}

/// The request's way out: offsets into the job's message, or into a head that found no room there.
#[derive(Debug)]
struct Request {
    head: Head,
    /// Bytes taken by the shell.
    sent: usize,
    /// Bytes in all.
    len: usize,
    /// Nothing more is sent, whatever is left.
    stopped: bool,
}

#[derive(Debug)]
enum Head {
    /// It ends where the body starts; the message is sent from here.
    InMessage { start: usize },
    /// The room in front of the body was too small.
    Apart(Vec<u8>),
}

#[derive(Debug)]
enum Response {
    /// Bytes of a head that is not complete, and the length of the interim heads before it.
    Head {
        partial: Vec<u8>,
        interim_bytes: usize,
    },
    Body(Body),
}

#[derive(Debug)]
struct Body {
    answer: Answer,
    decoder: Decoder,
    /// The first bytes of the content, up to `excerpt_max`.
    excerpt: Vec<u8>,
    excerpt_max: usize,
    /// Bytes after the head, framing included.
    read: usize,
    fault: Option<BodyFault>,
}

/// The final response head, as far as it matters beyond the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 100–999.
    pub status: u16,
    /// Why the connection may not be reused, by what the head says.
    pub unfit: Option<Unfit>,
    /// `Keep-Alive: timeout`.
    pub idle_hint: Option<Duration>,
    /// `Keep-Alive: max`.
    pub uses_left: Option<u32>,
    /// `Retry-After`, a date already compared with the response's own `Date`, if it has one (F53).
    pub retry_after: Option<RetryAfter>,
}

/// What went wrong after the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Bad framing, or cut short.
    Framing,
    /// Bytes beyond the end of the message (RFC 9112 section 6.3).
    Surplus,
    /// More than `maxDrainBytes`.
    TooLong,
}

impl Exchange {
    /// An exchange whose request stands in `message` from `start`.
    #[must_use]
    pub fn new(attempt: Attempt, reused: bool, message: &Message, start: usize) -> Exchange {
        let len = message.from(start).len();
        Exchange::with_head(attempt, reused, Head::InMessage { start }, len)
    }

    /// An exchange whose request is `head`, then the body of `message`.
    #[must_use]
    pub fn with_spilled_head(
        attempt: Attempt,
        reused: bool,
        message: &Message,
        head: Vec<u8>,
    ) -> Exchange {
        let len = head.len() + message.body().len();
        Exchange::with_head(attempt, reused, Head::Apart(head), len)
    }

    fn with_head(attempt: Attempt, reused: bool, head: Head, len: usize) -> Exchange {
        Exchange {
            attempt,
            reused,
            sent_with: None,
            request: Request {
                head,
                sent: 0,
                len,
                stopped: false,
            },
            response: Response::Head {
                partial: Vec::new(),
                interim_bytes: 0,
            },
            first_sent: None,
            first_heard: None,
            answered_early: false,
        }
    }

    /// Its origin has other settings from now on than `before`.
    pub fn on_revised(&mut self, before: &Arc<Endpoint>) {
        self.sent_with.get_or_insert_with(|| Arc::clone(before));
    }

    /// So many bytes of the request have been taken.
    pub fn on_sent(&mut self, now: Instant, bytes: usize) {
        self.request.sent += bytes;
        assert!(
            self.request.sent <= self.request.len,
            "the shell has sent more than it was shown"
        );
        self.first_sent.get_or_insert(now);
    }

    /// Sends nothing more: the receiver has answered, or writing failed.
    pub fn stop_sending(&mut self) {
        self.request.stopped = true;
    }

    /// Takes bytes of the response, whole.
    ///
    /// # Errors
    /// If they are not a response head that HTTP/1.1 allows, or too long a one.
    pub fn on_received(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
        bytes: &[u8],
    ) -> Result<(), Malformed> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.first_heard.get_or_insert(now);
        match &mut self.response {
            Response::Body(body) => body.on_received(endpoint, bytes),
            Response::Head {
                partial,
                interim_bytes,
            } if partial.is_empty() => {
                let read = read_head(bytes, interim_bytes, endpoint)?;
                self.on_head_read(now, endpoint, read);
            }
            Response::Head {
                partial,
                interim_bytes,
            } => {
                let tried = partial.len();
                partial.extend_from_slice(bytes);
                let limit = endpoint.max_response_header_bytes as usize;
                if *interim_bytes + partial.len() > limit || is_worth_parsing(partial, tried) {
                    let joined = std::mem::take(partial);
                    let read = read_head(&joined, interim_bytes, endpoint)?;
                    self.on_head_read(now, endpoint, read);
                }
            }
        }
        Ok(())
    }

    fn on_head_read(&mut self, now: Instant, endpoint: &Endpoint, read: HeadRead<'_>) {
        match (read, &mut self.response) {
            (HeadRead::Partial(rest), Response::Head { partial, .. }) => *partial = rest.to_vec(),
            (HeadRead::Final(head, rest), response) => {
                let mut body = Body::new(&head, endpoint);
                body.on_received(endpoint, rest);
                *response = Response::Body(body);
                self.attempt.answered = Some(now);
                self.answered_early = !self.is_sent();
            }
            (HeadRead::Partial(_), Response::Body(_)) => unreachable!("heads come before the body"),
        }
    }

    /// The peer sends no more.
    pub fn on_end(&mut self) {
        if let Response::Body(body) = &mut self.response
            && body.decoder.on_end().is_err()
        {
            body.fault.get_or_insert(BodyFault::Framing);
        }
    }

    /// What of the request is still to be sent.
    #[must_use]
    pub fn unsent<'a>(&'a self, message: &'a Message) -> [&'a [u8]; 2] {
        if self.request.stopped || self.is_sent() {
            return [&[], &[]];
        }
        match &self.request.head {
            Head::InMessage { start } => [&message.from(*start)[self.request.sent..], &[]],
            Head::Apart(head) => {
                let from_head = self.request.sent.min(head.len());
                [
                    &head[from_head..],
                    &message.body()[self.request.sent - from_head..],
                ]
            }
        }
    }

    /// Whether some of the request has been sent.
    #[must_use]
    pub const fn has_sent(&self) -> bool {
        self.request.sent > 0
    }

    /// Whether the whole request has been sent.
    #[must_use]
    pub const fn is_sent(&self) -> bool {
        self.request.sent == self.request.len
    }

    /// Whether the rest of the request will never be sent.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.request.stopped && !self.is_sent()
    }

    /// Whether the rest of the request is still being sent.
    #[must_use]
    pub const fn is_sending(&self) -> bool {
        !self.request.stopped && !self.is_sent()
    }

    /// Whether the final head came before the request was sent.
    #[must_use]
    pub const fn answered_early(&self) -> bool {
        self.answered_early
    }

    /// Whether any byte of a response has come.
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.first_heard.is_some()
    }

    /// From the request's first byte to the response's.
    #[must_use]
    pub fn first_byte(&self) -> Duration {
        match (self.first_sent, self.first_heard) {
            (Some(sent), Some(heard)) => heard.since(sent),
            _ => Duration::ZERO,
        }
    }

    /// The final head, once it is complete.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.response {
            Response::Head { .. } => None,
            Response::Body(body) => Some(&body.answer),
        }
    }

    /// Whether the excerpt that a result wants is whole: enough bytes, or no more to come.
    #[must_use]
    pub fn has_excerpt(&self) -> bool {
        match &self.response {
            Response::Head { .. } => false,
            Response::Body(body) => body.excerpt.len() == body.excerpt_max || body.is_over(),
        }
    }

    /// The settings that the request was written by, where they hold no more.
    #[must_use]
    pub fn sent_with(&self) -> Option<Arc<Endpoint>> {
        self.sent_with.clone()
    }

    /// The first bytes of the content; none where none are to be shown.
    pub fn take_excerpt(&mut self) -> Option<Vec<u8>> {
        match &mut self.response {
            Response::Head { .. } => None,
            Response::Body(body) => {
                let is_shown = std::mem::take(&mut body.excerpt_max) > 0;
                is_shown.then(|| std::mem::take(&mut body.excerpt))
            }
        }
    }

    /// Whether the response is at its end, good or bad.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match &self.response {
            Response::Head { .. } => false,
            Response::Body(body) => body.is_over(),
        }
    }

    /// What went wrong after the head.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        match &self.response {
            Response::Head { .. } => None,
            Response::Body(body) => body.fault,
        }
    }
}

/// What came back is not HTTP/1.1; in words.
pub type Malformed = Box<str>;

enum HeadRead<'a> {
    Partial(&'a [u8]),
    Final(response::Head, &'a [u8]),
}

/// Skips interim heads (RFC 9110 section 15.2) and reads the final one. All of them share one budget.
fn read_head<'a>(
    mut bytes: &'a [u8],
    interim_bytes: &mut usize,
    endpoint: &Endpoint,
) -> Result<HeadRead<'a>, Malformed> {
    let limit = endpoint.max_response_header_bytes as usize;
    loop {
        let parsed = match response::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => return Err(error.to_string().into_boxed_str()),
        };
        let head_bytes = parsed
            .as_ref()
            .map_or(bytes.len(), |(_, head_bytes)| *head_bytes);
        if *interim_bytes + head_bytes > limit {
            return Err(format!(
                "response head longer than {limit} bytes (maxResponseHeaderBytes)"
            )
            .into());
        }
        match parsed {
            None => return Ok(HeadRead::Partial(bytes)),
            Some((head, head_bytes)) if head.is_interim() => {
                *interim_bytes += head_bytes;
                bytes = &bytes[head_bytes..];
            }
            Some((head, head_bytes)) => return Ok(HeadRead::Final(head, &bytes[head_bytes..])),
        }
    }
}

impl Body {
    fn new(head: &response::Head, endpoint: &Endpoint) -> Body {
        let answer = Answer {
            status: head.status,
            unfit: head.unfit,
            idle_hint: head.idle_hint,
            uses_left: head.uses_left,
            retry_after: match (head.retry_after, head.date) {
                (Some(asked @ RetryAfter::Date(_)), Some(date)) => {
                    Some(RetryAfter::Seconds(asked.delay(date).as_secs()))
                }
                (asked, _) => asked,
            },
        };
        let excerpt_max = if head.is_success() {
            0
        } else {
            endpoint.response_bytes as usize
        };
        Body {
            answer,
            decoder: Decoder::new(head.framing),
            excerpt: Vec::new(),
            excerpt_max,
            read: 0,
            fault: None,
        }
    }

    fn on_received(&mut self, endpoint: &Endpoint, mut bytes: &[u8]) {
        if bytes.is_empty() || self.fault.is_some() {
            return;
        }
        self.read = self.read.saturating_add(bytes.len());
        while !bytes.is_empty() && !self.decoder.is_done() {
            let Ok(decoded) = self.decoder.decode(bytes) else {
                self.fault = Some(BodyFault::Framing);
                return;
            };
            let wanted = (self.excerpt_max - self.excerpt.len()).min(decoded.data.len());
            self.excerpt.extend_from_slice(&decoded.data[..wanted]);
            bytes = &bytes[decoded.consumed..];
        }
        if !bytes.is_empty() {
            self.fault = Some(BodyFault::Surplus);
        } else if !self.decoder.is_done() && self.read > endpoint.max_drain_bytes as usize {
            self.fault = Some(BodyFault::TooLong);
        }
    }

    fn is_over(&self) -> bool {
        self.decoder.is_done() || self.fault.is_some()
    }
}
