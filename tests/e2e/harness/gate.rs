//! A receiver that holds its answers back until it is told: what is in flight is in flight for certain.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use super::PATIENCE;

/// Listens on 127.0.0.1 for as long as the process lives; its threads end with their connections.
#[derive(Debug)]
pub(crate) struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its head, line by line.
    head: Vec<String>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    is_open: bool,
}

impl Gate {
    /// Starts with its answers held back.
    pub(crate) fn start() -> Gate {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let taker = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&taker);
                let stream = stream.expect("loopback connections can be taken");
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Gate { port, shared }
    }

    /// Where to send.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Waits until so many requests are in.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), PATIENCE, |state| {
                state.requests.len() < count
            })
            .expect("no thread of the gate panics");
        assert!(!waited.timed_out(), "{state:?}, not {count} requests");
    }

    /// Requests that came in so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.state().requests.len()
    }

    /// These requests, in their order.
    pub(crate) fn received(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Answers all requests, those to come too.
    pub(crate) fn open(&self) {
        self.shared.state().is_open = true;
        self.shared.changed.notify_all();
    }
}

impl Request {
    /// A header field's value; the field must be there, once.
    pub(crate) fn field(&self, name: &str) -> &str {
        let fields = self.head.iter().filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value);
        assert!(values.next().is_none(), "{name} twice: {:?}", self.head);
        value.unwrap_or_else(|| panic!("no {name}: {:?}", self.head))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the gate panics")
    }
}

/// Answers one request after the other, until the peer closes or breaks the connection.
fn serve(stream: TcpStream, shared: &Shared) {
    let mut answers = stream.try_clone().expect("a socket can be cloned");
    let mut requests = BufReader::new(stream);
    while let Some(request) = read_request(&mut requests) {
        let mut state = shared.state();
        state.requests.push(request);
        shared.changed.notify_all();
        let state = shared.changed.wait_while(state, |state| !state.is_open);
        drop(state.expect("no thread of the gate panics"));
        if answers
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}

/// Reads a request with a Content-Length; `None` at the end of the connection.
fn read_request(requests: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut head, mut body_bytes) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body_bytes = value.trim().parse().expect("conduit sends a length");
        }
        head.push(line.trim_end().to_owned());
    }
    let mut body = vec![0; body_bytes];
    requests.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}
