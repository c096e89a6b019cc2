//! The texts of values: how a number of seconds, a count, a size or a list is written.
//!
//! The same for flags, environment and file: plain decimal numbers, a fraction where seconds are meant, and
//! `k`, `m` or `g` (powers of 1024) after a size. Nothing is rounded and nothing is repaired.
//!
//! Not here: which setting takes what (`table`).

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use conduit::engine::policy::{AllowNet, Nat64Prefix, Statuses};
use conduit::wire::job_line::Headers;
use conduit::wire::json::{self, Elements, Kind as Shape};
use conduit::wire::signature::{Secret, SecretError, Secrets};

use crate::config::{BadValue, Listen};
use crate::io::log::quoted;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Digits after the point of a number of seconds: down to the nanosecond.
const FRACTION_DIGITS_MAX: usize = 9;

/// A number of seconds within `least..=most`, such as `10` or `2.5`.
///
/// # Errors
/// What was expected instead.
pub fn seconds(text: &OsStr, least: Duration, most: Duration) -> Result<Duration, BadValue> {
    text.to_str()
        .and_then(parse_seconds)
        .filter(|seconds| (least..=most).contains(seconds))
        .ok_or_else(|| {
            let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
            bad(text, format!("seconds from {least} to {most}"))
        })
}

/// A time as [`seconds`], written in minutes.
///
/// # Errors
/// What was expected instead.
pub fn minutes(text: &OsStr, least: Duration, most: Duration) -> Result<Duration, BadValue> {
    text.to_str()
        .and_then(parse_seconds)
        .and_then(|minutes| minutes.checked_mul(60))
        .filter(|time| (least..=most).contains(time))
        .ok_or_else(|| {
            let (least, most) = (least.as_secs_f64() / 60.0, most.as_secs_f64() / 60.0);
            bad(text, format!("minutes from {least} to {most}"))
        })
}

/// A number within `least..=most`, with a fraction if need be.
///
/// # Errors
/// What was expected instead.
pub fn rate(text: &OsStr, least: f64, most: f64) -> Result<f64, BadValue> {
    text.to_str()
        .filter(|text| parse_seconds(text).is_some())
        .and_then(|text| text.parse().ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| bad(text, format!("a number from {least} to {most}")))
}

/// A word of 1 to `most` letters, digits, hyphens, underscores and dots.
///
/// # Errors
/// What was expected instead.
pub fn word(text: &OsStr, most: usize) -> Result<String, BadValue> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.to_str()
        .filter(|text| (1..=most).contains(&text.len()) && text.bytes().all(is_plain))
        .map(str::to_owned)
        .ok_or_else(|| {
            let expected = "letters, digits, hyphens, underscores and dots";
            bad(text, format!("1 to {most} {expected}"))
        })
}

/// A whole number within `least..=most`.
///
/// # Errors
/// What was expected instead.
pub fn count(text: &OsStr, least: u64, most: u64) -> Result<u64, BadValue> {
    text.to_str()
        .and_then(parse_digits)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| bad(text, format!("a whole number from {least} to {most}")))
}

/// A number of bytes within `least..=most`, such as `65536` or `64k`.
///
/// # Errors
/// What was expected instead.
pub fn bytes(text: &OsStr, least: u64, most: u64) -> Result<u64, BadValue> {
    text.to_str()
        .and_then(parse_bytes)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let (least, most) = (size(least), size(most));
            bad(
                text,
                format!("a number of bytes from {least} to {most} (64k, 1m, 1g)"),
            )
        })
}

/// `true` or `false`.
///
/// # Errors
/// What was expected instead.
pub fn switch(text: &OsStr) -> Result<bool, BadValue> {
    match text.to_str() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) | None => Err(bad(text, "true or false".to_owned())),
    }
}

/// The name of a file, or of another place in the file system.
///
/// # Errors
/// What was expected instead.
pub fn path(text: &OsStr) -> Result<PathBuf, BadValue> {
    let bytes = text.as_encoded_bytes();
    let is_quoted = |quote: u8| bytes.len() > 1 && bytes[0] == quote && bytes.ends_with(&[quote]);
    let expected = if bytes.is_empty() || bytes.contains(&0) {
        "a file's name"
    } else if bytes.ends_with(b"\r") {
        "a file's name without a carriage return at its end (it comes from a text with Windows line ends)"
    } else if bytes.iter().any(u8::is_ascii_control) {
        "a file's name without control characters"
    } else if is_quoted(b'"') || is_quoted(b'\'') {
        "a file's name without quotes around it (whoever set it did not take them off)"
    } else {
        return Ok(PathBuf::from(text));
    };
    Err(bad(text, expected.to_owned()))
}

