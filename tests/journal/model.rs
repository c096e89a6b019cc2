//! What must be true after a crash, kept in the simplest way: every job ever submitted, and what was said of it.

use std::collections::{BTreeMap, BTreeSet};

use conduit::journal::event::{Identity, JobKey};

/// A job, by its key.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) payload: Identity,
    pub(crate) line: Vec<u8>,
    pub(crate) is_generated: bool,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) accepted: u64,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Submitted, and nobody was told that it is safe.
    Submitted,
    /// Safe.
    Acknowledged,
    /// Ended. `firm`: that it has is safe too.
    Ended { how: End, firm: bool },
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Delivered,
    Ended,
    Dead,
    /// A dead letter that was removed again.
    Forgotten,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) jobs: BTreeMap<JobKey, Job>,
    /// Delivered jobs in their order; key 0: perhaps.
    pub(crate) delivered: Vec<JobKey>,
    /// Jobs that were delivered, and may be remembered or not.
    pub(crate) perhaps: Vec<Job>,
    /// Jobs whose id was submitted again.
    pub(crate) replaced: BTreeSet<JobKey>,
}

/// What a job may be after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) pending: bool,
    pub(crate) letter: bool,
    /// Neither.
    pub(crate) gone: bool,
}

impl Model {
    /// Everything that was said so far is safe.
    pub(crate) fn make_firm(&mut self) {
        for job in self.jobs.values_mut() {
            if let State::Ended { firm, .. } = &mut job.state {
                *firm = true;
            }
        }
    }

    pub(crate) fn allowed(&self, key: JobKey, keeps_letters: bool) -> Allowed {
        let (pending, letter, gone) = match self.jobs[&key].state {
            State::Submitted => (true, false, true),
            State::Acknowledged => (true, false, false),
            State::Ended { how, firm } => match how {
                End::Delivered | End::Ended => (!firm, false, true),
                End::Dead => (!firm, true, !keeps_letters || self.replaced.contains(&key)),
                // It was safe as a letter, so its job can never be pending again.
                End::Forgotten => (false, !firm, true),
            },
        };
        Allowed {
            pending,
            letter: letter && keeps_letters,
            gone,
        }
    }

    /// The job is safe: the letters of those that had its id before are wanted no more.
    pub(crate) fn acknowledge(&mut self, key: JobKey) {
        let job = self.jobs.get_mut(&key).expect("a job");
        job.state = State::Acknowledged;
        let id = job.id.clone();
        let before = self.jobs.range(..key).filter(|(_, job)| job.id == id);
        self.replaced.extend(before.map(|(key, _)| *key));
    }

    /// Of the last `n` deliveries, those that must be remembered.
    pub(crate) fn remembered(&self, n: usize) -> impl Iterator<Item = &Job> {
        let last = self.delivered.iter().rev().take(n);
        let jobs = last.filter_map(|key| self.jobs.get(key));
        jobs.filter(|job| {
            matches!(
                job.state,
                State::Ended {
                    how: End::Delivered,
                    firm: true
                }
            )
        })
    }
}
