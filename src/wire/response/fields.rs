//! What the fields of a response's head say, and what follows from all of them together.
//!
//! Not here: cutting the head into fields, the types of the verdict (the parent).

use std::time::Duration;

use httparse::Header;

use super::{Framing, Head, HeadError, RetryAfter, Unfit};
use crate::base::time::Wall;
use crate::wire::dates::parse_http_date;

/// What the fields of a head say, before they are judged together.
#[derive(Default)]
pub(super) struct Facts {
    http10: bool,
    lines: LineEnds,
    content_length: ContentLength,
    encoding: Encoding,
    close: bool,
    keep_alive: bool,
    idle_hint: Option<u64>,
    uses_left: Option<u32>,
    retry_seconds: Option<u64>,
    retry_date: Option<Wall>,
    date: Option<Wall>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum ContentLength {
    #[default]
    Absent,
    Bytes(u64),
    Bad,
}

/// The list of transfer codings, as far as it was read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Absent,
    /// No `chunked` so far: the body would end with the connection.
    Unchunked,
    /// `chunked` once, as the last so far.
    Chunked,
    /// Something after `chunked`, be it another one: nothing mends that.
    Spoilt,
}

impl Facts {
    pub(super) fn new(http10: bool, lines: LineEnds) -> Facts {
        Facts {
            http10,
            lines,
            ..Facts::default()
        }
    }

    pub(super) fn read(&mut self, field: &Header<'_>) {
        // The length tells most names apart.
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("date") => self.date = self.date.or_else(|| parse_http_date(field.value)),
            10 if is("connection") => self.read_connection(field.value),
            10 if is("keep-alive") => self.read_keep_alive(field.value),
            11 if is("retry-after") => self.read_retry_after(field.value),
            14 if is("content-length") => self.read_content_length(field.value),
            17 if is("transfer-encoding") => self.read_transfer_encoding(field.value),
            _ => {}
        }
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn read_keep_alive(&mut self, value: &[u8]) {
        for parameter in list(value) {
            let mut halves = parameter.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
                continue;
            };
            let Some(number) = parse_digits(unquote(trim(value))) else {
                continue;
            };
            if trim(name).eq_ignore_ascii_case(b"timeout") {
                self.idle_hint = Some(self.idle_hint.unwrap_or(u64::MAX).min(number));
            } else if trim(name).eq_ignore_ascii_case(b"max") {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                self.uses_left = Some(self.uses_left.unwrap_or(u32::MAX).min(number));
            }
        }
    }

    /// Of several values of a kind the longest wait counts.
    fn read_retry_after(&mut self, value: &[u8]) {
        match parse_retry_after(value) {
            Some(RetryAfter::Seconds(seconds)) => {
                self.retry_seconds = self.retry_seconds.max(Some(seconds));
            }
            Some(RetryAfter::Date(date)) => self.retry_date = self.retry_date.max(Some(date)),
            None => {}
        }
    }

    /// A list of equal numbers is what a proxy made of equal lines (RFC 9112 section 6.3).
    fn read_content_length(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',') {
            self.content_length = match (self.content_length, parse_length(trim(element))) {
                (ContentLength::Absent, Some(bytes)) => ContentLength::Bytes(bytes),
                (ContentLength::Bytes(known), Some(bytes)) if known == bytes => {
                    ContentLength::Bytes(bytes)
                }
                (ContentLength::Absent | ContentLength::Bytes(_) | ContentLength::Bad, _) => {
                    ContentLength::Bad
                }
            };
        }
    }

    /// Lines are one list, in their order (RFC 9110 section 5.3).
    fn read_transfer_encoding(&mut self, value: &[u8]) {
        if self.encoding == Encoding::Absent {
            self.encoding = Encoding::Unchunked;
        }
        for coding in list(value) {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.encoding = match self.encoding {
                Encoding::Absent | Encoding::Unchunked if is_chunked => Encoding::Chunked,
                Encoding::Absent | Encoding::Unchunked => Encoding::Unchunked,
                Encoding::Chunked | Encoding::Spoilt => Encoding::Spoilt,
            };
        }
    }

    pub(super) fn judge(&self, status: u16) -> Result<Head, HeadError> {
        let framing = self.framing(status)?;
        Ok(Head {
            status,
            framing,
            unfit: self.unfit(status, framing),
            idle_hint: self.idle_hint.map(Duration::from_secs),
            uses_left: self.uses_left,
            retry_after: self.retry_after(),
            date: self.date,
        })
    }

    /// RFC 9112 section 6.3, in its order.
    fn framing(&self, status: u16) -> Result<Framing, HeadError> {
        if is_bodiless(status) {
            return Ok(Framing::Empty);
        }
        match (self.encoding, self.content_length) {
            (Encoding::Chunked, _) => Ok(Framing::Chunked),
            (Encoding::Unchunked | Encoding::Spoilt, _) => Ok(Framing::UntilClose),
            (Encoding::Absent, ContentLength::Bad) => Err(HeadError::ContentLength),
            (Encoding::Absent, ContentLength::Bytes(bytes)) => Ok(Framing::Length(bytes)),
            (Encoding::Absent, ContentLength::Absent) => Ok(Framing::UntilClose),
        }
    }

    fn unfit(&self, status: u16, framing: Framing) -> Option<Unfit> {
        let is_encoded = self.encoding != Encoding::Absent;
        let has_length = self.content_length != ContentLength::Absent;
        // A 304 may repeat what a 200 would have said (RFC 9112 section 6.3); a 204 may not, but a length of 0
        // announces nothing.
        let announces_body =
            is_encoded || has_length && self.content_length != ContentLength::Bytes(0);
        [
            (is_encoded && has_length, Unfit::LengthAndEncoding),
            (is_encoded && self.http10, Unfit::EncodingInHttp10),
            (
                matches!(self.encoding, Encoding::Unchunked | Encoding::Spoilt),
                Unfit::UnknownEncoding,
            ),
            (
                is_bodiless(status) && status != 304 && announces_body,
                Unfit::ForbiddenBody,
            ),
            (self.lines.folded, Unfit::FoldedLine),
            (self.lines.bare_lf, Unfit::BareLf),
            (matches!(status, 408 | 421 | 425), Unfit::Status),
            (self.close, Unfit::CloseAsked),
            (self.http10 && !self.keep_alive, Unfit::Http10),
            (framing == Framing::UntilClose, Unfit::CloseDelimited),
        ]
        .into_iter()
        .find_map(|(holds, reason)| holds.then_some(reason))
    }

    /// The longest wait; seconds and a date are compared by the peer's own clock, without which seconds win.
    fn retry_after(&self) -> Option<RetryAfter> {
        let seconds = self.retry_seconds.map(RetryAfter::Seconds);
        let date = self.retry_date.map(RetryAfter::Date);
        match (seconds, date, self.date) {
            (Some(seconds), Some(date), Some(now)) if date.delay(now) > seconds.delay(now) => {
                Some(date)
            }
            _ => seconds.or(date),
        }
    }
}

