//! `conduit sink`: a receiver for trials and tests, fast enough not to be what is measured.
//!
//! One thread, one loop: sockets registered once, edge-triggered, one read buffer for all of them. It takes
//! any request, counts it, and answers every one alike, after a delay if asked to. [`Sink`] is the same
//! receiver for use inside a process (`demo`).
//!
//! Not here: the options (`flags`), bytes -> requests (`request`, `chunked`), the answers (`response`), what
//! one connection does (`connection`), plain or TLS (`stream`).

mod chunked;
mod connection;
mod request;
mod response;
mod stream;
mod tally;
mod tls;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conduit::base::rng::Rng;
use conduit::base::slab::{Key, Slab};
use conduit::base::time::Instant;
use conduit::base::wheel::Wheel;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;

use crate::commands::sink::connection::{Connection, Fate, Shared, Timer};
use crate::commands::sink::response::Answers;
use crate::commands::sink::stream::Stream;
use crate::commands::sink::tally::Log;
use crate::commands::{complain, exit};
use crate::flags::SinkOptions;
use crate::io::log::quoted;
use crate::io::signal::Signals;
use crate::io::{clock, entropy, stdio, sys};

pub(crate) use crate::commands::sink::tally::{Grouped, Tally};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 1024;
/// When a listener that could not take a connection (no descriptors left, say) is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Tokens: listeners count from 0, connections are slab keys (from 2³² up, never `u64::MAX`).
const WAKE: Token = Token(usize::MAX);
const SIGNAL: Token = Token(u32::MAX as usize);

/// A receiver that listens, and runs when [`Sink::run`] is called.
#[derive(Debug)]
pub(crate) struct Sink {
    poll: Poll,
    listeners: Vec<TcpListener>,
    addrs: Vec<SocketAddr>,
    tls: Option<Arc<ServerConfig>>,
    connections: Slab<Connection>,
    shared: Shared,
    scratch: Box<[u8]>,
    /// Connections whose share of the last turn was too small.
    again: Vec<Key>,
    stop: Stopper,
    signals: Option<Signals>,
}

/// Ends a [`Sink::run`], from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    asked: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

/// Runs a receiver until SIGINT or SIGTERM: its addresses on stdout first, a summary at the end.
/// Exit status 0; 2 if the options make no sense; 3 if it could not start or go on.
pub(crate) fn execute(options: SinkOptions) -> ExitCode {
    match serve(&options) {
        Ok(()) => exit::DONE,
        Err(error) => {
            complain(&error.to_string());
            match error.kind() {
                io::ErrorKind::InvalidInput => exit::usage(),
                _ => exit::unable(),
            }
        }
    }
}

fn serve(options: &SinkOptions) -> io::Result<()> {
    let signals = Signals::block(false)?;
    sys::raise_open_file_limit()?;
    let mut sink = Sink::bind(options)?;
    sink.end_on(signals)?;
    let scheme = if options.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let mut stdout = stdio::output()?;
    for addr in sink.addrs() {
        writeln!(stdout, "listening on {scheme}://{addr}")?;
    }
    stdout.flush()?;
    let tally = sink.run()?;
    write!(stdout, "{tally}")?;
    stdout.flush()
}

impl Stopper {
    /// Asks the sink to end; it does so at once, without waiting for answers that are due.
    ///
    /// # Errors
    /// The system's, if the loop can't be woken.
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.asked.store(true, Ordering::Release);
        self.waker.wake()
    }
}

impl Sink {
    /// Listens on all addresses, or on none.
    ///
    /// # Errors
    /// `InvalidInput` if the options make no sense; otherwise the system's, with the address or file.
    pub(crate) fn bind(options: &SinkOptions) -> io::Result<Sink> {
        check(options)?;
        let tls = match &options.tls {
            Some((certificates, key)) => Some(tls::server_config(certificates, key)?),
            None => None,
        };
        let log = match &options.log {
            Some(path) => Some(Log::create(path).map_err(|error| {
                at(
                    format_args!("--log: {}", quoted(&path.to_string_lossy())),
                    &error,
                )
            })?),
            None => None,
        };
        let poll = Poll::new()?;
        let (mut listeners, mut addrs) = (Vec::new(), Vec::new());
        for (index, addr) in options.listen.iter().enumerate() {
            let mut listener = TcpListener::bind(*addr)
                .map_err(|error| at(format_args!("--listen: {addr}"), &error))?;
            poll.registry()
                .register(&mut listener, Token(index), Interest::READABLE)?;
            addrs.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Sink {
            poll,
            listeners,
            addrs,
            tls,
            connections: Slab::new(),
            shared: Shared {
                status: options.status,
                answers: Answers::new(options.status),
                delay: options.delay,
                rng: Rng::from_seed(entropy::seed()?),
                wheel: Wheel::new(clock::now().mono),
                tally: Tally::default(),
                log,
                out: Vec::new(),
            },
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            again: Vec::new(),
            stop: Stopper {
                asked: Arc::new(AtomicBool::new(false)),
                waker,
            },
            signals: None,
        })
    }

