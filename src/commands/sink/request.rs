//! Requests cut out of a connection's bytes: heads judged, bodies counted and forgotten.
//!
//!   Head --head complete--> Body --all read--> (a request) --> Head ...
//!     \________ not a request we take ________/--> Refused, for good
//!
//! A head that lies whole in the input is parsed where it lies; only one cut in two is kept, up to
//! [`HEAD_BYTES_MAX`]. A body is never kept. Framing is judged as strictly as RFC 9112 section 6.3 allows,
//! because a receiver for trials should complain of what other receivers would choke on.
//!
//! Not here: what is answered (`response`), when (`connection`).

use crate::commands::sink::chunked::{Chunked, Piece};

/// The longest request head.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest body.
pub(super) const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most header fields of a request.
const FIELDS_MAX: usize = 128;

/// Takes requests off one connection's bytes.
#[derive(Debug)]
pub(super) struct Requests {
    state: State,
    /// The front of a head that came in pieces.
    partial: Vec<u8>,
    /// Whether anyone wants to know [`Requests::id`] and [`Requests::crc32`].
    detailed: bool,
    id: Vec<u8>,
    body_bytes: u64,
    crc: crc32fast::Hasher,
}

/// What the input held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing more that can be acted on: all input is used.
    More,
    /// The client waits for `100 Continue` before it sends its body (RFC 9110 section 10.1.1).
    Continue,
    /// A whole request; the input stands right behind it.
    Request(Persistence),
    /// Not a request that is taken: answer this status and close. Input is ignored from here on.
    Refused {
        /// 400, 413, 431, 501 or 505.
        status: u16,
    },
}

/// What becomes of the connection after the answer (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// It stays open, as HTTP/1.1 does unasked.
    Keep,
    /// It stays open, and an HTTP/1.0 client must be told so.
    KeepTold,
    /// It is closed.
    Close,
}

#[derive(Debug)]
enum State {
    Head,
    Fixed {
        left: u64,
        after: Persistence,
    },
    Chunked {
        chunked: Chunked,
        after: Persistence,
    },
    Refused,
}

/// What a head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    bytes: usize,
    framing: Framing,
    after: Persistence,
    expects_continue: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Fixed(u64),
    Chunked,
}

impl Requests {
    /// For a new connection. Only if `detailed` are [`Requests::id`] and [`Requests::crc32`] kept.
    pub(super) fn new(detailed: bool) -> Requests {
        Requests {
            state: State::Head,
            partial: Vec::new(),
            detailed,
            id: Vec::new(),
            body_bytes: 0,
            crc: crc32fast::Hasher::new(),
        }
    }

