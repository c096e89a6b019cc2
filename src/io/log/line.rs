//! One log line as text or JSON: escaping, quoting, cutting.
//!
//! Whatever goes in, out comes one line: its only control character is the newline at its end. In text, a
//! value that could be taken for anything but a value is quoted.
//!
//! Not here: where lines go, and what is worth one (`super`).

use std::fmt::Write as _;

use conduit::base::time::Wall;
use conduit::wire::dates::write_rfc3339_millis;
use conduit::wire::text::{escape_steering, steers};
use log::kv::{self, VisitSource, VisitValue};
use log::{Level, Record};

/// Bytes of a field's value, before it is escaped; what is longer is cut there.
const VALUE_BYTES_MAX: usize = 256;

/// Bytes of a message, likewise.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Stands where something was cut.
const CUT: char = '…';

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message, then `key=value`.
    Text,
    /// One JSON object.
    Json,
}

/// The line of a record, with the newline.
pub fn of_record(format: Format, time: Wall, record: &Record<'_>) -> String {
    let mut line = Line::start(format, time, record.level(), *record.args());
    record
        .key_values()
        .visit(&mut line)
        .expect("a line takes every field");
    line.finish()
}

/// The line of a panic.
pub fn of_panic(
    format: Format,
    time: Wall,
    thread: &str,
    words: &str,
    place: Option<&str>,
) -> String {
    let mut line = Line::start(format, time, Level::Error, format_args!("panic: {words}"));
    line.text("thread", thread);
    if let Some(place) = place {
        line.text("place", place);
    }
    line.finish()
}

/// Writes `text` behind `into`, escaped as in JSON: quotes, backslashes, and whatever steers what shows it.
pub fn escape(text: &str, into: &mut String) {
    escape_but(text, into, |_| false);
}

/// A foreign text as a person reads it: nothing in it steers the terminal; line ends stay if `has_lines`.
#[must_use]
pub fn printable(text: &str, has_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    escape_but(text, &mut out, |letter| {
        matches!(letter, '"' | '\\') || (letter == '\n' && has_lines)
    });
    out
}

/// A foreign text as it may stand in a message: quoted, escaped, cut after 64 bytes.
#[must_use]
pub fn quoted(text: &str) -> String {
    const QUOTED_BYTES_MAX: usize = 64;
    let mut out = String::with_capacity(text.len().min(QUOTED_BYTES_MAX) + 8);
    quote(text, QUOTED_BYTES_MAX, &mut out);
    out
}

/// A line under way.
struct Line {
    format: Format,
    out: String,
}

impl Line {
    fn start(format: Format, time: Wall, level: Level, message: std::fmt::Arguments<'_>) -> Line {
        let mut out = String::with_capacity(256);
        let message = match message.as_str() {
            Some(words) => std::borrow::Cow::Borrowed(words),
            None => std::borrow::Cow::Owned(message.to_string()),
        };
        match format {
            Format::Text => {
                write_rfc3339_millis(time, &mut out);
                out.push(' ');
                out.push_str(level.as_str());
                out.push(' ');
                // A message is not quoted, so quotes in it mislead nobody.
                let (kept, cut) = cut(&message, MESSAGE_BYTES_MAX);
                escape_but(kept, &mut out, |letter| letter == '"');
                out.extend(cut);
            }
            Format::Json => {
                out.push_str("{\"time\":\"");
                write_rfc3339_millis(time, &mut out);
                out.push_str("\",\"level\":\"");
                out.push_str(&level.as_str().to_ascii_lowercase());
                out.push_str("\",\"message\":");
                quote(&message, MESSAGE_BYTES_MAX, &mut out);
            }
        }
        Line { format, out }
    }

    fn key(&mut self, key: &str) {
        match self.format {
            Format::Text => {
                self.out.push(' ');
                self.out.push_str(key);
                self.out.push('=');
            }
            Format::Json => {
                self.out.push(',');
                quote(key, VALUE_BYTES_MAX, &mut self.out);
                self.out.push(':');
            }
        }
    }

