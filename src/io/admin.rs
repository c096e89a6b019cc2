//! The admin listener: its connections, read and written through loop 0, and the pages that they wait for.
//!
//!   Reading --whole head--> Waiting (for a survey, for its page) --> Writing --> Reading, or Lingering --> closed
//!
//! Nobody who asks here can hold up a delivery: a turn makes a bounded number of calls and writes a bounded piece of a
//! page; a page is written once for all who wait for it; whoever is slow has a deadline, and loses its page when too
//! many are unread; whoever comes when all places are taken gets that of the connection which has been idle, else at
//! one thing, for longest.
//!
//! Not here: one connection (`peer`), what a request is (`wire/admin`), how all origins stand (`intake/survey`), what
//! is written (`wire/metrics`, `intake/health`).

mod peer;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::rc::{Rc, Weak};
use std::time::Duration;

use conduit::base::time::{Instant, Now};
use conduit::intake::Intake;
use conduit::intake::survey::{Survey, Ticket};
use conduit::wire::admin::{self, Head, Parsed, Refusal, Request, Target};
use conduit::wire::health::{self, Check};
use conduit::wire::metrics::{Facts, Format, Page};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use self::peer::{Next, Peer, Stage};
use crate::io::accepting::{Accepting, Failed};
use crate::io::log as logger;
use crate::io::process::{self, OpenFiles};
use crate::io::spool::Spool;
use crate::io::sys;
use crate::io::turn::Nudge;

/// Connections at the same time.
pub const PEERS_MAX: usize = 64;

/// Connections accepted, system calls made for connections, bytes of a page written, and bytes of answers sent, in one
/// turn. The kernel copies what is sent, and at once where nobody reads: many clients would cost as many copies.
const ACCEPTS_PER_TURN: u32 = 4;
const CALLS_PER_TURN: usize = 16;
const PAGE_BYTES_PER_TURN: usize = 32 * 1024;
const SENT_BYTES_PER_TURN: usize = 64 * 1024;

/// What is left of an answer goes out beside those, if it is so little: whoever asks whether conduit lives does not
/// stand in line behind those who read metrics.
const SMALL_BYTES: usize = 4 * 1024;

/// Bytes of pages that are written in a second, on average, and how much later than that the last may be done for the
/// next to begin: however many ask, pages take their time from deliveries only so often. Small ones hardly wait.
const PAGE_BYTES_PER_SECOND: f64 = 8.0 * 1024.0 * 1024.0;
const PAGE_LEAD: Duration = Duration::from_millis(100);

/// Bytes of pages that were written and are still being read, those of the newest page beside them. Clients that ask
/// one after the other and read slowly each hold a page of their own: those that have had theirs for longest lose it.
pub const UNREAD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes that the kernel takes for a connection and nobody has read yet: it would go up to 4 MiB, of its own memory.
const SEND_BUFFER_BYTES: u32 = 256 * 1024;

/// The listener's token; a connection's is this and its place beyond it. Clients of the Unix socket have lower ones,
/// sockets of the engine higher ones.
pub const FIRST_TOKEN: usize = 1 << 24;

/// The admin listener and its connections.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    on_loopback: bool,
    registry: Registry,
    accepting: Accepting,
    peers: Vec<Option<Peer>>,
    /// Names for peers: one that takes another's place is not taken for it.
    names: u64,
    /// Those that may have something to do, each once.
    queue: VecDeque<usize>,
    /// Those that wait for a survey.
    waiting: Vec<Asked>,
    /// The survey of one of them is over.
    is_due: bool,
    rendering: Option<Rendering>,
    /// When the pages so far would be done at [`PAGE_BYTES_PER_SECOND`].
    paid_until: Instant,
    /// Pages that somebody may still read, the oldest first.
    unread: VecDeque<Weak<Vec<u8>>>,
    /// No deadline of a connection is before this.
    wakes_at: Instant,
    /// The walls around this process.
    hardening: Check,
    open_files: OpenFiles,
    started: Duration,
}

