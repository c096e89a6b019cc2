//! What the driver does with sockets: opens, writes, reads and closes them as `io/net` does, on a network that
//! takes and brings bytes as it likes.

use std::net::SocketAddr;
use std::time::Duration;

use conduit::base::time::Instant;
use conduit::engine::event::{Cause, CauseKind, Input, SockId};

use super::asking::NAME_SERVER_TAKES;
use super::network::{End, Event, Peer, Sock, State};
use super::scenario::{Reach, name_server_at};
use super::servers::Mode;
use super::servers::answer::{Answerer, What};
use super::world::{Step, World, end};

/// What a receiver that does not read takes of a request.
const STUFFED_BYTES: usize = 100;

impl World {
    pub(super) fn connect(&mut self, engine: usize, id: SockId, addr: SocketAddr) {
        let end = end(engine, id);
        let (peer, reach, origin) = self.whose(addr);
        self.trace
            .note(self.mono, engine, "connect", [end.bits, origin as u64]);
        if self.in_local_trouble() {
            self.steps
                .push_back(Step::ConnectFailed { end, local: true });
            return;
        }
        self.sockets[engine].open(Sock::new(id, peer, self.mono));
        let mut takes = NAME_SERVER_TAKES;
        let mut mode = Mode::Healthy;
        if let Peer::Origin(origin) = peer {
            let at = self.elapsed();
            let receiver = &mut self.receivers[origin];
            receiver.sockets += 1;
            mode = receiver.mode(at);
            takes = self.plan.origins[origin].latency * 2;
            self.check_sockets(origin);
        }
        match (mode, reach) {
            (Mode::BlackHole, _) | (_, Reach::BlackHole) => {}
            (Mode::Refuse, _) | (_, Reach::Refuse) => {
                if let Some(sock) = self.sockets[engine].get(id) {
                    sock.far.has_closed = true;
                }
                self.events.push(self.mono + takes, Event::Opened(end));
            }
            _ => self.events.push(self.mono + takes, Event::Opened(end)),
        }
    }

    /// Who has this address; panics if nobody may connect to it.
    fn whose(&self, addr: SocketAddr) -> (Peer, Reach, usize) {
        if let Some(server) =
            (0..self.plan.name_servers.len()).find(|index| name_server_at(*index) == addr)
        {
            return (Peer::NameServer(server), Reach::Fine, 1_000_000 + server);
        }
        let (origin, is_v6) = self.plan.origin_at(addr);
        let v6 = self.plan.origins[origin].v6.unwrap_or(Reach::Fine);
        let healed = self.elapsed() >= self.plan.faults_end;
        let reach = if is_v6 && !healed { v6 } else { Reach::Fine };
        (Peer::Origin(origin), reach, origin)
    }

    fn in_local_trouble(&self) -> bool {
        let at = self.elapsed();
        self.plan
            .local_trouble
            .iter()
            .any(|(from, lasts)| at >= *from && at < *from + *lasts)
    }

    pub(super) fn secure(&mut self, end: End) {
        let at = self.elapsed();
        let sock = self.sockets[end.engine()]
            .get(end.sock())
            .expect("a socket that is secured is open");
        assert_eq!(
            sock.state,
            State::Up,
            "TLS starts on a connection that is up"
        );
        sock.state = State::Securing;
        let Peer::Origin(origin) = sock.peer else {
            panic!("name servers speak no TLS");
        };
        let takes = self.plan.origins[origin].latency * 4;
        match self.receivers[origin].mode(at) {
            Mode::TlsMute => {}
            mode => {
                let fine = mode != Mode::TlsBad;
                self.events
                    .push(self.mono + takes, Event::Secured { end, fine });
            }
        }
    }

    pub(super) fn close(&mut self, end: End) {
        self.trace
            .note(self.mono, end.engine(), "close", [end.bits, 0]);
        let Some(sock) = self.sockets[end.engine()].remove(end.sock()) else {
            // It could not even be opened, and the engine has not been told yet: a dial that began at its deadline.
            let is_untold = |step: &Step| matches!(step, Step::ConnectFailed { end: other, .. } if other.bits == end.bits);
            let untold = self.steps.iter().any(is_untold);
            assert!(untold, "the engine closes what is open, once");
            return;
        };
        self.on_gone(&sock);
    }

