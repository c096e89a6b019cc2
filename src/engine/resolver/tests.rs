//! The resolver between a virtual clock and scripted servers; time jumps to whatever comes next.

mod answers;
mod fairness;
mod servers;
mod stale;
mod tcp;

use std::collections::BTreeMap;

use super::*;
use crate::base::time::Wall;
use crate::wire::dns::framing;

const A: u16 = 1;
const AAAA: u16 = 28;
const V4: [u8; 4] = [192, 0, 2, 1];
const V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// One datagram as a server gets it.
#[derive(Clone, Debug)]
struct Asked {
    at_ms: u64,
    server: u8,
    family: Family,
    edns: bool,
    /// Over TCP; `message` is without its length then.
    tcp: bool,
    message: Vec<u8>,
}

/// What comes of a query.
enum Reply {
    Silence,
    Refused,
    /// Each after so many milliseconds; over TCP as one stream, each behind its length.
    Messages(Vec<(u64, Vec<u8>)>),
    /// Over TCP: these bytes, and the end after the last.
    Stream(Vec<(u64, Vec<u8>)>),
}

enum Event {
    Answer(Vec<u8>),
    Bytes(Vec<u8>),
    End,
    Refused,
}

struct World {
    resolver: Resolver,
    now: Now,
    script: Box<dyn FnMut(&Asked) -> Reply>,
    asked: Vec<Asked>,
    /// What is under way, by arrival and order of sending.
    events: BTreeMap<(Instant, usize), (Key, Event)>,
    sockets: Vec<Key>,
    sockets_peak: usize,
    /// Those that were forgotten before they could be opened.
    unopened: Vec<Key>,
    askers: Slab<()>,
    results: Vec<(u64, Key, Fact)>,
}

impl World {
    /// Servers 192.0.2.1 … as many as told.
    fn new(servers: u8, options: &str, script: impl FnMut(&Asked) -> Reply + 'static) -> World {
        let mut resolver = Resolver::new(Rng::from_seed([7; 32]), [1, 2]);
        resolver.set_names(names(1, servers, options));
        World {
            resolver,
            now: Now {
                mono: Instant::from_nanos(1_000_000_000_000),
                wall: Wall::from_unix_seconds(1_700_000_000),
            },
            script: Box::new(script),
            asked: Vec::new(),
            events: BTreeMap::new(),
            sockets: Vec::new(),
            sockets_peak: 0,
            unopened: Vec::new(),
            askers: Slab::new(),
            results: Vec::new(),
        }
    }

    fn ms(&self) -> u64 {
        (self.now.mono.as_nanos() - 1_000_000_000_000) / 1_000_000
    }

    fn lookup(&mut self, name: &str) -> Lookup {
        let asker = self.askers.insert(());
        let lookup = self.ask(name, asker, None);
        self.drain();
        lookup
    }

    fn ask(&mut self, name: &str, asker: Key, failed: Option<Instant>) -> Lookup {
        let until = self.now.mono + CONNECT_TIMEOUT;
        let ask = Ask {
            name,
            asker,
            until,
            failed,
        };
        self.resolver.lookup(self.now, ask)
    }

    /// Looks up, waits, and gives what it is told first; when that was is told in `results`.
    fn resolve(&mut self, name: &str) -> Outcome {
        match self.lookup(name) {
            Lookup::Ready(found) => Ok(found.addrs),
            Lookup::Failed(failure) => Err(failure.error),
            Lookup::Pending => {
                let before = self.results.len();
                self.drive();
                assert!(self.results.len() > before);
                self.result(before)
            }
        }
    }

    fn result(&self, index: usize) -> Outcome {
        outcome(&self.results[index].2)
    }

    fn drain(&mut self) {
        while let Some(output) = self.resolver.poll_output() {
            match output {
                Output::Query { query, .. } if !self.resolver.is_wanted(query) => {
                    self.unopened.push(query);
                }
                Output::Query {
                    query,
                    server,
                    transport,
                } => self.send(query, server, transport),
                Output::Forget { query } => self.close(query),
                Output::Resolved { asker, result } => self.results.push((self.ms(), asker, result)),
            }
        }
    }

