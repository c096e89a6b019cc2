//! One TCP connection of an engine: bytes between its socket and the engine, in plaintext or under TLS.
//!
//!   Connecting --writable--> Plain --secure--> Secure (handshake, then data)
//!
//! It is registered once, edge-triggered, for reading and writing. So it writes until the socket takes no
//! more, and reads until a read comes back short: then it is drained, unless the event said that the peer has
//! closed or that there is an error, which must be read to the end to be seen. It never shuts down its own
//! side for writing: proxies abort then.
//!
//! Not here: when to connect, write or close (the engine), which socket an event belongs to (`net`).

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use conduit::engine::event::{Cause, CauseKind};
use conduit::engine::policy::{KeepAlive, TlsProfile};
use conduit::wire::url::Host;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::io::sys;
use crate::io::tls::{Client, Session};

/// Bytes read at once. One buffer a loop: a connection has none of its own.
const READ_BYTES: usize = 64 * 1024;

/// Probes that go unanswered before a silent connection is given up.
const KEEP_ALIVE_PROBES: u32 = 4;

/// What all connections of a loop read into.
#[derive(Debug)]
pub struct Buffers {
    raw: Box<[u8]>,
    plain: Vec<u8>,
}

/// One TCP connection.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    state: State,
    /// The socket took less than it was given: an event will say when it takes more.
    is_blocked: bool,
    /// Writing has failed; reading goes on.
    is_broken: bool,
    /// It has failed behind bytes that went out, which are told of first.
    failed: Option<io::Error>,
    /// The peer's last byte has been read.
    has_ended: bool,
}

#[derive(Debug)]
enum State {
    Connecting {
        addr: SocketAddr,
        keep_alive: KeepAlive,
    },
    Plain,
    Secure(Box<Session>),
}

/// What a write came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes taken.
    pub taken: usize,
    /// Not all were, though the socket may take more at once: write again.
    pub more: bool,
}

/// What a read came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Got<'a> {
    /// Plaintext.
    pub bytes: &'a [u8],
    /// The bytes are the peer's last.
    pub end: bool,
    /// After these bytes the connection broke.
    pub broken: Option<Cause>,
    /// There may be more: read again.
    pub more: bool,
    /// A part of a TLS record has come: what it says shows when the rest does.
    pub is_partial: bool,
    /// The TLS handshake is done, and whether it resumed a session.
    pub secured: Option<bool>,
    /// TLS has something to say: write, even if the engine has nothing.
    pub flush: bool,
}

impl Buffers {
    /// Buffers for one loop.
    #[must_use]
    pub fn new() -> Buffers {
        Buffers {
            raw: vec![0; READ_BYTES].into_boxed_slice(),
            plain: Vec::new(),
        }
    }

    /// The bytes to read a datagram into.
    pub fn raw(&mut self) -> &mut [u8] {
        &mut self.raw
    }
}

impl Stream {
    /// Begins to connect to exactly this address.
    ///
    /// # Errors
    /// Why it can't even begin.
    pub fn connect(
        addr: SocketAddr,
        keep_alive: KeepAlive,
        registry: &Registry,
        token: Token,
    ) -> Result<Stream, Cause> {
        let failed = |error: io::Error| connect_cause(addr, &error);
        let mut socket = TcpStream::connect(addr).map_err(failed)?;
        registry
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(failed)?;
        Ok(Stream {
            socket,
            state: State::Connecting { addr, keep_alive },
            is_blocked: false,
            is_broken: false,
            failed: None,
            has_ended: false,
        })
    }