    /// Goes on until something can be acted on, and takes what it used off the front of `input`.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Step {
        loop {
            match self.state {
                State::Head => {
                    if let Some(step) = self.head(input) {
                        return step;
                    }
                }
                State::Fixed { .. } | State::Chunked { .. } => return self.body(input),
                State::Refused => {
                    *input = &[];
                    return Step::More;
                }
            }
        }
    }

    /// The `webhook-id` of the request that [`Requests::next`] just gave; empty if it had none.
    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// The length of that request's body, its coding taken off.
    pub(super) const fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The CRC-32 (the one of zlib) of that request's body.
    pub(super) fn crc32(&self) -> u32 {
        self.crc.clone().finalize()
    }

    /// Whether the input so far ends inside a request.
    pub(super) fn is_inside(&self) -> bool {
        match self.state {
            State::Head => !self.partial.is_empty(),
            State::Fixed { .. } | State::Chunked { .. } => true,
            State::Refused => false,
        }
    }

    /// `None`: the head is read, go on with the body.
    fn head(&mut self, input: &mut &[u8]) -> Option<Step> {
        if input.is_empty() {
            return Some(Step::More);
        }
        if self.partial.is_empty() {
            return match self.judge(input) {
                Ok(Some(head)) => {
                    *input = &input[head.bytes..];
                    self.enter_body(&head, input.is_empty())
                }
                Ok(None) if input.len() > HEAD_BYTES_MAX => Some(self.refuse(431)),
                Ok(None) => {
                    self.partial.extend_from_slice(input);
                    *input = &[];
                    Some(Step::More)
                }
                Err(status) => Some(self.refuse(status)),
            };
        }
        // A head ends with a newline, so that is when it is worth looking again.
        let kept = self.partial.len();
        let room = (HEAD_BYTES_MAX + 1 - kept).min(input.len());
        let taken = &input[..room];
        self.partial.extend_from_slice(taken);
        let judged = if taken.contains(&b'\n') {
            let partial = std::mem::take(&mut self.partial);
            let judged = self.judge(&partial);
            self.partial = partial;
            judged
        } else {
            Ok(None)
        };
        match judged {
            Ok(Some(head)) => {
                self.partial = Vec::new();
                *input = &input[head.bytes - kept..];
                self.enter_body(&head, input.is_empty())
            }
            Ok(None) if self.partial.len() > HEAD_BYTES_MAX => Some(self.refuse(431)),
            Ok(None) => {
                *input = &[];
                Some(Step::More)
            }
            Err(status) => Some(self.refuse(status)),
        }
    }

    /// Reads a head off the front of `bytes`: `None` if it is not whole yet, `Err` the status of a refusal.
    fn judge(&mut self, bytes: &[u8]) -> Result<Option<Head>, u16> {
        self.id.clear();
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let head_bytes = match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(431),
            Err(httparse::Error::Version) => return Err(505),
            Err(_) => return Err(400),
        };
        if head_bytes > HEAD_BYTES_MAX {
            return Err(431);
        }
        if self.detailed
            && let Some(field) = request.headers.iter().find(|f| is(f.name, "webhook-id"))
        {
            self.id.extend_from_slice(field.value);
        }
        judge_fields(request.version == Some(1), request.headers, head_bytes).map(Some)
    }

    /// `Some` if the client must be answered before the body comes.
    fn enter_body(&mut self, head: &Head, nothing_follows: bool) -> Option<Step> {
        self.body_bytes = 0;
        self.crc = crc32fast::Hasher::new();
        let after = head.after;
        self.state = match head.framing {
            Framing::Fixed(left) if left > BODY_BYTES_MAX => return Some(self.refuse(413)),
            Framing::Fixed(left) => State::Fixed { left, after },
            Framing::Chunked => State::Chunked {
                chunked: Chunked::new(),
                after,
            },
        };
        let waits = head.expects_continue && nothing_follows && head.framing != Framing::Fixed(0);
        waits.then_some(Step::Continue)
    }

    fn body(&mut self, input: &mut &[u8]) -> Step {
        loop {
            match &mut self.state {
                State::Fixed { left: 0, after } => {
                    let after = *after;
                    self.state = State::Head;
                    return Step::Request(after);
                }
                State::Fixed { left, .. } => {
                    if input.is_empty() {
                        return Step::More;
                    }
                    let take = usize::try_from(*left).map_or(input.len(), |n| n.min(input.len()));
                    let (data, rest) = input.split_at(take);
                    *input = rest;
                    *left -= take as u64;
                    self.count(data);
                }
                State::Chunked { chunked, after } => match chunked.next(input) {
                    Ok(Piece::Data(data)) => {
                        self.count(data);
                        if self.body_bytes > BODY_BYTES_MAX {
                            return self.refuse(413);
                        }
                    }
                    Ok(Piece::More) => return Step::More,
                    Ok(Piece::End) => {
                        let after = *after;
                        self.state = State::Head;
                        return Step::Request(after);
                    }
                    Err(_) => return self.refuse(400),
                },
                State::Head | State::Refused => unreachable!("only a body's states come here"),
            }
        }
    }

    fn count(&mut self, data: &[u8]) {
        self.body_bytes += data.len() as u64;
        if self.detailed {
            self.crc.update(data);
        }
    }

    fn refuse(&mut self, status: u16) -> Step {
        if let State::Head = self.state {
            self.body_bytes = 0;
            self.crc = crc32fast::Hasher::new();
        }
        self.state = State::Refused;
        self.partial = Vec::new();
        Step::Refused { status }
    }
}