    /// A socket is gone, whoever closed it.
    pub(super) fn on_gone(&mut self, sock: &Sock) {
        let Peer::Origin(origin) = sock.peer else {
            return;
        };
        self.check_idle_age(sock);
        let receiver = &mut self.receivers[origin];
        receiver.sockets -= 1;
        receiver.up -= u32::from(matches!(
            sock.state,
            State::Up | State::Ended | State::Securing
        ));
        receiver.in_flight -= u32::from(sock.far.is_in_flight);
    }

    pub(super) fn take_step(&mut self, step: Step) {
        match step {
            Step::Write(end) => self.write(end),
            Step::Sent { end, bytes, more } => {
                // The engine may have closed it since: then this is one of the inputs that it must ignore.
                if let Some(sock) = self.sockets[end.engine()].get(end.sock()) {
                    sock.is_untold = false;
                    if more && !sock.far.is_stuffed {
                        sock.awaits_room = true;
                        let after = Duration::from_micros(self.dice.below(20_000));
                        self.events.push(self.mono + after, Event::Writable(end));
                    }
                }
                let sock = end.sock();
                self.trace
                    .note(self.mono, end.engine(), "sent", [end.bits, bytes as u64]);
                self.input(end.engine(), Input::Sent { sock, bytes });
            }
            Step::ConnectFailed { end, local } => {
                let kind = if local {
                    CauseKind::Local
                } else {
                    CauseKind::Refused
                };
                self.fail_connect(end, kind);
            }
            Step::Look(end) => self.look(end),
        }
    }

    fn fail_connect(&mut self, end: End, kind: CauseKind) {
        if let Some(sock) = self.sockets[end.engine()].remove(end.sock()) {
            self.on_gone(&sock);
        }
        self.trace.note(
            self.mono,
            end.engine(),
            "connect failed",
            [end.bits, kind as u64],
        );
        let (sock, cause) = (end.sock(), cause(kind));
        self.input(end.engine(), Input::ConnectFailed { sock, cause });
    }

    /// One write of what the engine shows.
    fn write(&mut self, end: End) {
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        if sock.is_untold || sock.awaits_room {
            return;
        }
        let parts = self.engines[end.engine()].transmit(end.sock());
        let shown = parts[0].len() + parts[1].len();
        if shown == 0 {
            return;
        }
        match sock.peer {
            Peer::Datagrams(server) => {
                let query = parts[0].to_vec();
                return self.ask(end, server, &query);
            }
            Peer::NameServer(_) | Peer::Origin(_) => {
                assert!(
                    matches!(sock.state, State::Up | State::Ended),
                    "bytes on a connection that is up"
                );
            }
        }
        let mut take = shown;
        if self.dice.chance(self.plan.net.cuts) {
            take = 1 + self.dice.below(shown as u64) as usize;
        }
        let at = self.mono.since(Instant::from_nanos(0));
        if let Peer::Origin(origin) = sock.peer
            && self.receivers[origin].mode(at) == Mode::NoWindow
        {
            take = take.min(STUFFED_BYTES);
            sock.far.is_stuffed = take < shown;
        }
        sock.is_untold = true;
        let first = take.min(parts[0].len());
        let bytes = [&parts[0][..first], &parts[1][..take - first]].concat();
        self.steps.push_back(Step::Sent {
            end,
            bytes: take,
            more: take < shown,
        });
        self.trace.mix_bytes(&bytes);
        self.carry(end, &bytes);
    }

