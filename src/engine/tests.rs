//! The engine against a world that does anything at any time: after every step its parts agree, and in the end
//! every job has come back exactly once.
//!
//! The world keeps what a shell would keep: which sockets are open, how far each is, what was sent. It is driven
//! by a seed; a failure names it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::base::time::{Instant, Now, Wall};
use crate::engine::Engine;
use crate::engine::conclude::EXCERPT_BYTES_MAX;
use crate::engine::event::{Cause, CauseKind, Input, Note, Output, SockId};
use crate::engine::policy::{AllowNet, Endpoint, Policy};
use crate::wire::endpoint_row::{EndpointRow, Rows};
use crate::wire::endpoints::Endpoints;
use crate::wire::job::Source;
use crate::wire::job_line::JobLine;
use crate::wire::names::Names;
use crate::wire::report::Outcome;
use crate::wire::signature::{Secret, Secrets};
use crate::wire::spool::JobKey;

const SEEDS: u64 = 300;
const STEPS: u32 = 600;

struct World {
    engine: Engine,
    rng: Rng,
    mono: Instant,
    /// Open sockets, and whether the connection is up.
    socks: BTreeMap<u64, Sock>,
    /// What is asked of name servers, by socket.
    questions: BTreeMap<u64, Vec<u8>>,
    jobs: u64,
    done: BTreeMap<String, u32>,
    /// Rows told.
    rows: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Sock {
    Connecting,
    Securing,
    Up,
    Query,
    QueryConnecting,
    QueryUp,
}

const NAME_SERVER: &str = "192.0.2.53:53";

const RESPONSES: [&str; 12] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
    "HTTP/1.1 429 Slow\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 413 Too Large\r\nContent-Length: 900000\r\n\r\nx",
    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=3, max=2\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "nonsense\r\n\r\n",
];

const URLS: [&str; 7] = [
    "http://127.0.0.1:8080/",
    "http://127.0.0.2:8080/",
    "https://127.0.0.3:8443/",
    "http://many.example:8080/",
    "https://many.example:8443/",
    "http://unknown.example:8080/",
    "http://10.0.0.1:8080/",
];

/// Some settings or other.
fn policy(rng: &mut Rng) -> Policy {
    let mut policy = Policy {
        allow_http: rng.below(8) > 0,
        ..Policy::default()
    };
    let v4 = if rng.below(8) > 0 {
        "127.0.0.0/8"
    } else {
        "127.0.0.4/32"
    };
    for range in [v4, "::1/128"] {
        let range = AllowNet::parse(range).expect("a range");
        policy.allow_net.push(range);
    }
    policy.max_connections_total = 2 + rng.below(8) as u32;
    policy.trust = rng.below(2);
    let endpoint = Arc::make_mut(&mut policy.endpoint);
    endpoint.ttl = Duration::from_secs(1 + rng.below(40));
    endpoint.max_connections = 1 + rng.below(4) as u32;
    endpoint.resend_stale = rng.below(4) > 0;
    endpoint.idle_timeout = Duration::from_secs(rng.below(20));
    endpoint.connection_lifetime = Duration::from_secs(rng.below(60));
    endpoint.response_bytes = rng.below(6) as u32;
    endpoint.adaptive_timeout = rng.below(2) == 0;
    endpoint.adaptive_concurrency = rng.below(2) == 0;
    endpoint.tls_profile = rng.below(3) / 2;
    if rng.below(2) == 0 {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        endpoint.secrets = Secrets::new(vec![secret]).expect("one");
    }
    policy
}

impl World {
    fn new(seed: u64) -> World {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::from_seed(bytes);
        let policy = policy(&mut rng);
        let hosts = b"127.0.0.4 many.example\n127.0.0.5 many.example\n::1 many.example\n";
        let names = Arc::new(Names::parse(hosts, b"nameserver 192.0.2.53\n"));
        let mono = Instant::from_nanos(0);
        let now = Now {
            mono,
            wall: Wall::from_unix_seconds(1_700_000_000),
        };
        let engine = Engine::new(now, Arc::new(policy), names, bytes);
        World {
            engine,
            rng,
            mono,
            socks: BTreeMap::new(),
            questions: BTreeMap::new(),
            jobs: 0,
            done: BTreeMap::new(),
            rows: 0,
        }
    }

