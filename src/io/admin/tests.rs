//! The listener with clients of its own process, turn by turn.
//!
//! Not here: what it tells of a run (`tests/e2e/admin`).

use std::net::TcpStream as Client;

use conduit::base::rng::Rng;
use conduit::intake::Settings;
use mio::{Events, Poll};

use super::*;
use crate::io::clock;

/// The listener, and what it asks.
struct World {
    poll: Poll,
    admin: Admin,
    intake: Intake,
    address: SocketAddr,
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
            max_client_pending: 10,
            serves: true,
            spools: false,
            engines: 1,
            timings: false,
        };
        World {
            admin: Admin::open(listener, registry, now).unwrap(),
            intake: Intake::new(now, settings, Rng::from_seed([1; 32]), [2, 3]),
            poll,
            address,
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
        self.admin.work(clock::now(), &mut self.intake, None);
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
        world
            .admin
            .publish(clock::now(), "text/plain", page, &readers);
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
fn small_pages_are_kept_for_all_who_read_them() {
    let mut world = World::new();
    let _clients: Vec<Client> = (0..PEERS_MAX)
        .map(|_| {
            let client = world.ask(METRICS);
            let readers = std::mem::take(&mut world.admin.waiting);
            let page = vec![0; UNREAD_BYTES_MAX / PEERS_MAX];
            world
                .admin
                .publish(clock::now(), "text/plain", page, &readers);
            client
        })
        .collect();
    assert_eq!(world.admin.peers.iter().flatten().count(), PEERS_MAX);
}
