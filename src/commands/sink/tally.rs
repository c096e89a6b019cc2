//! What a sink has seen: counts by status, and the log of requests.
//!
//! Not here: who prints the summary (`sink`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::commands::sink::response::reason;

/// Counts of one run. `Display` is the summary that a user reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Connections taken.
    pub(crate) connections: u64,
    /// Answers by status; each request read and each refusal has one.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Bytes of request bodies, codings taken off.
    pub(crate) body_bytes: u64,
    /// Connections that ended inside a request, or while its answer was due.
    pub(crate) cut_short: u64,
}

/// A line for each request: one JSON object with `webhookId`, `status`, `bytes`, `crc32`.
#[derive(Debug)]
pub(super) struct Log {
    file: BufWriter<File>,
}

/// One request, as the log tells of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    /// Its `webhook-id`, invalid UTF-8 replaced; `null` if it had none.
    pub(super) webhook_id: Option<&'a str>,
    /// The status it was answered with.
    pub(super) status: u16,
    /// The length of its body, its coding taken off.
    pub(super) bytes: u64,
    /// The CRC-32 of its body (the one of zlib), eight hexadecimal digits.
    pub(super) crc32: &'a str,
}

impl Tally {
    /// Requests answered, refusals included.
    pub(crate) fn requests(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Counts an answer.
    pub(super) fn count(&mut self, status: u16, body_bytes: u64) {
        *self.answers.entry(status).or_default() += 1;
        self.body_bytes += body_bytes;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests on {} connections, {} bytes of bodies",
            Grouped(self.requests()),
            Grouped(self.connections),
            Grouped(self.body_bytes)
        )?;
        for (status, count) in &self.answers {
            // `{:>13}` does not reach through Display without a buffer.
            let count = Grouped(*count).to_string();
            writeln!(
                f,
                "{}",
                format!("  {status} {count:>13}  {}", reason(*status)).trim_end()
            )?;
        }
        if self.cut_short > 0 {
            writeln!(
                f,
                "  cut {:>13}  ended inside a request",
                Grouped(self.cut_short).to_string()
            )?;
        }
        Ok(())
    }
}

/// A whole number with a comma every three digits.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl Log {
    /// Starts an empty log, replacing the file that may be there.
    pub(super) fn create(path: &Path) -> io::Result<Log> {
        Ok(Log {
            file: BufWriter::with_capacity(64 * 1024, File::create(path)?),
        })
    }

    /// Adds a line; it is in the file after [`Log::flush`].
    pub(super) fn write(
        &mut self,
        id: &[u8],
        status: u16,
        bytes: u64,
        crc32: u32,
    ) -> io::Result<()> {
        let id = String::from_utf8_lossy(id);
        let entry = Entry {
            webhook_id: (!id.is_empty()).then_some(&id),
            status,
            bytes,
            crc32: &format!("{crc32:08x}"),
        };
        serde_json::to_writer(&mut self.file, &entry)?;
        self.file.write_all(b"\n")
    }

    /// Hands what was added to the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (number, expected) in cases {
            assert_eq!(Grouped(number).to_string(), expected);
        }
    }

    #[test]
    fn the_summary_counts_by_status() {
        let mut tally = Tally {
            connections: 50,
            cut_short: 2,
            ..Tally::default()
        };
        for _ in 0..1_200 {
            tally.count(200, 1_024);
        }
        tally.count(599, 0);
        assert_eq!(
            tally.to_string(),
            "1,201 requests on 50 connections, 1,228,800 bytes of bodies\n\
             \u{20} 200         1,200  OK\n\
             \u{20} 599             1\n\
             \u{20} cut             2  ended inside a request\n"
        );
    }

    #[test]
    fn the_log_is_one_json_object_a_line() {
        let path = std::env::temp_dir().join(format!("conduit-sink-log-{}", std::process::id()));
        let mut log = Log::create(&path).unwrap();
        log.write(b"m\"1", 200, 9, 0xcbf4_3926).unwrap();
        log.write(b"", 400, 0, 0).unwrap();
        log.write(b"\xff\n", 204, 1, 0x8c).unwrap();
        log.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            text,
            "{\"webhookId\":\"m\\\"1\",\"status\":200,\"bytes\":9,\"crc32\":\"cbf43926\"}\n\
             {\"webhookId\":null,\"status\":400,\"bytes\":0,\"crc32\":\"00000000\"}\n\
             {\"webhookId\":\"\u{fffd}\\n\",\"status\":204,\"bytes\":1,\"crc32\":\"0000008c\"}\n"
        );
    }
}