    fn now(&self) -> Now {
        let wall = Wall::from_unix_nanos(1_700_000_000_000_000_000 + self.mono.as_nanos());
        Now {
            mono: self.mono,
            wall,
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let now = self.now();
        self.engine.handle_input(now, input);
        self.settle();
    }

    /// Notes what the engine asks for; a shell would do it.
    fn settle(&mut self) {
        self.engine.check_invariants();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Connect { sock, addr, .. } => {
                    let is_query = addr.to_string() == NAME_SERVER;
                    assert!(is_query || addr.ip().is_loopback(), "{addr} is forbidden");
                    let state = if is_query {
                        self.ask(sock, 2);
                        Sock::QueryConnecting
                    } else {
                        Sock::Connecting
                    };
                    assert!(self.socks.insert(sock.to_bits(), state).is_none());
                }
                Output::Query { sock, .. } => {
                    self.ask(sock, 0);
                    assert!(self.socks.insert(sock.to_bits(), Sock::Query).is_none());
                }
                Output::Secure { sock, .. } => {
                    let before = self.socks.insert(sock.to_bits(), Sock::Securing);
                    assert!(
                        before == Some(Sock::Up),
                        "TLS starts on a connection that is up"
                    );
                }
                Output::Transmit { sock, .. } => {
                    let state = self.socks.get(&sock.to_bits());
                    assert!(matches!(state, Some(Sock::Up | Sock::QueryUp)));
                }
                Output::Close { sock } => assert!(self.socks.remove(&sock.to_bits()).is_some()),
                Output::Done { job, .. } => *self.done.entry(job.id.to_string()).or_default() += 1,
                Output::Postponed { job } => {
                    unreachable!("the time to live of {} is shorter than that", job.id)
                }
                Output::Attempted { .. }
                | Output::Origin { .. }
                | Output::OriginRetired { .. }
                | Output::Appetite(_)
                | Output::ConnectionClosed { .. }
                | Output::Note(_) => {}
                Output::Rows(rows) => self.check_rows(&rows),
            }
        }
    }

    /// What is told of origins can be true.
    fn check_rows(&mut self, rows: &Rows) {
        self.rows += rows.rows.len() as u64;
        for EndpointRow { state, tally, .. } in &rows.rows {
            // A pool that shrinks has none idle.
            let is_shrinking = state.idle == 0;
            assert!(
                is_shrinking || state.active + state.idle <= state.max,
                "{state:?}"
            );
            assert!(state.pending <= state.queued.iter().sum(), "{state:?}");
            let up = tally.opened - tally.closed.total();
            assert!(
                (u64::from(state.idle)..=u64::from(state.active + state.idle)).contains(&up),
                "{up} connections are up: {state:?}"
            );
            let answered = tally.statuses.total();
            assert_eq!(tally.durations.count(), answered, "a time for each answer");
        }
    }

    /// Keeps what a query asks, without the length that stands before it over TCP.
    fn ask(&mut self, sock: SockId, prefix_bytes: usize) {
        let message = self.engine.transmit(sock).concat();
        self.questions
            .insert(sock.to_bits(), message[prefix_bytes..].to_vec());
    }

    fn job(&mut self) {
        self.jobs += 1;
        let url = URLS[self.rng.below(URLS.len() as u64) as usize];
        let ttl = match self.rng.below(2) {
            0 => format!(",\"ttl\":{}", 1 + self.rng.below(40)),
            _ => String::new(),
        };
        let timeout = 1 + self.rng.below(12);
        // Where an endpoint has a secret by now, such an id can't go out.
        let dot = if self.rng.below(3) == 0 { "." } else { "" };
        let line = format!(
            r#"{{"id":"{}{dot}","url":"{url}","payload":{{"n":1}}{ttl},"timeout":{timeout}}}"#,
            self.jobs
        );
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let id = line.id.as_deref().expect("an id").into();
        let origin = Arc::new(line.url.to_origin());
        let mut job = line.into_job(id, Source::default(), origin, self.now());
        job.spooled = self.jobs.is_multiple_of(3).then_some(JobKey(self.jobs));
        self.input(Input::Job(job));
    }

    fn pass_time(&mut self) {
        let millis = [1, 50, 400, 900, 4_000, 30_000][self.rng.below(6) as usize];
        let target = self.mono + Duration::from_millis(self.rng.below(millis) + 1);
        for _ in 0..10_000 {
            let due = self.engine.poll_timeout().filter(|due| *due <= target);
            self.mono = due.unwrap_or(target).max(self.mono);
            let now = self.now();
            self.engine.handle_timeout(now);
            self.settle();
            if due.is_none() {
                return;
            }
        }
        panic!("a busy loop: something is due again and again");
    }

    /// Something happens on one of the sockets.
    fn happen(&mut self) {
        let open: Vec<(u64, Sock)> = self
            .socks
            .iter()
            .map(|(bits, sock)| (*bits, *sock))
            .collect();
        if open.is_empty() {
            return self.job();
        }
        let (bits, state) = open[self.rng.below(open.len() as u64) as usize];
        let sock = SockId::from_bits(bits);
        let chance = self.rng.below(100);
        match state {
            Sock::Connecting | Sock::Securing if chance < 30 => {
                self.socks.remove(&bits);
                let kind = [
                    CauseKind::Refused,
                    CauseKind::NoNetwork,
                    CauseKind::Unreachable,
                    CauseKind::Tls,
                    CauseKind::Local,
                ][chance as usize % 5];
                self.input(Input::ConnectFailed {
                    sock,
                    cause: cause(kind),
                });
            }
            Sock::Connecting => {
                self.socks.insert(bits, Sock::Up);
                self.input(Input::Connected { sock });
            }
            Sock::Securing => {
                self.socks.insert(bits, Sock::Up);
                self.input(Input::Secured {
                    sock,
                    resumed: chance.is_multiple_of(2),
                });
            }
            Sock::Query | Sock::QueryUp if chance < 15 => {
                self.socks.remove(&bits);
                let cause = cause(CauseKind::Refused);
                self.input(Input::Closed { sock, cause });
            }
            Sock::Query => {
                let message = self.answer(bits, chance);
                let message = &message;
                self.input(Input::Answer { sock, message });
            }
            Sock::QueryConnecting if chance < 30 => {
                self.socks.remove(&bits);
                let cause = cause(CauseKind::Refused);
                self.input(Input::ConnectFailed { sock, cause });
            }
            Sock::QueryConnecting => {
                self.socks.insert(bits, Sock::QueryUp);
                self.input(Input::Connected { sock });
            }
            Sock::QueryUp => self.on_query_stream(sock, chance),
            Sock::Up => self.on_connection(sock, chance),
        }
    }

    fn on_query_stream(&mut self, sock: SockId, chance: u64) {
        let shown = self.engine.transmit(sock).concat().len() as u64;
        if shown > 0 {
            let bytes = self.rng.below(shown) as usize + 1;
            return self.input(Input::Sent { sock, bytes });
        }
        let message = self.answer(sock.to_bits(), chance);
        let stream = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        let bytes = match chance {
            0..60 => &stream[..self.rng.below(stream.len() as u64) as usize],
            _ => &stream[..],
        };
        let end = chance.is_multiple_of(9);
        self.input(Input::Received {
            sock,
            bytes,
            end,
            more: false,
        });
    }

    /// Some answer to what was asked: none, a cut one, a failure, an absence or an address.
    fn answer(&mut self, bits: u64, chance: u64) -> Vec<u8> {
        if chance < 25 {
            return b"not an answer".to_vec();
        }
        let query = &self.questions[&bits];
        let name_bytes = query[12..].iter().position(|byte| *byte == 0).unwrap();
        let mut message = query[..12 + name_bytes + 5].to_vec();
        let is_v4 = message[12 + name_bytes + 2] == 1;
        message[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
        match chance {
            25..50 => message[2] |= 2,
            50..60 => message[3] |= [2, 3][chance as usize % 2],
            _ if is_v4 => {
                for n in 1..=self.rng.below(4) as u8 {
                    message[7] += 1;
                    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, n, 0, 4, 127, 0, 1, n]);
                }
            }
            _ => {}
        }
        message
    }

    fn on_connection(&mut self, sock: SockId, chance: u64) {
        match chance {
            0..45 => {
                let shown = self.engine.transmit(sock).concat().len() as u64;
                if shown > 0 {
                    let all = chance > 10;
                    let bytes = if all {
                        shown
                    } else {
                        self.rng.below(shown) + 1
                    };
                    self.input(Input::Sent {
                        sock,
                        bytes: bytes as usize,
                    });
                }
            }
            45..50 => self.input(Input::WriteFailed {
                sock,
                cause: cause(CauseKind::Reset),
            }),
            50..90 => {
                let response =
                    RESPONSES[self.rng.below(RESPONSES.len() as u64) as usize].as_bytes();
                let bytes = match chance {
                    50..60 => &response[..self.rng.below(response.len() as u64) as usize],
                    _ => response,
                };
                self.input(Input::Received {
                    sock,
                    bytes,
                    end: chance.is_multiple_of(9),
                    more: false,
                });
            }
            90..94 => self.input(Input::Received {
                sock,
                bytes: b"",
                end: true,
                more: false,
            }),
            _ => {
                self.socks.remove(&sock.to_bits());
                let kind =
                    [CauseKind::Reset, CauseKind::Tls, CauseKind::Other][chance as usize % 3];
                self.input(Input::Closed {
                    sock,
                    cause: cause(kind),
                });
            }
        }
    }
}

