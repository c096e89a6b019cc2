//! The journal and its disk, as loop 0 drives them: what intake asks for goes there, and what follows comes back.
//!
//! Not here: what is on disk (`journal`), files and threads (`disk`), which jobs are accepted (intake).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now};
use conduit::intake::Intake;
use conduit::intake::event::Input as IntakeInput;
use conduit::journal::event::{DiskError, DiskErrorKind, Input, Output, Stream};
use conduit::journal::{Journal, Settings};
use conduit::wire::job::Job;
use conduit::wire::metrics::Spool as Facts;
use conduit::wire::spool::{
    Attempt, FoundLetters, How, JobKey, Letter, LetterQuery, Refusal, SourceKind, Submission,
    Verdict,
};

use crate::io::disk::{Directory, Disk, OpenError, Report};
use crate::io::log::quoted;
use crate::io::mailbox::{Bell, Mailbox};

/// Trouble is told of at once, then once in so long.
const TROUBLE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Jobs that were found at start are handed over so many at a time.
const FOUND_PER_RUN: u32 = 256;

/// Corrupt places that are named in the log; the others are counted.
const CORRUPTIONS_TOLD: usize = 20;

/// A spool that was read, and has not begun to work.
#[derive(Debug)]
pub struct Opened {
    directory: Arc<Directory>,
    journal: Box<Journal>,
    /// Places that could not be read.
    corruptions: u64,
}

/// The spool at work.
#[derive(Debug)]
pub struct Spool {
    journal: Box<Journal>,
    disk: Disk,
    mailbox: Arc<Mailbox<Report>>,
    mail: Vec<Report>,
    /// When trouble was last told of, while there is some.
    told: Option<Instant>,
    /// Times that it was not told.
    untold: u32,
    /// Places that could not be read, at start and since, and dead letters that went for newer ones.
    corruptions: u64,
    letters_dropped: u64,
}

impl Opened {
    /// Locks the directory, makes it where there is none, and reads what is there.
    ///
    /// # Errors
    /// Another process has it, another version wrote it, or the system says no.
    pub fn open(
        dir: &Path,
        settings: Settings,
        rng: &mut Rng,
        now: Now,
    ) -> Result<Opened, OpenError> {
        let directory = Arc::new(Directory::open(dir)?);
        let (journal, summary) = directory.recover(settings, rng, now)?;
        for corruption in summary.corruptions.iter().take(CORRUPTIONS_TOLD) {
            log::error!("spool: {corruption}; what else is there is kept");
        }
        if summary.corrupt_places > CORRUPTIONS_TOLD {
            let places = summary.corrupt_places;
            log::error!("spool: {places} places can't be read");
        }
        for name in summary.aside.iter().take(CORRUPTIONS_TOLD) {
            log::error!(
                "spool: {name} was set aside, for something in it can't be read; it is never deleted"
            );
        }
        if summary.aside.len() > CORRUPTIONS_TOLD {
            log::error!("spool: {} files were set aside", summary.aside.len());
        }
        let place = dir.to_string_lossy();
        log::info!(
            "spool {}: {} jobs are left from before, {} dead letters",
            quoted(&place),
            summary.pending,
            summary.letters
        );
        Ok(Opened {
            directory,
            journal: Box::new(journal),
            corruptions: summary.corrupt_places as u64,
        })
    }
}

impl Spool {
    /// Starts the threads; what comes of their work rings `bell`.
    ///
    /// # Errors
    /// The system's: no more threads.
    pub fn start(opened: Opened, bell: Arc<Bell>) -> io::Result<Spool> {
        let mailbox = Arc::new(Mailbox::new(bell));
        Ok(Spool {
            journal: opened.journal,
            disk: Disk::start(opened.directory, Arc::clone(&mailbox))?,
            mailbox,
            mail: Vec::new(),
            told: None,
            untold: 0,
            corruptions: opened.corruptions,
            letters_dropped: 0,
        })
    }

    /// Intake wants a job to be safe.
    pub fn store(
        &mut self,
        now: Now,
        job: &Job,
        source: SourceKind,
        is_generated: bool,
        line: &[u8],
    ) -> Verdict {
        let submission = Submission {
            id: &job.id,
            user: job.source.user,
            is_generated,
            payload: self.journal.seeds().of_payload(job),
            source,
            line,
        };
        self.journal.submit(now, &submission)
    }

    /// A job has ended.
    pub fn settle(&mut self, now: Now, key: JobKey, how: How) {
        if let How::Dead(letter) = &how {
            tell_dead(letter);
        }
        self.journal.handle_input(now, Input::Done { key, how });
    }

    /// A job waits for another attempt.
    pub fn attempted(&mut self, now: Now, key: JobKey, attempt: Attempt) {
        self.journal
            .handle_input(now, Input::Attempted { key, attempt });
    }

    /// Intake wants a job read.
    pub fn fetch(&mut self, now: Now, key: JobKey) {
        self.journal.handle_input(now, Input::Fetch { key });
    }

    /// Which dead letters there are.
    #[must_use]
    pub fn find_letters(&self, query: &LetterQuery) -> FoundLetters {
        self.journal.find_letters(query)
    }

    /// A dead letter is not wanted any more.
    pub fn forget(&mut self, now: Now, key: JobKey) {
        self.journal.handle_input(now, Input::Forget { key });
    }

    /// So many bytes of dead letters are kept from now on.
    pub fn set_max_dead_bytes(&mut self, now: Now, max: u64) {
        self.journal.handle_input(now, Input::MaxDeadBytes(max));
    }

