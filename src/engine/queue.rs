//! The jobs of one origin that wait: in line for a connection, or for the time of their next attempt.
//!
//! ```text
//!   Later --due--> Again (those that were tried before) --\
//!                  First (those that were not) ------------+--> a connection, a dial
//!                  Resumed (those that had a connection) --+
//!                  Apart (waits for a dial of its own) ----/
//! ```
//!
//! First and Again stand there once for each priority, and each is first in, first out. Priorities are served by
//! weight, 16:4:1, so that low ones get on too. Within one, first attempts go before retries, but every fifth place
//! is a retry's, so that neither starves the other (F104). A job whose connection has died is resumed before all of
//! them: its attempt has begun, and its clock runs. A job may leave from the middle (its time ran out, its own dial
//! came up), so a line is a doubly linked list through a slab. A job for which a dial is on its way stays in line: it
//! takes whichever connection is free first. One that must have a fresh connection ([`Queue::insert_apart`]) leaves
//! with its own dial only.
//!
//! Not here: timers (the engine arms them), which connection comes free (`pool`), who may go (`origin`).

use crate::base::lazy::Empty;
use crate::base::slab::{Key, Slab};
use crate::base::time::Instant;
use crate::base::wheel::TimerId;
use crate::engine::attempt::{self, Attempt, Limit};
use crate::engine::policy::Endpoint;
use crate::wire::job::{Job, Priority};

/// After so many first attempts a retry of the same priority goes before the next.
const FIRST_IN_A_ROW: u8 = 4;

/// Attempts that may begin in a round, by priority: high, normal, low.
const WEIGHTS: [u8; PRIORITIES] = [16, 4, 1];

const PRIORITIES: usize = 3;

/// A job that waits.
#[derive(Debug)]
pub struct Waiting {
    /// The job.
    pub job: Box<Job>,
    /// Since when it waits for a connection; before its attempt begins, since when it might if nothing held it back.
    pub since: Instant,
    /// When its time to live ends.
    pub expires: Instant,
    /// The attempt that began with a dial made for it.
    pub attempt: Option<Attempt>,
    /// Its entry in the wheel.
    pub timer: Option<TimerId>,
    /// The connection that is dialed for it, if one is.
    pub dial: Option<Key>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Line {
        line: Line,
        before: Option<Key>,
        after: Option<Key>,
        has_dial: bool,
    },
    Apart,
}

/// Where jobs stand one behind the other: an index into [`Queue::lines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line(u8);

impl Line {
    /// Until another attempt is due.
    const LATER: Line = Line(2 * PRIORITIES as u8);
    /// For another connection: the attempt has begun.
    const RESUMED: Line = Line(2 * PRIORITIES as u8 + 1);
    const COUNT: usize = 2 * PRIORITIES + 2;

    /// For a first attempt.
    const fn first(priority: usize) -> Line {
        Line(2 * priority as u8)
    }

    /// For another attempt, which is due.
    const fn again(priority: usize) -> Line {
        Line(2 * priority as u8 + 1)
    }

    const fn index(self) -> usize {
        self.0 as usize
    }

    const fn is_again(self) -> bool {
        self.index() < 2 * PRIORITIES && self.0 % 2 == 1
    }
}

#[derive(Debug, Default)]
struct Ends {
    first: Option<Key>,
    last: Option<Key>,
    /// The first for which no dial is on its way.
    undialed: Option<Key>,
    len: u32,
}

/// The jobs of one origin that wait.
#[derive(Debug, Default)]
pub struct Queue {
    entries: Slab<Waiting>,
    /// By [`Line`].
    lines: [Ends; Line::COUNT],
    /// By priority.
    turns: [Turns; PRIORITIES],
    in_line: u32,
    /// Jobs that wait, wherever they stand, by priority.
    by_priority: [u32; PRIORITIES],
    /// Jobs in line for which a dial is on its way, and those of them whose attempt is a retry.
    dialed: u32,
    dialed_again: u32,
}

/// What a priority has had of its turns.
#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    /// Attempts that began in this round.
    begun: u8,
    /// First attempts that began since a retry did.
    first_in_a_row: u8,
}

impl Empty for Queue {
    const EMPTY: &'static Queue = &Queue {
        entries: Slab::new(),
        lines: [const { Ends::NOBODY }; Line::COUNT],
        turns: [Turns::FRESH; PRIORITIES],
        in_line: 0,
        by_priority: [0; PRIORITIES],
        dialed: 0,
        dialed_again: 0,
    };
}

impl Ends {
    const NOBODY: Ends = Ends {
        first: None,
        last: None,
        undialed: None,
        len: 0,
    };
}

