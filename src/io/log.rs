//! Log lines on standard error: what stands behind the `log` façade, and the words for an engine's notes.
//!
//! One event is one line and one write, whatever it contains: control characters, line separators and
//! characters that turn the direction of writing are escaped as in JSON, long texts are cut. What comes from
//! outside belongs into a field, not into the message: a field's value is quoted where it could be taken for
//! anything but a value.
//!
//!   2026-11-24T04:35:01.123Z WARN attempt failed origin=https://a.example id=7 error="head: 10 s ran out"
//!   {"time":"2026-11-24T04:35:01.123Z","level":"warn","message":"attempt failed","id":"7"}
//!
//! An error writing to standard error is ignored on purpose: there is no place left to report it to, and
//! deliveries must not stop because nobody reads the log.
//!
//! Not here: what is worth a line (whoever logs it).

mod line;

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use conduit::engine::event::{Next, Note};
use log::{LevelFilter, Log, Metadata, Record};

use crate::io::clock;

pub use line::{Format, escape, quoted};

/// Puts the cursor at the start of the line and erases it (ECMA-48: EL).
const ERASE_LINE: &str = "\r\x1b[K";

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// The line that stands below the log on a terminal; empty if there is none.
static STATUS: Mutex<String> = Mutex::new(String::new());

#[derive(Debug)]
struct Logger {
    is_json: AtomicBool,
}

impl Logger {
    fn format(&self) -> Format {
        match self.is_json.load(Ordering::Relaxed) {
            true => Format::Json,
            false => Format::Text,
        }
    }
}

/// Sends what is logged from now on to standard error, in this format. A later call changes both.
pub fn install(level: LevelFilter, format: Format) {
    let logger = LOGGER.get_or_init(|| Logger {
        is_json: AtomicBool::new(false),
    });
    let is_json = format == Format::Json;
    logger.is_json.store(is_json, Ordering::Relaxed);
    // It is ours already where this is a later call.
    let _is_ours = log::set_logger(logger);
    log::set_max_level(level);
}

/// Makes a panic one line of the log that names thread and place.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let format = LOGGER.get().map_or(Format::Text, Logger::format);
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let words = info.payload_as_str().unwrap_or("no words");
        let place = info.location().map(ToString::to_string);
        let line = line::of_panic(format, clock::now().wall, name, words, place.as_deref());
        // Not through `emit`: the thread that panics may hold its lock.
        let _nobody_to_tell = std::io::stderr().write_all(line.as_bytes());
    }));
}

/// Shows `text` below the log, in place of what was shown before; an empty text takes it away. For terminals
/// only, and the caller's own words: it is written as it is, so it must fit a line.
pub fn status(text: &str) {
    let mut status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    if *status == text {
        return;
    }
    text.clone_into(&mut status);
    let _nobody_to_tell = std::io::stderr().write_all(format!("{ERASE_LINE}{text}").as_bytes());
}

/// Logs a note of an engine.
pub fn note(note: &Note) {
    note_to(log::logger(), note);
}

fn note_to(logger: &dyn Log, note: &Note) {
    match note {
        Note::AttemptFailed {
            id,
            origin,
            attempt,
            kind,
            message,
            status,
            elapsed,
            next,
        } => log::warn!(
            logger: logger,
            origin = &*origin.text,
            id = &**id,
            attempt = *attempt,
            kind = kind.name(),
            status = Some(*status).filter(|status| *status != 0),
            ms = millis(*elapsed),
            next = &*in_words(*next),
            error = &**message;
            "attempt failed"
        ),
        Note::Refused {
            id,
            origin,
            addr,
            rule,
        } => {
            let address = addr.map(|addr| addr.to_string());
            log::warn!(
                logger: logger,
                origin = &*origin.text,
                id = &**id,
                address = address.as_deref(),
                rule = &**rule;
                "destination refused"
            );
        }
        Note::ConnectionClosed { origin, reason } => {
            log::debug!(logger: logger, origin = &*origin.text, reason = *reason; "connection closed");
        }
        Note::LocalTrouble {
            origin,
            message,
            put_off,
        } => log::warn!(
            logger: logger,
            origin = &*origin.text,
            put_off = *put_off,
            error = &**message;
            "this machine's own trouble puts jobs off"
        ),
        Note::StoodStill { late } => log::warn!(
            logger: logger,
            seconds = late.as_secs_f64();
            "this process stood still: what ran out of time meanwhile is tried again"
        ),
        Note::Breaker {
            origin,
            open_for: Some(time),
        } => log::warn!(
            logger: logger,
            origin = &*origin.text,
            seconds = time.as_secs_f64();
            "circuit breaker open"
        ),
        Note::Breaker {
            origin,
            open_for: None,
        } => log::info!(logger: logger, origin = &*origin.text; "circuit breaker closed"),
        Note::Isolated { origin } => log::warn!(
            logger: logger,
            origin = &*origin.text;
            "isolated: the circuit breaker is open until it is reset"
        ),
        Note::Held { origin, delay } => log::info!(
            logger: logger,
            origin = &*origin.text,
            seconds = delay.as_secs_f64();
            "held back as the receiver asks (Retry-After)"
        ),
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            emit(&line::of_record(self.format(), clock::now().wall, record));
        }
    }

    fn flush(&self) {}
}

