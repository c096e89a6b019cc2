//! What is mistaken for job lines: JSON over several lines, an array, UTF-16, YAML.
//!
//! A line that is whole by itself may still be a part of something larger: an element of an array that is written with
//! one element a line. Such a part is no job: whoever wrote it meant something else, and half of an array must not be
//! delivered by accident. What a line says of the next is forgotten with that, so a torn line harms one other at most.
//!
//! Not here: what a job line is (`job_line`).

use std::fmt;

/// What lines look like that are no jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistaken {
    /// One object over several lines.
    Pretty,
    /// An array of objects.
    Array,
    /// Two bytes a character.
    Utf16,
    /// `url: https://…`
    Yaml,
}

/// What the lines of a stream have said so far of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    expects_part: bool,
}

impl Mistaken {
    /// What a line looks like that is no job.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Mistaken> {
        if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = line {
            return Some(Mistaken::Utf16);
        }
        let line = line.trim_ascii();
        let zeros = line.iter().filter(|byte| **byte == 0).count();
        if zeros * 3 >= line.len() && line.len() >= 4 {
            return Some(Mistaken::Utf16);
        }
        match line {
            b"[" | [b'[', b'{', ..] | b"[]" => Some(Mistaken::Array),
            b"{" => Some(Mistaken::Pretty),
            b"---" => Some(Mistaken::Yaml),
            _ => {
                let text = line.strip_prefix(b"- ").unwrap_or(line);
                let key = text.split(|byte| *byte == b':').next().unwrap_or_default();
                let is_key = key.len() < text.len()
                    && !key.is_empty()
                    && key.iter().all(u8::is_ascii_alphanumeric);
                let rest = text.get(key.len() + 1..).unwrap_or_default();
                let is_yaml = is_key && (rest.is_empty() || rest.starts_with(b" "));
                is_yaml.then_some(Mistaken::Yaml)
            }
        }
    }
}

impl Shape {
    /// Whether the next line is a part of something larger, whatever it is by itself.
    #[must_use]
    pub const fn expects_part(self) -> bool {
        self.expects_part
    }

    /// Takes note of a line that is not blank; `is_whole`: it is JSON by itself.
    pub fn on_line(&mut self, line: &[u8], is_whole: bool) {
        let line = line.trim_ascii_end();
        let goes_on = [&b"["[..], b"},", b":"];
        self.expects_part = !is_whole && goes_on.iter().any(|end| line.ends_with(end));
    }
}

impl fmt::Display for Mistaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mistaken::Pretty => {
                "this looks like JSON over several lines, expected one object a line (jq -c . makes it)"
            }
            Mistaken::Array => {
                "this looks like a JSON array, expected one object a line (jq -c '.[]' makes it)"
            }
            Mistaken::Utf16 => "this looks like UTF-16, expected UTF-8 (iconv -f UTF-16 -t UTF-8)",
            Mistaken::Yaml => "this looks like YAML, expected JSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f143_what_is_mistaken_for_job_lines_is_recognised() {
        for (line, expected) in [
            ("{", Some(Mistaken::Pretty)),
            ("  {\r", Some(Mistaken::Pretty)),
            ("[", Some(Mistaken::Array)),
            (r#"[{"url":"https://a.test/"},"#, Some(Mistaken::Array)),
            ("---", Some(Mistaken::Yaml)),
            ("url: https://a.test/", Some(Mistaken::Yaml)),
            ("- url: https://a.test/", Some(Mistaken::Yaml)),
            ("payload:", Some(Mistaken::Yaml)),
            ("{\0\"\0u\0r\0", Some(Mistaken::Utf16)),
            ("\0{\0\"\0u\0", Some(Mistaken::Utf16)),
            (r#"{"url":1}"#, None),
            (r#"{"url":"https://a.test/""#, None),
            ("https://a.test/", None),
            (r#"  "url": "https://a.test/","#, None),
            ("}", None),
            ("", None),
        ] {
            assert_eq!(Mistaken::of(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(Mistaken::of(b"\xff\xfe{\0"), Some(Mistaken::Utf16));
        assert_eq!(Mistaken::of(b"\xfe\xff\0{"), Some(Mistaken::Utf16));
    }

    #[test]
    fn f143_a_line_says_whether_the_next_is_a_part_and_no_more() {
        let mut shape = Shape::default();
        for (line, is_whole, expected) in [
            ("[", false, true),
            (r#"{"url":"https://a.test/"},"#, false, true),
            (r#"{"url":"https://b.test/"}"#, true, false),
            ("]", false, false),
            (r#"  "payload":"#, false, true),
            (r#"{"url":"https://c.test/"}"#, true, false),
            (r#"{"payload":["#, false, true),
            ("torn", false, false),
            (r#"{"torn":1,"#, false, false),
        ] {
            shape.on_line(line.as_bytes(), is_whole);
            assert_eq!(shape.expects_part(), expected, "{line}");
        }
    }
}
