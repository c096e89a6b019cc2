//! The head of a request: its bytes, exactly, and which extra fields a job may put into it.
//!
//! A head is written right-aligned into the room before a body, so that both leave in one send; where the room
//! is too small, the same bytes go into a buffer of their own. The order of the fields is fixed: request line,
//! `Host`, `User-Agent`, `Accept`, `Content-Type`, `Content-Length`, `webhook-id`, `webhook-timestamp`,
//! `webhook-signature`, `X-Webhook-Timestamp`, `X-Webhook-Type`, then the job's own and the endpoint's.
//!
//! Invariant: [`Head::len`] is the number of bytes written, to the byte. What stands in a [`Head`] was checked
//! when the job came in ([`check_field`], `wire/url`): nothing is escaped here.
//!
//! Not here: the job itself (`wire/job`), signing, when to send which (`engine/exchange`).

use std::fmt;

use crate::wire::job::Method;

/// The `User-Agent` of a request whose job names no other.
pub const USER_AGENT: &str = "Conduit-LLM/1.0";

/// The `Accept` of a request for which nobody names another: without one some receivers guess.
const ACCEPT: &[u8] = b"\r\nAccept: */*";

/// The name of the signature's field, with what stands around it.
const SIGNATURE_NAME: &[u8] = b"\r\nwebhook-signature: ";

/// What a signature of so many bytes adds to a head; one of none adds nothing.
#[must_use]
pub const fn signature_field_len(signature_len: usize) -> usize {
    match signature_len {
        0 => 0,
        len => SIGNATURE_NAME.len() + len,
    }
}

