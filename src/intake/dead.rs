//! Dead letters: what clients ask about them, a page an answer.
//!
//! ```text
//!   question -> Find -> keys -> Fetch, a few at a time -> look at each, the oldest first -> answer
//!                        ^____________ until the page is full, or there are no more _|
//! ```
//! One question at a time is worked on, so that no more than [`FETCHES_MAX`] letters are in memory; each has an answer
//! of bounded size, which says where the next question goes on. Replayed jobs are told of only when they are safe.
//!
//! Not here: where letters lie (`journal`), how a job comes in (`spooled`), how they look (`wire/letter_line`).

use std::collections::VecDeque;

use crate::base::time::Wall;
use crate::intake::admission::Candidate;
use crate::intake::event::{ClientId, LettersTaken};
use crate::wire::ctl::{CtlLine, Cursor, LETTERS_MAX, Letters, Request};
use crate::wire::job::User;
use crate::wire::letter_line;
use crate::wire::report::ErrorKind;
use crate::wire::spool::{Fetched, FoundLetters, JobKey, Letter, LetterQuery};
use crate::wire::text::{push_json_string, push_number};

/// Letters that are read from disk at the same time.
pub(super) const FETCHES_MAX: usize = 8;

/// Questions that wait for their answers, from all clients.
pub const QUESTIONS_MAX: usize = 64;

/// A page is full when it has so many bytes: one letter more may stand in it than fits.
const PAGE_BYTES: usize = 256 * 1024;

/// The questions, the first of them being worked on.
#[derive(Debug, Default)]
pub(super) struct Dead {
    /// Conduit's own user.
    own: u32,
    walks: VecDeque<Walk>,
    /// A replayed job that could not be stored yet.
    pub(super) held: Option<Candidate>,
}

/// What is to be done for a question.
#[derive(Debug)]
pub(super) enum Step {
    /// Ask the journal which letters there are.
    Find(LetterQuery),
    /// Read this one.
    Fetch(JobKey),
    /// It is not wanted any more.
    Forget(JobKey),
    /// It is to be a job again.
    Replay(Box<Fetched>),
    /// Everything is known.
    Answer {
        client: ClientId,
        line: u64,
        text: Vec<u8>,
        /// What was done, if anything.
        taken: Option<Box<LettersTaken>>,
    },
}

/// A question that is worked on, or waits.
#[derive(Debug)]
struct Walk {
    client: ClientId,
    line: u64,
    /// Conduit's own user.
    own: u32,
    ctl: CtlLine,
    deed: Deed,
    letters: Letters,
    stage: Stage,
    /// The last letter that was looked at, and the last that is to be.
    after: JobKey,
    last: Option<JobKey>,
    /// Letters that are to be looked at, and whether the journal may know more.
    found: VecDeque<JobKey>,
    has_more: bool,
    /// Those that are read, the oldest first; inside, none: it can't be read.
    reading: VecDeque<(JobKey, Option<Option<Box<Fetched>>>)>,
    looked_at: usize,
    /// No more is looked at; and whether something was read for nothing by then.
    is_full: bool,
    is_cut: bool,
    page: Page,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    List,
    Export,
    Replay,
    Purge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The journal is to be asked, or is being asked.
    ToFind,
    Finding,
    Reading,
    /// A letter is on its way to be a job.
    Replaying,
}

/// What the answer will say.
#[derive(Debug, Default)]
struct Page {
    /// Letters that were listed, exported, replayed or purged.
    count: usize,
    /// Elements of a list, separated by commas.
    items: Vec<u8>,
    failed: Vec<u8>,
    missing: Vec<Box<str>>,
    unreadable: u64,
    stopped: Option<(ErrorKind, Box<str>)>,
    /// The last replayed job: the answer waits until it is safe.
    replayed: Option<JobKey>,
}

impl Dead {
    /// No question yet; `own` is conduit's own user.
    pub(super) fn new(own: u32) -> Dead {
        Dead {
            own,
            ..Dead::default()
        }
    }

    /// Takes a question in. False: it is none about dead letters, or there are too many.
    pub(super) fn ask(&mut self, client: ClientId, line: u64, ctl: &CtlLine) -> bool {
        let (deed, letters) = match &ctl.request {
            Ok(Request::DeadList(letters)) => (Deed::List, letters),
            Ok(Request::DeadExport(letters)) => (Deed::Export, letters),
            Ok(Request::DeadReplay(letters)) => (Deed::Replay, letters),
            Ok(Request::DeadPurge(letters)) => (Deed::Purge, letters),
            Ok(_) | Err(_) => return false,
        };
        if self.walks.len() >= QUESTIONS_MAX {
            return false;
        }
        self.walks.push_back(Walk {
            client,
            line,
            own: self.own,
            ctl: ctl.clone(),
            deed,
            letters: letters.clone(),
            stage: Stage::ToFind,
            after: letters.after.map_or(JobKey(0), |cursor| cursor.after),
            last: letters.after.map(|cursor| cursor.last),
            found: VecDeque::new(),
            has_more: false,
            reading: VecDeque::new(),
            looked_at: 0,
            is_full: false,
            is_cut: false,
            page: Page::default(),
        });
        true
    }

