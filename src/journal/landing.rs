//! What follows when a batch is safe, or a try failed: the watermark, where things lie now, what is said of it.
//!
//! Not here: how a batch gets there (`appender`).

use std::ops::Range;

use crate::journal::Journal;
use crate::journal::appender::{Haste, Landed, Progress, Purpose};
use crate::journal::event::{DiskError, JobKey, Output, Performed, Stream};
use crate::journal::index::Place;
use crate::journal::letters::Dead;
use crate::journal::record::Record;

impl Journal {
    pub(super) fn on_log_performed(
        &mut self,
        stream: Stream,
        result: Result<Performed, DiskError>,
    ) {
        let now = self.now;
        let appender = &mut self.log_mut(stream).appender;
        let was_in_trouble = appender.trouble().is_some();
        let progress = appender.on_performed(now, result);
        let is_over = was_in_trouble && appender.trouble().is_none();
        match progress {
            Progress::Step | Progress::Made => {}
            Progress::Landed(landed) => self.on_landed(stream, &landed),
            Progress::Failed {
                error,
                retry,
                abandoned,
            } => {
                // What it holds may come back after a crash: it goes in its turn, like the others.
                if let Some((number, bytes)) = abandoned {
                    self.log_mut(stream).shelf.put(number, bytes);
                }
                self.outputs.push_back(Output::Trouble {
                    stream,
                    error,
                    retry,
                });
            }
        }
        if is_over {
            self.outputs.push_back(Output::Recovered { stream });
        }
    }

    fn on_landed(&mut self, stream: Stream, landed: &Landed) {
        let segment = landed.segment;
        self.log_mut(stream)
            .shelf
            .put(segment, landed.segment_bytes);
        let mut up_to = None;
        for mark in &landed.marks {
            let place = Place {
                segment,
                offset: mark.offset,
                bytes: mark.bytes,
            };
            match mark.purpose {
                Purpose::Job(key) => {
                    if self.on_job_landed(key, place) {
                        up_to = up_to.max(Some(key));
                    }
                }
                Purpose::Letter(key) => self.on_letter_landed(key, place),
                Purpose::Remembered {
                    segment: home,
                    from,
                    to,
                } => self.on_remembered_landed(home, from..to, segment),
            }
        }
        if stream == Stream::Dead {
            self.await_ends(segment);
        }
        if let Some(up_to) = up_to {
            self.outputs.push_back(Output::Durable { up_to });
        }
    }

    /// The job's record is safe there. Whether it is the first.
    fn on_job_landed(&mut self, key: JobKey, place: Place) -> bool {
        // It may have ended while its copy was on its way.
        let Some(slot) = self.index.by_key(key) else {
            return false;
        };
        let old = self.index.set_place(slot, place);
        self.jobs.shelf.drop_live(old.segment, old.bytes);
        self.jobs.shelf.add_live(place.segment, place.bytes);
        let is_first = old.segment == 0;
        if is_first && let Some(letter) = self.letters.by_id(self.index.get(slot).id) {
            self.forget(letter);
        }
        is_first
    }

    fn on_letter_landed(&mut self, key: JobKey, place: Place) {
        let Some(entry) = self.end_dying(key) else {
            // Its id was submitted again meanwhile.
            let record = Record::Forgotten { key };
            self.dead
                .appender
                .push(self.now, Haste::Lazy, &record, None);
            return;
        };
        if let Some(older) = self.letters.by_id(entry.id) {
            self.forget(older);
        }
        self.dead.shelf.add_live(place.segment, place.bytes);
        self.letters.insert(
            key,
            Dead {
                id: entry.id,
                place,
            },
        );
    }

    /// That the jobs of this segment's letters have ended was pushed by now, and may not be safe yet.
    pub(super) fn await_ends(&mut self, segment: u32) {
        let position = self.jobs.appender.position();
        if let Some(segment) = self.dead.shelf.get_mut(segment) {
            segment.ended_at = position;
        }
    }

    fn on_remembered_landed(&mut self, home: u32, places: Range<u32>, to: u32) {
        for place in places {
            if self.memory.move_home(place, home, to) {
                self.jobs.shelf.drop_remembered(home);
                self.jobs.shelf.add_remembered(to);
            }
        }
    }
}