    /// Where it listens: the addresses asked for, in that order, with the ports that the system chose.
    pub(crate) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// What ends a run.
    pub(crate) fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// Has a run end when one of these signals arrives.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn end_on(&mut self, signals: Signals) -> io::Result<()> {
        signals.register(self.poll.registry(), SIGNAL)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Serves until it is stopped, and says what it has seen.
    ///
    /// # Errors
    /// The system's, if it can't wait for events or write its log.
    pub(crate) fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut now = clock::now().mono;
        while !self.stop.asked.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, self.patience(now)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                done => done?,
            }
            now = clock::now().mono;
            self.turn(now, &events)?;
        }
        Ok(self.shared.tally)
    }

    /// How long to wait for events: not at all while work is left.
    fn patience(&self, now: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.shared.wheel.next_deadline()?;
        Some(deadline.since(now))
    }

    fn turn(&mut self, now: Instant, events: &Events) -> io::Result<()> {
        let again = std::mem::take(&mut self.again);
        while let Some(timer) = self.shared.wheel.expire(now) {
            match timer {
                Timer::Connection(key) => self.on_timeout(now, key)?,
                Timer::Listener(index) => self.accept(now, index)?,
            }
        }
        for event in events {
            match event.token() {
                WAKE => {}
                SIGNAL => self.on_signal()?,
                Token(index) if index < self.listeners.len() => self.accept(now, index)?,
                Token(bits) => self.on_event(now, Key::from_bits(bits as u64), event)?,
            }
        }
        for key in again {
            self.advance(now, key)?;
        }
        match &mut self.shared.log {
            Some(log) => log.flush(),
            None => Ok(()),
        }
    }

    fn on_signal(&mut self) -> io::Result<()> {
        if let Some(signals) = &mut self.signals {
            while signals.next()?.is_some() {
                self.stop.asked.store(true, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Takes all connections that wait at a listener.
    fn accept(&mut self, now: Instant, index: usize) -> io::Result<()> {
        loop {
            match self.listeners[index].accept() {
                Ok((tcp, _)) => self.open(tcp)?,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        log::warn!("cannot accept on {}: {error}", self.addrs[index]);
                        let retry = now + ACCEPT_PAUSE;
                        self.shared.wheel.arm(retry, Timer::Listener(index));
                        return Ok(());
                    }
                },
            }
        }
    }

    fn open(&mut self, tcp: TcpStream) -> io::Result<()> {
        self.shared.tally.connections += 1;
        // Fails only if the peer has gone already, which the first read finds out.
        let _ = tcp.set_nodelay(true);
        let stream = match &self.tls {
            Some(config) => Stream::tls(tcp, Arc::clone(config)).map_err(io::Error::other)?,
            None => Stream::plain(tcp),
        };
        let detailed = self.shared.log.is_some();
        let key = self.connections.insert(Connection::new(stream, detailed));
        let token = usize::try_from(key.to_bits()).map_err(io::Error::other)?;
        self.poll.registry().register(
            self.connections[key].stream_mut().tcp_mut(),
            Token(token),
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    fn on_event(&mut self, now: Instant, key: Key, event: &Event) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        if event.is_readable() || event.is_read_closed() {
            connection.stream_mut().on_readable(event.is_read_closed());
        }
        if event.is_error() {
            let fate = connection.give_up(&mut self.shared);
            self.settle(key, fate);
            return Ok(());
        }
        self.advance(now, key)
    }

    fn on_timeout(&mut self, now: Instant, key: Key) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        let fate = connection.handle_timeout(now, key, &mut self.scratch, &mut self.shared)?;
        self.settle(key, fate);
        Ok(())
    }

    fn advance(&mut self, now: Instant, key: Key) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        let fate = connection.advance(now, key, &mut self.scratch, &mut self.shared)?;
        self.settle(key, fate);
        Ok(())
    }

    fn settle(&mut self, key: Key, fate: Fate) {
        match fate {
            Fate::Waits => {}
            Fate::Again => self.again.push(key),
            // Dropping the socket takes it out of the kernel's set too.
            Fate::Gone => {
                self.connections.remove(key);
            }
        }
    }
}

