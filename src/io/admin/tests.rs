//! The listener with clients of its own process, turn by turn.
//!
//! Not here: what it tells of a run (`tests/e2e/admin`).

use std::io::{Read as _, Write as _};
use std::net::TcpStream as Client;
use std::sync::Arc;

use conduit::base::rng::Rng;
use conduit::intake::Settings;
use conduit::intake::event::{EngineId, Input, Output};
use conduit::wire::endpoint_row::{BreakerState, EndpointRow, EndpointState, Rows, Totals};
use conduit::wire::tally::Tally;
use conduit::wire::url::Url;
use mio::{Events, Poll};

use super::peer::STALL_MAX;
use super::*;
use crate::io::clock;

/// The listener, and what it asks.
struct World {
    poll: Poll,
    admin: Admin,
    intake: Intake,
    address: SocketAddr,
    now: Now,
}

impl World {
    fn new() -> World {
        let now = clock::now();
        let poll = Poll::new().unwrap();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let settings = Settings {
            max_job_bytes: 1000,
            max_pending: 10,
            max_pending_bytes: 10_000,
            max_queued: 10,
            max_connections: 1,
            ttl: Duration::from_secs(3600),
            max_client_pending: 10,
            serves: true,
            spools: false,
            uid: 0,
            engines: 1,
            timings: false,
        };
        World {
            admin: Admin::open(listener, registry, now).unwrap(),
            intake: Intake::new(now, settings, Rng::from_seed([1; 32]), [2, 3]),
            poll,
            address,
            now,
        }
    }

    /// One turn, in which nobody else does anything.
    fn turn(&mut self) {
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        for event in &events {
            self.admin.handle_nudge(Nudge {
                token: event.token(),
                is_readable: event.is_readable(),
                is_writable: event.is_writable(),
                is_closed: false,
            });
        }
        self.admin.work(self.now, &mut self.intake, None);
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
    }

    /// Whether the only engine is asked for its rows.
    fn is_asked(&mut self) -> bool {
        let mut is_asked = false;
        while let Some(output) = self.intake.poll_output(self.now) {
            is_asked |= matches!(output, Output::Ask { .. });
        }
        is_asked
    }

    /// It tells of an origin at which so many connections were opened.
    fn tell(&mut self, opened: u64) {
        let url = Url::parse("https://a/").unwrap();
        let row = EndpointRow {
            origin: Arc::new(url.to_origin()),
            state: STATE,
            tally: Tally {
                opened,
                ..Tally::default()
            },
        };
        let rows = Box::new(Rows {
            rows: vec![row],
            next: None,
            totals: Totals::default(),
        });
        let engine = EngineId(0);
        self.intake
            .handle_input(self.now, Input::Rows { engine, rows });
    }

    /// What a client reads that has asked over HTTP/1.0, to its end.
    fn read(&mut self, mut client: Client) -> String {
        let reader = std::thread::spawn(move || {
            let mut answer = String::new();
            client.read_to_string(&mut answer).map(|_| answer)
        });
        while !reader.is_finished() {
            self.turn();
        }
        reader.join().unwrap().unwrap()
    }

    /// A client whose request waits for a survey.
    fn ask(&mut self, request: &str) -> Client {
        let mut client = Client::connect_timeout(&self.address, STALL_MAX).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let before = self.admin.waiting.len();
        while self.admin.waiting.len() == before {
            self.turn();
        }
        client
    }

    fn unread_bytes(&self) -> usize {
        let unread = self.admin.unread.iter();
        unread
            .filter_map(Weak::upgrade)
            .map(|page| page.len())
            .sum()
    }
}

const STATE: EndpointState = EndpointState {
    active: 0,
    idle: 1,
    max: 50,
    timeout: Duration::from_secs(10),
    concurrency: 50,
    score: 100,
    p50: None,
    p99: None,
    attempts: 0,
    queued: [0; 3],
    pending: 0,
    breaker: BreakerState::Closed,
};

const LIVE: &str = "GET /health/live HTTP/1.0\r\n\r\n";
const READY: &str = "GET /health/ready HTTP/1.0\r\n\r\n";
const OPEN_METRICS: &str = "GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n";
const METRICS: &str = "GET /metrics HTTP/1.0\r\n\r\n";

