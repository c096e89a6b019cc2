//! What is wrong with a job line, in words that its writer can act on.
//!
//! Each says which field, what was found and what was expected. What was found is cut and escaped; the value of
//! a header, a secret, a body or a URL is never shown.
//!
//! Not here: finding it (`job_line`).

use std::fmt::{self, Write};

use crate::wire::base64;
use crate::wire::json::{self, Kind};
use crate::wire::request::FieldError;
use crate::wire::signature::SecretError;
use crate::wire::url::UrlError;

/// Characters of the line that an error shows.
pub const SHOWN_CHARS_MAX: usize = 64;

/// The names of the fields, in the order of [`Field`].
pub(crate) const NAMES: [&str; 13] = [
    "url",
    "id",
    "payload",
    "body",
    "bodyBase64",
    "type",
    "method",
    "headers",
    "timeout",
    "priority",
    "ttl",
    "secret",
    "dead",
];

/// A line that is no job.
#[derive(Debug, PartialEq)]
pub struct BadLine {
    /// The line's `id`, if it could be read.
    pub id: Option<Box<str>>,
    /// The first thing that is wrong.
    pub error: JobError,
}

/// What is wrong.
#[derive(Debug, PartialEq)]
pub enum JobError {
    /// A byte that is no UTF-8.
    Utf8 {
        /// Which, from 1.
        column: usize,
    },
    /// Not one JSON object.
    Json(json::Error),
    /// A field that must be there is not.
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// No field has this name.
    Unknown {
        /// The name, made fit to show.
        field: Box<str>,
        /// The field that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A field stands twice.
    Repeated {
        /// Its name.
        field: &'static str,
    },
    /// Two headers of one name, upper and lower case being the same.
    RepeatedHeader {
        /// The name of the second, made fit to show.
        name: Box<str>,
    },
    /// A wrong type, or a value out of range.
    Expected {
        /// The field's name.
        field: Box<str>,
        /// What it takes.
        expected: &'static str,
        /// What stood there, made fit to show.
        found: Box<str>,
    },
    /// Half a surrogate pair in a string.
    Surrogate {
        /// The field's name.
        field: Box<str>,
    },
    /// Two bodies.
    Bodies {
        /// The field that came first.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A body where the method takes none.
    BodyWithGet {
        /// The body's field.
        field: &'static str,
    },
    /// Not a URL that jobs may have.
    Url(UrlError),
    /// A name or value that no header field may have, or that jobs may not set.
    Field {
        /// The field's name.
        field: Box<str>,
        /// Why.
        error: FieldError,
    },
    /// Not base64.
    Base64(base64::Error),
    /// Not a secret, or not so many.
    Secret {
        /// The field, and which of a list, from 0.
        place: Box<str>,
        /// Why; it shows nothing of it.
        error: SecretError,
    },
    /// An id that could make the signed content mean something else (Standard Webhooks 1.0, "Signature scheme").
    DottedId,
}

impl JobError {
    /// Found `raw`, a piece of the line that may be shown; of objects and arrays only that they are such.
    pub(crate) fn expected(field: &str, expected: &'static str, raw: &str) -> JobError {
        if raw.starts_with(['{', '[']) {
            return JobError::kind(field, expected, raw);
        }
        JobError::Expected {
            field: shown(field),
            expected,
            found: shown(raw),
        }
    }

    /// Found `raw`, a checked value of which only the kind may be shown.
    pub(crate) fn kind(field: &str, expected: &'static str, raw: &str) -> JobError {
        JobError::Expected {
            field: shown(field),
            expected,
            found: Kind::of(raw).name().into(),
        }
    }

    pub(crate) fn surrogate(field: &str) -> JobError {
        JobError::Surrogate {
            field: shown(field),
        }
    }

    pub(crate) fn field(field: &str, error: FieldError) -> JobError {
        JobError::Field {
            field: shown(field),
            error,
        }
    }

    pub(crate) fn repeated_header(name: &str) -> JobError {
        JobError::RepeatedHeader { name: shown(name) }
    }

    pub(crate) fn unknown(key: &str) -> JobError {
        JobError::Unknown {
            field: shown(key),
            nearest: nearest(key),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Utf8 { column } => write!(
                f,
                "column {column}: expected UTF-8, found a byte that is none"
            ),
            JobError::Json(error) => error.fmt(f),
            JobError::Missing { field } => {
                write!(f, "{field}: expected a string, found no such field")
            }
            JobError::Unknown {
                field,
                nearest: None,
            } => {
                write!(f, "{field}: unknown field, expected one of ")?;
                for (n, name) in NAMES.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { ", " })?;
                    f.write_str(name)?;
                }
                Ok(())
            }
            JobError::Unknown {
                field,
                nearest: Some(nearest),
            } => {
                write!(f, "{field}: unknown field, did you mean {nearest}?")
            }
            JobError::Repeated { field } => write!(f, "{field}: expected once, found twice"),
            JobError::RepeatedHeader { name } => write!(
                f,
                "headers.{name}: expected once, found twice (upper and lower case are the same)"
            ),
            JobError::Expected {
                field,
                expected,
                found,
            } => {
                write!(f, "{field}: expected {expected}, found {found}")
            }
            JobError::Surrogate { field } => {
                write!(
                    f,
                    "{field}: expected characters, found half a surrogate pair in a \\u escape"
                )
            }
            JobError::Bodies { first, second } => write!(
                f,
                "{second}: expected at most one of payload, body and bodyBase64, found {first} too"
            ),
            JobError::BodyWithGet { field } => {
                write!(f, "{field}: expected no body with method GET, found one")
            }
            JobError::Url(error) => error.fmt(f),
            JobError::Field { field, error } => write!(f, "{field}: {error}"),
            JobError::Base64(error) => write!(f, "bodyBase64: {error}"),
            JobError::Secret { place, error } => write!(f, "{place}: {error}"),
            JobError::DottedId => {
                f.write_str("id: expected none with a dot, for the job is signed, found one")
            }
        }
    }
}