    /// Whether the connection is up, now that an event came; `false` if the event meant nothing.
    ///
    /// # Errors
    /// Why it did not come up, or that it came up to somebody else.
    pub fn finish_connect(&mut self) -> Result<bool, Cause> {
        let State::Connecting { addr, keep_alive } = self.state else {
            return Ok(true);
        };
        let failed = |error: io::Error| connect_cause(addr, &error);
        if let Some(error) = self.socket.take_error().map_err(failed)? {
            return Err(failed(error));
        }
        match self.socket.peer_addr() {
            Ok(peer) => check_peer(addr, peer)?,
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        // A port of this machine that nobody listens on can be the one that the kernel just gave us.
        if addr.ip().is_loopback() && self.socket.local_addr().map_err(failed)? == addr {
            return Err(connect_cause(
                addr,
                &io::Error::from(ErrorKind::ConnectionRefused),
            ));
        }
        self.socket.set_nodelay(true).map_err(failed)?;
        sys::set_keep_alive(
            self.socket.as_fd(),
            Duration::from_secs(keep_alive.delay_seconds.into()),
            Duration::from_secs(keep_alive.timeout_seconds.into()) / KEEP_ALIVE_PROBES,
            KEEP_ALIVE_PROBES,
        )
        .map_err(failed)?;
        self.state = State::Plain;
        Ok(true)
    }

    /// Begins TLS with `host`, with the client certificate of this profile: the next write sends the first bytes of the
    /// handshake.
    ///
    /// # Errors
    /// A host that can't be verified.
    pub fn secure(
        &mut self,
        client: &Client,
        profile: TlsProfile,
        host: &Host,
    ) -> Result<(), Cause> {
        assert!(
            matches!(self.state, State::Plain),
            "TLS starts once, on a connection that is up"
        );
        self.state = State::Secure(Box::new(Session::new(client, profile, host)?));
        Ok(())
    }

    /// Writes head and body, or what is left of them, in one system call where they fit.
    ///
    /// # Errors
    /// Once; later writes take nothing. What the peer sent before may still be read.
    pub fn write(&mut self, parts: [&[u8]; 2]) -> Result<Written, Cause> {
        if self.is_broken {
            return Ok(Written::default());
        }
        if let Some(error) = self.failed.take() {
            self.is_broken = true;
            return Err(self.transfer_cause(&error));
        }
        let result = match &mut self.state {
            State::Connecting { .. } => Ok((Written::default(), true)),
            State::Plain => write_plain(&mut self.socket, parts),
            State::Secure(session) => {
                let taken = session.take(parts);
                let all = parts.iter().map(|part| part.len()).sum::<usize>();
                let mut socket = Counting::new(&mut self.socket);
                match session.flush(&mut socket) {
                    Ok(is_flushed) => {
                        let more = is_flushed && taken > 0 && taken < all;
                        Ok((Written { taken, more }, !is_flushed))
                    }
                    Err(error) if taken > 0 && socket.bytes > 0 => {
                        self.failed = Some(error);
                        Ok((Written { taken, more: true }, false))
                    }
                    Err(error) => Err(error),
                }
            }
        };
        match result {
            Ok((written, is_blocked)) => {
                self.is_blocked = is_blocked;
                Ok(written)
            }
            Err(error) => {
                self.is_broken = true;
                self.is_blocked = false;
                Err(self.transfer_cause(&error))
            }
        }
    }

    /// Reads once; to the end if the event said that there is one (`is_closing`).
    pub fn read<'a>(&mut self, buffers: &'a mut Buffers, is_closing: bool) -> Got<'a> {
        if self.has_ended || matches!(self.state, State::Connecting { .. }) {
            return Got::default();
        }
        let filled = fill(&mut self.socket, &mut buffers.raw, is_closing);
        self.has_ended = filled.end;
        let broken = filled
            .error
            .as_ref()
            .map(|error| self.transfer_cause(error));
        let raw = &buffers.raw[..filled.bytes];
        match &mut self.state {
            State::Connecting { .. } => unreachable!("returned above"),
            State::Plain => Got {
                bytes: raw,
                end: filled.end,
                broken,
                more: filled.more,
                is_partial: false,
                secured: None,
                flush: false,
            },
            State::Secure(session) => {
                buffers.plain.clear();
                let got = decrypt(session, raw, &mut buffers.plain, &filled);
                self.has_ended = got.end;
                if got.broken.as_ref().is_some_and(|_| session.wants_write()) {
                    // The alert that tells the peer why; the connection ends whether it arrives or not.
                    session.flush(&mut self.socket).ok();
                }
                Got {
                    bytes: &buffers.plain,
                    broken: got.broken.or(broken),
                    ..got
                }
            }
        }
    }

    /// Closes it, with `close_notify` under TLS, for which nobody waits.
    pub fn close(mut self) {
        if let State::Secure(session) = &mut self.state
            && !self.is_broken
        {
            session.close();
            // RFC 9112 section 9.8 asks to send it; a peer that can't take it now goes without.
            session.flush(&mut self.socket).ok();
        }
    }

    /// Whether TCP is not up yet.
    #[must_use]
    pub const fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting { .. })
    }

    /// Whether the TLS handshake goes on.
    #[must_use]
    pub fn is_securing(&self) -> bool {
        matches!(&self.state, State::Secure(session) if session.is_handshaking())
    }

    /// Whether the socket took less than it was given, and an event is awaited to go on.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    fn transfer_cause(&self, error: &io::Error) -> Cause {
        let cause = cause("", error);
        if self.is_securing() && cause.kind != CauseKind::Local {
            return Cause {
                kind: CauseKind::Tls,
                message: format!("during the TLS handshake: {}", cause.message).into(),
            };
        }
        cause
    }
}

