//! Clients of the Unix socket: their connections, read and written through loop 0.
//!
//! A client is read once for each chunk that intake asks for, and written to when intake has something for it; both
//! in turns, one system call each, so that each costs only itself. Events say what is possible (edge-triggered:
//! until a call would block), intake says what is wanted; where both agree the connection stands in a queue.
//!
//! A connection is removed by intake's `Close` alone: it comes when all is told, or the client has left. A client that
//! has only ended its stream may read on; one that has closed its connection takes no place while its jobs go on.
//!
//! Not here: whose connection it is and may be (`socket`), lines and answers (intake).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use conduit::base::time::{Instant, Now};
use conduit::intake::Intake;
use conduit::intake::event::{Access, ClientId, Input, Kind};
use conduit::wire::job::User;
use conduit::wire::report::{self, ErrorKind as ErrorKindOfLine};
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

use crate::io::accepting::{Accepting, Failed};
use crate::io::places::Places;
use crate::io::socket::{Socket, Users};
use crate::io::stdio::CHUNK_BYTES;
use crate::io::sys::Peer;
use crate::io::turn::Nudge;

/// Connections at the same time, fewer where there are not as many descriptors. Each may hold a line of `maxJobBytes`,
/// and as much again of unread results.
pub const CLIENTS_MAX: usize = 1024;

/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: u32 = 16;

/// Connections read from, and written to, in one turn.
const CALLS_PER_TURN: usize = 64;

/// The listener's token; a client's is this and its place beyond it. No engine's socket has one as low.
const LISTENER: usize = 1;

/// The socket and its clients.
#[derive(Debug)]
pub struct Clients {
    /// None once no more are wanted.
    socket: Option<Socket>,
    registry: Registry,
    /// By the index of the client's key.
    connections: Vec<Option<Connection>>,
    places: Places,
    /// Those that can be read and are wanted to be; those that can be written to and may have to be.
    readers: VecDeque<usize>,
    writers: VecDeque<usize>,
    accepting: Accepting,
    /// What is read goes here first: a client that says little takes little memory.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    client: ClientId,
    /// Whose it is, and what that user may do.
    uid: u32,
    access: Option<Access>,
    stream: UnixStream,
    is_readable: bool,
    is_writable: bool,
    /// Intake wants a chunk.
    is_asked: bool,
    /// There is something to write.
    has_results: bool,
    /// The client has closed it.
    has_left: bool,
    /// Nothing can be written any more, and intake knows.
    is_deaf: bool,
    /// What is being written, and how much of it has been.
    results: Vec<u8>,
    written: usize,
    in_readers: bool,
    in_writers: bool,
}

impl Clients {
    /// Takes connections at `socket` from now on, `most` at the same time.
    ///
    /// # Errors
    /// The system's.
    pub fn open(mut socket: Socket, registry: Registry, most: usize) -> io::Result<Clients> {
        socket.register(&registry, Token(LISTENER))?;
        Ok(Clients {
            socket: Some(socket),
            registry,
            connections: Vec::new(),
            places: Places::new(most),
            readers: VecDeque::new(),
            writers: VecDeque::new(),
            accepting: Accepting::new(),
            buffer: vec![0; CHUNK_BYTES],
        })
    }

    /// The user of this client, as long as it is connected.
    pub fn user(&self, client: ClientId) -> Option<u32> {
        let connection = self.connections.get(client.0.index())?.as_ref()?;
        (connection.client == client).then_some(connection.uid)
    }

    /// So many connections at the same time from now on; those that are there stay.
    pub const fn set_most(&mut self, most: usize) {
        self.places.set_most(most);
    }