fn cause(kind: CauseKind) -> Cause {
    Cause {
        kind,
        message: "as the world wants".into(),
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        match world.rng.below(10) {
            0..3 => world.job(),
            3 => world.pass_time(),
            4 if world.rng.below(30) == 0 => {
                let policy = Arc::new(policy(&mut world.rng));
                world.input(Input::Policy(policy));
            }
            _ => world.happen(),
        }
        world.input(Input::Ask { from: 0 });
    }
    assert!(world.rows > 0, "nothing was told of any origin");
    // Every job has a time to live: without any further answer all of them end.
    if seed.is_multiple_of(3) {
        world.input(Input::Drain);
    }
    if seed.is_multiple_of(6) {
        world.input(Input::Abort);
    }
    let before_forgotten = world.mono;
    while world.mono.since(before_forgotten) < Duration::from_secs(10_000) {
        world.pass_time();
    }
    assert_eq!(world.engine.jobs(), 0, "jobs left");
    assert_eq!(world.done.len() as u64, world.jobs, "jobs that came back");
    assert!(
        world.done.values().all(|times| *times == 1),
        "a job came back twice"
    );
    assert_eq!(world.engine.connections(), 0, "connections left");
    assert_eq!(world.socks.len(), 0, "sockets left");
}

#[test]
fn whatever_happens_every_job_comes_back_once_and_nothing_is_left() {
    for seed in 0..SEEDS {
        // The test's own output says which seed it was, should it panic.
        println!("seed {seed}");
        play(seed);
    }
}

