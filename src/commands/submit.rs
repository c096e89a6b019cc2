//! `conduit submit`: sends job lines to a running conduit and prints what it answers.
//!
//!   source --[thread]--> socket --[thread]--> this one: counts and prints
//!
//! Answers are read while lines are written, so neither side waits for the other: conduit stops reading from a client
//! that does not read. Each line that is not blank has one first answer, in the order of the lines; what comes for a
//! line that was answered before is its result.
//!
//! Not here: what a line may say (`conduit::wire::job_line`), finding the socket (`peer`).

use std::io::{self, BufRead as _, BufReader, ErrorKind, IsTerminal as _, Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use conduit::base::time::Instant;
use serde::Deserialize;

use crate::commands::{complain, exit, jobs, peer, printable_json};
use crate::flags::SubmitOptions;
use crate::io::{clock, log as logger, stdio};

/// Bytes that are read from the source at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of half a line that are kept until its other half has come: as many as a line may have by default.
const HALF_BYTES_MAX: usize = 1024 * 1024;

/// Answers on their way from the thread that reads them.
const ANSWERS_AHEAD: usize = 1024;

/// How often the line on the terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// What the threads tell.
#[derive(Debug)]
enum Event {
    /// A line from conduit.
    Answer(String),
    /// It sends no more, for this reason if there is one.
    End(Option<io::Error>),
    /// Everything was sent: so many lines that are not blank.
    Sent(u64),
    /// The source can't be read.
    BadSource(io::Error),
    /// Conduit takes no more.
    Refused,
}

/// What is read of a line from conduit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    line: Option<u64>,
    outcome: Option<Box<str>>,
    known: Option<Box<str>>,
    same_payload: Option<bool>,
    ctl: Option<serde::de::IgnoredAny>,
    ok: Option<bool>,
    error: Option<Trouble>,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    message: Box<str>,
}

/// How far it has come.
#[derive(Debug, Default)]
struct Tally {
    /// Lines sent, once all are.
    sent: Option<u64>,
    /// First answers.
    answered: u64,
    /// The last line that was answered.
    last_line: u64,
    accepted: u64,
    /// Results that are still to come: of what was accepted, and of pending jobs that a line was a duplicate of.
    due: u64,
    results: u64,
    /// Not accepted, or with results not delivered.
    bad: u64,
    waits: bool,
}

/// Sends, prints, and says how it went.
#[must_use]
pub fn execute(options: &SubmitOptions) -> ExitCode {
    match start(options) {
        Ok(events) => follow(&events, options.wait),
        Err(Stopped::Usage(reason)) => {
            complain(&reason);
            exit::usage()
        }
        Err(Stopped::Unable(reason)) => {
            complain(&reason);
            exit::unable()
        }
    }
}

#[derive(Debug)]
enum Stopped {
    Usage(String),
    Unable(String),
}

/// Connects and starts both threads. They end with the process.
fn start(options: &SubmitOptions) -> Result<Receiver<Event>, Stopped> {
    let source = jobs(options.file.as_deref()).map_err(Stopped::Usage)?;
    let unable = |what: &str, error: io::Error| Stopped::Unable(format!("can't {what}: {error}"));
    let stream = peer::connect(options.socket.as_deref()).map_err(Stopped::Unable)?;
    let answers = stream
        .try_clone()
        .map_err(|error| unable("read from the socket", error))?;
    let (sender, events) = sync_channel(ANSWERS_AHEAD);
    let other = sender.clone();
    for (name, work) in [
        (
            "answers",
            Box::new(move || read(answers, &other)) as Box<dyn FnOnce() + Send>,
        ),
        ("jobs", Box::new(move || send(source, &stream, &sender))),
    ] {
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(|error| unable("start a thread", error))?;
    }
    Ok(events)
}