    fn send(&mut self, query: Key, server: SocketAddr, transport: Transport) {
        let tcp = transport == Transport::Tcp;
        let message = match transport {
            Transport::Udp => self.resolver.transmit(query).to_vec(),
            Transport::Tcp => self.send_stream(query),
        };
        assert!(!self.sockets.contains(&query), "one datagram a socket");
        self.sockets.push(query);
        self.sockets_peak = self.sockets_peak.max(self.sockets.len());
        let IpAddr::V4(server) = server.ip() else {
            panic!("the servers have IPv4 addresses")
        };
        let question_end = 12 + message[12..].iter().position(|b| *b == 0).unwrap() + 1;
        let asked = Asked {
            at_ms: self.ms(),
            server: server.octets()[3],
            family: match message[question_end + 1] {
                1 => Family::V4,
                28 => Family::V6,
                kind => panic!("type {kind}"),
            },
            edns: message[11] == 1,
            tcp,
            message,
        };
        let reply = (self.script)(&asked);
        self.asked.push(asked);
        let mut events = Vec::new();
        match reply {
            Reply::Silence => {}
            Reply::Refused => events.push((0, Event::Refused)),
            Reply::Messages(messages) => {
                for (ms, mut message) in messages {
                    events.push(if tcp {
                        framing::frame(&mut message);
                        (ms, Event::Bytes(message))
                    } else {
                        (ms, Event::Answer(message))
                    });
                }
            }
            Reply::Stream(parts) => {
                let end = parts.last().map_or(0, |(ms, _)| *ms);
                events.extend(parts.into_iter().map(|(ms, part)| (ms, Event::Bytes(part))));
                events.push((end, Event::End));
            }
        }
        for (n, (ms, event)) in events.into_iter().enumerate() {
            let at = self.now.mono + Duration::from_millis(ms);
            self.events
                .insert((at, self.asked.len() * 100 + n), (query, event));
        }
    }

    /// Takes a query over TCP, a few bytes at a time.
    fn send_stream(&mut self, query: Key) -> Vec<u8> {
        let mut stream = Vec::new();
        loop {
            let shown = self.resolver.transmit(query);
            if shown.is_empty() {
                break;
            }
            let bytes = shown.len().min(7);
            stream.extend_from_slice(&shown[..bytes]);
            self.resolver.handle_sent(query, bytes);
        }
        let message = stream.split_off(2);
        assert_eq!(stream, (message.len() as u16).to_be_bytes(), "its length");
        message
    }

    fn close(&mut self, query: Key) {
        if self.unopened.contains(&query) {
            return;
        }
        let before = self.sockets.len();
        self.sockets.retain(|other| *other != query);
        assert_eq!(self.sockets.len() + 1, before, "a socket is closed once");
    }

    /// Does what comes next; false if nothing will.
    fn step(&mut self) -> bool {
        let event = self.events.first_key_value().map(|(key, _)| key.0);
        let timer = self.resolver.poll_timeout();
        let Some(next) = event.into_iter().chain(timer).min() else {
            return false;
        };
        self.now.mono = self.now.mono.max(next);
        if event == Some(next) {
            let (_, (query, event)) = self.events.pop_first().unwrap();
            // What comes to a closed socket is the kernel's affair.
            match event {
                _ if !self.sockets.contains(&query) => {}
                Event::Answer(message) => self.resolver.handle_answer(self.now, query, &message),
                Event::Bytes(bytes) => {
                    self.resolver
                        .handle_received(self.now, query, &bytes, false);
                }
                Event::End => self.resolver.handle_received(self.now, query, b"", true),
                Event::Refused => {
                    self.close(query);
                    self.resolver.handle_query_failed(self.now, query);
                }
            }
        } else {
            self.resolver.handle_timeout(self.now);
            let timer = self.resolver.poll_timeout();
            assert!(timer.is_none_or(|at| at > self.now.mono), "a busy loop");
        }
        self.drain();
        true
    }