/// 1xx, 204 and 304 have no body, whatever they say (RFC 9112 section 6.3, F32).
const fn is_bodiless(status: u16) -> bool {
    status < 200 || status == 204 || status == 304
}

/// The elements of a comma-separated list, empty ones left out (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Takes white space away at both ends; a fold is white space too (RFC 9112 section 5.2).
fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// A value as the RFC has it, or a decimal, as some servers write it, which is rounded up (F133); signs and anything
/// else are no value (F53).
fn parse_retry_after(value: &[u8]) -> Option<RetryAfter> {
    match parse_digits(value).or_else(|| parse_decimal(value)) {
        Some(seconds) => Some(RetryAfter::Seconds(seconds)),
        None => parse_http_date(value).map(RetryAfter::Date),
    }
}

/// Decimal digits and nothing else; what does not fit becomes the largest number.
fn parse_digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// Digits, a point and digits, rounded up.
fn parse_decimal(value: &[u8]) -> Option<u64> {
    let point = value.iter().position(|byte| *byte == b'.')?;
    let (whole, fraction) = (&value[..point], &value[point + 1..]);
    let (whole, fraction) = (parse_digits(whole)?, parse_digits(fraction)?);
    Some(whole.saturating_add(u64::from(fraction > 0)))
}

/// Decimal digits and nothing else, that fit.
fn parse_length(value: &[u8]) -> Option<u64> {
    str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}

/// How the lines of a head end.
#[derive(Default)]
pub(super) struct LineEnds {
    bare_lf: bool,
    folded: bool,
}