/// Sends all lines. Whoever gets the events may have gone: then the process ends.
fn send(mut source: Box<dyn Read + Send>, mut stream: &UnixStream, events: &SyncSender<Event>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut lines = Lines::default();
    let mut ready = Vec::with_capacity(CHUNK_BYTES);
    let event = loop {
        match source.read(&mut buffer) {
            Ok(0) if stream.write_all(&ready).is_err() => break Event::Refused,
            Ok(0) => break Event::Sent(lines.finish()),
            Ok(count) => {
                lines.feed(&buffer[..count], &mut ready);
                let whole = whole_lines(&ready);
                if stream.write_all(&ready[..whole]).is_err() {
                    break Event::Refused;
                }
                ready.drain(..whole);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Event::BadSource(error),
        }
    };
    // First this, then the end of the stream: conduit may close the connection as soon as it sees that.
    let _nobody_waits = events.send(event);
    let _closed_already = stream.shutdown(Shutdown::Write);
}

/// How much of this to send now: conduit does not wait long for the other half of a line, and whoever writes the lines
/// may pause within one.
fn whole_lines(ready: &[u8]) -> usize {
    let end = ready.iter().rposition(|byte| *byte == b'\n');
    match end.map_or(0, |at| at + 1) {
        whole if ready.len() - whole <= HALF_BYTES_MAX => whole,
        _ => ready.len(),
    }
}

fn read(stream: UnixStream, events: &SyncSender<Event>) {
    let mut lines = BufReader::with_capacity(CHUNK_BYTES, stream);
    loop {
        let mut line = String::new();
        let event = match lines.read_line(&mut line) {
            Ok(0) => Event::End(None),
            Ok(_) if line.ends_with('\n') => Event::Answer(line),
            Ok(_) => {
                let why = "it ended in the middle of an answer";
                Event::End(Some(io::Error::new(ErrorKind::UnexpectedEof, why)))
            }
            Err(error) => Event::End(Some(error)),
        };
        let is_last = matches!(event, Event::End(_));
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Prints until all is known.
fn follow(events: &Receiver<Event>, waits: bool) -> ExitCode {
    let mut tally = Tally {
        waits,
        ..Tally::default()
    };
    let mut stdout = match stdio::output() {
        Ok(stdout) => stdout,
        Err(error) => return lost(&format!("answers can't be written: {error}")),
    };
    let is_drawn = io::stderr().is_terminal() && !io::stdout().is_terminal();
    let mut drawn = is_drawn.then(Instant::default);
    let mut is_refused = false;
    while !tally.is_complete() {
        let event = events
            .recv()
            .expect("the thread that reads says when it ends");
        match event {
            Event::Answer(line) => match tally.take(&line) {
                Ok(false) => {}
                Ok(true) => {
                    if let Err(error) = stdout.write_all(printable_json(&line).as_bytes()) {
                        return lost(&format!("answers can't be written any more: {error}"));
                    }
                }
                Err(reason) => return lost(&reason),
            },
            Event::Sent(count) => tally.sent = Some(count),
            Event::BadSource(error) => return lost(&format!("jobs can't be read: {error}")),
            Event::Refused => is_refused = true,
            Event::End(error) => {
                let why = error.map_or_else(|| "it was closed".to_owned(), |e| e.to_string());
                let (answered, results) = (tally.answered, tally.results);
                let lines = if is_refused {
                    ", not all lines were sent"
                } else {
                    ""
                };
                return lost(&format!(
                    "the connection to conduit was lost: {why} ({answered} lines answered, {results} results{lines})"
                ));
            }
        }
        if let Some(at) = drawn
            && clock::now().mono >= at
        {
            drawn = Some(clock::now().mono + DRAW_EVERY);
            logger::status(&tally.in_words());
        }
    }
    if drawn.is_some() {
        logger::status("");
    }
    match tally.bad {
        0 => exit::DONE,
        _ => exit::NOT_ALL,
    }
}

fn lost(reason: &str) -> ExitCode {
    logger::status("");
    complain(reason);
    exit::unable()
}

impl Tally {
    /// Takes a line of conduit's; says whether it is to be printed.
    fn take(&mut self, text: &str) -> Result<bool, String> {
        let answer: Answer = serde_json::from_str(text)
            .map_err(|error| format!("conduit's answer is not what it should be: {error}"))?;
        let Some(line) = answer.line else {
            if answer.ctl.is_none() {
                let words = answer.error.map(|error| error.message);
                return Err(words.map_or_else(|| "conduit said nothing".to_owned(), Into::into));
            }
            self.answered += 1;
            self.bad += u64::from(answer.ok != Some(true));
            return Ok(true);
        };
        let outcome = answer.outcome.as_deref().unwrap_or("");
        let is_known = outcome == "duplicate" && answer.same_payload == Some(true);
        if line > self.last_line {
            self.last_line = line;
            self.answered += 1;
            let is_pending = outcome == "duplicate" && answer.known.as_deref() == Some("pending");
            self.accepted += u64::from(outcome == "accepted");
            self.due += u64::from(outcome == "accepted" || is_pending);
            self.bad += u64::from(outcome != "accepted" && !is_known);
            return Ok(true);
        }
        self.results += 1;
        self.due = self.due.saturating_sub(1);
        self.bad += u64::from(self.waits && outcome != "delivered" && !is_known);
        Ok(self.waits)
    }

    /// Whether everything that was asked for is known.
    fn is_complete(&self) -> bool {
        self.sent == Some(self.answered) && (!self.waits || self.due == 0)
    }

    fn in_words(&self) -> String {
        let mut words = format!(
            "{} lines answered, {} accepted",
            self.answered, self.accepted
        );
        if self.waits {
            words.push_str(&format!(", {} results", self.results));
        }
        if self.bad > 0 {
            words.push_str(&format!(", {} not well", self.bad));
        }
        words
    }
}

/// Counts lines as conduit does: a blank one has no answer, and a byte order mark at the start is none.
///
/// A blank line goes on as its end alone. However much white space it has, conduit then finds it blank too, and not
/// longer than a line may be.
#[derive(Debug, Default)]
struct Lines {
    count: u64,
    has_text: bool,
    /// White space with which the line begins, while it may still turn out to be blank.
    blank: Vec<u8>,
    mark: usize,
}

impl Lines {
    const MARK: &[u8] = b"\xef\xbb\xbf";

    /// White space in front of a line's text, beyond which it is left out: it means nothing.
    const BLANK_BYTES_MAX: usize = 64 * 1024;

    /// Takes some bytes; appends what is to be sent now.
    fn feed(&mut self, bytes: &[u8], ready: &mut Vec<u8>) {
        let mut bytes = self.skip_mark(bytes, ready);
        while !bytes.is_empty() {
            if !self.has_text {
                bytes = self.skip_blank(bytes);
                match bytes.first() {
                    None => return,
                    Some(b'\n') => self.blank.clear(),
                    Some(_) => {
                        self.has_text = true;
                        ready.append(&mut self.blank);
                    }
                }
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            ready.extend_from_slice(line);
            if end.is_some() {
                self.count += u64::from(self.has_text);
                self.has_text = false;
            }
            bytes = rest;
        }
    }

    fn skip_mark<'a>(&mut self, mut bytes: &'a [u8], ready: &mut Vec<u8>) -> &'a [u8] {
        while self.mark < Self::MARK.len()
            && let Some((first, rest)) = bytes.split_first()
        {
            if *first != Self::MARK[self.mark] {
                // A part of a mark is text.
                self.has_text |= self.mark > 0;
                self.mark = Self::MARK.len();
                break;
            }
            ready.push(*first);
            self.mark += 1;
            bytes = rest;
        }
        bytes
    }

    fn skip_blank<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let is_blank = |byte: &&u8| byte.is_ascii_whitespace() && **byte != b'\n';
        let (blank, rest) = bytes.split_at(bytes.iter().take_while(is_blank).count());
        let room = Self::BLANK_BYTES_MAX - self.blank.len();
        self.blank
            .extend_from_slice(&blank[..blank.len().min(room)]);
        rest
    }

    fn finish(&self) -> u64 {
        let is_part = (1..Self::MARK.len()).contains(&self.mark);
        self.count + u64::from(self.has_text || is_part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_conduit_counts_them_and_blank_ones_go_on_as_their_ends() {
        for (text, expected, sent) in [
            ("", 0, ""),
            ("\n \t\r\n ", 0, "\n\n"),
            ("a\n\nb", 2, "a\n\nb"),
            (" a\r\n", 1, " a\r\n"),
            ("\u{feff}\n", 0, "\u{feff}\n"),
            ("\u{feff} a \n", 1, "\u{feff} a \n"),
            ("\u{feff}", 0, "\u{feff}"),
            ("a\u{feff}", 1, "a\u{feff}"),
        ] {
            for cut in 0..=text.len() {
                let (mut lines, mut ready) = (Lines::default(), Vec::new());
                lines.feed(&text.as_bytes()[..cut], &mut ready);
                lines.feed(&text.as_bytes()[cut..], &mut ready);
                assert_eq!(lines.finish(), expected, "{text:?} at {cut}");
                assert_eq!(ready, sent.as_bytes(), "{text:?} at {cut}");
            }
        }
        let (mut lines, mut ready) = (Lines::default(), Vec::new());
        lines.feed(b"\xef\xbb", &mut ready);
        assert_eq!((lines.finish(), ready.len()), (1, 2));
        let (mut lines, mut ready) = (Lines::default(), Vec::new());
        lines.feed(&vec![b' '; 2 << 20], &mut ready);
        lines.feed(b"\n", &mut ready);
        assert_eq!((lines.finish(), &ready[..]), (0, &b"\n"[..]));
        assert!(lines.blank.capacity() <= 2 * Lines::BLANK_BYTES_MAX);
    }

    fn tally(waits: bool, lines: &[&str]) -> Tally {
        let mut tally = Tally {
            waits,
            ..Tally::default()
        };
        for line in lines {
            assert!(tally.take(line).is_ok(), "{line}");
        }
        tally
    }

    #[test]
    fn the_first_word_on_a_line_is_its_answer_and_the_second_its_result() {
        let lines = [
            r#"{"id":"a","line":1,"outcome":"accepted"}"#,
            r#"{"id":"b","line":3,"outcome":"accepted"}"#,
            r#"{"id":"a","line":1,"outcome":"rejected"}"#,
        ];
        let mut tally = tally(true, &lines);
        assert_eq!((tally.answered, tally.accepted, tally.results), (2, 2, 1));
        tally.sent = Some(2);
        assert!(!tally.is_complete() && tally.bad == 1);
        tally.waits = false;
        assert!(tally.is_complete());
    }

    #[test]
    fn a_duplicate_of_the_same_payload_is_a_success() {
        let same = r#"{"id":"a","line":1,"outcome":"duplicate","samePayload":true}"#;
        let other = r#"{"id":"a","line":1,"outcome":"duplicate","samePayload":false}"#;
        assert_eq!(tally(true, &[same]).bad, 0);
        assert_eq!(tally(true, &[other]).bad, 1);
    }

    #[test]
    fn a_duplicate_of_a_pending_job_is_waited_for_and_one_of_a_delivered_job_is_not() {
        let pending =
            r#"{"id":"a","line":1,"outcome":"duplicate","known":"pending","samePayload":true}"#;
        let delivered =
            r#"{"id":"b","line":2,"outcome":"duplicate","known":"delivered","samePayload":true}"#;
        let mut tally = tally(true, &[pending, delivered]);
        tally.sent = Some(2);
        assert!(!tally.is_complete(), "the pending one's result is to come");
        let result = r#"{"id":"a","line":1,"outcome":"delivered"}"#;
        assert_eq!(tally.take(result), Ok(true));
        assert!(tally.is_complete() && tally.bad == 0);
    }

    #[test]
    fn a_line_that_is_about_no_job_ends_it() {
        let mut tally = Tally::default();
        let line = r#"{"error":{"kind":"policy","message":"user 7 may not"}}"#;
        assert_eq!(tally.take(line), Err("user 7 may not".to_owned()));
    }
}
