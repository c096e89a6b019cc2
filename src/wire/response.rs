//! The head of a response: status, framing, and whether its connection may carry another request.
//!
//! `httparse` cuts the lines; the policy of RFC 9110 and 9112 stands here. Only HTTP/1.0 and HTTP/1.1 are
//! responses (a higher minor version has never been seen and is rejected), and nothing may stand before the
//! status line: empty lines there are what is left of another message. Bare CR and NUL are errors; bare LF and
//! folded lines are read as RFC 9112 allows, but cost the connection.
//!
//! Invariants: a prefix of a head is never a head, it is incomplete or already wrong; no bytes panic it.
//!
//! Not here: the body ([`crate::wire::body`]), the limit on a head's bytes (its caller's, for all interim heads
//! of a response together), what a status means for a job (`engine/outcome`).

mod fields;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem::MaybeUninit;
use std::time::Duration;

use httparse::{ParserConfig, Status};

use crate::base::time::Wall;
use fields::{Facts, LineEnds};

/// More fields than this are an error (F44).
pub const FIELDS_MAX: usize = 256;

/// What the head of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// 100 to 999, without 101. Those from 600 on are outside HTTP; [`Head::class`] calls them 5.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// Why the connection may not carry another request after this response; `None` if it may. An interim
    /// head's reason holds for the response that it announces.
    pub unfit: Option<Unfit>,
    /// `Keep-Alive: timeout=N`, as given (RFC 2068 section 19.7.1): the smallest, if there are several.
    pub idle_hint: Option<Duration>,
    /// `Keep-Alive: max=N`: the smallest, if there are several.
    pub uses_left: Option<u32>,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
    /// `Date`: the peer's clock.
    pub date: Option<Wall>,
}

/// How a response's body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes.
    Length(u64),
    /// With its last chunk and trailer section.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// Why a connection may not carry another request after a response: the worst of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 section 6.3, F35).
    LengthAndEncoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 section 6.1, F28).
    EncodingInHttp10,
    /// `Transfer-Encoding` that is not `chunked` once, at the end (F36).
    UnknownEncoding,
    /// A 204 or 1xx that announces a body, which may follow (F32).
    ForbiddenBody,
    /// A folded line (RFC 9112 section 5.2, F41).
    FoldedLine,
    /// A line that ends in a bare LF (RFC 9112 section 2.2, F42).
    BareLf,
    /// A status after which the peer wants another connection: 408, 421, 425 (F51, F54).
    Status,
    /// `Connection: close` (F14).
    CloseAsked,
    /// HTTP/1.0 without `Connection: keep-alive` (F28).
    Http10,
    /// The body ends with the connection (F31).
    CloseDelimited,
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from now; a number beyond 64 bits is the largest one.
    Seconds(u64),
    /// Not before this time on the peer's clock.
    Date(Wall),
}

/// Why bytes are not the head of a response that is safe to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// An empty line before the status line.
    EmptyLine,
    /// It does not begin with `HTTP/1.0` or `HTTP/1.1` and a space (F29).
    Version,
    /// A status that is not three digits from 100 on, or a reason with control characters (F30).
    Status,
    /// 101 to a request that asked for no upgrade (F27).
    Upgrade,
    /// A field name that is no token, a line without colon, white space before a name or a colon (F43).
    FieldName,
    /// NUL, a bare CR or another control character in a field value (F42).
    FieldValue,
    /// A CR without LF at the end of the head (F42).
    NewLine,
    /// More than [`FIELDS_MAX`] fields (F44).
    TooManyFields,
    /// `Content-Length` that is no decimal number of 64 bits, or several that differ (F33, F34).
    ContentLength,
}

/// Reads the head at the start of `bytes` and says how many bytes it has; `None` if it is not all there.
///
/// Interim heads (RFC 9110 section 15.2) are returned like others: see [`Head::is_interim`].
///
/// # Errors
/// [`HeadError`], as soon as the bytes show it; more bytes don't heal it.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    if let Some(b'\r' | b'\n') = bytes.first() {
        return Err(HeadError::EmptyLine);
    }
    let mut config = ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let mut room = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let head_bytes =
        match config.parse_response_with_uninit_headers(&mut response, bytes, &mut room)? {
            Status::Complete(head_bytes) => head_bytes,
            Status::Partial => return check_partial(response.code).map(|()| None),
        };
    let status = check_status(response.code.unwrap_or_default())?;
    let lines = LineEnds::of(&bytes[..head_bytes], response.headers.len());
    let mut facts = Facts::new(response.version == Some(0), lines);
    for field in response.headers.iter() {
        facts.read(field);
    }
    Ok(Some((facts.judge(status)?, head_bytes)))
}

