//! The jobs of one origin that wait for a connection, first in, first out.
//!
//! A job may leave from the middle (its time ran out, its own dial came up), so the line is a doubly linked
//! list through a slab. A job for which a dial is on its way stays in line: it takes whichever connection is
//! free first. A job that must have a fresh connection ([`Queue::insert_apart`]) stands beside the line and
//! leaves with its own dial only.
//!
//! Not here: timers (the engine arms them), which connection comes free (`pool`).

use crate::base::slab::{Key, Slab};
use crate::base::time::Instant;
use crate::base::wheel::TimerId;
use crate::engine::attempt::Attempt;
use crate::wire::job::Job;

/// A job in line.
#[derive(Debug)]
pub struct Waiting {
    /// The job.
    pub job: Box<Job>,
    /// Since when it waits.
    pub since: Instant,
    /// When its time to live ends.
    pub expires: Instant,
    /// The attempt that began with a dial made for it.
    pub attempt: Option<Attempt>,
    /// Its entry in the wheel.
    pub timer: Option<TimerId>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Line {
        before: Option<Key>,
        after: Option<Key>,
        has_dial: bool,
    },
    Apart,
}

/// The jobs of one origin that wait.
#[derive(Debug, Default)]
pub struct Queue {
    entries: Slab<Waiting>,
    first: Option<Key>,
    last: Option<Key>,
    /// The first in line for which no dial is on its way.
    undialed: Option<Key>,
    in_line: u32,
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
            place: Place::Apart,
        }
    }

    /// When it can wait no longer.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.attempt
            .map_or(self.expires, |attempt| attempt.deadline.min(self.expires))
    }
}

impl Queue {
    /// Puts a job at the end of the line.
    pub fn push_back(&mut self, mut waiting: Waiting) -> Key {
        waiting.place = Place::Line {
            before: self.last,
            after: None,
            has_dial: false,
        };
        let key = self.entries.insert(waiting);
        match self.last {
            Some(last) => self.link(last).1.replace(key),
            None => self.first.replace(key),
        };
        self.last = Some(key);
        self.undialed.get_or_insert(key);
        self.in_line += 1;
        key
    }

    /// Puts a job at the head of the line: it stood there before.
    pub fn push_front(&mut self, mut waiting: Waiting) -> Key {
        waiting.place = Place::Line {
            before: None,
            after: self.first,
            has_dial: false,
        };
        let key = self.entries.insert(waiting);
        match self.first {
            Some(first) => self.link(first).0.replace(key),
            None => self.last.replace(key),
        };
        self.first = Some(key);
        self.undialed = Some(key);
        self.in_line += 1;
        key
    }

    /// Keeps a job that leaves only with the dial that is made for it.
    pub fn insert_apart(&mut self, mut waiting: Waiting) -> Key {
        waiting.place = Place::Apart;
        self.entries.insert(waiting)
    }

    /// Takes a job from wherever it stands; `None` if it has left.
    pub fn remove(&mut self, key: Key) -> Option<Waiting> {
        let waiting = self.entries.remove(key)?;
        if let Place::Line { before, after, .. } = waiting.place {
            if self.undialed == Some(key) {
                self.undialed = self.next_undialed(after);
            }
            match before {
                Some(before) => *self.link(before).1 = after,
                None => self.first = after,
            }
            match after {
                Some(after) => *self.link(after).0 = before,
                None => self.last = before,
            }
            self.in_line -= 1;
        }
        Some(waiting)
    }

    /// A job that waits; `None` if it has left.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Waiting> {
        self.entries.get_mut(key)
    }

    /// The first in line for which no dial is on its way: from now on there is one.
    pub fn take_undialed(&mut self) -> Option<Key> {
        let key = self.undialed?;
        let Place::Line {
            after, has_dial, ..
        } = &mut self.entries[key].place
        else {
            unreachable!("`undialed` stands in line")
        };
        *has_dial = true;
        let after = *after;
        self.undialed = self.next_undialed(after);
        Some(key)
    }

    /// Jobs in line.
    #[must_use]
    pub const fn in_line(&self) -> u32 {
        self.in_line
    }

    /// Jobs in line and apart.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no job waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first in line.
    #[must_use]
    pub const fn front(&self) -> Option<Key> {
        self.first
    }

    /// Jobs with a dial stand together but for one put back at the head, so this looks at few.
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::time::Now;
    use crate::wire::job::{Message, Method, Priority, Progress, Source};
    use crate::wire::url::Url;

    fn waiting(line: u64) -> Waiting {
        let origin = Url::parse("https://example.com/").unwrap().to_origin();
        let job = Job {
            id: "a".into(),
            source: Source { client: 0, line },
            origin: Arc::new(origin),
            target: "/".into(),
            method: Method::Post,
            kind: None,
            headers: Box::default(),
            content_type: None,
            has_user_agent: false,
            timeout: None,
            ttl: None,
            priority: Priority::Normal,
            accepted: Now::default(),
            message: Message::default(),
            progress: Progress::default(),
        };
        Waiting::new(Box::new(job), Instant::default(), Instant::FAR_FUTURE)
    }

    fn drain(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.front().and_then(|first| queue.remove(first)))
            .map(|waiting| waiting.job.source.line)
            .collect()
    }

    #[test]
    fn first_in_first_out() {
        let mut queue = Queue::default();
        for line in 1..=3 {
            queue.push_back(waiting(line));
        }
        queue.push_front(waiting(0));
        assert_eq!(queue.in_line(), 4);
        assert_eq!(drain(&mut queue), [0, 1, 2, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_job_leaves_from_the_middle_and_from_both_ends() {
        let mut queue = Queue::default();
        let keys: Vec<Key> = (0..5).map(|line| queue.push_back(waiting(line))).collect();
        for gone in [2, 0, 4] {
            assert_eq!(
                queue.remove(keys[gone]).map(|w| w.job.source.line),
                Some(gone as u64)
            );
            assert!(queue.remove(keys[gone]).is_none());
        }
        assert_eq!(drain(&mut queue), [1, 3]);
    }

    #[test]
    fn each_job_in_line_gets_one_dial_in_turn() {
        let mut queue = Queue::default();
        let keys: Vec<Key> = (0..3).map(|line| queue.push_back(waiting(line))).collect();
        assert_eq!(queue.take_undialed(), Some(keys[0]));
        assert_eq!(queue.take_undialed(), Some(keys[1]));
        let head = queue.push_front(waiting(9));
        assert_eq!(queue.take_undialed(), Some(head));
        queue.remove(keys[0]);
        assert_eq!(queue.take_undialed(), Some(keys[2]));
        assert_eq!(queue.take_undialed(), None);
        let late = queue.push_back(waiting(4));
        assert_eq!(queue.take_undialed(), Some(late));
    }

    #[test]
    fn a_job_that_stands_apart_is_not_in_line() {
        let mut queue = Queue::default();
        let apart = queue.insert_apart(waiting(7));
        assert_eq!((queue.in_line(), queue.len()), (0, 1));
        assert!(queue.front().is_none());
        assert_eq!(queue.remove(apart).map(|w| w.job.source.line), Some(7));
    }
}
