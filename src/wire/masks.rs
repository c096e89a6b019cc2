//! What must not be shown of a receiver's answer, because it went out with the request: `***` stands in its place.
//!
//! Values of any length are masked, the longest where several fit. Where the bytes end inside a value, its beginning is
//! masked from [`CUT_PREFIX_BYTES_MIN`] bytes on. Of `Authorization` the credentials are masked without their scheme
//! too (RFC 9110 section 11.4), of secrets what follows their prefix: that is how they are echoed. Values of
//! [`CODED_BYTES_MIN`] bytes and more are also masked as JSON, URLs and base64 write them: what is shorter turns up in
//! those by chance.
//!
//! Not here: which bytes are shown at all (`engine/exchange`), how they become text (`text`).

use std::borrow::Cow;

use crate::wire::base64;
use crate::wire::signature::Secrets;
use crate::wire::text::push_json_bytes;

/// The prefix of a masked value that is masked too, if the bytes were cut inside the value: shorter ones tell
/// nothing, and turn up by chance.
pub const CUT_PREFIX_BYTES_MIN: usize = 4;

/// The least that a value has whose other spellings are masked too.
pub const CODED_BYTES_MIN: usize = 4;

/// What stands in place of a value.
pub const MASK: &[u8] = b"***";

/// Values that are not to be shown.
#[derive(Default)]
pub struct Masks<'a> {
    values: Vec<Cow<'a, [u8]>>,
}

impl<'a> Masks<'a> {
    /// Adds the values of header fields (`Name: value\r\n`, one after the other).
    pub fn add_fields(&mut self, fields: &'a [u8]) {
        for field in fields.split(|byte| *byte == b'\n') {
            let Some(colon) = field.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let value = field[colon + 1..].trim_ascii();
            self.add(Cow::Borrowed(value));
            if field[..colon].eq_ignore_ascii_case(b"authorization")
                && let Some(scheme) = value.iter().position(|byte| *byte == b' ')
            {
                self.add(Cow::Borrowed(value[scheme..].trim_ascii()));
            }
        }
    }

    /// Adds the query of a request's target, as a whole and the value of each of its parameters.
    pub fn add_query(&mut self, target: &'a str) {
        let Some((_, query)) = target.split_once('?') else {
            return;
        };
        self.add(Cow::Borrowed(query.as_bytes()));
        for parameter in query.split('&') {
            let value = parameter
                .split_once('=')
                .map_or(parameter, |(_, value)| value);
            // `?page=1` is no reason to mask every 1 of an answer.
            if value.len() >= CODED_BYTES_MIN {
                self.add(Cow::Borrowed(value.as_bytes()));
                let plain = percent_decoded(value.as_bytes());
                if plain != value.as_bytes() {
                    self.add(Cow::Owned(plain));
                }
            }
        }
    }

    /// Adds secrets.
    pub fn add_secrets(&mut self, secrets: &Secrets) {
        for text in secrets.texts() {
            if let Some((_, key)) = text.split_once('_') {
                self.add(Cow::Owned(key.as_bytes().to_vec()));
            }
            self.add(Cow::Owned(text.into_bytes()));
        }
    }

    /// Whether there is nothing to mask.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The bytes, with [`MASK`] in place of every value.
    #[must_use]
    pub fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut begins = [false; 256];
        for value in &self.values {
            begins[usize::from(value[0])] = true;
        }
        let mut at = 0;
        while at < bytes.len() {
            if !begins[usize::from(bytes[at])] {
                out.push(bytes[at]);
                at += 1;
                continue;
            }
            let lengths = self.values.iter().map(|value| overlap(&bytes[at..], value));
            match lengths.max() {
                None | Some(0) => {
                    out.push(bytes[at]);
                    at += 1;
                }
                Some(length) => {
                    out.extend_from_slice(MASK);
                    at += length;
                }
            }
        }
        out
    }

    fn add(&mut self, value: Cow<'a, [u8]>) {
        if value.is_empty() {
            return;
        }
        if value.len() >= CODED_BYTES_MIN {
            let is_new = |coded: &Vec<u8>| **coded != *value && coded.len() >= CODED_BYTES_MIN;
            let coded = spellings(&value).into_iter().filter(is_new);
            self.values.extend(coded.map(Cow::Owned));
        }
        self.values.push(value);
    }
}

/// How others write a value: escaped as in JSON, also with `\/`; percent-encoded, with both kinds of digits; in base64
/// of both alphabets, wherever in a longer text it stands.
fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut json = Vec::new();
    push_json_bytes(&mut json, value);
    let json = json[1..json.len() - 1].to_vec();
    let slashed = String::from_utf8_lossy(&json)
        .replace('/', "\\/")
        .into_bytes();
    let mut all = vec![json, slashed];
    for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        let mut coded = Vec::with_capacity(3 * value.len());
        for &byte in value {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    coded.push(byte);
                }
                _ => {
                    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                    coded.extend_from_slice(&[b'%', digits[high], digits[low]]);
                }
            }
        }
        all.push(coded);
    }
    for before in 0..3 {
        let mut text = String::new();
        base64::encode_to(&[&[0; 2][..before], value].concat(), &mut text);
        // Digits that hold bits of what stands before or behind it are not the value's alone.
        let (from, to) = ([0, 2, 3][before], (before + value.len()) * 8 / 6);
        let inner = text.as_bytes()[from..to].to_vec();
        let url = inner.iter().map(|digit| match digit {
            b'+' => b'-',
            b'/' => b'_',
            digit => *digit,
        });
        all.push(url.collect());
        all.push(inner);
    }
    all
}

fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, behind @ ..] = rest {
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &behind[2..];
            }
            _ => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

/// The length of `value` if `bytes` start with it; all of `bytes` if they end inside it.
fn overlap(bytes: &[u8], value: &[u8]) -> usize {
    if bytes.len() >= value.len() {
        return if bytes.starts_with(value) {
            value.len()
        } else {
            0
        };
    }
    if bytes.len() >= CUT_PREFIX_BYTES_MIN && value.starts_with(bytes) {
        return bytes.len();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::signature::Secret;

    fn masked(bytes: &[u8], fields: &[u8]) -> Vec<u8> {
        let mut masks = Masks::default();
        masks.add_fields(fields);
        masks.apply(bytes)
    }

    #[test]
    fn a_response_repeats_no_value_of_a_header() {
        let fields = b"Authorization: Bearer abcdef\r\nX-Key: k1:k2\r\nX-Long: k1:k2:k3\r\nX-One: 7\r\nX-None: \r\n";
        let table: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"nothing", b"nothing"),
            (b"got 'Bearer abcdef'!", b"got '***'!"),
            (b"token abcdef", b"token ***"),
            (b"Bearer only", b"Bearer only"),
            (b"k1:k2", b"***"),
            (b"k1:k2:k3k1:k2", b"******"),
            (b"k1:k2:k", b"***"),
            (b"a7b77", b"a***b******"),
            (b"cut: Bearer abc", b"cut: ***"),
            (b"cut: Bear", b"cut: ***"),
            (b"cut: Bea", b"cut: Bea"),
            (b"cut: abcd", b"cut: ***"),
            (b"X-Key", b"X-Key"),
            (b"\xffabcdef\xe6\xbc", b"\xff***\xe6\xbc"),
        ];
        for (bytes, expected) in table {
            assert_eq!(
                masked(bytes, fields).escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
        assert_eq!(masked(b"7\x00\xc3\xa9", b""), b"7\x00\xc3\xa9");
    }

    #[test]
    fn a_response_repeats_no_value_however_it_is_spelt() {
        let mut masks = Masks::default();
        let fields = b"X-Key: pa/s \"wo+rd?\r\nX-Short: ab\r\n";
        masks.add_fields(fields);
        masks.add_query("/hook?token=s3cr%2Fet&page=1&wide=on");
        let in_base64 = |text: &str| {
            let mut out = String::new();
            base64::encode_to(text.as_bytes(), &mut out);
            out
        };
        let value = "pa/s \"wo+rd?";
        for (text, expected) in [
            (
                "{\"key\":\"pa/s \\\"wo+rd?\"}".to_owned(),
                "{\"key\":\"***\"}",
            ),
            (
                "{\"key\":\"pa\\/s \\\"wo+rd?\"}".to_owned(),
                "{\"key\":\"***\"}",
            ),
            ("k=pa%2Fs%20%22wo%2Brd%3F&".to_owned(), "k=***&"),
            ("k=pa%2fs%20%22wo%2brd%3f&".to_owned(), "k=***&"),
            ("got s3cr%2Fet".to_owned(), "got ***"),
            ("got s3cr/et".to_owned(), "got ***"),
            ("token=s3cr%2Fet&page=1&wide=on!".to_owned(), "***!"),
            ("page 1 is on ab".to_owned(), "page 1 is on ***"),
            ("YWI= is ab in base64".to_owned(), "YWI= is *** in base64"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&masks.apply(text.as_bytes())),
                expected
            );
        }
        for before in ["", "a", "ab", "abc"] {
            let echoed = in_base64(&format!("{before}{value}xyz"));
            let shown = masks.apply(echoed.as_bytes());
            let shown = String::from_utf8_lossy(&shown);
            assert!(
                shown.contains("***") && shown.len() < 18,
                "{echoed}: {shown}"
            );
        }
    }

    #[test]
    fn a_response_repeats_no_secret_with_or_without_its_prefix() {
        let texts = [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
        ];
        let secrets = texts.map(|text| Secret::parse(text).expect("a secret"));
        let secrets = Secrets::new(secrets.into()).expect("two");
        let mut masks = Masks::default();
        masks.add_secrets(&secrets);
        for text in texts {
            let key = &text[text.find('_').expect("a prefix") + 1..];
            for shown in [text, key, &text[..20]] {
                assert_eq!(masks.apply(format!("no {shown}").as_bytes()), b"no ***");
            }
        }
        assert_eq!(
            masks.apply(b"whsec_ is the prefix"),
            b"whsec_ is the prefix"
        );
    }
}