    /// Until nothing is left to happen, and nothing left over.
    fn drive(&mut self) {
        while self.step() {}
        assert_eq!(self.sockets, []);
        assert!(self.resolver.tries.is_empty());
        assert!(self.resolver.inquiries.is_empty());
        assert!(self.resolver.by_name.is_empty());
        assert!(self.resolver.by_asker.is_empty());
        assert!(self.resolver.places.is_empty());
    }

    fn sleep(&mut self, duration: Duration) {
        assert_eq!(self.resolver.poll_timeout(), None);
        self.now.mono = self.now.mono + duration;
    }

    /// Times and servers that were asked for IPv4 addresses.
    fn asked_v4(&self) -> Vec<(u64, u8)> {
        let v4 = self.asked.iter().filter(|a| a.family == Family::V4);
        v4.map(|asked| (asked.at_ms, asked.server)).collect()
    }
}

fn names(first: u8, count: u8, options: &str) -> Arc<Names> {
    let servers: String = (first..first + count)
        .map(|n| format!("nameserver 192.0.2.{n}\n"))
        .collect();
    let hosts = "10.0.0.9 db\n10.0.0.8 api.example\nfd00::8 api.example\n10.0.0.7 api.example\n";
    let conf = format!("{servers}options {options}\n");
    Arc::new(Names::parse(hosts.as_bytes(), conf.as_bytes()))
}

/// The answer to a query: flags, code and records (owner: the question).
fn answer(query: &[u8], flags: u8, rcode: u8, records: &[(u16, u32, &[u8])]) -> Vec<u8> {
    let question_end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let mut message = query[..question_end].to_vec();
    message[2] = 0x81 | flags;
    message[3] = 0x80 | rcode;
    message[7] = u8::try_from(records.len()).unwrap();
    message[11] = 0;
    for (kind, ttl, data) in records {
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(ttl.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
    }
    message
}

/// The data of an SOA record with this minimum.
fn soa(minimum: u32) -> Vec<u8> {
    let mut data = vec![0, 0];
    data.extend([0; 16]);
    data.extend(minimum.to_be_bytes());
    data
}

/// One address of the asked family, after 5 ms.
fn address(asked: &Asked, ttl: u32) -> Reply {
    let record: (u16, u32, &[u8]) = match asked.family {
        Family::V4 => (A, ttl, &V4),
        Family::V6 => (AAAA, ttl, &V6),
    };
    Reply::Messages(vec![(5, answer(&asked.message, 0, 0, &[record]))])
}

fn code(asked: &Asked, rcode: u8) -> Reply {
    Reply::Messages(vec![(5, answer(&asked.message, 0, rcode, &[]))])
}

fn ips(texts: &[&str]) -> Arc<[IpAddr]> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn both() -> Outcome {
    Ok(ips(&["2001:db8::1", "192.0.2.1"]))
}

fn outcome(result: &Fact) -> Outcome {
    match result {
        Ok(found) => Ok(Arc::clone(&found.addrs)),
        Err(failure) => Err(failure.error),
    }
}

/// These are all.
fn known(addrs: Outcome) -> Lookup {
    let addrs = addrs.expect("addresses");
    let rest = Rest::Known;
    Lookup::Ready(Found { addrs, rest })
}

fn error_of(lookup: Lookup) -> Option<LookupError> {
    match lookup {
        Lookup::Failed(failure) => Some(failure.error),
        Lookup::Ready(_) | Lookup::Pending => None,
    }
}

fn addrs_of(lookup: Lookup) -> Option<Arc<[IpAddr]>> {
    match lookup {
        Lookup::Ready(found) => Some(found.addrs),
        Lookup::Failed(_) | Lookup::Pending => None,
    }
}

/// More may come.
fn early(addrs: Outcome) -> Lookup {
    let addrs = addrs.expect("addresses");
    let rest = Rest::Coming;
    Lookup::Ready(Found { addrs, rest })
}

/// What a look-up comes to, whatever the rest.
type Outcome = Result<Arc<[IpAddr]>, LookupError>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const SERVFAIL: Outcome = Err(LookupError::Servers(ServerTrouble::Code(2)));
const SILENT: Outcome = Err(LookupError::Servers(ServerTrouble::Silent));
