//! Log lines on standard error: what stands behind the `log` façade, and the words for an engine's notes.
//!
//! One event is one line, whatever it contains: control characters, line separators and
//! characters that turn the direction of writing are escaped as in JSON, long texts are cut. What comes from
//! outside belongs into a field, not into the message: a field's value is quoted where it could be taken for
//! anything but a value.
//!
//!   2026-11-24T04:35:01.123Z WARN attempt failed origin=https://a.example id=7 error="head: 10 s ran out"
//!   {"time":"2026-11-24T04:35:01.123Z","level":"warn","message":"attempt failed","id":"7"}
//!
//! Whoever logs waits for nobody: lines go into a buffer, which a thread of its own writes. What is too much for it, or
//! for a reader, is counted and told: deliveries must not stop because nobody reads the log.
//!
//! Not here: what is worth a line (whoever logs it), how the buffer is written (`outlet`), how many lines of a kind
//! there are (`repeats`).

mod line;
mod outlet;
mod repeats;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use conduit::engine::event::{Next, Note};
use log::kv::Key;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::io::clock;
use crate::io::progress::grouped;

use outlet::Outlet;
use repeats::{More, Repeats};

pub use line::{Format, escape, printable, quoted};

/// The target of lines that are all written, however many there are: who uses it has bounded them.
pub const EACH: &str = "each";

static LOGGER: OnceLock<Logger> = OnceLock::new();

static OUTLET: Outlet = Outlet::new(lost);

#[derive(Debug)]
struct Logger {
    is_json: AtomicBool,
    repeats: Mutex<Repeats>,
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
        repeats: Mutex::default(),
    });
    let is_json = format == Format::Json;
    logger.is_json.store(is_json, Ordering::Relaxed);
    // It is ours already where this is a later call.
    let _is_ours = log::set_logger(logger);
    log::set_max_level(level);
}

/// Has lines written from now on; until then they wait. It starts a thread, which takes no signals.
pub fn start() {
    OUTLET.start(sum_up);
}

/// Writes what is left, at the end of the process: for a second at most, if nobody reads it.
pub fn flush() {
    if let Some(logger) = LOGGER.get() {
        let now = clock::now().mono;
        logger.sum_up(|repeats| repeats.take_all(now));
    }
    OUTLET.flush();
}

/// How many lines were dropped because nobody took them in time.
#[must_use]
pub fn dropped() -> u64 {
    OUTLET.dropped()
}

/// Writes lines that are no log: what a command says to the person who has typed it.
pub fn say(lines: &str) {
    OUTLET.push(lines);
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
        OUTLET.push_last(&line);
    }));
}

/// Shows `text` below the log, in place of what was shown before; an empty text takes it away. For terminals
/// only, and the caller's own words: it is written as it is, so it must fit a line.
pub fn status(text: &str) {
    OUTLET.set_status(text);
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
            is_dead,
        } => log::log!(
            logger: logger,
            // Of a dead letter there is a warning, and one is enough.
            if *is_dead { Level::Info } else { Level::Warn },
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
        if self.enabled(record.metadata()) && self.admits(record) {
            let line = line::of_record(self.format(), clock::now().wall, record);
            OUTLET.push(&line);
        }
    }

    fn flush(&self) {}
}

impl Logger {
    /// Whether there were not too many of its kind in this second.
    fn admits(&self, record: &Record<'_>) -> bool {
        if record.target() == EACH {
            return true;
        }
        let now = clock::now().mono;
        self.sum_up(|repeats| repeats.take(now));
        let site = (
            record.file_static().unwrap_or_default(),
            record.line().unwrap_or_default(),
        );
        let origin = record.key_values().get(Key::from_str("origin"));
        let origin = origin.as_ref().and_then(log::kv::Value::to_borrowed_str);
        let message = || record.args().to_string().into_boxed_str();
        let mut repeats = self.repeats();
        let is_admitted = repeats.admit(site, origin, record.level(), message);
        let due = repeats.due();
        drop(repeats);
        if let Some(due) = due.filter(|_| !is_admitted) {
            OUTLET.wake_at(due);
        }
        is_admitted
    }

    /// Says how many lines were held back of those that are taken.
    fn sum_up(&self, take: impl FnOnce(&mut Repeats) -> Vec<More>) {
        let all = take(&mut self.repeats());
        for more in all {
            let message = &more.message;
            let count = grouped(more.count);
            let args = format_args!("{message}: {count} more like this in the last second");
            OUTLET.push(&self.rendered(more.level, args, more.origin.as_deref(), more.count));
        }
    }

    fn rendered(
        &self,
        level: Level,
        message: std::fmt::Arguments<'_>,
        origin: Option<&str>,
        count: u64,
    ) -> String {
        let origin = origin.map_or(log::kv::Value::null(), log::kv::Value::from);
        let fields = [("origin", origin), ("count", count.into())];
        let record = Record::builder()
            .level(level)
            .args(message)
            .key_values(&fields)
            .build();
        line::of_record(self.format(), clock::now().wall, &record)
    }

    fn repeats(&self) -> std::sync::MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what was held back in a second that is over.
fn sum_up() {
    if let Some(logger) = LOGGER.get() {
        let now = clock::now().mono;
        logger.sum_up(|repeats| repeats.take(now));
        let due = logger.repeats().due();
        if let Some(due) = due {
            OUTLET.wake_at(due);
        }
    }
}

/// The line that stands for lines which were lost.
fn lost(count: u64) -> String {
    let words = grouped(count);
    let message = format_args!("{words} lines of the log were lost here: nobody read them in time");
    match LOGGER.get() {
        Some(logger) => logger.rendered(Level::Warn, message, None, count),
        None => format!("conduit: {words} lines were lost here\n"),
    }
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
            is_dead: false,
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
                format!("{warn} isolated: the circuit breaker is open until it is reset {from}\n"),
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
        ] {
            assert_eq!(rendered_note(Format::Text, &note), expected);
        }
    }
}