/// Everything in the head of one attempt's request (RFC 9112 sections 3 and 5, Standard Webhooks 1.0).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The request method.
    pub method: Method,
    /// Path and query, byte for byte (origin-form, RFC 9112 section 3.2.1).
    pub target: &'a str,
    /// `Host`: the origin's authority.
    pub authority: &'a str,
    /// `User-Agent`; `None` where `fields` has one.
    pub user_agent: Option<&'a str>,
    /// `Content-Type`; `None` where there is no body, or where `fields` has one.
    pub content_type: Option<&'a str>,
    /// `Content-Length`, as [`Method::content_length`] gives it.
    pub content_length: Option<u64>,
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`: Unix seconds of this attempt.
    pub timestamp: u64,
    /// `X-Webhook-Timestamp`: Unix seconds at which the job was accepted.
    pub accepted: u64,
    /// `X-Webhook-Type`.
    pub kind: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
    /// The job's own fields, as they are sent: `Name: value\r\n`, one after the other.
    pub fields: &'a [u8],
    /// The endpoint's, likewise; those of which `fields` has the name are left out.
    pub endpoint_fields: &'a [u8],
}

impl Head<'_> {
    /// How many bytes the head has, its empty line included. Never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        let mut count = Count(0);
        self.write(&mut count);
        count.0
    }

    /// Writes the head so that it ends where `room` ends; gives the offset at which it starts, `None` (and
    /// nothing written) if the room is too small.
    pub fn write_before(&self, room: &mut [u8]) -> Option<usize> {
        let start = room.len().checked_sub(self.len())?;
        self.fill(&mut room[start..]);
        Some(start)
    }

    /// Appends the head to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.len(), 0);
        self.fill(&mut out[start..]);
    }

    fn fill(&self, room: &mut [u8]) {
        let mut rest = Rest(room);
        self.write(&mut rest);
        assert!(rest.0.is_empty(), "a head is as long as it says");
    }

    fn write(&self, out: &mut impl Out) {
        out.put(self.method.name().as_bytes());
        out.put(b" ");
        out.put(self.target.as_bytes());
        out.put(b" HTTP/1.1\r\nHost: ");
        out.put(self.authority.as_bytes());
        put_field(out, b"\r\nUser-Agent: ", self.user_agent);
        let all = [self.fields, self.endpoint_fields];
        if !all.iter().any(|fields| has_field(fields, b"Accept")) {
            out.put(ACCEPT);
        }
        put_field(out, b"\r\nContent-Type: ", self.content_type);
        if let Some(length) = self.content_length {
            put_number(out, b"\r\nContent-Length: ", length);
        }
        put_field(out, b"\r\nwebhook-id: ", Some(self.id));
        put_number(out, b"\r\nwebhook-timestamp: ", self.timestamp);
        put_field(out, SIGNATURE_NAME, self.signature);
        put_number(out, b"\r\nX-Webhook-Timestamp: ", self.accepted);
        put_field(out, b"\r\nX-Webhook-Type: ", self.kind);
        out.put(b"\r\n");
        out.put(self.fields);
        for field in fields_of(self.endpoint_fields) {
            if !has_field(self.fields, name_of(field)) {
                out.put(field);
            }
        }
        out.put(b"\r\n");
    }
}

impl Method {
    /// As it stands in the request line and in job lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Get => "GET",
        }
    }

    /// The inverse of [`Method::name`]; methods are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn parse(name: &str) -> Option<Method> {
        match name {
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "PATCH" => Some(Method::Patch),
            "DELETE" => Some(Method::Delete),
            "GET" => Some(Method::Get),
            _ => None,
        }
    }

    /// Whether a job with this method may have a body.
    #[must_use]
    pub const fn takes_body(self) -> bool {
        match self {
            Method::Post | Method::Put | Method::Patch | Method::Delete => true,
            Method::Get => false,
        }
    }

    /// The `Content-Length` for a body of `body` bytes, `None` meaning no body: methods that anticipate one
    /// then say 0, the others nothing (RFC 9110 section 8.6).
    #[must_use]
    pub const fn content_length(self, body: Option<u64>) -> Option<u64> {
        match (self, body) {
            (_, Some(bytes)) => Some(bytes),
            (Method::Post | Method::Put | Method::Patch, None) => Some(0),
            (Method::Delete | Method::Get, None) => None,
        }
    }
}

/// Whether one of `fields` (`Name: value\r\n`, one after the other) has this name, in whatever case.
#[must_use]
pub fn has_field(fields: &[u8], name: &[u8]) -> bool {
    fields_of(fields).any(|field| name_of(field).eq_ignore_ascii_case(name))
}

fn fields_of(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields.split_inclusive(|byte| *byte == b'\n')
}

fn name_of(field: &[u8]) -> &[u8] {
    let colon = field.iter().position(|byte| *byte == b':');
    &field[..colon.unwrap_or(field.len())]
}

/// Where a head goes: counted, or written.
trait Out {
    fn put(&mut self, bytes: &[u8]);
}

struct Count(usize);

impl Out for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// The room that is left; it is exactly as long as what follows.
struct Rest<'a>(&'a mut [u8]);

impl Out for Rest<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (here, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        here.copy_from_slice(bytes);
        self.0 = rest;
    }
}

fn put_field(out: &mut impl Out, name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.put(name);
        out.put(value.as_bytes());
    }
}

fn put_number(out: &mut impl Out, name: &[u8], mut value: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.put(name);
    out.put(&digits[start..]);
}

/// Why a field may not stand in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// The name is empty, or has a character that no token has (RFC 9110 section 5.6.2).
    Name,
    /// The value has a control character other than a tab, or DEL (RFC 9110 section 5.5).
    Control {
        /// Its offset in the value.
        at: usize,
    },
    /// The value begins or ends with white space, which is no part of a value (RFC 9110 section 5.5).
    Padded,
    /// The field frames or routes the message, which is conduit's business.
    Framing,
    /// The field is one that conduit writes itself.
    Reserved,
}

/// Fields that frame or route a message; `Proxy-*` beside them.
const FRAMING: [&str; 9] = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
];

/// Checks that a job may send the field `name: value` (RFC 9110 sections 5.1 and 5.5).
///
/// A value is visible ASCII, spaces, tabs and whatever else UTF-8 has (obs-text on the wire); it may be empty.
///
/// # Errors
/// [`FieldError`], which repeats neither name nor value.
pub fn check_field(name: &str, value: &str) -> Result<(), FieldError> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(FieldError::Name);
    }
    // CGI and what descends from it read `Content_Length` as `Content-Length`.
    let read_as = name.replace('_', "-");
    if FRAMING
        .iter()
        .any(|framing| read_as.eq_ignore_ascii_case(framing))
        || has_prefix(&read_as, "Proxy-")
    {
        return Err(FieldError::Framing);
    }
    if has_prefix(&read_as, "webhook-") || has_prefix(&read_as, "X-Webhook-") {
        return Err(FieldError::Reserved);
    }
    check_value(value)
}

/// Checks that `value` may be a field's value, whatever the field.
///
/// # Errors
/// [`FieldError::Control`] and [`FieldError::Padded`].
pub fn check_value(value: &str) -> Result<(), FieldError> {
    let bytes = value.as_bytes();
    let is_control = |&byte: &u8| byte != b'\t' && byte.is_ascii_control();
    if let Some(at) = bytes.iter().position(is_control) {
        return Err(FieldError::Control { at });
    }
    let is_padding = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_padding(bytes.first()) || is_padding(bytes.last()) {
        return Err(FieldError::Padded);
    }
    Ok(())
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldError::Name => {
                f.write_str("header name is empty or has a character that no RFC 9110 token has")
            }
            FieldError::Control { at } => write!(
                f,
                "header value has a control character at byte {at}, expected visible characters, spaces and tabs"
            ),
            FieldError::Padded => {
                f.write_str("header value begins or ends with white space, expected none there")
            }
            FieldError::Framing => f.write_str(
                "header frames or routes the message, expected one that leaves that to conduit",
            ),
            FieldError::Reserved => {
                f.write_str("header is one that conduit writes itself, expected another name")
            }
        }
    }
}

impl std::error::Error for FieldError {}

/// tchar of RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || byte.is_ascii_alphanumeric()
}

/// `name` and `prefix` are ASCII.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Head<'static> = Head {
        method: Method::Post,
        target: "/hook?a=1",
        authority: "example.com:8443",
        user_agent: Some(USER_AGENT),
        content_type: Some("application/json"),
        content_length: Some(17),
        id: "msg_1",
        timestamp: 1_700_000_000,
        accepted: 1_699_999_990,
        kind: Some("order.created"),
        signature: Some("v1,abc= v1a,def="),
        fields: b"X-One: 1\r\nX-Two: 2\r\n",
        endpoint_fields: b"x-ONE: not this\r\nX-Three: 3\r\nX: \r\nX-two: nor this\r\n",
    };

    const BARE: Head<'static> = Head {
        method: Method::Get,
        target: "/",
        authority: "h",
        user_agent: None,
        content_type: None,
        content_length: None,
        id: "x",
        timestamp: 0,
        accepted: u64::MAX,
        kind: None,
        signature: None,
        fields: b"",
        endpoint_fields: b"",
    };

    const FULL_BYTES: &str = "POST /hook?a=1 HTTP/1.1\r\nHost: example.com:8443\r\n\
        User-Agent: Conduit-LLM/1.0\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\
        webhook-id: msg_1\r\nwebhook-timestamp: 1700000000\r\nwebhook-signature: v1,abc= v1a,def=\r\n\
        X-Webhook-Timestamp: 1699999990\r\nX-Webhook-Type: order.created\r\nX-One: 1\r\nX-Two: 2\r\n\
        X-Three: 3\r\nX: \r\n\r\n";

    const BARE_BYTES: &str = "GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nwebhook-id: x\r\nwebhook-timestamp: 0\r\n\
        X-Webhook-Timestamp: 18446744073709551615\r\n\r\n";

    #[test]
    fn heads_have_their_fields_in_order() {
        let unsigned = Head {
            signature: None,
            ..FULL
        };
        let signature_len = FULL.signature.map_or(0, str::len);
        assert_eq!(
            FULL.len() - unsigned.len(),
            signature_field_len(signature_len)
        );
        assert_eq!(signature_field_len(0), 0);
        for (head, expected) in [(FULL, FULL_BYTES), (BARE, BARE_BYTES)] {
            assert_eq!(head.len(), expected.len());
            let mut out = b"before".to_vec();
            head.write_to(&mut out);
            assert_eq!(str::from_utf8(&out).unwrap(), format!("before{expected}"));
        }
    }

    #[test]
    fn heads_end_where_the_room_ends() {
        let length = FULL.len();
        for spare in [0, 1, 100] {
            let mut room = vec![b'.'; length + spare];
            assert_eq!(FULL.write_before(&mut room), Some(spare));
            assert!(room[..spare].iter().all(|byte| *byte == b'.'));
            assert_eq!(&room[spare..], FULL_BYTES.as_bytes());
        }
        for length in [0, 1, length - 1] {
            let mut room = vec![b'.'; length];
            assert_eq!(FULL.write_before(&mut room), None);
            assert!(room.iter().all(|byte| *byte == b'.'));
        }
    }

    #[test]
    fn numbers_are_decimal_without_leading_zeros() {
        for value in [0, 1, 9, 10, 99, 100, 12_345_678_901, u64::MAX - 1, u64::MAX] {
            let head = Head {
                content_length: Some(value),
                ..BARE
            };
            let mut out = Vec::new();
            head.write_to(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!("\r\nContent-Length: {value}\r\n")));
            assert_eq!(text.len(), head.len());
        }
    }

    #[test]
    fn methods_go_there_and_back() {
        use Method::{Delete, Get, Patch, Post, Put};
        for (method, name, without_body) in [
            (Post, "POST", Some(0)),
            (Put, "PUT", Some(0)),
            (Patch, "PATCH", Some(0)),
            (Delete, "DELETE", None),
            (Get, "GET", None),
        ] {
            assert_eq!(method.name(), name);
            assert_eq!(Method::parse(name), Some(method));
            assert_eq!(Method::parse(&name.to_lowercase()), None);
            assert_eq!(method.takes_body(), name != "GET");
            assert_eq!(method.content_length(None), without_body, "{name}");
            assert_eq!(method.content_length(Some(0)), Some(0));
            assert_eq!(method.content_length(Some(7)), Some(7));
        }
        for name in ["", "HEAD", "CONNECT", "POST ", "OPTIONS"] {
            assert_eq!(Method::parse(name), None);
        }
    }

    #[test]
    fn f107_rejects_what_would_break_the_head() {
        let control = |at| Err(FieldError::Control { at });
        let cases = [
            ("X-A", "b", Ok(())),
            ("X-A", "", Ok(())),
            ("X-A", "a b\tc", Ok(())),
            ("X-A", "grün €", Ok(())),
            ("!#$%&'*+-.^_`|~09azAZ", "~!", Ok(())),
            ("Authorization", "Bearer x:y", Ok(())),
            ("User-Agent", "mine", Ok(())),
            ("Content-Type", "text/plain", Ok(())),
            ("", "x", Err(FieldError::Name)),
            ("X A", "x", Err(FieldError::Name)),
            ("X-A:", "x", Err(FieldError::Name)),
            ("X-A\r\nEvil", "x", Err(FieldError::Name)),
            ("X-Ä", "x", Err(FieldError::Name)),
            ("(x)", "x", Err(FieldError::Name)),
            ("X\0", "x", Err(FieldError::Name)),
            ("X-A", "a\r\nEvil: 1", control(1)),
            ("X-A", "a\nEvil: 1", control(1)),
            ("X-A", "abc\r", control(3)),
            ("X-A", "\0", control(0)),
            ("X-A", "\x1b[0m", control(0)),
            ("X-A", "a\x7f", control(1)),
            ("X-A", " a", Err(FieldError::Padded)),
            ("X-A", "a\t", Err(FieldError::Padded)),
            ("X-A", " ", Err(FieldError::Padded)),
        ];
        for (name, value, expected) in cases {
            assert_eq!(check_field(name, value), expected, "{name:?}: {value:?}");
        }
    }

    #[test]
    fn accept_is_everything_unless_the_job_or_its_endpoint_says_otherwise() {
        for (fields, endpoint_fields, expected) in [
            ("", "", "*/*"),
            ("X-Accept: a\r\n", "", "*/*"),
            ("accept: text/plain\r\n", "", "text/plain"),
            ("", "Accept: text/html\r\n", "text/html"),
            (
                "ACCEPT: text/plain\r\n",
                "Accept: text/html\r\n",
                "text/plain",
            ),
        ] {
            let head = Head {
                fields: fields.as_bytes(),
                endpoint_fields: endpoint_fields.as_bytes(),
                ..BARE
            };
            let mut bytes = Vec::new();
            head.write_to(&mut bytes);
            let text = String::from_utf8(bytes)
                .expect("UTF-8")
                .to_ascii_lowercase();
            let found: Vec<&str> = text.split("\r\naccept: ").skip(1).collect();
            assert_eq!(found.len(), 1, "{text}");
            assert!(found[0].starts_with(&format!("{expected}\r\n")), "{text}");
        }
    }

    #[test]
    fn f109_rejects_framing_and_reserved_fields() {
        let table = [
            (
                FieldError::Framing,
                "host content-length transfer-encoding connection keep-alive te trailer upgrade expect \
                 proxy-connection proxy-authorization proxy-",
            ),
            (
                FieldError::Reserved,
                "webhook-id webhook-timestamp webhook-signature webhook-anything x-webhook-timestamp \
                 x-webhook-type x-webhook-other",
            ),
        ];
        for (expected, names) in table {
            for name in names.split_whitespace() {
                let with_underscores = name.replace('-', "_");
                for name in [name.to_owned(), name.to_uppercase(), with_underscores] {
                    assert_eq!(check_field(&name, "x"), Err(expected), "{name}");
                }
            }
        }
        for name in [
            "X-Host",
            "Hostname",
            "Proxy",
            "TEX",
            "Trailers",
            "Webhooks",
            "X-Webhook",
        ] {
            assert_eq!(check_field(name, "x"), Ok(()), "{name}");
        }
    }
}