impl Turns {
    const FRESH: Turns = Turns {
        begun: 0,
        first_in_a_row: 0,
    };
}

impl Waiting {
    /// A job that starts waiting.
    #[must_use]
    pub fn new(job: Box<Job>, since: Instant, expires: Instant) -> Waiting {
        Waiting {
            job,
            since,
            expires,
            attempt: None,
            timer: None,
            dial: None,
            place: Place::Apart,
        }
    }

    /// When it can wait no longer.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.attempt
            .map_or(self.expires, |attempt| attempt.deadline.min(self.expires))
    }

    /// The attempt that begins now for it; `usual`: its limit, if the job has none of its own.
    #[must_use]
    pub fn new_attempt(&self, now: Instant, usual: Limit) -> Attempt {
        Attempt::begin(now, &self.job, self.since, self.expires, usual)
    }

    /// Whether an attempt that begins now tells little of its receiver: waiting has left it less than half of the time
    /// that one has whose job has just come in.
    #[must_use]
    pub fn is_scant(&self, now: Instant, endpoint: &Endpoint) -> bool {
        let left = self.expires.since(now);
        attempt::is_scant(left, &self.job, endpoint)
    }

    /// Whether its next attempt is a retry.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        self.job.progress.attempts > 0
    }

    const fn line(&self) -> Line {
        let priority = self.job.priority as usize;
        if self.is_retry() {
            Line::again(priority)
        } else {
            Line::first(priority)
        }
    }
}

impl Queue {
    /// Puts a job at the end of its line.
    pub fn push_back(&mut self, waiting: Waiting) -> Key {
        let line = waiting.line();
        self.append(line, waiting)
    }

    /// Puts a job before all that have not begun: its attempt has, and it has lost its connection.
    pub fn resume(&mut self, waiting: Waiting) -> Key {
        self.append(Line::RESUMED, waiting)
    }

    /// Puts a job back where it stood when it was removed, before the others of its line: its dial has come to nothing.
    /// Says whether its attempt has not begun for all that.
    pub fn restore(&mut self, mut waiting: Waiting) -> (Key, bool) {
        let line = match waiting.place {
            Place::Apart => Line::RESUMED,
            Place::Line { line, .. } => line,
        };
        if line == Line::RESUMED {
            return (self.resume(waiting), false);
        }
        if let Some(attempt) = waiting.attempt.take() {
            // It has waited all the time.
            waiting.since = attempt.started - attempt.queued;
        }
        (self.prepend(line, waiting), true)
    }

    /// Keeps a job that leaves only with the dial that is made for it.
    pub fn insert_apart(&mut self, mut waiting: Waiting) -> Key {
        waiting.place = Place::Apart;
        self.by_priority[waiting.job.priority as usize] += 1;
        self.entries.insert(waiting)
    }

    /// Keeps a job whose next attempt is not due yet; when it is, it is removed and pushed back.
    pub fn insert_later(&mut self, waiting: Waiting) -> Key {
        self.append(Line::LATER, waiting)
    }

    /// Takes a job from wherever it stands; `None` if it has left.
    pub fn remove(&mut self, key: Key) -> Option<Waiting> {
        let waiting = self.entries.remove(key)?;
        self.by_priority[waiting.job.priority as usize] -= 1;
        if let Place::Line {
            line,
            before,
            after,
            has_dial,
        } = waiting.place
        {
            if self.lines[line.index()].undialed == Some(key) {
                self.lines[line.index()].undialed = self.next_undialed(after);
            }
            match before {
                Some(before) => *self.link(before).1 = after,
                None => self.lines[line.index()].first = after,
            }
            match after {
                Some(after) => *self.link(after).0 = before,
                None => self.lines[line.index()].last = before,
            }
            self.lines[line.index()].len -= 1;
            self.in_line -= u32::from(line != Line::LATER);
            let was_dialed = has_dial && line != Line::RESUMED;
            self.dialed -= u32::from(was_dialed);
            self.dialed_again -= u32::from(was_dialed && line.is_again());
        }
        Some(waiting)
    }

