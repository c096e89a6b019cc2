//! One engine and its sockets: performs what the engine asks for, and tells it what became of that.
//!
//! Outputs of an input are performed in order, all of them, before the next input. What performing yields, and
//! what events yield, is a queue of steps; a step is at most one input. So nothing recurses, however long the
//! chain from an event to the last byte it causes.
//!
//! A socket is found by the index of its [`SockId`] and known by the whole of it: events and steps of a socket
//! that is gone find nothing. Dropping a socket takes it out of the poll.
//!
//! Not here: when to wait and for how long (`turn`), bytes and errors (`stream`, `udp`).

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use conduit::base::time::{Instant, Now};
use conduit::engine::Engine;
use conduit::engine::event::{Appetite, Cause, CauseKind, Input, Note, Output, SockId};
use conduit::engine::guard::Rule;
use conduit::engine::policy::{KeepAlive, TlsProfile};
use conduit::wire::endpoint_row::Rows;
use conduit::wire::job::Job;
use conduit::wire::report::Ending;
use conduit::wire::spool::{Attempt, JobKey};
use conduit::wire::tally::Tally;
use conduit::wire::url::Origin;
use mio::event::Event;
use mio::{Registry, Token};

use crate::io::own;
use crate::io::stream::{self, Buffers, Got, Stream, Written};
use crate::io::tls::Client;
use crate::io::udp::Udp;

/// Reads of one socket in one turn; what is left is read in the next, after everybody else.
const READS_PER_TURN: u8 = 4;

/// What an engine tells intake.
#[derive(Debug)]
pub enum Upward {
    /// A job is over.
    Done {
        /// The job.
        job: Box<Job>,
        /// Its ending.
        ending: Ending,
    },
    /// A job that is in the spool waits for another attempt.
    Attempted {
        /// Which.
        key: JobKey,
        /// How far it is.
        attempt: Box<Attempt>,
    },
    /// A job that is in the spool comes back until its next attempt is due.
    Postponed(Box<Job>),
    /// An origin's breaker has opened, or closed again.
    Origin {
        /// Whose.
        origin: Arc<Origin>,
        /// It is open.
        held: bool,
    },
    /// An origin was forgotten.
    Retired {
        /// Which.
        origin: Arc<Origin>,
        /// The slot that it had.
        slot: u32,
        /// What was counted there.
        tally: Box<Tally>,
    },
    /// How some of the origins stand.
    Rows(Box<Rows>),
    /// The hunger has changed.
    Appetite(Appetite),
}

/// One engine and its sockets.
#[derive(Debug)]
pub struct Net {
    engine: Engine,
    registry: Registry,
    sockets: Vec<Option<Entry>>,
    steps: VecDeque<Step>,
    /// Sockets that had more to read than one turn reads.
    unread: Vec<SockId>,
    upward: Vec<Upward>,
    /// The newest hunger that intake has not been told.
    appetite: Option<Appetite>,
    note: fn(&Note),
    /// The port of this process's own listener: no connection may lead there.
    own_port: Option<u16>,
    buffers: Buffers,
    tls: Client,
}

#[derive(Debug)]
struct Entry {
    sock: SockId,
    socket: Socket,
    /// An event says that there may be something to read.
    is_ready: bool,
    /// The engine has been told that there may be more to read.
    has_unread: bool,
}

#[derive(Debug)]
enum Socket {
    Stream(Stream),
    Udp(Udp),
}

/// What is still to be done, before the loop turns to anything else.
#[derive(Debug)]
enum Step {
    Connect {
        sock: SockId,
        is_readable: bool,
        is_closing: bool,
    },
    Write(SockId),
    Read {
        sock: SockId,
        is_closing: bool,
        left: u8,
    },
    Early {
        sock: SockId,
        bytes: Vec<u8>,
        end: bool,
    },
    /// It could not even be opened: there is no socket.
    Unopened {
        sock: SockId,
        cause: Cause,
        is_query: bool,
    },
    Broken {
        sock: SockId,
        cause: Cause,
        was_securing: bool,
    },
}

impl Net {
    /// An engine without sockets yet; `registry` is where they report.
    #[must_use]
    pub fn new(engine: Engine, registry: Registry, tls: Client, note: fn(&Note)) -> Net {
        Net {
            engine,
            registry,
            sockets: Vec::new(),
            steps: VecDeque::new(),
            unread: Vec::new(),
            upward: Vec::new(),
            appetite: None,
            note,
            own_port: None,
            buffers: Buffers::new(),
            tls,
        }
    }

    /// Handshakes that begin from now on are held with this; no session of the former one is resumed.
    pub fn set_tls(&mut self, tls: Client) {
        self.tls = tls;
    }

    /// This process listens on this port: no connection may lead there.
    pub const fn set_own_port(&mut self, port: Option<u16>) {
        self.own_port = port;
    }

