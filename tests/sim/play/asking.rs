//! What name servers are asked on their sockets, datagrams and connections, and when their answers come.
//!
//! Not here: what they answer (`dns`), sockets in general (`wires`).

use std::net::SocketAddr;
use std::time::Duration;

use conduit::engine::event::{Input, SockId};

use super::dns::{self, NameServerMode};
use super::network::{End, Event, Peer, Sock};
use super::scenario::name_server_at;
use super::servers::Mode;
use super::servers::answer::What;
use super::world::{Step, World, end};

/// How long a name server takes.
pub(super) const NAME_SERVER_TAKES: Duration = Duration::from_millis(5);

impl World {
    pub(super) fn query(&mut self, engine: usize, id: SockId, server: SocketAddr) {
        let end = end(engine, id);
        let found =
            (0..self.plan.name_servers.len()).find(|index| name_server_at(*index) == server);
        let index = found.unwrap_or_else(|| panic!("{server} is no name server"));
        self.sockets[engine].open(Sock::new(id, Peer::Datagrams(index), self.mono));
        self.trace
            .note(self.mono, engine, "query", [end.bits, index as u64]);
        self.steps.push_back(Step::Write(end));
    }

    /// A name server is asked over TCP: the message comes behind its length.
    pub(super) fn carry_query(&mut self, end: End, server: usize, bytes: &[u8]) {
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        let mut message = sock.far.messages.pop().unwrap_or_default();
        message.extend_from_slice(bytes);
        if message.len() >= 2
            && message.len() >= 2 + usize::from(u16::from_be_bytes([message[0], message[1]]))
        {
            self.model.see("wire", "query over tcp");
            let answer = self.name_server_says(server, &message[2..], true);
            if let Some(answer) = answer {
                let mut framed = (answer.len() as u16).to_be_bytes().to_vec();
                framed.extend_from_slice(&answer);
                self.send(end, NAME_SERVER_TAKES, What::Bytes(framed));
            }
            return;
        }
        sock.far.messages.push(message);
    }

    /// A name server is asked over UDP.
    pub(super) fn ask(&mut self, end: End, server: usize, query: &[u8]) {
        self.trace.mix_bytes(query);
        let at = self.elapsed();
        let mode = self
            .name_server_phase(server, at)
            .map_or(NameServerMode::Fine, |phase| phase.mode);
        if mode == NameServerMode::Unreachable {
            self.events
                .push(self.mono + NAME_SERVER_TAKES, Event::NobodyThere(end));
            return;
        }
        let Some(answer) = self.name_server_says(server, query, false) else {
            return;
        };
        let mut messages = Vec::new();
        if mode == NameServerMode::Noisy {
            messages.push(b"nonsense".to_vec());
            let mut other = answer.clone();
            other[0] ^= 0x55;
            messages.push(other);
        }
        messages.push(answer);
        let asked = dns::read(query);
        let known = asked.origin.filter(|of| *of < self.plan.origins.len());
        let late = known.map_or(Duration::ZERO, |of| {
            self.plan.lateness(of, asked.wants_v6, at)
        });
        if late > Duration::ZERO {
            self.model.see("wire", "late half");
        }
        for index in 0..messages.len() {
            let after = late + NAME_SERVER_TAKES * (1 + index as u32);
            let index = index as u8;
            self.events
                .push(self.mono + after, Event::Datagram { end, index });
        }
        if let Some(sock) = self.sockets[end.engine()].get(end.sock()) {
            sock.far.messages = messages;
        }
    }

    fn name_server_says(&mut self, server: usize, query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let at = self.elapsed();
        let mode = self
            .name_server_phase(server, at)
            .map_or(NameServerMode::Fine, |phase| phase.mode);
        let asked = dns::read(query);
        let known = asked
            .origin
            .filter(|origin| *origin < self.plan.origins.len());
        let (host, addrs) = match known {
            Some(origin) => (
                self.receivers[origin].mode(at),
                self.plan.addresses(origin, asked.wants_v6),
            ),
            None => (Mode::NoSuchName, Vec::new()),
        };
        asked.answer(mode, over_tcp, host, &addrs, self.plan.dns_ttl)
    }

    pub(super) fn on_datagram(&mut self, end: End, index: u8) {
        let Some(sock) = self.sockets[end.engine()].get(end.sock()) else {
            return;
        };
        let message = std::mem::take(&mut sock.far.messages[usize::from(index)]);
        self.trace.note(
            self.mono,
            end.engine(),
            "answer",
            [end.bits, message.len() as u64],
        );
        if let Some((origin, is_v6)) = dns::absence(&message)
            && let Some(breaker) = self.model.breakers.get_mut(origin)
        {
            breaker.on_absent_half(is_v6);
        }
        let input = Input::Answer {
            sock: end.sock(),
            message: &message,
        };
        self.input(end.engine(), input);
    }
}