/// Whether [`parse`] could find out more from `bytes` than when it last saw the first `tried` of them: they
/// hold an empty line now, or have doubled. Keeps a peer that sends byte by byte from costing quadratic time.
#[must_use]
pub fn is_worth_parsing(bytes: &[u8], tried: usize) -> bool {
    if tried == 0 || bytes.len() / 2 >= tried {
        return true;
    }
    // An empty line that ends in the fresh bytes began at most three before them.
    let fresh = &bytes[tried.saturating_sub(3).min(bytes.len())..];
    fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}

impl Head {
    /// Whether another head follows: 100 to 199 (101 is an error).
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// Whether it is a 2xx.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.class() == 2
    }

    /// The status class, 1 to 5: what is beyond 599 counts as a server's error (RFC 9110 section 15).
    #[must_use]
    pub const fn class(&self) -> u16 {
        match self.status / 100 {
            class @ 0..=5 => class,
            _ => 5,
        }
    }

    /// How long the peer wants to be left alone, `now` being our clock: a date is compared with the response's
    /// own `Date`, if it has one, so that a peer whose clock is wrong means what it says (F53).
    #[must_use]
    pub fn retry_delay(&self, now: Wall) -> Option<Duration> {
        Some(self.retry_after?.delay(self.date.unwrap_or(now)))
    }
}

impl Unfit {
    /// The stable name, for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Unfit::LengthAndEncoding => "length_and_encoding",
            Unfit::EncodingInHttp10 => "encoding_in_http10",
            Unfit::UnknownEncoding => "unknown_encoding",
            Unfit::ForbiddenBody => "forbidden_body",
            Unfit::FoldedLine => "folded_line",
            Unfit::BareLf => "bare_lf",
            Unfit::Status => "status",
            Unfit::CloseAsked => "close_asked",
            Unfit::Http10 => "http10",
            Unfit::CloseDelimited => "close_delimited",
        }
    }
}

impl RetryAfter {
    /// The wait from `now` on, zero if the date is past.
    #[must_use]
    pub fn delay(self, now: Wall) -> Duration {
        match self {
            RetryAfter::Seconds(seconds) => Duration::from_secs(seconds),
            RetryAfter::Date(date) => {
                Duration::from_nanos(date.unix_nanos().saturating_sub(now.unix_nanos()))
            }
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::EmptyLine => {
                f.write_str("response begins with an empty line, expected HTTP/1.1 or HTTP/1.0")
            }
            HeadError::Version => {
                f.write_str("response is not HTTP, expected it to begin with HTTP/1.1 or HTTP/1.0")
            }
            HeadError::Status => f.write_str(
                "status line is malformed, expected three digits from 100 on and a printable reason",
            ),
            HeadError::Upgrade => {
                f.write_str("status is 101, expected no upgrade where none was asked for")
            }
            HeadError::FieldName => {
                f.write_str("header name is malformed, expected a token and a colon right after it")
            }
            HeadError::FieldValue => {
                f.write_str("header value has a control character or a bare CR, expected neither")
            }
            HeadError::NewLine => f.write_str("head ends in a bare CR, expected CR LF"),
            HeadError::TooManyFields => {
                write!(f, "response has too many headers, expected at most {FIELDS_MAX}")
            }
            HeadError::ContentLength => {
                f.write_str("content-length is malformed, expected one decimal number")
            }
        }
    }
}

impl std::error::Error for HeadError {}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> HeadError {
        match error {
            httparse::Error::Version => HeadError::Version,
            // No token is expected in a response's status line but the status.
            httparse::Error::Status | httparse::Error::Token => HeadError::Status,
            httparse::Error::HeaderName => HeadError::FieldName,
            httparse::Error::HeaderValue => HeadError::FieldValue,
            httparse::Error::NewLine => HeadError::NewLine,
            httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        }
    }
}

/// A bad status need not wait for the rest of the head.
fn check_partial(code: Option<u16>) -> Result<(), HeadError> {
    code.map_or(Ok(()), |code| check_status(code).map(|_| ()))
}

fn check_status(code: u16) -> Result<u16, HeadError> {
    match code {
        0..=99 => Err(HeadError::Status),
        101 => Err(HeadError::Upgrade),
        _ => Ok(code),
    }
}