/// So much of a page goes into the buffers of a connection on loopback that nobody reads: less than this.
const BUFFERED_MAX: usize = 12 * 1024 * 1024;

#[test]
fn f106_pages_that_are_read_slowly_are_bounded_together_and_the_oldest_go() {
    const PAGE: usize = 2 * BUFFERED_MAX;
    let mut world = World::new();
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(world.ask(METRICS));
        let readers = std::mem::take(&mut world.admin.waiting);
        // Memory that nobody writes to costs nothing here.
        let page = vec![0; PAGE];
        world.admin.publish(world.now, "text/plain", page, &readers);
        while world.admin.has_work() {
            world.turn();
        }
        let most = UNREAD_BYTES_MAX + PAGE;
        assert!(world.unread_bytes() <= most, "{}", world.unread_bytes());
    }
    let left = world.admin.peers.iter().flatten().count();
    assert_eq!(left, UNREAD_BYTES_MAX / PAGE + 1);
    let mut page = Vec::new();
    let read = clients[0].read_to_end(&mut page);
    assert!(read.is_err() || page.len() < PAGE, "the first is cut off");
    let mut last = clients.pop().unwrap();
    let reader = std::thread::spawn(move || last.read_to_end(&mut Vec::new()));
    while !reader.is_finished() {
        world.turn();
    }
    assert!(reader.join().unwrap().unwrap() > PAGE, "the last has all");
}

#[test]
fn f106_one_turn_sends_a_bounded_piece_to_all_clients_together() {
    const CLIENTS: usize = 20;
    const PAGE: usize = 128 * 1024;
    // Beside the small rests of answers.
    const A_TURN: usize = 64 * 1024 + CALLS_PER_TURN * SMALL_BYTES;
    let mut world = World::new();
    let clients: Vec<Client> = (0..CLIENTS).map(|_| world.ask(METRICS)).collect();
    let readers = std::mem::take(&mut world.admin.waiting);
    let page = vec![0; PAGE];
    world.admin.publish(world.now, "text/plain", page, &readers);
    let sent = |world: &World| {
        let peers = world.admin.peers.iter().flatten();
        let written = peers.map(|peer| match &peer.stage {
            Stage::Writing { written, .. } => PAGE.min(*written),
            _ => PAGE,
        });
        written.sum::<usize>()
    };
    while sent(&world) < CLIENTS * PAGE {
        let before = sent(&world);
        world.turn();
        let bytes = sent(&world) - before;
        assert!(bytes <= A_TURN, "{bytes} bytes");
    }
    drop(clients);
}

#[test]
fn small_pages_are_kept_for_all_who_read_them() {
    let mut world = World::new();
    let _clients: Vec<Client> = (0..PEERS_MAX)
        .map(|_| {
            let client = world.ask(METRICS);
            let readers = std::mem::take(&mut world.admin.waiting);
            let page = vec![0; UNREAD_BYTES_MAX / PEERS_MAX];
            world.admin.publish(world.now, "text/plain", page, &readers);
            client
        })
        .collect();
    assert_eq!(world.admin.peers.iter().flatten().count(), PEERS_MAX);
}

#[test]
fn pages_in_two_formats_are_of_the_same_moment_and_so_is_all_of_each() {
    let mut world = World::new();
    let first = world.ask(READY);
    // Both come while the first survey is under way, so they wait for the second.
    let text = world.ask(METRICS);
    let open = world.ask(OPEN_METRICS);
    assert!(world.is_asked());
    world.tell(1);
    world.turn();
    world.pass(Duration::from_secs(1));
    assert!(world.is_asked(), "the second begins");
    let last = world.ask(METRICS);
    world.pass(Duration::from_secs(1));
    world.tell(2);
    while !world.is_asked() {
        world.turn();
    }
    let waiting = world.admin.waiting.len();
    assert_eq!(waiting, 1, "the third begins when both pages are written");
    world.tell(3);
    let opened = "conduit_http_pool_connections_opened_total{endpoint=\"https://a\"} ";
    for (client, count) in [(text, 2), (open, 2), (last, 3)] {
        let page = world.read(client);
        assert!(page.contains(&format!("{opened}{count}\n")), "{page}");
    }
    assert!(world.read(first).starts_with("HTTP/1.1 200 "));
}