fn check(options: &SinkOptions) -> io::Result<()> {
    let problem = if options.listen.is_empty() {
        "no address to listen on"
    } else if !(200..=999).contains(&options.status) {
        "the status must be 200 to 999"
    } else if options.delay.0 > options.delay.1 {
        "the shortest delay is longer than the longest"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// The error, with the place where it happened in front.
fn at(place: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::Ipv4Addr;
    use std::thread;

    use super::*;

    const HALF: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    const WHOLE: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn options() -> SinkOptions {
        SinkOptions {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            status: 200,
            delay: (Duration::ZERO, Duration::ZERO),
            tls: None,
            log: None,
        }
    }

    /// Runs a sink beside `client`, which gets a connection to it, and gives its tally.
    fn beside(options: &SinkOptions, client: impl FnOnce(std::net::TcpStream)) -> Tally {
        let sink = Sink::bind(options).unwrap();
        let (addr, stopper) = (sink.addrs()[0], sink.stopper());
        let served = thread::spawn(move || sink.run().unwrap());
        #[expect(clippy::disallowed_methods, reason = "an address, not a name")]
        client(std::net::TcpStream::connect(addr).unwrap());
        stopper.stop().unwrap();
        served.join().unwrap()
    }

    fn expect(socket: &mut std::net::TcpStream, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        socket.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
    }

    fn expect_end(socket: &mut std::net::TcpStream) {
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn requests_cut_and_pipelined_are_answered_in_order() {
        let tally = beside(&options(), |mut socket| {
            socket.write_all(HALF).unwrap();
            socket.write_all(b"x").unwrap();
            expect(&mut socket, OK);
            socket.write_all(&[WHOLE, WHOLE, HALF].concat()).unwrap();
            expect(&mut socket, &[OK, OK].concat());
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            expect_end(&mut socket);
        });
        assert_eq!(tally.requests(), 3);
        assert_eq!(tally.connections, 1);
        assert_eq!(tally.body_bytes, 3);
        assert_eq!(tally.cut_short, 1);
    }

    #[test]
    fn delayed_answers_keep_their_order() {
        let options = SinkOptions {
            delay: (Duration::from_millis(1), Duration::from_millis(5)),
            ..options()
        };
        let tally = beside(&options, |mut socket| {
            socket.write_all(&[WHOLE, WHOLE, WHOLE].concat()).unwrap();
            expect(&mut socket, &[OK, OK, OK].concat());
        });
        assert_eq!(tally.requests(), 3);
    }

    #[test]
    fn a_refusal_is_read_before_the_end() {
        let tally = beside(&options(), |mut socket| {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n";
            socket.write_all(head).unwrap();
            socket.write_all(&[b'x'; 100_000]).unwrap();
            expect(
                &mut socket,
                &response::render(413, request::Persistence::Close),
            );
            expect_end(&mut socket);
        });
        assert_eq!(tally.answers.into_iter().collect::<Vec<_>>(), [(413, 1)]);
    }

    #[test]
    fn answers_wait_for_a_peer_that_does_not_read() {
        const REQUESTS: usize = 200_000;
        let tally = beside(&options(), |mut socket| {
            let mut writer = socket.try_clone().unwrap();
            let block = WHOLE.repeat(1_000);
            let written = thread::spawn(move || {
                for _ in 0..REQUESTS / 1_000 {
                    writer.write_all(&block).unwrap();
                }
            });
            let answers = OK.repeat(1_000);
            for _ in 0..REQUESTS / 1_000 {
                expect(&mut socket, &answers);
            }
            written.join().unwrap();
        });
        assert_eq!(tally.requests(), REQUESTS as u64);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let cases = [
            SinkOptions {
                listen: Vec::new(),
                ..options()
            },
            SinkOptions {
                status: 199,
                ..options()
            },
            SinkOptions {
                delay: (Duration::from_secs(2), Duration::from_secs(1)),
                ..options()
            },
            SinkOptions {
                tls: Some(("/nonexistent".into(), "/nonexistent".into())),
                ..options()
            },
        ];
        for case in cases {
            let error = Sink::bind(&case).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{case:?}");
        }
    }

    #[test]
    fn what_it_cannot_have_is_told_by_its_flag() {
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = taken.local_addr().unwrap();
        let missing = "/nonexistent/a";
        for (case, expected) in [
            (
                SinkOptions {
                    listen: vec![taken],
                    ..options()
                },
                format!("--listen: {taken}: "),
            ),
            (
                SinkOptions {
                    log: Some(missing.into()),
                    ..options()
                },
                format!("--log: \"{missing}\": "),
            ),
            (
                SinkOptions {
                    tls: Some((missing.into(), missing.into())),
                    ..options()
                },
                format!("--tls: \"{missing}\": "),
            ),
        ] {
            let error = Sink::bind(&case).unwrap_err().to_string();
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
