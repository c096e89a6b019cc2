//! A receiver that says more than it was asked, all of it while conduit stands still: what comes behind a response
//! answers nothing, least of all the next request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::harness::conduit::Run;
use crate::harness::feed::plain;

/// What conduit reads at once: a response of just as much looks as if more of it were to come.
const READ_BYTES: usize = 64 * 1024;

/// Reads one request; its `webhook-id`, or none at the end.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut some = [0; 4096];
        match stream.read(&mut some) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&some[..n]),
        }
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let field = |name| head.lines().find_map(|line| line.strip_prefix(name));
        let length = field("content-length: ").expect("a request says how long it is");
        if body.len() >= length.parse().expect("a number") {
            return Some(field("webhook-id: ").expect("a request has an id").into());
        }
    }
}

/// Answers every request, and tells of it.
fn serve(mut stream: TcpStream, seen: &Sender<String>) {
    while let Some(id) = read_request(&mut stream) {
        seen.send(id).expect("the test waits");
        let answered = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        if answered.is_err() {
            return;
        }
    }
}

/// The first of two jobs is answered by `answer_bytes` and a 418 behind them.
fn play(answer_bytes: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let flags = [
        "--max-connections=1",
        "--resend-stale=false",
        "--max-drain-bytes=1048576",
    ];
    let mut run = Run::local(&flags);
    run.write(&(plain("first", &url) + &plain("second", &url)));
    let (mut stream, _) = listener.accept().expect("conduit connects");
    assert_eq!(read_request(&mut stream).as_deref(), Some("first"));
    run.process().signal("STOP");
    let head = |length| format!("HTTP/1.1 200 OK\r\nContent-Length: {length:7}\r\n\r\n");
    let mut answer = head(answer_bytes - head(0).len()).into_bytes();
    answer.resize(answer_bytes, b'x');
    answer.extend_from_slice(b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(&answer).expect("the buffers take it");
    run.process().signal("CONT");
    let (seen, requests) = channel();
    thread::spawn(move || {
        let first = seen.clone();
        thread::spawn(move || serve(stream, &first));
        for stream in listener.incoming() {
            let seen = seen.clone();
            thread::spawn(move || serve(stream.expect("conduit connects"), &seen));
        }
    });
    let statuses = [run.next_result().status(), run.next_result().status()];
    assert_eq!(statuses, [Some(200), Some(200)], "{answer_bytes}");
    run.finish();
    let sent: Vec<_> = requests.try_iter().collect();
    assert_eq!(sent, ["second"], "{answer_bytes}: each was sent once");
}

#[test]
fn f116_surplus_behind_one_full_read_is_no_answer_and_costs_no_second_request() {
    for _ in 0..5 {
        play(READ_BYTES);
    }
}

#[test]
#[ignore = "a figure: a thousand runs"]
fn f116_a_thousand_times() {
    for _ in 0..1_000 {
        play(READ_BYTES);
    }
}
