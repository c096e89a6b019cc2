//! Base64 as RFC 4648 section 4 has it: the standard alphabet, padded, and nothing tolerated beside it.
//!
//! A [`Base64`] is checked once; decoding it cannot fail, nor can encoding ([`encode_to`]). White space, missing
//! padding and bits set beyond the last byte are errors (section 3.5), so that a text stands for its bytes in one way
//! only.

use std::borrow::Cow;
use std::fmt;

/// A checked text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64<'a>(Cow<'a, str>);

/// Why a text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Its length is no multiple of 4.
    Length(usize),
    /// A byte outside the alphabet, or padding where none may stand, at this byte, from 1.
    Byte(usize),
    /// The last character carries bits that belong to no byte.
    LooseBits,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE: u8 = 0xff;
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut n = 0;
    while n < 64 {
        values[ALPHABET[n] as usize] = n as u8;
        n += 1;
    }
    values
}

impl<'a> Base64<'a> {
    /// Checks all of the text.
    pub fn parse(text: Cow<'a, str>) -> Result<Base64<'a>, Error> {
        if !text.len().is_multiple_of(4) {
            return Err(Error::Length(text.len()));
        }
        let digits = unpadded(&text).as_bytes();
        if let Some(at) = digits
            .iter()
            .position(|byte| VALUES[usize::from(*byte)] == NONE)
        {
            return Err(Error::Byte(at + 1));
        }
        let loose = match digits.len() % 4 {
            0 => 0,
            2 => 0b1111,
            3 => 0b11,
            _ => return Err(Error::Byte(digits.len() + 1)),
        };
        match digits.last() {
            Some(last) if VALUES[usize::from(*last)] & loose != 0 => Err(Error::LooseBits),
            _ => Ok(Base64(text)),
        }
    }

    /// How many bytes it stands for.
    #[must_use]
    pub fn decoded_len(&self) -> usize {
        unpadded(&self.0).len() * 3 / 4
    }

    /// Appends the bytes that it stands for.
    pub fn decode_to(&self, into: &mut Vec<u8>) {
        let digits = unpadded(&self.0).as_bytes();
        for group in digits.chunks(4) {
            let mut bits = 0_u32;
            for (n, digit) in group.iter().enumerate() {
                bits |= u32::from(VALUES[usize::from(*digit)]) << (26 - 6 * n);
            }
            into.extend_from_slice(&bits.to_be_bytes()[..group.len() * 3 / 4]);
        }
    }
}

/// How long the text of so many bytes is.
#[must_use]
pub const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Appends the text of these bytes.
pub fn encode_to(bytes: &[u8], into: &mut String) {
    for group in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for n in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * n)) as usize & 63];
            into.push(if n <= group.len() { digit as char } else { '=' });
        }
    }
}

/// Without the padding: at most two signs, and those only at the end.
fn unpadded(text: &str) -> &str {
    let text = text.strip_suffix('=').unwrap_or(text);
    text.strip_suffix('=').unwrap_or(text)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Length(found) => {
                write!(
                    f,
                    "expected base64 with padding, so a multiple of 4 characters, found {found}"
                )
            }
            Error::Byte(at) => write!(
                f,
                "expected standard base64 (A-Z a-z 0-9 + / and padding), found something else at character {at}"
            ),
            Error::LooseBits => {
                f.write_str("expected base64 whose last character carries no loose bits")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Vec<u8>, Error> {
        let base64 = Base64::parse(Cow::Borrowed(text))?;
        let mut bytes = Vec::new();
        base64.decode_to(&mut bytes);
        assert_eq!(bytes.len(), base64.decoded_len());
        Ok(bytes)
    }

    #[test]
    fn rfc_4648_section_10_vectors() {
        let table = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, bytes) in table {
            assert_eq!(decode(text).as_deref(), Ok(bytes.as_bytes()), "{text}");
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(decode("+/+/").as_deref(), Ok(&[0xfb, 0xff, 0xbf][..]));
        assert_eq!(encode(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn every_byte_survives_at_every_place() {
        for byte in 0..=255_u8 {
            for len in 1..=5 {
                let bytes = vec![byte; len];
                assert_eq!(decode(&encode(&bytes)), Ok(bytes));
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let table = [
            ("Zg", Error::Length(2)),
            ("Zg=", Error::Length(3)),
            ("Zm9v\n", Error::Length(5)),
            ("Zm 9", Error::Byte(3)),
            ("Zm-_", Error::Byte(3)),
            ("Z===", Error::Byte(2)),
            ("====", Error::Byte(1)),
            ("Zg==Zg==", Error::Byte(3)),
            ("é==", Error::Byte(1)),
            ("Zh==", Error::LooseBits),
            ("Zm9=", Error::LooseBits),
        ];
        for (text, error) in table {
            assert_eq!(decode(text), Err(error), "{text}");
        }
    }

    fn encode(bytes: &[u8]) -> String {
        let mut text = String::new();
        encode_to(bytes, &mut text);
        assert_eq!(text.len(), encoded_len(bytes.len()));
        text
    }
}
