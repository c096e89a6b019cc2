//! The network: sockets, what travels on them, and the one queue of everything that is to happen.
//!
//! Not here: what an event does (`world`, `wires`), what receivers and name servers say (`servers`, `dns`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::engine::event::SockId;

use super::servers::answer::What;
use super::servers::request::RequestReader;

/// Something that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// TCP comes up on this side.
    Opened(End),
    /// The handshake is over, well or not.
    Secured { end: End, fine: bool },
    /// There is room to write again.
    Writable(End),
    /// Something arrives at this side.
    Delivered(End),
    /// A datagram arrives at this side, the nth of that socket.
    Datagram { end: End, index: u8 },
    /// The name server's port is closed.
    NobodyThere(End),
    /// The receiver has read what was sent to it.
    Heard(End),
    /// The receiver closes the connection, if it has served no more since.
    Bored { end: End, served: u32 },
    /// The receiver says something unasked, likewise.
    Unasked { end: End, served: u32 },
    /// Lines of the feed are there.
    Feed,
    /// Results have been written.
    Written,
    /// This process stands still.
    Pause(u8),
    /// Jobs that were postponed are due.
    Due,
    /// Somebody wants something of a breaker.
    Order(u8),
    /// Other settings begin to hold.
    Swap(u8),
    /// All faults are over.
    Healed,
    /// The disk has done what it began.
    Disk { is_read: bool },
    /// The process dies, the nth time.
    Crash(u8),
    /// A client sends again what was refused.
    Refused,
}

/// One end of a socket: which engine's, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    pub engine: u8,
    pub bits: u64,
}

/// Everything that is to happen, in order of time; what was put in first goes first.
#[derive(Default)]
pub struct Events {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
}

/// A socket of the shell's.
pub struct Sock {
    pub id: SockId,
    pub peer: Peer,
    pub state: State,
    /// Bytes were taken that the engine has not been told of.
    pub is_untold: bool,
    /// A `Writable` is on its way.
    pub awaits_room: bool,
    /// What is on its way to this side, and when each arrives.
    pub inbound: VecDeque<(Instant, What)>,
    pub opened: Instant,
    /// The receiver's end of it.
    pub far: Far,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Origin(usize),
    /// A name server, over TCP.
    NameServer(usize),
    /// The same, over UDP.
    Datagrams(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Opening,
    Securing,
    Up,
    /// The peer has closed its side, and the engine knows.
    Ended,
}

/// The far end of a connection.
#[derive(Default)]
pub struct Far {
    pub reader: RequestReader,
    /// The request that it was sent last, from its head on.
    pub request: Option<u32>,
    /// Its end has been sent.
    pub is_whole: bool,
    /// A request has begun on it, and has neither been answered nor given up.
    pub is_in_flight: bool,
    /// It is being answered: no other may begin.
    pub is_answering: bool,
    /// Bytes until the end of the response's final head has arrived, and its status.
    pub head: Option<(usize, u16)>,
    /// Requests answered.
    pub served: u32,
    /// It has closed.
    pub has_closed: bool,
    /// It does not read on.
    pub is_stuffed: bool,
    /// Since when neither a request nor an answer is under way.
    pub idle_since: Option<Instant>,
    /// What a name server was sent over TCP and has not read, or the answers that wait as datagrams.
    pub messages: Vec<Vec<u8>>,
}

/// The sockets of one engine, by the index of their ids, as the real shell keeps them.
#[derive(Default)]
pub struct Sockets {
    slots: Vec<Option<Box<Sock>>>,
    open: usize,
}

impl Events {
    pub fn push(&mut self, at: Instant, event: Event) {
        self.count += 1;
        self.heap.push(Reverse((at.as_nanos(), self.count, event)));
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.heap
            .peek()
            .map(|Reverse((at, ..))| Instant::from_nanos(*at))
    }

    /// Forgets all others.
    pub fn retain(&mut self, is_kept: impl Fn(Event) -> bool) {
        self.heap.retain(|Reverse((.., event))| is_kept(*event));
    }

    pub fn pop(&mut self) -> Option<(Instant, Event)> {
        let Reverse((at, _, event)) = self.heap.pop()?;
        Some((Instant::from_nanos(at), event))
    }
}

impl Sockets {
    /// # Panics
    /// If the engine has not closed the socket that had this place.
    pub fn open(&mut self, sock: Sock) {
        let index = sock.id.0.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        assert!(
            self.slots[index].is_none(),
            "a socket's place is free before it is used again"
        );
        self.slots[index] = Some(Box::new(sock));
        self.open += 1;
    }

    pub fn get(&mut self, id: SockId) -> Option<&mut Sock> {
        self.slots
            .get_mut(id.0.index())?
            .as_deref_mut()
            .filter(|sock| sock.id == id)
    }

    pub fn remove(&mut self, id: SockId) -> Option<Box<Sock>> {
        let slot = self.slots.get_mut(id.0.index())?;
        let sock = slot.take_if(|sock| sock.id == id)?;
        self.open -= 1;
        Some(sock)
    }

    pub const fn len(&self) -> usize {
        self.open
    }

    /// All of them; for checks at the end.
    pub fn iter(&self) -> impl Iterator<Item = &Sock> {
        self.slots.iter().flatten().map(|sock| &**sock)
    }
}

impl Sock {
    pub fn new(id: SockId, peer: Peer, now: Instant) -> Sock {
        Sock {
            id,
            peer,
            state: State::Opening,
            is_untold: false,
            awaits_room: false,
            inbound: VecDeque::new(),
            opened: now,
            far: Far::default(),
        }
    }

    /// Sends something to this side, behind what is on its way already. Says when it arrives, if nothing was.
    pub fn send(&mut self, now: Instant, after: Duration, what: What) -> Option<Instant> {
        let last = self.inbound.back().map(|(at, _)| *at);
        let at = last.unwrap_or(now).max(now) + after;
        self.inbound.push_back((at, what));
        last.is_none().then_some(at)
    }
}

impl Event {
    /// Whether it happens to this process, so that it waits while that stands still.
    pub const fn is_ours(self) -> bool {
        match self {
            Event::Opened(_)
            | Event::Secured { .. }
            | Event::Writable(_)
            | Event::Delivered(_)
            | Event::Datagram { .. }
            | Event::NobodyThere(_)
            | Event::Feed
            | Event::Written
            | Event::Disk { .. }
            | Event::Due
            | Event::Order(_)
            | Event::Swap(_) => true,
            Event::Heard(_)
            | Event::Bored { .. }
            | Event::Unasked { .. }
            | Event::Pause(_)
            | Event::Crash(_)
            | Event::Refused
            | Event::Healed => false,
        }
    }

    /// Whether it happens whatever becomes of this process.
    pub const fn survives(self) -> bool {
        matches!(
            self,
            Event::Feed | Event::Pause(_) | Event::Crash(_) | Event::Healed
        )
    }
}