/// One of `words`, by its index.
///
/// # Errors
/// What was expected instead.
pub fn choice(text: &OsStr, words: &[&str]) -> Result<usize, BadValue> {
    words
        .iter()
        .position(|word| text == *word)
        .ok_or_else(|| bad(text, format!("one of {}", words.join(", "))))
}

/// Ports, separated by commas; an empty text is the empty list.
///
/// # Errors
/// What was expected instead, for the first entry that is no port.
pub fn ports(text: &OsStr) -> Result<Vec<u16>, BadValue> {
    list(text, |entry| {
        let port = count(OsStr::new(entry), 1, u64::from(u16::MAX))?;
        Ok(u16::try_from(port).expect("checked against u16::MAX"))
    })
}

/// NAT64 prefixes, separated by commas; an empty text is the empty list.
///
/// # Errors
/// What was expected instead, for the first entry that is none.
pub fn nat64_prefixes(text: &OsStr) -> Result<Vec<Nat64Prefix>, BadValue> {
    list(text, |entry| {
        let expected = "an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits, such as 64:ff9b::/96";
        Nat64Prefix::parse(entry).ok_or_else(|| bad(OsStr::new(entry), expected.to_owned()))
    })
}

/// User ids, separated by commas; an empty text is the empty list.
///
/// # Errors
/// What was expected instead, for the first entry that is none.
pub fn uids(text: &OsStr) -> Result<Vec<u32>, BadValue> {
    list(text, |entry| {
        // The last one means "no user" to the system.
        let uid = count(OsStr::new(entry), 0, u64::from(u32::MAX) - 1)?;
        Ok(u32::try_from(uid).expect("checked against u32::MAX"))
    })
}

/// An address to listen at, or `none`.
///
/// # Errors
/// What was expected instead.
pub fn listen(text: &OsStr) -> Result<Listen, BadValue> {
    let words = text.to_str().unwrap_or_default();
    if words == "none" {
        return Ok(Listen::Nowhere);
    }
    let expected = || "an IP address and a port, as in 127.0.0.1:5000, or none".to_owned();
    let address = words.parse().map_err(|_| bad(text, expected()))?;
    Ok(Listen::At(address))
}

/// Address ranges, separated by commas; an empty text is the empty list.
///
/// # Errors
/// What was expected instead, for the first entry that is no range.
pub fn nets(text: &OsStr) -> Result<Vec<AllowNet>, BadValue> {
    list(text, |entry| {
        AllowNet::parse(entry).map_err(|error| bad(OsStr::new(entry), error.expected()))
    })
}

/// Numbers of seconds within `least..=most`, separated by commas; an empty text is the empty list.
///
/// # Errors
/// What was expected instead, for the first entry that is none.
pub fn schedule(text: &OsStr, least: Duration, most: Duration) -> Result<Vec<Duration>, BadValue> {
    list(text, |entry| seconds(OsStr::new(entry), least, most))
}

/// Statuses and classes of them, separated by commas; an empty text is the empty set.
///
/// # Errors
/// What was expected instead, for the first entry that is none.
pub fn statuses(text: &OsStr) -> Result<Statuses, BadValue> {
    let mut statuses = Statuses::default();
    list(text, |entry| Ok(entry.to_owned()))?
        .into_iter()
        .try_for_each(|entry| {
            let expected = "statuses from 300 to 599, or 3xx, 4xx, 5xx";
            let added = statuses.add(&entry);
            added
                .then_some(())
                .ok_or_else(|| bad(OsStr::new(&entry), expected.to_owned()))
        })?;
    Ok(statuses)
}

/// Header fields, as a checked JSON object; `{}` is none of them.
///
/// # Errors
/// What is wrong, without any value.
pub fn headers(text: &OsStr) -> Result<Headers, BadValue> {
    let read = text.to_str().filter(|text| json::check(text).is_ok());
    let wrong = |what: String| BadValue {
        expected: what,
        found: "other headers".to_owned(),
    };
    Headers::parse(read.ok_or_else(|| wrong("JSON".to_owned()))?)
        .map_err(|error| wrong(error.to_string()))
}

