//! Streams against listeners of the standard library, on loopback.

use super::*;
use mio::{Events, Poll};
use std::net::{Shutdown, TcpListener, TcpStream as StdStream};

const TOKEN: Token = Token(1);
const KEEP_ALIVE: KeepAlive = KeepAlive {
    delay_seconds: 30,
    timeout_seconds: 20,
};

struct Bench {
    poll: Poll,
    events: Events,
    buffers: Buffers,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            poll: Poll::new().unwrap(),
            events: Events::with_capacity(8),
            buffers: Buffers::new(),
        }
    }

    /// Waits for an event; whether it said that the peer has closed, or that there is an error.
    fn wait(&mut self) -> bool {
        self.poll
            .poll(&mut self.events, Some(Duration::from_secs(10)))
            .unwrap();
        assert!(!self.events.is_empty(), "nothing happened in 10 s");
        self.events
            .iter()
            .any(|event| event.is_read_closed() || event.is_error())
    }

    fn is_silent(&mut self) -> bool {
        self.poll
            .poll(&mut self.events, Some(Duration::ZERO))
            .unwrap();
        self.events.is_empty()
    }

    fn connect(&mut self, addr: SocketAddr) -> Result<Stream, Cause> {
        let mut stream = Stream::connect(addr, KEEP_ALIVE, self.poll.registry(), TOKEN)?;
        assert!(stream.is_connecting());
        loop {
            self.wait();
            if stream.finish_connect()? {
                assert!(!stream.is_connecting());
                return Ok(stream);
            }
        }
    }

    fn pair(&mut self) -> (Stream, StdStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = self.connect(listener.local_addr().unwrap()).unwrap();
        (stream, listener.accept().unwrap().0)
    }

    /// Everything until the end, as the loop would read it.
    fn read_all(&mut self, stream: &mut Stream) -> (Vec<u8>, Option<Cause>) {
        let mut all = Vec::new();
        loop {
            let is_closing = self.wait();
            loop {
                let got = stream.read(&mut self.buffers, is_closing);
                all.extend_from_slice(got.bytes);
                if got.end || got.broken.is_some() {
                    return (all, got.broken);
                }
                if !got.more {
                    break;
                }
            }
        }
    }
}

#[test]
fn head_and_body_go_out_and_the_answer_comes_back() {
    let mut bench = Bench::new();
    let (mut stream, mut peer) = bench.pair();
    let written = stream.write([b"head", b"body"]).unwrap();
    assert_eq!(
        written,
        Written {
            taken: 8,
            more: false
        }
    );
    let mut bytes = [0; 8];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"headbody");
    peer.write_all(b"answer").unwrap();
    bench.wait();
    let got = stream.read(&mut bench.buffers, false);
    assert_eq!(got.bytes, b"answer");
    assert!(!got.end && !got.more && got.broken.is_none());
    assert_eq!(stream.write([b"", b""]).unwrap(), Written::default());
}

#[test]
fn f05_an_end_comes_with_the_bytes_before_it() {
    let mut bench = Bench::new();
    let (mut stream, mut peer) = bench.pair();
    peer.write_all(b"last words").unwrap();
    drop(peer);
    loop {
        // The bytes and the end may be two events; then the end comes alone.
        let is_closing = bench.wait();
        let got = stream.read(&mut bench.buffers, is_closing);
        assert_eq!(got.broken, None);
        assert_eq!(got.end, is_closing);
        if is_closing {
            break;
        }
        assert_eq!(got.bytes, b"last words");
    }
}

#[test]
fn f06_a_half_closed_peer_does_not_spin_and_still_takes_bytes() {
    let mut bench = Bench::new();
    let (mut stream, mut peer) = bench.pair();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(bench.wait());
    assert!(stream.read(&mut bench.buffers, true).end);
    assert!(bench.is_silent(), "edge-triggered: told once");
    assert_eq!(stream.read(&mut bench.buffers, true), Got::default());
    assert_eq!(stream.write([b"body", b""]).unwrap().taken, 4);
    let mut bytes = [0; 4];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"body");
}

