//! The few fields of an X.509 certificate (RFC 5280 section 4.1) that no library here tells: as much DER as that takes.
//!
//! Not here: whether a signature is right, what names a certificate is for (webpki).

/// What a certificate says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// Unix seconds.
    pub not_before: u64,
    /// Unix seconds; still good in this second.
    pub not_after: u64,
    /// Who signed it, and whose it is: names, encoded.
    pub issuer: &'a [u8],
    /// Likewise.
    pub subject: &'a [u8],
    /// `SubjectPublicKeyInfo`, whole.
    pub public_key: &'a [u8],
    /// Neither `basicConstraints` nor `keyUsage` says that it signs no others.
    pub may_sign: bool,
}

const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` around the version, `[3]` around the extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

const BASIC_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x0f];
/// `keyCertSign` is bit 5, counted from the highest (RFC 5280 section 4.2.1.3).
const KEY_CERT_SIGN: u8 = 0x04;

/// An element: its tag, its contents, and all its bytes.
#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    contents: &'a [u8],
    whole: &'a [u8],
}

/// The bytes of the first element, which a certificate is; what stands behind it is left out.
#[must_use]
pub fn first_sequence(der: &[u8]) -> Option<&[u8]> {
    expect(&mut { der }, SEQUENCE).map(|element| element.whole)
}

/// What a certificate says, as far as it can be read.
#[must_use]
pub fn outline(certificate: &[u8]) -> Option<Outline<'_>> {
    let mut certificate = expect(&mut { certificate }, SEQUENCE)?.contents;
    let mut fields = expect(&mut certificate, SEQUENCE)?.contents;
    if fields.first() == Some(&VERSION) {
        next(&mut fields)?;
    }
    let _serial = next(&mut fields)?;
    let _signature = expect(&mut fields, SEQUENCE)?;
    let issuer = expect(&mut fields, SEQUENCE)?.contents;
    let mut validity = expect(&mut fields, SEQUENCE)?.contents;
    let subject = expect(&mut fields, SEQUENCE)?.contents;
    let public_key = expect(&mut fields, SEQUENCE)?.whole;
    let mut may_sign = true;
    while let Some(field) = next(&mut fields) {
        if field.tag == EXTENSIONS {
            may_sign = signs_others(expect(&mut { field.contents }, SEQUENCE)?.contents)?;
        }
    }
    Some(Outline {
        not_before: time(next(&mut validity)?)?,
        not_after: time(next(&mut validity)?)?,
        issuer,
        subject,
        public_key,
        may_sign,
    })
}

fn signs_others(mut extensions: &[u8]) -> Option<bool> {
    let mut may_sign = true;
    while !extensions.is_empty() {
        let mut extension = expect(&mut extensions, SEQUENCE)?.contents;
        let id = next(&mut extension)?.whole;
        let mut value = next(&mut extension)?;
        if value.tag == BOOLEAN {
            value = next(&mut extension)?;
        }
        if value.tag != OCTET_STRING {
            return None;
        }
        match id {
            BASIC_CONSTRAINTS => {
                let contents = expect(&mut { value.contents }, SEQUENCE)?.contents;
                let is_ca = next(&mut { contents }).filter(|first| first.tag == BOOLEAN);
                may_sign &= is_ca.is_some_and(|is_ca| is_ca.contents != [0]);
            }
            KEY_USAGE => {
                let bits = expect(&mut { value.contents }, BIT_STRING)?.contents;
                may_sign &= bits.get(1).is_some_and(|bits| bits & KEY_CERT_SIGN != 0);
            }
            _ => {}
        }
    }
    Some(may_sign)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5) as Unix seconds; 0 for whatever was before.
fn time(element: Element<'_>) -> Option<u64> {
    let digits = element.contents.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| {
        let digits = digits.iter().map(|digit| i64::from(digit - b'0'));
        digits.fold(0, |number, digit| number * 10 + digit)
    };
    let (year, rest) = match (element.tag, digits.len()) {
        // Two digits stand for 1950 to 2049.
        (UTC_TIME, 12) => (1950 + (number(&digits[..2]) + 50) % 100, &digits[2..]),
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let [month, day, hour, minute, second] =
        [0, 2, 4, 6, 8].map(|start| number(&rest[start..start + 2]));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_1970(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(u64::try_from(seconds).unwrap_or(0))
}

/// Days of the Gregorian calendar since 1970-01-01; March begins the year, so that leap days end it.
const fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - (month <= 2) as i64;
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn expect<'a>(der: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    next(der).filter(|element| element.tag == tag)
}

/// Takes the next element off the front.
fn next<'a>(der: &mut &'a [u8]) -> Option<Element<'a>> {
    let bytes = *der;
    let (tag, length) = (*bytes.first()?, *bytes.get(1)?);
    let (length, start) = match length {
        0..=0x7f => (usize::from(length), 2),
        // 0x80 has no length of its own, which DER forbids.
        0x81..=0x84 => {
            let of_length = usize::from(length & 0x7f);
            let digits = bytes.get(2..2 + of_length)?;
            let length = digits
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, 2 + of_length)
        }
        _ => return None,
    };
    let end = start.checked_add(length)?;
    let element = Element {
        tag,
        contents: bytes.get(start..end)?,
        whole: &bytes[..end],
    };
    *der = &bytes[end..];
    Some(element)
}