/// Writes a line, above the status line if there is one.
fn emit(line: &str) {
    let status = STATUS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stderr = std::io::stderr().lock();
    let _nobody_to_tell = if status.is_empty() {
        stderr.write_all(line.as_bytes())
    } else {
        stderr.write_all(format!("{ERASE_LINE}{line}{status}").as_bytes())
    };
}

fn in_words(next: Next) -> Cow<'static, str> {
    match next {
        Next::Retry(wait) => format!("retry in {:.3} s", wait.as_secs_f64()).into(),
        Next::Ended(outcome) => outcome.name().into(),
    }
}

fn millis(elapsed: Duration) -> f64 {
    elapsed.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use conduit::base::time::Wall;
    use conduit::wire::report::{ErrorKind, Outcome};
    use conduit::wire::url::{Host, Origin, Scheme};

    use super::*;

    const TIME: Wall = Wall::from_unix_nanos(1_795_494_901_123_456_789);

    /// Keeps the lines instead of writing them.
    struct Kept(Format, Mutex<String>);

    impl Log for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.1
                .lock()
                .unwrap()
                .push_str(&line::of_record(self.0, TIME, record));
        }

        fn flush(&self) {}
    }

    fn rendered_note(format: Format, note: &Note) -> String {
        // The macros ask the process, not the logger; nothing else in these tests logs.
        log::set_max_level(LevelFilter::Trace);
        let kept = Kept(format, Mutex::new(String::new()));
        note_to(&kept, note);
        kept.1.into_inner().unwrap()
    }

    fn origin() -> Arc<Origin> {
        Arc::new(Origin {
            scheme: Scheme::Https,
            host: Host::Name("a.example".into()),
            port: 443,
            text: "https://a.example".into(),
        })
    }

    #[test]
    fn a_failed_attempt_says_what_and_what_next() {
        let mut status = 503;
        let mut failed = || Note::AttemptFailed {
            id: "job 1".into(),
            origin: origin(),
            attempt: 1,
            kind: ErrorKind::Http,
            message: "status 503\nERROR forged".into(),
            status: std::mem::take(&mut status),
            elapsed: Duration::from_micros(12_345),
            next: Next::Ended(Outcome::Exhausted),
        };
        assert_eq!(
            rendered_note(Format::Text, &failed()),
            "2026-11-24T04:35:01.123Z WARN attempt failed origin=https://a.example id=\"job 1\" attempt=1 \
             kind=http status=503 ms=12.345 next=exhausted error=\"status 503\\nERROR forged\"\n"
        );
        // Without an answer there is no status.
        assert_eq!(
            rendered_note(Format::Json, &failed()),
            "{\"time\":\"2026-11-24T04:35:01.123Z\",\"level\":\"warn\",\"message\":\"attempt failed\",\
             \"origin\":\"https://a.example\",\"id\":\"job 1\",\"attempt\":1,\"kind\":\"http\",\"ms\":12.345,\
             \"next\":\"exhausted\",\"error\":\"status 503\\nERROR forged\"}\n"
        );
    }

    #[test]
    fn the_other_notes() {
        let refused = |addr| Note::Refused {
            id: "7".into(),
            origin: origin(),
            addr,
            rule: "loopback; --allow-net 127.0.0.1/32 would allow it".into(),
        };
        let start =
            "2026-11-24T04:35:01.123Z WARN destination refused origin=https://a.example id=7";
        let end = "rule=\"loopback; --allow-net 127.0.0.1/32 would allow it\"\n";
        let local = Some([127, 0, 0, 1].into());
        let warn = "2026-11-24T04:35:01.123Z WARN";
        let info = "2026-11-24T04:35:01.123Z INFO";
        let from = "origin=https://a.example";
        let breaker = |seconds: Option<u64>| Note::Breaker {
            origin: origin(),
            open_for: seconds.map(Duration::from_secs),
        };
        for (note, expected) in [
            (
                breaker(Some(60)),
                format!("{warn} circuit breaker open {from} seconds=60\n"),
            ),
            (
                Note::Isolated { origin: origin() },
                format!(
                    "{warn} isolated: the circuit breaker is open until it is reset {from}\n"
                ),
            ),
            (
                breaker(None),
                format!("{info} circuit breaker closed {from}\n"),
            ),
            (
                Note::Held {
                    origin: origin(),
                    delay: Duration::from_secs(7),
                },
                format!("{info} held back as the receiver asks (Retry-After) {from} seconds=7\n"),
            ),
            (
                Note::LocalTrouble {
                    origin: origin(),
                    message: "too many open files".into(),
                    put_off: 3,
                },
                format!(
                    "{warn} this machine's own trouble puts jobs off {from} put_off=3 \
                     error=\"too many open files\"\n"
                ),
            ),
            (
                Note::StoodStill {
                    late: Duration::from_millis(2_500),
                },
                format!(
                    "{warn} this process stood still: what ran out of time meanwhile is tried again seconds=2.5\n"
                ),
            ),
            (refused(local), format!("{start} address=127.0.0.1 {end}")),
            (refused(None), format!("{start} {end}")),
            (
                Note::ConnectionClosed {
                    origin: origin(),
                    reason: "idle",
                },
                "2026-11-24T04:35:01.123Z DEBUG connection closed origin=https://a.example reason=idle\n"
                    .to_owned(),
            ),
        ] {
            assert_eq!(rendered_note(Format::Text, &note), expected);
        }
    }
}
