//! A journal made of a list: what a real one says, without a disk.

use super::*;
use crate::wire::job::User;
use crate::wire::spool::{
    Attempt, Fetched, FoundLetters, How, JobKey, Known, Letter, LetterQuery, Pending, Refusal,
    SourceKind, Verdict,
};

/// What is on disk.
#[derive(Default)]
pub(super) struct Pretend {
    pub(super) entries: Vec<Entry>,
    /// Ends, in their order: key and how.
    pub(super) ends: Vec<(JobKey, &'static str)>,
    pub(super) delivered: Vec<String>,
    /// Dead letters, the oldest first.
    pub(super) letters: Vec<(Entry, Letter)>,
    pub(super) refusal: Option<Refusal>,
    /// What is to be read.
    pub(super) wanted: Vec<JobKey>,
    last: u64,
}

pub(super) struct Entry {
    pub(super) key: JobKey,
    pub(super) id: String,
    pub(super) user: User,
    pub(super) is_generated: bool,
    pub(super) source: SourceKind,
    pub(super) line: Box<[u8]>,
    pub(super) accepted: Wall,
    pub(super) attempt: Option<Attempt>,
    /// A life of the process has had it since it was found.
    pub(super) is_known: bool,
}

impl Pretend {
    /// The last key that was given out.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn store(
        &mut self,
        now: Now,
        (id, user): (&str, User),
        is_generated: bool,
        source: SourceKind,
        line: &[u8],
    ) -> Verdict {
        let same = |entry: &&Entry| entry.id == id && entry.user == user;
        if let Some(entry) = self.entries.iter().find(same) {
            return Verdict::Duplicate {
                known: Known::Pending(entry.key),
                same_payload: *entry.line == *line,
            };
        }
        if self.delivered.iter().any(|delivered| delivered == id) {
            return Verdict::Duplicate {
                known: Known::Delivered,
                same_payload: true,
            };
        }
        if let Some(refusal) = self.refusal {
            return Verdict::Refused(refusal);
        }
        self.last += 1;
        let key = JobKey(self.last);
        self.entries.push(Entry {
            key,
            id: id.to_owned(),
            user,
            is_generated,
            source,
            line: line.into(),
            accepted: now.wall,
            attempt: None,
            is_known: true,
        });
        Verdict::New(key)
    }

    /// Up to this key all is safe: who was a letter and is a job again is no letter any more.
    pub(super) fn durable(&mut self, up_to: JobKey) {
        let safe = self.entries.iter().filter(|entry| entry.key <= up_to);
        let safe: Vec<(&str, User)> = safe.map(|entry| (entry.id.as_str(), entry.user)).collect();
        self.letters
            .retain(|(entry, _)| !safe.contains(&(entry.id.as_str(), entry.user)));
    }

    pub(super) fn find_letters(&self, query: &LetterQuery) -> FoundLetters {
        let keys = self.letters.iter().map(|(entry, _)| entry.key);
        let mut found = FoundLetters {
            last: keys.clone().next_back().unwrap_or_default(),
            ..FoundLetters::default()
        };
        match query {
            LetterQuery::After { after, .. } => {
                found.keys = keys.filter(|key| key > after).collect();
            }
            LetterQuery::Ids { ids, user } => {
                for id in ids {
                    let is_meant = |entry: &Entry| {
                        *entry.id == **id && user.is_none_or(|user| entry.user == user)
                    };
                    let before = found.keys.len();
                    let meant = self.letters.iter().filter(|(entry, _)| is_meant(entry));
                    found.keys.extend(meant.map(|(entry, _)| entry.key));
                    if found.keys.len() == before {
                        found.missing.push(id.clone());
                    }
                }
            }
        }
        found
    }

    pub(super) fn forget(&mut self, key: JobKey) {
        let at = self.letters.iter().position(|(entry, _)| entry.key == key);
        self.letters.remove(at.expect("it is a letter"));
    }

    pub(super) fn settle(&mut self, key: JobKey, how: &How) {
        let at = self.entries.iter().position(|entry| entry.key == key);
        let entry = self.entries.remove(at.expect("it is pending"));
        let how = match how {
            How::Delivered => {
                self.delivered.push(entry.id);
                "delivered"
            }
            How::Ended => "ended",
            How::Dead(letter) => {
                self.letters.push((entry, Letter::clone(letter)));
                letter.outcome.name()
            }
        };
        self.ends.push((key, how));
    }

    pub(super) fn fetch(&self, key: JobKey) -> Option<Box<Fetched>> {
        let mut letters = self.letters.iter();
        let letter = letters.find(|(entry, _)| entry.key == key);
        let job = || self.entries.iter().find(|entry| entry.key == key);
        let entry = letter.map(|(entry, _)| entry).or_else(job)?;
        Some(Box::new(Fetched {
            accepted: entry.accepted,
            source: entry.source,
            user: entry.user,
            generated_id: entry.is_generated.then(|| entry.id.as_str().into()),
            attempt: entry.attempt.clone(),
            letter: letter.map(|(_, letter)| Box::new(letter.clone())),
            line: entry.line.clone(),
        }))
    }

    pub(super) fn next_pending(&mut self, now: Now) -> Option<Pending> {
        let entry = self.entries.iter_mut().find(|entry| !entry.is_known)?;
        entry.is_known = true;
        let age = now.wall.unix_nanos() - entry.accepted.unix_nanos();
        let due = |attempt: &Attempt| {
            let wait = attempt
                .due
                .unix_nanos()
                .saturating_sub(now.wall.unix_nanos());
            now.mono + Duration::from_nanos(wait)
        };
        Some(Pending {
            key: entry.key,
            accepted: entry.accepted,
            age: Duration::from_nanos(age),
            source: entry.source,
            attempts: entry.attempt.as_ref().map_or(0, |attempt| attempt.attempts),
            due: entry.attempt.as_ref().map_or(now.mono, due),
            line_bytes: entry.line.len() as u32,
        })
    }

    /// The process has died: what it knew is gone.
    pub(super) fn restart(mut self) -> Pretend {
        self.entries.iter_mut().for_each(|it| it.is_known = false);
        self.wanted.clear();
        self.ends.clear();
        self
    }
}