    /// The journal has said which letters there are.
    pub(super) fn on_found(&mut self, found: FoundLetters) {
        if let Some(walk) = self.walks.front_mut()
            && walk.stage == Stage::Finding
        {
            walk.on_found(found);
        }
    }

    /// A letter was read, or can't be. Gives it back if nobody here waits for it.
    pub(super) fn on_fetched(
        &mut self,
        key: JobKey,
        fetched: Option<Box<Fetched>>,
    ) -> Option<Option<Box<Fetched>>> {
        let slot = self.walks.front_mut().and_then(|walk| {
            let mut reading = walk.reading.iter_mut();
            reading.find(|(other, slot)| *other == key && slot.is_none())
        });
        match slot {
            None => Some(fetched),
            Some((_, slot)) => {
                *slot = Some(fetched);
                None
            }
        }
    }

    /// The letter is a job again, under this key.
    pub(super) fn on_replayed(&mut self, key: JobKey) {
        if let Some(walk) = self.replaying() {
            walk.page.count += 1;
            walk.page.replayed = Some(key);
        }
    }

    /// The letter can't be a job.
    pub(super) fn on_refused(&mut self, id: &str, kind: ErrorKind, message: &str) {
        if let Some(walk) = self.replaying() {
            walk.page.fail(id, kind, message);
        }
    }

    /// No job is taken in now: the letter stays, and so do those behind it.
    pub(super) fn on_stopped(&mut self, kind: ErrorKind, message: &str) {
        if let Some(walk) = self.replaying() {
            walk.page.stopped = Some((kind, message.into()));
            walk.is_full = true;
        }
    }

    /// The client has left: what was only to be read by it is not read.
    pub(super) fn on_gone(&mut self, client: ClientId) {
        for walk in &mut self.walks {
            walk.is_full |= walk.client == client;
        }
    }

    /// The next thing to do; `durable` is the last job that is safe, `now` tells how old letters are.
    pub(super) fn poll(&mut self, now: Wall, durable: JobKey) -> Option<Step> {
        let walk = self.walks.front_mut()?;
        if let Some(step) = walk.poll(now) {
            return Some(step);
        }
        if !walk.is_read() || walk.page.replayed.is_some_and(|key| key > durable) {
            return None;
        }
        let walk = self.walks.pop_front()?;
        Some(walk.into_answer())
    }

    /// Whether [`Dead::poll`] has something to do at once.
    pub(super) fn has_work(&self, durable: JobKey) -> bool {
        self.walks.front().is_some_and(|walk| {
            let is_safe = walk.page.replayed.is_none_or(|key| key <= durable);
            walk.has_step() || walk.is_read() && is_safe
        })
    }

    /// Whether the question that is worked on is to replay letters.
    pub(super) fn is_replay(&self) -> bool {
        self.walks
            .front()
            .is_some_and(|walk| walk.deed == Deed::Replay)
    }

    /// No more can be done: the answers to all that is left.
    pub(super) fn stop(&mut self) -> Vec<Step> {
        self.held = None;
        let walks = std::mem::take(&mut self.walks);
        let refuse = |walk: Walk| {
            let mut text = Vec::new();
            let message = "shut down before it was done";
            walk.ctl
                .write_refused(&mut text, ErrorKind::Cancelled, message);
            walk.into_step(text)
        };
        walks.into_iter().map(refuse).collect()
    }

    fn replaying(&mut self) -> Option<&mut Walk> {
        let walk = self.walks.front_mut()?;
        if walk.stage != Stage::Replaying {
            return None;
        }
        walk.stage = Stage::Reading;
        Some(walk)
    }
}

impl Walk {
    fn on_found(&mut self, found: FoundLetters) {
        let FoundLetters {
            keys,
            last,
            has_more,
            missing,
        } = found;
        let last = *self.last.get_or_insert(last);
        let wanted = |key: &JobKey| *key > self.after && *key <= last;
        self.has_more = has_more && keys.last().is_some_and(|key| *key < last);
        self.found = keys.into_iter().filter(wanted).collect();
        if self.letters.after.is_none() {
            self.page.missing = missing;
        }
        self.stage = Stage::Reading;
    }