    /// Takes what the disk has done, and hands out what follows.
    pub fn run(&mut self, now: Now, intake: &mut Intake) {
        self.mailbox.take(&mut self.mail);
        for Report { op, result } in self.mail.drain(..) {
            self.journal
                .handle_input(now, Input::Performed { op, result });
        }
        if self.is_due(now.mono) {
            self.journal.handle_timeout(now);
        }
        while let Some(output) = self.journal.poll_output() {
            self.perform(now, output, intake);
        }
        for _ in 0..FOUND_PER_RUN {
            if !intake.wants_found() {
                break;
            }
            let found = self.journal.next_pending(now);
            intake.handle_input(now, IntakeInput::Found(found));
        }
        self.tell_refusal(now, intake);
    }

    /// Tells intake whether jobs are taken in, where it has not heard.
    pub fn tell_refusal(&mut self, now: Now, intake: &mut Intake) {
        let refusal = self.journal.refusal(usize::MAX);
        let before = intake.refusal();
        if refusal == before {
            return;
        }
        if is_closed(refusal) && !is_closed(before) {
            let why = match refusal {
                Some(Refusal::Full) => "it is full",
                _ => "it can't be written",
            };
            log::error!("spool: no jobs are taken in, for {why}; delivery goes on");
        }
        if is_closed(before) && !is_closed(refusal) {
            log::info!("spool: jobs are taken in again");
        }
        intake.handle_input(now, IntakeInput::Spool { refusal });
    }

    /// Has everything written that waits for company.
    pub fn flush(&mut self, now: Now) {
        self.journal.flush(now);
    }

    /// Whether everything that was said is safe.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.journal.is_flushed()
    }

    /// Whether the disk has done something that was not looked at.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        !self.mailbox.is_empty()
    }

    /// What metrics say of it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let status = self.journal.status();
        Facts {
            jobs: status.pending as u64,
            dead_letters: status.letters as u64,
            file_bytes: status.file_bytes,
            unsynced_bytes: status.unsynced_bytes as u64,
            written_bytes: status.written_bytes,
            syncs: status.syncs,
            dead_letters_dropped: self.letters_dropped,
            corruptions: self.corruptions,
            is_refusing: is_closed(self.journal.refusal(usize::MAX)),
        }
    }

    /// Whether something that was written could not be read.
    #[must_use]
    pub const fn is_corrupt(&self) -> bool {
        self.corruptions > 0
    }

    /// Jobs that are on disk and have not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.journal.status().pending
    }

    /// When to run it even if nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.journal.poll_timeout()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.journal.poll_timeout().is_some_and(|due| due <= now)
    }

    fn perform(&mut self, now: Now, output: Output, intake: &mut Intake) {
        match output {
            Output::Disk { op, action } => self.disk.perform(op, action),
            Output::Durable { up_to } => intake.handle_input(now, IntakeInput::Durable { up_to }),
            Output::Fetched { key, fetched } => {
                intake.handle_input(now, IntakeInput::Fetched { key, fetched });
            }
            Output::Trouble {
                stream,
                error,
                retry,
            } => {
                if stream == Stream::Jobs && self.journal.is_failing() {
                    let refusal = match error.kind {
                        DiskErrorKind::Full => Refusal::Full,
                        _ => Refusal::Trouble,
                    };
                    intake.handle_input(now, IntakeInput::SpoolFailed { refusal });
                }
                self.tell_trouble(now.mono, error, retry);
            }
            Output::Recovered { stream } => {
                if self.told.take().is_some() {
                    let what = match stream {
                        Stream::Jobs => "jobs",
                        Stream::Dead => "dead letters",
                    };
                    log::info!("spool: {what} are written again");
                }
                self.untold = 0;
            }
            Output::LettersDropped { letters } => {
                self.letters_dropped += u64::from(letters);
                log::warn!(
                    "spool: the oldest {letters} dead letters were dropped (maxDeadBytes, or an eighth of the spool)"
                );
            }
            Output::Corrupt(corruption) => {
                self.corruptions += 1;
                log::error!("spool: {corruption}");
            }
        }
    }

    fn tell_trouble(&mut self, now: Instant, error: DiskError, retry: Instant) {
        let is_told = |told: Instant| now.since(told) < TROUBLE_TOLD_EVERY;
        if self.told.is_some_and(is_told) {
            self.untold += 1;
            return;
        }
        self.told = Some(now);
        let before = match std::mem::take(&mut self.untold) {
            0 => String::new(),
            times => format!(", {times} times more since this was last said"),
        };
        let wait = retry.since(now).as_secs_f64();
        let words = in_words(error);
        log::error!(
            "spool: the disk does not do as told: {words}; tried again in {wait:.1} s{before}"
        );
    }
}

/// Whether nothing is taken in until something changes.
const fn is_closed(refusal: Option<Refusal>) -> bool {
    matches!(refusal, Some(Refusal::Full | Refusal::Trouble))
}

fn in_words(error: DiskError) -> String {
    if error.code != 0 {
        return io::Error::from_raw_os_error(error.code).to_string();
    }
    match error.kind {
        DiskErrorKind::Full => "it is full",
        DiskErrorKind::Unsupported => "the file system can't do this",
        DiskErrorKind::Missing => {
            "its directory, or a file in it, was removed or replaced; put the same directory back, or restart"
        }
        DiskErrorKind::Io => "input/output error",
    }
    .to_owned()
}

fn tell_dead(letter: &Letter) {
    log::warn!(
        id = &*letter.id,
        origin = &*letter.origin,
        outcome = letter.outcome.name(),
        attempts = letter.attempts,
        status = Some(letter.status).filter(|status| *status != 0),
        kind = letter.kind.name(),
        error = &*letter.message;
        "job is dead"
    );
}