#[test]
fn a_quiet_engine_that_gets_a_job_has_not_stood_still() {
    let mut world = World::new(1);
    // Nothing was due in between: nobody had to come.
    assert_eq!(world.engine.poll_timeout(), None);
    world.mono = Instant::from_nanos(0) + Duration::from_secs(400);
    while world.socks.is_empty() {
        world.job();
    }
    let now = world.now();
    world.engine.handle_timeout(now);
    while let Some(output) = world.engine.poll_output() {
        let told =
            matches!(&output, Output::Note(note) if matches!(**note, Note::StoodStill { .. }));
        assert!(!told, "{output:?}");
    }
}

#[test]
fn excerpts_of_answers_to_jobs_that_wait_are_bounded() {
    const EXCERPT: usize = 1024 * 1024;
    let mut policy = Policy {
        allow_http: true,
        ..Policy::default()
    };
    policy
        .allow_net
        .push(AllowNet::parse("127.0.0.0/8").expect("a range"));
    let endpoint = Arc::make_mut(&mut policy.endpoint);
    endpoint.response_bytes = EXCERPT as u32;
    endpoint.max_drain_bytes = 2 * EXCERPT as u32;
    endpoint.breaker_failures = 100;
    let now = Now::default();
    let mut engine = Engine::new(now, Arc::new(policy), Arc::default(), [7; 32]);
    let fits = EXCERPT_BYTES_MAX / EXCERPT;
    for id in 0..fits + 2 {
        let line = format!(r#"{{"id":"{id}","url":"http://127.0.0.1:8080/","ttl":60}}"#);
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let (id, origin) = (id.to_string().into(), Arc::new(line.url.to_origin()));
        let job = line.into_job(id, Source::default(), origin, now);
        engine.handle_input(now, Input::Job(job));
        let mut sock = None;
        while let Some(output) = engine.poll_output() {
            if let Output::Connect { sock: opened, .. } = output {
                sock = Some(opened);
            }
        }
        let sock = sock.expect("nothing else is under way, and nothing is kept");
        engine.handle_input(now, Input::Connected { sock });
        let bytes = engine.transmit(sock).concat().len();
        engine.handle_input(now, Input::Sent { sock, bytes });
        let mut answer = b"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n".to_vec();
        answer.resize(answer.len() + EXCERPT, b'x');
        let (bytes, end) = (&answer[..], true);
        engine.handle_input(
            now,
            Input::Received {
                sock,
                bytes,
                end,
                more: false,
            },
        );
    }
    engine.check_invariants();
    // Nobody answers any more: what the jobs end with is what was kept.
    let later = Now {
        mono: now.mono + Duration::from_secs(61),
        ..now
    };
    let mut kept = Vec::new();
    for _ in 0..100 {
        engine.handle_timeout(later);
        while let Some(output) = engine.poll_output() {
            if let Output::Done { ending, .. } = output {
                let failure = ending.failure.expect("it has expired");
                kept.push(failure.excerpt_bytes());
            }
        }
    }
    let whole = kept.iter().filter(|bytes| **bytes == EXCERPT).count();
    assert_eq!((kept.len(), whole), (fits + 2, fits));
    assert_eq!(kept.iter().filter(|bytes| **bytes == 0).count(), 2);
    engine.check_invariants();
}

#[test]
fn f80_what_would_have_led_to_our_own_listener_is_blocked_and_no_failure_of_the_receiver() {
    let policy = Policy {
        allow_http: true,
        allow_net: vec![AllowNet::parse("127.0.0.1/32:5000").expect("a range")],
        ..Policy::default()
    };
    let now = Now::default();
    let mut engine = Engine::new(now, Arc::new(policy), Arc::default(), [7; 32]);
    let line = JobLine::parse(br#"{"url":"http://127.0.0.1:5000/"}"#).expect("a job");
    let origin = Arc::new(line.url.to_origin());
    let job = line.into_job("id".into(), Source::default(), origin, now);
    engine.handle_input(now, Input::Job(job));
    let outputs = |engine: &mut Engine| std::iter::from_fn(|| engine.poll_output()).collect();
    let asked: Vec<Output> = outputs(&mut engine);
    let connect = |output: &Output| match output {
        Output::Connect { sock, .. } => Some(*sock),
        _ => None,
    };
    let sock = asked.iter().find_map(connect).expect("a connection");
    let cause = cause(CauseKind::Own);
    engine.handle_input(now, Input::ConnectFailed { sock, cause });
    let told: Vec<Output> = outputs(&mut engine);
    let is_noted = told.iter().any(|output| {
        let Output::Note(note) = output else {
            return false;
        };
        matches!(&**note, Note::Refused { rule, .. } if &**rule == "as the world wants")
    });
    assert!(is_noted, "{told:?}");
    let ending = told.into_iter().find_map(|output| match output {
        Output::Done { ending, .. } => Some(ending),
        _ => None,
    });
    let ending = ending.expect("an end");
    assert_eq!(ending.outcome, Outcome::Blocked);
    let failure = ending.failure.expect("a reason");
    assert_eq!(&*failure.message, "the destination is not allowed");
    engine.check_invariants();
}

#[test]
fn origins_are_told_of_a_few_at_a_time_and_each_once() {
    let mut world = World::new(1);
    for number in 0..100 {
        let url = format!("http://127.0.1.{number}:8080/");
        let line = format!(r#"{{"id":"{number}","url":"{url}","priority":"low"}}"#);
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let origin = Arc::new(line.url.to_origin());
        let job = line.into_job("id".into(), Source::default(), origin, world.now());
        world.engine.handle_input(world.now(), Input::Job(job));
    }
    let mut names = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let now = world.now();
        world.engine.handle_input(now, Input::Ask { from });
        let rows =
            std::iter::from_fn(|| world.engine.poll_output()).find_map(|output| match output {
                Output::Rows(rows) => Some(rows),
                _ => None,
            });
        let rows = rows.expect("an answer");
        assert!(rows.rows.len() <= 32, "{} at a time", rows.rows.len());
        for row in &rows.rows {
            let dials = row.state.active;
            assert_eq!(
                (row.state.queued, row.state.pending),
                ([0, 0, 1], dials.max(1))
            );
        }
        names.extend(rows.rows.iter().map(|row| row.origin.text.clone()));
        next = rows.next;
    }
    let told = names.len();
    names.sort();
    names.dedup();
    assert_eq!((told, names.len()), (100, 100));
}

#[test]
fn a_connection_is_kept_alive_as_its_endpoint_has_it() {
    let own = Endpoint {
        keep_alive_delay: Duration::from_millis(7_900),
        keep_alive_timeout: Duration::from_secs(5),
        ..Endpoint::default()
    };
    let mut endpoints = Endpoints::default();
    let inserted = endpoints.insert("http://127.0.0.2:8080", Arc::new(own));
    inserted.expect("an origin");
    let policy = Policy {
        allow_http: true,
        allow_net: vec![AllowNet::parse("127.0.0.0/8").expect("a range")],
        endpoints: Arc::new(endpoints),
        ..Policy::default()
    };
    let now = Now::default();
    let mut engine = Engine::new(now, Arc::new(policy), Arc::default(), [7; 32]);
    let mut told = Vec::new();
    for url in ["http://127.0.0.1:8080/", "http://127.0.0.2:8080/"] {
        let line = format!(r#"{{"url":"{url}"}}"#);
        let line = JobLine::parse(line.as_bytes()).expect("a job");
        let origin = Arc::new(line.url.to_origin());
        let job = line.into_job("id".into(), Source::default(), origin, now);
        engine.handle_input(now, Input::Job(job));
        while let Some(output) = engine.poll_output() {
            if let Output::Connect { keep_alive, .. } = output {
                told.push((keep_alive.delay_seconds, keep_alive.timeout_seconds));
            }
        }
    }
    assert_eq!(told, [(30, 20), (7, 5)]);
}