    /// A field whose value is a text.
    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        match self.format {
            Format::Text if is_bare(value) => self.out.push_str(value),
            Format::Text | Format::Json => quote(value, VALUE_BYTES_MAX, &mut self.out),
        }
    }

    /// A field whose value is the same in both formats: a number, true, false, null.
    fn plain(&mut self, key: &str, value: std::fmt::Arguments<'_>) {
        self.key(key);
        self.out
            .write_fmt(value)
            .expect("a String takes what is written");
    }

    fn finish(mut self) -> String {
        if self.format == Format::Json {
            self.out.push('}');
        }
        self.out.push('\n');
        self.out
    }
}

impl<'kvs> VisitSource<'kvs> for Line {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(Field {
            line: self,
            key: key.as_str(),
        })
    }
}

/// One field on its way into a line.
struct Field<'a> {
    line: &'a mut Line,
    key: &'a str,
}

impl<'v> VisitValue<'v> for Field<'_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.line.text(self.key, &value.to_string());
        Ok(())
    }

    /// A field without a value is left out.
    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.line.plain(self.key, format_args!("{value}"));
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.line.plain(self.key, format_args!("{value}"));
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        if value.is_finite() {
            self.line.plain(self.key, format_args!("{value}"));
        } else {
            self.line.plain(self.key, format_args!("null"));
        }
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.line.plain(self.key, format_args!("{value}"));
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.line.text(self.key, value);
        Ok(())
    }
}

/// Whether a value can stand without quotes: nobody could take a part of it for another field.
fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= VALUE_BYTES_MAX
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='))
}

fn quote(text: &str, bytes_max: usize, into: &mut String) {
    let (kept, cut) = cut(text, bytes_max);
    into.push('"');
    escape(kept, into);
    into.extend(cut);
    into.push('"');
}

/// The text up to `bytes_max` bytes, cut between characters, and what marks the cut.
fn cut(text: &str, bytes_max: usize) -> (&str, Option<char>) {
    let end = text.floor_char_boundary(bytes_max);
    (&text[..end], (end < text.len()).then_some(CUT))
}

