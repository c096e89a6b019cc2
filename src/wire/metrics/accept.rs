//! Which format a client wants its metrics in: its `Accept` header fields (RFC 9110 section 12.5.1).
//!
//! Of what is written here the format with the greater weight is taken, each weight being that of the most specific
//! range that covers the format. OpenMetrics goes first only where it is named: who takes anything gets text. A
//! version that is not written here covers nothing, for an answer must not claim to be what it is not.
//!
//! Not here: the formats themselves (the parent).

use crate::wire::metrics::Format;

/// What a client accepts, as far as it has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    text: Option<Weight>,
    open: Option<Weight>,
}

/// A weight, and how specific the range is that it stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    specific: Specific,
    thousandths: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specific {
    /// `*/*`
    Any,
    /// `text/*`
    Kind,
    /// `text/plain`
    Named,
    /// `text/plain; version=0.0.4`
    Version,
}

impl Accept {
    /// Reads a field's value; there may be several fields.
    pub fn take(&mut self, value: &str) {
        for range in split(value, b',') {
            self.take_range(range);
        }
    }

    /// The format to write; text also where neither is acceptable, for that is what everybody can read.
    #[must_use]
    pub fn format(&self) -> Format {
        let weight = |of: Option<Weight>| of.map_or(0, |weight| weight.thousandths);
        let (text, open) = (weight(self.text), weight(self.open));
        let is_named = self
            .open
            .is_some_and(|weight| weight.specific >= Specific::Named);
        if open > text || (open == text && open > 0 && is_named) {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    fn take_range(&mut self, range: &str) {
        let mut parts = split(range, b';');
        let name = parts.next().unwrap_or_default();
        let (mut version, mut thousandths) = (None, Some(1000));
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim());
            let is_quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
            let value = if is_quoted {
                &value[1..value.len() - 1]
            } else {
                value
            };
            if name.eq_ignore_ascii_case("q") {
                thousandths = weight(value);
            } else if name.eq_ignore_ascii_case("version") {
                version = Some(value);
            }
        }
        // What is no weight is no wish.
        let Some(thousandths) = thousandths else {
            return;
        };
        let named = |ours: &str| match version {
            None => Some(Specific::Named),
            Some(version) if version == ours => Some(Specific::Version),
            Some(_) => None,
        };
        let (text, open) = match &*name.to_ascii_lowercase() {
            "*/*" => (Some(Specific::Any), Some(Specific::Any)),
            "text/*" => (Some(Specific::Kind), None),
            "application/*" => (None, Some(Specific::Kind)),
            "text/plain" => (named("0.0.4"), None),
            "application/openmetrics-text" => (None, named("1.0.0")),
            _ => return,
        };
        for (known, specific) in [(&mut self.text, text), (&mut self.open, open)] {
            let new = specific.map(|specific| Weight {
                specific,
                thousandths,
            });
            *known = (*known).max(new);
        }
    }
}

/// `0.75` is 750.
fn weight(text: &str) -> Option<u16> {
    let weight: f32 = text.parse().ok()?;
    (0.0..=1.0)
        .contains(&weight)
        .then_some((weight * 1000.0).round() as u16)
}

/// The parts between separators that are in no quotes, without white space around them.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let was_escaped = std::mem::replace(&mut is_escaped, false);
            match byte {
                _ if was_escaped => {}
                b'\\' => is_escaped = is_quoted,
                b'"' => is_quoted = !is_quoted,
                _ => return byte == separator && !is_quoted,
            }
            false
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_preferred_of_what_is_written_wins() {
        use Format::{OpenMetrics, Text};
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (prometheus, OpenMetrics),
            ("", Text),
            ("*/*", Text),
            ("text/html, */*;q=0.8", Text),
            ("text/plain", Text),
            ("application/json", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text ; Version=1.0.0", OpenMetrics),
            (
                "application/openmetrics-text; version=\"1.0.0\"",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text; x=\"a,b;version=2\\\"\"",
                OpenMetrics,
            ),
            // What is asked for is not written here.
            ("application/openmetrics-text; version=0.0.1", Text),
            ("application/openmetrics-text; version=2.0.0, */*", Text),
            // The greater weight wins, whatever comes first.
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", Text),
            (
                "text/plain;q=0.8, application/openmetrics-text;q=0.9",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.8, */*", Text),
            ("application/openmetrics-text;q=0.8, */*;q=0.1", OpenMetrics),
            ("text/plain, application/openmetrics-text", OpenMetrics),
            (
                "text/plain;version=1.0.0, application/openmetrics-text;q=0.1",
                OpenMetrics,
            ),
            // Of several ranges the most specific counts.
            ("application/openmetrics-text;q=0, */*", Text),
            ("text/plain;q=0, */*", OpenMetrics),
            ("application/*", OpenMetrics),
            ("text/*, application/*", Text),
            (
                "application/openmetrics-text;q=0, application/openmetrics-text;version=1.0.0",
                OpenMetrics,
            ),
            // Neither is acceptable, or it is no weight.
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0, text/plain;q=0", Text),
            ("application/openmetrics-text;q=2, text/plain;q=0.1", Text),
            ("application/openmetrics-text;q=nan", Text),
            (
                "application/openmetrics-text;Q=1, text/plain;q=0.999",
                OpenMetrics,
            ),
        ] {
            let mut one = Accept::default();
            one.take(accept);
            assert_eq!(one.format(), expected, "{accept}");
            let mut fields = Accept::default();
            for range in split(accept, b',') {
                fields.take(range);
            }
            assert_eq!(fields, one, "{accept}: in fields of its own");
        }
    }
}