    /// Bytes leave for the far end.
    fn carry(&mut self, end: End, bytes: &[u8]) {
        let now = self.now();
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        let origin = match sock.peer {
            Peer::Origin(origin) => origin,
            Peer::NameServer(server) => return self.carry_query(end, server, bytes),
            Peer::Datagrams(_) => return,
        };
        let far = &mut sock.far;
        let was_answering = far.is_answering;
        let model = &self.model;
        let brought = far
            .reader
            .read(bytes, now.wall.unix_seconds(), &|job| model.body_bytes(job));
        if brought.begun {
            assert!(
                !was_answering && !far.is_whole,
                "I4: a request on {:?} before the answer to j{:?} has ended",
                sock.id,
                far.request
            );
            let idle_since = far.idle_since.take();
            let (opened, reused) = (sock.opened, far.served > 0);
            far.is_in_flight = true;
            let at = now.mono.since(Instant::from_nanos(0));
            self.receivers[origin].on_request(at);
            self.on_request_begins(origin, opened, idle_since, reused);
        }
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        if let Some(job) = brought.head_of {
            sock.far.request = Some(job);
            let reused = sock.far.served > 0;
            self.model.on_request(job, origin, reused, now.mono);
            self.trace
                .note(now.mono, end.engine(), "request", [end.bits, job.into()]);
        }
        sock.far.is_whole |= brought.whole;
        if brought.head_of.is_some() || brought.whole {
            let latency = self.plan.origins[origin].latency;
            self.events.push(now.mono + latency, Event::Heard(end));
        }
    }

    /// Something happens on a socket; `due` is when, on the far side.
    pub(super) fn on_wire(&mut self, due: Instant, event: Event) {
        match event {
            Event::Opened(end) => self.on_opened(end),
            Event::Secured { end, fine } => self.on_secured(end, fine),
            Event::Writable(end) => {
                if let Some(sock) = self.sockets[end.engine()].get(end.sock()) {
                    sock.awaits_room = false;
                    self.write(end);
                }
            }
            Event::Delivered(end) => self.deliver(end),
            Event::Datagram { end, index } => self.on_datagram(end, index),
            Event::NobodyThere(end) => {
                if self.sockets[end.engine()].remove(end.sock()).is_some() {
                    let (sock, cause) = (end.sock(), cause(CauseKind::Refused));
                    self.trace
                        .note(self.mono, end.engine(), "no name server", [end.bits, 0]);
                    self.input(end.engine(), Input::Closed { sock, cause });
                }
            }
            Event::Heard(end) => self.on_heard(due, end),
            Event::Bored { end, served } => {
                if self.is_idle_since(end, served)
                    && let Some(sock) = self.sockets[end.engine()].get(end.sock())
                {
                    sock.far.has_closed = true;
                    self.send(end, Duration::ZERO, What::Fin);
                }
            }
            Event::Unasked { end, served } => {
                if self.is_idle_since(end, served) {
                    // Some say so that they close a connection; the rest answers nothing.
                    let bytes: &[u8] = if served.is_multiple_of(2) {
                        b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
                    } else {
                        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                    };
                    self.send(end, Duration::ZERO, What::Unasked(bytes.to_vec()));
                }
            }
            Event::Feed
            | Event::Written
            | Event::Due
            | Event::Swap(_)
            | Event::Order(_)
            | Event::Pause(_)
            | Event::Disk { .. }
            | Event::Crash(_)
            | Event::Refused
            | Event::Healed => unreachable!("nothing of a socket's"),
        }
    }

    /// Whether the far end has neither served nor heard of another request since.
    fn is_idle_since(&mut self, end: End, served: u32) -> bool {
        let sock = self.sockets[end.engine()].get(end.sock());
        sock.is_some_and(|sock| {
            let far = &sock.far;
            far.served == served && !far.has_closed && !far.is_in_flight && !far.is_answering
        })
    }