fn escape_but(text: &str, into: &mut String, spared: impl Fn(char) -> bool) {
    for letter in text.chars() {
        match letter {
            _ if spared(letter) => into.push(letter),
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            _ if steers(letter) => escape_steering(letter, |part| into.push_str(part)),
            _ => into.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Wall = Wall::from_unix_nanos(1_795_494_901_123_456_789);

    fn render(format: Format, message: &str, fields: &[(&str, kv::Value<'_>)]) -> String {
        of_record(
            format,
            TIME,
            &Record::builder()
                .level(Level::Warn)
                .args(format_args!("{message}"))
                .key_values(&fields)
                .build(),
        )
    }

    #[test]
    fn a_line_in_both_formats() {
        let fields = [
            ("origin", kv::Value::from("https://a.example:8443")),
            ("attempt", kv::Value::from(2_u32)),
            ("ms", kv::Value::from(3.25)),
            ("reused", kv::Value::from(true)),
            ("status", kv::Value::null()),
            ("error", kv::Value::from("head: 10 s ran out")),
        ];
        assert_eq!(
            render(Format::Text, "attempt failed", &fields[..5]),
            "2026-11-24T04:35:01.123Z WARN attempt failed origin=https://a.example:8443 attempt=2 \
             ms=3.25 reused=true\n"
        );
        assert_eq!(
            render(Format::Json, "attempt failed", &fields[..5]),
            "{\"time\":\"2026-11-24T04:35:01.123Z\",\"level\":\"warn\",\"message\":\"attempt failed\",\
             \"origin\":\"https://a.example:8443\",\"attempt\":2,\"ms\":3.25,\"reused\":true}\n"
        );
        assert_eq!(
            render(Format::Text, "x", &fields[5..]),
            "2026-11-24T04:35:01.123Z WARN x error=\"head: 10 s ran out\"\n"
        );
    }

    #[test]
    fn a_panic_is_one_line_with_thread_and_place() {
        assert_eq!(
            of_panic(
                Format::Text,
                TIME,
                "engine 1",
                "left\nright",
                Some("src/a.rs:1:2")
            ),
            "2026-11-24T04:35:01.123Z ERROR panic: left\\nright thread=\"engine 1\" place=src/a.rs:1:2\n"
        );
        assert_eq!(
            of_panic(Format::Json, TIME, "main", "x", None),
            "{\"time\":\"2026-11-24T04:35:01.123Z\",\"level\":\"error\",\"message\":\"panic: x\",\
             \"thread\":\"main\"}\n"
        );
    }

    #[test]
    fn a_value_cannot_pass_for_another_field() {
        for (value, expected) in [
            ("plain", "plain"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("1 level=error", r#""1 level=error""#),
            ("a=b", r#""a=b""#),
            (r#"say "x""#, r#""say \"x\"""#),
            (r"C:\n", r#""C:\\n""#),
            ("é", "\"é\""),
        ] {
            let line = render(Format::Text, "x", &[("v", kv::Value::from(value))]);
            assert_eq!(
                line,
                format!("2026-11-24T04:35:01.123Z WARN x v={expected}\n")
            );
        }
    }

    #[test]
    fn no_input_forges_a_line() {
        let foul = "a\nb\r\x1b[31m\x00\x7f\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\t";
        let escaped =
            "a\\nb\\r\\u001b[31m\\u0000\\u007f\\u0085\\u009b\\u2028\\u2029\\u202e\\u2066\\ufeff\\t";
        for format in [Format::Text, Format::Json] {
            let line = render(format, foul, &[("v", kv::Value::from(foul))]);
            assert_eq!(line.matches(escaped).count(), 2, "{line}");
            assert_eq!(line.matches(char::is_control).count(), 1, "{line:?}");
            assert!(line.ends_with('\n'));
        }
    }

    #[test]
    fn every_character_gives_one_line_of_json() {
        let every: Vec<char> = ('\0'..=char::MAX).collect();
        for some in every.chunks(60) {
            let text: String = some.iter().collect();
            let line = render(Format::Json, &text, &[("v", kv::Value::from(&*text))]);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["v"], *text);
            assert_eq!(read["message"], *text);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "é".repeat(1000);
        let fields = [("v", kv::Value::from(&*long))];
        for format in [Format::Text, Format::Json] {
            let line = render(format, "x", &fields);
            assert_eq!(line.matches('é').count(), VALUE_BYTES_MAX / 2);
            assert!(line.contains("é…\""), "{line}");
        }
        let exact = "a".repeat(VALUE_BYTES_MAX);
        let line = render(Format::Text, "x", &[("v", kv::Value::from(&*exact))]);
        assert!(line.ends_with(&format!("v={exact}\n")));
        let line = render(Format::Text, &"x".repeat(5000), &[]);
        assert_eq!(line.matches('x').count(), MESSAGE_BYTES_MAX);
        let odd = format!("a{}", "é".repeat(500));
        let (kept, mark) = cut(&odd, 256);
        assert_eq!((kept.len(), mark), (255, Some(CUT)));
    }

    #[test]
    fn numbers_that_json_lacks_are_null() {
        let fields = [("v", kv::Value::from(f64::NAN))];
        assert!(render(Format::Json, "x", &fields).ends_with("\"v\":null}\n"));
    }

    #[test]
    fn a_foreign_word_in_a_message_is_quoted_and_short() {
        assert_eq!(quoted("abc"), r#""abc""#);
        assert_eq!(quoted("a\n\"b"), r#""a\n\"b""#);
        let long = quoted(&"x".repeat(100));
        assert_eq!(long, format!("\"{}…\"", "x".repeat(64)));
    }
}