impl LineEnds {
    /// `head` was read without error, and has `fields` fields.
    pub(super) fn of(head: &[u8], fields: usize) -> LineEnds {
        let count = |wanted| head.iter().filter(|byte| **byte == wanted).count();
        let line_feeds = count(b'\n');
        LineEnds {
            // httparse lets a CR stand before an LF only, so each LF without one is bare.
            bare_lf: line_feeds != count(b'\r'),
            // Status line, fields, empty line: what is beyond that continues a field.
            folded: line_feeds != fields + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Head {
        let mut facts = Facts::new(false, LineEnds::default());
        for (name, value) in fields {
            facts.read(&Header {
                name,
                value: value.as_bytes(),
            });
        }
        facts.judge(503).unwrap()
    }

    #[test]
    fn f15_keep_alive_hints() {
        for (value, timeout, max) in [
            ("timeout=5, max=1", Some(5), Some(1)),
            ("timeout=5", Some(5), None),
            ("max=100", None, Some(100)),
            ("TIMEOUT = 5 ,Max= 0", Some(5), Some(0)),
            ("timeout=\"5\"", Some(5), None),
            ("timeout=0", Some(0), None),
            ("timeout=9, timeout=7, timeout=8", Some(7), None),
            (
                "timeout=99999999999999999999, max=4294967296",
                Some(u64::MAX),
                Some(u32::MAX),
            ),
            ("foo=1, timeout=5, bar", Some(5), None),
            ("timeout=-1", None, None),
            ("timeout=1.5", None, None),
            ("timeout=5s, max=", None, None),
            ("timeout", None, None),
            ("timeout=5=6", None, None),
            ("timeout=\"", None, None),
            ("=5", None, None),
            ("rubbish", None, None),
            ("", None, None),
        ] {
            let head = read(&[("Keep-Alive", value)]);
            assert_eq!(head.idle_hint, timeout.map(Duration::from_secs), "{value}");
            assert_eq!(head.uses_left, max, "{value}");
        }
        let head = read(&[
            ("keep-alive", "timeout=9"),
            ("Keep-Alive", "timeout=4, max=2"),
        ]);
        assert_eq!(
            (head.idle_hint, head.uses_left),
            (Some(Duration::from_secs(4)), Some(2))
        );
    }

    #[test]
    fn f53_retry_after_is_read_strictly_and_the_longest_counts() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
        let seconds = |n| Some(RetryAfter::Seconds(n));
        let date = |text: &str| parse_http_date(text.as_bytes()).map(RetryAfter::Date);
        assert!(date(DATE).is_some() && date(DATE) != date(LATER));
        let cases: &[(&[&str], Option<RetryAfter>)] = &[
            (&["0"], seconds(0)),
            (&["1"], seconds(1)),
            (&["0000120"], seconds(120)),
            (&["100000000000000000000"], seconds(u64::MAX)),
            (&[DATE], date(DATE)),
            (&["Sunday, 06-Nov-94 08:49:37 GMT"], date(DATE)),
            (&["Sun Nov  6 08:49:37 1994"], date(DATE)),
            (&["-1"], None),
            (&["+1"], None),
            // F133: a decimal is rounded up.
            (&["8.4"], seconds(9)),
            (&["299.997"], seconds(300)),
            (&["7.000"], seconds(7)),
            (&["0.1"], seconds(1)),
            (&["18446744073709551615.5"], seconds(u64::MAX)),
            (&["1."], None),
            (&[".5"], None),
            (&["1.5.0"], None),
            (&["-1.5"], None),
            (&["1,5"], None),
            (&["1, 2"], None),
            (&["soon"], None),
            (&[""], None),
            (&["Sun, 06 Nov 1994 08:49:37 UTC"], None),
            (&["5", "7", "6"], seconds(7)),
            (&["rubbish", "7"], seconds(7)),
            (&[LATER, DATE], date(LATER)),
            (&[DATE, "7"], seconds(7)),
        ];
        for (values, expected) in cases {
            let fields: Vec<_> = values.iter().map(|value| ("Retry-After", *value)).collect();
            assert_eq!(read(&fields).retry_after, *expected, "{values:?}");
        }
        let now = ("Date", "Sun, 06 Nov 1994 08:49:30 GMT");
        let both = |n| read(&[now, ("Retry-After", DATE), ("retry-after", n)]).retry_after;
        assert_eq!(both("6"), date(DATE));
        assert_eq!(both("8"), seconds(8));
    }

    #[test]
    fn the_first_readable_date_counts() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let head = read(&[
            ("Date", "yesterday"),
            ("date", date),
            ("Date", "Sun, 06 Nov 1994 09:49:37 GMT"),
        ]);
        assert_eq!(head.date, Some(Wall::from_unix_seconds(784_111_777)));
        assert_eq!(read(&[("Dates", date), ("Dat", date)]).date, None);
    }

    #[test]
    fn line_ends_are_counted() {
        for (head, fields, bare_lf, folded) in [
            (&b"s\r\na: b\r\n\r\n"[..], 1, false, false),
            (b"s\r\n\r\n", 0, false, false),
            (b"s\na: b\r\n\r\n", 1, true, false),
            (b"s\r\na: b\r\n c\r\n\r\n", 1, false, true),
            (b"s\r\na: b\n c\r\n\r\n", 1, true, true),
        ] {
            let lines = LineEnds::of(head, fields);
            assert_eq!((lines.bare_lf, lines.folded), (bare_lf, folded), "{head:?}");
        }
    }
}
