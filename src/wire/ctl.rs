//! Control lines: `{"ctl":"drain","cancel":true}`, and the lines that answer them.
//!
//! A line is a control line if it is a JSON object with a `ctl` in it, right or wrong. The answer repeats `ctl`, so
//! that a client that asks several things knows which was answered.
//!
//! Not here: what may be asked (`request`), who may ask it, and what becomes of it (`intake/control`).

pub mod request;

use crate::wire::json::{self, Kind, Members};
use crate::wire::report::ErrorKind;
use crate::wire::text::push_json_string;

pub use self::request::{Cursor, LETTERS_MAX, Letters, Request, VERBS};

/// Characters of what was asked that an answer shows.
const SHOWN_CHARS_MAX: usize = 64;

/// A line that asks something of conduit itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtlLine {
    /// What `ctl` says, cut to what an answer shows; none if it is no string.
    pub verb: Option<Box<str>>,
    /// What that means, or what is wrong with it.
    pub request: Result<Request, Box<str>>,
}

impl CtlLine {
    /// Reads a line, without its line end; none if it is no control line.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<CtlLine> {
        let text = std::str::from_utf8(line).ok()?;
        let mut ctl = None;
        let mut rest = Vec::new();
        let mut members = Members::new(text);
        while let Some(member) = members.next_member().ok()? {
            match json::unescape(member.key).ok()? {
                key if key == "ctl" && ctl.is_none() => ctl = Some(member.value),
                key => rest.push((key, member.value)),
            }
        }
        let ctl = ctl?;
        let verb = (Kind::of(ctl) == Kind::String).then(|| json::unescape(ctl).ok());
        let verb = verb.flatten().map(|verb| shown(&verb));
        let request = match verb.as_deref() {
            Some(verb) => Request::read(verb, rest),
            None => Err(format!(
                "ctl: expected a string, one of {}",
                VERBS.join(", ")
            )),
        };
        Some(CtlLine {
            verb,
            request: request.map_err(Into::into),
        })
    }

    /// Appends the answer that it is done; `data` appends one JSON value.
    pub fn write_done(&self, out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
        self.write_start(out);
        out.extend_from_slice(b",\"ok\":true,\"data\":");
        data(out);
        out.extend_from_slice(b"}\n");
    }

    /// Appends the answer that it is not.
    pub fn write_refused(&self, out: &mut Vec<u8>, kind: ErrorKind, message: &str) {
        self.write_start(out);
        out.extend_from_slice(b",\"ok\":false,\"error\":{\"kind\":\"");
        out.extend_from_slice(kind.name().as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        push_json_string(out, message);
        out.extend_from_slice(b"}}\n");
    }

    fn write_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"ctl\":");
        match &self.verb {
            Some(verb) => push_json_string(out, verb),
            None => out.extend_from_slice(b"null"),
        }
    }
}

fn shown(text: &str) -> Box<str> {
    text.chars()
        .take(SHOWN_CHARS_MAX)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Option<Result<Request, String>> {
        let ctl = CtlLine::parse(line.as_bytes())?;
        Some(ctl.request.map_err(Into::into))
    }

    #[test]
    fn a_ctl_anywhere_in_the_object_makes_a_control_line() {
        for line in [
            "{\"ctl\":\"status\"}",
            " { \"ctl\" : \"status\" } ",
            "{\"c\\u0074l\":\"status\"}",
        ] {
            assert_eq!(request(line), Some(Ok(Request::Status)), "{line}");
        }
        for line in [
            "",
            "[]",
            "{}",
            "{\"url\":\"ctl\"}",
            "{\"payload\":{\"ctl\":\"status\"}}",
            "{\"ctl\":\"status\"",
            "\"ctl\"",
        ] {
            assert_eq!(request(line), None, "{line}");
        }
        assert_eq!(CtlLine::parse(b"{\"ctl\":\"\xff\"}"), None);
    }

    #[test]
    fn answers_repeat_what_was_asked_in_one_line() {
        let long = format!("{{\"ctl\":\"a\\n{}\"}}", "x".repeat(1000));
        let ctl = CtlLine::parse(long.as_bytes()).expect("a control line");
        let mut out = Vec::new();
        ctl.write_refused(&mut out, ErrorKind::Invalid, "no \"such\"");
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("{\"ctl\":\"a\\nxxx") && text.len() < 200,
            "{text}"
        );
        assert!(text.ends_with(
            "\",\"ok\":false,\"error\":{\"kind\":\"invalid\",\"message\":\"no \\\"such\\\"\"}}\n"
        ));
        let mut out = Vec::new();
        let ctl = CtlLine::parse(b"{\"ctl\":[]}").expect("a control line");
        ctl.write_done(&mut out, |out| out.extend_from_slice(b"{}"));
        assert_eq!(out, b"{\"ctl\":null,\"ok\":true,\"data\":{}}\n");
    }
}
