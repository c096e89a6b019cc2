//! The reference model where there is a spool: what a client was told, what must be there after a crash, and that each
//! life of the process brings each job one end.

use std::collections::BTreeSet;

use conduit::base::time::Instant;
use conduit::wire::job::Job;
use conduit::wire::report::Outcome;

use super::breaker::Breaker;
use super::model::{Book, Model, number_of};

/// How safe a job is, and what its sender knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Safety {
    /// The journal has it.
    is_stored: bool,
    /// The journal has said that it is safe, and when.
    is_durable: bool,
    pub(super) since: Instant,
    /// So many submissions of this life were safe before their `accepted` was read.
    owed: u32,
    /// It was safe in this life already when it was submitted once more.
    was_durable: bool,
    /// Its sender was told so.
    pub(super) is_acknowledged: bool,
    /// Its sender was told that it is not taken in, and has not sent it again.
    is_refused: bool,
    /// So many lines of its sender's, in this life, await its result.
    awaited: u32,
    /// It was submitted once more after this end, of which a result may still be on its way.
    before: Option<Outcome>,
    /// That it has ended is safe too.
    is_firm: bool,
    /// It was found at a start; how far it was then is not known.
    pub(super) is_found: bool,
}

impl Book {
    /// As if it had never been sent or failed.
    fn reopen(&mut self) {
        self.sent = 0;
        self.was_reused = false;
        self.asked = None;
        self.heard = None;
        self.done = None;
    }
}

impl Model {
    /// The journal has taken a job in.
    pub(super) fn on_stored(&mut self, now: Instant, number: u32) {
        let book = &mut self.books[number as usize];
        let before = book.done;
        let is_again = before.is_some();
        assert!(
            book.done != Some(Outcome::Delivered) || self.has_forgotten,
            "j{number} was delivered, and is no duplicate"
        );
        assert!(
            is_again || !book.safety.is_stored,
            "j{number} is pending, and is no duplicate"
        );
        book.reopen();
        book.accepted = now;
        book.failed = 0;
        book.safety = Safety {
            is_stored: true,
            is_acknowledged: book.safety.is_acknowledged,
            awaited: book.safety.awaited,
            owed: book.safety.owed,
            was_durable: book.safety.is_durable || book.safety.was_durable,
            before,
            ..Safety::default()
        };
        if is_again {
            self.see("spool", "once more");
        }
    }