    fn on_opened(&mut self, end: End) {
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return self.stale_input(end);
        };
        if sock.far.has_closed {
            return self.fail_connect(end, CauseKind::Refused);
        }
        sock.state = State::Up;
        sock.opened = self.mono;
        if let Peer::Origin(origin) = sock.peer {
            sock.far.idle_since = Some(self.mono);
            self.receivers[origin].up += 1;
        }
        self.trace
            .note(self.mono, end.engine(), "connected", [end.bits, 0]);
        let sock = end.sock();
        self.input(end.engine(), Input::Connected { sock });
    }

    fn on_secured(&mut self, end: End, fine: bool) {
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return self.stale_input(end);
        };
        if !fine {
            return self.fail_connect(end, CauseKind::Tls);
        }
        sock.state = State::Up;
        sock.opened = self.mono;
        sock.far.idle_since = Some(self.mono);
        self.trace
            .note(self.mono, end.engine(), "secured", [end.bits, 0]);
        let input = Input::Secured {
            sock: end.sock(),
            resumed: false,
        };
        self.input(end.engine(), input);
    }

    /// The engine has closed the socket: now and then it hears of it all the same, and must not care.
    fn stale_input(&mut self, end: End) {
        if !self.dice.chance(self.plan.net.stale_inputs) {
            return;
        }
        let sock = end.sock();
        let input = match self.dice.below(4) {
            0 => Input::Connected { sock },
            1 => Input::Closed {
                sock,
                cause: cause(CauseKind::Reset),
            },
            2 => Input::WriteFailed {
                sock,
                cause: cause(CauseKind::Reset),
            },
            _ => Input::Received {
                sock,
                bytes: b"HTTP/1.1 200 OK\r\n\r\n",
                end: false,
                more: false,
            },
        };
        self.input(end.engine(), input);
    }

    /// The far end has read the request's head, or all of it.
    fn on_heard(&mut self, due: Instant, end: End) {
        let at = due.since(Instant::from_nanos(0));
        let unix_seconds = self.now().wall.unix_seconds();
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        let far = &mut sock.far;
        let (Peer::Origin(origin), Some(job)) = (sock.peer, far.request) else {
            return;
        };
        if far.is_answering {
            return;
        }
        if far.has_closed {
            // What reaches a closed socket is answered with a reset.
            let latency = self.plan.origins[origin].latency;
            self.send(end, latency, What::Reset);
            return;
        }
        let mode = self.receivers[origin].mode(at);
        if !far.is_whole && !matches!(mode, Mode::Early(_)) {
            return;
        }
        let receiver = &mut self.receivers[origin];
        let (mut mode, mut think) = (mode, receiver.think);
        if let Mode::Capacity { workers, queue } = mode {
            let takes = think * self.dice.between(75, 125) as u32 / 100;
            match receiver.serve(at, workers, queue, takes) {
                Some(done) => think = done,
                None => (mode, think) = (Mode::Status(503), Duration::ZERO),
            }
        }
        let mut answerer = Answerer {
            dice: &mut self.dice,
            think,
            unix_seconds,
        };
        let script = answerer.answer(mode, job);
        if script.acts.is_empty() {
            return;
        }
        far.is_answering = true;
        far.has_closed = script.closes;
        far.head = script.status.map(|status| (script.head_bytes, status));
        if let Some(status) = script.status {
            let asked = match mode {
                Mode::RetryAfter {
                    seconds, as_date, ..
                } => {
                    let most = Duration::from_secs(seconds.into());
                    Some([if as_date { Duration::ZERO } else { most }, most])
                }
                _ => None,
            };
            self.model.on_answer(job, status, asked);
        }
        let latency = self.plan.origins[origin].latency;
        for (index, act) in script.acts.into_iter().enumerate() {
            let travels = if index == 0 { latency } else { Duration::ZERO };
            self.send(end, act.after + travels, act.what);
        }
    }

    pub(super) fn send(&mut self, end: End, after: Duration, what: What) {
        let now = self.mono;
        if let Some(sock) = self.sockets[end.engine()].get(end.sock())
            && let Some(at) = sock.send(now, after, what)
        {
            self.events.push(at, Event::Delivered(end));
        }
    }
}

impl End {
    pub fn engine(self) -> usize {
        usize::from(self.engine)
    }

    pub fn sock(self) -> SockId {
        SockId::from_bits(self.bits)
    }
}

pub fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        message: "as the simulation wants".into(),
    }
}
