//! One DNS query: a UDP socket connected to its name server, one datagram out, answers in.
//!
//! The kernel chooses the port, anew for each query, and drops datagrams from anybody else: with the random id
//! that is what keeps forged answers out (RFC 5452 section 9). Edge-triggered: read until there is no more.
//!
//! Not here: what the datagrams say (the engine's resolver).

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use conduit::engine::event::Cause;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use crate::io::stream;

/// One DNS query's socket.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    server: SocketAddr,
    is_blocked: bool,
}

impl Udp {
    /// Opens a socket to this name server.
    ///
    /// # Errors
    /// The system's: no descriptor, no port, no way there.
    pub fn open(server: SocketAddr, registry: &Registry, token: Token) -> Result<Udp, Cause> {
        let failed = |error: io::Error| cause(server, &error);
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let mut socket = UdpSocket::bind(any).map_err(failed)?;
        socket.connect(server).map_err(failed)?;
        registry
            .register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(failed)?;
        Ok(Udp {
            socket,
            server,
            is_blocked: false,
        })
    }

    /// Sends the datagram; whether it has left. If not, an event will say when to try again.
    ///
    /// # Errors
    /// The system's, an earlier datagram's refusal included.
    pub fn send(&mut self, datagram: &[u8]) -> Result<bool, Cause> {
        loop {
            self.is_blocked = false;
            match self.socket.send(datagram) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(cause(self.server, &error)),
            }
        }
    }

    /// The next datagram, as much of it as fits `buffer`; `None` if there is none.
    ///
    /// # Errors
    /// The system's: nobody listens there, for one.
    pub fn receive<'a>(&mut self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Cause> {
        loop {
            match self.socket.recv(buffer) {
                Ok(n) => return Ok(Some(&buffer[..n])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(cause(self.server, &error)),
            }
        }
    }

    /// Whether the datagram waits for room.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        self.is_blocked
    }
}

fn cause(server: SocketAddr, error: &io::Error) -> Cause {
    stream::cause(&format!("name server {server}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conduit::engine::event::CauseKind;
    use std::time::Duration;

    fn await_event(poll: &mut mio::Poll) {
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::from_secs(10)))
            .unwrap();
        assert!(!events.is_empty(), "nothing happened in 10 s");
    }

    #[test]
    fn a_question_goes_out_and_answers_come_back_one_by_one() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let addr = server.local_addr().unwrap();
        let mut udp = Udp::open(addr, poll.registry(), Token(1)).unwrap();
        assert!(udp.send(b"question").unwrap());
        let mut buffer = [0; 512];
        let (n, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"question");
        // Somebody else's datagram is dropped by the kernel (F72).
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"forged", from).unwrap();
        server.send_to(b"one", from).unwrap();
        server.send_to(b"two", from).unwrap();
        let mut got = Vec::new();
        while got.len() < 2 {
            match udp.receive(&mut buffer).unwrap() {
                Some(answer) => got.push(answer.to_vec()),
                None => await_event(&mut poll),
            }
        }
        assert_eq!(got, [b"one".to_vec(), b"two".to_vec()]);
        assert!(!udp.is_blocked());
    }

    #[test]
    fn a_server_that_nobody_runs_refuses() {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = gone.local_addr().unwrap();
        drop(gone);
        let mut poll = mio::Poll::new().unwrap();
        let mut udp = Udp::open(addr, poll.registry(), Token(1)).unwrap();
        assert!(udp.send(b"question").unwrap());
        let mut buffer = [0; 512];
        let cause = loop {
            match udp.receive(&mut buffer) {
                Ok(None) => await_event(&mut poll),
                Ok(Some(answer)) => panic!("got {answer:?}"),
                Err(cause) => break cause,
            }
        };
        assert_eq!(cause.kind, CauseKind::Refused);
        assert_eq!(
            &*cause.message,
            format!("name server {addr}: connection refused")
        );
    }
}
