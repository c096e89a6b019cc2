//! Segments made ahead: file, room, header, and both safe, before the first batch goes there.
//!
//! Not here: when a segment becomes the one that is written (`appender`).

use crate::base::time::Instant;
use crate::journal::appender::{Appender, Busy, NO_ANSWER, Progress};
use crate::journal::event::{Action, DiskError, DiskErrorKind, Performed};
use crate::journal::segment::{HEADER_BYTES, Header, VERSION};

/// The next step of a segment that is being made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Making {
    /// One that was made before the start and holds nothing: its room is asked for, which costs nothing.
    Adopt,
    Create,
    Allocate,
    Header,
    Sync,
    SyncDir,
}

impl Appender {
    pub(super) fn make(&mut self, now: Instant, wanted: u64, next_key: u64) -> Option<Action> {
        let (number, step) = match self.making {
            Some(making) => making,
            None if !self.adopt.is_empty() => {
                let number = self.adopt.pop_front().expect("there is one");
                (number, Making::Adopt)
            }
            None => {
                let is_held_up = self.is_due(now) && self.spares.is_empty();
                if self.room() >= wanted && !is_held_up && self.trouble.is_none() {
                    return None;
                }
                let number = self.setup.next_number;
                self.setup.next_number += 1;
                (number, Making::Create)
            }
        };
        self.making = Some((number, step));
        self.busy = Some(Busy::Making(step));
        let file = self.file(number);
        Some(match step {
            Making::Create => Action::Create { file },
            Making::Adopt | Making::Allocate => Action::Allocate {
                file,
                bytes: self.setup.segment_bytes,
            },
            Making::Header => {
                let header = Header {
                    version: VERSION,
                    file,
                    next_key,
                    seeds: self.setup.seeds,
                    after: self.made,
                    bytes: if self.is_allocated {
                        self.setup.segment_bytes
                    } else {
                        0
                    },
                };
                Action::Write {
                    file,
                    offset: 0,
                    bytes: header.to_bytes().as_slice().into(),
                    from: 0,
                }
            }
            Making::Sync => Action::Sync { file },
            Making::SyncDir => Action::SyncDir,
        })
    }

    pub(super) fn on_made(
        &mut self,
        now: Instant,
        step: Making,
        result: Result<Performed, DiskError>,
    ) -> Progress {
        let (number, _) = self.making.take().expect("a segment is being made");
        let next = match (step, result) {
            (Making::Create, Ok(_)) if !self.setup.preallocate => Making::Header,
            (Making::Create, Ok(_)) => Making::Allocate,
            (Making::Allocate, Ok(_)) => {
                self.is_allocated = true;
                Making::Header
            }
            // Its header stands as it is: another might be torn, and what this one says be lost.
            (Making::Adopt, Ok(_)) => Making::Sync,
            // Then there is no room kept for the time when the disk is full, and all else works.
            (Making::Allocate, Err(error)) if error.kind == DiskErrorKind::Unsupported => {
                self.is_allocated = false;
                Making::Header
            }
            (Making::Header, Ok(Performed::Written(HEADER_BYTES))) => Making::Sync,
            (Making::Sync, Ok(_)) => Making::SyncDir,
            (Making::SyncDir, Ok(_)) => {
                self.spares.push_back(number);
                self.made = number;
                self.has_made = self.has_made || number >= self.first_number;
                self.trouble = None;
                return Progress::Made;
            }
            (Making::Header, Ok(_)) => return self.scrap(now, number, NO_ANSWER),
            (
                Making::Adopt
                | Making::Create
                | Making::Allocate
                | Making::Header
                | Making::Sync
                | Making::SyncDir,
                Err(error),
            ) => return self.scrap(now, number, error),
        };
        self.making = Some((number, next));
        Progress::Step
    }

    fn scrap(&mut self, now: Instant, number: u32, error: DiskError) -> Progress {
        // What an older start has made may say what nothing else does.
        if number >= self.first_number {
            self.failed.push(number);
        } else {
            // The newest stays last.
            let at = self.scrap.partition_point(|other| *other < number);
            self.scrap.insert(at, number);
        }
        Progress::Failed {
            error,
            retry: self.fail(now, error, false),
            abandoned: None,
        }
    }
}