    fn poll(&mut self, now: Wall) -> Option<Step> {
        loop {
            match self.stage {
                Stage::ToFind if self.is_full => return None,
                Stage::ToFind => {
                    self.stage = Stage::Finding;
                    return Some(Step::Find(self.query()));
                }
                Stage::Finding | Stage::Replaying => return None,
                Stage::Reading => {}
            }
            if let Some((_, slot)) = self.reading.front_mut()
                && let Some(fetched) = slot.take()
                && let Some((key, _)) = self.reading.pop_front()
            {
                if self.is_full {
                    self.is_cut = true;
                    continue;
                }
                match self.look_at(now, key, fetched) {
                    None => continue,
                    step => return step,
                }
            }
            if let Some(key) = self.next_key() {
                if !self.needs_bytes() {
                    return Some(self.purge(key));
                }
                self.reading.push_back((key, None));
                return Some(Step::Fetch(key));
            }
            let is_dry = self.found.is_empty() && self.reading.is_empty();
            if self.is_full || !is_dry || !self.has_more {
                return None;
            }
            self.stage = Stage::ToFind;
        }
    }

    /// Whether [`Walk::poll`] has a step.
    fn has_step(&self) -> bool {
        match self.stage {
            Stage::ToFind => !self.is_full,
            Stage::Finding | Stage::Replaying => false,
            Stage::Reading => {
                let is_ready = self.reading.front().is_some_and(|(_, slot)| slot.is_some());
                let is_dry = self.found.is_empty() && self.reading.is_empty();
                let may_read = !self.is_full && (!self.found.is_empty() || is_dry && self.has_more);
                is_ready || may_read && self.reading.len() < FETCHES_MAX
            }
        }
    }

    /// Whether nothing is on its way, and nothing more is to be looked at.
    fn is_read(&self) -> bool {
        let is_done = self.is_full || (self.found.is_empty() && !self.has_more);
        match self.stage {
            Stage::ToFind => self.is_full,
            Stage::Reading => is_done && self.reading.is_empty(),
            Stage::Finding | Stage::Replaying => false,
        }
    }

    fn query(&self) -> LetterQuery {
        match &self.letters.ids {
            Some(ids) => LetterQuery::Ids {
                ids: ids.clone(),
                user: self.letters.uid.map(|uid| User::of(uid, self.own)),
            },
            None => LetterQuery::After {
                after: self.after,
                max: LETTERS_MAX,
            },
        }
    }

    /// The next letter to be read, if there is room for it.
    fn next_key(&mut self) -> Option<JobKey> {
        let is_enough = self.is_full || self.reading.len() >= FETCHES_MAX;
        match is_enough {
            true => None,
            false => self.found.pop_front(),
        }
    }

    /// Whether a letter has to be read to know whether it is meant, or what it says.
    fn needs_bytes(&self) -> bool {
        let Letters {
            origin,
            older_than,
            uid,
            ids,
            ..
        } = &self.letters;
        let has_filter = origin.is_some() || older_than.is_some() || uid.is_some() && ids.is_none();
        self.deed != Deed::Purge || has_filter
    }

    fn look_at(&mut self, now: Wall, key: JobKey, fetched: Option<Box<Fetched>>) -> Option<Step> {
        let Some(mut fetched) = fetched else {
            self.on_looked(key, 0);
            self.page.unreadable += 1;
            return None;
        };
        let Some(letter) = fetched.letter.take() else {
            // It was submitted again meanwhile, and is a job.
            self.on_looked(key, 0);
            return None;
        };
        if !self.is_meant(now, fetched.user, &letter) {
            self.on_looked(key, 0);
            return None;
        }
        match self.deed {
            Deed::List => {
                let uid = fetched.user.uid(self.own);
                self.page.add(|out| {
                    letter_line::write_summary(out, &letter, uid, fetched.accepted);
                    true
                });
                self.on_looked(key, 1);
                None
            }
            Deed::Export => {
                let is_line = self.page.add(|out| {
                    let mut line = Vec::new();
                    let is_line = letter_line::write_job_line(&mut line, &fetched, &letter);
                    if let Ok(line) = std::str::from_utf8(&line)
                        && is_line
                    {
                        push_json_string(out, line);
                    }
                    is_line
                });
                self.on_looked(key, usize::from(is_line));
                self.page.unreadable += u64::from(!is_line);
                None
            }
            Deed::Replay => {
                // Counted when it is stored.
                self.on_looked(key, 0);
                let limit = self.limit();
                self.is_full |= self.page.count + 1 >= limit;
                self.stage = Stage::Replaying;
                fetched.letter = Some(letter);
                Some(Step::Replay(fetched))
            }
            Deed::Purge => Some(self.purge(key)),
        }
    }