/// Framing and persistence as the fields say (RFC 9112 sections 3.2, 6.3 and 9.3); `Err` is a status.
fn judge_fields(
    is_http11: bool,
    fields: &[httparse::Header<'_>],
    head_bytes: usize,
) -> Result<Head, u16> {
    let (mut hosts, mut length, mut coding) = (0, None, None);
    let (mut close, mut keep, mut expects_continue) = (false, false, false);
    for field in fields {
        let value = field.value;
        if is(field.name, "host") {
            hosts += 1;
        } else if is(field.name, "content-length") {
            if length.is_some() {
                return Err(400);
            }
            length = Some(digits(value).ok_or(400u16)?);
        } else if is(field.name, "transfer-encoding") {
            if coding.is_some() {
                return Err(501);
            }
            coding = Some(value);
        } else if is(field.name, "connection") {
            close |= has_token(value, "close");
            keep |= has_token(value, "keep-alive");
        } else if is(field.name, "expect") {
            expects_continue |= has_token(value, "100-continue");
        }
    }
    if hosts > 1 || (is_http11 && hosts == 0) {
        return Err(400);
    }
    let framing = match (coding, length) {
        (None, length) => Framing::Fixed(length.unwrap_or(0)),
        (Some(_), Some(_)) => return Err(400),
        (Some(_), None) if !is_http11 => return Err(400),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (Some(_), None) => return Err(501),
    };
    let after = match (is_http11, close, keep) {
        (_, true, _) | (false, false, false) => Persistence::Close,
        (true, false, _) => Persistence::Keep,
        (false, false, true) => Persistence::KeepTold,
    };
    Ok(Head {
        bytes: head_bytes,
        framing,
        after,
        expects_continue: expects_continue && is_http11,
    })
}

fn is(name: &str, expected: &str) -> bool {
    name.eq_ignore_ascii_case(expected)
}

/// Whether a comma-separated list has this member (RFC 9110 section 5.6.1).
fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The number that one or more digits are; `None` for anything else, and beyond 2⁶⁴.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream of bytes was read as, in words: one entry a step, `+` if it ends inside a request.
    fn read(pieces: &[&[u8]]) -> String {
        let mut requests = Requests::new(true);
        let mut words = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            loop {
                match requests.next(&mut input) {
                    Step::More => break,
                    Step::Continue => words.push("continue".to_owned()),
                    Step::Refused { status } => words.push(status.to_string()),
                    Step::Request(after) => words.push(format!(
                        "{after:?} id={} bytes={} crc={:08x}",
                        String::from_utf8_lossy(requests.id()),
                        requests.body_bytes(),
                        requests.crc32()
                    )),
                }
            }
            assert!(input.is_empty());
        }
        if requests.is_inside() {
            words.push("+".to_owned());
        }
        words.join(" | ")
    }

    fn check(text: &str, expected: &str) {
        let bytes = text.as_bytes();
        assert_eq!(read(&[bytes]), expected, "{text:?} whole");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), expected, "{text:?} byte by byte");
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            assert_eq!(read(&[front, back]), expected, "{text:?} at {at}");
        }
    }

    const EMPTY: &str = "Keep id= bytes=0 crc=00000000";

    #[test]
    fn whole_requests_are_read_however_they_are_cut() {
        let cases = [
            ("", String::new()),
            ("POST / HTTP/1.1\r\nHost: a\r\n", "+".into()),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", EMPTY.into()),
            ("\r\nHEAD /x?y HTTP/1.1\r\nhost: a\r\n\r\n", EMPTY.into()),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nWebhook-Id: m1\r\nContent-Length: 9\r\n\r\n123456789",
                "Keep id=m1 bytes=9 crc=cbf43926".into(),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12345678",
                "+".into(),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                 4\r\n1234\r\n5;x\r\n56789\r\n0\r\nT: v\r\n\r\n",
                "Keep id= bytes=9 crc=cbf43926".into(),
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nwebhook-id: 1\r\nContent-Length: 1\r\n\r\nx\
                 GET / HTTP/1.1\r\nHost: a\r\n\r\nPO",
                format!("Keep id=1 bytes=1 crc=8cdc1683 | {EMPTY} | +"),
            ),
        ];
        for (text, expected) in cases {
            check(text, &expected);
        }
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        let cases = [
            ("1.1", "", "Keep"),
            ("1.1", "Connection: close\r\n", "Close"),
            ("1.1", "Connection: TE, CLOSE\r\n", "Close"),
            ("1.1", "Connection: closed\r\n", "Keep"),
            ("1.0", "", "Close"),
            ("1.0", "Connection: Keep-Alive\r\n", "KeepTold"),
            (
                "1.0",
                "Connection: keep-alive\r\nConnection: close\r\n",
                "Close",
            ),
        ];
        for (version, fields, expected) in cases {
            check(
                &format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"),
                &format!("{expected} id= bytes=0 crc=00000000"),
            );
        }
    }

    #[test]
    fn what_is_no_request_is_refused_once() {
        let cases = [
            ("\0\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108865\r\n\r\nx",
                "413",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400",
            ),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "400",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "501",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
                "400",
            ),
        ];
        for (text, expected) in cases {
            check(text, expected);
        }
    }

    #[test]
    fn a_client_that_waits_is_told_to_go_on() {
        let head =
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
        let served = "Keep id= bytes=1 crc=8cdc1683";
        assert_eq!(read(&[head, b"x"]), format!("continue | {served}"));
        let did_not_wait = [head.as_slice(), b"x"].concat();
        assert_eq!(read(&[&did_not_wait]), served);
        let empty =
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(&[empty]), EMPTY);
        let too_long = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 67108865\r\n\r\n";
        assert_eq!(read(&[too_long]), "413");
    }

    #[test]
    fn heads_are_bounded() {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        let fill = HEAD_BYTES_MAX - start.len() - 4;
        let longest = format!("{start}{}\r\n\r\n", "x".repeat(fill));
        let (front, back) = longest.as_bytes().split_at(9000);
        assert_eq!(read(&[longest.as_bytes()]), EMPTY);
        assert_eq!(read(&[front, back]), EMPTY);
        let longer = format!("{start}{}\r\n\r\n", "x".repeat(fill + 1));
        let (front, back) = longer.as_bytes().split_at(9000);
        assert_eq!(read(&[longer.as_bytes()]), "431");
        assert_eq!(read(&[front, back]), "431");
        let endless = "x".repeat(HEAD_BYTES_MAX + 2);
        let chunks: Vec<&[u8]> = endless.as_bytes().chunks(1000).collect();
        assert_eq!(read(&chunks), "431");
        let fields = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "Host: a\r\n".repeat(FIELDS_MAX + 1)
        );
        assert_eq!(read(&[fields.as_bytes()]), "431");
    }

    #[test]
    fn chunked_bodies_are_bounded() {
        let mut requests = Requests::new(false);
        let mut input: &[u8] =
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4000001\r\n";
        assert_eq!(requests.next(&mut input), Step::More);
        let block = vec![0; 1 << 20];
        for _ in 0..BODY_BYTES_MAX >> 20 {
            assert_eq!(requests.next(&mut block.as_slice()), Step::More);
        }
        assert_eq!(
            requests.next(&mut [0].as_slice()),
            Step::Refused { status: 413 }
        );
    }
}
