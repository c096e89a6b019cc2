//! What must not be shown of a receiver's answer, because it went out with the request: `***` stands in its place.
//!
//! Values of any length are masked, the longest where several fit. Where the bytes end inside a value, its beginning is
//! masked from [`CUT_PREFIX_BYTES_MIN`] bytes on. Of `Authorization` the credentials are masked without their scheme
//! too (RFC 9110 section 11.4), of secrets what follows their prefix: that is how they are echoed.
//!
//! Not here: which bytes are shown at all (`engine/exchange`), how they become text (`text`).

use std::borrow::Cow;

use crate::wire::signature::Secrets;

/// The prefix of a masked value that is masked too, if the bytes were cut inside the value: shorter ones tell
/// nothing, and turn up by chance.
pub const CUT_PREFIX_BYTES_MIN: usize = 4;

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
        let mut at = 0;
        while at < bytes.len() {
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
        if !value.is_empty() {
            self.values.push(value);
        }
    }
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