/// Sorts an error of the system by whose trouble it is.
#[must_use]
pub fn cause(place: &str, error: &io::Error) -> Cause {
    let kind = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => CauseKind::Refused,
        Some(libc::EHOSTUNREACH) => CauseKind::Unreachable,
        Some(libc::ENETUNREACH | libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => CauseKind::NoNetwork,
        Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => CauseKind::Reset,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => CauseKind::Local,
        Some(_) => CauseKind::Other,
        None if error.kind() == ErrorKind::ConnectionRefused => CauseKind::Refused,
        None => CauseKind::Other,
    };
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    let mut message = String::with_capacity(place.len() + 2 + words.len());
    if !place.is_empty() {
        message.push_str(place);
        message.push_str(": ");
    }
    let mut letters = words.chars();
    message.extend(letters.next().map(|first| first.to_ascii_lowercase()));
    message.push_str(letters.as_str());
    Cause {
        kind,
        message: message.into(),
    }
}

/// Counts what a socket takes.
struct Counting<'a> {
    socket: &'a mut dyn Write,
    bytes: usize,
}

impl<'a> Counting<'a> {
    fn new(socket: &'a mut dyn Write) -> Counting<'a> {
        Counting { socket, bytes: 0 }
    }
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.socket.write(bytes)?;
        self.bytes += taken;
        Ok(taken)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.socket.write_vectored(parts)?;
        self.bytes += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

struct Filled {
    bytes: usize,
    end: bool,
    error: Option<io::Error>,
    more: bool,
}

fn fill(socket: &mut dyn Read, buffer: &mut [u8], is_closing: bool) -> Filled {
    let mut filled = Filled {
        bytes: 0,
        end: false,
        error: None,
        more: false,
    };
    loop {
        match socket.read(&mut buffer[filled.bytes..]) {
            Ok(0) => {
                filled.end = true;
                return filled;
            }
            Ok(n) => {
                filled.bytes += n;
                if filled.bytes == buffer.len() {
                    filled.more = true;
                    return filled;
                }
                if !is_closing {
                    return filled;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return filled,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                filled.error = Some(error);
                return filled;
            }
        }
    }
}

/// All of [`Got`] but the bytes, which are left in `plain`.
fn decrypt(
    session: &mut Session,
    raw: &[u8],
    plain: &mut Vec<u8>,
    filled: &Filled,
) -> Got<'static> {
    let was_handshaking = session.is_handshaking();
    let fed = session.feed(raw, plain);
    let is_secured = was_handshaking && !session.is_handshaking();
    let broken = match &fed {
        Err(cause) => Some(cause.clone()),
        Ok(_) if filled.end && session.is_handshaking() => Some(Cause {
            kind: CauseKind::Tls,
            message: "the peer closed the connection during the TLS handshake".into(),
        }),
        Ok(_) => None,
    };
    Got {
        bytes: &[],
        end: broken.is_none() && (filled.end || fed == Ok(true)),
        broken,
        more: filled.more,
        is_partial: session.is_within_record(),
        secured: is_secured.then(|| session.is_resumed()),
        flush: session.wants_write(),
    }
}

fn write_plain(socket: &mut dyn Write, parts: [&[u8]; 2]) -> io::Result<(Written, bool)> {
    let all = parts[0].len() + parts[1].len();
    if all == 0 {
        return Ok((Written::default(), false));
    }
    loop {
        let result = match parts {
            [only, []] | [[], only] => socket.write(only),
            [head, body] => socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]),
        };
        match result {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => {
                let more = taken < all;
                return Ok((Written { taken, more }, false));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok((Written::default(), true));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The last look at the address that the guard has judged.
fn check_peer(asked: SocketAddr, peer: SocketAddr) -> Result<(), Cause> {
    if (peer.ip(), peer.port()) == (asked.ip(), asked.port()) {
        return Ok(());
    }
    Err(Cause {
        kind: CauseKind::Other,
        message: format!("connected to {peer}, expected {asked}").into(),
    })
}

fn connect_cause(addr: SocketAddr, error: &io::Error) -> Cause {
    cause(&format!("connect to {addr}"), error)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