/// Secrets, as a JSON string or an array of them; `[]` is none.
///
/// # Errors
/// What is wrong, without anything of a secret.
pub fn secrets(text: &OsStr) -> Result<Secrets, BadValue> {
    let wrong = |what: String| BadValue {
        expected: what,
        found: "another secret".to_owned(),
    };
    let read = text.to_str().filter(|text| json::check(text).is_ok());
    let text = read.ok_or_else(|| wrong("JSON".to_owned()))?.trim();
    json_secrets(text).map_err(|(_, what)| wrong(what))
}

/// Secrets, as checked JSON.
///
/// # Errors
/// Which element of the array is wrong, and what is.
pub fn json_secrets(raw: &str) -> Result<Secrets, (Option<usize>, String)> {
    let one = |raw: &str| {
        let text = (Shape::of(raw) == Shape::String).then(|| json::unescape(raw).ok());
        let text = text.flatten().ok_or_else(|| {
            let found = Shape::of(raw).name();
            format!("expected a string, whsec_… or whsk_…, found {found}")
        })?;
        Secret::parse(&text).map_err(|error: SecretError| error.to_string())
    };
    if Shape::of(raw) != Shape::Array {
        let secret = one(raw).map_err(|what| (None, what))?;
        return Secrets::new(vec![secret]).map_err(|error| (None, error.to_string()));
    }
    let mut secrets = Vec::new();
    let mut elements = Elements::new(raw);
    while let Some(raw) = elements.next_element().expect("it was checked") {
        secrets.push(one(raw).map_err(|what| (Some(secrets.len()), what))?);
    }
    if secrets.is_empty() {
        return Ok(Secrets::default());
    }
    Secrets::new(secrets).map_err(|error| (None, error.to_string()))
}

/// A value that is not what was expected.
#[must_use]
pub fn bad(found: &OsStr, expected: String) -> BadValue {
    BadValue {
        expected,
        found: quoted(&found.to_string_lossy()),
    }
}

/// A number of bytes in the largest unit that leaves it whole.
#[must_use]
pub fn size(bytes: u64) -> String {
    for (unit, letter) in [(1 << 30, 'g'), (1 << 20, 'm'), (1 << 10, 'k')] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{letter}", bytes / unit);
        }
    }
    bytes.to_string()
}

fn list<T>(text: &OsStr, entry: impl Fn(&str) -> Result<T, BadValue>) -> Result<Vec<T>, BadValue> {
    let Some(text) = text.to_str() else {
        return Err(bad(text, "UTF-8".to_owned()));
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|word| entry(word.trim())).collect()
}