#[test]
fn who_waits_for_another_format_is_served_though_all_others_have_gone() {
    let mut world = World::new();
    let _first = world.ask(READY);
    let _text = world.ask(METRICS);
    let open = world.ask(OPEN_METRICS);
    assert!(world.is_asked());
    world.tell(1);
    world.turn();
    world.pass(Duration::from_secs(1));
    assert!(world.is_asked());
    world.tell(1);
    while world.admin.waiting.len() > 1 || world.admin.rendering.is_some() {
        world.turn();
    }
    for slot in &mut world.admin.peers {
        slot.take_if(|peer| !matches!(peer.stage, Stage::Waiting));
    }
    world.admin.queue.clear();
    assert!(!world.admin.accepting.has_work());
    assert!(world.admin.has_work(), "nothing else would wake the loop");
    assert!(world.read(open).ends_with("\n# EOF\n"));
}

#[test]
fn f106_a_page_waits_until_those_before_it_are_paid_and_nobody_else_does() {
    let mut world = World::new();
    let rest = Duration::from_secs(3);
    world.admin.paid_until = world.now.mono + PAGE_LEAD + rest;
    let client = world.ask(METRICS);
    world.turn();
    assert!(!world.is_asked(), "what it shows is no older than need be");
    assert!(!world.admin.has_work());
    assert_eq!(world.admin.poll_timeout(), world.now.mono + rest);
    let ready = world.ask(READY);
    assert!(world.is_asked());
    world.tell(1);
    assert!(world.read(ready).starts_with("HTTP/1.1 200 "));
    world.pass(rest);
    let before = world.admin.paid_until;
    while !world.is_asked() {
        world.turn();
    }
    world.tell(2);
    let page = world.read(client);
    let (_, page) = page.split_once("\r\n\r\n").unwrap();
    let paid = world.admin.paid_until.since(before).as_secs_f64();
    let bytes = (paid * PAGE_BYTES_PER_SECOND).round();
    assert_eq!(bytes as usize, page.len());
}

#[test]
fn f106_whoever_asks_before_a_page_is_written_waits_until_it_is_paid() {
    let mut world = World::new();
    let first = world.ask(METRICS);
    assert!(world.is_asked());
    let others = [world.ask(METRICS), world.ask(OPEN_METRICS)];
    // The next byte of a page is one too many.
    world.admin.paid_until = world.now.mono + PAGE_LEAD;
    world.tell(1);
    assert!(world.read(first).starts_with("HTTP/1.1 200 "));
    let waiting = &world.admin.waiting;
    assert!(waiting.len() == 2 && waiting.iter().all(|asked| asked.ticket.is_none()));
    world.pass(world.admin.paid_until.since(world.now.mono));
    world.turn();
    let waiting = &world.admin.waiting;
    assert!(waiting.iter().all(|asked| asked.ticket.is_some()));
    world.pass(Duration::from_secs(1));
    world.turn();
    assert!(world.is_asked());
    world.tell(2);
    for client in others {
        assert!(world.read(client).starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn who_has_little_to_read_is_answered_before_those_who_have_much() {
    const MANY: usize = CALLS_PER_TURN;
    let mut world = World::new();
    let clients: Vec<Client> = (0..MANY).map(|_| world.ask(METRICS)).collect();
    let readers = std::mem::take(&mut world.admin.waiting);
    let page = vec![0; 2 * SENT_BYTES_PER_TURN];
    world.admin.publish(world.now, "text/plain", page, &readers);
    let mut client = Client::connect_timeout(&world.address, STALL_MAX).unwrap();
    client.write_all(LIVE.as_bytes()).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut turns = 0;
    while client.peek(&mut [0]).is_err() {
        world.turn();
        turns += 1;
    }
    assert!(turns < MANY, "{turns} turns");
    drop(clients);
}