    fn purge(&mut self, key: JobKey) -> Step {
        self.on_looked(key, 1);
        Step::Forget(key)
    }

    fn is_meant(&self, now: Wall, user: User, letter: &Letter) -> bool {
        let Letters {
            origin,
            older_than,
            uid,
            ..
        } = &self.letters;
        let age = now.unix_nanos().saturating_sub(letter.ended.unix_nanos());
        origin
            .as_ref()
            .is_none_or(|origin| **origin == *letter.origin)
            && uid.is_none_or(|uid| user.uid(self.own) == uid)
            && older_than.is_none_or(|least| u128::from(age) >= least.as_nanos())
    }

    /// A letter was looked at, and `count` of it stands in the answer.
    fn on_looked(&mut self, key: JobKey, count: usize) {
        self.after = key;
        self.looked_at += 1;
        self.page.count += count;
        self.is_full |= self.page.count >= self.limit()
            || self.looked_at >= LETTERS_MAX
            || self.page.items.len() >= PAGE_BYTES;
    }

    fn limit(&self) -> usize {
        self.letters.limit.unwrap_or(LETTERS_MAX)
    }

    fn into_answer(self) -> Step {
        let next = self.last.map(|last| Cursor {
            after: self.after,
            last,
        });
        let has_rest = self.is_cut || self.has_more || !self.found.is_empty();
        let next = next.filter(|_| has_rest && self.page.stopped.is_none());
        let (name, is_list) = match self.deed {
            Deed::List => ("letters", true),
            Deed::Export => ("jobs", true),
            Deed::Replay => ("replayed", false),
            Deed::Purge => ("purged", false),
        };
        let mut text = Vec::with_capacity(self.page.items.len() + 256);
        self.ctl.write_done(&mut text, |out| {
            out.extend_from_slice(format!("{{\"{name}\":").as_bytes());
            if is_list {
                push_list(out, &self.page.items);
            } else {
                push_number(out, self.page.count as u64);
            }
            self.page.write_rest(out);
            if let Some(next) = next {
                out.extend_from_slice(format!(",\"next\":\"{next}\"").as_bytes());
            }
            out.push(b'}');
        });
        self.into_step(text)
    }

    /// The answer, and what was done until then.
    fn into_step(self, text: Vec<u8>) -> Step {
        let (client, line, count) = (self.client, self.line, self.page.count);
        let deed = match self.deed {
            Deed::List | Deed::Export => None,
            Deed::Replay => Some("replayed"),
            Deed::Purge => Some("purged"),
        };
        let taken = deed.filter(|_| count > 0).map(|deed| {
            Box::new(LettersTaken {
                client,
                deed,
                count,
                which: self.letters,
            })
        });
        Step::Answer {
            client,
            line,
            text,
            taken,
        }
    }
}

impl Page {
    /// Appends an element; `write` says whether it has written one.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let before = self.items.len();
        if before > 0 {
            self.items.push(b',');
        }
        let is_written = write(&mut self.items);
        if !is_written {
            self.items.truncate(before);
        }
        is_written
    }

    fn fail(&mut self, id: &str, kind: ErrorKind, message: &str) {
        let out = &mut self.failed;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        push_json_string(out, id);
        out.extend_from_slice(b",\"error\":");
        push_error(out, kind, message);
        out.push(b'}');
    }

    fn write_rest(&self, out: &mut Vec<u8>) {
        if !self.missing.is_empty() {
            let mut missing = Vec::new();
            for id in &self.missing {
                if !missing.is_empty() {
                    missing.push(b',');
                }
                push_json_string(&mut missing, id);
            }
            out.extend_from_slice(b",\"missing\":");
            push_list(out, &missing);
        }
        if !self.failed.is_empty() {
            out.extend_from_slice(b",\"failed\":");
            push_list(out, &self.failed);
        }
        if self.unreadable > 0 {
            out.extend_from_slice(b",\"unreadable\":");
            push_number(out, self.unreadable);
        }
        if let Some((kind, message)) = &self.stopped {
            out.extend_from_slice(b",\"stopped\":");
            push_error(out, *kind, message);
        }
    }
}

fn push_list(out: &mut Vec<u8>, items: &[u8]) {
    out.push(b'[');
    out.extend_from_slice(items);
    out.push(b']');
}

fn push_error(out: &mut Vec<u8>, kind: ErrorKind, message: &str) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(kind.name().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    push_json_string(out, message);
    out.push(b'}');
}

#[cfg(test)]
mod tests;
