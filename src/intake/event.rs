//! Intake's vocabulary: everything that can happen to it, and everything it can ask for.
//!
//! Clients are byte streams with lines on them (stdin and stdout are one client, each connection of the
//! socket is another). Engines are numbered; which
//! thread one lives on is the shell's affair. Outputs are pulled, and a line is parsed only when its output is
//! pulled: how many are pulled a turn is the shell's budget, how far the feed may be read ahead is intake's.

use std::sync::Arc;

use crate::base::slab::Key;
use crate::intake::limits::{EndpointLimits, Limits};
use crate::intake::orders::Change;
use crate::wire::ctl::Letters;
use crate::wire::endpoint_row::Rows;
use crate::wire::job::Job;
use crate::wire::report::Ending;
use crate::wire::spool::{
    Fetched, FoundLetters, How, JobKey, LetterQuery, Pending, Refusal, SourceKind, Verdict,
};
use crate::wire::tally::Tally;
use crate::wire::url::Origin;

/// A client's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub Key);

/// An engine's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EngineId(pub u16);

/// What kind of client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The standard streams: read as far ahead as is of use, held at limits, told results only.
    Feed,
    /// One of the socket: told of each line what becomes of it, refused at limits.
    Socket(Access),
}

/// What a client of the socket may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Submit jobs, and ask how things are.
    Submit,
    /// Everything.
    Control,
}

/// What the world tells intake.
#[derive(Debug)]
pub enum Input {
    /// The chunk that an [`Output::Read`] asked for: bytes as they came, lines cut anywhere.
    Chunk {
        /// Whose.
        client: ClientId,
        /// The bytes, at least one.
        bytes: Vec<u8>,
    },
    /// The client's stream has ended, or can't be read any more (then with the reason).
    End {
        /// Whose.
        client: ClientId,
        /// Why it can't be read, in words.
        error: Option<Box<str>>,
    },
    /// So many bytes of results, handed out by [`super::Intake::take_results`], have been written.
    Written {
        /// Whose.
        client: ClientId,
        /// How many.
        bytes: usize,
    },
    /// Nobody reads this client's results any more: they are dropped, and from the feed nothing more is taken in.
    /// What a client of the socket has sent before it left is still read, up to its end.
    Gone {
        /// Whose.
        client: ClientId,
    },
    /// A client of the socket may do something else than before; none: nothing. Lines of it that were not read then are
    /// dropped, and it is closed when it has been told of those that were.
    Access {
        /// Who.
        client: ClientId,
        /// What it may do.
        access: Option<Access>,
    },
    /// A job has come back.
    Done {
        /// From which engine.
        engine: EngineId,
        /// The job.
        job: Box<Job>,
        /// Its ending.
        ending: Ending,
    },
    /// An engine gives back a job that is on disk, for its next attempt is far.
    Postponed {
        /// The job.
        job: Box<Job>,
    },
    /// An engine's hunger, as it is after all jobs handed to it so far: told when it has changed, and once
    /// after jobs came in even if it has not (else those jobs would count as waiting for ever).
    Appetite {
        /// Whose.
        engine: EngineId,
        /// Jobs that could run now and wait for a connection.
        waiting: u32,
        /// Connections with a request on them, or on their way up.
        busy: u32,
    },
    /// An origin's breaker has opened, or closed again.
    Origin {
        /// At which engine.
        engine: EngineId,
        /// Which.
        origin: Arc<Origin>,
        /// It is open.
        held: bool,
    },
    /// An engine has forgotten an origin that it had nothing left of.
    OriginRetired {
        /// Which engine.
        engine: EngineId,
        /// Which origin.
        origin: Arc<Origin>,
        /// The slot that it had there.
        slot: u32,
        /// What was counted there.
        tally: Box<Tally>,
    },
    /// The answer to an [`Output::Ask`].
    Rows {
        /// Whose.
        engine: EngineId,
        /// Some of its origins.
        rows: Box<Rows>,
    },
    /// What the journal says to an [`Output::Store`], whose job and line come back: handed in before the next output
    /// is pulled.
    Stored {
        /// The job.
        job: Box<Job>,
        /// As it was asked.
        is_generated: bool,
        /// The job's line.
        line: Box<[u8]>,
        /// The journal's word.
        verdict: Verdict,
    },
    /// Every job up to this key is safe.
    Durable {
        /// The last one.
        up_to: JobKey,
    },
    /// Whether the journal takes jobs in, where that has changed.
    Spool {
        /// Why it doesn't.
        refusal: Option<Refusal>,
    },
    /// The disk has failed a write: what is on its way there may not be safe for long.
    SpoolFailed {
        /// Why.
        refusal: Refusal,
    },
    /// A job that was found on disk at start, one for each time that [`super::Intake::wants_found`] says so; `None`:
    /// there is no more.
    Found(Option<Pending>),
    /// What came of an [`Output::Change`].
    Changed {
        /// The order.
        change: Box<Change>,
        /// Why it was not carried out.
        result: Result<(), Box<str>>,
    },
    /// What the journal says to an [`Output::FindLetters`].
    LettersFound(Box<FoundLetters>),
    /// What an [`Output::Fetch`] wanted. `None`: it can't be read.
    Fetched {
        /// Which.
        key: JobKey,
        /// What is on disk.
        fetched: Option<Box<Fetched>>,
    },
    /// These limits hold from now on.
    Limits(Box<Limits>),
    /// These of one origin do, until the next [`Input::Limits`], which have them.
    Own {
        /// Whose.
        origin: Arc<Origin>,
        /// Its limits.
        limits: EndpointLimits,
    },
    /// No more intake: lines not parsed yet are dropped, jobs handed out are awaited.
    Stop,
    /// After [`Input::Stop`]: what is not safe yet is not waited for any longer.
    Abort,
}