fn parse_digits(text: &str) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    parse_digits(digits)?.checked_mul(unit)
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    if fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let seconds = parse_digits(whole)?;
    let nanos = match fraction {
        "" => 0,
        digits => {
            let scale = 10_u128.pow((FRACTION_DIGITS_MAX - digits.len()) as u32);
            u128::from(parse_digits(digits)?) * scale
        }
    };
    debug_assert!(nanos < NANOS_PER_SECOND);
    Some(Duration::new(seconds, u32::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn seconds_may_have_a_fraction_and_nothing_else() {
        let day = Duration::from_secs(86_400);
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("10", Some(Duration::from_secs(10))),
            ("2.5", Some(Duration::from_millis(2500))),
            ("0.005", Some(Duration::from_millis(5))),
            ("0.000000001", Some(Duration::from_nanos(1))),
            ("86400", Some(day)),
            ("86400.1", None),
            ("0.0000000001", None),
            ("", None),
            (".", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("1_000", None),
            (" 1", None),
            ("10s", None),
            ("1.2.3", None),
            ("18446744073709551616", None),
            ("١", None),
        ] {
            let found = seconds(os(text), Duration::ZERO, day);
            assert_eq!(found.ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn minutes_are_sixty_seconds() {
        let (least, most) = (Duration::from_secs(6), Duration::from_secs(86_400));
        for (text, expected) in [
            ("5", Some(300)),
            ("0.5", Some(30)),
            ("1440", Some(86_400)),
            ("1440.1", None),
            ("0", None),
            ("", None),
            ("5m", None),
            ("18446744073709551615", None),
        ] {
            let found = minutes(os(text), least, most).ok();
            assert_eq!(found, expected.map(Duration::from_secs), "{text:?}");
        }
        let error = minutes(os("x"), least, most).unwrap_err();
        assert_eq!(error.expected, "minutes from 0.1 to 1440");
    }

    #[test]
    fn f142_a_file_s_name_has_no_quotes_and_no_line_end() {
        for (text, expected) in [
            ("sp", ""),
            ("/tmp/it's \"sp\"", ""),
            ("\"", ""),
            ("", "a file's name, found \"\""),
            (
                "\"sp\"",
                "without quotes around it (whoever set it did not take them off), found \"\\\"sp\\\"\"",
            ),
            ("'sp'", "without quotes around it"),
            (
                "sp\r",
                "without a carriage return at its end (it comes from a text with Windows line ends), found \"sp\\r\"",
            ),
            ("s\np", "without control characters, found \"s\\np\""),
        ] {
            let message = path(os(text)).err().map(|bad| bad.to_string());
            let message = message.unwrap_or_default();
            assert_eq!(
                message.is_empty(),
                expected.is_empty(),
                "{text:?}: {message}"
            );
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn rates_and_words() {
        for (text, expected) in [
            ("5", Some(5.0)),
            ("0.5", Some(0.5)),
            ("100", Some(100.0)),
            ("0.4", None),
            ("101", None),
            ("inf", None),
            ("1e1", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(rate(os(text), 0.5, 100.0).ok(), expected, "{text:?}");
        }
        for (text, is_one) in [
            ("eu-west_1.a", true),
            ("abcdefghijklmnop", true),
            ("abcdefghijklmnopq", false),
            ("", false),
            ("a b", false),
            ("ü", false),
        ] {
            assert_eq!(word(os(text), 16).is_ok(), is_one, "{text:?}");
        }
    }

    #[test]
    fn sizes_take_powers_of_1024() {
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("64k", Some(65_536)),
            ("64K", Some(65_536)),
            ("1m", Some(1 << 20)),
            ("2G", Some(2 << 30)),
            ("k", None),
            ("", None),
            ("1.5k", None),
            ("64kb", None),
            ("-1", None),
            ("3g", None),
            ("17179869184g", None),
        ] {
            let found = bytes(os(text), 0, 2 << 30);
            assert_eq!(found.ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn counts_are_whole_and_in_range() {
        for (text, expected) in [
            ("1", Some(1)),
            ("65535", Some(65_535)),
            ("007", Some(7)),
            ("0", None),
            ("65536", None),
            ("", None),
            ("5k", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(count(os(text), 1, 65_535).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_list_names_the_entry_that_is_wrong() {
        assert_eq!(ports(os("")), Ok(vec![]));
        assert_eq!(ports(os("22, 25")), Ok(vec![22, 25]));
        assert_eq!(
            ports(os("22,http")).unwrap_err().to_string(),
            r#"expected a whole number from 1 to 65535, found "http""#
        );
        assert_eq!(ports(os("22,")).unwrap_err().found, r#""""#);
        assert_eq!(nets(os("")), Ok(vec![]));
        let nets = nets(os("10.2.0.0/16:8443,::1/128")).unwrap();
        assert_eq!(nets.len(), 2);
        assert_eq!(nets[0].port, Some(8443));
        assert_eq!(nets[1].prefix, 128);
    }

    #[test]
    fn the_message_says_what_is_expected_and_what_was_there() {
        let most = Duration::from_secs(3600);
        for (error, expected) in [
            (
                count(os("abc"), 1, 65_535).unwrap_err(),
                r#"expected a whole number from 1 to 65535, found "abc""#,
            ),
            (
                seconds(os("soon"), Duration::from_millis(1), most).unwrap_err(),
                r#"expected seconds from 0.001 to 3600, found "soon""#,
            ),
            (
                bytes(os("1x"), 1024, 1 << 30).unwrap_err(),
                r#"expected a number of bytes from 1k to 1g (64k, 1m, 1g), found "1x""#,
            ),
            (
                choice(os("loud"), &["error", "off"]).unwrap_err(),
                r#"expected one of error, off, found "loud""#,
            ),
            (
                switch(os("a\nb\u{1b}[2J")).unwrap_err(),
                r#"expected true or false, found "a\nb\u001b[2J""#,
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
