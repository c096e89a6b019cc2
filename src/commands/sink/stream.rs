//! One accepted socket, plain or TLS, with the same verbs for both.
//!
//! Registered once, edge-triggered: so the stream remembers whether its socket may hold bytes that were not
//! read. A read that does not fill its buffer has emptied the socket, unless the peer has closed its side;
//! then the end itself must still be read.
//!
//! Not here: the connecting side (`io/stream`).

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

/// A connection's bytes.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    layer: Layer,
    /// Nothing may be said any more; the socket's sending side closes when all is sent.
    ending: bool,
}

/// The socket, and what is known of its receive queue.
#[derive(Debug)]
struct Socket {
    tcp: TcpStream,
    drained: bool,
    peer_closed: bool,
}

#[derive(Debug)]
enum Layer {
    Plain { unsent: Vec<u8> },
    Tls(Box<ServerConnection>),
}

impl Stream {
    /// A connection without TLS.
    pub(super) const fn plain(tcp: TcpStream) -> Stream {
        Stream {
            socket: Socket::new(tcp),
            layer: Layer::Plain { unsent: Vec::new() },
            ending: false,
        }
    }

    /// A connection whose client will begin a TLS handshake.
    pub(super) fn tls(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<Stream, rustls::Error> {
        let mut session = ServerConnection::new(config)?;
        // What may pile up is bounded by `is_blocked`: a connection that is blocked is not read from.
        session.set_buffer_limit(None);
        Ok(Stream {
            socket: Socket::new(tcp),
            layer: Layer::Tls(Box::new(session)),
            ending: false,
        })
    }

    /// The socket, to be registered.
    pub(super) const fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.socket.tcp
    }

    /// Notes that the socket can be read; `peer_closed`: and that the peer has closed its side.
    pub(super) const fn on_readable(&mut self, peer_closed: bool) {
        self.socket.drained = false;
        self.socket.peer_closed |= peer_closed;
    }

    /// Reads plaintext: `WouldBlock` when there is none until the next event, 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = match &mut self.layer {
            Layer::Plain { .. } => return self.socket.read(buffer),
            Layer::Tls(session) => session,
        };
        loop {
            match session.reader().read(buffer) {
                // An end without close_notify: HTTP's own framing tells whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            session.read_tls(&mut self.socket)?;
            if let Err(error) = session.process_new_packets() {
                // The alert that tells the peer why goes out if it can; the connection ends either way.
                let _ = session.write_tls(&mut self.socket.tcp);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    /// Sends bytes, now or by later calls of [`Stream::flush`].
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(!self.ending, "nothing is sent after the end");
        match &mut self.layer {
            Layer::Plain { unsent } if unsent.is_empty() => {
                let sent = write_all_now(&mut self.socket.tcp, bytes)?;
                unsent.extend_from_slice(&bytes[sent..]);
            }
            Layer::Plain { unsent } => unsent.extend_from_slice(bytes),
            Layer::Tls(session) => session.writer().write_all(bytes)?,
        }
        self.flush()
    }

    /// Says that nothing more will be sent: close_notify under TLS, then the sending side closes.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Layer::Tls(session) = &mut self.layer {
            session.send_close_notify();
        }
        self.ending = true;
        self.flush()
    }

    /// Sends what has not been sent, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Plain { unsent } => {
                if !unsent.is_empty() {
                    let sent = write_all_now(&mut self.socket.tcp, unsent)?;
                    unsent.drain(..sent);
                }
            }
            Layer::Tls(session) => {
                while session.wants_write() {
                    match session.write_tls(&mut self.socket.tcp) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        if self.ending && !self.is_blocked() {
            self.socket.tcp.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Whether bytes wait for the socket to take them.
    pub(super) fn is_blocked(&self) -> bool {
        match &self.layer {
            Layer::Plain { unsent } => !unsent.is_empty(),
            Layer::Tls(session) => session.wants_write(),
        }
    }
}

impl Socket {
    const fn new(tcp: TcpStream) -> Socket {
        Socket {
            tcp,
            drained: false,
            peer_closed: false,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match self.tcp.read(buffer) {
                Ok(bytes) => {
                    self.drained = bytes < buffer.len() && !self.peer_closed;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.drained = error.kind() == io::ErrorKind::WouldBlock;
                    return Err(error);
                }
            }
        }
    }
}

/// How much of `bytes` the socket took before it would have blocked.
fn write_all_now(tcp: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match tcp.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => sent += written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
