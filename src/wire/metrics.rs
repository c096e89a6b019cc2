//! Metrics as Prometheus reads them: the text format 0.0.4, or OpenMetrics 1.0 where it is asked for.
//!
//! The table of families is `families`, which format a client wants `accept`. A page is written a piece at a time, for
//! with a thousand origins it is megabytes long: [`Page::write_some`] stops at the first family, or origin within a
//! family, after so many bytes.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>
//!
//! Not here: what is counted (`tally`), how an origin stands (`endpoint_row`), who asks (`admin`).

pub mod accept;

mod families;

use std::sync::Arc;
use std::time::Duration;

use crate::base::histogram::Histogram;
use crate::wire::endpoint_row::Endpoint;
use crate::wire::report::Outcome;
use crate::wire::tally::{Durations, Waits};
use crate::wire::text::push_number;

use self::families::{FAMILIES, Family, Samples, Shape};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What is known of the process as a whole.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// conduit's version.
    pub version: &'static str,
    /// Results by [`Outcome::index`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// How long jobs waited for a connection.
    pub waits: Waits,
    /// How long attempts took, by `region`.
    pub regions: Vec<(Arc<str>, Durations)>,
    /// Loops that did not answer in time.
    pub loops_missing: u64,
    /// Lines of the log that were dropped because nobody took them in time.
    pub log_lines_dropped: u64,
    /// What the spool holds, if there is one.
    pub spool: Option<Spool>,
    /// What the system says of it.
    pub process: Process,
}

/// What the spool holds, and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spool {
    /// Jobs that have not ended.
    pub jobs: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Bytes of its files.
    pub file_bytes: u64,
    /// Bytes that are not safe yet.
    pub unsynced_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// How often something was synced.
    pub syncs: u64,
    /// Dead letters that went for newer ones (`maxDeadBytes`).
    pub dead_letters_dropped: u64,
    /// Places that could not be read.
    pub corruptions: u64,
    /// No job is taken in, for the disk or what of it may be used is full, or fails.
    pub is_refusing: bool,
}

/// What the system says of the process; none where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time, all threads together.
    pub cpu: Option<Duration>,
    /// Bytes of memory in use.
    pub resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub virtual_bytes: Option<u64>,
    /// Descriptors.
    pub open_files: Option<u64>,
    /// How many there may be.
    pub open_files_max: Option<u64>,
    /// When it began, since 1970.
    pub started: Option<Duration>,
}

/// A page that is being written.
#[derive(Debug)]
pub struct Page {
    format: Format,
    facts: Facts,
    /// The family that is next, and the origin within it; none: not even its heading is written.
    family: usize,
    origin: Option<usize>,
    out: Vec<u8>,
}

impl Format {
    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Page {
    /// A page of which nothing is written.
    #[must_use]
    pub const fn new(format: Format, facts: Facts) -> Page {
        Page {
            format,
            facts,
            family: 0,
            origin: None,
            out: Vec::new(),
        }
    }

    /// Writes about so many bytes more; says whether that was all.
    pub fn write_some(&mut self, endpoints: &[Endpoint], bytes: usize) -> bool {
        let enough = self.out.len() + bytes;
        while let Some(family) = FAMILIES.get(self.family) {
            if self.out.len() >= enough {
                return false;
            }
            let from = match self.origin {
                Some(from) => from,
                None => {
                    self.write_heading(family);
                    0
                }
            };
            let mut samples = Samples::new(&mut self.out, self.format, family.name);
            match family.shape {
                Shape::Whole(write) => write(&mut samples, &self.facts, endpoints),
                Shape::PerEndpoint(write) => {
                    if let Some(endpoint) = endpoints.get(from) {
                        write(&mut samples, endpoint);
                        self.origin = Some(from + 1);
                        continue;
                    }
                }
            }
            self.origin = None;
            self.family += 1;
        }
        if self.format == Format::OpenMetrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
        true
    }

    /// How it is written.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// What is written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn write_heading(&mut self, family: &Family) {
        let name = match self.format {
            Format::Text => family.name,
            // There the suffix is the sample's, not the family's.
            Format::OpenMetrics => family.name.strip_suffix("_total").unwrap_or(family.name),
        };
        for (what, text) in [("HELP", family.help), ("TYPE", family.kind.name())] {
            for part in ["# ", what, " ", name, " ", text, "\n"] {
                self.out.extend_from_slice(part.as_bytes());
            }
        }
    }
}

impl<'a> Samples<'a> {
    /// Samples of this family.
    fn new(out: &'a mut Vec<u8>, format: Format, name: &'static str) -> Samples<'a> {
        Samples { out, format, name }
    }

    /// One whole number.
    fn number(&mut self, labels: &[(&str, &str)], value: u64) {
        self.start("", labels);
        push_number(self.out, value);
        self.out.push(b'\n');
    }

    /// One duration, in seconds.
    fn seconds(&mut self, labels: &[(&str, &str)], value: Duration) {
        self.start("", labels);
        self.push_float(value.as_secs_f64());
        self.out.push(b'\n');
    }

    /// A histogram whose unit is so long.
    fn histogram<const FIRST_US: u64, const BUCKETS: usize>(
        &mut self,
        label: Option<(&str, &str)>,
        histogram: &Histogram<FIRST_US, BUCKETS>,
        unit: Duration,
    ) {
        let in_units = |duration: Duration| duration.as_nanos() as f64 / unit.as_nanos() as f64;
        let own: &[(&str, &str)] = label.as_slice();
        for (bound, count) in histogram.cumulative() {
            let bound = self.float(in_units(bound));
            self.bucket(label, &bound, count);
        }
        self.bucket(label, "+Inf", histogram.count());
        self.start("_sum", own);
        self.push_float(in_units(histogram.sum()));
        self.out.push(b'\n');
        self.start("_count", own);
        push_number(self.out, histogram.count());
        self.out.push(b'\n');
    }

    fn bucket(&mut self, label: Option<(&str, &str)>, bound: &str, count: u64) {
        match label {
            Some(label) => self.start("_bucket", &[label, ("le", bound)]),
            None => self.start("_bucket", &[("le", bound)]),
        }
        push_number(self.out, count);
        self.out.push(b'\n');
    }

    fn start(&mut self, suffix: &str, labels: &[(&str, &str)]) {
        self.out.extend_from_slice(self.name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        let mut separator = b'{';
        for (name, value) in labels {
            self.out.push(separator);
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"=\"");
            push_escaped(self.out, value);
            self.out.push(b'"');
            separator = b',';
        }
        if !labels.is_empty() {
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }

    fn push_float(&mut self, value: f64) {
        let text = self.float(value);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// OpenMetrics wants whole ones with a point, so that a bound reads the same everywhere.
    fn float(&self, value: f64) -> String {
        match self.format {
            Format::OpenMetrics if value.fract() == 0.0 => format!("{value:.1}"),
            Format::OpenMetrics | Format::Text => value.to_string(),
        }
    }
}

/// Appends a label's value, escaped as both formats want it.
fn push_escaped(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests;