    /// These users may do something from now on; who is connected is judged anew.
    ///
    /// # Errors
    /// The system's; then all is as before.
    pub fn set_users(&mut self, now: Now, users: Users, intake: &mut Intake) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        socket.set_users(users)?;
        for connection in self.connections.iter_mut().flatten() {
            let (client, access) = (connection.client, socket.access(connection.uid));
            if access != connection.access {
                connection.access = access;
                intake.handle_input(now, Input::Access { client, access });
            }
        }
        Ok(())
    }

    /// No more connections, and no more file; those that are there stay until they are closed.
    pub fn stop(&mut self) {
        self.socket = None;
        self.accepting.stop();
    }

    /// Something can be read or written, or somebody wants to connect.
    pub fn handle_nudge(&mut self, nudge: Nudge) {
        if nudge.token.0 == LISTENER {
            return self.accepting.handle_event();
        }
        let index = nudge.token.0 - LISTENER - 1;
        if let Some(Some(connection)) = self.connections.get_mut(index) {
            connection.is_readable |= nudge.is_readable;
            connection.is_writable |= nudge.is_writable;
            connection.has_left |= nudge.is_closed;
            self.queue(index);
        }
    }

    /// Intake wants the client's next chunk.
    pub fn ask(&mut self, client: ClientId) {
        if let Some(connection) = self.find(client) {
            connection.is_asked = true;
            self.queue(client.0.index());
        }
    }

    /// Intake has something for the client.
    pub fn handle_results(&mut self, client: ClientId) {
        if let Some(connection) = self.find(client) {
            connection.has_results = true;
            self.queue(client.0.index());
        }
    }

    /// The client has got everything, or has left.
    pub fn close(&mut self, client: ClientId) {
        if let Some(connection) = self.find(client) {
            let uid = connection.uid;
            self.connections[client.0.index()] = None;
            self.places.give_back(uid);
            // Its descriptor is the next one's, which may be waiting for one.
            if self.accepting.poll_timeout().is_some() {
                self.accepting.go_on();
            }
        }
    }

    /// Accepts some connections and reads some chunks.
    pub fn read(&mut self, now: Now, intake: &mut Intake) {
        self.accept(now, intake);
        for _ in 0..self.readers.len().min(CALLS_PER_TURN) {
            let Some(index) = self.readers.pop_front() else {
                return;
            };
            if let Some(Some(connection)) = self.connections.get_mut(index) {
                connection.in_readers = false;
                read(connection, &mut self.buffer, now, intake);
                self.queue(index);
            }
        }
    }

    /// Writes some of what intake has for clients.
    pub fn write(&mut self, now: Now, intake: &mut Intake) {
        for _ in 0..self.writers.len().min(CALLS_PER_TURN) {
            let Some(index) = self.writers.pop_front() else {
                return;
            };
            let Some(Some(connection)) = self.connections.get_mut(index) else {
                continue;
            };
            connection.in_writers = false;
            write(connection, now, intake);
            self.queue(index);
        }
    }

    /// Whether there is more to do at once.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.accepting.has_work() || !self.readers.is_empty() || !self.writers.is_empty()
    }

    /// When to go on accepting, if that is put off.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.accepting.poll_timeout()
    }

    fn user_of(&self, uid: u32) -> User {
        let own = self.socket.as_ref().map(Socket::own);
        own.map_or(User::Other(uid), |own| User::of(uid, own))
    }

    fn find(&mut self, client: ClientId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(client.0.index())?.as_mut()?;
        (connection.client == client).then_some(connection)
    }

    fn queue(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        if connection.is_asked && connection.is_readable && !connection.in_readers {
            connection.in_readers = true;
            self.readers.push_back(index);
        }
        let may_write = connection.has_results && connection.is_writable;
        let is_news = connection.has_left && !connection.is_deaf;
        if (may_write || is_news) && !connection.in_writers {
            connection.in_writers = true;
            self.writers.push_back(index);
        }
    }

    fn accept(&mut self, now: Now, intake: &mut Intake) {
        if !self.accepting.is_due(now.mono) {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(socket) = &self.socket else {
                return;
            };
            match socket.accept() {
                Ok((stream, Peer { uid, .. }, None)) => {
                    turn_away(stream, ErrorKindOfLine::Policy, &stranger(uid));
                }
                Ok((stream, peer, Some(access))) => {
                    match self.places.take(peer.uid, socket.own()) {
                        Ok(()) => self.welcome(now, stream, (peer, access), intake),
                        Err(full) => turn_away(stream, ErrorKindOfLine::Limit, &full.to_string()),
                    }
                }
                Err(error) => match self.accepting.handle_error(now.mono, "the socket", &error) {
                    Failed::Again => {}
                    Failed::Dry | Failed::Exhausted => return,
                },
            }
        }
    }

    fn welcome(
        &mut self,
        now: Now,
        mut stream: UnixStream,
        (Peer { uid, pid }, access): (Peer, Access),
        intake: &mut Intake,
    ) {
        let client = intake.open_for((self.user_of(uid), pid), Kind::Socket(access));
        let index = client.0.index();
        let token = Token(LISTENER + 1 + index);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut stream, token, interest) {
            log::warn!("a client of the socket can't be waited for: {error}");
            let end = Input::End {
                client,
                error: None,
            };
            self.places.give_back(uid);
            intake.handle_input(now, end);
            return intake.handle_input(now, Input::Gone { client });
        }
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        let connection = Connection {
            client,
            uid,
            access: Some(access),
            stream,
            // Tried at once: what has come already is no event.
            is_readable: true,
            is_writable: true,
            is_asked: false,
            has_results: false,
            has_left: false,
            is_deaf: false,
            results: Vec::new(),
            written: 0,
            in_readers: false,
            in_writers: false,
        };
        // Intake may have given it the place of one that is over, but is to be closed only later in this turn.
        if let Some(before) = self.connections[index].replace(connection) {
            self.places.give_back(before.uid);
        }
    }
}