/// Cut to [`SHOWN_CHARS_MAX`], and without anything that moves a cursor or breaks a line.
fn shown(text: &str) -> Box<str> {
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            write!(shown, "\\u{:04x}", c as u32).expect("a string takes all");
        } else {
            shown.push(c);
        }
    }
    shown.into_boxed_str()
}

/// The field that a mistyped `key` was probably meant to be: at most a third of it is wrong.
fn nearest(key: &str) -> Option<&'static str> {
    // Longer than any name with its third: not worth the work, and a key may be a megabyte long.
    if key.len() > 16 {
        return None;
    }
    let key = key.to_ascii_lowercase();
    NAMES
        .iter()
        .map(|name| {
            (
                edit_distance(key.as_bytes(), name.to_ascii_lowercase().as_bytes()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many bytes must be inserted, removed or replaced to make `b` of `a` (Levenshtein).
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_field_is_recognised() {
        let table = [
            ("timeot", Some("timeout")),
            ("timeOut", Some("timeout")),
            ("time_out", Some("timeout")),
            ("URL", Some("url")),
            ("uri", Some("url")),
            ("ID", Some("id")),
            ("body_base64", Some("bodyBase64")),
            ("header", Some("headers")),
            ("Payload", Some("payload")),
            ("retries", None),
            ("x", None),
            ("", None),
            ("urlurlurlurlurlurl", None),
        ];
        for (key, expected) in table {
            assert_eq!(nearest(key), expected, "{key}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_tame() {
        assert_eq!(
            &*shown("a\u{1b}[31m\u{9b}\u{2028}é"),
            "a\\u001b[31m\\u009b\\u2028é"
        );
        assert_eq!(shown(&"é".repeat(64)).chars().count(), 64);
        let cut = shown(&"é".repeat(65));
        assert_eq!(cut.chars().count(), 65);
        assert!(cut.ends_with("é…"));
    }

    #[test]
    fn edit_distances() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edit_distance(a.as_bytes(), b.as_bytes()), expected);
            assert_eq!(edit_distance(b.as_bytes(), a.as_bytes()), expected);
        }
    }
}