/// What a client has done to dead letters.
#[derive(Debug)]
pub struct LettersTaken {
    /// Who.
    pub client: ClientId,
    /// `replayed` or `purged`.
    pub deed: &'static str,
    /// How many.
    pub count: usize,
    /// Of these.
    pub which: Letters,
}

/// What intake asks of the world.
#[derive(Debug)]
pub enum Output {
    /// Hand this job to this engine.
    Deliver {
        /// Which.
        engine: EngineId,
        /// The job.
        job: Box<Job>,
    },
    /// Submit this job to the journal, and hand it back at once with what that says ([`Input::Stored`]).
    Store {
        /// The job.
        job: Box<Job>,
        /// Where it comes from.
        source: SourceKind,
        /// Its id is not in its line.
        is_generated: bool,
        /// Its line.
        line: Box<[u8]>,
    },
    /// Tell the journal that a job has ended.
    Settle {
        /// Which.
        key: JobKey,
        /// How.
        how: How,
    },
    /// Have the journal read a job that is on disk, or a dead letter ([`Input::Fetched`]).
    Fetch {
        /// Which.
        key: JobKey,
    },
    /// Ask the journal which dead letters there are, and hand in at once what it says ([`Input::LettersFound`]).
    FindLetters(Box<LetterQuery>),
    /// Tell the journal that a dead letter is not wanted any more.
    Forget {
        /// Which.
        key: JobKey,
    },
    /// A job was delivered that an earlier process has accepted, or that was a dead letter: nobody may be left who is
    /// told of it, so that is worth a log line.
    Delivered {
        /// Its id.
        id: Box<str>,
        /// Where it went.
        origin: Arc<Origin>,
        /// With which attempt.
        attempts: u32,
    },
    /// Dead letters were replayed or purged: that is worth a log line.
    LettersTaken(Box<LettersTaken>),
    /// Tell this engine what somebody wants of an origin's breaker.
    Breaker {
        /// Which.
        engine: EngineId,
        /// Whose.
        origin: Arc<Origin>,
        /// It is to be open until it is reset; else it is to close.
        isolates: bool,
        /// Who that is.
        client: ClientId,
    },
    /// Carry this out, and hand in what came of it ([`Input::Changed`]), if need be later.
    Change(Box<Change>),
    /// Ask this engine how some of its origins stand; it answers with [`Input::Rows`].
    Ask {
        /// Which.
        engine: EngineId,
        /// The slot to begin at.
        from: u32,
    },
    /// Read the client's next chunk. At most as many are asked for as fit the read-ahead.
    Read {
        /// Whose.
        client: ClientId,
        /// An empty buffer to read into, if one is at hand: a chunk's buffer comes back.
        buffer: Option<Vec<u8>>,
    },
    /// There are answers or results for this client of the socket, to be had with
    /// [`super::Intake::take_results`]; said once until they are taken.
    Write {
        /// Whose.
        client: ClientId,
    },
    /// This client of the socket has all that it will get, and is forgotten: close its connection.
    Close {
        /// Whose.
        client: ClientId,
    },
}