    /// The token under which a socket's events come: never 0 and never `usize::MAX`.
    #[must_use]
    pub fn token(sock: SockId) -> Token {
        const {
            assert!(
                size_of::<usize>() == size_of::<u64>(),
                "a token holds a socket's id"
            );
        }
        Token(sock.to_bits() as usize)
    }

    /// Hands the engine something that does not come from a socket.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.engine.handle_input(now, input);
        self.settle(now);
    }

    /// Lets the engine's clocks run out.
    pub fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
        self.settle(now);
    }

    /// There is something to read, says an event whose turn comes later: no request is written to its socket before.
    pub fn expect(&mut self, event: &Event) {
        let sock = SockId::from_bits(event.token().0 as u64);
        if event.is_readable()
            && let Some(entry) = find_entry(&mut self.sockets, sock)
        {
            entry.is_ready = true;
        }
    }

    /// Writes first, then reads what the event says can be.
    pub fn handle_event(&mut self, now: Now, event: &Event) {
        let sock = SockId::from_bits(event.token().0 as u64);
        let is_closing = event.is_read_closed() || event.is_write_closed() || event.is_error();
        let is_readable = event.is_readable() || is_closing;
        let Some(socket) = find(&mut self.sockets, sock) else {
            return;
        };
        let (is_connecting, is_blocked) = match socket {
            Socket::Stream(stream) => (stream.is_connecting(), stream.is_blocked()),
            Socket::Udp(udp) => (false, udp.is_blocked()),
        };
        if is_connecting {
            self.steps.push_back(Step::Connect {
                sock,
                is_readable,
                is_closing,
            });
        } else {
            if is_blocked && event.is_writable() {
                self.steps.push_back(Step::Write(sock));
            }
            if is_readable {
                self.steps.push_back(read(sock, is_closing));
            }
        }
        self.settle(now);
    }

    /// Goes on reading what the last turn left.
    pub fn handle_unread(&mut self, now: Now) {
        for sock in mem::take(&mut self.unread) {
            // Whatever the event said is forgotten by now: reading to the end is right either way.
            self.steps.push_back(read(sock, true));
            self.settle(now);
        }
    }

    /// Closes every connection properly, at the end of the process.
    pub fn close(&mut self) {
        for entry in mem::take(&mut self.sockets).into_iter().flatten() {
            if let Socket::Stream(stream) = entry.socket {
                stream.close();
            }
        }
    }

    /// What intake is to be told; whoever tells it empties it.
    pub fn upward(&mut self) -> &mut Vec<Upward> {
        self.upward
            .extend(self.appetite.take().map(Upward::Appetite));
        &mut self.upward
    }

    /// When the engine's next clock runs out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    /// Whether bytes are known to wait.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    fn settle(&mut self, now: Now) {
        loop {
            while let Some(output) = self.engine.poll_output() {
                self.perform(output);
            }
            let Some(step) = self.steps.pop_front() else {
                return;
            };
            self.take_step(now, step);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect {
                sock,
                addr,
                keep_alive,
            } => self.connect(sock, addr, keep_alive),
            Output::Secure {
                sock,
                origin,
                profile,
            } => self.secure(sock, &origin, profile),
            Output::Transmit { sock, look } => self.transmit(sock, look),
            Output::Close { sock } => {
                if let Some(Socket::Stream(stream)) = self.remove(sock) {
                    stream.close();
                }
            }
            Output::Query { sock, server } => self.query(sock, server),
            Output::Attempted { key, attempt } => {
                self.upward.push(Upward::Attempted { key, attempt });
            }
            Output::Postponed { job } => self.upward.push(Upward::Postponed(job)),
            Output::Done { job, ending } => self.upward.push(Upward::Done { job, ending }),
            Output::Origin { origin, held } => self.upward.push(Upward::Origin { origin, held }),
            Output::OriginRetired {
                origin,
                slot,
                tally,
            } => self.upward.push(Upward::Retired {
                origin,
                slot,
                tally,
            }),
            Output::Rows(rows) => self.upward.push(Upward::Rows(rows)),
            Output::Appetite(appetite) => self.appetite = Some(appetite),
            Output::Note(note) => (self.note)(&note),
            Output::ConnectionClosed { origin, reason } => {
                log::debug!(origin = &*origin.text, reason = reason; "connection closed");
            }
        }
    }

    fn take_step(&mut self, now: Now, step: Step) {
        match step {
            Step::Connect {
                sock,
                is_readable,
                is_closing,
            } => self.finish_connect(now, sock, is_readable, is_closing),
            Step::Write(sock) => self.write(now, sock),
            Step::Read {
                sock,
                is_closing,
                left,
            } => self.read(now, sock, is_closing, left),
            Step::Early { sock, bytes, end } => {
                let (bytes, more) = (&bytes, self.has_unread_of(sock));
                self.engine.handle_input(
                    now,
                    Input::Received {
                        sock,
                        bytes,
                        end,
                        more,
                    },
                );
            }
            Step::Unopened {
                sock,
                cause,
                is_query,
            } => self.engine.handle_input(
                now,
                if is_query {
                    Input::Closed { sock, cause }
                } else {
                    Input::ConnectFailed { sock, cause }
                },
            ),
            Step::Broken {
                sock,
                cause,
                was_securing,
            } => self.break_off(now, sock, cause, was_securing),
        }
    }

    fn open(&mut self, sock: SockId, socket: Socket) {
        let index = sock.0.index();
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        assert!(
            self.sockets[index].is_none(),
            "the engine closes a socket before it reuses its slot"
        );
        self.sockets[index] = Some(Entry {
            sock,
            socket,
            is_ready: false,
            has_unread: false,
        });
    }

    fn connect(&mut self, sock: SockId, addr: SocketAddr, keep_alive: KeepAlive) {
        let stream = self
            .refuse_own(addr)
            .and_then(|()| Stream::connect(addr, keep_alive, &self.registry, Net::token(sock)));
        match stream {
            Ok(stream) => self.open(sock, Socket::Stream(stream)),
            Err(cause) => self.steps.push_back(Step::Unopened {
                sock,
                cause,
                is_query: false,
            }),
        }
    }

    /// The guard's rule that the engine can't judge: which addresses are this machine's.
    fn refuse_own(&self, addr: SocketAddr) -> Result<(), Cause> {
        match own::is_own_listener(self.own_port, addr) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Cause {
                kind: CauseKind::Own,
                message: Rule::OwnListener { addr }.to_string().into(),
            }),
            Err(error) => Err(stream::cause(&addr.to_string(), &error)),
        }
    }

    fn query(&mut self, sock: SockId, server: SocketAddr) {
        match Udp::open(server, &self.registry, Net::token(sock)) {
            Ok(udp) => {
                self.open(sock, Socket::Udp(udp));
                self.steps.push_back(Step::Write(sock));
            }
            Err(cause) => self.steps.push_back(Step::Unopened {
                sock,
                cause,
                is_query: true,
            }),
        }
    }

    fn secure(&mut self, sock: SockId, origin: &Origin, profile: TlsProfile) {
        let Some(Socket::Stream(stream)) = find(&mut self.sockets, sock) else {
            return;
        };
        let step = match stream.secure(&self.tls, profile, &origin.host) {
            Ok(()) => Step::Write(sock),
            Err(cause) => Step::Broken {
                sock,
                cause,
                was_securing: true,
            },
        };
        self.steps.push_back(step);
    }

    fn finish_connect(&mut self, now: Now, sock: SockId, is_readable: bool, is_closing: bool) {
        let Some(Socket::Stream(stream)) = find(&mut self.sockets, sock) else {
            return;
        };
        match stream.finish_connect() {
            Ok(false) => {}
            Ok(true) => {
                self.engine.handle_input(now, Input::Connected { sock });
                if is_readable {
                    self.steps.push_back(read(sock, is_closing));
                }
            }
            Err(cause) => {
                self.remove(sock);
                self.engine
                    .handle_input(now, Input::ConnectFailed { sock, cause });
            }
        }
    }

    /// Writes as soon as it is clear that nothing waits to be read: what came before a request does not answer it.
    fn transmit(&mut self, sock: SockId, look: bool) {
        let is_unclear = find_entry(&mut self.sockets, sock)
            .is_some_and(|entry| entry.is_ready || entry.has_unread);
        if look || is_unclear {
            self.steps.push_back(Step::Read {
                sock,
                is_closing: false,
                left: 1,
            });
        }
        self.steps.push_back(Step::Write(sock));
    }

    /// One write of what the engine has. It hears at once of what was taken, before anything else that may end the
    /// exchange or the connection: what was written counts as sent.
    fn write(&mut self, now: Now, sock: SockId) {
        let Some(entry) = find_entry(&mut self.sockets, sock) else {
            return;
        };
        let parts = self.engine.transmit(sock);
        let step = match &mut entry.socket {
            Socket::Stream(stream) => match stream.write(parts) {
                Ok(Written { taken: 0, .. }) => return,
                Ok(Written { taken, more }) => {
                    let bytes = taken;
                    self.engine.handle_input(now, Input::Sent { sock, bytes });
                    if more {
                        self.steps.push_back(Step::Write(sock));
                    }
                    return;
                }
                Err(cause) if stream.is_securing() => {
                    // The alert that says why may be there to be read; it goes first.
                    self.steps.push_back(read(sock, true));
                    Step::Broken {
                        sock,
                        cause,
                        was_securing: true,
                    }
                }
                Err(cause) => {
                    // The event that told of it may be gone already, and an answer may be there.
                    self.steps.push_back(read(sock, true));
                    return self
                        .engine
                        .handle_input(now, Input::WriteFailed { sock, cause });
                }
            },
            Socket::Udp(udp) => {
                let [datagram, rest] = parts;
                assert!(rest.is_empty(), "a query is one datagram");
                if datagram.is_empty() {
                    return;
                }
                match udp.send(datagram) {
                    Ok(_) => return,
                    Err(cause) => Step::Broken {
                        sock,
                        cause,
                        was_securing: false,
                    },
                }
            }
        };
        self.steps.push_back(step);
    }

    /// Takes the socket away and says so, unless the engine was first.
    fn break_off(&mut self, now: Now, sock: SockId, cause: Cause, was_securing: bool) {
        if self.remove(sock).is_none() {
            return;
        }
        let input = if was_securing {
            Input::ConnectFailed { sock, cause }
        } else {
            Input::Closed { sock, cause }
        };
        self.engine.handle_input(now, input);
    }

    fn read(&mut self, now: Now, sock: SockId, is_closing: bool, left: u8) {
        match find(&mut self.sockets, sock) {
            None => {}
            Some(Socket::Stream(_)) => self.read_stream(now, sock, is_closing, left),
            Some(Socket::Udp(udp)) => match udp.receive(self.buffers.raw()) {
                Ok(None) => {}
                Ok(Some(message)) => {
                    self.engine
                        .handle_input(now, Input::Answer { sock, message });
                    self.read_on(sock, is_closing, left);
                }
                Err(cause) => self.break_off(now, sock, cause, false),
            },
        }
    }

    /// One read, and at most one input: what comes after it is a step.
    fn read_stream(&mut self, now: Now, sock: SockId, is_closing: bool, left: u8) {
        let Some(entry) = find_entry(&mut self.sockets, sock) else {
            return;
        };
        let Socket::Stream(stream) = &mut entry.socket else {
            return;
        };
        let was_securing = stream.is_securing();
        let got = stream.read(&mut self.buffers, is_closing);
        entry.is_ready = got.more;
        let more = (got.more || got.is_partial) && !got.end && got.broken.is_none();
        let has_news = mem::replace(&mut entry.has_unread, more) != more;
        if got.flush {
            self.steps.push_back(Step::Write(sock));
        }
        let Got { bytes, end, .. } = got;
        let has_data = !bytes.is_empty() || end;
        if let Some(resumed) = got.secured {
            if has_data {
                self.steps.push_back(Step::Early {
                    sock,
                    bytes: bytes.to_vec(),
                    end,
                });
            }
            self.engine
                .handle_input(now, Input::Secured { sock, resumed });
        } else if has_data || has_news {
            self.engine.handle_input(
                now,
                Input::Received {
                    sock,
                    bytes,
                    end,
                    more,
                },
            );
        }
        let is_still_securing = was_securing && got.secured.is_none();
        match got.broken {
            Some(cause) if has_data || got.secured.is_some() => {
                self.steps.push_back(Step::Broken {
                    sock,
                    cause,
                    was_securing: is_still_securing,
                })
            }
            Some(cause) => self.break_off(now, sock, cause, is_still_securing),
            None if got.more => self.read_on(sock, is_closing, left),
            None => {}
        }
    }

    fn has_unread_of(&mut self, sock: SockId) -> bool {
        find_entry(&mut self.sockets, sock).is_some_and(|entry| entry.has_unread)
    }

    fn read_on(&mut self, sock: SockId, is_closing: bool, left: u8) {
        match left.checked_sub(1) {
            None | Some(0) => self.unread.push(sock),
            Some(left) => self.steps.push_back(Step::Read {
                sock,
                is_closing,
                left,
            }),
        }
    }

    fn remove(&mut self, sock: SockId) -> Option<Socket> {
        let slot = self.sockets.get_mut(sock.0.index())?;
        let entry = slot.take_if(|entry| entry.sock == sock)?;
        Some(entry.socket)
    }
}

fn find(sockets: &mut [Option<Entry>], sock: SockId) -> Option<&mut Socket> {
    find_entry(sockets, sock).map(|entry| &mut entry.socket)
}

fn find_entry(sockets: &mut [Option<Entry>], sock: SockId) -> Option<&mut Entry> {
    match sockets.get_mut(sock.0.index()) {
        Some(Some(entry)) if entry.sock == sock => Some(entry),
        Some(_) | None => None,
    }
}

const fn read(sock: SockId, is_closing: bool) -> Step {
    Step::Read {
        sock,
        is_closing,
        left: READS_PER_TURN,
    }
}