/// Somebody waits for what a survey shows.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: usize,
    name: u64,
    request: Request,
    /// Of the survey; none while it is too soon for another page, so that no survey waits for that.
    ticket: Option<Ticket>,
}

/// A page of metrics that is being written, and for whom.
#[derive(Debug)]
struct Rendering {
    page: Page,
    readers: Vec<Asked>,
    /// The survey that it shows.
    ticket: Ticket,
}

impl Admin {
    /// Takes connections from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn open(
        listener: std::net::TcpListener,
        registry: Registry,
        now: Now,
    ) -> io::Result<Admin> {
        listener.set_nonblocking(true)?;
        sys::set_send_buffer(listener.as_fd(), SEND_BUFFER_BYTES)?;
        let mut listener = TcpListener::from_std(listener);
        let address = listener.local_addr()?;
        registry.register(&mut listener, Token(FIRST_TOKEN), Interest::READABLE)?;
        Ok(Admin {
            on_loopback: address.ip().to_canonical().is_loopback(),
            listener,
            registry,
            accepting: Accepting::new(),
            peers: Vec::new(),
            names: 0,
            queue: VecDeque::new(),
            waiting: Vec::new(),
            is_due: false,
            rendering: None,
            paid_until: now.mono,
            unread: VecDeque::new(),
            wakes_at: Instant::FAR_FUTURE,
            hardening: process::hardening(),
            open_files: OpenFiles::default(),
            started: Duration::from_nanos(now.wall.unix_nanos()),
        })
    }

    /// Something can be read or written, or somebody wants to connect.
    pub fn handle_nudge(&mut self, nudge: Nudge) {
        let Some(index) = (nudge.token.0 - FIRST_TOKEN).checked_sub(1) else {
            return self.accepting.handle_event();
        };
        if let Some(Some(peer)) = self.peers.get_mut(index) {
            peer.is_readable |= nudge.is_readable;
            peer.is_writable |= nudge.is_writable;
            self.enqueue(index);
        }
    }

    /// Does a turn's share of what there is to do.
    pub fn work(&mut self, now: Now, intake: &mut Intake, spool: Option<&Spool>) {
        self.accept(now);
        if self.wakes_at <= now.mono {
            self.close_late(now.mono);
        }
        self.serve_some(now, intake);
        self.answer_ready(now, intake);
        self.render(now, intake, spool);
        self.hold(now, intake);
    }

    /// Whether there is more to do at once.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let has_calls = self.accepting.has_work() || !self.queue.is_empty();
        has_calls || self.rendering.is_some() || self.is_due
    }

    /// When the next deadline is, at the earliest.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let accept = self.accepting.poll_timeout();
        accept.map_or(self.wakes_at, |accept| accept.min(self.wakes_at))
    }

    fn accept(&mut self, now: Now) {
        if !self.accepting.is_due(now.mono) {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, _)) => self.add(now.mono, stream),
                Err(error) => {
                    let what = "the admin listener";
                    match self.accepting.handle_error(now.mono, what, &error) {
                        Failed::Again => {}
                        // The newest is served, as where all places are taken.
                        Failed::Exhausted if self.evict().is_some() => self.accepting.go_on(),
                        Failed::Dry | Failed::Exhausted => return,
                    }
                }
            }
        }
    }

    fn add(&mut self, now: Instant, mut stream: TcpStream) {
        let index = self.place();
        let token = Token(FIRST_TOKEN + 1 + index);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut stream, token, interest) {
            return log::warn!("the admin listener can't watch a connection: {error}");
        }
        self.names += 1;
        self.peers[index] = Some(Peer {
            name: self.names,
            stream,
            input: Vec::new(),
            stage: Stage::Reading,
            since: now,
            moved: now,
            is_readable: true,
            is_writable: true,
            is_queued: false,
        });
        self.enqueue(index);
        self.watch(index);
    }

    /// A free place, or one whose connection is closed for it.
    fn place(&mut self) -> usize {
        if let Some(index) = self.peers.iter().position(Option::is_none) {
            return index;
        }
        if self.peers.len() < PEERS_MAX {
            self.peers.push(None);
            return self.peers.len() - 1;
        }
        self.evict().expect("all places are taken")
    }

    /// Closes the connection that has been idle, else at one thing, for longest; its place, if there is one.
    fn evict(&mut self) -> Option<usize> {
        let key = |peer: &Peer| (!peer.is_idle(), peer.since);
        let held = self.peers.iter().zip(0..);
        let longest = held
            .filter_map(|(peer, index)| Some((key(peer.as_ref()?), index)))
            .min();
        let (_, index) = longest?;
        self.peers[index] = None;
        Some(index)
    }

    fn enqueue(&mut self, index: usize) {
        if let Some(peer) = &mut self.peers[index]
            && !std::mem::replace(&mut peer.is_queued, true)
        {
            self.queue.push_back(index);
        }
    }

    fn watch(&mut self, index: usize) {
        if let Some(peer) = &self.peers[index] {
            self.wakes_at = self.wakes_at.min(peer.deadline());
        }
    }

    fn close_late(&mut self, now: Instant) {
        self.wakes_at = Instant::FAR_FUTURE;
        for slot in &mut self.peers {
            slot.take_if(|peer| peer.deadline() <= now);
            let next = slot.as_ref().map_or(Instant::FAR_FUTURE, Peer::deadline);
            self.wakes_at = self.wakes_at.min(next);
        }
    }

    /// Serves those that have stood in line for longest. Whoever has much to read waits while there is no room for
    /// more, and keeps its place.
    fn serve_some(&mut self, now: Now, intake: &mut Intake) {
        let (mut at, mut calls) = (0, 0);
        let mut room = SENT_BYTES_PER_TURN;
        for _ in 0..self.queue.len() {
            if calls == CALLS_PER_TURN {
                return;
            }
            let mut small = SMALL_BYTES;
            let unsent = self.peers[self.queue[at]].as_ref().map_or(0, Peer::unsent);
            let is_small = unsent <= SMALL_BYTES;
            if room == 0 && !is_small {
                at += 1;
                continue;
            }
            let index = self.queue.remove(at).expect("it was just looked at");
            calls += 1;
            let room = if is_small { &mut small } else { &mut room };
            self.serve(now, index, intake, room);
        }
    }

    /// One call for one connection, which sends no more than there is room for and takes that room.
    fn serve(&mut self, now: Now, index: usize, intake: &mut Intake, room: &mut usize) {
        let Some(peer) = &mut self.peers[index] else {
            return;
        };
        peer.is_queued = false;
        let next = match peer.stage {
            Stage::Reading => {
                if let Some(parsed) = peer.parse(self.on_loopback) {
                    self.take(now, index, parsed, intake);
                    return self.watch(index);
                }
                peer.read(now.mono)
            }
            Stage::Waiting => Next::Stay(false),
            Stage::Writing { .. } => peer.write(now.mono, room),
            Stage::Lingering => peer.linger(),
        };
        match next {
            Next::Close => self.peers[index] = None,
            Next::Stay(more) => {
                if more {
                    self.enqueue(index);
                }
                self.watch(index);
            }
        }
    }

    /// Answers a request, or has it wait.
    fn take(&mut self, now: Now, index: usize, parsed: Parsed, intake: &mut Intake) {
        let request = match parsed {
            Parsed::Partial => unreachable!("only whole ones are taken"),
            Parsed::Refused { refusal, is_head } => {
                let request = Request {
                    target: Err(refusal),
                    is_head,
                    format: Format::Text,
                    keeps: false,
                    is_told: false,
                };
                return self.refuse(now, index, refusal, &request);
            }
            Parsed::Request { request, .. } => request,
        };
        match request.target {
            Err(refusal) => self.refuse(now, index, refusal, &request),
            Ok(Target::Index) => self.answer(
                now,
                index,
                &request,
                200,
                admin::PLAIN,
                Rc::new(admin::INDEX.into()),
            ),
            Ok(Target::Live) => self.answer(
                now,
                index,
                &request,
                200,
                admin::JSON,
                Rc::new(admin::LIVE.into()),
            ),
            Ok(target @ (Target::Ready | Target::Metrics)) => {
                let is_too_soon = target == Target::Metrics && self.rests(now.mono);
                let ticket = (!is_too_soon).then(|| intake.survey().ask(now));
                let Some(peer) = &mut self.peers[index] else {
                    return;
                };
                peer.enter(now.mono, Stage::Waiting);
                self.waiting.push(Asked {
                    peer: index,
                    name: peer.name,
                    request,
                    ticket,
                });
            }
        }
    }

    fn refuse(&mut self, now: Now, index: usize, refusal: Refusal, request: &Request) {
        let body = Rc::new(refusal.text().into());
        self.answer(now, index, request, refusal.status(), admin::PLAIN, body);
    }

    fn answer(
        &mut self,
        now: Now,
        index: usize,
        request: &Request,
        status: u16,
        content_type: &str,
        body: Rc<Vec<u8>>,
    ) {
        let Some(peer) = &mut self.peers[index] else {
            return;
        };
        let head = Head {
            status,
            content_type,
            body_bytes: body.len(),
            closes: !request.keeps,
            is_told: request.is_told,
        };
        let mut bytes = Vec::new();
        head.write(now.wall, &mut bytes);
        let stage = Stage::Writing {
            head: bytes,
            body: if request.is_head { Rc::default() } else { body },
            written: 0,
            closes: head.closes,
        };
        peer.enter(now.mono, stage);
        self.enqueue(index);
        self.watch(index);
    }

    fn answer_asked(
        &mut self,
        now: Now,
        asked: &Asked,
        status: u16,
        kind: &str,
        body: Rc<Vec<u8>>,
    ) {
        if is_there(&self.peers, asked) {
            self.answer(now, asked.peer, &asked.request, status, kind, body);
        }
    }

    /// Those that wait and whose survey is over, if `is` holds of their request.
    fn take_over(&mut self, intake: &mut Intake, is: impl Fn(&Request) -> bool) -> Vec<Asked> {
        let survey = intake.survey();
        self.waiting
            .extract_if(.., |asked| asked.is_over(survey) && is(&asked.request))
            .collect()
    }

    fn answer_ready(&mut self, now: Now, intake: &mut Intake) {
        if self.waiting.is_empty() {
            return;
        }
        let readers = self.take_over(intake, |request| request.target == Ok(Target::Ready));
        if readers.is_empty() {
            return;
        }
        let mut checks = intake.health(now);
        checks.push(self.hardening.clone());
        let mut body = Vec::new();
        health::write(&checks, &mut body);
        let body = Rc::new(body);
        let status = health::worst(&checks).http();
        for asked in readers {
            self.answer_asked(now, &asked, status, admin::JSON, Rc::clone(&body));
        }
    }

    /// Writes on at the page for which the first of those wait whose survey is over.
    fn render(&mut self, now: Now, intake: &mut Intake, spool: Option<&Spool>) {
        if self.rendering.is_none() {
            let survey = intake.survey();
            let mut waiting = self.waiting.iter();
            let Some(first) = waiting.find(|asked| asked.is_over(survey)) else {
                return;
            };
            let format = first.request.format;
            let ticket = first.ticket.expect("its survey is over");
            let readers = self.take_over(intake, |request| request.format == format);
            let page = Page::new(format, self.facts(now, intake, spool));
            self.rendering = Some(Rendering {
                page,
                readers,
                ticket,
            });
        }
        let endpoints = intake.survey().endpoints();
        let is_whole =
            |rendering: &mut Rendering| rendering.page.write_some(endpoints, PAGE_BYTES_PER_TURN);
        let Some(Rendering {
            page,
            readers,
            ticket,
        }) = self.rendering.take_if(is_whole)
        else {
            return;
        };
        let (kind, page) = (page.format().content_type(), page.into_bytes());
        self.pay(now.mono, page.len());
        if self.rests(now.mono) {
            let later = |asked: &&mut Asked| {
                asked.request.target == Ok(Target::Metrics) && asked.ticket > Some(ticket)
            };
            for asked in self.waiting.iter_mut().filter(later) {
                asked.ticket = None;
            }
        }
        self.publish(now, kind, page, &readers);
    }

    /// So much of a page was written.
    fn pay(&mut self, now: Instant, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / PAGE_BYTES_PER_SECOND);
        self.paid_until = self.paid_until.max(now) + takes;
    }

    /// Whether it is too soon for another page.
    fn rests(&self, now: Instant) -> bool {
        now + PAGE_LEAD < self.paid_until
    }

    /// Has the survey stay as it is until all have their pages that wait for it, in whichever format: all of a page is
    /// of one moment.
    fn hold(&mut self, now: Now, intake: &mut Intake) {
        let peers = &self.peers;
        self.waiting.retain(|asked| is_there(peers, asked));
        let for_nobody = |rendering: &mut Rendering| {
            let mut readers = rendering.readers.iter();
            !readers.any(|asked| is_there(peers, asked))
        };
        if let Some(abandoned) = self.rendering.take_if(for_nobody) {
            self.pay(now.mono, abandoned.page.into_bytes().len());
        }
        let survey = intake.survey();
        if self.waiting.iter().any(|asked| asked.ticket.is_none()) {
            if self.rests(now.mono) {
                self.wakes_at = self.wakes_at.min(self.paid_until - PAGE_LEAD);
            } else {
                let ticket = survey.ask(now);
                let waiting = self.waiting.iter_mut();
                waiting.for_each(|asked| _ = asked.ticket.get_or_insert(ticket));
            }
        }
        let waiting = self.waiting.iter();
        let for_metrics = waiting.filter(|asked| asked.request.target == Ok(Target::Metrics));
        let rendering = self.rendering.iter().map(|rendering| rendering.ticket);
        let tickets = for_metrics
            .filter_map(|asked| asked.ticket)
            .chain(rendering);
        survey.hold(now, tickets.min());
        let mut waiting = self.waiting.iter();
        self.is_due = waiting.any(|asked| asked.is_over(survey));
    }

    /// Gives a page to its readers, after there is room for it.
    fn publish(&mut self, now: Now, kind: &str, page: Vec<u8>, readers: &[Asked]) {
        let page = Rc::new(page);
        self.unread.retain(|held| held.strong_count() > 0);
        let bytes = |held: &Weak<Vec<u8>>| held.upgrade().map_or(0, |held| held.len());
        while self.unread.iter().map(bytes).sum::<usize>() > UNREAD_BYTES_MAX {
            let oldest = self.unread.pop_front();
            let oldest = oldest.expect("none at all are no bytes");
            let of_it = |peer: &mut Peer| peer.reads(&oldest);
            let cut = self.peers.iter_mut().filter_map(|slot| slot.take_if(of_it));
            let cut = cut.count();
            log::debug!("{cut} clients of the admin listener read too slowly: others want to");
        }
        for asked in readers {
            self.answer_asked(now, asked, 200, kind, Rc::clone(&page));
        }
        self.unread.push_back(Rc::downgrade(&page));
    }

    fn facts(&mut self, now: Now, intake: &mut Intake, spool: Option<&Spool>) -> Facts {
        let outcomes = intake.progress().outcomes;
        let survey = intake.survey();
        Facts {
            version: env!("CARGO_PKG_VERSION"),
            outcomes,
            waits: survey.waits(),
            regions: survey.regions(),
            loops_missing: survey.missing().count() as u64,
            log_lines_dropped: logger::dropped(),
            spool: spool.map(Spool::facts),
            process: process::measure(now.mono, self.started, &mut self.open_files),
        }
    }
}

impl Asked {
    fn is_over(&self, survey: &Survey) -> bool {
        self.ticket.is_some_and(|ticket| survey.is_over(ticket))
    }
}

/// Whether who has asked is still connected.
fn is_there(peers: &[Option<Peer>], asked: &Asked) -> bool {
    let peer = peers.get(asked.peer).and_then(Option::as_ref);
    peer.is_some_and(|peer| peer.name == asked.name)
}

/// Listens at this address.
///
/// # Errors
/// The system's.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address)
}

#[cfg(test)]
mod tests;
