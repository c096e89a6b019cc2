//! Results of the feed, on their way to the thread that writes them.
//!
//! They go out in batches: when a chunk is full, when a look for events found none, or when they have waited long
//! enough, and only while the thread is free. While it writes, they gather at intake.
//!
//! Not here: the thread (`stdio`), results of the socket's clients (`clients`).

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::intake::Intake;
use conduit::intake::event::ClientId;

use crate::io::mailbox::Mailbox;
use crate::io::stdio::{CHUNK_BYTES, Drain, Report};

/// How long results wait for a full batch while events keep coming.
const FLUSH_AFTER: Duration = Duration::from_millis(20);

/// The way out for results of the feed.
#[derive(Debug)]
pub struct Results {
    drain: Drain,
    state: Taking,
    /// When the last batch went out.
    flushed: Instant,
}

/// Whether results are taken.
#[derive(Debug)]
enum Taking {
    /// The thread is free; memory for the next batch.
    Free(Vec<u8>),
    /// It writes a batch.
    Busy,
    /// Nobody takes them any more.
    Gone,
}

impl Results {
    /// Starts the thread, which writes to `sink` and says so to `reports`.
    ///
    /// # Errors
    /// The system's: no more threads.
    pub fn start(
        now: Instant,
        sink: Box<dyn Write + Send>,
        reports: Arc<Mailbox<Report>>,
    ) -> io::Result<Results> {
        Ok(Results {
            drain: Drain::start(sink, reports)?,
            state: Taking::Free(Vec::new()),
            flushed: now,
        })
    }

    /// The batch is written. Says how many bytes it was.
    pub fn on_written(&mut self, mut batch: Vec<u8>) -> usize {
        let bytes = batch.len();
        batch.clear();
        self.state = Taking::Free(batch);
        bytes
    }

    /// Nobody takes results any more.
    pub fn on_gone(&mut self) {
        self.state = Taking::Gone;
    }

    /// Hands out what `client` has, if it is time to; `is_idle`: nothing else is there to be done.
    pub fn flush(&mut self, now: Instant, intake: &mut Intake, client: ClientId, is_idle: bool) {
        if !self.are_ready(intake, client) {
            return;
        }
        let is_full = intake.result_bytes(client) >= CHUNK_BYTES;
        let is_due = now.since(self.flushed) >= FLUSH_AFTER;
        if !(is_idle || is_full || is_due) {
            return;
        }
        if let Taking::Free(mut batch) = mem::replace(&mut self.state, Taking::Busy) {
            intake.take_results(client, &mut batch);
            self.flushed = now;
            self.drain.write(batch);
        }
    }

    /// Whether results wait that could go out now.
    #[must_use]
    pub fn are_ready(&self, intake: &Intake, client: ClientId) -> bool {
        matches!(self.state, Taking::Free(_)) && intake.result_bytes(client) > 0
    }

    /// Whether nobody takes them any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, Taking::Gone)
    }
}