fn read(connection: &mut Connection, buffer: &mut [u8], now: Now, intake: &mut Intake) {
    let client = connection.client;
    let end = |error: Option<Box<str>>| Input::End { client, error };
    match connection.stream.read(buffer) {
        Ok(0) => {
            connection.is_asked = false;
            intake.handle_input(now, end(None));
        }
        Ok(count) => {
            connection.is_asked = false;
            let bytes = buffer[..count].to_vec();
            intake.handle_input(now, Input::Chunk { client, bytes });
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => connection.is_readable = false,
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => {
            // It left without reading everything: what it has sent was read before this.
            connection.is_asked = false;
            connection.is_deaf = true;
            intake.handle_input(now, end(None));
            intake.handle_input(now, Input::Gone { client });
        }
    }
}

fn write(connection: &mut Connection, now: Now, intake: &mut Intake) {
    let client = connection.client;
    if connection.has_left && !connection.is_deaf {
        connection.is_deaf = true;
        connection.forget_results();
        return intake.handle_input(now, Input::Gone { client });
    }
    if connection.results.is_empty() {
        intake.take_results(client, &mut connection.results);
    }
    if connection.results.is_empty() || connection.is_deaf {
        connection.has_results = false;
        return;
    }
    match connection
        .stream
        .write(&connection.results[connection.written..])
    {
        Ok(bytes) => {
            connection.written += bytes;
            if connection.written == connection.results.len() {
                connection.forget_results();
            }
            intake.handle_input(now, Input::Written { client, bytes });
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => connection.is_writable = false,
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(_) => {
            connection.is_deaf = true;
            connection.forget_results();
            // If it is there after all, it must not wait for more.
            let _left_already = connection.stream.shutdown(Shutdown::Write);
            intake.handle_input(now, Input::Gone { client });
        }
    }
}

impl Connection {
    fn forget_results(&mut self) {
        self.written = 0;
        self.results.clear();
        self.results.shrink_to(CHUNK_BYTES);
    }
}

/// Says why, and closes. The line fits into a new connection's buffer; a peer that left already misses nothing.
fn turn_away(mut stream: UnixStream, kind: ErrorKindOfLine, message: &str) {
    log::debug!("a connection to the socket was turned away: {message}");
    let mut line = Vec::new();
    report::write_error(&mut line, kind, message);
    let _left_already = stream.write_all(&line);
}

fn stranger(uid: u32) -> String {
    format!("user {uid} may not use this socket (--allow-uid, --control-uid)")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixStream as Client;
    use std::time::Duration;

    use conduit::base::rng::Rng;
    use conduit::intake::Settings;
    use conduit::intake::event::Output;

    use super::*;
    use crate::io::clock;
    use crate::io::socket::Users;

    fn intake(now: Now) -> Intake {
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
        Intake::new(now, settings, Rng::from_seed([1; 32]), [2, 3])
    }

    #[test]
    fn the_place_of_a_client_that_is_to_be_closed_is_taken_and_counted_once() {
        let now = clock::now();
        let path = std::env::temp_dir().join(format!("conduit-places-{}", std::process::id()));
        let users = Users {
            submit: vec![],
            control: vec![],
        };
        let socket = Socket::bind(&path, users).unwrap();
        let poll = mio::Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut clients = Clients::open(socket, registry, 10).unwrap();
        let mut intake = intake(now);
        let perform = |clients: &mut Clients, intake: &mut Intake, most: usize| {
            for _ in 0..most {
                match intake.poll_output(now) {
                    None => return,
                    Some(Output::Read { client, .. }) => clients.ask(client),
                    Some(Output::Write { client }) => clients.handle_results(client),
                    Some(Output::Close { client }) => clients.close(client),
                    Some(Output::Deliver { .. } | Output::Ask { .. }) => {}
                    Some(other) => panic!("{other:?} without a spool"),
                }
            }
        };
        let accept = |clients: &mut Clients, intake: &mut Intake| {
            clients.handle_nudge(Nudge {
                token: Token(LISTENER),
                is_readable: true,
                is_writable: false,
                is_closed: false,
            });
            clients.read(now, intake);
        };
        let first = Client::connect(&path).unwrap();
        let mut second = Client::connect(&path).unwrap();
        accept(&mut clients, &mut intake);
        perform(&mut clients, &mut intake, 10);
        drop(first);
        second.write_all(b"{\"url\":\"https://a/\"}\n").unwrap();
        clients.read(now, &mut intake);
        // The turn ends with the job; that the first is to be closed comes with the next turn.
        perform(&mut clients, &mut intake, 1);
        let _third = Client::connect(&path).unwrap();
        accept(&mut clients, &mut intake);
        perform(&mut clients, &mut intake, 10);
        assert_eq!((intake.progress().clients, clients.places.taken()), (2, 2));
    }

    #[test]
    fn who_is_connected_is_judged_anew_when_other_users_may() {
        const USER: u32 = 12_345;
        let now = clock::now();
        let path = std::env::temp_dir().join(format!("conduit-users-{}", std::process::id()));
        let users = |submit: &[u32], control: &[u32]| Users {
            submit: submit.to_vec(),
            control: control.to_vec(),
        };
        let socket = Socket::bind(&path, users(&[], &[USER])).unwrap();
        let poll = mio::Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut clients = Clients::open(socket, registry, 10).unwrap();
        let mut intake = intake(now);
        let peer = Client::connect(&path).unwrap();
        let patience = Some(Duration::from_secs(10));
        peer.set_read_timeout(patience).unwrap();
        let other = Client::connect(&path).unwrap();
        clients.handle_nudge(Nudge {
            token: Token(LISTENER),
            is_readable: true,
            is_writable: false,
            is_closed: false,
        });
        clients.read(now, &mut intake);
        // The test's own user may do everything.
        let first = clients.connections.iter_mut().flatten().next().unwrap();
        let own = std::mem::replace(&mut first.uid, USER);
        clients.places.give_back(own);
        clients.places.take(USER, own).unwrap();
        let mut lines = BufReader::new(peer.try_clone().unwrap());
        let mut turn = |clients: &mut Clients, intake: &mut Intake, text: &str| {
            (&peer).write_all(text.as_bytes()).unwrap();
            for index in 0..clients.connections.len() {
                clients.handle_nudge(Nudge {
                    token: Token(LISTENER + 1 + index),
                    is_readable: true,
                    is_writable: false,
                    is_closed: false,
                });
            }
            for _ in 0..3 {
                while let Some(output) = intake.poll_output(now) {
                    match output {
                        Output::Read { client, .. } => clients.ask(client),
                        Output::Write { client } => clients.handle_results(client),
                        Output::Close { client } => clients.close(client),
                        other => panic!("{other:?} without a job"),
                    }
                }
                clients.read(now, intake);
                clients.write(now, intake);
            }
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            line
        };
        let reopen = "{\"ctl\":\"drain\",\"cancel\":true}\n";
        let done = turn(&mut clients, &mut intake, reopen);
        assert!(done.contains("\"ok\":true"), "{done}");
        let mut set = |users: Users, text: &str| {
            clients.set_users(now, users, &mut intake).unwrap();
            turn(&mut clients, &mut intake, text)
        };
        let refused = set(users(&[USER], &[]), reopen);
        assert!(refused.contains("not control conduit"), "{refused}");
        let done = set(users(&[], &[USER]), reopen);
        assert!(done.contains("\"ok\":true"), "{done}");
        assert_eq!(set(users(&[], &[USER + 1]), ""), "", "it is closed");
        assert_eq!((intake.progress().clients, clients.places.taken()), (1, 1));
        drop(other);
    }

    #[test]
    fn one_client_too_many_is_told_so() {
        const MOST: usize = 100;
        let now = clock::now();
        let path = std::env::temp_dir().join(format!("conduit-clients-{}", std::process::id()));
        let users = Users {
            submit: vec![],
            control: vec![],
        };
        let socket = Socket::bind(&path, users).unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut clients = Clients::open(socket, registry, MOST).unwrap();
        let mut intake = intake(now);
        let mut events = mio::Events::with_capacity(16);
        let mut peers = Vec::new();
        for _ in 0..=MOST {
            peers.push(Client::connect(&path).unwrap());
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            let is_new = events.iter().any(|event| event.token().0 == LISTENER);
            assert!(is_new);
            clients.handle_nudge(Nudge {
                token: Token(LISTENER),
                is_readable: true,
                is_writable: false,
                is_closed: false,
            });
            clients.read(now, &mut intake);
            assert!(!clients.has_work() || !clients.readers.is_empty());
        }
        assert_eq!(intake.progress().clients, MOST);
        let mut line = String::new();
        let last = peers.pop().unwrap();
        BufReader::new(last).read_line(&mut line).unwrap();
        assert!(line.starts_with("{\"error\":{\"kind\":\"limit\""), "{line}");
        clients.stop();
        assert!(!path.exists());
        assert!(Client::connect(&path).is_err());
    }
}
