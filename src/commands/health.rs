//! `conduit health`: asks a running conduit whether all is well, for images that hold no curl.
//!
//! Not here: what is answered (`io/admin`), where to ask (`flags/health`).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use conduit::base::time::Instant;

use crate::commands::{complain, exit, help};
use crate::flags::HealthPlace;
use crate::io::{clock, log as logger};

/// How long all of it may take; where there are several addresses, each has its share of what is left.
const PATIENCE: Duration = Duration::from_secs(5);

/// More of an answer is not read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Asks, prints the answer, and says by the exit status whether it was 200.
#[must_use]
pub fn execute(live: bool, place: &HealthPlace) -> ExitCode {
    let path = if live {
        "/health/live"
    } else {
        "/health/ready"
    };
    let target = if place.prefix.ends_with(path) {
        place.prefix.clone()
    } else {
        format!("{}{path}", place.prefix)
    };
    let mut last = None;
    let start = clock::now().mono;
    let shares = place.addresses.len().max(1) as u32;
    for (address, number) in place.addresses.iter().zip(1..) {
        match ask(*address, &target, start + PATIENCE / shares * number) {
            Ok(answer) => return tell(&answer),
            Err(error) => last = Some((address, error)),
        }
    }
    if let Some((address, error)) = last {
        complain(&format!("no answer from http://{address}{target}: {error}"));
    }
    exit::NOT_ALL
}

/// An answer: its status and its body.
struct Answer {
    status: u16,
    body: String,
}

fn tell(answer: &Answer) -> ExitCode {
    let text = logger::printable(answer.body.trim_end(), true) + "\n";
    // The exit status says it to whoever does not read.
    let _nobody_reads = help::print(&text);
    match answer.status {
        200 => exit::DONE,
        _ => exit::NOT_ALL,
    }
}

/// Asks and takes the answer as far as it says it goes, all before `deadline`.
fn ask(address: SocketAddr, target: &str, deadline: Instant) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let bytes = match stream.read(&mut buffer) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(&buffer[..bytes]);
        if let Some(answer) = parse(&answer, bytes == 0)? {
            return Ok(answer);
        }
    }
}

/// How long it is until then.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.since(clock::now().mono) {
        Duration::ZERO => Err(late()),
        left => Ok(left),
    }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no whole answer in time")
}

/// The answer in what came so far, if it is whole; `is_end`: no more comes.
fn parse(bytes: &[u8], is_end: bool) -> io::Result<Option<Answer>> {
    let bad = |what: String| Err(io::Error::new(ErrorKind::InvalidData, what));
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let head = end.map(|end| (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]));
    let is_too_long = bytes.len() > ANSWER_BYTES_MAX;
    let Some((head, body)) = head else {
        return match is_end || is_too_long {
            true => bad("expected an answer in HTTP/1.1, found none".to_owned()),
            false => Ok(None),
        };
    };
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1));
    let Some(status) = status.and_then(|status| status.parse().ok()) else {
        return bad("expected an answer in HTTP/1.1, found none".to_owned());
    };
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
    let length = lengths
        .next()
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let body = match length {
        Some(length) if body.len() >= length => &body[..length],
        Some(length) if is_end => {
            let found = body.len();
            return bad(format!(
                "expected {length} bytes, found {found}: the answer was cut off"
            ));
        }
        None if is_end => body,
        Some(_) | None if is_too_long => {
            return bad(format!(
                "expected at most {ANSWER_BYTES_MAX} bytes, found more"
            ));
        }
        Some(_) | None => return Ok(None),
    };
    Ok(Some(Answer {
        status,
        body: String::from_utf8_lossy(body).into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;

    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body_as_long_as_it_says() {
        let head = "HTTP/1.1 503 Service Unavailable\r\nA: b\r\n";
        let found = |fields: &str, body: &str, is_end: bool| {
            let text = format!("{head}{fields}\r\n{body}");
            parse(text.as_bytes(), is_end).map(|answer| answer.map(|it| (it.status, it.body)))
        };
        let whole = Some((503, "{}\n".to_owned()));
        assert_eq!(found("", "{}\n", true).unwrap(), whole);
        assert_eq!(found("", "{}\n", false).unwrap(), None);
        assert_eq!(
            found("content-length: 3\r\n", "{}\nmore", false).unwrap(),
            whole
        );
        assert_eq!(found("Content-Length:3\r\n", "{}\n", true).unwrap(), whole);
        assert_eq!(found("Content-Length: 3\r\n", "{}", false).unwrap(), None);
        let cut = found("Content-Length: 3\r\n", "{}", true).unwrap_err();
        assert!(
            cut.to_string().contains("expected 3 bytes, found 2"),
            "{cut}"
        );
        let long = "x".repeat(ANSWER_BYTES_MAX + 1);
        assert!(found("", &long, false).is_err() && parse(long.as_bytes(), false).is_err());
        for bad in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
        ] {
            assert!(parse(bad.as_bytes(), true).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_answers_for_ever_is_given_up_and_who_keeps_the_connection_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (done, is_done) = channel::<()>();
        let server = thread::spawn(move || {
            let (mut kept, _) = listener.accept().unwrap();
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            kept.write_all(whole).unwrap();
            let (mut slow, _) = listener.accept().unwrap();
            slow.write_all(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
            // A byte now and then, each well in time.
            let pause = Duration::from_millis(20);
            while is_done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if slow.write_all(b"x").is_err() {
                    return;
                }
            }
        });
        let within = |millis| clock::now().mono + Duration::from_millis(millis);
        let answer = ask(address, "/", within(60_000)).unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "{}"));
        let started = clock::now().mono;
        let error = ask(address, "/", within(200)).err().expect("it never ends");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(clock::now().mono.since(started) < Duration::from_secs(10));
        drop(done);
        server.join().unwrap();
    }
}