    /// The journal says that these are safe.
    pub(super) fn on_durable(&mut self, now: Instant, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            let safety = &mut self.books[number as usize].safety;
            if !safety.is_durable {
                safety.is_durable = true;
                safety.since = now;
                safety.owed += 1;
            }
        }
    }

    /// Everything that was said so far is safe.
    pub(super) fn make_firm(&mut self) {
        for number in self.ended_unsafely.drain(..) {
            let book = &mut self.books[number as usize];
            book.safety.is_firm = book.done.is_some();
        }
    }

    /// A job leaves for an engine, in this life for the first time since it was stored or found.
    pub(super) fn on_handed_out(&mut self, now: Instant, job: &Job) -> u32 {
        let number = number_of(&job.id);
        let book = &mut self.books[number as usize];
        assert!(book.done.is_none(), "j{number} is taken in after its end");
        assert!(book.safety.is_durable, "I9: j{number} is not safe");
        let attempts = job.progress.attempts;
        if book.safety.is_found {
            assert!(attempts <= book.failed, "I5: attempts of j{number}");
            book.failed = attempts;
        }
        assert_eq!(attempts, book.failed, "I5: attempts of j{number}");
        book.due = match attempts {
            0 => now,
            _ => job.progress.due.max(now),
        };
        self.accepted += 1;
        number
    }

    /// The process starts again, and would find these jobs on its disk.
    pub(super) fn on_restart(&mut self, now: Instant, pending: &BTreeSet<u32>, is_power_cut: bool) {
        self.starts += 1;
        self.born = now;
        self.accepted = 0;
        self.ended = 0;
        self.ended_unsafely.clear();
        let endpoints = self.endpoints.iter();
        self.breakers = endpoints.map(|endpoint| Breaker::new(endpoint)).collect();
        let mut again = 0;
        for (number, book) in (0..).zip(&mut self.books) {
            let was = book.safety;
            book.safety.is_refused = false;
            book.safety.awaited = 0;
            book.safety.owed = 0;
            book.safety.was_durable = false;
            if pending.contains(&number) {
                assert!(was.is_stored, "I10: j{number} was never submitted: {was:?}");
                assert!(!was.is_firm, "I10: j{number} had ended, and that was safe");
                again += u64::from(book.done.is_some());
                book.reopen();
                book.safety.is_durable = true;
                book.safety.is_found = true;
                continue;
            }
            // Of a second submission its sender knows nothing yet.
            let is_known = was.is_acknowledged && was.before.is_none();
            assert!(
                book.done.is_some() || !(was.is_durable || is_known),
                "I10: j{number} is lost: {was:?}"
            );
            if book.done.is_none() {
                book.safety.is_stored = false;
                book.done = was.before;
            } else if is_power_cut {
                book.safety.is_firm = true;
            } else {
                // Its end may be there only because nobody has cut the power yet.
                self.ended_unsafely.push(number);
            }
        }
        *self.seen.entry(("spool", "ended, and found")).or_default() += again;
        *self.seen.entry(("spool", "found")).or_default() += pending.len() as u64;
    }

    /// What has no good answer yet.
    pub(super) fn unacknowledged(&self) -> Vec<u32> {
        let books = (0..).zip(&self.books);
        let open = books.filter(|(_, book)| !book.safety.is_acknowledged);
        open.map(|(number, _)| number).collect()
    }

    /// What has one.
    pub(super) fn acknowledged(&self) -> Vec<u32> {
        let books = (0..).zip(&self.books);
        let known = books.filter(|(_, book)| book.safety.is_acknowledged);
        known.map(|(number, _)| number).collect()
    }

    /// What was refused and not sent again, which now is.
    pub(super) fn take_refused(&mut self) -> Vec<u32> {
        let books = (0..).zip(&mut self.books);
        let refused = books.filter_map(|(number, book)| {
            std::mem::take(&mut book.safety.is_refused).then_some(number)
        });
        refused.collect()
    }

    /// Lines for the client have been written. Whether one of them is a refusal.
    pub(super) fn on_answers(&mut self, lines: &[u8]) -> bool {
        let mut has_refusal = false;
        let lines = std::str::from_utf8(lines).expect("answers are UTF-8");
        for line in lines.lines() {
            let number = number_in(line);
            let book = &mut self.books[number as usize];
            let safety = &mut book.safety;
            match text_of(line, "outcome") {
                "accepted" => {
                    // It may be an earlier submission's, which has ended and was followed by another since.
                    assert!(safety.owed > 0, "I9: j{number} is acknowledged");
                    safety.owed -= 1;
                    safety.is_acknowledged = true;
                    safety.awaited += 1;
                }
                "duplicate" => {
                    assert!(line.contains("\"samePayload\":true"), "{line}");
                    let is_safe = safety.is_durable || safety.was_durable;
                    assert!(is_safe, "I9: j{number} is called a duplicate");
                    safety.is_acknowledged = true;
                    match text_of(line, "known") {
                        "pending" => safety.awaited += 1,
                        known => assert_eq!(known, "delivered", "{line}"),
                    }
                    self.see("spool", "duplicate");
                }
                "overloaded" => {
                    assert_eq!(text_of(line, "kind"), "spool", "{line}");
                    safety.is_refused = true;
                    has_refusal = true;
                    self.see("spool", "refused");
                }
                outcome => {
                    assert!(safety.awaited > 0, "I17: {outcome} of j{number}");
                    safety.awaited -= 1;
                    let done = book.done.map(Outcome::name);
                    assert!(safety.before.is_some() || done == Some(outcome), "{line}");
                }
            }
        }
        has_refusal
    }

    /// In the end every job has ended in some life, and its sender knows that it was safe.
    pub(super) fn check_survival(&self) {
        for (number, book) in self.books.iter().enumerate() {
            let safety = book.safety;
            assert!(safety.is_acknowledged, "j{number} was never acknowledged");
            assert!(book.done.is_some(), "P1: j{number} has no end: {safety:?}");
            assert_eq!(safety.awaited, 0, "I17: no result of j{number}");
        }
    }

    /// Whether the client knows of every job that it is safe.
    pub(super) fn all_acknowledged(&self) -> bool {
        self.books.iter().all(|book| book.safety.is_acknowledged)
    }
}

/// The job that a line is about.
fn number_in(line: &str) -> u32 {
    number_of(text_of(line, "id"))
}

/// A value that is text without escapes.
fn text_of<'a>(line: &'a str, key: &str) -> &'a str {
    let from = line.split_once(&format!("\"{key}\":\""));
    let rest = from.unwrap_or_else(|| panic!("no {key} in {line}")).1;
    rest.split_once('"').expect("text ends").0
}