    /// A job that waits; `None` if it has left.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Waiting> {
        self.entries.get_mut(key)
    }

    /// A job that waits; `None` if it has left.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Waiting> {
        self.entries.get(key)
    }

    /// Whether a job waits for the time of its next attempt.
    #[must_use]
    pub fn is_later(&self, key: Key) -> bool {
        let place = self.entries.get(key).map(|waiting| waiting.place);
        matches!(
            place,
            Some(Place::Line {
                line: Line::LATER,
                ..
            })
        )
    }

    /// From now on a dial is on its way for this job, which stands in line.
    pub fn set_dialed(&mut self, key: Key) {
        let Place::Line {
            line,
            after,
            has_dial,
            ..
        } = &mut self.entries[key].place
        else {
            unreachable!("a dial is made for a job in line")
        };
        let is_news = !std::mem::replace(has_dial, true) && *line != Line::RESUMED;
        let (line, after) = (*line, *after);
        self.dialed += u32::from(is_news);
        self.dialed_again += u32::from(is_news && line.is_again());
        if self.lines[line.index()].undialed == Some(key) {
            self.lines[line.index()].undialed = self.next_undialed(after);
        }
    }

    /// An attempt of a job begins: whose turn comes next depends on it.
    pub fn on_begin(&mut self, priority: Priority, is_retry: bool) {
        let priority = priority as usize;
        if self.turns[priority].begun >= WEIGHTS[priority] {
            // Nobody else had a turn left or a job for it: the next round.
            for turns in &mut self.turns {
                turns.begun = 0;
            }
        }
        let turns = &mut self.turns[priority];
        turns.begun += 1;
        turns.first_in_a_row = if is_retry {
            0
        } else {
            turns.first_in_a_row.saturating_add(1)
        };
    }

    /// Jobs in line.
    #[must_use]
    pub const fn in_line(&self) -> u32 {
        self.in_line
    }

    /// Jobs whose next attempt is not due yet.
    #[must_use]
    pub const fn later(&self) -> u32 {
        self.lines[Line::LATER.index()].len
    }

    /// Jobs in line, apart, and for later, by priority: high, normal, low.
    #[must_use]
    pub const fn by_priority(&self) -> [u32; PRIORITIES] {
        self.by_priority
    }

    /// Jobs in line whose attempt has begun: a dial is on its way for them, or they had a connection.
    #[must_use]
    pub const fn begun_in_line(&self) -> u32 {
        self.dialed + self.head(Line::RESUMED).len
    }

    /// Jobs in line whose next attempt, a retry, has not begun.
    #[must_use]
    pub fn retries_to_begin(&self) -> u32 {
        let again = (0..PRIORITIES).map(|priority| self.head(Line::again(priority)).len);
        again.sum::<u32>() - self.dialed_again
    }

    /// Jobs in line, apart, and for later.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no job waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The job in line whose turn it is; retries are passed over unless they may go.
    #[must_use]
    pub fn next(&self, may_retry: bool) -> Option<Key> {
        let resumed = self.head(Line::RESUMED).first;
        resumed.or_else(|| self.turn(may_retry, |ends| ends.first))
    }

    /// The same among those for which no dial is on its way.
    #[must_use]
    pub fn next_to_dial(&self, may_retry: bool) -> Option<Key> {
        let resumed = self.head(Line::RESUMED).undialed;
        resumed.or_else(|| self.next_to_begin(may_retry))
    }

    /// The same among those whose attempt has not begun.
    #[must_use]
    pub fn next_to_begin(&self, may_retry: bool) -> Option<Key> {
        self.turn(may_retry, |ends| ends.undialed)
    }

    /// The job in line that has been due for longest: since it came in, or since its next attempt is due. Retries are
    /// passed over unless they may go.
    #[must_use]
    pub fn longest_due(&self, may_retry: bool) -> Option<Key> {
        let since = |key: &Key| self.entries[*key].since;
        (0..PRIORITIES)
            .flat_map(|priority| {
                let again = self.head(Line::again(priority)).undialed;
                [
                    self.head(Line::first(priority)).undialed,
                    again.filter(|_| may_retry),
                ]
            })
            .flatten()
            .min_by_key(since)
    }

    /// The job in line that has most time left, as far as the ends of the lines show, among those whose attempt has
    /// not begun; retries are passed over unless they may go.
    #[must_use]
    pub fn freshest(&self, may_retry: bool) -> Option<Key> {
        let last = |line: Line| self.last_unbegun(self.head(line).last);
        (0..PRIORITIES)
            .flat_map(|priority| {
                let again = last(Line::again(priority)).filter(|_| may_retry);
                [last(Line::first(priority)), again]
            })
            .flatten()
            .max_by_key(|key| self.entries[*key].expires)
    }

    /// Some job in line or for later, to empty the queue with.
    #[must_use]
    pub fn any(&self) -> Option<Key> {
        self.lines.iter().find_map(|ends| ends.first)
    }

    /// Those jobs of which this is true, wherever they stand. Walks all.
    pub fn find_all(&self, is_it: impl Fn(&Job) -> bool) -> Vec<Key> {
        let found = self.entries.iter().filter(|(_, entry)| is_it(&entry.job));
        found.map(|(key, _)| key).collect()
    }

    /// All jobs that wait.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.entries.iter().map(|(_, waiting)| waiting)
    }

    /// Jobs whose attempt has begun. Walks all.
    #[must_use]
    pub fn begun(&self) -> u32 {
        let begun = |(_, waiting): &(Key, &Waiting)| waiting.attempt.is_some();
        self.entries.iter().filter(begun).count() as u32
    }

    /// Panics if the counts do not hold: for tests, after every step. Walks all.
    pub fn check_invariants(&self) {
        let mut by_priority = [0; PRIORITIES];
        let (mut dialed, mut again) = (0, 0);
        for waiting in self.iter() {
            by_priority[waiting.job.priority as usize] += 1;
            if let Place::Line { line, has_dial, .. } = waiting.place
                && has_dial
                && line != Line::RESUMED
            {
                dialed += 1;
                again += u32::from(line.is_again());
            }
        }
        assert_eq!(by_priority, self.by_priority, "jobs by priority");
        assert_eq!((dialed, again), (self.dialed, self.dialed_again), "dials");
    }

    /// Of the jobs that `of` shows of each line the one whose turn it is.
    fn turn(&self, may_retry: bool, of: impl Fn(&Ends) -> Option<Key>) -> Option<Key> {
        let mut out_of_turn = None;
        for (priority, turns) in self.turns.iter().enumerate() {
            let first = of(self.head(Line::first(priority)));
            let again = of(self.head(Line::again(priority))).filter(|_| may_retry);
            let next = if turns.first_in_a_row >= FIRST_IN_A_ROW {
                again.or(first)
            } else {
                first.or(again)
            };
            if next.is_some() && turns.begun < WEIGHTS[priority] {
                return next;
            }
            out_of_turn = out_of_turn.or(next);
        }
        out_of_turn
    }

    const fn head(&self, line: Line) -> &Ends {
        &self.lines[line.index()]
    }

    fn append(&mut self, line: Line, mut waiting: Waiting) -> Key {
        let last = self.lines[line.index()].last;
        waiting.place = Place::Line {
            line,
            before: last,
            after: None,
            has_dial: false,
        };
        self.by_priority[waiting.job.priority as usize] += 1;
        let key = self.entries.insert(waiting);
        match last {
            Some(last) => self.link(last).1.replace(key),
            None => self.lines[line.index()].first.replace(key),
        };
        let ends = &mut self.lines[line.index()];
        ends.last = Some(key);
        ends.undialed.get_or_insert(key);
        ends.len += 1;
        self.in_line += u32::from(line != Line::LATER);
        key
    }

    fn prepend(&mut self, line: Line, mut waiting: Waiting) -> Key {
        let first = self.lines[line.index()].first;
        waiting.place = Place::Line {
            line,
            before: None,
            after: first,
            has_dial: false,
        };
        self.by_priority[waiting.job.priority as usize] += 1;
        let key = self.entries.insert(waiting);
        match first {
            Some(first) => self.link(first).0.replace(key),
            None => self.lines[line.index()].last.replace(key),
        };
        let ends = &mut self.lines[line.index()];
        ends.first = Some(key);
        ends.undialed = Some(key);
        ends.len += 1;
        self.in_line += u32::from(line != Line::LATER);
        key
    }

    /// Of this job and those before it the last whose attempt has not begun. Few of them have a dial.
    fn last_unbegun(&self, mut from: Option<Key>) -> Option<Key> {
        while let Some(key) = from {
            let waiting = &self.entries[key];
            let Place::Line { before, .. } = waiting.place else {
                unreachable!("the line links those in line")
            };
            if waiting.attempt.is_none() {
                return Some(key);
            }
            from = before;
        }
        None
    }

    /// Jobs with a dial stand together at the head, but for few that were the freshest, so this looks at few.
    fn next_undialed(&self, mut from: Option<Key>) -> Option<Key> {
        while let Some(key) = from {
            let Place::Line {
                after, has_dial, ..
            } = self.entries[key].place
            else {
                unreachable!("the line links those in line")
            };
            if !has_dial {
                return Some(key);
            }
            from = after;
        }
        None
    }

    fn link(&mut self, key: Key) -> (&mut Option<Key>, &mut Option<Key>) {
        match &mut self.entries[key].place {
            Place::Line { before, after, .. } => (before, after),
            Place::Apart => unreachable!("the line links those in line"),
        }
    }
}

#[cfg(test)]
mod tests;