#[test]
fn f07_f08_an_answer_is_read_though_writing_failed() {
    let mut bench = Bench::new();
    let (mut stream, mut peer) = bench.pair();
    let body = vec![7; 1 << 20];
    // The receiver answers at the first bytes and closes with the rest unread: a reset.
    stream.write([&body, b""]).unwrap();
    peer.read_exact(&mut [0; 10]).unwrap();
    peer.write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
        .unwrap();
    drop(peer);
    let cause = loop {
        match stream.write([&body, b""]) {
            Ok(_) => {
                bench.wait();
            }
            Err(cause) => break cause,
        }
    };
    assert_eq!(cause.kind, CauseKind::Reset);
    assert_eq!(
        stream.write([b"more", b""]).unwrap(),
        Written::default(),
        "reported once"
    );
    let got = stream.read(&mut bench.buffers, true);
    assert_eq!(got.bytes, b"HTTP/1.1 413 Content Too Large\r\n\r\n");
    assert!(got.end || got.broken.is_some());
}

#[test]
fn f11_a_refused_connection_says_by_whom() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let cause = Bench::new().connect(addr).unwrap_err();
    assert_eq!(cause.kind, CauseKind::Refused);
    assert_eq!(
        &*cause.message,
        format!("connect to {addr}: connection refused")
    );
}

#[test]
fn f22_the_peer_must_be_the_address_that_was_asked_for() {
    let asked: SocketAddr = "192.0.2.1:80".parse().unwrap();
    assert_eq!(check_peer(asked, asked), Ok(()));
    for other in ["192.0.2.1:81", "192.0.2.2:80", "[::ffff:192.0.2.1]:80"] {
        let cause = check_peer(asked, other.parse().unwrap()).unwrap_err();
        assert_eq!(cause.kind, CauseKind::Other);
        assert_eq!(
            &*cause.message,
            format!("connected to {other}, expected 192.0.2.1:80")
        );
    }
}

#[test]
fn f22_a_body_larger_than_the_socket_takes_goes_out_in_pieces() {
    let mut bench = Bench::new();
    let (mut stream, mut peer) = bench.pair();
    let body: Vec<u8> = (0..16 << 20).map(|n| (n >> 8) as u8).collect();
    let mut sent = 0;
    while !stream.is_blocked() {
        sent += stream.write([b"", &body[sent..]]).unwrap().taken;
    }
    assert!(sent < body.len(), "the socket took everything");
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    while sent < body.len() {
        match stream.write([b"", &body[sent..]]).unwrap() {
            Written { taken: 0, .. } => {
                assert!(stream.is_blocked());
                bench.wait();
            }
            Written { taken, more } => {
                sent += taken;
                assert_eq!(more, sent < body.len());
            }
        }
    }
    stream.close();
    assert_eq!(reader.join().unwrap(), body);
}

#[test]
fn f46_more_than_a_buffer_is_read_in_pieces() {
    let mut bench = Bench::new();
    let (mut stream, mut peer) = bench.pair();
    let body: Vec<u8> = (0..1 << 20).map(|n| (n >> 8) as u8).collect();
    let sender = {
        let body = body.clone();
        std::thread::spawn(move || peer.write_all(&body).unwrap())
    };
    assert_eq!(bench.read_all(&mut stream), (body, None));
    sender.join().unwrap();
}

#[test]
fn f11_f19_f21_errors_are_sorted_by_whose_trouble_they_are() {
    for (code, kind) in [
        (libc::ECONNREFUSED, CauseKind::Refused),
        (libc::EHOSTUNREACH, CauseKind::Unreachable),
        (libc::ENETUNREACH, CauseKind::NoNetwork),
        (libc::EAFNOSUPPORT, CauseKind::NoNetwork),
        (libc::EADDRNOTAVAIL, CauseKind::NoNetwork),
        (libc::ECONNRESET, CauseKind::Reset),
        (libc::EPIPE, CauseKind::Reset),
        (libc::EMFILE, CauseKind::Local),
        (libc::ENFILE, CauseKind::Local),
        (libc::ENOBUFS, CauseKind::Local),
        (libc::ENOMEM, CauseKind::Local),
        (libc::ETIMEDOUT, CauseKind::Other),
    ] {
        let error = io::Error::from_raw_os_error(code);
        let found = cause("here", &error);
        assert_eq!(found.kind, kind, "{error}");
        assert!(found.message.starts_with("here: "), "{found}");
        assert!(!found.message.contains("os error"), "{found}");
    }
    let reset = io::Error::from_raw_os_error(libc::ECONNRESET);
    assert_eq!(&*cause("", &reset).message, "connection reset by peer");
}
